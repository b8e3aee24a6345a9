#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/papers/dataset.h"
#include "faiss_qbnorm/eval/evaluate.h"
#include "faiss_qbnorm/similarities/similarities.h"

namespace papers {

using faiss_qbnorm::Method;
using faiss_qbnorm::MethodReport;
using faiss_qbnorm::Normalization;

/// Similarities kept in memory: many experiments read them.
class Kept : public faiss_qbnorm::Similarities {
  public:
    /// The inner products of rows and items, exact as everywhere.
    Kept(const Matrix& items, const Matrix& rows);

    idx_t rows() const override { return rows_; }
    idx_t items() const override { return items_; }
    std::string name() const override { return "similarities"; }
    void read(idx_t begin, idx_t end, float* out) const override;

    /// The same of some rows.
    Kept some(const std::vector<idx_t>& rows) const;

    /// Each row's highest-scored item, and that score.
    std::vector<idx_t> first_items() const;
    std::vector<float> first_scores() const;

  private:
    Kept(idx_t rows, idx_t items)
        : rows_(rows), items_(items), data_(rows * items) {}

    idx_t rows_;
    idx_t items_;
    std::vector<float> data_;  // row r, item i: data_[i * rows_ + r]
};

/// A bank and its similarities with the gallery.
struct ScoredBank {
    Matrix vectors;
    std::shared_ptr<const Kept> scores;

    ScoredBank(const Matrix& gallery, const Matrix& vectors)
        : vectors(vectors),
          scores(std::make_shared<const Kept>(gallery, vectors)) {}
};

/// The betas among which validation chooses, and that a sweep shows.
std::span<const float> beta_grid();

/// A problem with its similarities, and the beta for it.
struct Scene {
    explicit Scene(Problem problem);

    Problem problem;
    ScoredBank queries;
    ScoredBank querybank;
    std::optional<ScoredBank> gallerybank;
    /// The best for IS, by R@1 on the validation pairs; where there are none,
    /// the published 20.
    float beta = 20;

    /// A method's published defaults, but at this beta.
    Normalization at_beta(Method method) const;
    /// Differences in R@1 of less say nothing: a standard error of the
    /// difference, in points, where one query in ten changes sides.
    double noise() const;
};

/// Ranks the scene's queries by each method, fitted on `bank` (and, where the
/// method takes one, the scene's gallerybank).
std::vector<MethodReport> measure(const Scene& scene, const ScoredBank& bank,
                                  std::span<const Normalization> asked);

/// IS and DIS fitted on each of several banks, in one pass over the queries:
/// IS and DIS of the first, of the second, ...
std::vector<MethodReport> measure_is_and_dis(const Scene& scene,
                                             std::span<const Kept> banks);

/// As the papers call it: "raw", "GC", "DualIS".
std::string title_of(Method method);

}  // namespace papers
