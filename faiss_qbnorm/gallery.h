#pragma once

#include <functional>
#include <string>

#include "faiss_qbnorm/core/matrix.h"

namespace faiss_qbnorm {

using BlockVisitor = std::function<void(const GalleryBlock&)>;

/// A gallery that is read in blocks, so that it need not fit into memory.
class Gallery {
  public:
    virtual ~Gallery() = default;

    /// Labels are 0 .. size() - 1.
    virtual idx_t size() const = 0;
    /// How many of them no item has.
    virtual idx_t holes() const { return 0; }
    virtual int d() const = 0;
    /// What errors call it: a file name, or "gallery".
    virtual std::string name() const = 0;

    /// Whether some of its items can be read without the others.
    virtual bool has_ranges() const { return true; }

    /// Shows `visit` the items with labels [begin, end), each once, in blocks
    /// that are valid during the call. Throws on NaN or Inf, naming the row.
    virtual void for_each_block(idx_t begin, idx_t end,
                                const BlockVisitor& visit) const = 0;
};

/// Rows of a block of about 64 MB.
inline idx_t default_block_rows(int d) {
    return (idx_t{1} << 24) / d + 1;
}

/// A gallery in memory; row i has label first_label + i.
class MemoryGallery : public Gallery {
  public:
    explicit MemoryGallery(const MatrixView& vectors, idx_t first_label = 0)
        : vectors_(vectors), first_label_(first_label) {}

    idx_t size() const override { return first_label_ + vectors_.rows; }
    int d() const override { return vectors_.d; }
    std::string name() const override { return "gallery"; }

    void for_each_block(idx_t begin, idx_t end,
                        const BlockVisitor& visit) const override {
        const idx_t step = default_block_rows(d());
        for (idx_t i = begin; i < end; i += step) {
            const idx_t last = i + step < end ? i + step : end;
            const GalleryBlock block{
                vectors_.slice(i - first_label_, last - first_label_), i};
            check_finite(block, name());
            visit(block);
        }
    }

  private:
    MatrixView vectors_;
    idx_t first_label_;
};

}  // namespace faiss_qbnorm
