#include "faiss_qbnorm/fold/fold.h"

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexRefine.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/index_factory.h>

#include <algorithm>
#include <numeric>
#include <typeinfo>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/faiss/base_gallery.h"
#include "faiss_qbnorm/faiss/unwrap.h"
#include "faiss_qbnorm/fold/fold_transform.h"
#include "faiss_qbnorm/search.h"

namespace faiss_qbnorm {

namespace {

// ---- what folds ----

BankColumn foldable_column(const NormTable& table, const Gallery& gallery) {
    require(table.metric == Metric::inner_product, "a table of metric ",
            name_of(table.metric),
            " does not fold into an index, only one of the inner product does; "
            "use IndexQBNorm or qbnorm search");
    check_table_fits(table, gallery.size(), gallery.d(), table.metric);
    require(table.size() == gallery.size() && table.size() > 0,
            "the table holds offsets of ", table.size(), " items but ",
            gallery.name(), " has ", gallery.size(), "; fit it again");
    check(table);
    const Method method = normalization_of(table).method;
    require(has_offset(method), "method ", name_of(method),
            " does not fold into an index, since it ranks by no offset; use "
            "IndexQBNorm or qbnorm search");
    BankColumn column = ranking_column(table, method);
    largest_offset(column);  // throws on NaN and Inf
    return column;
}

template <class... Types>
bool is_exactly_one_of(const faiss::Index& index) {
    return ((typeid(index) == typeid(Types)) || ...);
}

bool keeps_offset(const faiss::ScalarQuantizer& quantizer) {
    using SQ = faiss::ScalarQuantizer;
    return quantizer.qtype == SQ::QT_4bit || quantizer.qtype == SQ::QT_6bit ||
           quantizer.qtype == SQ::QT_8bit || quantizer.qtype == SQ::QT_fp16;
}

bool keeps_offset(const faiss::Index& index) {
    if (const auto* hnsw = dynamic_cast<const faiss::IndexHNSW*>(&index)) {
        return is_exactly_one_of<faiss::IndexHNSWFlat, faiss::IndexHNSWSQ>(
                   index) &&
               keeps_offset(*hnsw->storage);
    }
    if (is_exactly_one_of<faiss::IndexScalarQuantizer>(index)) {
        return keeps_offset(
            static_cast<const faiss::IndexScalarQuantizer&>(index).sq);
    }
    if (is_exactly_one_of<faiss::IndexIVFScalarQuantizer>(index)) {
        return keeps_offset(
            static_cast<const faiss::IndexIVFScalarQuantizer&>(index).sq);
    }
    return is_exactly_one_of<faiss::IndexFlat, faiss::IndexFlatIP,
                             faiss::IndexIVFFlat>(index);
}

// By the factory's words: some codes are refused by FAISS already, because
// their parts do not divide d + 1.
[[noreturn]] void refuse(const std::string& factory, const std::string& why) {
    for (const char* code : {"PQ", "RQ", "LSQ", "LSH", "Lattice"}) {
        if (factory.find(code) == std::string::npos) continue;
        fail("the codes of '", factory,
             "' lose the offset; build that index without it and have it "
             "wrapped in an IndexRefine (fold_refine, qbnorm fold --index)");
    }
    fail("'", factory, "' does not fold", why,
         "; give Flat, SQ8, IVF256,Flat, IVF256,SQ8, HNSW32, HNSW32_SQ8 or the "
         "like, or have an index of yours wrapped in an IndexRefine "
         "(fold_refine, qbnorm fold --index)");
}

std::unique_ptr<faiss::Index> make_inner(int d, const std::string& factory) {
    std::unique_ptr<faiss::Index> inner;
    try {
        inner.reset(faiss::index_factory(d, factory.c_str(),
                                         faiss::METRIC_INNER_PRODUCT));
    } catch (const std::exception& problem) {
        refuse(factory, std::string(": FAISS says: ") + problem.what());
    }
    if (!keeps_offset(*inner) ||
        inner->metric_type != faiss::METRIC_INNER_PRODUCT) {
        refuse(factory, "");
    }
    return inner;
}

// ---- filling ----

/// A gallery whose vectors have their centred, negated offset behind them.
class Augmented {
  public:
    Augmented(const NormTable& table, const BankColumn& column,
              const Gallery& gallery)
        : table_(table), gallery_(gallery) {
        const double mean = mean_offset(column);
        for (const float offset : column.offsets) {
            last_.push_back(static_cast<float>(mean - offset));
        }
    }

    int d() const { return gallery_.d() + 1; }
    idx_t size() const { return gallery_.size(); }
    const std::vector<float>& last() const { return last_; }

