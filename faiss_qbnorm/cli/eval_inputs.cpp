#include "faiss_qbnorm/cli/eval_inputs.h"

#include <algorithm>
#include <numeric>

#include "faiss_qbnorm/io/array_file.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/similarities/matrix_similarities.h"
#include "faiss_qbnorm/similarities/some_similarities.h"

namespace faiss_qbnorm::cli {

namespace {

/// The two sides of a ground truth, and the files that errors name.
struct Sides {
    std::string queries_file;
    idx_t queries = 0;
    std::string items_file;
    idx_t items = 0;
};

GroundTruth default_groundtruth(const Sides& sides, bool is_v2t) {
    if (sides.queries % sides.items == 0) {
        return contiguous_groundtruth(sides.queries, sides.items);
    }
    require(sides.queries < sides.items, sides.queries_file, " has ",
            sides.queries,
            " queries, which is no whole number for each of the ", sides.items,
            " items of ", sides.items_file, "; give --groundtruth");
    require(
        !is_v2t, sides.items_file, " has ", sides.items, " items that ask and ",
        sides.queries_file, " only ", sides.queries,
        " captions (of a matrix, its rows and columns); give --groundtruth, "
        "or transpose it");
    GroundTruth truth{1, std::vector<idx_t>(sides.queries)};
    std::iota(truth.labels.begin(), truth.labels.end(), 0);
    return truth;
}

// Throws unless the row names an item, and items only.
void check_row(const std::string& file, const GroundTruth& truth, idx_t row,
               const Sides& sides) {
    const auto labels = truth.row(row);
    for (const idx_t label : labels) {
        const bool padding = label == -1 && truth.width > 1;
        require(padding || (label >= 0 && label < sides.items), file, ": row ",
                row, " is item ", label, " but ", sides.items_file,
                " has items 0 to ", sides.items - 1);
    }
    require(has_answer(labels), file, ": row ", row,
            " names no item; leave the query out with --query-mask");
}

GroundTruth read_groundtruth(const EvalOptions& options, const Sides& sides,
                             const std::vector<idx_t>& kept) {
    const std::string& file = options.groundtruth;
    if (file.empty()) return default_groundtruth(sides, options.is_v2t());
    const ArrayFile array = ArrayFile::open(file);
    require(array.rows == sides.queries, file, ": is ", array.rows, " x ",
            array.d, " but there are ", sides.queries,
            " queries; give a row of labels for each");
    GroundTruth truth{array.d, read_labels(array)};
    for (const idx_t query : kept) check_row(file, truth, query, sides);
    return truth;
}

// The queries that the mask leaves.
std::vector<idx_t> unmasked(const EvalOptions& options, idx_t queries) {
    std::vector<idx_t> kept(queries);
    std::iota(kept.begin(), kept.end(), 0);
    const std::string& file = options.query_mask;
    if (file.empty()) return kept;
    const ArrayFile array = ArrayFile::open(file);
    require(array.rows * array.d == queries, file, ": is ", array.rows, " x ",
            array.d, " but there are ", queries,
            " queries; give a number for each");
    const std::vector<bool> mask = read_mask(array);
    std::erase_if(kept, [&](idx_t query) { return !mask[query]; });
    require(!kept.empty(), file, ": leaves out every query");
    return kept;
}

Matrix read_bank(const EvalOptions& options, const std::string& file, int d) {
    if (file.empty()) return {};
    Matrix bank = VectorFile(file, options.vectors.normalize).read();
    require_same_d(file, bank.d, options.gallery, d);
    return bank;
}

}  // namespace

VectorInputs::VectorInputs(const EvalOptions& options) {
    const bool normalize = options.vectors.normalize;
    auto items = std::make_unique<VectorFile>(options.gallery, normalize);
    queries = VectorFile(options.queries, normalize).read();
    require_same_d(options.queries, queries.d, options.gallery, items->d());
    querybank = read_bank(options, options.querybank, queries.d);
    gallerybank = read_bank(options, options.gallerybank, queries.d);
    const Sides sides{options.queries, queries.rows, options.gallery,
                      items->size()};
    const std::vector<idx_t> kept = unmasked(options, queries.rows);
    truth = rows_of(read_groundtruth(options, sides, kept), kept);
    const bool masked = static_cast<idx_t>(kept.size()) < queries.rows;
    if (masked) queries = rows_of(queries, kept);
    if (!options.is_v2t()) {
        gallery = std::move(items);
        return;
    }
    truth = inverted(truth, items->size());
    captions_ = std::exchange(queries, items->read());
    gallery = std::make_unique<MemoryGallery>(captions_.view());
    std::swap(querybank, gallerybank);
    if (masked) names = kept;
}

MatrixInputs::MatrixInputs(const EvalOptions& options) {
    const auto open = [&](const std::string& file) {
        auto matrix = std::make_unique<MatrixSimilarities>(file);
        require(!queries || matrix->items() == queries->items(), file, ": is ",
                matrix->rows(), " x ", matrix->items(), " but ",
                options.similarities, " has ", queries ? queries->items() : 0,
                " columns; give similarities with the same items");
        return matrix;
    };
    queries = open(options.similarities);
    querybank = open(options.querybank_similarities);
    if (!options.gallerybank_similarities.empty()) {
        gallerybank = open(options.gallerybank_similarities);
    }
    const std::string& file = options.similarities;
    const Sides sides =
        options.is_v2t() ? Sides{file, queries->items(), file, queries->rows()}
                         : Sides{file, queries->rows(), file, queries->items()};
    const std::vector<idx_t> kept = unmasked(options, sides.queries);
    truth = faiss_qbnorm::rows_of(read_groundtruth(options, sides, kept), kept);
    if (options.is_v2t()) truth = inverted(truth, sides.items);
    if (static_cast<idx_t>(kept.size()) == sides.queries) return;
    if (!options.is_v2t()) {
        whole_.push_back(std::move(queries));
        queries = std::make_unique<SomeRows>(*whole_.back(), kept);
        return;
    }
    names = kept;
    for (auto* side : {&queries, &querybank, &gallerybank}) {
        if (!*side) continue;
        whole_.push_back(std::move(*side));
        *side = std::make_unique<SomeItems>(*whole_.back(), kept);
    }
}

}  // namespace faiss_qbnorm::cli
