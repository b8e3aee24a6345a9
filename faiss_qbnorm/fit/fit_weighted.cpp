#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/fit/column_fitter.h"

namespace faiss_qbnorm {

namespace {

/// A probe as of IS in one dimension more, which adds log(w_i) / beta to the
/// scores of bank query i: [b, log(w) / beta] . [g, 1] or, for L2,
/// -|[b, sqrt(top - log(w) / beta)] - [g, 0]|^2 + top.
class FitWeighted : public ColumnFitter {
  public:
    FitWeighted(const ColumnTask& task, const SharedArray<float>& weights)
        : ColumnFitter(task),
          weights_(checked(weights, task.bank)),
          bank_rows_(with_bias(task.bank)),
          bank_(task.engine.bind_bank(
              task.metric, {bank_rows_.data(), task.bank.rows, d()})),
          winners_(task.bank.rows, 0),
          probe_(task.engine.begin_probe(*bank_, task.normalization,
                                         {task.begin, offsets_, winners_})) {}

    void add(const GalleryBlock& block) override {
        const float last = is_l2() ? 0 : 1;
        rows_.resize(block.vectors.rows * d());
        for (idx_t i = 0; i < block.vectors.rows; i++) {
            float* row = rows_.data() + i * d();
            std::copy_n(block.vectors.row(i), block.vectors.d, row);
            row[d() - 1] = last;
        }
        probe_->add(GalleryBlock{{rows_.data(), block.vectors.rows, d()},
                                 block.first_label,
                                 block.labels});
    }

    BankColumn finish() override {
        probe_->finish();
        for (float& offset : offsets_) {
            if (offset != no_offset) offset += static_cast<float>(top_);
        }
        BankColumn result = column();
        result.log_weights = weights_;
        return result;
    }

  private:
    static const SharedArray<float>& checked(const SharedArray<float>& weights,
                                             const MatrixView& bank) {
        require(static_cast<idx_t>(weights.size()) == bank.rows,
                "log_weights holds ", weights.size(), " weights but the bank ",
                bank.rows, " queries; give one for each");
        require(std::all_of(weights.begin(), weights.end(),
                            [](float w) { return std::isfinite(w); }),
                "log_weights holds NaN or Inf; fit them again");
        return weights;
    }

    bool is_l2() const { return task_.metric == Metric::l2; }
    int d() const { return task_.bank.d + 1; }

    std::vector<float> with_bias(const MatrixView& bank) {
        const double beta = task_.normalization.beta;
        if (is_l2()) {
            top_ = *std::max_element(weights_.begin(), weights_.end()) / beta;
        }
        std::vector<float> rows(bank.rows * d());
        for (idx_t i = 0; i < bank.rows; i++) {
            float* row = rows.data() + i * d();
            std::copy_n(bank.row(i), bank.d, row);
            const double bias = weights_[i] / beta;
            row[bank.d] =
                static_cast<float>(is_l2() ? std::sqrt(top_ - bias) : bias);
        }
        return rows;
    }

    const SharedArray<float> weights_;
    double top_ = 0;
    std::vector<float> bank_rows_;
    std::unique_ptr<BoundBank> bank_;
    TopLists winners_;
    std::unique_ptr<Probe> probe_;
    std::vector<float> rows_;
};

}  // namespace

std::unique_ptr<ColumnFitter> fit_weighted(const ColumnTask& task,
                                           const SharedArray<float>& weights) {
    return std::make_unique<FitWeighted>(task, weights);
}

}  // namespace faiss_qbnorm
