#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/IndexQBNorm_banks.h"

#include <faiss/IndexIVF.h>

#include <algorithm>
#include <exception>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/core/relabel.h"
#include "faiss_qbnorm/faiss/as_faiss.h"
#include "faiss_qbnorm/faiss/base_gallery.h"
#include "faiss_qbnorm/faiss/base_scores.h"
#include "faiss_qbnorm/faiss/unwrap.h"
#include "faiss_qbnorm/make_engine.h"
#include "faiss_qbnorm/search.h"

// Construction and fitting.

namespace faiss_qbnorm {

namespace {

Metric metric_of(const faiss::Index& index) {
    if (index.metric_type == faiss::METRIC_INNER_PRODUCT) {
        return Metric::inner_product;
    }
    require(index.metric_type == faiss::METRIC_L2,
            "the base index's metric is neither inner product nor L2, which "
            "are the two that can be normalised");
    return Metric::l2;
}

void require_normalisable(const faiss::Index& base) {
    metric_of(base);
    const faiss::Index& index = innermost(base);
    require_scores(index, nullptr);
    require(!dynamic_cast<const IndexQBNorm*>(&index),
            "the base index is an IndexQBNorm already");
}

}  // namespace

IndexQBNorm::IndexQBNorm(faiss::Index* base,
                         std::shared_ptr<const Engine> engine)
    : base_index(base), engine_(std::move(engine)) {
    as_faiss([&] {
        require(base != nullptr, "the base index is a null pointer");
        require_normalisable(*base);
        if (!engine_) engine_ = make_engine();
    });
    d = base->d;
    metric_type = base->metric_type;
    metric_arg = base->metric_arg;
    verbose = base->verbose;
    sync_with_base();
}

IndexQBNorm::~IndexQBNorm() {
    if (own_fields) delete base_index;
}

MatrixView IndexQBNorm::view(idx_t n, const float* x) const {
    return {x, n, static_cast<int>(d)};
}

MatrixView IndexQBNorm::querybank() const {
    return view(static_cast<idx_t>(bank_.size()) / d, bank_.data());
}

MatrixView IndexQBNorm::gallerybank() const {
    return view(static_cast<idx_t>(gallerybank_.size()) / d,
                gallerybank_.data());
}

void IndexQBNorm::keep(const Banks& banks) {
    const auto copy = [](const MatrixView& rows) {
        return std::vector<float>(rows.data, rows.data + rows.rows * rows.d);
    };
    auto querybank = copy(banks.querybank);
    gallerybank_ = copy(banks.gallerybank);
    bank_ = std::move(querybank);
}

FitOptions IndexQBNorm::options_for(const Normalization& parameters) const {
    FitOptions options;
    options.normalization = parameters;
    options.metric = metric_of(*base_index);
    options.list_length = default_list_length(parameters);
    return options;
}

void IndexQBNorm::sync_with_base() {
    ntotal = base_index->ntotal;
    is_trained = base_index->is_trained;
}

IndexQBNorm::Fitted IndexQBNorm::bind(NormTable table) const {
    Fitted fitted;
    std::vector<BankColumn> columns = table.columns;
    if (is_dual(normalization_of(table).method)) {
        columns.push_back(ranking_column(table, Method::dualis));
    }
    for (const BankColumn& column : columns) {
        const auto least =
            std::min_element(column.offsets.begin(), column.offsets.end());
        fitted.columns.push_back({column, engine_->bind_table(table, column),
                                  least == column.offsets.end() ? 0 : *least});
    }
    fitted.table = std::make_shared<const NormTable>(std::move(table));
    return fitted;
}

void IndexQBNorm::install(Fitted fitted) {
    fitted_ = std::move(fitted);
    bound_gallery_.reset();
    bound_vectors_ = nullptr;
    sync_with_base();
    const auto flat = flat_vectors(innermost(*base_index));
    if (!flat || !fitted_.table) return;
    try {
        bound_gallery_ = engine_->bind_gallery(fitted_.table->metric, {*flat});
        bound_vectors_ = flat->data;
    } catch (const std::exception&) {
        // The index is whole without it: searches bind for themselves.
    }
}

void IndexQBNorm::set_querybank(idx_t m, const float* bank,
                                const float* gallery) {
    set_banks(m, bank, 0, nullptr, gallery);
}

void IndexQBNorm::set_banks(idx_t m, const float* bank, idx_t mg,
                            const float* gallerybank, const float* gallery) {
    as_faiss([&] {
        require(m > 0, "the querybank is empty");
        require(mg >= 0, "the gallerybank has ", mg, " rows");
        require(normalization.method != Method::dbsn || mg > 0 ||
                    base_index->ntotal > 0,
                "dbsn learns from items, of which there are none yet; add them "
                "first, or call set_banks with a gallerybank");
        check(normalization);
        const Banks given(view(m, bank), view(mg, gallerybank));
        check_finite(given.querybank, "querybank");
        check_finite(given.gallerybank, "gallerybank");
        // An untrained base is fitted by train().
        Fitted fitted;
        if (base_index->is_trained) fitted = fit_all(given, gallery);
        keep(given);
        install(std::move(fitted));
    });
}

IndexQBNorm::Fitted IndexQBNorm::fit_all(const Banks& banks,
                                         const float* gallery) const {
    const BaseGallery stored(innermost(*base_index));
    const FitOptions options = options_for(normalization);
    const TransformedBanks there(*base_index, banks);
    if (!gallery) return bind(fit(*engine_, stored, there.banks(), options));
    const MatrixView originals = view(base_index->ntotal, gallery);
    check_finite(originals, "gallery");
    const Transformed originals_there(*base_index, originals);
    return bind(fit(*engine_, OriginalsGallery(stored, originals_there.view()),
                    there.banks(), options));
}

void IndexQBNorm::set_table(NormTable given, idx_t m, const float* bank,
                            idx_t mg, const float* gallerybank) {
    as_faiss([&] {
        check(given);
        check_suits_base(given);
        const Normalization fitted_with = normalization_of(given);
        require(m >= 0 && mg >= 0, "the banks have ", m, " and ", mg, " rows");
        const Banks made_with(view(m, bank), view(mg, gallerybank));
        check_made_columns(given, made_with);
        // A fit of few items lists no more than there are.
        Fitted fitted =
            bind(with_longer_lists(given, default_list_length(fitted_with)));
        keep(made_with);
        normalization = fitted_with;
        install(std::move(fitted));
    });
}

// Of a file, which says itself what belongs together; the counts and labels
// that memory depends on are checked all the same.
void IndexQBNorm::restore(std::optional<NormTable> stored, const Banks& banks) {
    Fitted fitted;
    if (stored) {
        check(*stored);
        check_covers_base(*stored);
        fitted = bind(*std::move(stored));
    }
    keep(banks);
    install(std::move(fitted));
}

void IndexQBNorm::check_made_columns(const NormTable& given,
                                     const Banks& banks) const {
    for (const BankColumn& column : given.columns) {
        const bool of_queries = column.bank == Bank::querybank;
        const MatrixView& bank =
            of_queries ? banks.querybank : banks.gallerybank;
        const std::string name = name_of(column.bank);
        if (bank.rows == 0) continue;
        check_finite(bank, name);
        const Transformed there(*base_index, bank);
        require(bank.rows == column.bank_size &&
                    (fingerprint({bank}) == column.bank_fingerprint ||
                     fingerprint({there.view()}) == column.bank_fingerprint),
                "the ", name, " of ", bank.rows,
                " rows is not the one that the table was fitted with (",
                column.bank_size, " rows)");
    }
}

// It has an offset for every label of the base.
void IndexQBNorm::check_covers_base(const NormTable& given) const {
    const faiss::Index& inner = innermost(*base_index);
    const int inner_d = static_cast<int>(inner.d);
    check_table_fits(given, base_index->ntotal,
                     given.d == inner_d ? inner_d : static_cast<int>(d),
                     metric_of(*base_index));
    const idx_t labels = label_range(inner, given.gallery_size);
    require(labels <= given.gallery_size, "the base index holds label ",
            labels - 1, " but the table covers labels 0 to ",
            given.gallery_size - 1);
    require(given.holes == 0 || dynamic_cast<const faiss::IndexIVF*>(&inner),
            "the table has holes where items were removed, but labels of this "
            "base follow one another; call set_querybank");
}

// A table is of the vectors behind the transforms, or of the originals.
void IndexQBNorm::check_suits_base(const NormTable& given) const {
    check_covers_base(given);
    const faiss::Index& inner = innermost(*base_index);
    const int inner_d = static_cast<int>(inner.d);
    const int outer_d = static_cast<int>(d);
    const Metric metric = metric_of(*base_index);
    const BaseGallery stored(inner, given.gallery_size);
    if (given.d == inner_d && given.fingerprint == 0) return;
    if (given.d == inner_d && is_lossless(inner)) {
        std::uint64_t seen = 0;
        stored.for_each_selected_block(
            {}, [&](const GalleryBlock& b) { seen += fingerprint(b); });
        if (seen == given.fingerprint) return;
        require(&inner != base_index,
                "the base index does not hold the vectors that the table was "
                "fitted on (their fingerprints differ); fit the table with the "
                "index's own vectors");
    } else if (given.d == inner_d && inner_d != outer_d) {
        return;
    }
    require(preserves_scores(*base_index, metric),
            "the base index's transforms change the scores, so a table of the "
            "original vectors does not suit it; call set_querybank");
}

}  // namespace faiss_qbnorm
