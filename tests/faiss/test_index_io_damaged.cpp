// Oracle: index_io.h: an error that names the file, whatever is in it. The
// header's own checks are held in test_index_file.cpp.

#include <faiss/IndexFlat.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/index_io.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "faiss_qbnorm/cpu/engine_cpu.h"
#include "faiss_qbnorm/fit.h"
#include "faiss_qbnorm/io/index_file.h"
#include "tests/faiss/index_files.h"

namespace {

using namespace index_files;

constexpr int all_flags[] = {0, can_map ? faiss::IO_FLAG_MMAP : 0,
                             faiss::IO_FLAG_ONDISK_SAME_DIR};

class DamagedIndexFiles : public IndexFiles {
  protected:
    void expect_unreadable(const std::string& file, int io_flags,
                           const std::string& why) const {
        SCOPED_TRACE("flags " + std::to_string(io_flags));
        const LeaksAreFaiss leaks;
        write_file(path_, file);
        try {
            read(io_flags);
            ADD_FAILURE() << "nothing was thrown";
        } catch (const faiss::FaissException& problem) {
            const std::string what = problem.what();
            EXPECT_TRUE(what.starts_with(path_ + ": ")) << what;
            EXPECT_NE(what.find(why), std::string::npos) << what;
        }
    }

    void expect_unreadable(const std::string& file,
                           const std::string& why) const {
        for (const int flags : all_flags) expect_unreadable(file, flags, why);
    }

    // A whole file, checksums and all, that says `info` of these bytes.
    std::string forged(const IndexInfo& info, const IndexParts& parts,
                       const std::string& base) const {
        write_index_file(path_, info, parts, [&](const Sink& sink) {
            sink(std::as_bytes(std::span(base)));
        });
        return read_file(path_);
    }
};

TEST_F(DamagedIndexFiles, AreErrorsThatNameTheFile) {
    EXPECT_REFUSED(read(), path_ + ": cannot open");
    EXPECT_REFUSED(read_index_qbnorm((folder_ / "").c_str()),
                   "not a regular file");
    const auto index = fitted("IVF8,Flat", Metric::l2);
    write(*index);
    const std::string good = read_file(path_);
    for (const size_t size :
         {size_t{8}, size_t{255}, size_t{256}, size_t{300}, size_t{5000},
          good.size() / 2, good.size() - 4, good.size() - 1}) {
        expect_unreadable(good.substr(0, size), "truncated");
    }
    expect_unreadable(good + "x", "truncated or damaged");
    write_file(path_, good);
    const IndexFile layout = read_index_file(path_, Verify::small);
    for (const size_t at :
         {layout.base_offset(), layout.base_offset() + 33, good.size() - 1}) {
        std::string damaged = good;
        damaged[at] ^= 1;  // FAISS never sees it
        expect_unreadable(damaged, 0, "base index is damaged");
        expect_unreadable(damaged, faiss::IO_FLAG_ONDISK_SAME_DIR,
                          "base index is damaged");
    }
    std::string flipped = good;
    flipped[100] ^= 1;
    expect_unreadable(flipped, "header is damaged");

    // The last list's last vector, before its labels.
    const size_t labels = 8 * lists_of(*index).list_size(7);
    std::string mapped = good;
    mapped[mapped.size() - labels - 4] ^= 1;
    write_file(path_, mapped);
    if (can_map) {
        EXPECT_EQ(read(faiss::IO_FLAG_MMAP)->ntotal, 600);
    }
}

TEST_F(DamagedIndexFiles, TheBaseMustBeTheHeaders) {
    const NormTable table = *fitted("Flat", Metric::l2)->table();
    const auto flat = bases::make("Flat", Metric::l2, gallery);
    const std::string base = bytes_of(*flat);
    const IndexInfo info{16, Metric::l2, 600, IdMap::none, {}, 10, 100};
    const IndexParts unfitted;
    write_file(path_, forged(info, unfitted, base));
    EXPECT_EQ(read()->ntotal, 600);  // is how it should be

    const char* another = "its base index is another one";
    IndexInfo wrong = info;
    wrong.ntotal = 599;
    expect_unreadable(forged(wrong, unfitted, base), another);
    wrong = info;
    wrong.d = 15;
    expect_unreadable(forged(wrong, unfitted, base), another);
    wrong = info;
    wrong.metric = Metric::inner_product;
    expect_unreadable(forged(wrong, unfitted, base), another);

    // A transform that says another ntotal than the index behind it.
    const auto chain = bases::make("RR16,Flat", Metric::l2, gallery);
    chain->ntotal = 601;
    for (const idx_t either : {600, 601}) {
        wrong = info;
        wrong.ntotal = either;
        expect_unreadable(forged(wrong, unfitted, bytes_of(*chain)), another);
    }

    NormTable wide = table;
    wide.d = 17;
    IndexParts parts;
    parts.table = &wide;
    expect_unreadable(forged(info, parts, base), "was fitted on 600 items");
    wide = table;
    std::vector<float> offsets(600, 0.5F);
    offsets[7] = std::numeric_limits<float>::quiet_NaN();
    wide.columns[0].offsets = offsets;
    expect_unreadable(forged(info, parts, base), "NaN or Inf");
}

TEST_F(DamagedIndexFiles, TheBaseMustBeAnIndex) {
    const auto index = fitted("IVF8,Flat", Metric::l2);
    const std::string base = bytes_of(*index->base_index);
    const IndexInfo info{16, Metric::l2, 600, IdMap::none, {}, 10, 100};
    IndexParts parts;
    parts.table = index->table();
    expect_unreadable(forged(info, parts, "xxxx"), "not recognized");
    expect_unreadable(forged(info, parts, "x"), "");
    for (const size_t size :
         {size_t{4}, size_t{20}, size_t{300}, base.size() - 1}) {
        expect_unreadable(forged(info, parts, base.substr(0, size)), 0, "");
    }
    expect_unreadable(forged(info, parts, base + "more"), 0,
                      "ends 4 bytes before the file does");

    // Labels that the table does not have.
    auto& ivf = dynamic_cast<faiss::IndexIVF&>(*index->base_index);
    auto& lists = dynamic_cast<faiss::ArrayInvertedLists&>(*ivf.invlists);
    for (const idx_t label : {idx_t{600}, idx_t{-1}, idx_t{1} << 40}) {
        auto& list = *std::find_if(lists.ids.begin(), lists.ids.end(),
                                   [](const auto& l) { return l.size() > 0; });
        const idx_t right = list[0];
        list[0] = label;
        expect_unreadable(forged(info, parts, bytes_of(ivf)), "holds label");
        list[0] = right;
    }
    // No lists at all, which FAISS writes and reads.
    ivf.replace_invlists(nullptr);
    expect_unreadable(forged(info, parts, bytes_of(ivf)), "no inverted lists");

    faiss::IndexFlatL2 flat(16);
    faiss::IndexIDMap map(&flat);
    map.add_with_ids(600, gallery.data.data(), some_ids(600).data());
    expect_unreadable(forged(info, parts, bytes_of(map)), "labels of its own");
    const auto lsh = bases::make("LSH", Metric::l2, gallery);
    expect_unreadable(forged(info, {}, bytes_of(*lsh)), "Hamming");
}

}  // namespace
