#pragma once

#include "tests/cli/search_scene.h"
#include "tests/method_offsets.h"

namespace cli {

using faiss_qbnorm::Normalization;

/// A method as a user asks for it, and what that is.
struct Asked {
    std::string words;
    Normalization normalization;
};

inline std::vector<Asked> every_method() {
    Normalization csls(Method::csls);
    csls.neighbours = 3;
    Normalization nnn(Method::nnn);
    nnn.neighbours = 5;
    nnn.alpha = 0.25F;
    Normalization dualis(Method::dualis, 7, 2);
    dualis.beta2 = 40;
    Normalization dbsn(Method::dbsn, 30, 1);
    dbsn.iterations = 4;
    return {{"csls", Method::csls},
            {"csls --neighbours 3", csls},
            {"nnn", Method::nnn},
            {"nnn --neighbours 5 --alpha 0.25", nnn},
            {"cent", Method::cent},
            {"dualis", Method::dualis},
            {"dualis --beta 7 --beta2 40 --activation-k 2", dualis},
            {"dbsn", Method::dbsn},
            {"dbsn --beta 30 --iterations 4", dbsn}};
}

class MethodScene : public Search {
  protected:
    MethodScene() { write_npy(folder / "others.npy", gallerybank); }

    Command fit_with(const Asked& asked, Metric metric) const {
        return Command(
                   "fit --gallery gallery.npy --querybank bank.npy "
                   "--gallerybank others.npy -o table.qbn")
            .with("--metric", name_of(metric))
            .with("--method " + asked.words);
    }

    oracle::Row offsets(const Asked& asked, Metric metric) const {
        return oracle::offsets_of(
            asked.normalization,
            {metric, gallery.view(), bank.view(), gallerybank.view()});
    }

    oracle::Rows raw(Metric metric) const {
        return oracle::similarities(metric, queries.view(), gallery.view());
    }

    void expect_ranked(const Answer& answer, const Asked& asked,
                       Metric metric) const {
        const oracle::Rows scores = raw(metric);
        const oracle::Row taken = offsets(asked, metric);
        std::vector<float> found = answer.distances;
        if (metric == Metric::l2) {
            for (float& score : found) score = -score;
        }
        ASSERT_EQ(answer.nq, queries.rows);
        for (idx_t i = 0; i < answer.nq; i++) {
            SCOPED_TRACE("query " + std::to_string(i));
            oracle::expect_ranking(oracle::minus(scores[i], taken), answer.k,
                                   &found[i * answer.k],
                                   &answer.labels[i * answer.k], 2e-5);
        }
    }

    const Matrix gallerybank = testdata::unit(70, 24, 4);
};

}  // namespace cli
