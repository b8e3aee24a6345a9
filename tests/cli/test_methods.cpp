// Oracle: method_offsets.h, each paper in double precision.

#include <faiss/IndexIVF.h>
#include <faiss/IndexPreTransform.h>

#include <numeric>

#include "tests/cli/method_scene.h"

namespace {

using namespace cli;

class Methods : public MethodScene {};

bool has_metric(const Asked& asked, Metric metric) {
    return asked.normalization.method != Method::cent ||
           metric == Metric::inner_product;
}

TEST_F(Methods, FitAndSearchRankAsThePapersDo) {
    for (const Metric metric : metrics) {
        for (const Asked& asked : every_method()) {
            if (!has_metric(asked, metric)) continue;
            SCOPED_TRACE(asked.words + " " + name_of(metric));
            done(fit_with(asked, metric));
            expect_ranked(answer(gallery_search, metric), asked, metric);
        }
    }
}

TEST_F(Methods, PartsMergeToTheVeryFile) {
    for (const Asked& asked : every_method()) {
        SCOPED_TRACE(asked.words);
        const Command fit = fit_with(asked, Metric::inner_product);
        done(fit);
        const std::string whole = content("table.qbn");
        done(fit.with("--rows", "0:300").with("-o", "a.qbn"));
        done(fit.with("--rows", "300:1000").with("-o", "b.qbn"));
        done("merge b.qbn a.qbn -o table.qbn");
        EXPECT_TRUE(content("table.qbn") == whole);
        done("inspect table.qbn --verify");
    }
}

// The base brings every item, so that answers are those of an exact search.
TEST_F(Methods, AttachedIndexesRankAsThePapersDo) {
    for (const Metric metric : metrics) {
        faiss::IndexFlat flat(24, faiss_metric(metric));
        write(flat);
        for (const Asked& asked : every_method()) {
            if (!has_metric(asked, metric)) continue;
            SCOPED_TRACE(asked.words + " " + name_of(metric));
            done(Command("attach --index index.faiss --querybank bank.npy "
                         "--gallerybank others.npy -o index.qb")
                     .with("--method " + asked.words));
            expect_ranked(answer("search --index index.qb --queries "
                                 "queries.npy -o out",
                                 metric),
                          asked, metric);
            done(fit_with(asked, metric));
            expect_ranked(answer(index_search, metric), asked, metric);
        }
    }
}

// Every item is a candidate of each query.
TEST_F(Methods, RerankRanksAsThePapersDo) {
    for (const Metric metric : metrics) {
        std::vector<idx_t> labels;
        std::vector<float> distances;
        for (const oracle::Row& row : raw(metric)) {
            for (const idx_t label : oracle::ranking(row)) {
                const auto score = static_cast<float>(row[label]);
                labels.push_back(label);
                distances.push_back(metric == Metric::l2 ? -score : score);
            }
        }
        write_labels(folder / "labels.npy", 1000, labels);
        write_npy(folder / "distances.npy", "<f4", shape(queries.rows, 1000),
                  bytes_of(distances));
        for (const Asked& asked : every_method()) {
            if (!has_metric(asked, metric)) continue;
            SCOPED_TRACE(asked.words + " " + name_of(metric));
            done(fit_with(asked, metric));
            expect_ranked(answer("rerank --table table.qbn --labels labels.npy "
                                 "--distances distances.npy -o out"),
                          asked, metric);
        }
    }
}

TEST_F(Methods, FoldedIndexesRankAsThePapersDo) {
    for (const Asked& asked : every_method()) {
        SCOPED_TRACE(asked.words);
        done(fit_with(asked, Metric::inner_product));
        done(
            "fold --table table.qbn --gallery gallery.npy -o folded.faiss "
            "--json report.json");
        const double mean = read_json(folder / "report.json")["mean_offset"];
        const std::unique_ptr<faiss::Index> index(
            faiss::read_index((folder / "folded.faiss").c_str()));
        Answer answer{queries.rows, 10, {}, {}};
        answer.distances.resize(queries.rows * 10);
        answer.labels.resize(queries.rows * 10);
        index->search(queries.rows, queries.data.data(), 10,
                      answer.distances.data(), answer.labels.data());
        for (float& score : answer.distances) {
            score -= static_cast<float>(mean);
        }
        expect_ranked(answer, asked, Metric::inner_product);
    }
}

TEST_F(Methods, InspectSaysWhatATableIs) {
    const std::pair<const char*, const char*> expected[] = {
        {"csls", "; querybank of 90, method csls, neighbours 10\n"},
        {"nnn", "; querybank of 90, method nnn, neighbours 128, alpha 0.75\n"},
        {"cent", "; querybank of 90, method cent\n"},
        {"dbsn", "; querybank of 90, method dbsn, beta 100, iterations 10\n"},
        {"dualis",
         "; querybank of 90, method dualis, beta 20; activation set "},
        {"dualis", "; gallerybank of 70, method dualis, beta 3; activation "},
    };
    for (const auto& [method, words] : expected) {
        done(fit_with({method, {}}, Metric::inner_product));
        const std::string said = done("inspect table.qbn");
        EXPECT_NE(said.find(words), std::string::npos) << said;
    }
}

TEST_F(Methods, ReportsSayTheHyperparameters) {
    const auto columns = [&](const char* words) {
        done(fit_with({words, {}}, Metric::inner_product)
                 .with("--json", "report.json"));
        return read_json(folder / "report.json")["columns"];
    };
    auto found = columns("nnn --alpha 0.5");
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0]["method"], "nnn");
    EXPECT_EQ(found[0]["alpha"], 0.5);
    EXPECT_EQ(found[0]["neighbours"], 128);
    EXPECT_FALSE(found[0].contains("beta"));
    found = columns("dualis --beta2 5");
    ASSERT_EQ(found.size(), 2U);
    EXPECT_EQ(found[0]["bank"], "querybank");
    EXPECT_EQ(found[0]["beta"], 20);
    EXPECT_EQ(found[1]["bank"], "gallerybank");
    EXPECT_EQ(found[1]["beta"], 5);
    EXPECT_EQ(found[1]["bank_size"], 70);
    found = columns("dbsn --iterations 3");
    EXPECT_EQ(found[0]["beta"], 100);
    EXPECT_EQ(found[0]["iterations"], 3);
}

}  // namespace
