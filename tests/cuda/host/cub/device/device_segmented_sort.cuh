// Stands in for CUB's header of this name.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <type_traits>

#include "host_runtime.h"

namespace cub {

struct DeviceSegmentedSort {
    /// Sorts the keys of each segment, the largest first. Without temporary
    /// memory, only says how much of it a call needs.
    template <typename KeyT, typename BeginOffsetIteratorT,
              typename EndOffsetIteratorT>
    static cudaError_t SortKeysDescending(
        void* d_temp_storage, size_t& temp_storage_bytes, const KeyT* d_keys_in,
        KeyT* d_keys_out, std::int64_t num_items, std::int64_t num_segments,
        BeginOffsetIteratorT d_begin_offsets, EndOffsetIteratorT d_end_offsets,
        cudaStream_t stream = nullptr) {
        using namespace qbnorm_host;
        const std::lock_guard lock(runtime_mutex());
        if (const cudaError_t error = begin_call(); error != cudaSuccess) {
            return error;
        }
        const size_t needed = 1023 + size_t(num_segments) * 12;
        if (d_temp_storage == nullptr) {
            temp_storage_bytes = needed;
            return cudaSuccess;
        }
        if (temp_storage_bytes < needed) {
            return cudaErrorInvalidValue;
        }
        if (num_items == 0 || num_segments == 0) {
            return cudaSuccess;
        }
        check_device_memory(d_temp_storage, needed, "a sort's memory");
        const size_t bytes = size_t(num_items) * sizeof(KeyT);
        check_device_memory(d_keys_in, bytes, "a sort's input");
        check_device_memory(d_keys_out, bytes, "a sort's output");
        if (d_keys_in < d_keys_out + num_items &&
            d_keys_out < d_keys_in + num_items) {
            throw std::logic_error("a sort's input and output overlap");
        }
        enqueue(stream, [=] {
            // What two streams share must show.
            std::memset(d_temp_storage, 0xFB, needed);
            for (std::int64_t s = 0; s < num_segments; ++s) {
                const auto begin = std::int64_t(d_begin_offsets[s]);
                const auto end = std::int64_t(d_end_offsets[s]);
                if (begin < 0 || end < begin || end > num_items) {
                    throw std::logic_error("a sort's segment is bad");
                }
                std::copy(d_keys_in + begin, d_keys_in + end,
                          d_keys_out + begin);
                std::sort(d_keys_out + begin, d_keys_out + end, before<KeyT>);
            }
        });
        return cudaSuccess;
    }

  private:
    template <typename KeyT>
    static bool before(const KeyT& a, const KeyT& b) {
        if constexpr (std::is_floating_point_v<KeyT>) {
            if (std::isnan(a) || std::isnan(b)) {  // keeps the order total
                return std::isnan(a) && !std::isnan(b);
            }
        }
        return b < a;
    }
};

}  // namespace cub
