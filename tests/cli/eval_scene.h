#pragma once

#include <sstream>

#include "tests/cli/run.h"

/// What eval is tested with.

namespace cli {

using nlohmann::json;

/// The printed row of a method: R@1, R@5, R@10, MdR, skewness, max.
inline Words printed(const std::string& output, const std::string& method) {
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        Words fields;
        for (std::string word; words >> word;) fields.push_back(word);
        if (fields.size() == 14 && fields[0] == method) {
            return {fields[1], fields[2], fields[3],
                    fields[5], fields[8], fields[9]};
        }
    }
    ADD_FAILURE() << "no row of " << method << " in:\n" << output;
    return {};
}

inline std::string manpages(const std::string& name) {
    return testdata::real("manpages-de-en-small/" + name);
}

inline Matrix transposed(const Matrix& m) {
    Matrix result{std::vector<float>(m.data.size()), m.d,
                  static_cast<int>(m.rows)};
    for (idx_t i = 0; i < m.rows; i++) {
        for (int j = 0; j < m.d; j++) {
            result.data[j * m.rows + i] = m.data[i * m.d + j];
        }
    }
    return result;
}

class SmallEval : public Scene {
  protected:
    const Command eval =
        "eval --gallery gallery.npy --queries queries.npy "
        "--querybank bank.npy --json eval.json";
    const Command eval_truth = eval.with("--groundtruth", "truth.npy");

    json methods_of(const Command& command) const {
        done(command);
        return read_json(folder / "eval.json")["methods"];
    }

    void write_integers(const std::string& name,
                        const std::vector<idx_t>& values) const {
        std::ostringstream shape;
        shape << "(" << values.size() << ",)";
        write_npy(folder / name, "<i8", shape.str(), bytes_of(values));
    }

    void write_truth(const std::vector<idx_t>& truth) const {
        write_integers("truth.npy", truth);
    }

    void expect_refused(const Command& command, const Words& texts) const {
        SCOPED_TRACE(command.line());
        const long before = folder.count();
        expect_refusal(run(command), 1, texts);
        EXPECT_EQ(folder.count(), before);
    }
    void expect_refused(const Words& texts) const {
        expect_refused(eval_truth, texts);
    }

    void expect_usage(const Command& command, const Words& texts) const {
        SCOPED_TRACE(command.line());
        expect_refusal(run(command), 2, texts);
    }
};

}  // namespace cli
