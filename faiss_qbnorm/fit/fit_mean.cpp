#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/fit/column_fitter.h"

namespace faiss_qbnorm {

namespace {

class FitMean : public ColumnFitter {
  public:
    explicit FitMean(const ColumnTask& task)
        : ColumnFitter(task), center_(task.bank.d, 0) {
        require(task.metric == Metric::inner_product,
                "cent is defined by the inner product; distances do not change "
                "when both sides are moved");
        for (idx_t i = 0; i < task.bank.rows; i++) {
            for (int t = 0; t < task.bank.d; t++) {
                center_[t] += task.bank.row(i)[t];
            }
        }
        for (double& t : center_) t /= static_cast<double>(task.bank.rows);
    }

    void add(const GalleryBlock& block) override {
#pragma omp parallel for
        for (idx_t i = 0; i < block.vectors.rows; i++) {
            const float* row = block.vectors.row(i);
            double sum = 0;
            for (int t = 0; t < block.vectors.d; t++)
                sum += center_[t] * row[t];
            offset_of(block, i) = static_cast<float>(sum);
        }
    }

    BankColumn finish() override {
        return column();
    }

  private:
    std::vector<double> center_;
};

}  // namespace

std::unique_ptr<ColumnFitter> fit_mean(const ColumnTask& task) {
    return std::make_unique<FitMean>(task);
}

}  // namespace faiss_qbnorm
