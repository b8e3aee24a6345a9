#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iomanip>
#include <limits>
#include <sstream>

#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/table_report.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/io/array_file.h"
#include "faiss_qbnorm/io/table_file.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/make_engine.h"

namespace faiss_qbnorm::cli {

namespace {

struct Inspect {
    Common common;
    std::string file;
    bool verify = false;
    bool machine = false;

    explicit Inspect(CLI::App& command) : common(command) {
        auto* what = command.add_option_group("what");
        what->add_option("file", file,
                         "A .qbn table, a QBNorm index or a vector file");
        what->add_flag("--machine", machine,
                       "Say which devices and instructions the engines use "
                       "here");
        what->require_option(1);
        command.add_flag("--verify", verify,
                         "Read the whole file and check it, not only its "
                         "header");
    }

    void run() {
        common.start({file});
        if (machine) {
            inspect_machine();
        } else if (is_table(file)) {
            inspect_table();
        } else if (is_index_file(file)) {
            inspect_index();
        } else {
            inspect_array();
        }
        common.finish();
    }

    void inspect_machine() {
        for (const std::string& name : engine_names()) {
            const std::string found = describe_engine(name);
            common.report[name] = found;
            std::printf("%s: %s\n", name.c_str(), found.c_str());
        }
    }

    static std::string describe_engine(const std::string& name) {
        try {
            return make_engine(name)->describe();
        } catch (const Error& problem) {
            return problem.what();
        }
    }

    void inspect_table() {
        if (verify) verify_table(file);
        const NormTable table = read_table(file);
        describe(table, common.report);
        std::printf("%s: %s%s\n", file.c_str(), describe(table).c_str(),
                    verify ? "; every checksum is right" : "");
    }

    void inspect_index() {
        const IndexFile index =
            read_index_file(file, verify ? Verify::all : Verify::small);
        describe(index, common.report);
        std::printf("%s: %s%s\n", file.c_str(), describe(index).c_str(),
                    verify ? "; every checksum is right" : "");
    }

    void inspect_array() {
        const ArrayFile array = ArrayFile::open(file);
        common.report["rows"] = array.rows;
        common.report["d"] = array.d;
        common.report["type"] = name_of(array.type);
        const bool vectors = array.type == ElementType::float32 ||
                             array.type == ElementType::float16;
        for (idx_t i = 0; verify && i < array.rows; i++) array.row(i);
        const std::string norms =
            vectors && array.rows > 0 ? norms_of(array.rows) : "";
        std::printf("%s: %lld rows of dimension %d, %s%s\n", file.c_str(),
                    static_cast<long long>(array.rows), array.d,
                    name_of(array.type).c_str(), norms.c_str());
    }

    // Of the first rows, or of all where they are to be verified.
    std::string norms_of(idx_t rows) {
        constexpr idx_t sample = 10000;
        const idx_t seen = verify ? rows : std::min(rows, sample);
        double least = std::numeric_limits<double>::infinity();
        double most = 0;
        VectorFile(file, false)
            .for_each_block(0, seen, [&](const GalleryBlock& block) {
                for (idx_t i = 0; i < block.vectors.rows; i++) {
                    const float* row = block.vectors.row(i);
                    const double norm = std::sqrt(exact_score(
                        Metric::inner_product, row, row, block.vectors.d));
                    least = std::min(least, norm);
                    most = std::max(most, norm);
                }
            });
        common.report["norms"] = {least, most};
        std::ostringstream text;
        text << std::setprecision(4) << "; norms " << least << " to " << most;
        if (seen < rows) text << " in the first " << seen << " rows";
        return text.str();
    }
};

}  // namespace

void add_inspect(CLI::App& app) {
    add_command<Inspect>(app, "inspect", "Say what a file is");
}

}  // namespace faiss_qbnorm::cli
