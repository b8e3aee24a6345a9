// Oracle: oracle.h, the paper in double precision, on candidate lists.

#include "tests/cli/search_scene.h"

namespace {

using namespace cli;

class Rerank : public Search {
  protected:
    static constexpr idx_t width = 64;
    const Command rerank =
        "rerank --table table.qbn --labels labels.npy "
        "--distances distances.npy -o out";
    std::vector<idx_t> labels;
    std::vector<float> distances;

    // Each query's best raw items; every fifth slot is struck out.
    void find_candidates(const oracle::Rows& raw, Metric metric) {
        labels.clear();
        distances.clear();
        for (const oracle::Row& row : raw) {
            const auto order = oracle::ranking(row);
            for (idx_t slot = 0; slot < width; slot++) {
                const auto score = static_cast<float>(row[order[slot]]);
                labels.push_back(order[slot]);
                distances.push_back(metric == Metric::l2 ? -score : score);
                if (slot % 5 != 2) continue;
                labels.back() = -1;
                distances.back() = NAN;
            }
        }
    }

    void write_candidates() const {
        const auto rows = static_cast<idx_t>(distances.size()) / width;
        write_labels(folder / "labels.npy", width, labels);
        write_npy(folder / "distances.npy", "<f4", shape(rows, width),
                  bytes_of(distances));
    }

    // Expects the oracle's ranking of the candidates of row `i`. They are
    // numbered in the order of their labels, so that ties fall as they should.
    void expect_row(const Answer& answer, idx_t i,
                    const oracle::Reference& reference, Metric metric,
                    Method method) const {
        const auto first = labels.begin() + i * width;
        std::set<idx_t> known(first, first + width);
        known.erase(-1);
        const std::vector<idx_t> candidates(known.begin(), known.end());
        oracle::Row raw;
        oracle::Row offsets;
        std::set<idx_t> active;
        for (const idx_t label : candidates) {
            const auto number = static_cast<idx_t>(raw.size());
            if (reference.activation.contains(label)) active.insert(number);
            raw.push_back(reference.raw[i][label]);
            offsets.push_back(reference.offsets[label]);
        }
        std::vector<idx_t> numbers;
        std::vector<float> scores;
        for (idx_t slot = i * answer.k; slot < (i + 1) * answer.k; slot++) {
            const idx_t label = answer.labels[slot];
            const auto at =
                std::find(candidates.begin(), candidates.end(), label);
            ASSERT_EQ(at == candidates.end(), label == -1) << label;
            numbers.push_back(label == -1 ? -1 : at - candidates.begin());
            const float distance = answer.distances[slot];
            scores.push_back(metric == Metric::l2 ? -distance : distance);
        }
        oracle::expect_ranking(
            oracle::method_scores(method, raw, offsets, active), answer.k,
            scores.data(), numbers.data(), tolerance);
    }

