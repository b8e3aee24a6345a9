#include "faiss_qbnorm/faiss/scan_ivf.h"

#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/impl/IDSelector.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <typeinfo>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/cpu/simd.h"
#include "faiss_qbnorm/faiss/built_against.h"

namespace faiss_qbnorm {

namespace {

/// What the base's search reads from its parameters.
struct Settings {
    idx_t nprobe;
    size_t max_codes;  ///< 0: no limit
    const faiss::IDSelector* sel = nullptr;
    const faiss::SearchParameters* quantizer_params = nullptr;
    /// Of a sorted range the base visits the members alone; later versions
    /// count no others either.
    bool counts_members = QBNORM_FAISS_VERSION >= 11402;

    Settings(const faiss::IndexIVF& ivf, const faiss::SearchParameters* given)
        : nprobe(static_cast<idx_t>(ivf.nprobe)), max_codes(ivf.max_codes) {
        if (given) {
            const auto* params =
                dynamic_cast<const faiss::SearchParametersIVF*>(given);
            require(params != nullptr,
                    "an IVF base takes faiss::SearchParametersIVF");
            nprobe = static_cast<idx_t>(params->nprobe);
            max_codes = params->max_codes;
            sel = params->sel;
            quantizer_params = params->quantizer_params;
            const auto* range =
                dynamic_cast<const faiss::IDSelectorRange*>(sel);
            if (range && range->assume_sorted) counts_members = true;
        }
        nprobe = std::min(nprobe, static_cast<idx_t>(ivf.nlist));
        require(nprobe > 0, "nprobe must be at least 1");
    }
};

/// One thread's scanner and lists.
class ListScanner {
  public:
    ListScanner(const faiss::IndexIVF& ivf, const BankColumn& column,
                const Settings& settings, idx_t k)
        : ivf_(ivf),
          column_(column),
          settings_(settings),
          sign_(ivf.metric_type == faiss::METRIC_L2 ? -1.0F : 1.0F),
          scanner_(ivf.get_InvertedListScanner(false, settings.sel)),
          is_flat_(typeid(ivf) == typeid(faiss::IndexIVFFlat)),
          raw_(1, std::min<idx_t>(k, ivf.ntotal)),
          normalised_(1, std::min<idx_t>(k, ivf.ntotal)) {}

    void scan(const float* query, const idx_t* lists,
              const float* coarse_distances) {
        raw_.clear();
        normalised_.clear();
        members_ = 0;
        scanner_->set_query(query);
        query_ = query;
        size_t scanned = 0;
        for (idx_t i = 0; i < settings_.nprobe; i++) {
            if (lists[i] < 0) continue;  // fewer lists than nprobe
            scanner_->set_list(lists[i], coarse_distances[i]);
            scanned += scan_list(lists[i], scanned);
            if (settings_.max_codes && scanned >= settings_.max_codes) break;
        }
    }

    /// Whether what was scanned opens the gate.
    bool gate(Method method) const {
        return Gate{method, column_.activation}.opens(raw_.best(0).label);
    }

    const TopLists& answer(bool open) const {
        return open ? normalised_ : raw_;
    }

    /// Items that were ranked.
    idx_t members() const { return members_; }

  private:
    float score_of(const std::uint8_t* code) const {
        if (!is_flat_) return sign_ * scanner_->distance_to_code(code);
        // Codes are the vectors: faster than FAISS's loop, and rounded once.
        return simd::exact_score(sign_ < 0 ? Metric::l2 : Metric::inner_product,
                                 query_, reinterpret_cast<const float*>(code),
                                 static_cast<int>(ivf_.d));
    }

    size_t scan_list(idx_t list, size_t scanned) {
        size_t size = ivf_.invlists->list_size(list);
        // Later versions stop in the middle of a list.
        if (QBNORM_FAISS_VERSION >= 10704 && settings_.max_codes) {
            size = std::min(size, settings_.max_codes - scanned);
        }
        if (size == 0) return 0;
        faiss::InvertedLists::ScopedCodes codes(ivf_.invlists, list);
        const faiss::InvertedLists::ScopedIds ids(ivf_.invlists, list);
        const std::uint8_t* code = codes.get();
        const float* offsets = column_.offsets.data();
        const auto items = static_cast<idx_t>(column_.offsets.size());
        float least = raw_.threshold(0);
        float least_difference = normalised_.threshold(0);
        idx_t members = 0;
        for (size_t i = 0; i < size; i++, code += ivf_.code_size) {
            const idx_t label = ids[i];
            if (settings_.sel && !settings_.sel->is_member(label)) continue;
            members++;
            require(label >= 0 && label < items, "the base index holds label ",
                    label, " but the table covers ", items, " items");
            // NaN (an overflow) is in no list; FAISS drops it, too.
            const float score = score_of(code);
            if (score >= least) {
                raw_.offer(0, {score, label});
                least = raw_.threshold(0);
            }
            const float difference = score - offsets[label];
            if (difference >= least_difference) {
                normalised_.offer(0, {difference, label});
                least_difference = normalised_.threshold(0);
            }
        }
        members_ += members;
        return settings_.counts_members ? members : size;
    }

