// Oracle: oracle.h, the paper in double precision, and `search --table` over
// the plain index, which test_search_rerank.cpp holds to it.

#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexLSH.h>
#include <faiss/IndexRefine.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/index_io.h>

#include "faiss_qbnorm/index_io.h"
#include "tests/cli/run.h"

namespace {

using namespace cli;

constexpr Metric metrics[] = {Metric::inner_product, Metric::l2};

faiss::MetricType faiss_metric(Metric metric) {
    return metric == Metric::l2 ? faiss::METRIC_L2
                                : faiss::METRIC_INNER_PRODUCT;
}

class AttachCommand : public Scene {
  protected:
    const Command attach =
        "attach --index index.faiss --querybank bank.npy --method dis "
        "-o index.qb";
    const Command search =
        "search --index index.qb --queries queries.npy -o out";
    const Command plain_search =
        "search --table table.qbn --index index.faiss --queries queries.npy "
        "-o out";

    void save(const faiss::Index& index) const {
        faiss::write_index(&index, (folder / "index.faiss").c_str());
    }

    // Writes the index as index.faiss, the gallery in it.
    void write(faiss::Index& index) const {
        if (!index.is_trained) index.train(gallery.rows, gallery.data.data());
        index.add(gallery.rows, gallery.data.data());
        save(index);
    }

    void write_flat(Metric metric) const {
        faiss::IndexFlat flat(24, faiss_metric(metric));
        write(flat);
    }

    std::vector<idx_t> write_ivf_with_ids() const {
        faiss::IndexFlatL2 quantizer(24);
        faiss::IndexIVFFlat ivf(&quantizer, 24, 16);
        ivf.train(gallery.rows, gallery.data.data());
        std::vector<idx_t> ids(gallery.rows);
        for (idx_t i = 0; i < gallery.rows; i++) {
            ids[i] = 7 + i * 37 % gallery.rows * 1000;
        }
        ivf.add_with_ids(gallery.rows, gallery.data.data(), ids.data());
        save(ivf);
        return ids;
    }

    Answer answer(const Command& command) const {
        done(command);
        return read_answer(folder / "out");
    }

    void expect_failure(const Command& command, const Words& texts) const {
        SCOPED_TRACE(command.line());
        const long before = folder.count();
        expect_refusal(run(command), 1, texts);
        EXPECT_EQ(folder.count(), before) << "files came or went";
    }