    void expect_reranked(const Answer& answer,
                         const oracle::Reference& reference, Metric metric,
                         Method method) const {
        ASSERT_EQ(answer.nq, queries.rows);
        for (idx_t i = 0; i < queries.rows; i++) {
            SCOPED_TRACE("query " + std::to_string(i));
            expect_row(answer, i, reference, metric, method);
        }
    }
};

TEST_F(Rerank, ListsAreRankedAsTheOracleDoes) {
    for (const Metric metric : metrics) {
        const auto expected = reference(metric);
        find_candidates(expected.raw, metric);
        write_candidates();
        for (const Method method : methods) {
            SCOPED_TRACE(name_of(metric) + " " + name_of(method));
            fit_table(metric, method);
            expect_reranked(answer(rerank), expected, metric, method);
        }
    }
}

TEST_F(Rerank, TheListsOwnTop1DecidesTheGate) {
    const auto expected = reference(Metric::inner_product);
    fit_table(Metric::inner_product, Method::dis);
    find_candidates(expected.raw, Metric::inner_product);
    idx_t turned = 0;
    for (idx_t i = 0; i < queries.rows; i++) {
        const bool open = expected.activation.contains(labels[i * width]);
        labels[i * width] = -1;
        turned += open != expected.activation.contains(labels[i * width + 1]);
    }
    ASSERT_GT(turned, 0) << "gates that close or open without the best item";
    write_candidates();
    expect_reranked(answer(rerank), expected, Metric::inner_product,
                    Method::dis);
}

TEST_F(Rerank, ShortListsArePadded) {
    for (const Metric metric : metrics) {
        find_candidates(reference(metric).raw, metric);
        std::fill_n(labels.begin() + width, width, -1);  // all of row 1
        write_candidates();
        fit_table(metric, Method::is);
        const Answer found = answer(rerank.with("-k 70"));
        EXPECT_NE(found.labels[50], -1);
        for (idx_t slot = 51; slot < 2 * 70; slot++) {
            EXPECT_EQ(found.labels[slot], -1) << slot;
            EXPECT_EQ(found.distances[slot], empty_slot(metric)) << slot;
        }
        EXPECT_NE(found.labels[2 * 70], -1);
    }
}

TEST_F(Rerank, FilesThatDoNotBelongTogetherAreNamed) {
    fit_table(Metric::inner_product, Method::dis);
    find_candidates(reference(Metric::inner_product).raw,
                    Metric::inner_product);
    write_candidates();
    done(rerank.with("-o", "other"));
    const long before = folder.count();
    distances.resize(distances.size() - width);
    write_candidates();
    expect_refusal(run(rerank), 1,
                   {"labels.npy is 60 x 64", "distances.npy is 59 x 64"});
    write_labels(folder / "distances.npy", width, labels);
    expect_refusal(run(rerank), 1, {"distances.npy: holds int64", "float32"});
    write_npy(folder / "labels.npy", queries);
    expect_refusal(run(rerank), 1, {"labels.npy: holds float32", "int64"});
    EXPECT_EQ(folder.count(), before);
}

// So many rows that they are read in more than one batch.
class LongRerank : public Rerank {
  protected:
    static constexpr idx_t rows = 70000;

    LongRerank() {
        fit_table(Metric::l2, Method::dis);
        find_candidates(reference(Metric::l2).raw, Metric::l2);
        const size_t few = labels.size();
        for (size_t slot = few; slot < rows * width; slot++) {
            labels.push_back(labels[slot - few]);
            distances.push_back(distances[slot - few]);
        }
    }

    void expect_refused(const std::string& problem) const {
        write_candidates();
        expect_refusal(run(rerank), 1,
                       {"labels.npy, distances.npy: row 69000 ", problem});
        EXPECT_FALSE(std::filesystem::exists(folder / "out.labels.npy"));
        EXPECT_FALSE(std::filesystem::exists(folder / "out.distances.npy"));
    }
};

TEST_F(LongRerank, EveryBatchAnswersAlike) {
    write_candidates();
    const Answer found = answer(rerank.with("-k 3"));
    ASSERT_EQ(found.nq, rows);
    ASSERT_EQ(found.k, 3);
    const auto slots = queries.rows * 3;
    const Answer head{
        queries.rows,
        3,
        {found.distances.begin(), found.distances.begin() + slots},
        {found.labels.begin(), found.labels.begin() + slots}};
    expect_reranked(head, reference(Metric::l2), Metric::l2, Method::dis);
    EXPECT_EQ(differences(found, head), 0);
}

TEST_F(LongRerank, ErrorsNameTheFilesAndTheRow) {
    const long before = folder.count() + 2;  // the candidates are yet to come
    const idx_t late = 69000 * width;
    labels[late] = 1000;
    expect_refused("holds label 1000 but the table covers labels 0 to 999");
    labels[late] = -2;
    expect_refused("holds label -2");
    labels[late] = 999;
    for (const float distance : {NAN, INFINITY, -INFINITY}) {
        distances[late] = distance;
        expect_refused("holds a score of NaN or Inf for label 999");
    }
    EXPECT_EQ(folder.count(), before);
    distances[late] = 0.5;
    write_candidates();
    done(rerank);
}

}  // namespace
