#include <algorithm>

#include "bench/common/data.h"
#include "bench/common/verify.h"
#include "bench/cpu/benchmarks.h"
#include "bench/cpu/rows.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/formula.h"
#include "faiss_qbnorm/engine.h"
#include "faiss_qbnorm/make_engine.h"

namespace bench {

using namespace faiss_qbnorm;

namespace {

constexpr idx_t k = 10;
constexpr idx_t prefetched = 32;
constexpr idx_t checked_lists = 200;

/// As make_table's, but in huge pages that the engine knows of.
NormTable table_in_huge_pages(idx_t items) {
    HugeVector<float> offsets(items);
    fill_offsets(offsets, 21);
    HugeVector<std::uint64_t> words((items + 63) / 64);
    fill_activation(items, words, 22);
    NormTable table{1, Metric::inner_product, items, 0, items, 0, {}};
    BankColumn& column = table.columns.emplace_back();
    column.offsets = std::move(offsets);
    column.activation =
        ActivationSet(SharedArray<std::uint64_t>(std::move(words)));
    return table;
}

/// Random candidates, cut into lists of any length.
class Lists {
  public:
    Lists(const NormTable& table, idx_t candidates, idx_t shortest)
        : offsets_(table.columns.front().offsets),
          activation_(table.columns.front().activation),
          bound_(engine_->bind_table(table)),
          candidates_(candidates),
          labels_(candidates + prefetched),
          scores_(candidates + prefetched),
          best_scores_(candidates / shortest * k),
          best_labels_(candidates / shortest * k) {
        fill_candidates(table.gallery_size, 20, labels_, scores_);
    }

    void rerank(Method method, idx_t length) {
        engine_->rerank(
            *bound_, method,
            {candidates_ / length, length, scores_.data(), labels_.data()}, k,
            {best_scores_.data(), best_labels_.data()});
    }

    /// The fastest loop that reads every candidate's offset.
    void gather() {
        float sum = 0;
#pragma omp parallel for reduction(+ : sum)
        for (idx_t i = 0; i < candidates_; i++) {
            __builtin_prefetch(&offsets_[labels_[i + prefetched]]);
            sum += offsets_[labels_[i]];
        }
        sum_ = sum;
    }

    void verify(Method method, idx_t length) {
        rerank(method, length);
        for (const idx_t list : sample(candidates_ / length, checked_lists)) {
            verify_ranked(right_order(method, list, length), list);
        }
    }

  private:
    /// Exact: a float difference is the rounded double one.
    std::vector<Scored> right_order(Method method, idx_t list,
                                    idx_t length) const {
        std::vector<Scored> right(length);
        for (idx_t i = 0; i < length; i++) {
            right[i] = {scores_[list * length + i], labels_[list * length + i]};
        }
        const Scored first =
            *std::min_element(right.begin(), right.end(), ranks_before);
        if (method == Method::is || activation_.contains(first.label)) {
            for (Scored& item : right) {
                item.score = static_cast<float>(double{item.score} -
                                                offsets_[item.label]);
            }
        }
        std::sort(right.begin(), right.end(), ranks_before);
        return right;
    }

    void verify_ranked(const std::vector<Scored>& right, idx_t list) const {
        const auto length = static_cast<idx_t>(right.size());
        for (idx_t i = 0; i < std::min(k, length); i++) {
            const idx_t place = list * k + i;
            require(best_labels_[place] == right[i].label &&
                        best_scores_[place] == right[i].score,
                    "list ", list, " was answered with item ",
                    best_labels_[place], ", score ", best_scores_[place],
                    ", instead of item ", right[i].label, ", score ",
                    right[i].score);
        }
    }

    const SharedArray<float>& offsets_;
    const ActivationSet& activation_;
    const std::unique_ptr<Engine> engine_ = make_engine("cpu");
    const std::unique_ptr<BoundTable> bound_;
    const idx_t candidates_;
    HostArray<idx_t> labels_;
    HostArray<float> scores_;
    HostArray<float> best_scores_;
    HostArray<idx_t> best_labels_;
    volatile float sum_ = 0;
};

}  // namespace

void bench_rerank(const Setup& setup) {
    const NormTable table = table_in_huge_pages(setup.table_items);
    Lists lists(table, setup.candidates, setup.list_lengths.front());
    const auto work = static_cast<double>(setup.candidates);
    std::vector<Contender> contenders{
        {"prefetched gather", work, steady([&] { lists.gather(); })}};
    std::vector<Json> parameters;
    for (const Method method : {Method::is, Method::dis}) {
        for (const idx_t length : setup.list_lengths) {
            lists.verify(method, length);
            parameters.push_back({{"table", setup.table_items},
                                  {"lists", setup.candidates / length},
                                  {"candidates", length},
                                  {"k", k},
                                  {"method", name_of(method)}});
            contenders.push_back({"rerank", work, steady([&, method, length] {
                                      lists.rerank(method, length);
                                  })});
        }
    }
    const auto measured = race(contenders);
    for (size_t i = 0; i < parameters.size(); i++) {
        print({"rerank",
               parameters[i],
               "candidates/s",
               measured[i + 1],
               {measured[0]},
               {}});
    }
}

}  // namespace bench
