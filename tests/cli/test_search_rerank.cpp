// Oracle: oracle.h, the paper in double precision, on whole galleries and on
// candidate lists.

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexRefine.h>
#include <faiss/index_io.h>
#include <sys/inotify.h>

#include <cfloat>

#include "tests/cli/run.h"

namespace {

using namespace cli;

constexpr Metric metrics[] = {Metric::inner_product, Metric::l2};
constexpr Method methods[] = {Method::is, Method::dis};

faiss::MetricType faiss_metric(Metric metric) {
    return metric == Metric::l2 ? faiss::METRIC_L2
                                : faiss::METRIC_INNER_PRODUCT;
}

float empty_slot(Metric metric) {
    return metric == Metric::l2 ? FLT_MAX : -FLT_MAX;
}

class Search : public Scene {
  protected:
    const Command gallery_search =
        "search --table table.qbn --gallery gallery.npy --queries queries.npy "
        "-o out";
    const Command index_search =
        "search --table table.qbn --index index.faiss --queries queries.npy "
        "-o out";

    void fit_table(Metric metric, Method method) const {
        done(fit.with("--method", name_of(method))
                 .with("--metric", name_of(metric)));
    }

    Answer answer(const Command& command) const {
        done(command);
        return read_answer(folder / "out");
    }

    Answer answer(const Command& command, Metric metric) const {
        return answer(command.with("--metric", name_of(metric)));
    }

    // Writes the index as index.faiss, the gallery in it.
    void write(faiss::Index& index) const {
        if (!index.is_trained) index.train(gallery.rows, gallery.data.data());
        index.add(gallery.rows, gallery.data.data());
        faiss::write_index(&index, (folder / "index.faiss").c_str());
    }

