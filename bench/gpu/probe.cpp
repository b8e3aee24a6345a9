#include <algorithm>
#include <vector>

#include "bench/common/verify.h"
#include "bench/gpu/benchmarks.h"
#include "faiss_qbnorm/gallery.h"

namespace bench {

using namespace faiss_qbnorm;

namespace {

constexpr idx_t list_length = 1 + 8;  ///< as fit's, of an activation_k of 1
constexpr double tolerance = 1e-3;    ///< of offsets (engine_cuda.h)
constexpr idx_t checked_items = 48;
constexpr idx_t checked_queries = 4;

/// What a probe gives, and its inputs.
struct Build {
    const Engine& engine;
    const BoundBank& bank;
    std::vector<float> offsets;
    TopLists winners;

    Build(const Engine& engine, const BoundBank& bank, idx_t bank_rows,
          idx_t items, idx_t length)
        : engine(engine),
          bank(bank),
          offsets(items),
          winners(bank_rows, length) {}

    template <class Add>
    double run(const Add& add) {
        winners.clear();
        return seconds_of([&] {
            const auto probe =
                engine.begin_probe(bank, {}, {0, offsets, winners});
            add(*probe);
            probe->finish();
        });
    }

    double resident(const BoundGallery& gallery) {
        return run([&](Probe& probe) { probe.add(gallery); });
    }

    double streamed(const MatrixView& gallery) {
        const idx_t step = default_block_rows(gallery.d);
        return run([&](Probe& probe) {
            for (idx_t i = 0; i < gallery.rows; i += step) {
                probe.add(GalleryBlock{
                    gallery.slice(i, std::min(i + step, gallery.rows)), i});
            }
        });
    }

    void verify(const MatrixView& gallery, const MatrixView& bank_rows) const {
        verify_offsets(gallery, bank_rows, sample(gallery.rows, checked_items),
                       Normalization{}.beta, offsets.data(), tolerance);
        if (winners.k() == 0) return;
        verify_lists(gallery, bank_rows,
                     sample(bank_rows.rows, checked_queries), nullptr, winners);
    }
};

double teraflop(const MatrixView& a, const MatrixView& b) {
    return 2e-12 * static_cast<double>(a.rows) * static_cast<double>(b.rows) *
           a.d;
}

}  // namespace

void bench_probe(const Setup& setup, const Engine& engine, int d,
                 References& references, Results& results) {
    const TestGallery gallery(engine, setup.items, d);
    const MatrixView items = gallery.view();
    const Vectors bank(setup.bank, d, 11);
    const auto bound = engine.bind_bank(Metric::inner_product, bank.view());
    Build with(engine, *bound, setup.bank, items.rows, list_length);
    Build without(engine, *bound, setup.bank, items.rows, 0);
    with.resident(*gallery.bound);
    with.verify(items, bank.view());
    without.resident(*gallery.bound);
    without.verify(items, bank.view());

    const auto ours = [&] { return with.resident(*gallery.bound); };
    const auto plain = [&] { return without.resident(*gallery.bound); };
    const double work = teraflop(items, bank.view());
    const int calls = setup.reference_calls;
    const Json parameters{{"d", d},
                          {"items", items.rows},
                          {"bank", setup.bank},
                          {"list", list_length}};
    const Reference product = references.product_reference(calls);
    results.add(
        {"probe", parameters, work, "TFLOP/s", product, product_goal(d)},
        compare(ours, [&] { return references.products(calls); }));
    results.add({"probe_activation",
                 parameters,
                 work,
                 "TFLOP/s",
                 {"the probe without lists", work},
                 {Goal::Kind::time_at_most, 1.10}},
                compare(ours, plain));
}

void bench_streamed(const Setup& setup, const Engine& engine, int d,
                    Results& results) {
    const TestGallery gallery(engine, setup.streamed_floats / d, d);
    const MatrixView items = gallery.view();
    const Vectors bank(setup.streamed_bank, d, 12);
    const auto bound = engine.bind_bank(Metric::inner_product, bank.view());
    Build build(engine, *bound, bank.view().rows, items.rows, list_length);
    build.resident(*gallery.bound);
    const std::vector<float> offsets = build.offsets;
    build.streamed(items);
    build.verify(items, bank.view());
    require(build.offsets == offsets,
            "streamed offsets differ from resident ones");

    const double work = teraflop(items, bank.view());
    results.add({"probe_streamed",
                 {{"d", d},
                  {"items", items.rows},
                  {"bank", setup.streamed_bank},
                  {"list", list_length}},
                 work,
                 "TFLOP/s",
                 {"the probe of a resident gallery", work},
                 {Goal::Kind::time_at_most, 1.10}},
                compare([&] { return build.streamed(items); },
                        [&] { return build.resident(*gallery.bound); }));
}

}  // namespace bench
