#pragma once

#define XXH_INLINE_ALL
#include <gtest/gtest.h>
#include <xxhash.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

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
    if (begin > file.size() || size > file.size() - begin) {
        throw std::out_of_range("bytes past the end of the file");
    }
    return XXH3_64bits(file.data() + begin, size);
}

/// A value at a place of a file.
struct Change {
    size_t at;
    std::string bytes;

    template <class T>
    Change(size_t at, T value)
        : at(at), bytes(reinterpret_cast<const char*>(&value), sizeof value) {}
};

inline std::string changed(std::string file,
                           const std::vector<Change>& changes) {
    for (const Change& change : changes) {
        file.replace(change.at, change.bytes.size(), change.bytes);
    }
    return file;
}

}  // namespace forge
