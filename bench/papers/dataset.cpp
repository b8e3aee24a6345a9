#include "bench/papers/dataset.h"

#include <faiss/VectorTransform.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"

namespace papers {

namespace {

using faiss_qbnorm::ArrayFile;
using faiss_qbnorm::fail;
using faiss_qbnorm::require;
using faiss_qbnorm::VectorFile;
using std::filesystem::path;

// No rows where there is no such file.
Matrix read(const path& file) {
    if (!exists(file)) return {};
    return VectorFile(file.string(), true).read();
}

Matrix every_second(const Matrix& matrix, idx_t first) {
    std::vector<idx_t> rows;
    for (idx_t i = first; i < matrix.rows; i += 2) rows.push_back(i);
    return rows_of(matrix, rows);
}

GroundTruth one_to_one(idx_t queries) {
    GroundTruth truth{1, std::vector<idx_t>(queries)};
    std::iota(truth.labels.begin(), truth.labels.end(), 0);
    return truth;
}

bool holds_arrays(const path& folder) {
    return exists(folder / "gallery.npy") && exists(folder / "queries.npy") &&
           exists(folder / "querybank.npy");
}

// Images and their captions, a pair a row.
bool holds_pairs(const path& folder) {
    return exists(folder / "image.npy") && exists(folder / "text.npy");
}

// Item-disjoint: even rows are the test set, odd rows the banks.
Problem read_pairs(const path& folder) {
    const Matrix images = read(folder / "image.npy");
    const Matrix texts = read(folder / "text.npy");
    require(images.rows == texts.rows, folder.filename().string(), ": has ",
            images.rows, " images but ", texts.rows,
            " texts; give a text for each image");
    Problem problem;
    problem.gallery = every_second(images, 0);
    problem.queries = every_second(texts, 0);
    problem.querybank = every_second(texts, 1);
    problem.gallerybank = every_second(images, 1);
    problem.truth = one_to_one(problem.queries.rows);
    return problem;
}

Problem read_arrays(const path& folder) {
    Problem problem;
    problem.gallery = read(folder / "gallery.npy");
    problem.queries = read(folder / "queries.npy");
    problem.querybank = read(folder / "querybank.npy");
    problem.gallerybank = read(folder / "gallerybank.npy");
    problem.val_gallery = read(folder / "val_gallery.npy");
    problem.val_queries = read(folder / "val_queries.npy");
    const path truth = folder / "groundtruth.npy";
    if (exists(truth)) {
        const ArrayFile array = ArrayFile::open(truth.string());
        problem.truth = {array.d, faiss_qbnorm::read_labels(array)};
    } else {
        problem.truth = one_to_one(problem.queries.rows);
    }
    check(problem.truth, problem.queries.rows, problem.gallery.rows);
    require(problem.val_gallery.rows == problem.val_queries.rows,
            folder.filename().string(), ": has ", problem.val_queries.rows,
            " validation queries for ", problem.val_gallery.rows,
            " items; give pairs");
    return problem;
}

std::string name_of(const path& folder) {
    const path whole = canonical(folder);
    return whole.filename().string();
}

Dataset read_dataset(const path& folder) {
    Dataset dataset;
    dataset.name = name_of(folder);
    if (holds_pairs(folder)) {
        dataset.problem = read_pairs(folder);
        return dataset;
    }
    dataset.problem = read_arrays(folder);
    dataset.far = read(folder / "querybank_far.npy");
    if (dataset.far.rows > 0)
        dataset.far_name = "another domain, a file of its own";
    const path section = folder / "bank_section.npy";
    if (exists(section)) {
        const auto sections =
            faiss_qbnorm::read_labels(ArrayFile::open(section.string()));
        for (idx_t i = 0; i < static_cast<idx_t>(sections.size()); i++) {
            // System calls and the C library: programming.
            if (sections[i] == 2 || sections[i] == 3) {
                dataset.off_topic.push_back(i);
            }
        }
    }
    return dataset;
}

Matrix rotated(const faiss::LinearTransform& axes, const Matrix& matrix) {
    Matrix result{{}, matrix.rows, axes.d_out};
    result.data.resize(matrix.rows * axes.d_out);
    if (matrix.rows == 0) return result;
    axes.apply_noalloc(matrix.rows, matrix.data.data(), result.data.data());
    faiss_qbnorm::normalize_rows(result.data.data(), result.rows, result.d);
    return result;
}

}  // namespace

Problem reversed(const Problem& problem) {
    return {problem.queries,
            problem.gallery,
            problem.gallerybank,
            problem.querybank,
            inverted(problem.truth, problem.gallery.rows),
            problem.val_queries,
            problem.val_gallery};
}

Problem projected(const Problem& problem, int d) {
    std::vector<float> banks = problem.querybank.data;
    banks.insert(banks.end(), problem.gallerybank.data.begin(),
                 problem.gallerybank.data.end());
    faiss::PCAMatrix axes(problem.gallery.d, d);
    axes.train(problem.querybank.rows + problem.gallerybank.rows, banks.data());
    axes.have_bias = false;
    return {rotated(axes, problem.gallery),
            rotated(axes, problem.queries),
            rotated(axes, problem.querybank),
            rotated(axes, problem.gallerybank),
            problem.truth,
            rotated(axes, problem.val_gallery),
            rotated(axes, problem.val_queries)};
}

std::vector<Dataset> read_datasets(const std::string& folder) {
    const auto is_dataset = [](const path& candidate) {
        return holds_arrays(candidate) || holds_pairs(candidate);
    };
    require(is_directory(path(folder)), folder, " is no folder");
    std::vector<path> found;
    if (is_dataset(folder)) {
        found.emplace_back(folder);
    } else {
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            if (is_dataset(entry.path())) found.push_back(entry.path());
        }
    }
    if (found.empty()) {
        fail(folder,
             ": no folder in it has gallery.npy, queries.npy and "
             "querybank.npy, or image.npy and text.npy");
    }
    std::sort(found.begin(), found.end());
    std::vector<Dataset> datasets;
    datasets.reserve(found.size());
    for (const path& one : found) datasets.push_back(read_dataset(one));
    for (Dataset& dataset : datasets) {
        if (dataset.far.rows > 0) continue;
        const auto other = std::find_if(
            datasets.begin(), datasets.end(), [&](const Dataset& candidate) {
                return &candidate != &dataset &&
                       candidate.problem.gallery.d == dataset.problem.gallery.d;
            });
        if (other == datasets.end()) continue;
        dataset.far = other->problem.querybank;
        dataset.far_name = "the querybank of " + other->name;
    }
    return datasets;
}

}  // namespace papers
