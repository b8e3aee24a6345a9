#include "faiss_qbnorm/io/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

namespace {

std::string folder_of(const std::string& path) {
    const auto folder = std::filesystem::path(path).parent_path();
    return folder.empty() ? "." : folder.string();
}

}  // namespace

OutputFile::OutputFile(const std::string& path) : path_(path) {
    std::error_code unseen;  // open() says what is wrong with the path
    const auto status = std::filesystem::status(path, unseen);
    require(!is_directory(status), path, ": cannot write: it is a folder");
    require(!exists(status) || is_regular_file(status), path,
            ": cannot write: it is not a regular file");
    for (int attempt = 0; descriptor_ < 0; attempt++) {
        temporary_ = path + ".tmp-" + std::to_string(getpid()) + "-" +
                     std::to_string(attempt);
        descriptor_ = open(temporary_.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor_ < 0 && errno != EEXIST)
            fail_with_errno("cannot create");
    }
}

OutputFile::~OutputFile() {
    if (descriptor_ < 0) return;
    close(descriptor_);
    unlink(temporary_.c_str());
}

void OutputFile::write(const void* data, size_t bytes) {
    const char* next = static_cast<const char*>(data);
    while (bytes > 0) {
        const ssize_t written = ::write(descriptor_, next, bytes);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail_with_errno("cannot write");
        next += written;
        bytes -= written;
    }
}

void OutputFile::rewrite(size_t offset, std::span<const std::byte> data) {
    while (!data.empty()) {
        const ssize_t written = pwrite(descriptor_, data.data(), data.size(),
                                       static_cast<off_t>(offset));
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) fail_with_errno("cannot write");
        offset += written;
        data = data.subspan(written);
    }
}

void OutputFile::sync() {
    if (fsync(descriptor_) != 0) fail_with_errno("cannot write");
}

void OutputFile::commit() {
    sync();
    if (rename(temporary_.c_str(), path_.c_str()) != 0) {
        fail_with_errno("cannot rename into place");
    }
    close(descriptor_);
    descriptor_ = -1;
    // The rename itself reaches the disk with the folder.
    const int folder =
        open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;
    fsync(folder);
    close(folder);
}

void OutputFile::fail_with_errno(const char* what) const {
    fail(path_, ": ", what, ": ", std::strerror(errno));
}

}  // namespace faiss_qbnorm