    const faiss::IndexIVF& ivf_;
    const BankColumn& column_;
    const Settings& settings_;
    const float sign_;
    const std::unique_ptr<faiss::InvertedListScanner> scanner_;
    const bool is_flat_;
    const float* query_ = nullptr;
    TopLists raw_;
    TopLists normalised_;
    idx_t members_ = 0;
};

void scan_batch(const faiss::IndexIVF& ivf, const BankColumn& column,
                const Settings& settings, Method method,
                const MatrixView& queries, idx_t k, const Answers& answers,
                QueryReport* reports) {
    const bool whole = settings.nprobe == static_cast<idx_t>(ivf.nlist) &&
                       settings.max_codes == 0;
    std::vector<idx_t> lists(queries.rows * settings.nprobe);
    std::vector<float> distances(lists.size());
    // A slice of the queries a thread, as FAISS does it: many small products
    // at once are faster than one after another, each by all threads.
    const idx_t slices =
        std::clamp<idx_t>(omp_get_max_threads(), 1, queries.rows);
    ParallelErrors errors;
#pragma omp parallel for if (slices > 1)
    for (idx_t slice = 0; slice < slices; slice++) {
        errors.run([&] {
            const idx_t first = slice * queries.rows / slices;
            const idx_t last = (slice + 1) * queries.rows / slices;
            ivf.quantizer->search(
                last - first, queries.row(first), settings.nprobe,
                &distances[first * settings.nprobe],
                &lists[first * settings.nprobe], settings.quantizer_params);
        });
    }
    errors.rethrow();
    ivf.invlists->prefetch_lists(lists.data(), static_cast<int>(lists.size()));
#pragma omp parallel if (queries.rows > 1)
    {
        std::unique_ptr<ListScanner> scanner;
#pragma omp for schedule(dynamic, 4)
        for (idx_t i = 0; i < queries.rows; i++) {
            errors.run([&] {
                if (!scanner) {
                    scanner =
                        std::make_unique<ListScanner>(ivf, column, settings, k);
                }
                scanner->scan(queries.row(i), &lists[i * settings.nprobe],
                              &distances[i * settings.nprobe]);
                const bool open = scanner->gate(method);
                answers.write(i, k, scanner->answer(open), 0);
                if (reports) reports[i] = {open, scanner->members(), whole};
            });
        }
    }
    errors.rethrow();
}

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
        if (given ? given->polysemous_ht : pq->polysemous_ht) return nullptr;
    }
    const auto* given = dynamic_cast<const faiss::SearchParametersIVF*>(params);
    return given && asks_for_more(*given) ? nullptr : &ivf;
}

bool probes_all_lists(const faiss::IndexIVF& ivf,
                      const faiss::SearchParameters* params) {
    return Settings(ivf, params).nprobe == static_cast<idx_t>(ivf.nlist);
}

void scan_ivf(const faiss::IndexIVF& ivf, const BankColumn& column,
              Method method, const MatrixView& queries, idx_t k,
              const Answers& answers, const faiss::SearchParameters* params,
              QueryReport* reports) {
    const Settings settings(ivf, params);
    constexpr idx_t probes_at_once = idx_t{1} << 20;
    const idx_t batch = std::max<idx_t>(probes_at_once / settings.nprobe, 1);
    for (idx_t first = 0; first < queries.rows; first += batch) {
        const idx_t last = std::min(first + batch, queries.rows);
        scan_batch(ivf, column, settings, method, queries.slice(first, last), k,
                   {answers.scores + first * k, answers.labels + first * k},
                   reports ? reports + first : nullptr);
    }
}

}  // namespace faiss_qbnorm
