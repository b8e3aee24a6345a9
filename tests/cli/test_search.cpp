// Oracle: oracle.h, the paper in double precision, on whole galleries.

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexRefine.h>
#include <faiss/index_io.h>
#include <sys/inotify.h>

#include "tests/cli/search_scene.h"

namespace {

using namespace cli;

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

}  // namespace
