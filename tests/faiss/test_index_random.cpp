// Oracle: after every step of a random walk, the paper in float64 (oracle.h)
// over what FAISS's label rules say the index holds (model.h).

#include <gtest/gtest.h>

#include <random>

#include "tests/data.h"
#include "tests/faiss/model.h"

namespace {

using namespace faiss_qbnorm;
using model::Side;

class Walk {
  public:
    Walk(const std::string& factory, Metric metric, idx_t activation_k,
         unsigned seed)
        : random_(seed),
          is_ivf_(factory.find("IVF") != std::string::npos),
          repeats_(factory.find("RR") == std::string::npos),
          one_(data, factory, metric, {Method::dis, 20, activation_k}),
          two_(data, factory, metric, {Method::dis, 20, activation_k}) {}

    void step() {
        // Which method searches is none of these calls' business.
        one_.index.normalization.method = static_cast<Method>(below(3));
        switch (below(12)) {
            case 0:
            case 1:
            case 2:
                add(one_, below(25));
                break;
            case 3:
            case 4:
            case 5:
                remove_some(one_, below(60));
                break;
            case 6: {  // a bank query's best
                if (one_.model.items.empty()) break;
                const auto best = one_.model.best_of(below(data.bank.rows));
                const idx_t all = static_cast<idx_t>(best.size());
                const idx_t some = std::min(all, below(15));
                one_.remove({best.begin(), best.begin() + some});
                break;
            }
            case 7: {  // the last ones
                const auto labels = one_.model.labels();
                const idx_t all = static_cast<idx_t>(labels.size());
                const idx_t some = std::min(all, below(8));
                one_.remove({labels.end() - some, labels.end()});
                break;
            }
            case 8:
            case 9: {
                add(two_, below(20));
                remove_some(two_, below(60));
                const bool gap = is_ivf_ && below(2) == 0;
                one_.merge(two_, gap ? one_.model.next + below(9) : 0);
                two_.expect();
                break;
            }
            case 10:  // there and back
                two_.merge(one_);
                two_.expect();
                one_.expect();
                one_.merge(two_);
                break;
            default:
                if (below(3) > 0) break;
                one_.index.reset();
                one_.model.reset();
        }
        one_.model.expect_in(one_.index, data.queries, 5, {Method::dis});
    }

    idx_t size() const { return one_.index.ntotal; }

  private:
    idx_t below(idx_t most) { return static_cast<idx_t>(random_() % most); }

    void add(Side& side, idx_t count) {
        idx_t begin = below(data.gallery.rows - count);
        if (!repeats_) {
            begin = used_;
            used_ += count;
        }
        side.add(begin, begin + count);
    }

    void remove_some(Side& side, idx_t percent) {
        std::set<idx_t> gone;
        for (const idx_t label : side.model.labels()) {
            if (below(100) < percent) gone.insert(label);
        }
        side.remove(gone);
    }

    static inline const model::Data data{testdata::unit(2000, 8, 1),
                                         testdata::unit(6, 8, 2),
                                         testdata::unit(25, 8, 3)};
    std::mt19937 random_;
    bool is_ivf_;
    bool repeats_;  // ties; rounding behind a rotation would break them
    idx_t used_ = 0;
    Side one_;
    Side two_;
};

TEST(RandomWalk, IsAFitFromScratchAfterEveryStep) {
    for (const char* factory : {"Flat", "IVF8,Flat", "RR8,IVF8,Flat"}) {
        for (const Metric metric : {Metric::inner_product, Metric::l2}) {
            for (const idx_t activation_k : {1, 4}) {
                Walk walk(factory, metric, activation_k, 11);
                idx_t largest = 0;
                for (int step = 0; step < 120; step++) {
                    SCOPED_TRACE(testing::Message()
                                 << factory << " " << name_of(metric)
                                 << " activation_k " << activation_k << " step "
                                 << step);
                    walk.step();
                    if (testing::Test::HasFailure()) return;
                    largest = std::max(largest, walk.size());
                }
                EXPECT_GT(largest, 30);
            }
        }
    }
}

}  // namespace
