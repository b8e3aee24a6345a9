#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>

namespace faiss_qbnorm {

/// Where bytes go, in order.
using Sink = std::function<void(std::span<const std::byte>)>;

/// A file that appears under its name only when it is complete: written to a
/// temporary file in the same folder, synced and renamed by commit(). Without
/// a commit nothing stays behind.
class OutputFile {
  public:
    /// Throws an Error naming the path where its folder cannot be written.
    explicit OutputFile(const std::string& path);

    OutputFile(const OutputFile&) = delete;
    OutputFile& operator=(const OutputFile&) = delete;
    ~OutputFile();

    void write(const void* data, size_t bytes);
    template <class T>
    void write(std::span<const T> values) {
        write(values.data(), values.size_bytes());
    }

    /// Replaces bytes that were written, from `offset` of the file on.
    void rewrite(size_t offset, std::span<const std::byte> data);

    /// Brings what was written to the disk; commit() does so too.
    void sync();
    void commit();

  private:
    [[noreturn]] void fail_with_errno(const char* what) const;

    std::string path_;
    std::string temporary_;
    int descriptor_ = -1;
};

}  // namespace faiss_qbnorm
