#include <algorithm>
#include <optional>

#include "bench/common/verify.h"
#include "bench/cpu/benchmarks.h"
#include "bench/cpu/gemm.h"
#include "bench/cpu/oracle.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/gallery.h"
#include "faiss_qbnorm/make_engine.h"

namespace bench {

using namespace faiss_qbnorm;

namespace {

constexpr idx_t list_length = 10;
constexpr double bf16_tolerance = 1e-3;
constexpr idx_t checked_items = 48;
constexpr idx_t checked_queries = 4;

/// Precision::bf16 in libraries that have it.
template <class P>
constexpr std::optional<P> bf16() {
    if constexpr (requires { P::bf16; }) return P::bf16;
    return std::nullopt;
}

/// A probe of one precision and list length, and what it gives.
class Build {
  public:
    Build(const Engine& engine, const Vectors& gallery, const Vectors& bank,
          idx_t lists)
        : engine_(engine),
          gallery_(gallery),
          bank_(bank),
          bound_(engine.bind_bank(Metric::inner_product, bank.view())),
          offsets_(gallery.view().rows),
          winners_(bank.view().rows, lists) {}

    /// In blocks, as fit sends them.
    double run() {
        winners_.clear();
        const MatrixView rows = gallery_.view();
        const idx_t step = default_block_rows(rows.d);
        return seconds_of([&] {
            const auto probe =
                engine_.begin_probe(*bound_, {}, {0, offsets_, winners_});
            for (idx_t i = 0; i < rows.rows; i += step) {
                probe->add(GalleryBlock{
                    rows.slice(i, std::min(i + step, rows.rows)), i});
            }
            probe->finish();
        });
    }

    /// Returns the largest error of the offsets.
    double verify(double tolerance) {
        run();
        if (winners_.k() > 0) {
            verify_lists(gallery_.view(), bank_.view(),
                         sample(bank_.view().rows, checked_queries), nullptr,
                         winners_);
        }
        return verify_offsets(gallery_.view(), bank_.view(),
                              sample(gallery_.view().rows, checked_items),
                              Normalization{}.beta, offsets_.data(), tolerance);
    }

  private:
    const Engine& engine_;
    const Vectors& gallery_;
    const Vectors& bank_;
    std::unique_ptr<BoundBank> bound_;
    std::vector<float> offsets_;
    TopLists winners_;
};

/// A build among the contenders.
struct Entry {
    std::string precision;
    idx_t lists;
    double error;
    size_t place;
};

/// All builds and products of one dimension.
class ProbeRace {
  public:
    ProbeRace(const Setup& setup, int d)
        : setup_(setup),
          gallery_(setup.probe_items, d, 1),
          bank_(setup.probe_bank, d, 2),
          gemm_(gemm_alone(gallery_.view(), bank_.view(), setup.gemm_slabs)),
          contenders_(gemm_.contenders) {}

    void enter(const std::string& precision, Precision value,
               double tolerance) {
        engines_.push_back(make_engine("cpu", value));
        for (const idx_t lists : {idx_t{0}, list_length}) {
            if (lists > 0 && gallery_.view().d > setup_.lists_up_to) continue;
            const auto build = std::make_shared<Build>(*engines_.back(),
                                                       gallery_, bank_, lists);
            const double error = build->verify(tolerance);
            entries_.push_back({precision, lists, error, contenders_.size()});
            contenders_.push_back(
                {"probe", work(), [build] { return build->run(); }});
        }
    }

    void run() const {
        const std::vector<Measured> measured = race(contenders_);
        const std::vector<Measured> products(
            measured.begin(), measured.begin() + static_cast<std::ptrdiff_t>(
                                                     gemm_.contenders.size()));
        for (size_t i = 0; i < entries_.size(); i++) {
            const Entry& entry = entries_[i];
            const Measured& ours = measured[entry.place];
            print({"probe",
                   parameters(entry),
                   "GF/s",
                   ours,
                   products,
                   gemm_.missing,
                   {{"largest error of an offset", entry.error}}});
            if (entry.lists == 0) continue;
            Measured without = measured[entries_[i - 1].place];
            without.name = "without lists";
            print({"probe_lists",
                   parameters(entry),
                   "GF/s",
                   ours,
                   {without},
                   {}});
        }
    }

  private:
    double work() const {
        return 2e-9 * static_cast<double>(gallery_.view().rows) *
               static_cast<double>(bank_.view().rows) * gallery_.view().d;
    }

    Json parameters(const Entry& entry) const {
        return {{"d", gallery_.view().d},
                {"items", gallery_.view().rows},
                {"bank", bank_.view().rows},
                {"precision", entry.precision},
                {"lists", entry.lists}};
    }

    const Setup& setup_;
    const Vectors gallery_;
    const Vectors bank_;
    const Gemm gemm_;
    std::vector<std::unique_ptr<Engine>> engines_;
    std::vector<Entry> entries_;
    std::vector<Contender> contenders_;
};

/// Why bf16 is not among the contenders; empty where it is.
std::string enter_bf16(ProbeRace& race) {
    constexpr auto precision = bf16<Precision>();
    if (!precision) return "the library has no bf16";
    try {
        make_engine("cpu", *precision);
    } catch (const Error& refusal) {
        return refusal.what();
    }
    race.enter("bf16", *precision, bf16_tolerance);
    return "";
}

}  // namespace

void bench_probe(const Setup& setup) {
    for (const int d : setup.probe_dimensions) {
        ProbeRace race(setup, d);
        race.enter("fp32", Precision::fp32, offset_tolerance);
        const std::string missing = enter_bf16(race);
        race.run();
        if (missing.empty()) continue;
        print_missing("probe", {{"d", d}, {"precision", "bf16"}}, missing);
    }
}

}  // namespace bench
