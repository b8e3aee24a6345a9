#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/fit/column_fitter.h"

namespace faiss_qbnorm {

BankColumn ColumnFitter::column() {
    BankColumn column;
    column.bank = task_.which;
    column.normalization = task_.normalization;
    column.bank_size = task_.bank.rows;
    column.bank_fingerprint = fingerprint({task_.bank});
    column.offsets = std::move(offsets_);
    return column;
}

namespace {

class FitIs : public ColumnFitter {
  public:
    explicit FitIs(const ColumnTask& task)
        : ColumnFitter(task),
          bank_(task.engine.bind_bank(task.metric, task.bank)),
          winners_(task.known ? to_top_lists(*task.known, task.bank.rows)
                              : TopLists(task.bank.rows, task.list_length)),
          probe_(task.engine.begin_probe(*bank_, probe_normalization(task),
                                         {task.begin, offsets_, winners_})) {}

    void add(const GalleryBlock& block) override { probe_->add(block); }

    BankColumn finish() override {
        probe_->finish();
        BankColumn result = column();
        result.lists = to_bank_lists(winners_);
        result.activation = activation_from_lists(
            result.lists, task_.normalization.activation_k, task_.begin,
            task_.end);
        return result;
    }

  private:
    static Normalization probe_normalization(const ColumnTask& task) {
        Normalization result = task.normalization;
        if (task.which == Bank::gallerybank) result.beta = result.beta2;
        return result;
    }

    std::unique_ptr<BoundBank> bank_;
    TopLists winners_;
    std::unique_ptr<Probe> probe_;
};

}  // namespace

std::unique_ptr<ColumnFitter> fit_is(const ColumnTask& task) {
    return std::make_unique<FitIs>(task);
}

}  // namespace faiss_qbnorm
