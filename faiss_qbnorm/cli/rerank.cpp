#include <algorithm>
#include <cstdio>
#include <cstring>
#include <future>

#include "faiss_qbnorm/cli/answer_files.h"
#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/validators.h"
#include "faiss_qbnorm/io/array_file.h"
#include "faiss_qbnorm/io/table_file.h"
#include "faiss_qbnorm/rerank_dualdis.h"
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
        const auto engine = common.start({table, labels, distances,
                                          answer.prefix + ".labels.npy",
                                          answer.prefix + ".distances.npy"});
        const NormTable norm_table = read_verified_table(table);
        check_table_is_whole(norm_table);
        const ArrayFile label_rows = ArrayFile::open(labels);
        const ArrayFile distance_rows = ArrayFile::open(distances);
        check_candidates(label_rows, distance_rows);
        const auto bound = common.timed("bind", [&] {
            return engine->bind_table(
                norm_table, ranking_column(norm_table, method_of(norm_table)));
        });
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

    static Method method_of(const NormTable& norm_table) {
        return normalization_of(norm_table).method;
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

    /// Rows [first, first + n) on their way from file to file.
    struct Batch {
        idx_t first = 0;
        idx_t n = 0;
        std::vector<float> scores;
        std::vector<idx_t> labels;
        std::vector<float> best_scores;
        std::vector<idx_t> best_labels;
    };

    // While the engine works on one batch, the next is read and the one before
    // is written.
    void stream(const Engine& engine, const NormTable& norm_table,
                const BoundTable& bound, const ArrayFile& label_rows,
                const ArrayFile& distance_rows, AnswerFiles& files) const {
        constexpr idx_t candidates_at_once = idx_t{1} << 22;
        const idx_t rows = label_rows.rows;
        const idx_t step = std::max<idx_t>(
            candidates_at_once / std::max<idx_t>(label_rows.d, answer.k), 1);
        const auto progress = progress_bar("rerank", rows);
        Batch batches[3];
        const auto read = [&](Batch& batch, idx_t first) {
            batch.first = first;
            batch.n = std::min(step, rows - first);
            read_batch(norm_table.metric, label_rows, distance_rows, batch);
        };
        // Declared last: they end before what they use goes.
        std::future<void> reading;
        std::future<void> writing;
        if (rows > 0) read(batches[0], 0);
        for (idx_t turn = 0; turn * step < rows; turn++) {
            Batch& batch = batches[turn % 3];
            if ((turn + 1) * step < rows) {
                reading = std::async(std::launch::async, read,
                                     std::ref(batches[(turn + 1) % 3]),
                                     (turn + 1) * step);
            }
            rerank_batch(engine, norm_table, bound, batch);
            if (writing.valid()) writing.get();
            writing = std::async(std::launch::async, [&files, &batch] {
                files.append(batch.n, batch.best_scores.data(),
                             batch.best_labels.data());
            });
            if (reading.valid()) reading.get();
            progress(batch.first + batch.n);
        }
        if (writing.valid()) writing.get();
    }

    static void read_batch(Metric metric, const ArrayFile& label_rows,
                           const ArrayFile& distance_rows, Batch& batch) {
        const idx_t candidates = label_rows.d;
        batch.labels.resize(batch.n * candidates);
        batch.scores.resize(batch.n * candidates);
        for (idx_t i = 0; i < batch.n; i++) {
            std::memcpy(&batch.labels[i * candidates],
                        label_rows.row(batch.first + i), label_rows.stride);
            std::memcpy(&batch.scores[i * candidates],
                        distance_rows.row(batch.first + i),
                        sizeof(float) * candidates);
        }
        if (metric == Metric::l2) {
            for (float& score : batch.scores) score = -score;
        }
    }

    void rerank_batch(const Engine& engine, const NormTable& norm_table,
                      const BoundTable& bound, Batch& batch) const {
        batch.best_scores.resize(batch.n * answer.k);
        batch.best_labels.resize(batch.n * answer.k);
        const Answers answers{batch.best_scores.data(),
                              batch.best_labels.data()};
        const idx_t candidates =
            static_cast<idx_t>(batch.labels.size()) / batch.n;
        const Candidates lists{batch.n, candidates, batch.scores.data(),
                               batch.labels.data(), batch.first};
        const Method method = method_of(norm_table);
        naming(labels + ", " + distances, [&] {
            if (method == Method::dualdis) {
                rerank_dualdis(norm_table, lists, answer.k, answers);
            } else {
                engine.rerank(bound, method, lists, answer.k, answers);
            }
        });
        scores_to_distances(norm_table.metric, batch.n * answer.k,
                            answers.labels, answers.scores);
    }
};

}  // namespace

void add_rerank(CLI::App& app) {
    add_command<Rerank>(app, "rerank",
                        "Normalise candidate lists that any engine returned");
}

}  // namespace faiss_qbnorm::cli
