#pragma once

#include <faiss/impl/io.h>

#include "faiss_qbnorm/io/output_file.h"

namespace faiss_qbnorm {

/// Lets FAISS write an index into an OutputFile, which the caller commits.
struct OutputWriter : faiss::IOWriter {
    explicit OutputWriter(OutputFile& out) : out_(out) {}

    size_t operator()(const void* ptr, size_t size, size_t nitems) override {
        out_.write(ptr, size * nitems);
        return nitems;
    }

  private:
    OutputFile& out_;
};

}  // namespace faiss_qbnorm
