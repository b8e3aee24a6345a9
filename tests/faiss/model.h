#pragma once

#include <faiss/IndexIVF.h>
#include <faiss/impl/IDSelector.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "faiss_qbnorm/IndexQBNorm.h"
#include "tests/faiss/bases.h"
#include "tests/oracle.h"
#include "tests/temporary_folder.h"

/// What an IndexQBNorm that changes should hold and answer: its vectors by
/// label, kept with FAISS's label rules written out, under the float64 oracle.

namespace model {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::IndexQBNorm;
using faiss_qbnorm::Matrix;
using faiss_qbnorm::Method;
using faiss_qbnorm::Metric;
using faiss_qbnorm::Normalization;

#define EXPECT_REFUSED(statement, text) \
    EXPECT_THROW_SAYING(statement, faiss::FaissException, text)

inline faiss::Index& innermost(faiss::Index& base) {
    auto* pre = dynamic_cast<faiss::IndexPreTransform*>(&base);
    return pre ? innermost(*pre->index) : base;
}

inline Matrix rows(const Matrix& matrix, idx_t begin, idx_t end) {
    const auto some = matrix.view().slice(begin, end);
    return {{some.data, some.data + some.rows * some.d}, some.rows, some.d};
}

inline size_t remove_from(faiss::Index& index, const std::set<idx_t>& labels) {
    const std::vector<idx_t> list(labels.begin(), labels.end());
    return index.remove_ids(faiss::IDSelectorArray(list.size(), list.data()));
}

/// A trained, empty index, of which every inverted list is probed.
inline std::unique_ptr<faiss::Index> empty_base(const std::string& factory,
                                                Metric metric,
                                                const Matrix& training) {
    auto base = bases::make(factory, metric, training);
    base->reset();
    if (auto* ivf = dynamic_cast<faiss::IndexIVF*>(&innermost(*base))) {
        ivf->nprobe = ivf->nlist;
    }
    return base;
}

class Model {
  public:
    struct Item {
        std::vector<float> fitted;  ///< what its offset is made from
        std::vector<float> stored;  ///< what the base compares
        bool operator==(const Item&) const = default;
    };
    std::map<idx_t, Item> items;
    idx_t next = 0;  ///< the label of the next new item

    Model(faiss::Index& base, const Matrix& bank,
          const Normalization& normalization)
        : base_(base),
          is_ivf_(dynamic_cast<faiss::IndexIVF*>(&innermost(base)) != nullptr),
          bank_(bases::transformed(base, bank)),
          normalization_(normalization) {}

    void add(const Matrix& vectors) {
        const Matrix there = bases::transformed(base_, vectors);
        const faiss::Index& inner = innermost(base_);
        std::vector<std::uint8_t> codes(inner.sa_code_size() * there.rows);
        inner.sa_encode(there.rows, there.data.data(), codes.data());
        Matrix stored = there;
        inner.sa_decode(there.rows, codes.data(), stored.data.data());
        for (idx_t i = 0; i < there.rows; i++) {
            items[next++] = {{there.view().row(i), there.view().row(i + 1)},
                             {stored.view().row(i), stored.view().row(i + 1)}};
        }
    }

    /// Flat codes close up, inverted lists leave holes.
    void remove(const std::set<idx_t>& labels) {
        for (const idx_t label : labels) items.erase(label);
        if (is_ivf_) return;
        std::map<idx_t, Item> closed;
        next = 0;
        for (auto& [label, item] : items) closed[next++] = item;
        items = closed;
    }

    /// The other's labels follow, or `add_id` is added to them.
    void merge(Model& other, idx_t add_id = 0) {
        const idx_t begin = add_id == 0 ? next : add_id;
        for (auto& [label, item] : other.items) items[begin + label] = item;
        next = begin + other.next;
        other.reset();
    }

    void reset() {
        items.clear();
        next = 0;
    }

    std::vector<idx_t> labels() const {
        std::vector<idx_t> result;
        for (const auto& [label, item] : items) result.push_back(label);
        return result;
    }

    /// The items by their place among the labels; the offsets likewise.
    oracle::Reference reference(const Matrix& queries) const {
        const Matrix there = bases::transformed(base_, queries);
        const Matrix fitted = matrix(&Item::fitted);
        const Matrix stored = matrix(&Item::stored);
        oracle::Reference result(metric(), fitted.view(), there.view(),
                                 bank_.view(), normalization_.beta,
                                 normalization_.activation_k);
        result.raw =
            oracle::similarities(metric(), there.view(), stored.view());
        return result;
    }

    /// Labels in the order in which a bank query ranks them.
    std::vector<idx_t> best_of(idx_t bank_query) const {
        const Matrix fitted = matrix(&Item::fitted);
        const auto order = oracle::ranking(oracle::similarities(
            metric(), bank_.view().slice(bank_query, bank_query + 1),
            fitted.view())[0]);
        const auto all = labels();
        std::vector<idx_t> result;
        for (const idx_t place : order) result.push_back(all[place]);
        return result;
    }

