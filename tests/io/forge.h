#pragma once

#define XXH_INLINE_ALL
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstdint>
#include <cstring>
#include <string>

/// To read and change the bytes of a file, and make its checksums right again.

namespace forge {

inline std::uint64_t number(const std::string& file, size_t at, int bytes) {
    std::uint64_t result = 0;
    for (int i = bytes - 1; i >= 0; i--) {
        result = result << 8 | static_cast<unsigned char>(file.at(at + i));
    }
    return result;
}

template <class T>
void put(std::string& file, size_t at, T value) {
    ASSERT_LE(at + sizeof value, file.size());
    std::memcpy(file.data() + at, &value, sizeof value);
}

inline std::uint64_t hash(const std::string& file, size_t begin, size_t size) {
    return XXH3_64bits(file.data() + begin, size);
}

}  // namespace forge
