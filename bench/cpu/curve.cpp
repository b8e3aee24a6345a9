#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/index_io.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "bench/cpu/batch.h"
#include "bench/cpu/benchmarks.h"
#include "bench/cpu/graph.h"
#include "bench/cpu/ivf.h"
#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/fold/fold.h"
#include "faiss_qbnorm/make_engine.h"

namespace bench {

using namespace faiss_qbnorm;

namespace {

constexpr idx_t k = 10;
constexpr idx_t checked_queries = 10;
constexpr double tolerance = 1e-5;  ///< of FAISS's float sums

std::vector<idx_t> powers_of_two(idx_t least, idx_t most) {
    std::vector<idx_t> result;
    for (idx_t i = least; i <= most; i *= 2) result.push_back(i);
    return result;
}

/// An index file of FAISS's own classes with the offsets in it, as a service
/// reads it.
std::unique_ptr<faiss::Index> folded_file(const Setup& setup,
                                          const NormTable& table,
                                          const Gallery& gallery,
                                          const std::string& factory) {
    const std::string path =
        std::filesystem::path(setup.scratch) / "folded.faiss";
    faiss::write_index(fold(table, gallery, factory).get(), path.c_str());
    std::unique_ptr<faiss::Index> index(faiss::read_index(path.c_str()));
    std::filesystem::remove(path);
    return index;
}

/// One way to search at one setting.
struct Point {
    std::string way;
    std::string setting;
    double recall;
};

/// Ways to rank by s - offset, each against the full scan.
class Curve {
  public:
    explicit Curve(const Setup& setup)
        : graph_(Graph::of(setup)),
          flat_base_(setup.d),
          bank_(setup.small_bank, setup.d, 4),
          batch_(setup.graph_queries, setup.d, k),
          flat_(&flat_base_) {
        flat_base_.add(gallery().rows, gallery().data);
        fit(flat_);
    }

    void add_full_scan() {
        batch_.search(flat_);
        verify_answers(products(gallery(), batch_.queries()), column(),
                       Method::is, sample(batch_.size(), checked_queries),
                       batch_.answered());
        right_.assign(batch_.labels(), batch_.labels() + batch_.size() * k);
        add("full scan", "", 0, [this] { batch_.search(flat_); });
    }

    void add_ivf(const Setup& setup) {
        quantizer_ = coarse_quantizer(gallery(), setup.curve_lists);
        ivf_ = std::make_unique<faiss::IndexIVFFlat>(
            quantizer_.get(), gallery().d, setup.curve_lists,
            faiss::METRIC_INNER_PRODUCT);
        ivf_->train(gallery().rows, gallery().data);
        ivf_->add(gallery().rows, gallery().data);
        scanned_ = std::make_unique<IndexQBNorm>(ivf_.get());
        fit(*scanned_);
        for (const idx_t nprobe : powers_of_two(1, setup.curve_most_probes)) {
            add("IVF, scanned", "nprobe " + std::to_string(nprobe), 0,
                [this, nprobe] {
                    ivf_->nprobe = nprobe;
                    batch_.search(*scanned_);
                });
        }
    }

    void add_ivf_candidates(const Setup& setup) {
        table_ = engine_->bind_table(*flat_.table());
        const idx_t nprobe = setup.curve_most_probes / 4;
        for (const idx_t factor : powers_of_two(1, 64)) {
            add("IVF, reranked",
                "nprobe " + std::to_string(nprobe) + ", candidates " +
                    std::to_string(k * factor),
                0, [this, nprobe, factor] {
                    ivf_->nprobe = nprobe;
                    rerank(k * factor);
                });
        }
    }

    void add_hnsw() {
        reranked_ = std::make_unique<IndexQBNorm>(&graph_.hnsw);
        fit(*reranked_);
        reranked_->min_candidates = 1;
        for (const idx_t factor : powers_of_two(1, 64)) {
            add("HNSW, reranked",
                "efSearch and candidates " + std::to_string(k * factor), 0,
                [this, factor] {
                    graph_.hnsw.hnsw.efSearch = static_cast<int>(k * factor);
                    reranked_->k_factor = static_cast<float>(factor);
                    batch_.search(*reranked_);
                });
        }
    }

