#include "faiss_qbnorm/fit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"

namespace faiss_qbnorm {

namespace {

void check_inputs(const Gallery& gallery, const MatrixView& querybank,
                  const FitOptions& options, idx_t end) {
    check(options.normalization);
    require(options.list_length == 0 ||
                options.list_length >= options.normalization.activation_k,
            "list_length is ", options.list_length,
            " but must be at least activation_k");
    require(querybank.rows > 0, "the querybank is empty");
    require(querybank.d == gallery.d(), "the querybank has dimension ",
            querybank.d, " but ", gallery.name(), " has ", gallery.d());
    require(options.begin >= 0 && options.begin <= end && end <= gallery.size(),
            "rows ", options.begin, ":", end, " are not a range of the ",
            gallery.size(), " rows of ", gallery.name());
    check_finite(querybank, "querybank");
}

void check_offsets(const Gallery& gallery, std::span<const float> offsets,
                   idx_t begin) {
    for (size_t i = 0; i < offsets.size(); i++) {
        require(std::isfinite(offsets[i]), gallery.name(),
                ": the scores of row ", begin + static_cast<idx_t>(i),
                " overflow float32; scale the vectors down");
    }
}

/// What an offset is before a probe finds it; no score is as large.
constexpr float in_hole = std::numeric_limits<float>::max();

// In a hole any offset will do that is within the others' range.
void fill_holes(std::span<float> offsets) {
    float largest = -in_hole;
    for (const float offset : offsets) {
        if (offset != in_hole) largest = std::max(largest, offset);
    }
    std::replace(offsets.begin(), offsets.end(), in_hole,
                 largest == -in_hole ? 0 : largest);
}

idx_t list_length(const FitOptions& options, idx_t gallery_size) {
    if (options.list_length > 0) return options.list_length;
    return std::min(default_list_length(options.normalization),
                    std::max<idx_t>(gallery_size, 1));
}

}  // namespace

NormTable fit(const Engine& engine, const Gallery& gallery,
              const MatrixView& querybank, const FitOptions& options) {
    const idx_t begin = options.begin;
    const idx_t end = options.end < 0 ? gallery.size() : options.end;
    check_inputs(gallery, querybank, options, end);

    NormTable table{gallery.d(), options.metric, gallery.size(), begin, end, 0,
                    {},          gallery.holes()};
    const auto bank = engine.bind_bank(options.metric, querybank);
    TopLists winners(querybank.rows, list_length(options, gallery.size()));
    HugeVector<float> offsets(end - begin, in_hole);
    const auto probe = engine.begin_probe(*bank, options.normalization,
                                          {begin, offsets, winners});
    idx_t done = 0;
    gallery.for_each_block(begin, end, [&](const GalleryBlock& block) {
        table.fingerprint += fingerprint(block);
        probe->add(block);
        done += block.vectors.rows;
        if (options.progress) options.progress(done);
    });
    probe->finish();

    require(done == table.items(), gallery.name(), " showed ", done,
            " rows instead of ", table.items());
    check_offsets(gallery, offsets, begin);
    if (table.holes > 0) fill_holes(offsets);

    BankColumn column;
    column.normalization = options.normalization;
    column.bank_size = querybank.rows;
    column.bank_fingerprint = fingerprint({querybank});
    column.offsets = std::move(offsets);
    column.lists = to_bank_lists(winners);
    column.activation = activation_from_lists(
        column.lists, options.normalization.activation_k, begin, end);
    table.columns.push_back(std::move(column));
    return table;
}

}  // namespace faiss_qbnorm
