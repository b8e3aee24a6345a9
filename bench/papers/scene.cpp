#include "bench/papers/scene.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "faiss_qbnorm/fit/similarity_column.h"
#include "faiss_qbnorm/fit/sinkhorn.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"

namespace papers {

namespace {

using faiss_qbnorm::Bank;
using faiss_qbnorm::MethodTables;
using faiss_qbnorm::NormTable;
using faiss_qbnorm::Similarities;

// dbsn learns its weights from the gallery and the gallerybank.
NormTable fit_dbsn(const Scene& scene, const ScoredBank& bank,
                   const Normalization& asked) {
    const Kept across(scene.gallerybank->vectors, bank.vectors);
    const Similarities* targets[] = {bank.scores.get(), &across};
    const auto weights = faiss_qbnorm::sinkhorn_log_weights(targets, asked.beta,
                                                            asked.iterations);
    NormTable table;
    table.gallery_size = bank.scores->items();
    table.end = table.gallery_size;
    table.columns.push_back(faiss_qbnorm::fit_column(
        *bank.scores, Bank::querybank, asked, 0, weights));
    return table;
}

NormTable fit(const Scene& scene, const ScoredBank& bank,
              const Normalization& asked) {
    if (asked.method == Method::dbsn && scene.gallerybank) {
        return fit_dbsn(scene, bank, asked);
    }
    const bool dual = is_dual(asked.method) && scene.gallerybank;
    return faiss_qbnorm::fit_similarities(
        *bank.scores, dual ? scene.gallerybank->scores.get() : nullptr, asked);
}

float best_beta(const Problem& problem) {
    const Kept queries(problem.val_gallery, problem.val_queries);
    const Kept bank(problem.val_gallery, problem.querybank);
    const auto truth = faiss_qbnorm::contiguous_groundtruth(
        problem.val_queries.rows, problem.val_gallery.rows);
    std::vector<Normalization> asked;
    for (const float beta : beta_grid()) {
        asked.emplace_back(Method::is, beta, 1);
    }
    const auto reports = evaluate(
        queries, bank,
        faiss_qbnorm::fit_methods(asked,
                                  [&](const Normalization& one) {
                                      return faiss_qbnorm::fit_similarities(
                                          bank, nullptr, one);
                                  }),
        truth);
    const auto best = std::max_element(
        reports.begin(), reports.end(),
        [](const MethodReport& a, const MethodReport& b) {
            return std::pair(a.retrieval.recall_1, a.retrieval.geometric_mean) <
                   std::pair(b.retrieval.recall_1, b.retrieval.geometric_mean);
        });
    return asked[best - reports.begin()].beta;
}

}  // namespace

std::span<const float> beta_grid() {
    static constexpr std::array<float, 12> betas{1,  2,  5,  10, 15,  20,
                                                 30, 40, 50, 70, 100, 200};
    return betas;
}

Kept::Kept(const Matrix& items, const Matrix& rows)
    : Kept(rows.rows, items.rows) {
    const faiss_qbnorm::MemoryGallery gallery(items.view());
    const faiss_qbnorm::VectorSimilarities similarities(
        faiss_qbnorm::Metric::inner_product, gallery, rows.view(), name());
    similarities.read(0, items_, data_.data());
}

void Kept::read(idx_t begin, idx_t end, float* out) const {
    std::copy(data_.begin() + begin * rows_, data_.begin() + end * rows_, out);
}

Kept Kept::some(const std::vector<idx_t>& rows) const {
    Kept result(static_cast<idx_t>(rows.size()), items_);
#pragma omp parallel for
    for (idx_t i = 0; i < items_; i++) {
        float* out = result.data_.data() + i * result.rows_;
        for (const idx_t row : rows) *out++ = data_[i * rows_ + row];
    }
    return result;
}

std::vector<idx_t> Kept::first_items() const {
    std::vector<idx_t> first(rows_, 0);
    for (idx_t i = 1; i < items_; i++) {
        for (idx_t r = 0; r < rows_; r++) {
            if (data_[i * rows_ + r] > data_[first[r] * rows_ + r]) {
                first[r] = i;
            }
        }
    }
    return first;
}

std::vector<float> Kept::first_scores() const {
    const std::vector<idx_t> first = first_items();
    std::vector<float> scores(rows_);
    for (idx_t r = 0; r < rows_; r++) scores[r] = data_[first[r] * rows_ + r];
    return scores;
}

Scene::Scene(Problem given)
    : problem(std::move(given)),
      queries(problem.gallery, problem.queries),
      querybank(problem.gallery, problem.querybank) {
    if (problem.gallerybank.rows > 0) {
        gallerybank.emplace(problem.gallery, problem.gallerybank);
    }
    if (problem.val_queries.rows > 0) beta = best_beta(problem);
}

Normalization Scene::at_beta(Method method) const {
    Normalization asked(method);
    // dbsn's beta is 1 / tau, of another formula.
    if (method != Method::dbsn) asked.beta = beta;
    return asked;
}

double Scene::noise() const {
    return 100 * std::sqrt(0.1 / static_cast<double>(problem.queries.rows));
}

std::vector<MethodReport> measure(const Scene& scene, const ScoredBank& bank,
                                  std::span<const Normalization> asked) {
    const MethodTables tables = faiss_qbnorm::fit_methods(
        asked, [&](const Normalization& one) { return fit(scene, bank, one); });
    return evaluate(*scene.queries.scores, *bank.scores, tables,
                    scene.problem.truth);
}

std::vector<MethodReport> measure_is_and_dis(const Scene& scene,
                                             std::span<const Kept> banks) {
    MethodTables tables;
    for (const Kept& bank : banks) {
        for (const Method method : {Method::is, Method::dis}) {
            tables.methods.push_back(method);
            tables.table_of.push_back(tables.tables.size());
        }
        tables.tables.push_back(faiss_qbnorm::fit_similarities(
            bank, nullptr, scene.at_beta(Method::is)));
    }
    return evaluate(*scene.queries.scores, banks.front(), tables,
                    scene.problem.truth);
}

std::string title_of(Method method) {
    switch (method) {
        case Method::none:
            return "raw";
        case Method::is:
            return "IS";
        case Method::dis:
            return "DIS";
        case Method::csls:
            return "CSLS";
        case Method::gc:
            return "GC";
        case Method::nnn:
            return "NNN";
        case Method::cent:
            return "CENT";
        case Method::dbsn:
            return "DBSN";
        case Method::dualis:
            return "DualIS";
        case Method::dualdis:
            return "DualDIS";
    }
    return {};
}

}  // namespace papers