    /// Shows `visit` all rows and the label of the first, in label order.
    /// Throws at the end where it was not the table's gallery.
    template <class Visit>
    void for_each_block(Visit visit) const {
        std::vector<float> rows;
        std::uint64_t seen = 0;
        idx_t next = 0;
        gallery_.for_each_block(0, size(), [&](const GalleryBlock& block) {
            const MatrixView& vectors = block.vectors;
            require(!block.labels && block.first_label == next, gallery_.name(),
                    " does not come in the order of its "
                    "labels; give the original vectors");
            seen += fingerprint(block);
            rows.resize(vectors.rows * d());
            for (idx_t i = 0; i < vectors.rows; i++) {
                float* row = rows.data() + i * d();
                std::copy_n(vectors.row(i), vectors.d, row);
                row[vectors.d] = last_[next + i];
            }
            visit(MatrixView{rows.data(), vectors.rows, d()}, next);
            next += vectors.rows;
        });
        require(seen == table_.fingerprint, gallery_.name(),
                " is not the gallery that the table was fitted on (their "
                "fingerprints differ); fit it again");
    }

  private:
    const NormTable& table_;
    const Gallery& gallery_;
    std::vector<float> last_;
};

idx_t training_rows(const faiss::Index& index) {
    constexpr idx_t fewest = idx_t{1} << 16;
    constexpr idx_t per_list = 256;  // FAISS's k-means takes no more
    const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&index);
    const idx_t lists = ivf ? static_cast<idx_t>(ivf->nlist) : 0;
    return std::max(fewest, per_list * lists);
}

// Trains on rows spread over the gallery, and on those of the extreme offsets:
// a scalar quantizer cuts off what its training did not reach.
void train(faiss::Index& index, const Augmented& gallery) {
    const auto [low, high] =
        std::minmax_element(gallery.last().begin(), gallery.last().end());
    const idx_t lowest = low - gallery.last().begin();
    const idx_t highest = high - gallery.last().begin();
    const idx_t stride = (gallery.size() - 1) / training_rows(index) + 1;
    std::vector<float> sample;
    gallery.for_each_block([&](const MatrixView& rows, idx_t first) {
        for (idx_t i = 0; i < rows.rows; i++) {
            const idx_t label = first + i;
            if (label % stride == 0 || label == lowest || label == highest) {
                sample.insert(sample.end(), rows.row(i), rows.row(i + 1));
            }
        }
    });
    index.train(static_cast<idx_t>(sample.size()) / gallery.d(), sample.data());
}

// A vector that doubles as it grows would hold up to three times the gallery.
// FAISS's later containers cannot be told.
template <class Codes>
void reserve(Codes& codes, size_t bytes) {
    if constexpr (requires { codes.reserve(bytes); }) codes.reserve(bytes);
}

void reserve_codes(faiss::Index& index, idx_t size) {
    if (const auto* hnsw = dynamic_cast<const faiss::IndexHNSW*>(&index)) {
        reserve_codes(*hnsw->storage, size);
    } else if (auto* flat = dynamic_cast<faiss::IndexFlatCodes*>(&index)) {
        reserve(flat->codes, size * flat->code_size);
    }
}

// ---- bases ----

void check_base(const faiss::Index& base, const NormTable& table) {
    if (dynamic_cast<const faiss::IndexRefine*>(&base)) {
        fail("the index is an IndexRefine already; fold its base_index");
    }
    require(!as_behind_one(base), "the index is folded already");
    require_sequential_labels(
        innermost(base),
        "; fold the index that is in the ID map, and put the folded one in its "
        "place (idmap->index = folded)");
    require(base.metric_type == faiss::METRIC_INNER_PRODUCT,
            "the index is not one of the inner product, and no other metric "
            "folds; use IndexQBNorm or qbnorm search");
    require(base.d == table.d && base.ntotal == table.gallery_size,
            "the index has ", base.ntotal, " vectors, d = ", base.d,
            ", but the table was fitted on ", table.gallery_size,
            " items, d = ", table.d, "; give an index of the same gallery");
}

}  // namespace

double mean_offset(const BankColumn& column) {
    const auto size = static_cast<double>(column.offsets.size());
    return std::accumulate(column.offsets.begin(), column.offsets.end(), 0.0) /
           size;
}

std::unique_ptr<faiss::Index> fold(const NormTable& table,
                                   const Gallery& gallery,
                                   const std::string& factory,
                                   const std::function<void(idx_t)>& progress) {
    const BankColumn column = foldable_column(table, gallery);
    auto inner = make_inner(gallery.d() + 1, factory);
    const Augmented augmented(table, column, gallery);
    if (!inner->is_trained) train(*inner, augmented);
    reserve_codes(*inner, gallery.size());
    augmented.for_each_block([&](const MatrixView& rows, idx_t first) {
        inner->add(rows.rows, rows.data);
        if (progress) progress(first + rows.rows);
    });
    return behind_one(std::move(inner));
}

std::unique_ptr<faiss::Index> fold_refine(
    const NormTable& table, const Gallery& gallery,
    std::unique_ptr<faiss::Index> base, float k_factor,
    const std::function<void(idx_t)>& progress) {
    require(k_factor >= 1, "k_factor is ", k_factor, " but must be at least 1");
    foldable_column(table, gallery);
    check_base(*base, table);
    auto folded = fold(table, gallery, "Flat", progress);
    auto refine =
        std::make_unique<faiss::IndexRefine>(base.get(), folded.get());
    refine->own_fields = true;
    static_cast<void>(base.release());
    refine->own_refine_index = true;
    static_cast<void>(folded.release());
    refine->k_factor = k_factor;
    return refine;
}

}  // namespace faiss_qbnorm
