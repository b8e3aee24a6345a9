#pragma once

#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"

namespace faiss_qbnorm::cli {

/// The vectors of a file and their similarities with a gallery.
struct ScoredRows {
    Matrix vectors;
    VectorSimilarities similarities;

    /// Refers to the gallery: keep it alive.
    ScoredRows(const std::string& path, const VectorOptions& options,
               const VectorFile& gallery)
        : vectors(read(path, options, gallery)),
          similarities(metric_from_name(options.metric), gallery,
                       vectors.view(), path) {}
    ScoredRows(const ScoredRows&) = delete;
    ScoredRows& operator=(const ScoredRows&) = delete;
    ~ScoredRows() = default;

    /// The same of a file that may not be given.
    static std::unique_ptr<const ScoredRows> optional(
        const std::string& path, const VectorOptions& options,
        const VectorFile& gallery) {
        if (path.empty()) return nullptr;
        return std::make_unique<const ScoredRows>(path, options, gallery);
    }
    /// Of what `optional` returned.
    static const Similarities* of(
        const std::unique_ptr<const ScoredRows>& rows) {
        return rows ? &rows->similarities : nullptr;
    }

  private:
    static Matrix read(const std::string& path, const VectorOptions& options,
                       const VectorFile& gallery) {
        const VectorFile file(path, options.normalize);
        require_same_d(path, file.d(), gallery.name(), gallery.d());
        return file.read();
    }
};

}  // namespace faiss_qbnorm::cli
