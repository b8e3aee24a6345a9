#include "bench/common/data.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <new>

namespace bench {

namespace {

std::uint32_t mix(std::uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352dU;
    x = (x ^ x >> 15) * 0x846ca68bU;
    return x ^ x >> 16;
}

/// The sum of four uniform bytes: nearly normal.
int bell(std::uint32_t x) {
    return static_cast<int>((x & 255) + (x >> 8 & 255) + (x >> 16 & 255) +
                            (x >> 24)) -
           510;
}

/// Memory that stays with the process and starts again from its beginning once
/// nothing of it is in use: a virtual machine is slow to give a page the first
/// time, and every benchmark wants gigabytes. For one thread.
class Arena {
  public:
    static Arena& only() {
        static Arena arena;
        return arena;
    }

    std::shared_ptr<void> allocate(idx_t bytes) {
        constexpr idx_t page = idx_t{2} << 20;
        const idx_t size = (bytes + page - 1) / page * page;
        if (size > room - taken_) throw std::bad_alloc();
        std::byte* memory = begin_ + taken_;
        taken_ += size;
        live_++;
        return {memory, [this](void*) {
                    if (--live_ == 0) taken_ = 0;
                }};
    }

  private:
    static constexpr idx_t room = idx_t{1} << 38;  // addresses, no memory yet

    Arena() {
        void* memory = mmap(nullptr, room, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        madvise(memory, room, MADV_HUGEPAGE);  // a hint: ordinary pages do
        begin_ = static_cast<std::byte*>(memory);
    }

    std::byte* begin_;
    idx_t taken_ = 0;
    int live_ = 0;
};

}  // namespace

std::uint32_t hash(std::uint64_t place, std::uint32_t seed) {
    return mix(static_cast<std::uint32_t>(place) ^
               mix(static_cast<std::uint32_t>(place >> 32) + seed));
}

template <class T>
std::shared_ptr<void> HostArray<T>::allocate(idx_t bytes) {
    return Arena::only().allocate(bytes);
}

template class HostArray<float>;
template class HostArray<idx_t>;
template class HostArray<std::uint64_t>;

Vectors::Vectors(idx_t rows, int d, std::uint32_t seed)
    : rows_(rows), d_(d), data_(rows * d) {
    constexpr int common = 443;  // three standard deviations
#pragma omp parallel for
    for (idx_t i = 0; i < rows; i++) {
        float* row = data_.data() + i * d;
        const std::uint32_t base = hash(i, seed);
        std::int64_t squares = 0;
        for (int j = 0; j < d; j++) {
            const int x =
                bell(mix(base + static_cast<std::uint32_t>(j) * 0x9e3779b9U)) +
                (j == 0 ? common : 0);
            row[j] = static_cast<float>(x);
            squares += std::int64_t{x} * x;
        }
        const auto inverse = static_cast<float>(
            1 /
            std::sqrt(static_cast<double>(std::max<std::int64_t>(squares, 1))));
        for (int j = 0; j < d; j++) row[j] *= inverse;
    }
}

void fill_offsets(std::span<float> offsets, std::uint32_t seed) {
#pragma omp parallel for
    for (size_t i = 0; i < offsets.size(); i++) {
        const float unit = static_cast<float>(hash(i, seed) >> 8) * 0x1p-24F;
        offsets[i] = unit * 0.1F - 0.55F;
    }
}

void fill_activation(idx_t items, std::span<std::uint64_t> words,
                     std::uint32_t seed) {
#pragma omp parallel for
    for (size_t i = 0; i < words.size(); i++) {
        words[i] = hash(2 * i, seed) | std::uint64_t{hash(2 * i + 1, seed)}
                                           << 32;
    }
    if (items % 64 > 0) {
        words.back() &= (std::uint64_t{1} << (items % 64)) - 1;
    }
}

NormTable make_table(idx_t items, int d, std::uint32_t seed) {
    const HostArray<float> offsets(items);
    fill_offsets(offsets.span(), seed);
    const HostArray<std::uint64_t> bits((items + 63) / 64);
    fill_activation(items, bits.span(), seed + 1);
    NormTable table{d, faiss_qbnorm::Metric::inner_product, items, 0, items, 0,
                    {}};
    faiss_qbnorm::BankColumn& column = table.columns.emplace_back();
    column.offsets = offsets.shared();
    column.activation = faiss_qbnorm::ActivationSet(bits.shared());
    return table;
}

void fill_candidates(idx_t items, std::uint32_t seed, HostArray<idx_t>& labels,
                     HostArray<float>& scores) {
#pragma omp parallel for
    for (idx_t i = 0; i < labels.size(); i++) {
        labels[i] = static_cast<idx_t>((std::uint64_t{hash(i, seed)} *
                                        static_cast<std::uint64_t>(items)) >>
                                       32);
        scores[i] = static_cast<float>(hash(i, seed + 1) >> 8) * 0x1p-24F;
    }
}

}  // namespace bench
