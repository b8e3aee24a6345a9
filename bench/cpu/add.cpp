#include <faiss/IndexFlat.h>

#include "bench/common/data.h"
#include "bench/cpu/benchmarks.h"
#include "bench/cpu/oracle.h"
#include "bench/cpu/rows.h"
#include "faiss_qbnorm/IndexQBNorm.h"

namespace bench {

using namespace faiss_qbnorm;

namespace {

/// A fitted index and one percent more items.
class Growing {
  public:
    explicit Growing(const Setup& setup)
        : items_(setup.add_items),
          gallery_(items_ + items_ / 100, setup.add_d, 1),
          bank_(setup.add_bank, setup.add_d, 2),
          base_(setup.add_d),
          index_(&base_) {
        base_.add(items_, gallery_.view().data);
    }

    double fit() {
        return seconds_of([&] {
            index_.set_querybank(bank_.view().rows, bank_.view().data);
        });
    }

    /// To a copy of the fitted index, which stays as it is.
    double add() {
        faiss::IndexFlatIP base(base_);
        // As a growing index mostly has it: not every add moves all vectors.
        base.codes.reserve(gallery_.view().rows * base.code_size);
        IndexQBNorm index(&base);
        index.set_table(*index_.table(), bank_.view().rows, bank_.view().data);
        const double seconds = seconds_of(
            [&] { index.add(added(), gallery_.view().row(items_)); });
        after_ = *index.table();
        return seconds;
    }

    void verify() {
        fit();
        verify_table(*index_.table(), gallery_.view().slice(0, items_),
                     bank_.view());
        add();
        verify_table(after_, gallery_.view(), bank_.view());
    }

    void race() {
        const auto measured = bench::race(
            {{"add", static_cast<double>(added()), [this] { return add(); }},
             {"set_querybank", static_cast<double>(items_),
              [this] { return fit(); }}});
        print({"add",
               {{"base", "Flat"},
                {"d", bank_.view().d},
                {"items", items_},
                {"added", added()},
                {"bank", bank_.view().rows}},
               "items/s",
               measured[0],
               {measured[1]},
               {}});
    }

  private:
    idx_t added() const { return gallery_.view().rows - items_; }

    const idx_t items_;
    const Vectors gallery_;
    const Vectors bank_;
    faiss::IndexFlatIP base_;
    IndexQBNorm index_;
    NormTable after_;
};

}  // namespace

void bench_add(const Setup& setup) {
    Growing growing(setup);
    growing.verify();
    growing.race();
}

}  // namespace bench