    /// Expects table and answers of `index` to be those of a fit from scratch.
    void expect_in(const IndexQBNorm& index, const Matrix& queries, idx_t k,
                   const std::vector<Method>& methods = {
                       Method::none, Method::is, Method::dis}) const {
        const auto size = static_cast<idx_t>(items.size());
        ASSERT_EQ(index.ntotal, size);
        ASSERT_EQ(index.base_index->ntotal, size);
        ASSERT_NE(index.table(), nullptr);
        const faiss_qbnorm::NormTable& table = *index.table();
        ASSERT_EQ(table.gallery_size, next);
        ASSERT_TRUE(table.is_whole());
        ASSERT_EQ(table.items(), size);
        ASSERT_EQ(table.holes, next - size);
        const auto all = labels();
        const oracle::Reference expected = reference(queries);
        for (idx_t i = 0; i < size; i++) {
            ASSERT_NEAR(table.columns[0].offsets[all[i]], expected.offsets[i],
                        1e-5)
                << "label " << all[i];
            ASSERT_EQ(table.columns[0].activation.contains(all[i]),
                      expected.activation.contains(i))
                << "label " << all[i];
        }
        // Holes are in no activation set.
        ASSERT_EQ(table.columns[0].activation.count(),
                  static_cast<idx_t>(expected.activation.size()));
        for (const Method method : methods) {
            SCOPED_TRACE(testing::Message() << "method " << name_of(method));
            expect_answers(index, queries, k, method, expected, all);
        }
    }

  private:
    Metric metric() const {
        return base_.metric_type == faiss::METRIC_L2 ? Metric::l2
                                                     : Metric::inner_product;
    }

    Matrix matrix(std::vector<float> Item::*vector) const {
        Matrix result{{}, static_cast<idx_t>(items.size()), bank_.d};
        for (const auto& [label, item] : items) {
            const auto& values = item.*vector;
            result.data.insert(result.data.end(), values.begin(), values.end());
        }
        return result;
    }

    void expect_answers(const IndexQBNorm& index, const Matrix& queries,
                        idx_t k, Method method,
                        const oracle::Reference& expected,
                        const std::vector<idx_t>& all) const {
        faiss_qbnorm::SearchParametersQBNorm params;
        params.method = method;
        params.k_factor = 1e6F;  // every item is a candidate
        const idx_t nq = queries.rows;
        std::vector<float> distances(nq * k);
        std::vector<idx_t> found(nq * k);
        index.search(nq, queries.data.data(), k, distances.data(), found.data(),
                     &params);
        if (metric() == Metric::l2) {
            for (float& distance : distances) distance = -distance;
        }
        for (idx_t& label : found) {
            if (label < 0) continue;
            const auto at = std::lower_bound(all.begin(), all.end(), label);
            ASSERT_TRUE(at != all.end() && *at == label)
                << "no item has label " << label;
            label = at - all.begin();
        }
        for (idx_t i = 0; i < nq; i++) {
            SCOPED_TRACE(testing::Message() << "query " << i);
            const oracle::Row scores =
                all.empty() ? oracle::Row{} : expected.scores(method, i);
            oracle::expect_ranking(scores, k, &distances[i * k], &found[i * k],
                                   2e-5);
        }
    }

    faiss::Index& base_;
    bool is_ivf_;
    Matrix bank_;
    Normalization normalization_;
};

/// The vectors and queries of a test.
struct Data {
    Matrix gallery;
    Matrix queries;
    Matrix bank;
};

/// An index with a bank, and what it should hold.
struct Side {
    const Data& vectors;
    std::unique_ptr<faiss::Index> base;
    IndexQBNorm index;
    Model model;

    Side(const Data& given, const std::string& factory, Metric metric,
         const Normalization& normalization = {})
        : vectors(given),
          base(empty_base(factory, metric, vectors.gallery)),
          index(base.get()),
          model(*base, vectors.bank, normalization) {
        index.normalization = normalization;
        index.set_querybank(vectors.bank.rows, vectors.bank.data.data());
    }

    void add(idx_t begin, idx_t end) {
        index.add(end - begin, vectors.gallery.view().row(begin));
        model.add(rows(vectors.gallery, begin, end));
    }
    void remove(const std::set<idx_t>& labels) {
        EXPECT_EQ(remove_from(index, labels), labels.size());
        model.remove(labels);
    }
    void merge(Side& other, idx_t add_id = 0) {
        index.merge_from(other.index, add_id);
        model.merge(other.model, add_id);
    }
    void expect() const { model.expect_in(index, vectors.queries, 10); }
};

/// A whole table and the base's labels, to see that nothing changed.
struct Snapshot {
    std::vector<float> offsets;
    std::vector<std::uint64_t> activation;
    std::vector<idx_t> lists;
    std::uint64_t fingerprint;
    idx_t gallery_size, holes, ntotal, base_ntotal;
    std::vector<idx_t> labels;
    std::vector<float> distances;

    Snapshot(const IndexQBNorm& index, const Matrix& queries)
        : fingerprint(index.table()->fingerprint),
          gallery_size(index.table()->gallery_size),
          holes(index.table()->holes),
          ntotal(index.ntotal),
          base_ntotal(index.base_index->ntotal),
          labels(queries.rows * 10),
          distances(queries.rows * 10) {
        const auto& column = index.table()->columns[0];
        offsets.assign(column.offsets.begin(), column.offsets.end());
        const auto& words = column.activation.words();
        activation.assign(words.begin(), words.end());
        lists.assign(column.lists.labels.begin(), column.lists.labels.end());
        index.search(queries.rows, queries.data.data(), 10, distances.data(),
                     labels.data());
    }
    bool operator==(const Snapshot&) const = default;
};

}  // namespace model
