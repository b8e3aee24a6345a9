#include <algorithm>
#include <cstdio>
#include <cstring>

#include "faiss_qbnorm/cli/answer_files.h"
#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/validators.h"
#include "faiss_qbnorm/io/array_file.h"
#include "faiss_qbnorm/io/table_file.h"
#include "faiss_qbnorm/search.h"

namespace faiss_qbnorm::cli {

namespace {

struct Rerank {
    Common common;
    std::string table;
    std::string labels;
    std::string distances;
    AnswerOptions answer;

    explicit Rerank(CLI::App& command) : common(command) {
        command.add_option("--table", table, "Table of the gallery (.qbn)")
            ->required();
        command.add_option("--labels", labels, "Candidates, int64, nq x K")
            ->required();
        command
            .add_option("--distances", distances,
                        "Their distances as FAISS gives them, float32, nq x K")
            ->required();
        answer.add_to(command);
    }

    void run() {
        const auto engine = common.start();
        const NormTable norm_table = read_table(table);
        check_table_is_whole(norm_table);
        const ArrayFile label_rows = ArrayFile::open(labels);
        const ArrayFile distance_rows = ArrayFile::open(distances);
        check_candidates(label_rows, distance_rows);
        const auto bound = common.timed(
            "bind", [&] { return engine->bind_table(norm_table); });
        AnswerFiles files(answer.prefix, {table, labels, distances},
                          label_rows.rows, answer.k);
        common.timed("rerank", [&] {
            stream(*engine, norm_table, *bound, label_rows, distance_rows,
                   files);
            files.commit();
        });
        common.report["queries"] = label_rows.rows;
        common.report["candidates"] = label_rows.d;
        common.report["k"] = answer.k;
        common.finish();
    }

    void check_table_is_whole(const NormTable& norm_table) const {
        require(norm_table.is_whole(), table, ": covers only rows ",
                norm_table.begin, ":", norm_table.end, " of ",
                norm_table.gallery_size, "; join the parts with qbnorm merge");
    }

    void check_candidates(const ArrayFile& label_rows,
                          const ArrayFile& distance_rows) const {
        require(label_rows.type == ElementType::int64, labels, ": holds ",
                name_of(label_rows.type), " but labels are int64");
        require(distance_rows.type == ElementType::float32, distances,
                ": holds ", name_of(distance_rows.type),
                " but distances are float32");
        require(label_rows.rows == distance_rows.rows &&
                    label_rows.d == distance_rows.d,
                labels, " is ", label_rows.rows, " x ", label_rows.d, " but ",
                distances, " is ", distance_rows.rows, " x ", distance_rows.d,
                "; give one distance for each label");
    }

    void stream(const Engine& engine, const NormTable& norm_table,
                const BoundTable& bound, const ArrayFile& label_rows,
                const ArrayFile& distance_rows, AnswerFiles& files) const {
        const idx_t candidates = label_rows.d;
        const idx_t rows = label_rows.rows;
        constexpr idx_t candidates_at_once = idx_t{1} << 22;
        const idx_t batch = std::max<idx_t>(
            candidates_at_once / std::max(candidates, answer.k), 1);
        const Method method =
            column_of(norm_table, Bank::querybank).normalization.method;
        const auto progress = progress_bar("rerank", rows);
        std::vector<float> scores(batch * candidates);
        std::vector<idx_t> batch_labels(batch * candidates);
        std::vector<float> best_scores(batch * answer.k);
        std::vector<idx_t> best_labels(batch * answer.k);
        for (idx_t first = 0; first < rows; first += batch) {
            const idx_t n = std::min(batch, rows - first);
            for (idx_t i = 0; i < n; i++) {
                std::memcpy(&batch_labels[i * candidates],
                            label_rows.row(first + i), label_rows.stride);
                std::memcpy(&scores[i * candidates],
                            distance_rows.row(first + i),
                            sizeof(float) * candidates);
            }
            if (norm_table.metric == Metric::l2) {
                for (float& score : scores) score = -score;
            }
            const Answers answers{best_scores.data(), best_labels.data()};
            naming(labels + ", " + distances, [&] {
                engine.rerank(
                    bound, method,
                    {n, candidates, scores.data(), batch_labels.data(), first},
                    answer.k, answers);
            });
            scores_to_distances(norm_table.metric, n * answer.k, answers.labels,
                                answers.scores);
            files.append(n, answers.scores, answers.labels);
            progress(first + n);
        }
    }
};

}  // namespace

void add_rerank(CLI::App& app) {
    add_command<Rerank>(app, "rerank",
                        "Normalise candidate lists that any engine returned");
}

}  // namespace faiss_qbnorm::cli
