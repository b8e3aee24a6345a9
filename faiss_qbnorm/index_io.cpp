#include "faiss_qbnorm/index_io.h"

#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/impl/FaissException.h>
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <faiss/invlists/OnDiskInvertedLists.h>
#if QBNORM_FAISS_VERSION >= 11100
#include <faiss/impl/mapped_io.h>
#endif

#include <algorithm>
#include <cstring>
#include <string>
#include <typeinfo>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/faiss/id_map.h"
#include "faiss_qbnorm/faiss/unwrap.h"
#include "faiss_qbnorm/io/index_file.h"

namespace faiss_qbnorm {

namespace {

#if QBNORM_FAISS_VERSION >= 11100
constexpr int map_codes = faiss::IO_FLAG_MMAP_IFC;
#else
constexpr int map_codes = 0;
#endif
constexpr int map_lists = faiss::IO_FLAG_SKIP_IVF_DATA;  // of IO_FLAG_MMAP

// Whatever goes wrong (memory, too) is a FaissException that names the file.
template <class Call>
auto naming(const std::string& path, Call call) {
    try {
        return call();
    } catch (const std::exception& problem) {
        std::string what = problem.what();
        if (!what.starts_with(path + ": ")) what = path + ": " + what;
        throw faiss::FaissException(what);
    }
}

// ---- writing ----

/// FAISS's bytes go to a Sink.
struct SinkWriter : faiss::IOWriter {
    const Sink& sink;

    SinkWriter(const Sink& to, const std::string& path) : sink(to) {
        name = path;
    }
    size_t operator()(const void* data, size_t size, size_t items) override {
        sink({static_cast<const std::byte*>(data), size * items});
        return items;
    }
};

template <class Type>
bool is_exactly(const faiss::Index& index) {
    return typeid(index) == typeid(Type);
}

/// The map around an IndexQBNorm, if any. Of subclasses FAISS's files would
/// keep a part only.
const faiss::IndexIDMap* id_map_of(const faiss::Index& index) {
    const bool is_map = is_exactly<faiss::IndexIDMap>(index) ||
                        is_exactly<faiss::IndexIDMap2>(index);
    return is_map ? static_cast<const faiss::IndexIDMap*>(&index) : nullptr;
}

IdMap kind_of(const faiss::IndexIDMap* map) {
    if (!map) return IdMap::none;
    return is_exactly<faiss::IndexIDMap2>(*map) ? IdMap::two_way
                                                : IdMap::one_way;
}

Metric metric_of(const faiss::Index& index) {
    return index.metric_type == faiss::METRIC_L2 ? Metric::l2
                                                 : Metric::inner_product;
}

// What a reader would refuse is not written.
void check_whole(const IndexQBNorm& index, const faiss::IndexIDMap* map) {
    const faiss::Index& base = *index.base_index;
    const NormTable* table = index.table();
    require(base.d == index.d && base.metric_type == index.metric_type &&
                (!table || table->items() == base.ntotal),
            "base_index was changed from outside; call set_querybank");
    require(!map || static_cast<idx_t>(map->id_map.size()) == base.ntotal,
            "the ID map does not hold one id for each vector of its index");
    const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&innermost(base));
    const auto* mapped = dynamic_cast<const faiss::OnDiskInvertedLists*>(
        ivf ? ivf->invlists : nullptr);
    require(!mapped || !mapped->filename.empty(),
            "cannot write: the inverted lists are mapped from the file that "
            "the index was read from; read it without IO_FLAG_MMAP");
}

// ---- reading ----

/// FAISS reads the base's bytes and no others.
struct BytesReader : faiss::IOReader {
    std::span<const std::byte> left;