    void write_ivf(Metric metric) const {
        faiss::IndexFlat quantizer(24, faiss_metric(metric));
        faiss::IndexIVFFlat ivf(&quantizer, 24, 16, faiss_metric(metric));
        write(ivf);
    }
};

// ---- search --gallery ----

TEST_F(Search, GalleryAnswersAreTheOracles) {
    for (const Metric metric : metrics) {
        const auto expected = reference(metric);
        for (const Method method : methods) {
            SCOPED_TRACE(name_of(metric) + " " + name_of(method));
            fit_table(metric, method);
            const Answer found = answer(gallery_search.with("-k 13"), metric);
            EXPECT_EQ(found.k, 13);
            expect_answer(found, expected, metric, method);
        }
    }
}

TEST_F(Search, TheSceneHasGatesOfBothKinds) {
    for (const Metric metric : metrics) {
        const auto expected = reference(metric);
        idx_t open = 0;
        for (const auto& raw : expected.raw) {
            open += expected.activation.contains(oracle::ranking(raw)[0]);
        }
        EXPECT_GT(open, 0);
        EXPECT_LT(open, queries.rows);
    }
}

// Rows of seven lengths.
Matrix stretched(Matrix m) {
    for (idx_t i = 0; i < m.rows * m.d; i++) {
        m.data[i] *= static_cast<float>(1 + i / m.d % 7);
    }
    return m;
}

TEST_F(Search, NormalizeDividesByTheNorms) {
    write_npy(folder / "gallery.npy", stretched(gallery));
    write_npy(folder / "bank.npy", stretched(bank));
    write_npy(folder / "queries.npy", stretched(queries));
    done(fit.with("--normalize"));
    expect_answer(answer(gallery_search.with("--normalize")),
                  reference(Metric::inner_product), Metric::inner_product,
                  Method::dis);
}

TEST_F(Search, NormalizeDividesTheQueriesOfAnIndex) {
    fit_table(Metric::inner_product, Method::dis);
    faiss::IndexFlatIP flat(24);
    write(flat);
    write_npy(folder / "queries.npy", stretched(queries));
    expect_answer(answer(index_search.with("--normalize")),
                  reference(Metric::inner_product), Metric::inner_product,
                  Method::dis);
}

TEST_F(Search, EveryVectorFormatIsRead) {
    const Matrix g = cut_to_half(gallery);
    const Matrix b = cut_to_half(bank);
    const Matrix q = cut_to_half(queries);
    const oracle::Reference expected(Metric::inner_product, g.view(), q.view(),
                                     b.view(), 20, 1);
    const auto expect_read = [&](const std::string& extension, auto write) {
        SCOPED_TRACE(extension);
        write(folder / ("g" + extension), g);
        write(folder / ("b" + extension), b);
        write(folder / ("q" + extension), q);
        done(fit.with("--gallery", "g" + extension)
                 .with("--querybank", "b" + extension));
        const Answer found =
            answer(gallery_search.with("--gallery", "g" + extension)
                       .with("--queries", "q" + extension));
        expect_answer(found, expected, Metric::inner_product, Method::dis);
    };
    expect_read(".npy", write_half);
    expect_read(".fvecs", write_fvecs);
    expect_read(".fbin", write_fbin);
}

TEST_F(Search, SlotsPastTheGalleryAreEmpty) {
    Matrix few = gallery;
    few.rows = 7;
    few.data.resize(7 * 24);
    write_npy(folder / "gallery.npy", few);
    for (const Metric metric : metrics) {
        fit_table(metric, Method::dis);
        faiss::IndexFlat index(24, faiss_metric(metric));
        index.add(few.rows, few.data.data());
        faiss::write_index(&index, (folder / "index.faiss").c_str());
        for (const Command& command : {gallery_search, index_search}) {
            const Answer found = answer(command.with("-k 9"), metric);
            for (idx_t slot = 0; slot < queries.rows * 9; slot++) {
                const bool empty = slot % 9 >= 7;
                EXPECT_EQ(found.labels[slot] == -1, empty) << slot;
                EXPECT_EQ(found.distances[slot] == empty_slot(metric), empty);
            }
        }
    }
}

// How many slots differ from those of `few`, over and over.
idx_t differences(const Answer& many, const Answer& few) {
    idx_t different = 0;
    for (size_t slot = 0; slot < many.labels.size(); slot++) {
        const size_t alike = slot % few.labels.size();
        different += many.labels[slot] != few.labels[alike] ||
                     many.distances[slot] != few.distances[alike];
    }
    return different;
}

TEST_F(Search, MoreQueriesThanAreScannedAtOnce) {
    fit_table(Metric::l2, Method::dis);
    faiss::IndexFlatL2 flat(24);
    write(flat);
    const Answer few = answer(gallery_search.with("-k 3"), Metric::l2);
    Matrix many{{}, 300 * queries.rows, 24};
    for (int i = 0; i < 300; i++) {
        many.data.insert(many.data.end(), queries.data.begin(),
                         queries.data.end());
    }
    write_npy(folder / "queries.npy", many);
    for (const Command& command : {gallery_search, index_search}) {
        const Answer found = answer(command.with("-k 3"), Metric::l2);
        EXPECT_EQ(found.nq, many.rows);
        EXPECT_EQ(differences(found, few), 0);
    }
}

TEST_F(Search, TheReportSaysWhatRan) {
    fit_table(Metric::inner_product, Method::dis);
    answer(gallery_search.with("-k 4 --engine cpu --json search.json"));
    const auto report = read_json(folder / "search.json");
    EXPECT_EQ(report["engine"], "cpu");
    EXPECT_EQ(report["queries"], 60);
    EXPECT_EQ(report["k"], 4);
    EXPECT_GT(report["seconds"].at("read"), 0);
    EXPECT_GT(report["seconds"].at("search"), 0);
    EXPECT_GT(report["peak_bytes"], 1 << 20);
}

// What happens to the names in a folder while it lives.
class Watch {
  public:
    explicit Watch(const std::string& folder) : queue_(inotify_init1(0)) {
        constexpr std::uint32_t events = IN_CREATE | IN_MOVED_TO | IN_DELETE;
        EXPECT_GE(inotify_add_watch(queue_, folder.c_str(), events), 0);
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() { close(queue_); }

    /// "created NAME", "moved in NAME" or "deleted NAME", without temporary
    /// files.
    Words events() const {
        alignas(inotify_event) char buffer[16384];
        const ssize_t size = read(queue_, buffer, sizeof buffer);
        Words result;
        for (ssize_t at = 0; at < size;) {
            const auto* event = reinterpret_cast<inotify_event*>(buffer + at);
            at += static_cast<ssize_t>(sizeof *event) + event->len;
            const std::string name = event->name;
            if (name.find(".tmp") != std::string::npos) continue;
            const char* what = event->mask & IN_CREATE     ? "created "
                               : event->mask & IN_MOVED_TO ? "moved in "
                                                           : "deleted ";
            result.push_back(what + name);
        }
        return result;
    }

  private:
    int queue_;
};

TEST_F(Search, TheLabelsAppearWholeAndLast) {
    fit_table(Metric::inner_product, Method::dis);
    done(gallery_search);  // an earlier answer
    const Watch watch(folder / "");
    done(gallery_search);
    const Words expected{"deleted out.labels.npy", "moved in out.distances.npy",
                         "moved in out.labels.npy"};
    EXPECT_EQ(watch.events(), expected);
}

// ---- search --index ----

TEST_F(Search, FlatIndexesAnswerAsTheGallery) {
    for (const Metric metric : metrics) {
        faiss::IndexFlat flat(24, faiss_metric(metric));
        write(flat);
        for (const Method method : methods) {
            SCOPED_TRACE(name_of(metric) + " " + name_of(method));
            fit_table(metric, method);
            const Answer exact = answer(gallery_search, metric);
            EXPECT_EQ(exact.k, 10) << "by default";
            EXPECT_EQ(differences(answer(index_search, metric), exact), 0);
        }
    }
}

TEST_F(Search, ProbingEveryListAnswersAsTheGallery) {
    for (const Metric metric : metrics) {
        const auto expected = reference(metric);
        write_ivf(metric);
        for (const Method method : methods) {
            SCOPED_TRACE(name_of(metric) + " " + name_of(method));
            fit_table(metric, method);
            expect_answer(
                answer(index_search.with("--index-params nprobe=16"), metric),
                expected, metric, method);
        }
    }
}

TEST_F(Search, IndexParametersReachTheIndex) {
    fit_table(Metric::inner_product, Method::is);
    write_ivf(Metric::inner_product);
    const Answer all = answer(index_search.with("--index-params nprobe=16"));
    const Answer one = answer(index_search.with("--index-params nprobe=1"));
    EXPECT_GT(differences(one, all), 0);
}

TEST_F(Search, HnswFindsMostOfIt) {
    for (const Metric metric : metrics) {
        SCOPED_TRACE(name_of(metric));
        fit_table(metric, Method::dis);
        faiss::IndexHNSWFlat hnsw(24, 32, faiss_metric(metric));
        write(hnsw);
        const Answer exact = answer(gallery_search, metric);
        const Answer found =
            answer(index_search.with("--index-params efSearch=64"), metric);
        idx_t right = 0;
        for (idx_t slot = 0; slot < 600; slot++) {
            const auto row = exact.labels.begin() + slot / 10 * 10;
            right += std::count(row, row + 10, found.labels[slot]);
        }
        EXPECT_GT(right, 540) << "of 600";
    }
}

// The labels that s - offset ranks first among the best raw `candidates`.
std::vector<idx_t> best_of(const oracle::Reference& reference, idx_t query,
                           idx_t candidates, idx_t k) {
    const auto& raw = reference.raw[query];
    std::vector<idx_t> labels = oracle::ranking(raw);
    labels.resize(candidates);
    std::sort(labels.begin(), labels.end(), [&](idx_t a, idx_t b) {
        return raw[a] - reference.offsets[a] > raw[b] - reference.offsets[b];
    });
    labels.resize(k);
    return labels;
}

TEST_F(Search, KFactorChoosesHowManyCandidates) {
    fit_table(Metric::inner_product, Method::is);
    const auto expected = reference(Metric::inner_product);
    faiss::IndexFlatIP flat(24);
    faiss::IndexRefineFlat index(&flat);  // searches exactly, is no flat index
    write(index);
    const auto expect_candidates = [&](const Command& more, idx_t candidates) {
        SCOPED_TRACE(more.line());
        Answer found = answer(index_search.with("-k 20").with(more));
        for (idx_t i = 0; i < queries.rows; i++) {
            const auto first = found.labels.begin() + i * 20;
            EXPECT_EQ(std::vector<idx_t>(first, first + 20),
                      best_of(expected, i, candidates, 20));
        }
        return found;
    };
    const Answer few = expect_candidates("--k-factor 5.5", 110);
    const Answer some = expect_candidates("", 200);
    const Answer all = expect_candidates("--k-factor 50", 1000);
    EXPECT_GT(differences(few, some), 0);
    EXPECT_GT(differences(some, all), 0);
}

// ---- rerank ----

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