    void expect_usage(const Command& command, const std::string& text) const {
        SCOPED_TRACE(command.line());
        expect_refusal(run(command), 2, {text, "see qbnorm --help"});
    }
};

void expect_same(const Answer& a, const Answer& b) {
    EXPECT_EQ(a.labels, b.labels);
    EXPECT_EQ(a.distances, b.distances);
}

TEST_F(AttachCommand, AnswersAreTheOracles) {
    for (const Metric metric : metrics) {
        write_flat(metric);
        const std::string before = content("index.faiss");
        for (const Method method : {Method::is, Method::dis}) {
            done(attach.with("--method", name_of(method))
                     .with("--beta 11 --activation-k 2"));
            expect_answer(
                answer(search.with("-k 13").with("--metric", name_of(metric))),
                reference(metric, 11, 2), metric, method);
        }
        EXPECT_EQ(content("index.faiss"), before) << "is only read";
    }
}

TEST_F(AttachCommand, IdsOfAnIvfStayTheAnswers) {
    const auto ids = write_ivf_with_ids();
    done(attach);
    Answer found = answer(search.with("--metric l2 --index-params nprobe=16"));
    for (idx_t& label : found.labels) {
        const auto at = std::find(ids.begin(), ids.end(), label);
        ASSERT_NE(at, ids.end()) << label;
        label = at - ids.begin();
    }
    expect_answer(found, reference(Metric::l2), Metric::l2, Method::dis);
}

TEST_F(AttachCommand, IdsOfAMapStayTheAnswers) {
    faiss::IndexFlatIP flat(24);
    faiss::IndexIDMap map(&flat);
    std::vector<idx_t> ids(gallery.rows);
    for (idx_t i = 0; i < gallery.rows; i++) ids[i] = 5000 - i;
    map.add_with_ids(gallery.rows, gallery.data.data(), ids.data());
    save(map);
    done(attach);
    Answer found = answer(search);
    for (idx_t& label : found.labels) label = 5000 - label;
    expect_answer(found, reference(Metric::inner_product),
                  Metric::inner_product, Method::dis);
}

TEST_F(AttachCommand, BothKindsOfFilesAnswerAlike) {
    faiss::IndexHNSWFlat hnsw(24, 16, faiss::METRIC_INNER_PRODUCT);
    write(hnsw);
    done(attach);
    done(fit);
    expect_same(answer(search), answer(plain_search));
    const Command more = "--index-params efSearch=200 --k-factor 20";
    expect_same(answer(search.with(more)), answer(plain_search.with(more)));
    const Answer few = answer(search.with("--k-factor 1 -k 100"));
    EXPECT_NE(few.labels, answer(search.with("-k 100")).labels);
}

TEST_F(AttachCommand, TheFilesOwnKFactorHolds) {
    faiss::IndexFlatIP flat(24);
    faiss::IndexRefineFlat refine(&flat);  // searches exactly, is no flat index
    write(refine);
    done(attach);
    const std::string path = folder / "index.qb";
    {
        const std::unique_ptr<faiss::Index> index(
            faiss_qbnorm::read_index_qbnorm(path.c_str()));
        faiss_qbnorm::qbnorm_in(*index)->k_factor = 1;
        faiss_qbnorm::write_index_qbnorm(index.get(), path.c_str());
    }
    const Command wide = search.with("-k 200");
    const Answer own = answer(wide);
    expect_same(own, answer(wide.with("--k-factor 1")));
    EXPECT_NE(own.labels, answer(wide.with("--k-factor 5")).labels);
}

TEST_F(AttachCommand, TakesTheOriginalsOfALossyIndex) {
    faiss::IndexScalarQuantizer coarse(24, faiss::ScalarQuantizer::QT_4bit,
                                       faiss::METRIC_INNER_PRODUCT);
    write(coarse);
    done(fit);
    done(attach);
    const Answer approximate = answer(search);
    done(attach.with("--gallery gallery.npy"));
    const Answer exact = answer(search);
    expect_same(exact, answer(plain_search));
    EXPECT_NE(approximate.distances, exact.distances);
}

TEST_F(AttachCommand, NormalizeDividesTheBankAndTheOriginals) {
    write_flat(Metric::inner_product);
    Matrix longer = bank;
    for (float& x : longer.data) x *= 3;
    write_npy(folder / "bank.npy", longer);
    longer = gallery;
    for (float& x : longer.data) x *= 5;
    write_npy(folder / "gallery.npy", longer);
    done(attach.with("--normalize --gallery gallery.npy"));
    expect_answer(answer(search), reference(Metric::inner_product),
                  Metric::inner_product, Method::dis);
}

TEST_F(AttachCommand, InspectSaysWhatAnIndexIs) {
    write_ivf_with_ids();
    const std::string line = done(attach.with("--json attach.json"));
    EXPECT_EQ(line,
              "index.qb: QBNorm index over an index of FAISS (IwFl), d = 24, "
              "metric l2, 1000 vectors, in IDMap2; method dis; querybank of "
              "90; " +
                  line.substr(line.find("table of 1000 items")));
    EXPECT_EQ(done("inspect index.qb --json inspect.json"), line);
    EXPECT_EQ(done("inspect index.qb --verify"),
              line.substr(0, line.size() - 1) + "; every checksum is right\n");
    for (const char* file : {"attach.json", "inspect.json"}) {
        const auto report = read_json(folder / file);
        EXPECT_EQ(report["base"], "IwFl");
        EXPECT_EQ(report["d"], 24);
        EXPECT_EQ(report["metric"], "l2");
        EXPECT_EQ(report["ntotal"], 1000);
        EXPECT_EQ(report["id_map"], "IDMap2");
        EXPECT_EQ(report["method"], "dis");
        EXPECT_EQ(report["k_factor"], 10);
        EXPECT_EQ(report["min_candidates"], 100);
        EXPECT_EQ(report["querybank"], 90);
        EXPECT_EQ(report["table"]["gallery_size"], 1000);
    }
    EXPECT_GT(read_json(folder / "attach.json")["seconds"].at("fit"), 0);
}

TEST_F(AttachCommand, VerifyFindsADamagedIndex) {
    write_flat(Metric::l2);
    done(attach);
    std::string damaged = content("index.qb");
    damaged[damaged.size() - 5] ^= 1;
    write_file(folder / "index.qb", damaged);
    done("inspect index.qb");
    expect_failure("inspect index.qb --verify",
                   {"index.qb: its base index is damaged"});
    expect_failure(search.with("--metric l2"),
                   {"index.qb: its base index is damaged"});
    write_file(folder / "index.qb", damaged.substr(0, 3000));
    expect_failure("inspect index.qb", {"index.qb: has 3000 bytes"});
}

// ---- refusals ----

TEST_F(AttachCommand, MissingAndWrongWordsAreWrongUsage) {
    for (const char* option : {"--index", "--querybank", "--method", "-o"}) {
        expect_usage(attach.without(option), option);
    }
    expect_usage(attach.with("--method", "none"), "none");
    expect_usage(attach.with("--beta", "0"), "--beta");
    expect_usage(attach.with("--activation-k", "0"), "--activation-k");
    expect_usage(attach.with("--metric ip"), "--metric");
}

TEST_F(AttachCommand, FilesThatDoNotSuitAreNamed) {
    write_flat(Metric::inner_product);
    done(attach);
    expect_failure(attach.with("--index", "absent"), {"absent: cannot open"});
    expect_failure(attach.with("--querybank", "absent"), {"absent: "});
    expect_failure(attach.with("--gallery", "absent"), {"absent: "});
    expect_failure(attach.with("--index", "index.qb").with("-o", "out"),
                   {"index.qb: is a QBNorm index already"});
    expect_failure(attach.with("--index", "bank.npy"),
                   {"bank.npy: FAISS refuses it"});
    for (const char* input : {"index.faiss", "bank.npy", "gallery.npy"}) {
        expect_failure(attach.with("--gallery gallery.npy").with("-o", input),
                       {std::string(input) + ": is an input"});
    }
    expect_failure(attach.with("-o", "absent/a"), {"absent/a", "No such file"});
    write_npy(folder / "narrow.npy", testdata::unit(50, 23, 4));
    expect_failure(attach.with("--querybank", "narrow.npy"),
                   {"narrow.npy: has dimension 23", "index.faiss has 24"});
    expect_failure(attach.with("--gallery", "narrow.npy"),
                   {"narrow.npy: has dimension 23"});
    expect_failure(attach.with("--gallery", "bank.npy"),
                   {"bank.npy: has 90 rows", "index.faiss has 1000 vectors"});
    faiss::IndexLSH lsh(24, 32);
    write(lsh);
    expect_failure(attach, {"index.faiss, bank.npy: ", "Hamming"});
}

TEST_F(AttachCommand, SearchSaysWhichTableItNeeds) {
    write_flat(Metric::l2);
    done(attach);
    done(fit.with("--metric l2"));
    const Command right = search.with("--metric l2");
    const Command plain = plain_search.with("--metric l2");
    done(right);
    expect_failure(right.with("--table table.qbn"),
                   {"index.qb: is a QBNorm index", "leave out --table"});
    expect_failure(plain.without("--table"),
                   {"index.faiss: ", "--table", "qbnorm attach"});
    expect_usage("search --gallery gallery.npy --queries queries.npy -o other",
                 "--table");
    expect_failure(search, {"index.qb: ", "give --metric l2"});
    expect_failure(right.with("--index-params", "speed=11"),
                   {"index.qb: ", "speed"});
    write_npy(folder / "narrow.npy", testdata::unit(50, 23, 4));
    expect_failure(right.with("--queries", "narrow.npy"),
                   {"narrow.npy: has dimension 23"});
}

}  // namespace
