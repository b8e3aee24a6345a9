#include "faiss_qbnorm/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "faiss_qbnorm/core/error.h"

namespace faiss_qbnorm {

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
    // Without O_NONBLOCK a FIFO would wait for its writer.
    const int descriptor =
        ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    require(descriptor >= 0, path, ": cannot open: ", std::strerror(errno));
    struct stat status {};
    void* address = nullptr;
    std::string problem;
    if (fstat(descriptor, &status) != 0) {
        problem = std::strerror(errno);
    } else if (!S_ISREG(status.st_mode)) {
        problem = "not a regular file";
    } else if (status.st_size > 0) {  // nothing can be mapped of an empty file
        address =
            mmap(nullptr, status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
        if (address == MAP_FAILED) problem = std::strerror(errno);
    }
    close(descriptor);
    require(problem.empty(), path, ": cannot read: ", problem);

    std::shared_ptr<MappedFile> file(new MappedFile);
    file->path_ = path;
    file->bytes_ = {static_cast<const std::byte*>(address),
                    static_cast<size_t>(status.st_size)};
    return file;
}

std::shared_ptr<const MappedFile> MappedFile::part(
    std::shared_ptr<const MappedFile> whole, size_t offset, size_t size) {
    std::shared_ptr<MappedFile> file(new MappedFile);
    file->path_ = whole->path();
    file->bytes_ = whole->bytes().subspan(offset, size);
    file->whole_ = std::move(whole);
    return file;
}

MappedFile::~MappedFile() {
    if (bytes_.empty() || whole_) return;
    munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace faiss_qbnorm
