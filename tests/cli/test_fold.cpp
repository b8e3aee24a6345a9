// Oracle: oracle.h, asked of FAISS's own indexes read from what fold writes.

#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/index_factory.h>
#include <faiss/index_io.h>

#include "faiss_qbnorm/fold/search_folded.h"
#include "tests/cli/run.h"

namespace {

using namespace cli;

class Fold : public Scene {
  protected:
    const Command fold =
        "fold --table table.qbn --gallery gallery.npy -o folded.faiss";
    const Command refine =
        "fold --table table.qbn --gallery gallery.npy --index base.faiss "
        "-o folded.faiss";
    static constexpr idx_t k = 10;

    Fold() {
        done(fit);
        write_base("SQ8");
    }

    void write_base(const std::string& factory) const {
        const std::unique_ptr<faiss::Index> base(faiss::index_factory(
            24, factory.c_str(), faiss::METRIC_INNER_PRODUCT));
        base->train(gallery.rows, gallery.data.data());
        if (dynamic_cast<faiss::IndexIDMap*>(base.get())) {
            std::vector<idx_t> ids(gallery.rows, 7);
            base->add_with_ids(gallery.rows, gallery.data.data(), ids.data());
        } else {
            base->add(gallery.rows, gallery.data.data());
        }
        faiss::write_index(base.get(), (folder / "base.faiss").c_str());
    }

    std::unique_ptr<faiss::Index> read() const {
        return std::unique_ptr<faiss::Index>(
            faiss::read_index((folder / "folded.faiss").c_str()));
    }

    /// The mean offset, as the report has it.
    double mean(const Command& command) const {
        done(command.with("--json", "report.json"));
        return read_json(folder / "report.json")["mean_offset"];
    }

    Answer search(const faiss::Index& index) const {
        Answer answer{queries.rows, k, {}, {}};
        answer.distances.resize(queries.rows * k);
        answer.labels.resize(queries.rows * k);
        index.search(queries.rows, queries.data.data(), k,
                     answer.distances.data(), answer.labels.data());
        return answer;
    }

    /// Expects the oracle's ranking, with `mean` taken off again.
    void expect_is(const faiss::Index& index, double mean) const {
        Answer answer = search(index);
        for (float& score : answer.distances) {
            score -= static_cast<float>(mean);
        }
        expect_answer(answer, reference(Metric::inner_product),
                      Metric::inner_product, Method::is);
    }

