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

const Metric metrics[] = {Metric::inner_product, Metric::l2};
const Method methods[] = {Method::is, Method::dis};

faiss::MetricType faiss_metric(Metric metric) {
    return metric == Metric::l2 ? faiss::METRIC_L2
                                : faiss::METRIC_INNER_PRODUCT;
}

class Search : public Scene {
  protected:
    std::string fitted(Metric metric, Method method) const {
        const std::string table = folder / "table.qbn";
        done(fit(name_of(method), name_of(metric), table));
        return table;
    }

    Answer search(const Words& words) const {
        const std::string prefix = folder / "answer";
        done(Words{"search", "--table", folder / "table.qbn", "-o", prefix} +
             words);
        return read_answer(prefix);
    }

    Answer search_gallery(Metric metric, const std::string& k) const {
        return search({"--gallery", gallery_file, "--queries", queries_file,
                       "--metric", name_of(metric), "-k", k});
    }

    Answer search_index(Metric metric, const std::string& k,
                        const Words& more = {}) const {
        const Words words{
            "--index",  folder / "index.faiss", "--queries", queries_file,
            "--metric", name_of(metric),        "-k",        k};
        return search(words + more);
    }

    // Writes the index as a file, the gallery in it.
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
            fitted(metric, method);
            const Answer answer = search_gallery(metric, "13");
            EXPECT_EQ(answer.k, 13);
            expect_answer(answer, expected, metric, method);
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

// Rows of many lengths, and the same rows divided by their lengths.
Matrix stretched(Matrix m) {
    for (idx_t i = 0; i < m.rows * m.d; i++) m.data[i] *= 1 + i / m.d % 7;
    return m;
}

TEST_F(Search, NormalizeDividesByTheNorms) {
    write_npy(gallery_file, stretched(gallery));
    write_npy(bank_file, stretched(bank));
    write_npy(queries_file, stretched(queries));
    done(fit("dis", "ip", folder / "table.qbn") + Words{"--normalize"});
    const Answer answer = search({"--gallery", gallery_file, "--queries",
                                  queries_file, "-k", "10", "--normalize"});
    expect_answer(answer, reference(Metric::inner_product),
                  Metric::inner_product, Method::dis);
}

TEST_F(Search, EveryVectorFormatIsRead) {
    const Matrix g = cut_to_half(gallery);
    const Matrix b = cut_to_half(bank);
    const Matrix q = cut_to_half(queries);
    const oracle::Reference expected(Metric::inner_product, g.view(), q.view(),
                                     b.view(), 20, 1);
    write_half(folder / "g.npy", g);
    write_half(folder / "b.npy", b);
    write_half(folder / "q.npy", q);
    write_fvecs(folder / "g.fvecs", g);
    write_fvecs(folder / "b.fvecs", b);
    write_fvecs(folder / "q.fvecs", q);
    write_fbin(folder / "g.fbin", g);
    write_fbin(folder / "b.fbin", b);
    write_fbin(folder / "q.fbin", q);
    for (const std::string end : {".npy", ".fvecs", ".fbin"}) {
        SCOPED_TRACE(end);
        done({"fit", "--gallery", folder / ("g" + end), "--querybank",
              folder / ("b" + end), "--method", "dis", "-o",
              folder / "table.qbn"});
        const Answer answer =
            search({"--gallery", folder / ("g" + end), "--queries",
                    folder / ("q" + end), "-k", "10"});
        expect_answer(answer, expected, Metric::inner_product, Method::dis);
    }
}

TEST_F(Search, SlotsPastTheGalleryAreEmpty) {
    Matrix few = gallery;
    few.rows = 7;
    few.data.resize(7 * 24);
    write_npy(gallery_file, few);
    for (const Metric metric : metrics) {
        fitted(metric, Method::dis);
        faiss::IndexFlat index(24, faiss_metric(metric));
        index.add(few.rows, few.data.data());
        faiss::write_index(&index, (folder / "index.faiss").c_str());
        for (const Answer& answer :
             {search_gallery(metric, "9"), search_index(metric, "9")}) {
            for (idx_t i = 0; i < queries.rows; i++) {
                const float empty = metric == Metric::l2 ? FLT_MAX : -FLT_MAX;
                EXPECT_NE(answer.labels[i * 9 + 6], -1);
                EXPECT_EQ(answer.labels[i * 9 + 7], -1);
                EXPECT_EQ(answer.labels[i * 9 + 8], -1);
                EXPECT_EQ(answer.distances[i * 9 + 7], empty);
                EXPECT_EQ(answer.distances[i * 9 + 8], empty);
            }
        }
    }
}

TEST_F(Search, TheReportSaysWhatRan) {
    fitted(Metric::inner_product, Method::dis);
    const std::string json = folder / "report.json";
    search({"--gallery", gallery_file, "--queries", queries_file, "--json",
            json, "-k", "4", "--engine", "cpu"});
    const auto report = read_json(json);
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

    /// "+ name" for a file that came to be, "> name" for one that was moved
    /// in, "- name" for one that was deleted; no temporary files.
    Words events() const {
        alignas(inotify_event) char buffer[16384];
        const ssize_t size = read(queue_, buffer, sizeof buffer);
        Words result;
        for (ssize_t at = 0; at < size;) {
            const auto* event = reinterpret_cast<inotify_event*>(buffer + at);
            at += static_cast<ssize_t>(sizeof *event) + event->len;
            const std::string name = event->name;
            if (name.find(".tmp") != std::string::npos) continue;
            const std::string kind = event->mask & IN_CREATE     ? "+ "
                                     : event->mask & IN_MOVED_TO ? "> "
                                                                 : "- ";
            result.push_back(kind + name);
        }
        return result;
    }

  private:
    int queue_;
};

TEST_F(Search, TheLabelsAppearWholeAndLast) {
    fitted(Metric::inner_product, Method::dis);
    search_gallery(Metric::inner_product, "10");  // an earlier answer
    const Watch watch(folder / "");
    search_gallery(Metric::inner_product, "20");
    const Words expected{"- answer.labels.npy", "> answer.distances.npy",
                         "> answer.labels.npy"};
    EXPECT_EQ(watch.events(), expected);
}

// ---- search --index ----

TEST_F(Search, FlatIndexAnswersAsTheGallery) {
    for (const Metric metric : metrics) {
        for (const Method method : methods) {
            SCOPED_TRACE(name_of(metric) + " " + name_of(method));
            fitted(metric, method);
            faiss::IndexFlat flat(24, faiss_metric(metric));
            write(flat);
            const Answer exact = search_gallery(metric, "10");
            const Answer answer = search_index(metric, "10");
            EXPECT_EQ(answer.labels, exact.labels);
            EXPECT_EQ(answer.distances, exact.distances);
        }
    }
}

TEST_F(Search, ProbingEveryListAnswersAsTheGallery) {
    for (const Metric metric : metrics) {
        const auto expected = reference(metric);
        write_ivf(metric);
        for (const Method method : methods) {
            SCOPED_TRACE(name_of(metric) + " " + name_of(method));
            fitted(metric, method);
            const Answer answer =
                search_index(metric, "10", {"--index-params", "nprobe=16"});
            expect_answer(answer, expected, metric, method);
        }
    }
}

TEST_F(Search, IndexParametersReachTheIndex) {
    fitted(Metric::inner_product, Method::is);
    write_ivf(Metric::inner_product);
    const Answer all = search_index(Metric::inner_product, "10",
                                    {"--index-params", "nprobe=16"});
    const Answer one = search_index(Metric::inner_product, "10",
                                    {"--index-params", "nprobe=1"});
    EXPECT_NE(one.labels, all.labels);
}

TEST_F(Search, HnswFindsMostOfIt) {
    for (const Metric metric : metrics) {
        SCOPED_TRACE(name_of(metric));
        fitted(metric, Method::dis);
        faiss::IndexHNSWFlat hnsw(24, 32, faiss_metric(metric));
        write(hnsw);
        const Answer exact = search_gallery(metric, "10");
        const Answer answer =
            search_index(metric, "10", {"--index-params", "efSearch=64"});
        idx_t found = 0;
        for (idx_t i = 0; i < 60 * 10; i++) {
            const auto row = exact.labels.begin() + i / 10 * 10;
            found += std::count(row, row + 10, answer.labels[i]);
        }
        EXPECT_GT(found, 540) << "of 600";
    }
}

// The head of the oracle's ranking of the `candidates` best raw items.
std::vector<idx_t> best_of_candidates(const oracle::Reference& reference,
                                      idx_t query, idx_t candidates, idx_t k) {
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
    fitted(Metric::inner_product, Method::is);
    const auto expected = reference(Metric::inner_product);
    faiss::IndexFlat flat(24, faiss::METRIC_INNER_PRODUCT);
    faiss::IndexRefineFlat index(&flat);  // searches exactly, is no flat index
    write(index);
    const Answer by_default = search_index(Metric::inner_product, "20");
    const Answer few =
        search_index(Metric::inner_product, "20", {"--k-factor", "5.5"});
    const Answer all =
        search_index(Metric::inner_product, "20", {"--k-factor", "50"});
    EXPECT_NE(by_default.labels, all.labels);
    EXPECT_NE(few.labels, by_default.labels);
    for (idx_t i = 0; i < queries.rows; i++) {
        const auto row = [&](const Answer& answer) {
            const auto first = answer.labels.begin() + i * 20;
            return std::vector<idx_t>(first, first + 20);
        };
        EXPECT_EQ(row(few), best_of_candidates(expected, i, 110, 20)) << i;
        EXPECT_EQ(row(by_default), best_of_candidates(expected, i, 200, 20))
            << i;
        EXPECT_EQ(row(all), best_of_candidates(expected, i, 1000, 20)) << i;
    }
}

// ---- rerank ----

class Rerank : public Search {
  protected:
    static constexpr idx_t width = 64;
    const std::string labels_file = folder / "labels.npy";
    const std::string distances_file = folder / "distances.npy";
    std::vector<idx_t> labels;
    std::vector<float> distances;

