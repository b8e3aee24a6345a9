#include "bench/cpu/serve.h"

#include <faiss/IndexFlat.h>

#include <filesystem>
#include <fstream>
#include <iostream>

#include "bench/cpu/batch.h"
#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/make_engine.h"
#include "faiss_qbnorm/search.h"

namespace bench {

using namespace faiss_qbnorm;

namespace {

constexpr idx_t checked_queries = 8;

void say(const Json& answer) {
    std::cout << answer.dump() << std::endl;
}

Json answer_to(const Served& served, const Json& request) {
    const std::string what = request.at("do");
    if (what == "prepare") return {{"prepared", served.prepare(request)}};
    if (what == "peak") return {{"bytes", peak_bytes()}};
    require(what == "time", "unknown request ", what);
    const auto& work = served.works.at(request.at("what"));
    const int calls = request.at("calls");
    const double seconds = seconds_of([&] {
        for (int i = 0; i < calls; i++) work();
    });
    return {{"seconds", seconds / calls}};
}

void write_floats(const MatrixView& vectors, const Json& parameters,
                  const char* name) {
    const std::string path =
        std::filesystem::path(parameters.at("scratch").get<std::string>()) /
        name;
    std::ofstream file(path, std::ios::binary);
    file.write(
        reinterpret_cast<const char*>(vectors.data),
        static_cast<std::streamsize>(sizeof(float)) * vectors.rows * vectors.d);
    require(static_cast<bool>(file.flush()), "cannot write ", path);
}

/// Room for answers, k a query.
struct Room {
    idx_t nq = 0;
    idx_t k = 0;
    std::vector<float> scores;
    std::vector<idx_t> labels;

    void resize(idx_t new_nq, idx_t new_k) {
        nq = new_nq;
        k = new_k;
        scores.resize(nq * k);
        labels.resize(nq * k);
    }
    Answered answered() const { return {k, scores.data(), labels.data()}; }
    std::vector<idx_t> first_labels(idx_t queries) const {
        std::vector<idx_t> result;
        for (idx_t i = 0; i < queries; i++) result.push_back(labels[i * k]);
        return result;
    }
};

}  // namespace

void serve(const Served& served) {
    say({{"ready", true}});
    std::string line;
    while (std::getline(std::cin, line)) {
        say(answer_to(served, Json::parse(line)));
    }
}

void serve_scan(const Json& parameters) {
    const int d = parameters.at("d");
    const Vectors gallery(parameters.at("items"), d, 1);
    const Vectors queries(parameters.at("queries"), d, 3);
    const Vectors bank(parameters.at("bank"), d, 4);
    write_floats(gallery.view(), parameters, "gallery.f32");
    write_floats(queries.view(), parameters, "queries.f32");
    faiss::IndexFlatIP base(d);
    base.add(gallery.view().rows, gallery.view().data);
    IndexQBNorm index(&base);
    index.set_querybank(bank.view().rows, bank.view().data);
    verify_table(*index.table(), gallery.view(), bank.view());

    Room room;
    const auto search = [&](const faiss::Index& searched) {
        searched.search(room.nq, queries.view().data, room.k,
                        room.scores.data(), room.labels.data());
    };
    const RawScores raw = products(gallery.view(), queries.view());
    Served served;
    served.prepare = [&](const Json& request) {
        room.resize(request.at("nq"), request.at("k"));
        QBNormSearchStats stats;
        SearchParametersQBNorm asked;
        asked.stats = &stats;
        for (const Method method : both_methods) {
            asked.method = method;
            index.search(room.nq, queries.view().data, room.k,
                         room.scores.data(), room.labels.data(), &asked);
            verify_answers(raw, index.table()->columns.front(), method,
                           sample(room.nq, checked_queries), room.answered());
        }
        return Json{{"open gates", stats.open_gates}};
    };
    served.works["ours"] = [&] { search(index); };
    served.works["debian"] = [&] { search(base); };
    serve(served);
}

void serve_dis(const Json& parameters) {
    const int d = parameters.at("d");
    const Vectors gallery(parameters.at("items"), d, 1);
    const Vectors bank(parameters.at("bank"), d, 2);
    const Vectors queries(parameters.at("nq"), d, 3);
    write_floats(gallery.view(), parameters, "gallery.f32");
    write_floats(bank.view(), parameters, "bank.f32");
    write_floats(queries.view(), parameters, "queries.f32");
    const auto engine = make_engine("cpu");
    Room room;
    room.resize(queries.view().rows, parameters.at("k"));
    NormTable table;
    const MemoryGallery items(gallery.view());
    const auto search = [&](Method method) {
        exact_search(*engine, items, Metric::inner_product, &table, method,
                     queries.view(), room.k,
                     {room.scores.data(), room.labels.data()});
    };
    const auto fit_and_search = [&] {
        table = fit(*engine, items, bank.view(), {});
        search(Method::dis);
    };
    Served served;
    served.prepare = [&](const Json&) {
        table = fit(*engine, items, bank.view(), {});
        verify_table(table, gallery.view(), bank.view());
        for (const Method method : both_methods) {
            search(method);
            verify_answers(products(gallery.view(), queries.view()),
                           table.columns.front(), method,
                           sample(room.nq, checked_queries), room.answered());
        }
        return Json(room.first_labels(room.nq));
    };
    served.works["ours"] = fit_and_search;
    serve(served);
}

}  // namespace bench
