#include "cuda/shortlist.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "cuda/kernel_shortlist.h"
#include "cuda/launch.h"

namespace faiss_qbnorm::cuda {

namespace {

/// Where fewer are wanted, a sample's best are too few to go by.
idx_t planned(idx_t length) {
    return std::max<idx_t>(length, 16);
}

/// A pass over `growth` times as many rows finds about growth * length items
/// above the last one's threshold, be they all in one place; half the room is
/// for chance.
idx_t sample_growth(idx_t length, idx_t capacity) {
    return std::max<idx_t>(capacity / (2 * planned(length)), 2);
}

ExactArguments arguments(const ExactScores& exact) {
    return {exact.metric, exact.d, exact.queries, exact.gallery, exact.offsets};
}

}  // namespace

idx_t shortlist_capacity(const CudaTiles& tiles, idx_t queries, idx_t length) {
    constexpr idx_t few_queries = 256;  // whose lists may be long for nothing
    const idx_t wanted = static_cast<idx_t>(
        std::bit_ceil(static_cast<std::uint64_t>(32 * planned(length))));
    const idx_t least =
        tiles.shortlist_least * (queries <= few_queries ? 8 : 1);
    return std::min(std::max(wanted, least), tiles.shortlist_most);
}

idx_t shortlist_queries(const CudaTiles& tiles, idx_t queries, idx_t length,
                        int rankings, idx_t multiple) {
    const idx_t bytes = shortlist_capacity(tiles, queries, length) * rankings *
                        static_cast<idx_t>(sizeof(Slot));
    const idx_t most = tiles.shortlist_bytes / bytes / multiple * multiple;
    return std::clamp(most, multiple, round_up(queries, multiple));
}

std::vector<idx_t> sample_strides(idx_t rows, idx_t length, idx_t capacity) {
    std::vector<idx_t> strides;
    const idx_t growth = sample_growth(length, capacity);
    for (idx_t stride = 1; rows / stride > capacity;) {
        stride *= growth;
        strides.push_back(stride);
    }
    std::reverse(strides.begin(), strides.end());
    return strides;
}

std::vector<idx_t> pass_ends(idx_t rows, idx_t length, idx_t capacity) {
    std::vector<idx_t> ends{rows};
    const idx_t sampled = rows / sample_growth(length, capacity);
    while (rows > capacity && ends.back() / 2 > sampled) {
        ends.push_back(ends.back() / 2);
    }
    std::reverse(ends.begin(), ends.end());
    return ends;
}

void Shortlist::begin(std::span<const float> thresholds,
                      std::span<const float> errors, idx_t padded_queries,
                      idx_t length, idx_t capacity, cudaStream_t stream) {
    queries_ = static_cast<idx_t>(thresholds.size());
    length_ = length;
    capacity_ = capacity;
    float* staged = staged_.reserve(padded_queries + queries_);
    for (idx_t i = 0; i < queries_; i++) staged[i] = thresholds[i] - errors[i];
    std::fill(staged + queries_, staged + padded_queries,
              std::numeric_limits<float>::infinity());
    std::copy(errors.begin(), errors.end(), staged + padded_queries);
    to_device(thresholds_.reserve(padded_queries), staged, padded_queries,
              stream);
    to_device(errors_.reserve(queries_), staged + padded_queries, queries_,
              stream);
    clear(counts_.reserve(queries_), queries_, stream);
    slots_.reserve(queries_ * capacity);
}

ShortlistView Shortlist::view() const {
    return {thresholds_.data(), counts_.data(), slots_.data(),
            static_cast<unsigned>(capacity_)};
}

void Shortlist::raise(bool is_sample, cudaStream_t stream) {
    launch(kernel_raise, dim3(static_cast<unsigned>(queries_)),
           shortlist_threads, stream,
           RaiseArguments{view(), static_cast<int>(length_), errors_.data(),
                          is_sample});
}

void Shortlist::finish(const ExactScores& exact, cudaStream_t stream) {
    raise(false, stream);
    unsigned* counts = survivors_.counts.reserve(queries_ + 1);
    to_host(counts, counts_.data(), queries_, stream);
    check(cudaStreamSynchronize(stream), "selecting");

    survivors_.overflowed.clear();
    survivors_.starts.resize(queries_ + 1);
    unsigned total = 0;
    for (idx_t i = 0; i < queries_; i++) {
        survivors_.starts[i] = total;
        if (counts[i] > capacity_) {
            survivors_.overflowed.push_back(static_cast<std::uint32_t>(i));
        } else {
            total += counts[i];
        }
    }
    survivors_.starts[queries_] = total;
    if (total == 0) return;

    unsigned* device_starts = survivors_.device_starts.reserve(queries_ + 1);
    std::copy(survivors_.starts.begin(), survivors_.starts.end(), counts);
    to_device(device_starts, counts, queries_ + 1, stream);
    Pair* pairs = survivors_.pairs.reserve(total);
    launch(kernel_pack, dim3(static_cast<unsigned>(queries_)),
           shortlist_threads, stream,
           PackArguments{view(), device_starts, pairs});
    float* scores = survivors_.device_scores.reserve(total);
    std::uint32_t* rows = survivors_.device_rows.reserve(total);
    launch(kernel_rescore, dim3(parts(total, unsigned{rescore_pairs})),
           rescore_threads, stream, arguments(exact), pairs, total, scores,
           rows);
    to_host(survivors_.scores.reserve(total), scores, total, stream);
    to_host(survivors_.rows.reserve(total), rows, total, stream);
    check(cudaStreamSynchronize(stream), "scoring");
}

const float* exact_scores(const ExactScores& exact,
                          std::span<const std::uint32_t> queries, idx_t first,
                          idx_t rows, DeviceArray<float>& on_device,
                          PinnedArray<float>& on_host,
                          DeviceArray<std::uint32_t>& device_queries,
                          cudaStream_t stream) {
    const auto nq = static_cast<idx_t>(queries.size());
    to_device(device_queries.reserve(nq), queries.data(), nq, stream);
    launch(kernel_exact,
           dim3(static_cast<unsigned>(parts(rows, idx_t{rescore_pairs})),
                static_cast<unsigned>(nq)),
           rescore_threads, stream, arguments(exact), device_queries.data(),
           first, rows, on_device.reserve(nq * rows));
    to_host(on_host.reserve(nq * rows), on_device.data(), nq * rows, stream);
    check(cudaStreamSynchronize(stream), "scoring");
    return on_host.data();
}

}  // namespace faiss_qbnorm::cuda
