#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace faiss_qbnorm {

/// A file mapped into memory for reading, for as long as the object lives.
class MappedFile {
  public:
    /// Throws an Error naming the file where it cannot be opened or is not a
    /// regular file.
    static std::shared_ptr<const MappedFile> open(const std::string& path);

    /// Bytes of a file as if they were one, which keeps the whole mapped. They
    /// must lie inside it.
    static std::shared_ptr<const MappedFile> part(
        std::shared_ptr<const MappedFile> whole, size_t offset, size_t size);

    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;
    ~MappedFile();

    const std::string& path() const { return path_; }
    std::span<const std::byte> bytes() const { return bytes_; }

  private:
    MappedFile() = default;

    std::string path_;
    std::span<const std::byte> bytes_;
    std::shared_ptr<const MappedFile> whole_;  // of a part
};

}  // namespace faiss_qbnorm
