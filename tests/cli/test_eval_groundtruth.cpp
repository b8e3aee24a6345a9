// Oracle: the published metric code's numbers (tests/eval/reference_case.h) for
// matrices, oracle.h and methods_oracle.h for vectors, hand-worked ranks.

#include "tests/cli/eval_scene.h"
#include "tests/eval/reference_case.h"
#include "tests/methods_oracle.h"

namespace {

using namespace cli;

// ---- the published metric code ----

class ReferenceEval : public SmallEval {
  protected:
    const Matrix captions{reference_case::similarities, 12, 6};
    const Command t2v =
        "eval --similarities s.npy --querybank-similarities p.npy "
        "--methods none --json eval.json";
    const Command v2t = t2v.with("--direction", "v2t");

    ReferenceEval() {
        write_npy(folder / "p.npy", Matrix{std::vector<float>(6, 1), 1, 6});
        write_integers("mask.npy", reference_case::mask);
    }

    void write(const Matrix& similarities) const {
        write_npy(folder / "s.npy", similarities);
        write_npy(
            folder / "p.npy",
            Matrix{std::vector<float>(similarities.d, 1), 1, similarities.d});
    }

    void expect(const Command& command,
                const reference_case::Published& published) const {
        SCOPED_TRACE(command.line());
        const json none = methods_of(command)[0];
        const auto rank = [](const json& value) {
            return value.is_null() ? INFINITY : value.get<double>();
        };
        reference_case::expect_published(
            {none["R@1"], none["R@5"], none["R@10"], none["R@50"],
             rank(none["MdR"]), rank(none["MnR"]), none["geometric_mean"]},
            published);
    }
};

TEST_F(ReferenceEval, TextToVideo) {
    write(captions);
    expect(t2v, reference_case::t2v);
    expect(t2v.with("--query-mask", "mask.npy"), reference_case::t2v_masked);
    write({reference_case::toy, 3, 3});
    expect(t2v, reference_case::toy_published);
    write({std::vector<float>(18, 0), 6, 3});
    expect(t2v, reference_case::zeros_t2v);
}

TEST_F(ReferenceEval, VideoToText) {
    write(transposed(captions));
    expect(v2t, reference_case::v2t);
    const Command masked = v2t.with("--query-mask", "mask.npy");
    expect(masked, reference_case::v2t_masked);
    const std::string output = done(masked);
    EXPECT_NE(output.find(" - "), std::string::npos) << "an unknown rank";
    EXPECT_EQ(output.find("inf"), std::string::npos);
    write({reference_case::toy, 3, 3});  // a row for each video
    expect(v2t, reference_case::toy_published);
    write(transposed({std::vector<float>(18, 0), 6, 3}));
    expect(v2t, reference_case::zeros_v2t);
}

TEST_F(ReferenceEval, MasksOfAnyKind) {
    write(captions);
    const Command masked = t2v.with("--query-mask", "mask.npy");
    const auto& mask = reference_case::mask;
    // As the published code has it: videos x captions of each.
    write_npy(folder / "mask.npy", "<i8", "(6, 2)", bytes_of(mask));
    expect(masked, reference_case::t2v_masked);
    const std::string bools(mask.begin(), mask.end());
    write_npy(folder / "mask.npy", "|b1", "(12,)", bools);
    expect(masked, reference_case::t2v_masked);
    write_npy(folder / "mask.npy", "|b1", "(11,)", bools.substr(1));
    expect_refused(masked, {"mask.npy: is 11 x 1", "12 queries"});
    write_npy(folder / "mask.npy", "|b1", "(12,)", std::string(12, '\0'));
    expect_refused(masked, {"mask.npy: leaves out every query"});
    write_npy(folder / "mask.npy", "<f4", "(12,)", std::string(48, '\0'));
    expect_refused(masked, {"mask.npy: holds float32"});
    write_npy(folder / "mask.npy", "|b1", "(12,)", bools.substr(1));
    expect_refused(masked, {"mask.npy: ", "truncated"});
}

TEST_F(ReferenceEval, MatricesThatDoNotFit) {
    write(captions);
    const Command dual = t2v.with("--methods", "dualis");
    expect_usage(dual, {"--gallerybank-similarities"});
    expect_usage(t2v.without("--querybank-similarities"),
                 {"--querybank-similarities"});
    expect_usage(t2v.with("--normalize"), {"--normalize"});
    expect_usage(t2v.with("--gallery", "gallery.npy"), {"--gallery"});
    write_npy(folder / "p.npy", Matrix{std::vector<float>(5, 1), 1, 5});
    expect_refused(t2v, {"p.npy: is 1 x 5", "s.npy has 6 columns"});
    write(captions);
    write_npy(folder / "g.npy", Matrix{std::vector<float>(14, 1), 2, 7});
    expect_refused(dual.with("--gallerybank-similarities", "g.npy"),
                   {"g.npy: is 2 x 7", "s.npy has 6 columns"});
    Matrix holed = captions;
    holed.data[6 * 7 + 4] = NAN;
    write(holed);
    expect_refused(t2v, {"s.npy: row 7, column 4 is nan"});
    write(captions);
    const std::string bytes = content("s.npy");
    write_file(folder / "s.npy", bytes.substr(0, bytes.size() - 4));
    expect_refused(t2v, {"s.npy: ", "truncated"});
    write({std::vector<float>(21, 0), 7, 3});
    expect_refused(t2v, {"s.npy has 7 queries", "3 items", "--groundtruth"});
}

// ---- several right items ----

TEST_F(SmallEval, TheBestOfSeveralRightItems) {
    write_npy(folder / "gallery.npy", Matrix{{1, 0, 0, 1, 0.5F, 0.5F}, 3, 2});
    write_npy(folder / "queries.npy", Matrix{{3, 1, 1, 4}, 2, 2});
    write_npy(folder / "bank.npy", Matrix{{0, 0}, 1, 2});
    // Raw 3 1 2 and 1 4 2.5: ranks 1 (of item 2), 0.
    write_labels(folder / "truth.npy", 2, {1, 2, 1, -1});
    const json none = methods_of(eval_truth)[0];
    EXPECT_EQ(none["R@1"], 50.0);
    EXPECT_EQ(none["MnR"], 1.5);
    write_labels(folder / "truth.npy", 2, {1, 2, -1, -1});
    expect_refused({"truth.npy: row 1 names no item", "--query-mask"});
    write_integers("mask.npy", {1, 0});
    const json one = methods_of(eval_truth.with("--query-mask", "mask.npy"))[0];
    EXPECT_EQ(one["MnR"], 2.0);
    write_labels(folder / "truth.npy", 2, {1, 3, 0, -1});
    expect_refused({"truth.npy: row 0 is item 3"});
}

TEST_F(SmallEval, QueriesInBlocksAreOfOneItem) {
    // Four queries, two items: 0, 0, 1, 1. Only the second is wrong.
    write_npy(folder / "gallery.npy", Matrix{{1, 0, 0, 1}, 2, 2});
    write_npy(folder / "queries.npy", Matrix{{2, 1, 1, 2, 1, 2, 1, 2}, 4, 2});
    write_npy(folder / "bank.npy", Matrix{{0, 0}, 1, 2});
    EXPECT_EQ(methods_of(eval)[0]["R@1"], 75.0);
}

// ---- video to text from vectors ----

class VideoToText : public SmallEval {
  protected:
    static constexpr idx_t videos = 40;
    const Matrix items = testdata::unit(videos, 24, 11);
    const Matrix captions = testdata::unit(2 * videos, 24, 12);
    const Matrix itembank = testdata::unit(70, 24, 13);
    const Command v2t = eval.with(
        "--direction v2t --gallerybank itembank.npy "
        "--query-mask mask.npy --methods none,is,dis,dualis,gc");
    std::vector<idx_t> mask = std::vector<idx_t>(2 * videos, 1);
    std::vector<idx_t> kept;

