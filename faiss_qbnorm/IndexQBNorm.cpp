#include "faiss_qbnorm/IndexQBNorm.h"

#include <faiss/IndexIVFSpectralHash.h>
#include <faiss/IndexLSH.h>
#include <faiss/impl/FaissException.h>

#include <exception>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/faiss/base_gallery.h"
#include "faiss_qbnorm/faiss/search_base.h"
#include "faiss_qbnorm/faiss/unwrap.h"
#include "faiss_qbnorm/make_engine.h"
#include "faiss_qbnorm/search.h"

namespace faiss_qbnorm {

namespace {

// Users of FAISS catch FaissException.
template <class Call>
auto as_faiss(Call call) {
    try {
        return call();
    } catch (const Error& problem) {
        throw faiss::FaissException(problem.what());
    }
}

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
    require(!dynamic_cast<const faiss::IndexLSH*>(&index) &&
                !dynamic_cast<const faiss::IndexIVFSpectralHash*>(&index),
            "the base index returns Hamming distances, which cannot be "
            "normalised");
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

void IndexQBNorm::install(std::shared_ptr<const NormTable> table,
                          std::unique_ptr<BoundTable> bound) {
    table_ = std::move(table);
    bound_table_ = std::move(bound);
    bound_gallery_.reset();
    bound_vectors_ = nullptr;
    sync_with_base();
    const auto flat = flat_vectors(innermost(*base_index));
    if (!flat || !table_) return;
    try {
        bound_gallery_ = engine_->bind_gallery(table_->metric, {*flat});
        bound_vectors_ = flat->data;
    } catch (const std::exception&) {
        // The index is whole without it: searches bind for themselves.
    }
}

void IndexQBNorm::set_querybank(idx_t m, const float* bank,
                                const float* gallery) {
    as_faiss([&] {
        require(m > 0, "the querybank is empty");
        check(normalization);
        check_finite(view(m, bank), "querybank");
        std::vector<float> kept(bank, bank + m * d);
        if (!base_index->is_trained) {  // train() fits
            bank_ = std::move(kept);
            install(nullptr, nullptr);
            return;
        }
        fit_all(view(m, bank), gallery);
        bank_ = std::move(kept);
    });
}

void IndexQBNorm::fit_all(const MatrixView& bank, const float* gallery) {
    const BaseGallery stored(innermost(*base_index));
    const FitOptions options = options_for(normalization);
    const Transformed bank_there(*base_index, bank);
    NormTable fitted;
    if (gallery) {
        const MatrixView originals = view(base_index->ntotal, gallery);
        check_finite(originals, "gallery");
        const Transformed originals_there(*base_index, originals);
        fitted = fit(*engine_, MemoryGallery(originals_there.view()),
                     bank_there.view(), options);
    } else {
        fitted = fit(*engine_, stored, bank_there.view(), options);
    }
    auto table = std::make_shared<const NormTable>(std::move(fitted));
    auto bound = engine_->bind_table(*table);
    install(std::move(table), std::move(bound));
}

void IndexQBNorm::set_table(NormTable given, idx_t m, const float* bank) {
    as_faiss([&] {
        check(given);
        check_suits_base(given);
        const BankColumn& column = column_of(given, Bank::querybank);
        require(m >= 0, "the querybank has ", m, " rows");
        if (m > 0) check_made_column(view(m, bank), column);
        auto table = std::make_shared<const NormTable>(std::move(given));
        auto bound = engine_->bind_table(*table);
        std::vector<float> kept(bank, bank + m * d);
        normalization = column_of(*table, Bank::querybank).normalization;
        bank_ = std::move(kept);
        install(std::move(table), std::move(bound));
    });
}

// Of a file, which says itself what belongs together; the counts and labels
// that memory depends on are checked all the same.
void IndexQBNorm::restore(std::optional<NormTable> stored,
                          const MatrixView& bank) {
    std::shared_ptr<const NormTable> table;
    std::unique_ptr<BoundTable> bound;
    if (stored) {
        check(*stored);
        const BaseGallery inner(innermost(*base_index));
        check_table_fits(*stored, base_index->ntotal,
                         stored->d == inner.d() ? inner.d() : bank.d,
                         metric_of(*base_index));
        table = std::make_shared<const NormTable>(*std::move(stored));
        bound = engine_->bind_table(*table);
    }
    bank_.assign(bank.data, bank.data + bank.rows * bank.d);
    install(std::move(table), std::move(bound));
}

void IndexQBNorm::check_made_column(const MatrixView& bank,
                                    const BankColumn& column) const {
    check_finite(bank, "querybank");
    const Transformed there(*base_index, bank);
    require(bank.rows == column.bank_size &&
                (fingerprint({bank}) == column.bank_fingerprint ||
                 fingerprint({there.view()}) == column.bank_fingerprint),
            "the querybank of ", bank.rows,
            " rows is not the one that the table was fitted with (",
            column.bank_size, " rows)");
}

// A table is of the vectors behind the transforms, or of the originals.
void IndexQBNorm::check_suits_base(const NormTable& given) const {
    const faiss::Index& inner = innermost(*base_index);
    const int inner_d = static_cast<int>(inner.d);
    const int outer_d = static_cast<int>(d);
    const Metric metric = metric_of(*base_index);
    check_table_fits(given, base_index->ntotal,
                     given.d == inner_d ? inner_d : outer_d, metric);
    const BaseGallery stored(inner);
    if (given.d == inner_d && is_lossless(inner)) {
        std::uint64_t seen = 0;
        stored.for_each_block(0, stored.size(), [&](const GalleryBlock& b) {
            seen += fingerprint(b);
        });
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

void IndexQBNorm::train(idx_t n, const float* x) {
    base_index->train(n, x);
    sync_with_base();
    if (!table_ && !bank_.empty())
        as_faiss([&] { fit_all(querybank(), nullptr); });
}

void IndexQBNorm::add(idx_t n, const float* x) {
    const bool fits = table_ || !bank_.empty();
    if (!fits || n == 0 || !base_index->is_trained) {
        base_index->add(n, x);
        sync_with_base();
        return;
    }
    as_faiss([&] {
        require(!bank_.empty(),
                "this index took a table without its querybank, so vectors "
                "cannot be added; call set_querybank first");
        if (!table_) fit_all(querybank(), nullptr);
        require(table_->gallery_size == base_index->ntotal,
                "base_index was changed from outside; call set_querybank");
        const idx_t begin = base_index->ntotal;
        check_finite(GalleryBlock{view(n, x), begin}, "added vectors");
        const Transformed there(*base_index, view(n, x));
        const Transformed bank_there(*base_index, querybank());
        FitOptions options =
            options_for(column_of(*table_, Bank::querybank).normalization);
        options.begin = begin;
        NormTable before = *table_;
        before.gallery_size += n;
        const NormTable added =
            fit(*engine_, MemoryGallery(there.view(), begin), bank_there.view(),
                options);
        const NormTable* parts[] = {&before, &added};
        auto table = std::make_shared<const NormTable>(merge(parts));
        auto bound = engine_->bind_table(*table);
        base_index->add(n, x);
        install(std::move(table), std::move(bound));
    });
}

void IndexQBNorm::reset() {
    as_faiss([&] {
        std::shared_ptr<const NormTable> table;
        std::unique_ptr<BoundTable> bound;
        if (table_ && !bank_.empty()) {
            const Transformed bank_there(*base_index, querybank());
            const MatrixView none{nullptr, 0, bank_there.view().d};
            table = std::make_shared<const NormTable>(
                fit(*engine_, MemoryGallery(none), bank_there.view(),
                    options_for(
                        column_of(*table_, Bank::querybank).normalization)));
            bound = engine_->bind_table(*table);
        }
        base_index->reset();
        install(std::move(table), std::move(bound));
    });
}

void IndexQBNorm::check_searchable() const {
    require(table_ != nullptr,
            "this index has no fitted querybank; call set_querybank, or set "
            "normalization.method = none for raw answers");
    require(base_index->is_trained, "the base index is not trained");
    require(table_->gallery_size == base_index->ntotal, "base_index has ",
            base_index->ntotal, " vectors but the table covers ",
            table_->gallery_size,
            "; add through IndexQBNorm or call set_querybank again");
    check(normalization);
    const Normalization& fitted =
        column_of(*table_, Bank::querybank).normalization;
    require(normalization.beta == fitted.beta &&
                normalization.activation_k == fitted.activation_k,
            "normalization has beta ", normalization.beta, " and activation_k ",
            normalization.activation_k, " but was fitted with ", fitted.beta,
            " and ", fitted.activation_k, "; call set_querybank again");
}

void IndexQBNorm::search(idx_t n, const float* x, idx_t k, float* distances,
                         idx_t* labels,
                         const faiss::SearchParameters* params) const {
    if (normalization.method == Method::none) {
        base_index->search(n, x, k, distances, labels, params);
        return;
    }
    as_faiss([&] {
        require(k > 0, "k is ", k, " but must be at least 1");
        check_searchable();
        check_finite(view(n, x), "queries");
        search_base(
            *base_index,
            {*engine_, *table_, *bound_table_, bound_gallery_.get(),
             bound_vectors_, normalization.method, k_factor, min_candidates},
            view(n, x), k, {distances, labels}, params);
        scores_to_distances(table_->metric, n * k, labels, distances);
    });
}

}  // namespace faiss_qbnorm
