#include <algorithm>
#include <cstdio>

#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/table_report.h"
#include "faiss_qbnorm/core/merge.h"
#include "faiss_qbnorm/io/table_file.h"

namespace faiss_qbnorm::cli {

namespace {

struct Merge {
    Common common;
    std::vector<std::string> parts;
    std::string output;

    explicit Merge(CLI::App& command) : common(command) {
        command.add_option("parts", parts, "Tables of row ranges")->required();
        command.add_option("-o,--output", output, "Table to write (.qbn)")
            ->required();
    }

    void run() {
        std::vector<std::string> files = parts;
        files.push_back(output);
        common.start(files);
        require_writable(output, parts);
        std::vector<NormTable> tables;
        std::string names;
        common.timed("read", [&] {
            for (const std::string& part : parts) {
                verify_table(part);
                tables.push_back(read_table(part));
                names += (names.empty() ? "" : ", ") + part;
            }
        });
        const NormTable whole = common.timed("merge", [&] {
            std::vector<const NormTable*> pointers(tables.size());
            std::transform(tables.begin(), tables.end(), pointers.begin(),
                           [](const NormTable& table) { return &table; });
            return naming(names, [&] { return merge(pointers); });
        });
        common.timed("write", [&] { write_table(whole, output); });
        describe(whole, common.report);
        std::printf("%s: %s\n", output.c_str(), describe(whole).c_str());
        common.finish();
    }
};

}  // namespace

void add_merge(CLI::App& app) {
    add_command<Merge>(
        app, "merge",
        "Join tables of row ranges into the table of their union");
}

}  // namespace faiss_qbnorm::cli