    // Each query's best raw items, every fifth slot struck out.
    void find_candidates(const oracle::Rows& raw, Metric metric) {
        for (const oracle::Row& row : raw) {
            const auto order = oracle::ranking(row);
            for (idx_t slot = 0; slot < width; slot++) {
                const auto score = static_cast<float>(row[order[slot]]);
                const bool gone = slot % 5 == 2;
                labels.push_back(gone ? -1 : order[slot]);
                distances.push_back(gone                   ? NAN
                                    : metric == Metric::l2 ? -score
                                                           : score);
            }
        }
    }

    void write_candidates() const {
        write_labels(labels_file, width, labels);
        const auto rows = static_cast<idx_t>(distances.size()) / width;
        write_npy(distances_file, "<f4", shape(rows, width),
                  bytes_of(distances));
    }

    Words command(const std::string& k) const {
        return {"rerank",    "--table",     folder / "table.qbn", "--labels",
                labels_file, "--distances", distances_file,       "-k",
                k,           "-o",          folder / "out"};
    }

    Answer rerank(const std::string& k) const {
        done(command(k));
        return read_answer(folder / "out");
    }

    // Expects the oracle's ranking of each row's own candidates. They are
    // renamed in the order of their labels, so that ties fall as they should.
    void expect_reranked(const Answer& answer,
                         const oracle::Reference& reference, Metric metric,
                         Method method) const {
        ASSERT_EQ(answer.nq, static_cast<idx_t>(reference.raw.size()));
        for (idx_t i = 0; i < answer.nq; i++) {
            SCOPED_TRACE("query " + std::to_string(i));
            const auto first = labels.begin() + i * width;
            const std::set<idx_t> known(first, first + width);
            oracle::Row raw;
            oracle::Row offsets;
            std::set<idx_t> active;
            std::vector<idx_t> names;
            for (const idx_t label : known) {
                if (label < 0) continue;
                if (reference.activation.contains(label)) {
                    active.insert(static_cast<idx_t>(names.size()));
                }
                names.push_back(label);
                raw.push_back(reference.raw[i][label]);
                offsets.push_back(reference.offsets[label]);
            }
            std::vector<idx_t> renamed;
            std::vector<float> scores;
            for (idx_t slot = i * answer.k; slot < (i + 1) * answer.k; slot++) {
                const idx_t label = answer.labels[slot];
                const auto at = std::find(names.begin(), names.end(), label);
                ASSERT_EQ(at == names.end(), label == -1) << label;
                renamed.push_back(label == -1 ? -1 : at - names.begin());
                const float distance = answer.distances[slot];
                scores.push_back(metric == Metric::l2 ? -distance : distance);
            }
            oracle::expect_ranking(
                oracle::method_scores(method, raw, offsets, active), answer.k,
                scores.data(), renamed.data(), tolerance);
        }
    }
};

TEST_F(Rerank, ListsAreRankedAsTheOracleDoes) {
    for (const Metric metric : metrics) {
        const auto expected = reference(metric);
        labels.clear();
        distances.clear();
        find_candidates(expected.raw, metric);
        write_candidates();
        for (const Method method : methods) {
            SCOPED_TRACE(name_of(metric) + " " + name_of(method));
            fitted(metric, method);
            expect_reranked(rerank("10"), expected, metric, method);
        }
    }
}

TEST_F(Rerank, TheListsOwnTop1DecidesTheGate) {
    const auto expected = reference(Metric::inner_product);
    fitted(Metric::inner_product, Method::dis);
    find_candidates(expected.raw, Metric::inner_product);
    idx_t changed = 0;
    for (idx_t i = 0; i < queries.rows; i++) {
        const bool open = expected.activation.contains(labels[i * width]);
        labels[i * width] = -1;
        changed += open != expected.activation.contains(labels[i * width + 1]);
    }
    ASSERT_GT(changed, 0) << "some gates turn with the first candidate gone";
    write_candidates();
    expect_reranked(rerank("10"), expected, Metric::inner_product, Method::dis);
}

TEST_F(Rerank, ShortListsArePadded) {
    for (const Metric metric : metrics) {
        labels.clear();
        distances.clear();
        find_candidates(reference(metric).raw, metric);
        std::fill(labels.begin() + width, labels.begin() + 2 * width, -1);
        write_candidates();
        fitted(metric, Method::is);
        const Answer answer = rerank("70");
        const float empty = metric == Metric::l2 ? FLT_MAX : -FLT_MAX;
        EXPECT_NE(answer.labels[50], -1);
        for (idx_t slot = 51; slot < 2 * 70; slot++) {
            EXPECT_EQ(answer.labels[slot], -1) << slot;
            EXPECT_EQ(answer.distances[slot], empty) << slot;
        }
        EXPECT_NE(answer.labels[2 * 70], -1);
    }
}

// So many rows that they are read in more than one batch.
class LongRerank : public Rerank {
  protected:
    static constexpr idx_t rows = 70000;

