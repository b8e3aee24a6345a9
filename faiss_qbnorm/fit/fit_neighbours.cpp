#include "faiss_qbnorm/fit/column_fitter.h"
#include "faiss_qbnorm/search.h"

namespace faiss_qbnorm {

namespace {

/// The gallery's items search the bank.
class FitNeighbours : public ColumnFitter {
  public:
    explicit FitNeighbours(const ColumnTask& task)
        : ColumnFitter(task),
          k_(std::min(task.normalization.neighbours, task.bank.rows)),
          factor_(task.normalization.method == Method::csls
                      ? 0.5
                      : double{task.normalization.alpha}),
          bank_(task.engine.bind_gallery(task.metric, {task.bank})) {}

    void add(const GalleryBlock& block) override {
        const idx_t batch = query_batch(k_);
        for (idx_t first = 0; first < block.vectors.rows; first += batch) {
            const idx_t last = std::min(first + batch, block.vectors.rows);
            ScanState state = begin_scan(last - first, k_, false);
            task_.engine.scan(*bank_, nullptr, block.vectors.slice(first, last),
                              state);
            for (idx_t i = first; i < last; i++) {
                offset_of(block, i) = offset(state.raw, i - first);
            }
        }
    }

    BankColumn finish() override { return column(); }

  private:
    // Summed in ranking order: no other order is the same on every run.
    float offset(const TopLists& lists, idx_t row) const {
        double sum = 0;
        for (const Scored& item : lists.sorted(row)) sum += item.score;
        return static_cast<float>(factor_ * sum / static_cast<double>(k_));
    }

    const idx_t k_;
    const double factor_;
    std::unique_ptr<BoundGallery> bank_;
};

}  // namespace

std::unique_ptr<ColumnFitter> fit_neighbours(const ColumnTask& task) {
    return std::make_unique<FitNeighbours>(task);
}

}  // namespace faiss_qbnorm
