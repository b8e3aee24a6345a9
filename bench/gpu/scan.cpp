#include <algorithm>
#include <vector>

#include "bench/common/verify.h"
#include "bench/gpu/benchmarks.h"
#include "faiss_qbnorm/search.h"

namespace bench {

using namespace faiss_qbnorm;

namespace {

constexpr idx_t checked_queries = 4;

/// A batch of queries against a gallery with a table.
struct Search {
    const Engine& engine;
    const TestGallery& gallery;
    Vectors queries;
    NormTable table;
    std::unique_ptr<BoundTable> bound;
    idx_t k;
    std::vector<float> scores;
    std::vector<idx_t> labels;

    Search(const Engine& engine, const TestGallery& gallery, idx_t nq, idx_t k)
        : engine(engine),
          gallery(gallery),
          queries(nq, gallery.view().d, 13),
          table(make_table(gallery.view().rows, gallery.view().d, 14)),
          bound(engine.bind_table(table)),
          k(k),
          scores(nq * k),
          labels(nq * k) {}

    ScanState state() const { return begin_scan(queries.view().rows, k, true); }

    double scan(ScanState& state) const {
        return seconds_of([&] {
            engine.scan(*gallery.bound, bound.get(), queries.view(), state);
        });
    }

    double scan_alone() const {
        ScanState fresh = state();
        return scan(fresh);
    }

    double finish(const ScanState& state, std::uint8_t* gates = nullptr) {
        const Gate gate{Method::dis, table.columns[0].activation};
        return seconds_of([&] {
            finish_scan(state, &gate, k, {scores.data(), labels.data()}, gates);
        });
    }

    /// From queries to answers.
    double all() {
        return seconds_of([&] {
            ScanState fresh = state();
            scan(fresh);
            finish(fresh);
        });
    }

    void verify() {
        ScanState found = state();
        scan(found);
        std::vector<std::uint8_t> gates(found.raw.rows());
        finish(found, gates.data());
        const std::vector<idx_t> rows =
            sample(found.raw.rows(), checked_queries);
        const BankColumn& column = table.columns.front();
        verify_lists(gallery.view(), queries.view(), rows, nullptr, found.raw);
        verify_lists(gallery.view(), queries.view(), rows,
                     column.offsets.data(), found.normalised);
        for (const idx_t row : rows) {
            const auto raw = found.raw.sorted(row);
            const bool open = column.activation.contains(raw.front().label);
            const auto right = open ? found.normalised.sorted(row) : raw;
            require((gates[row] != 0) == open, "query ", row,
                    " has the wrong gate");
            for (size_t i = 0; i < right.size(); i++) {
                require(
                    labels[row * k + static_cast<idx_t>(i)] == right[i].label,
                    "query ", row, " was given other answers than lists");
            }
        }
    }

    Json parameters() const {
        return {{"d", gallery.view().d},
                {"items", gallery.view().rows},
                {"queries", queries.view().rows},
                {"k", k}};
    }

    double teraflop() const {
        return 2e-12 * static_cast<double>(gallery.view().rows) *
               static_cast<double>(queries.view().rows) * gallery.view().d;
    }
};

}  // namespace

TestGallery::TestGallery(const Engine& engine, idx_t rows, int d)
    : vectors(rows, d, 10),
      bound(engine.bind_gallery(Metric::inner_product, {vectors.view()})) {
    require_resident(*bound);
}

void bench_scan(const Setup& setup, const Engine& engine, int d,
                References& references, Results& results) {
    const TestGallery gallery(engine, setup.items, d);
    Search search(engine, gallery, setup.queries, setup.k);
    search.verify();
    const int calls = setup.reference_calls;
    const auto product = [&] { return references.products(calls); };
    Result result{"scan",
                  search.parameters(),
                  search.teraflop(),
                  "TFLOP/s",
                  references.product_reference(calls),
                  product_goal(d)};
    results.add(result, compare([&] { return search.scan_alone(); }, product));
    result.benchmark = "scan_and_finish";
    result.goal = {};
    results.add(result, compare([&] { return search.all(); }, product));
}

void bench_few(const Setup& setup, const Engine& engine, References& references,
               Results& results) {
    const TestGallery gallery(engine, setup.few_items, setup.few_d);
    const double bytes =
        2.0 * static_cast<double>(setup.few_items) * setup.few_d;
    for (const idx_t nq : setup.few_queries) {
        Search search(engine, gallery, nq, setup.few_k);
        search.verify();
        results.add({"scan_few",
                     search.parameters(),
                     1e-12 * bytes,
                     "TB/s of fp16 gallery",
                     references.copy_reference(1),
                     {Goal::Kind::rate_at_least, 0.8}},
                    compare([&] { return search.scan_alone(); },
                            [&] { return references.copies(1); }));
    }
}

void bench_dis(const Setup& setup, const Engine& engine, Results& results) {
    const idx_t items = setup.dis_items > 0
                            ? setup.dis_items
                            : items_that_fit(setup.dis_d, setup.tiles);
    const TestGallery gallery(engine, items, setup.dis_d);
    Search search(engine, gallery, setup.dis_queries, setup.dis_k);
    search.verify();
    const Times times = repeat([&] { return search.all(); });
    // For the reference, a program of its own, to repeat and to compare.
    constexpr idx_t shown = 64;
    const idx_t answers = std::min(shown, setup.dis_queries) * setup.dis_k;
    results.add(
        {"dis",
         search.parameters(),
         static_cast<double>(setup.dis_queries),
         "queries/s",
         {},
         {}},
        times,
        {{"goal", "<= 0.50"},
         {"seeds", {{"gallery", 10}, {"queries", 13}, {"table", 14}}},
         {"answers", std::vector<idx_t>(search.labels.begin(),
                                        search.labels.begin() + answers)}});
}

}  // namespace bench
