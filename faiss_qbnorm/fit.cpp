#include "faiss_qbnorm/fit.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/core/merge.h"
#include "faiss_qbnorm/core/relabel.h"
#include "faiss_qbnorm/fit/column_fitter.h"
#include "faiss_qbnorm/fit/sinkhorn.h"
#include "faiss_qbnorm/similarities/ranged_gallery.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"

namespace faiss_qbnorm {

namespace {

void check_bank(const Gallery& gallery, const MatrixView& bank,
                const std::string& name) {
    require(bank.rows > 0, "the ", name, " is empty");
    require(bank.d == gallery.d(), "the ", name, " has dimension ", bank.d,
            " but ", gallery.name(), " has ", gallery.d());
    check_finite(bank, name);
}

void check_inputs(const Gallery& gallery, const Banks& banks,
                  const FitOptions& options, idx_t end) {
    const Normalization& normalization = options.normalization;
    check(normalization);
    require(options.list_length == 0 ||
                options.list_length >= normalization.activation_k,
            "list_length is ", options.list_length,
            " but must be at least activation_k");
    require(
        normalization.method != Method::gc,
        "gc ranks by the bank itself and has no table; use qbnorm search or "
        "eval with the bank");
    require(normalization.method != Method::dualdis ||
                options.metric == Metric::inner_product,
            "dualdis multiplies similarities, which distances of l2 are not; "
            "use dualis, or unit vectors and the inner product");
    require(!is_dual(normalization.method) || banks.gallerybank.rows > 0,
            "method ", name_of(normalization.method), " needs a gallerybank");
    check_bank(gallery, banks.querybank, "querybank");
    if (banks.gallerybank.rows > 0) {
        check_bank(gallery, banks.gallerybank, "gallerybank");
    }
    require(options.begin >= 0 && options.begin <= end && end <= gallery.size(),
            "rows ", options.begin, ":", end, " are not a range of the ",
            gallery.size(), " rows of ", gallery.name());
}

void check_offsets(const Gallery& gallery, const SharedArray<float>& offsets,
                   idx_t begin) {
    for (size_t i = 0; i < offsets.size(); i++) {
        require(std::isfinite(offsets[i]), gallery.name(),
                ": the scores of row ", begin + static_cast<idx_t>(i),
                " overflow float32; scale the vectors down");
    }
}

// In a hole any offset will do that is within the others' range.
void fill_holes(SharedArray<float>& offsets) {
    constexpr float none = ColumnFitter::no_offset;
    HugeVector<float> filled(offsets.begin(), offsets.end());
    float largest = -none;
    for (const float offset : filled) {
        if (offset != none) largest = std::max(largest, offset);
    }
    std::replace(filled.begin(), filled.end(), none,
                 largest == -none ? 0 : largest);
    offsets = std::move(filled);
}

idx_t list_length(const FitOptions& options, idx_t gallery_size) {
    if (options.list_length > 0) return options.list_length;
    return std::min(default_list_length(options.normalization),
                    std::max<idx_t>(gallery_size, 1));
}

// The whole gallery's, of whichever rows the table is.
SharedArray<float> weights_for(const Gallery& gallery, const Banks& banks,
                               const FitOptions& options) {
    if (!options.log_weights.empty()) return options.log_weights;
    const MemoryGallery others(banks.gallerybank);
    const RangedGallery ranged(gallery);
    const VectorSimilarities to_gallery(options.metric, ranged.get(),
                                        banks.querybank, "querybank");
    std::optional<VectorSimilarities> to_others;
    std::vector<const Similarities*> targets{&to_gallery};
    if (banks.gallerybank.rows > 0) {
        to_others.emplace(options.metric, others, banks.querybank, "querybank");
        targets.push_back(&*to_others);
    }
    const Normalization& normalization = options.normalization;
    return sinkhorn_log_weights(targets, normalization.beta,
                                normalization.iterations);
}

using Fitters = std::vector<std::unique_ptr<ColumnFitter>>;

Fitters fitters_for(const Engine& engine, const Gallery& gallery,
                    const Banks& banks, const FitOptions& options, idx_t end,
                    const NormTable* before) {
    const Method method = options.normalization.method;
    ColumnTask task{engine,
                    options.metric,
                    banks.querybank,
                    Bank::querybank,
                    options.normalization,
                    options.begin,
                    end,
                    list_length(options, gallery.size())};
    const auto known = [&](Bank bank) {
        return before ? &column_of(*before, bank).lists : nullptr;
    };
    task.known = known(Bank::querybank);
    Fitters fitters;
    switch (column_kind(method)) {
        case Method::csls:
        case Method::nnn:
            fitters.push_back(fit_neighbours(task));
            break;
        case Method::cent:
            fitters.push_back(fit_mean(task));
            break;
        case Method::dbsn:
            fitters.push_back(
                fit_weighted(task, weights_for(gallery, banks, options)));
            break;
        default:
            fitters.push_back(fit_is(task));
    }
    if (is_dual(method)) {
        task.bank = banks.gallerybank;
        task.which = Bank::gallerybank;
        task.known = known(Bank::gallerybank);
        fitters.push_back(fit_is(task));
    }
    return fitters;
}

// `before` is null or a table of other items, whose lists these join.
NormTable fit_rows(const Engine& engine, const Gallery& gallery,
                   const Banks& banks, const FitOptions& options,
                   const NormTable* before) {
    const idx_t begin = options.begin;
    const idx_t end = options.end < 0 ? gallery.size() : options.end;
    check_inputs(gallery, banks, options, end);

    NormTable table{gallery.d(), options.metric, gallery.size(), begin, end, 0,
                    {},          gallery.holes()};
    const Fitters fitters =
        fitters_for(engine, gallery, banks, options, end, before);
    idx_t done = 0;
    gallery.for_each_block(begin, end, [&](const GalleryBlock& block) {
        table.fingerprint += fingerprint(block);
        for (const auto& fitter : fitters) fitter->add(block);
        done += block.vectors.rows;
        if (options.progress) options.progress(done);
    });
    require(done == table.items(), gallery.name(), " showed ", done,
            " rows instead of ", table.items());
    for (const auto& fitter : fitters) {
        BankColumn column = fitter->finish();
        check_offsets(gallery, column.offsets, begin);
        if (table.holes > 0) fill_holes(column.offsets);
        table.columns.push_back(std::move(column));
    }
    return table;
}

// Lists that the rows can join.
void check_lists(const NormTable& table, const Banks& banks) {
    for (const BankColumn& column : table.columns) {
        const idx_t rows = column.bank == Bank::querybank
                               ? banks.querybank.rows
                               : banks.gallerybank.rows;
        require(rows == column.bank_size, "the ", name_of(column.bank), " of ",
                rows, " rows is not the one that the table was fitted with (",
                column.bank_size, " rows)");
        require(column.lists.length > 0 || !column.has_activation(),
                "the table was saved without bank lists, which fitting more "
                "items needs");
    }
}

}  // namespace

NormTable fit(const Engine& engine, const Gallery& gallery, const Banks& banks,
              const FitOptions& options) {
    return fit_rows(engine, gallery, banks, options, nullptr);
}

NormTable fit_more(const Engine& engine, const NormTable& table,
                   const Gallery& gallery, const Banks& banks) {
    check(table);
    const NormTable before = grown(table, table.end, gallery.size());
    check_lists(before, banks);
    FitOptions options;
    options.normalization = normalization_of(before);
    options.metric = before.metric;
    options.begin = before.end;
    options.list_length = before.columns.front().lists.length;
    options.log_weights = before.columns.front().log_weights;
    return append(before, fit_rows(engine, gallery, banks, options, &before));
}

}  // namespace faiss_qbnorm
