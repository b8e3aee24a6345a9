#include <faiss/IndexIVF.h>

#include <algorithm>
#include <numeric>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "faiss_qbnorm/IndexQBNorm_banks.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/core/merge.h"
#include "faiss_qbnorm/core/relabel.h"
#include "faiss_qbnorm/faiss/as_faiss.h"
#include "faiss_qbnorm/faiss/base_gallery.h"
#include "faiss_qbnorm/faiss/removal_of.h"
#include "faiss_qbnorm/faiss/unwrap.h"

// The calls that change the base, and the table with it. Each makes the new
// table first, so that a failure leaves both as they were.

namespace faiss_qbnorm {

namespace {

bool is_ivf(const faiss::Index& base) {
    return dynamic_cast<const faiss::IndexIVF*>(&innermost(base)) != nullptr;
}

idx_t list_length(const NormTable& table) {
    return table.columns.at(0).lists.length;
}

}  // namespace

bool IndexQBNorm::has_bank_of(const BankColumn& column) const {
    return !(column.bank == Bank::querybank ? bank_ : gallerybank_).empty();
}

void IndexQBNorm::check_changeable() const {
    for (const BankColumn& column : table()->columns) {
        require(has_bank_of(column), "this index took a table without its ",
                name_of(column.bank),
                ", so it cannot be changed; call set_querybank, or set_table "
                "with the bank");
    }
    require(table()->items() == base_index->ntotal,
            "base_index was changed from outside; call set_querybank");
}

void IndexQBNorm::train(idx_t n, const float* x) {
    base_index->train(n, x);
    fit_after_training();
}

void IndexQBNorm::fit_after_training() {
    sync_with_base();
    if (table() || bank_.empty() || !is_trained) return;
    as_faiss([&] { install(fit_all(banks(), nullptr)); });
}

void IndexQBNorm::add(idx_t n, const float* x) {
    if (!is_fitted() || n == 0 || !base_index->is_trained) {
        base_index->add(n, x);
        sync_with_base();
        return;
    }
    as_faiss([&] {
        if (!table()) install(fit_all(banks(), nullptr));
        check_changeable();
        const idx_t begin = table()->gallery_size;
        check_finite(GalleryBlock{view(n, x), begin}, "added vectors");
        const faiss::Index& inner = innermost(*base_index);
        const bool behind = &inner != base_index && !is_fitted_on_originals();
        const faiss::Index& fitted_in = behind ? *base_index : inner;
        const Transformed there(fitted_in, view(n, x));
        const TransformedBanks banks_there(fitted_in, banks());
        Fitted fitted = bind(fit_more(*engine_, *table(),
                                      MemoryGallery(there.view(), begin),
                                      banks_there.banks()));
        add_to_base(n, x);
        install(std::move(fitted));
    });
}

// A table may have been fitted on the originals, before transforms that
// preserve scores.
bool IndexQBNorm::is_fitted_on_originals() const {
    const BankColumn& column = table()->columns.front();
    const MatrixView bank =
        column.bank == Bank::querybank ? querybank() : gallerybank();
    return fingerprint({bank}) == column.bank_fingerprint;
}

// After holes the base itself would give labels out that are taken, and a
// hashtable direct map would file new items under any label.
void IndexQBNorm::add_to_base(idx_t n, const float* x) {
    const auto* ivf =
        dynamic_cast<const faiss::IndexIVF*>(&innermost(*base_index));
    const bool hashes =
        ivf && ivf->direct_map.type == faiss::DirectMap::Hashtable;
    if (table()->holes == 0 && !hashes) {
        base_index->add(n, x);
        return;
    }
    std::vector<idx_t> labels(n);
    std::iota(labels.begin(), labels.end(), table()->gallery_size);
    base_index->add_with_ids(n, x, labels.data());
}

void IndexQBNorm::reset() {
    as_faiss([&] {
        Fitted fitted;
        if (table()) fitted = bind(emptied(*table()));
        base_index->reset();
        install(std::move(fitted));
    });
}

size_t IndexQBNorm::remove_ids(const faiss::IDSelector& sel) {
    if (!table()) {
        const size_t removed = base_index->remove_ids(sel);
        sync_with_base();
        return removed;
    }
    return as_faiss([&] {
        require(table()->items() == base_index->ntotal,
                "base_index was changed from outside; call set_querybank");
        const Removal removal =
            removal_of(*base_index, table()->gallery_size, sel);
        Fitted fitted = bind(table_without(removal));
        const size_t removed = base_index->remove_ids(sel);
        require(static_cast<idx_t>(removed) == removal.count(),
                "the base index removed ", removed, " items instead of ",
                removal.count(), "; call set_querybank");
        install(std::move(fitted));
        return removed;
    });
}

NormTable IndexQBNorm::table_without(const Removal& removal) const {
    NormTable left = remove(*table(), removal);
    for (BankColumn& column : left.columns) {
        search_again(left, column, removal);
    }
    decide_activation(left);
    if (knows_fingerprint()) {
        left.fingerprint =
            fingerprint_left(table()->fingerprint, *base_index, removal);
    }
    return left;
}

// The bank queries that lost so many of their best items that the rest does not
// decide the activation set.
void IndexQBNorm::search_again(const NormTable& left, BankColumn& column,
                               const Removal& removal) const {
    const std::vector<idx_t> rows = rows_to_search(left, column);
    if (rows.empty() || !has_bank_of(column)) return;
    const MatrixView bank =
        column.bank == Bank::querybank ? querybank() : gallerybank();
    std::vector<float> some;
    for (const idx_t row : rows) {
        some.insert(some.end(), bank.row(row), bank.row(row + 1));
    }
    const Transformed there(*base_index,
                            view(static_cast<idx_t>(rows.size()), some.data()));
    // One bank's lists: IS makes them, whatever uses them.
    FitOptions options = options_for(
        {Method::is, column.beta(), column.normalization.activation_k});
    options.list_length = column.lists.length;
    const BaseGallery stored(innermost(*base_index), table()->gallery_size);
    const NormTable found =
        fit(*engine_, GalleryLeft(stored, removal), there.view(), options);
    replace_rows(column.lists, rows, found.columns.front().lists);
}

// What was fitted on is known to be what the base holds.
bool IndexQBNorm::knows_fingerprint() const {
    return table()->fingerprint != 0 && is_lossless(*base_index);
}

void IndexQBNorm::check_compatible_for_merge(const faiss::Index& other) const {
    const auto* that = dynamic_cast<const IndexQBNorm*>(&other);
    if (!is_fitted() && !(that && that->is_fitted())) {
        base_index->check_compatible_for_merge(that ? *that->base_index
                                                    : other);
        return;
    }
    as_faiss([&] {
        require(
            that && that->base_index != base_index && that->table() && table(),
            "a fitted IndexQBNorm joins only another fitted one; wrap the "
            "other index and give it the same querybank");
        check_changeable();
        that->check_changeable();
        require(table()->d == that->table()->d &&
                    table()->metric == that->table()->metric &&
                    std::equal(table()->columns.begin(), table()->columns.end(),
                               that->table()->columns.begin(),
                               that->table()->columns.end(), same_bank_and_fit),
                "the indexes were not fitted with the same querybank, method, "
                "beta and activation_k");
        // FAISS throws there among its threads, which ends the process.
        require(!has_packed_lists(innermost(*base_index)),
                "FastScan's inverted lists cannot be merged");
    });
    base_index->check_compatible_for_merge(*that->base_index);
}

void IndexQBNorm::merge_from(faiss::Index& other, idx_t add_id) {
    check_compatible_for_merge(other);
    auto* that = dynamic_cast<IndexQBNorm*>(&other);
    if (!table()) {
        base_index->merge_from(that ? *that->base_index : other, add_id);
        sync_with_base();
        if (that) that->sync_with_base();
        return;
    }
    as_faiss([&] {
        const idx_t size = table()->gallery_size;
        const bool ivf = is_ivf(*base_index);
        require(add_id == 0 || ivf,
                "add_id must be 0: labels of this base follow one another");
        const idx_t begin = add_id == 0 ? size : add_id;
        require(begin >= size, "add_id is ", add_id,
                " but this index has labels up to ", size - 1,
                "; give 0 or at least ", size);
        const idx_t most = most_labels(ntotal + that->ntotal);
        require(add_id == 0 || add_id <= most - that->table()->gallery_size,
                "add_id is ", add_id,
                ", which leaves too many labels without "
                "an item; give 0 or at most ",
                most - that->table()->gallery_size);
        Fitted joined = bind(table_joined(*that, begin));
        Fitted nothing = that->bind(emptied(*that->table()));
        base_index->merge_from(*that->base_index, ivf ? begin : 0);
        // It is empty, but an IndexPreTransform does not count again.
        that->base_index->reset();
        install(std::move(joined));
        that->install(std::move(nothing));
    });
}

NormTable IndexQBNorm::table_joined(const IndexQBNorm& that,
                                    idx_t begin) const {
    const idx_t length =
        std::max(list_length(*table()), list_length(*that.table()));
    NormTable moved = moved_to(with_longer_lists(*that.table(), length), begin);
    if (that.knows_fingerprint()) {
        moved.fingerprint = fingerprint_moved(
            BaseGallery(*that.base_index, that.table()->gallery_size), begin);
    }
    const NormTable before =
        grown(with_longer_lists(*table(), length), begin, moved.gallery_size);
    const NormTable* parts[] = {&before, &moved};
    return merge(parts);
}

}  // namespace faiss_qbnorm
