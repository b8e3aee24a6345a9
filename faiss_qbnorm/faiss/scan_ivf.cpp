#include "faiss_qbnorm/faiss/scan_ivf.h"

#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexScalarQuantizer.h>
#include <omp.h>

#include <algorithm>
#include <optional>
#include <typeinfo>

#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/faiss/ivf_settings.h"
#include "faiss_qbnorm/faiss/list_scanner.h"

namespace faiss_qbnorm {

namespace {

/// Slices of a call's queries. One thread searches a slice, coarse quantizer
/// and lists: many small products at once are faster than one after another,
/// each by all threads.
class Slices {
  public:
    Slices(idx_t queries, idx_t nprobe) : queries_(queries) {
        const idx_t most =
            std::clamp<idx_t>(probes_at_once / nprobe, 1, queries_at_once);
        const idx_t threads = omp_get_max_threads();
        const idx_t rounds = std::max<idx_t>(
            (queries + threads * most - 1) / (threads * most), 1);
        count_ = std::min(threads * rounds, queries);
    }

    idx_t count() const { return count_; }
    /// A slice's first query.
    idx_t first(idx_t slice) const { return slice * queries_ / count_; }

  private:
    static constexpr idx_t probes_at_once = idx_t{1} << 20;
    /// Threads take new slices when they are done: few enough to end together.
    static constexpr idx_t queries_at_once = 128;

    idx_t queries_;
    idx_t count_;
};

/// One thread's search.
class SliceSearch {
  public:
    SliceSearch(const faiss::IndexIVF& ivf, const SearchPlan& plan,
                const IvfSettings& settings, idx_t k)
        : ivf_(ivf),
          settings_(settings),
          k_(k),
          scanner_(ivf, plan, settings, k) {}

    void search(const MatrixView& queries, idx_t first, idx_t last,
                const Answers& answers, QueryReport* reports) {
        find_lists(queries.slice(first, last));
        for (idx_t i = first; i < last; i++) {
            const idx_t probe = (i - first) * settings_.nprobe;
            scanner_.scan(queries.row(i), &lists_[probe], &distances_[probe]);
            answers.write(i, k_, scanner_.answer(), 0);
            if (!reports) continue;
            reports[i] = {scanner_.open(), scanner_.members(),
                          settings_.sees_all(ivf_)};
        }
    }

  private:
    void find_lists(const MatrixView& queries) {
        lists_.resize(queries.rows * settings_.nprobe);
        distances_.resize(lists_.size());
        ivf_.quantizer->search(queries.rows, queries.data, settings_.nprobe,
                               distances_.data(), lists_.data(),
                               settings_.quantizer_params);
        ivf_.invlists->prefetch_lists(lists_.data(),
                                      static_cast<int>(lists_.size()));
    }

    const faiss::IndexIVF& ivf_;
    const IvfSettings& settings_;
    const idx_t k_;
    ListScanner scanner_;
    std::vector<idx_t> lists_;
    std::vector<float> distances_;
};

// What FAISS added to an IVF search since, and we do not do.
template <class Params>
bool asks_for_more(const Params& params) {
    bool more = false;
    if constexpr (requires { params.inverted_list_context; }) {
        more = more || params.inverted_list_context != nullptr;
    }
    if constexpr (requires { params.ensure_topk_full; }) {
        more = more || params.ensure_topk_full;
    }
    return more;
}

// Lists that can only be walked through.
template <class Lists>
bool has_iterators(const Lists& lists) {
    if constexpr (requires { lists.use_iterator; }) return lists.use_iterator;
    return false;
}

}  // namespace

const faiss::IndexIVF* scannable_ivf(const faiss::Index& index,
                                     const faiss::SearchParameters* params) {
    // Exact types: a subclass may search otherwise than its scanner does.
    const std::type_info& type = typeid(index);
    if (type != typeid(faiss::IndexIVFFlat) &&
        type != typeid(faiss::IndexIVFScalarQuantizer) &&
        type != typeid(faiss::IndexIVFPQ)) {
        return nullptr;
    }
    const auto& ivf = static_cast<const faiss::IndexIVF&>(index);
    if (has_iterators(*ivf.invlists)) return nullptr;
    if (const auto* pq = dynamic_cast<const faiss::IndexIVFPQ*>(&index)) {
        const auto* given =
            dynamic_cast<const faiss::IVFPQSearchParameters*>(params);
        // FAISS filters as the index says, whatever the parameters do.
        if (pq->polysemous_ht || (given && given->polysemous_ht)) {
            return nullptr;
        }
    }
    const auto* given = dynamic_cast<const faiss::SearchParametersIVF*>(params);
    return given && asks_for_more(*given) ? nullptr : &ivf;
}

bool probes_all_lists(const faiss::IndexIVF& ivf,
                      const faiss::SearchParameters* params) {
    return IvfSettings(ivf, params).nprobe == static_cast<idx_t>(ivf.nlist);
}

void scan_ivf(const faiss::IndexIVF& ivf, const SearchPlan& plan,
              const MatrixView& queries, idx_t k, const Answers& answers,
              const faiss::SearchParameters* params, QueryReport* reports) {
    const IvfSettings settings(ivf, params);
    const Slices slices(queries.rows, settings.nprobe);
    ParallelErrors errors;
#pragma omp parallel if (slices.count() > 1)
    {
        std::optional<SliceSearch> search;
#pragma omp for schedule(dynamic)
        for (idx_t i = 0; i < slices.count(); i++) {
            errors.run([&] {
                if (!search) search.emplace(ivf, plan, settings, k);
                search->search(queries, slices.first(i), slices.first(i + 1),
                               answers, reports);
            });
        }
    }
    errors.rethrow();
}

}  // namespace faiss_qbnorm