    void expect_failure(const Command& command, const Words& texts) const {
        SCOPED_TRACE(command.line());
        const long before = folder.count();
        expect_refusal(run(command), 1, texts);
        EXPECT_EQ(folder.count(), before) << "files came or went";
    }
};

TEST_F(Fold, WritesAFlatIndexByDefault) {
    const double shift = mean(fold);
    const auto index = read();
    EXPECT_TRUE(dynamic_cast<faiss::IndexPreTransform*>(index.get()));
    expect_is(*index, shift);
}

TEST_F(Fold, TheFactoryNamesTheIndex) {
    const double shift = mean(fold.with("--factory IVF16,Flat"));
    const auto index = read();
    auto* pre = dynamic_cast<faiss::IndexPreTransform*>(index.get());
    ASSERT_TRUE(pre);
    dynamic_cast<faiss::IndexIVF&>(*pre->index).nprobe = 16;
    expect_is(*index, shift);
}

TEST_F(Fold, WrapsAnIndexOfYours) {
    const double shift = mean(refine.with("--k-factor 100"));
    const auto index = read();
    const auto* wrapped = dynamic_cast<faiss::IndexRefine*>(index.get());
    ASSERT_TRUE(wrapped);
    EXPECT_EQ(wrapped->k_factor, 100);
    expect_is(*index, shift);
    done(refine);
    EXPECT_EQ(dynamic_cast<faiss::IndexRefine&>(*read()).k_factor, 10);
}

TEST_F(Fold, TheLineNamesTheMeanOffset) {
    const double shift = mean(fold);
    const std::string line = done(fold);
    const std::string before = "its scores are s - offset + ";
    const size_t at = line.find(before);
    ASSERT_NE(at, std::string::npos) << line;
    EXPECT_NEAR(std::stod(line.substr(at + before.size())), shift, 1e-8);
}

TEST_F(Fold, ActivationGivesWhatDisNeeds) {
    const double shift = mean(fold.with("--activation", "active.npy"));
    const Npy file = read_npy(folder / "active.npy");
    EXPECT_EQ(file.descr, "<i8");
    EXPECT_EQ(file.d, 1);
    const auto labels = values_of<idx_t>(file.elements);
    EXPECT_EQ(file.rows, static_cast<idx_t>(labels.size()));
    const auto expected = reference(Metric::inner_product);
    EXPECT_EQ(std::vector<idx_t>(expected.activation.begin(),
                                 expected.activation.end()),
              labels);

    Answer answer = search(*read());
    faiss_qbnorm::search_folded(*read(), {gallery.rows, labels}, queries.rows,
                                queries.data.data(), k, answer.distances.data(),
                                answer.labels.data());
    for (idx_t i = 0; i < queries.rows; i++) {
        const idx_t top1 = oracle::ranking(expected.raw[i])[0];
        if (!expected.activation.contains(top1)) continue;
        for (idx_t j = i * k; j < (i + 1) * k; j++) {
            answer.distances[j] -= static_cast<float>(shift);
        }
    }
    expect_answer(answer, expected, Metric::inner_product, Method::dis);
}

TEST_F(Fold, NormalizeDividesByTheNorms) {
    Matrix stretched = gallery;
    for (idx_t i = 0; i < gallery.rows * 24; i++) {
        stretched.data[i] *= static_cast<float>(1 + i / 24 % 7);
    }
    write_npy(folder / "gallery.npy", stretched);
    done(fit.with("--normalize"));
    expect_failure(fold, {"gallery.npy", "fingerprints differ"});
    const double shift = mean(fold.with("--normalize"));
    expect_is(*read(), shift);
}

TEST_F(Fold, OptionsThatExcludeOrNeedOthersAreWrongUsage) {
    expect_refusal(run(refine.with("--factory", "Flat")), 2, {"--factory"});
    expect_refusal(run(fold.with("--k-factor", "3")), 2, {"--k-factor"});
    expect_refusal(run(refine.with("--k-factor", "0.5")), 2, {"--k-factor"});
    for (const char* option : {"--table", "--gallery", "-o"}) {
        expect_refusal(run(fold.without(option)), 2, {option});
    }
}

TEST_F(Fold, RefusalsNameTheFilesAndLeaveNothing) {
    expect_failure(fold.with("--factory", "PQ5").with("--activation", "a.npy"),
                   {"table.qbn, gallery.npy: ", "PQ5", "--index"});
    expect_failure(refine.with("--index", "gallery.npy"),
                   {"gallery.npy: FAISS refuses it"});
    done(fit.with("--metric", "l2").with("-o", "l2.qbn"));
    for (const Command& command : {fold, refine}) {
        expect_failure(command.with("--table", "l2.qbn"),
                       {"l2.qbn", "metric l2 does not fold"});
    }
    done(fit.with("--rows 0:400").with("-o", "part.qbn"));
    expect_failure(fold.with("--table", "part.qbn"),
                   {"part.qbn", "0:400", "qbnorm merge"});
    write_base("IDMap,Flat");
    expect_failure(refine, {"base.faiss: ", "labels of its own"});
    write_base("Flat,RFlat");
    expect_failure(refine, {"base.faiss: ", "IndexRefine already"});
    write_npy(folder / "gallery.npy", testdata::unit(1000, 24, 5));
    write_base("Flat");
    for (const Command& command : {fold, refine}) {
        expect_failure(command, {"gallery.npy", "fingerprints differ"});
    }
}

TEST_F(Fold, InputsAreNeverReplaced) {
    for (const char* input : {"table.qbn", "gallery.npy", "base.faiss"}) {
        expect_failure(refine.with("-o", input), {input, "is an input"});
        expect_failure(refine.with("--activation", input),
                       {input, "is an input"});
    }
    expect_failure(fold.with("--activation", "folded.faiss"),
                   {"folded.faiss: is the folded index too"});
}

}  // namespace