    void add_folded(const Setup& setup) {
        folded_ =
            folded_file(setup, *flat_.table(), MemoryGallery(gallery()),
                        "IVF" + std::to_string(setup.curve_lists) + ",Flat");
        auto& behind = dynamic_cast<faiss::IndexPreTransform&>(*folded_);
        auto& ivf = dynamic_cast<faiss::IndexIVF&>(*behind.index);
        for (const idx_t nprobe : powers_of_two(1, setup.curve_most_probes)) {
            add("IVF folded, FAISS alone", "nprobe " + std::to_string(nprobe),
                mean_offset(column()), [this, &ivf, nprobe] {
                    ivf.nprobe = nprobe;
                    batch_.search(*folded_);
                });
        }
    }

    void run() const {
        const auto measured = race(contenders_);
        for (size_t i = 0; i < points_.size(); i++) {
            print({"curve",
                   {{"way", points_[i].way},
                    {"setting", points_[i].setting},
                    {"d", gallery().d},
                    {"items", gallery().rows},
                    {"nq", batch_.size()},
                    {"k", k}},
                   "queries/s",
                   measured[i],
                   {},
                   {},
                   {{"recall", points_[i].recall}}});
        }
    }

  private:
    const MatrixView& gallery() const { return view_; }
    const BankColumn& column() const { return flat_.table()->columns.front(); }

    void fit(IndexQBNorm& index) const {
        index.normalization.method = Method::is;
        index.set_querybank(bank_.view().rows, bank_.view().data);
    }

    /// `surplus` is what the way's scores hold too much.
    void add(const std::string& way, const std::string& setting, double surplus,
             const std::function<void()>& search) {
        search();
        verify_scores(surplus);
        points_.push_back({way, setting, recall()});
        contenders_.push_back(
            {way, static_cast<double>(batch_.size()), steady(search)});
    }

    void verify_scores(double surplus) {
        for (const idx_t query : sample(batch_.size(), checked_queries)) {
            for (const Scored& item : batch_.answered().list(query)) {
                const double score =
                    product(batch_.queries().row(query),
                            gallery().row(item.label), gallery().d) -
                    column().offsets[item.label];
                require(std::fabs(item.score - surplus - score) <= tolerance,
                        "item ", item.label, " was scored ",
                        item.score - surplus, " instead of ", score);
            }
        }
    }

    double recall() {
        idx_t found = 0;
        for (idx_t query = 0; query < batch_.size(); query++) {
            const auto begin = right_.begin() + query * k;
            for (const Scored& item : batch_.answered().list(query)) {
                found += std::find(begin, begin + k, item.label) != begin + k;
            }
        }
        return static_cast<double>(found) /
               static_cast<double>(batch_.size() * k);
    }

    void rerank(idx_t candidates) {
        scores_.resize(batch_.size() * candidates);
        labels_.resize(scores_.size());
        ivf_->search(batch_.size(), batch_.queries().data, candidates,
                     scores_.data(), labels_.data());
        engine_->rerank(
            *table_, Method::is,
            {batch_.size(), candidates, scores_.data(), labels_.data()}, k,
            {batch_.distances(), batch_.labels()});
    }

    Graph& graph_;
    const MatrixView view_ = graph_.gallery.view();
    faiss::IndexFlatIP flat_base_;
    const Vectors bank_;
    Batch batch_;
    IndexQBNorm flat_;
    std::unique_ptr<faiss::IndexFlatIP> quantizer_;
    std::unique_ptr<faiss::IndexIVFFlat> ivf_;
    std::unique_ptr<IndexQBNorm> scanned_;
    std::unique_ptr<IndexQBNorm> reranked_;
    std::unique_ptr<faiss::Index> folded_;
    const std::unique_ptr<Engine> engine_ = make_engine("cpu");
    std::unique_ptr<BoundTable> table_;
    std::vector<float> scores_;
    std::vector<idx_t> labels_;
    std::vector<idx_t> right_;
    std::vector<Point> points_;
    std::vector<Contender> contenders_;
};

}  // namespace

void bench_curve(const Setup& setup) {
    Curve curve(setup);
    curve.add_full_scan();
    curve.add_ivf(setup);
    curve.add_ivf_candidates(setup);
    curve.add_hnsw();
    curve.add_folded(setup);
    curve.run();
}

}  // namespace bench
