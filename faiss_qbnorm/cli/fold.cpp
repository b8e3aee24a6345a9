#include "faiss_qbnorm/fold/fold.h"

#include <faiss/index_io.h>

#include <cstdio>

#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/faiss_file.h"
#include "faiss_qbnorm/cli/table_report.h"
#include "faiss_qbnorm/cli/validators.h"
#include "faiss_qbnorm/fold/output_writer.h"
#include "faiss_qbnorm/io/index_file.h"
#include "faiss_qbnorm/io/npy.h"
#include "faiss_qbnorm/io/table_file.h"
#include "faiss_qbnorm/io/vector_file.h"

namespace faiss_qbnorm::cli {

namespace {

struct Fold {
    Common common;
    std::string table;
    std::string gallery;
    bool normalize = false;
    std::string factory = "Flat";
    std::string index;
    float k_factor = 10;
    std::string activation;
    std::string output;

    explicit Fold(CLI::App& command) : common(command) {
        command.add_option("--table", table, "Table of the gallery (.qbn)")
            ->required();
        command.add_option("--gallery", gallery, "Vectors it was fitted on")
            ->required();
        command.add_flag("--normalize", normalize,
                         "Divide each vector by its norm on reading");
        auto* made = command
                         .add_option("--factory", factory,
                                     "The index to make, in FAISS's words")
                         ->capture_default_str();
        auto* file = command
                         .add_option("--index", index,
                                     "FAISS index file of the gallery, to be "
                                     "wrapped instead")
                         ->excludes(made);
        command
            .add_option("--k-factor", k_factor,
                        "Candidates per answer that the wrapped index gives")
            ->check(k_factor_range)
            ->needs(file)
            ->capture_default_str();
        command.add_option("--activation", activation,
                           "Write the activation set's labels (.npy), for DIS");
        command.add_option("-o,--output", output, "FAISS index file to write")
            ->required();
    }

    void run() {
        common.start({table, gallery, index, activation, output});
        check_outputs();
        const NormTable norm_table =
            common.timed("open", [&] { return read_verified_table(table); });
        const Method method = normalization_of(norm_table).method;
        require(activation.empty() ||
                    (column_kind(method) == Method::is && !is_dual(method)),
                table, ": method ", name_of(method),
                " has no gate, for which to write an activation set; leave out "
                "--activation");
        const VectorFile items(gallery, normalize);
        const auto folded = index.empty() ? fold_gallery(norm_table, items)
                                          : fold_index(norm_table, items);
        const BankColumn column = ranking_column(norm_table, method);
        common.timed("write", [&] { write(*folded, column.activation); });
        report(norm_table, mean_offset(column));
    }

    void check_outputs() const {
        const std::vector<std::string> inputs{table, gallery, index};
        require_writable(output, inputs);
        if (activation.empty()) return;
        require_writable(activation, inputs);
        require(activation != output, activation,
                ": is the folded index too; write the activation set to "
                "another file");
    }

    std::unique_ptr<faiss::Index> fold_gallery(const NormTable& norm_table,
                                               const VectorFile& items) {
        return common.timed("fold", [&] {
            return naming(table + ", " + gallery, [&] {
                return fold(norm_table, items, factory,
                            progress_bar("fold", items.size()));
            });
        });
    }

    std::unique_ptr<faiss::Index> fold_index(const NormTable& norm_table,
                                             const VectorFile& items) {
        require(
            !is_index_file(index), index,
            ": is a QBNorm index; give the FAISS index that it was made of");
        auto base =
            common.timed("load", [&] { return read_index(index, nullptr); });
        return common.timed("fold", [&] {
            return naming(table + ", " + gallery + ", " + index, [&] {
                return fold_refine(norm_table, items, std::move(base), k_factor,
                                   progress_bar("fold", items.size()));
            });
        });
    }

    // The index appears last: where it is, all is there.
    void write(const faiss::Index& folded, const ActivationSet& active) const {
        OutputFile file(output);
        OutputWriter writer(file);
        faiss::write_index(&folded, &writer);
        file.sync();
        if (!activation.empty()) write_labels(active, folded.ntotal);
        file.commit();
    }

    void write_labels(const ActivationSet& active, idx_t size) const {
        std::vector<idx_t> labels;
        for (idx_t i = 0; i < size; i++) {
            if (active.contains(i)) labels.push_back(i);
        }
        OutputFile file(activation);
        write_npy_header(file, ElementType::int64,
                         static_cast<idx_t>(labels.size()), 1);
        file.write(std::span<const idx_t>(labels));
        file.commit();
    }

    void report(const NormTable& norm_table, double mean) {
        describe(norm_table, common.report);
        common.report["mean_offset"] = mean;
        const std::string made = index.empty() ? "a folded " + factory
                                               : "an IndexRefine over " + index;
        std::printf("%s: %s, of the %s; its scores are s - offset + %.9g\n",
                    output.c_str(), made.c_str(), describe(norm_table).c_str(),
                    mean);
        common.finish();
    }
};

}  // namespace

void add_fold(CLI::App& app) {
    add_command<Fold>(app, "fold",
                      "Write a plain FAISS index that ranks by s - offset");
}

}  // namespace faiss_qbnorm::cli