    explicit BytesReader(const IndexFile& file) : left(file.base) {
        name = file.file->path();
    }
    size_t operator()(void* data, size_t size, size_t items) override {
        if (size == 0) return items;
        items = std::min(items, left.size() / size);
        if (items == 0) return 0;
        std::memcpy(data, left.data(), size * items);
        left = left.subspan(size * items);
        return items;
    }
};

std::unique_ptr<faiss::Index> read_with(faiss::IOReader& reader, int io_flags) {
    return std::unique_ptr<faiss::Index>(faiss::read_index(&reader, io_flags));
}

std::unique_ptr<faiss::Index> read_base(const IndexFile& file, int io_flags) {
    const char* path = file.file->path().c_str();
#if QBNORM_FAISS_VERSION >= 11100
    if (io_flags & map_codes) {
        faiss::MappedFileIOReader reader(
            std::make_shared<faiss::MmappedFileMappingOwner>(path));
        reader.name = path;
        reader.pos = file.base_offset();
        return read_with(reader, io_flags);
    }
#endif
    if (io_flags & (map_lists | faiss::IO_FLAG_ONDISK_SAME_DIR)) {
        faiss::FileIOReader reader(path);
        std::vector<std::byte> header(file.header().size());
        require(reader(header.data(), 1, header.size()) == header.size() &&
                    std::equal(header.begin(), header.end(),
                               file.header().begin()) &&
                    fseeko(reader.f, static_cast<off_t>(file.base_offset()),
                           SEEK_SET) == 0,
                "was replaced while it was read; read it again");
        return read_with(reader, io_flags);
    }
    BytesReader reader(file);
    auto base = read_with(reader, io_flags);
    require(reader.left.empty(), "its base index ends ", reader.left.size(),
            " bytes before the file does");
    return base;
}

// FAISS's reader checks neither.
void check_base(const faiss::Index& base, const IndexInfo& info) {
    const faiss::Index& inner = innermost(base);
    require(base.d == info.d && metric_of(base) == info.metric &&
                base.ntotal == info.ntotal && inner.ntotal == info.ntotal,
            "its base index is another one (d = ", base.d, ", ", base.ntotal,
            " vectors) than its header says (d = ", info.d, ", ", info.ntotal,
            " vectors)");
    const auto* ivf = dynamic_cast<const faiss::IndexIVF*>(&inner);
    require(!ivf || ivf->invlists, "its base index has no inverted lists");
}

template <class T>
SharedArray<T> in_memory(const SharedArray<T>& array) {
    return std::vector<T>(array.begin(), array.end());
}

NormTable in_memory(NormTable table) {
    for (BankColumn& column : table.columns) {
        column.offsets = in_memory(column.offsets);
        column.activation = ActivationSet(in_memory(column.activation.words()));
        column.lists.labels = in_memory(column.lists.labels);
        column.lists.scores = in_memory(column.lists.scores);
        column.log_weights = in_memory(column.log_weights);
    }
    return table;
}

std::unique_ptr<faiss::Index> in_its_id_map(std::unique_ptr<IndexQBNorm> index,
                                            const IndexFile& file) {
    std::vector<idx_t> ids(file.ids.begin(), file.ids.end());
    if (file.info.id_map == IdMap::none) return index;
    if (file.info.id_map == IdMap::one_way) {
        return in_id_map<faiss::IndexIDMap>(std::move(index), std::move(ids));
    }
    auto map = in_id_map<faiss::IndexIDMap2>(std::move(index), std::move(ids));
    map->construct_rev_map();
    return map;
}

}  // namespace

/// Reads back what was written: the file's checksums say that base, table and
/// querybank belong together, which set_table would find out from vectors
/// that another machine's BLAS transforms to other last bits.
struct IndexFileAccess {
    static std::unique_ptr<faiss::Index> read(
        const char* path, int io_flags, std::shared_ptr<const Engine> engine) {
        const bool mapped = (io_flags & (map_lists | map_codes)) != 0;
        IndexFile file =
            read_index_file(path, mapped ? Verify::small : Verify::all);
        auto base = read_base(file, io_flags);
        check_base(*base, file.info);
        auto index =
            std::make_unique<IndexQBNorm>(base.get(), std::move(engine));
        static_cast<void>(base.release());
        index->own_fields = true;
        if (file.table && !mapped) file.table = in_memory(*file.table);
        index->restore(std::move(file.table), {file.bank, file.gallerybank});
        index->normalization = file.info.normalization;
        index->k_factor = file.info.k_factor;
        index->min_candidates = file.info.min_candidates;
        return in_its_id_map(std::move(index), file);
    }
};

const IndexQBNorm* qbnorm_in(const faiss::Index& index) {
    const auto* map = dynamic_cast<const faiss::IndexIDMap*>(&index);
    return dynamic_cast<const IndexQBNorm*>(map ? map->index : &index);
}

IndexQBNorm* qbnorm_in(faiss::Index& index) {
    return const_cast<IndexQBNorm*>(
        qbnorm_in(static_cast<const faiss::Index&>(index)));
}

void write_index_qbnorm(const faiss::Index* index, const char* fname) {
    naming(fname, [&] {
        require(index != nullptr, "cannot write: the index is a null pointer");
        const faiss::IndexIDMap* map = id_map_of(*index);
        const faiss::Index& inner = map ? *map->index : *index;
        require(is_exactly<IndexQBNorm>(inner),
                "cannot write: the index is neither an IndexQBNorm nor an ID "
                "map over one; use faiss::write_index");
        const auto& normalised = static_cast<const IndexQBNorm&>(inner);
        check_whole(normalised, map);
        const IndexInfo info{static_cast<int>(inner.d),     metric_of(inner),
                             normalised.base_index->ntotal, kind_of(map),
                             normalised.normalization,      normalised.k_factor,
                             normalised.min_candidates};
        std::span<const idx_t> ids;
        if (map) ids = {map->id_map.data(), map->id_map.size()};
        write_index_file(fname, info,
                         {ids, normalised.table(), normalised.querybank(),
                          normalised.gallerybank()},
                         [&](const Sink& sink) {
                             SinkWriter writer(sink, fname);
                             faiss::write_index(normalised.base_index, &writer);
                         });
    });
}

faiss::Index* read_index_qbnorm(const char* fname, int io_flags,
                                std::shared_ptr<const Engine> engine) {
    const bool ours = naming(fname, [&] { return is_index_file(fname); });
    if (!ours) return faiss::read_index(fname, io_flags);
    return naming(fname, [&] {
        return IndexFileAccess::read(fname, io_flags, std::move(engine))
            .release();
    });
}

}  // namespace faiss_qbnorm