    VideoToText() {
        write_npy(folder / "gallery.npy", items);
        write_npy(folder / "queries.npy", captions);
        write_npy(folder / "itembank.npy", itembank);
        for (const idx_t missing : {1, 16, 17, 30}) mask[missing] = 0;
        write_integers("mask.npy", mask);
        for (idx_t i = 0; i < 2 * videos; i++) {
            if (mask[i]) kept.push_back(i);
        }
    }

    Matrix searched() const {
        Matrix result{{}, static_cast<idx_t>(kept.size()), 24};
        for (const idx_t i : kept) {
            const float* row = captions.view().row(i);
            result.data.insert(result.data.end(), row, row + 24);
        }
        return result;
    }

    // R@1 and R@5 of scores of a row for each video.
    void expect(const json& found, const oracle::Rows& scores) const {
        double first = 0;
        double five = 0;
        for (idx_t video = 0; video < videos; video++) {
            std::vector<idx_t> right;
            for (size_t i = 0; i < kept.size(); i++) {
                if (kept[i] / 2 == video) right.push_back(i);
            }
            if (right.empty()) continue;
            const double rank = oracle::rank_of(scores[video], right);
            first += rank == 0;
            five += rank < 5;
        }
        EXPECT_NEAR(found["R@1"], 100 * first / videos, 1e-9) << found["name"];
        EXPECT_NEAR(found["R@5"], 100 * five / videos, 1e-9) << found["name"];
        EXPECT_TRUE(found["MnR"].is_null()) << "video 8 has no caption";
    }
};

TEST_F(VideoToText, TheItemsHaveTheirOwnBank) {
    const Matrix texts = searched();
    const oracle::Reference reference(Metric::inner_product, texts.view(),
                                      items.view(), itembank.view(), 20, 1);
    const json found = methods_of(v2t);
    for (const Method method : {Method::none, Method::is, Method::dis}) {
        oracle::Rows scores;
        for (idx_t i = 0; i < videos; i++) {
            scores.push_back(reference.scores(method, i));
        }
        expect(found[static_cast<int>(method)], scores);
    }
    const oracle::Rows probe = oracle::similarities(
        Metric::inner_product, itembank.view(), texts.view());
    const oracle::Rows second =
        oracle::similarities(Metric::inner_product, bank.view(), texts.view());
    const oracle::Row offsets = oracle::dualis_offsets(
        oracle::is_offsets(probe, 20), 20, oracle::is_offsets(second, 3), 3);
    oracle::Rows dual = reference.raw;
    oracle::Rows corrected;
    for (oracle::Row& row : dual) {
        corrected.push_back(oracle::gc_scores(row, probe));
        for (size_t j = 0; j < row.size(); j++) row[j] -= offsets[j];
    }
    expect(found[3], dual);
    expect(found[4], corrected);
}

TEST_F(VideoToText, HubsHaveTheNamesOfTheFile) {
    const json found = methods_of(v2t.with("--hubs", "5"));
    const Matrix texts = searched();
    const oracle::Rows raw =
        oracle::similarities(Metric::inner_product, items.view(), texts.view());
    std::vector<idx_t> counts(2 * videos, 0);
    for (const oracle::Row& row : raw) {
        const auto order = oracle::ranking(row);
        for (int i = 0; i < 10; i++) counts[kept[order[i]]]++;
    }
    const json& hubs = found[0]["hubs"];
    ASSERT_EQ(hubs.size(), 5U);
    EXPECT_EQ(hubs[0]["k_occurrence"],
              *std::max_element(counts.begin(), counts.end()));
    for (const json& hub : hubs) {
        EXPECT_EQ(hub["k_occurrence"], counts[hub["item"].get<idx_t>()]);
    }
}

TEST_F(VideoToText, NeedsTheBanksOfItsMethods) {
    const Command none = v2t.with("--methods", "none,is");
    expect_usage(none.without("--gallerybank"), {"--gallerybank"});
    expect_usage(v2t.without("--querybank"), {"--querybank", "dual"});
    done(none.without("--querybank"));
    expect_usage(v2t.with("--direction", "sideways"), {"--direction"});
    expect_usage(none.with("--index", "index.faiss"), {"--index"});
}

}  // namespace