    LongRerank() {
        fitted(Metric::l2, Method::dis);
        find_candidates(reference(Metric::l2).raw, Metric::l2);
        const std::vector<idx_t> few_labels = labels;
        const std::vector<float> few_distances = distances;
        for (idx_t i = queries.rows; i < rows; i++) {
            const idx_t from = i % queries.rows * width;
            labels.insert(labels.end(), few_labels.begin() + from,
                          few_labels.begin() + from + width);
            distances.insert(distances.end(), few_distances.begin() + from,
                             few_distances.begin() + from + width);
        }
    }
};

TEST_F(LongRerank, EveryBatchAnswersAlike) {
    write_candidates();
    const Answer answer = rerank("3");
    ASSERT_EQ(answer.nq, rows);
    ASSERT_EQ(answer.k, 3);
    const Answer head{
        queries.rows,
        3,
        {answer.distances.begin(), answer.distances.begin() + queries.rows * 3},
        {answer.labels.begin(), answer.labels.begin() + queries.rows * 3}};
    expect_reranked(head, reference(Metric::l2), Metric::l2, Method::dis);
    idx_t wrong = 0;
    for (idx_t i = 0; i < rows * 3; i++) {
        const idx_t alike = i % (queries.rows * 3);
        wrong += answer.labels[i] != head.labels[alike] ||
                 answer.distances[i] != head.distances[alike];
    }
    EXPECT_EQ(wrong, 0);
}

TEST_F(LongRerank, ErrorsNameTheFilesAndTheRow) {
    const long before = folder.count() + 2;  // the candidates are yet to come
    const idx_t late = 69000 * width;
    distances[late] = NAN;
    write_candidates();
    expect_refusal(run(command("3")), 1,
                   {labels_file, distances_file, "row 69000", "NaN"});
    distances[late] = 0.5;
    for (const idx_t label : {1000, -2}) {
        labels[late] = label;
        write_candidates();
        expect_refusal(run(command("3")), 1,
                       {labels_file, distances_file, "row 69000",
                        "label " + std::to_string(label), "0 to 999"});
    }
    EXPECT_EQ(folder.count(), before);
    labels[late] = 999;
    write_candidates();
    rerank("3");
}

TEST_F(Rerank, FilesThatDoNotBelongTogetherAreNamed) {
    fitted(Metric::inner_product, Method::dis);
    find_candidates(reference(Metric::inner_product).raw,
                    Metric::inner_product);
    write_candidates();
    const long before = folder.count();
    const Words both{labels_file, distances_file};
    distances.resize(distances.size() - width);
    write_candidates();
    expect_refusal(run(command("3")), 1,
                   {labels_file + " is 60 x 64", distances_file + " is 59"});
    write_labels(distances_file, width, labels);
    expect_refusal(run(command("3")), 1, {distances_file + ": holds int64"});
    write_npy(labels_file, queries);
    expect_refusal(run(command("3")), 1, {labels_file + ": holds float32"});
    EXPECT_EQ(folder.count(), before);
}

}  // namespace
