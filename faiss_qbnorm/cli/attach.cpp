#include "faiss_qbnorm/attach.h"

#include <cstdio>
#include <optional>

#include "faiss_qbnorm/cli/bank_options.h"
#include "faiss_qbnorm/cli/common.h"
#include "faiss_qbnorm/cli/faiss_file.h"
#include "faiss_qbnorm/cli/table_report.h"
#include "faiss_qbnorm/index_io.h"
#include "faiss_qbnorm/io/vector_file.h"

namespace faiss_qbnorm::cli {

namespace {

struct Attach {
    Common common;
    std::string index;
    BankOptions bank;
    std::string gallery;
    bool normalize = false;
    std::string output;

    explicit Attach(CLI::App& command) : common(command) {
        command.add_option("--index", index, "FAISS index file")->required();
        bank.add_to(command, false);
        command.add_option("--gallery", gallery,
                           "The indexed vectors, in the order of their labels "
                           "(in an ID map, of adding), where the index stores "
                           "them approximately or cannot give them back");
        command.add_flag("--normalize", normalize,
                         "Divide each vector of the querybank and of --gallery "
                         "by its norm on reading");
        command
            .add_option("-o,--output", output,
                        "QBNorm index file to write, for search --index")
            ->required();
    }

    void run() {
        const std::shared_ptr<const Engine> engine = common.start(
            {index, bank.querybank, bank.gallerybank, gallery, output});
        require_writable(output,
                         {index, bank.querybank, bank.gallerybank, gallery});
        require(!is_index_file(index), index,
                ": is a QBNorm index already; give the FAISS index that it "
                "was made of");
        const BankMatrices matrices =
            common.timed("read", [&] { return BankMatrices(bank, normalize); });
        auto loaded =
            common.timed("load", [&] { return read_index(index, engine); });
        require_same_d(bank, matrices, index, static_cast<int>(loaded->d));
        const std::optional<Matrix> originals = read_originals(*loaded);
        const auto attached = common.timed("fit", [&] {
            return naming(index + ", " + bank.querybank, [&] {
                return attach(
                    std::move(loaded), bank.normalization(), matrices.banks(),
                    originals ? originals->data.data() : nullptr, engine);
            });
        });
        common.timed("write", [&] {
            write_index_qbnorm(attached.get(), output.c_str());
        });
        const IndexFile written = read_index_file(output, Verify::small);
        describe(written, common.report);
        std::printf("%s: %s\n", output.c_str(), describe(written).c_str());
        common.finish();
    }

    std::optional<Matrix> read_originals(const faiss::Index& loaded) {
        if (gallery.empty()) return std::nullopt;
        const VectorFile items(gallery, normalize);
        require_same_d(gallery, items.d(), index, static_cast<int>(loaded.d));
        require(items.size() == loaded.ntotal, gallery, ": has ", items.size(),
                " rows but ", index, " has ", loaded.ntotal, " vectors");
        return items.read();
    }
};

}  // namespace

void add_attach(CLI::App& app) {
    add_command<Attach>(app, "attach",
                        "Normalise the index in a FAISS file with a querybank");
}

}  // namespace faiss_qbnorm::cli
