#pragma once

#include <vector>

#include "faiss_qbnorm/gallery.h"

namespace engines {

/// Shows a gallery in blocks of a given size, perhaps in list order.
class BlockGallery : public faiss_qbnorm::Gallery {
  public:
    BlockGallery(const faiss_qbnorm::MatrixView& vectors,
                 faiss_qbnorm::idx_t block, bool labelled)
        : vectors_(vectors), block_(block), labelled_(labelled) {}

    faiss_qbnorm::idx_t size() const override { return vectors_.rows; }
    int d() const override { return vectors_.d; }
    std::string name() const override { return "gallery"; }

    void for_each_block(
        faiss_qbnorm::idx_t begin, faiss_qbnorm::idx_t end,
        const faiss_qbnorm::BlockVisitor& visit) const override {
        for (faiss_qbnorm::idx_t i = begin; i < end; i += block_) {
            const faiss_qbnorm::idx_t last = std::min(i + block_, end);
            if (!labelled_) {
                visit({vectors_.slice(i, last), i});
                continue;
            }
            std::vector<float> rows;  // backwards
            std::vector<faiss_qbnorm::idx_t> labels;
            for (faiss_qbnorm::idx_t label = last - 1; label >= i; label--) {
                const float* row = vectors_.row(label);
                rows.insert(rows.end(), row, row + vectors_.d);
                labels.push_back(label);
            }
            visit({{rows.data(), last - i, vectors_.d}, 0, labels.data()});
        }
    }

  private:
    faiss_qbnorm::MatrixView vectors_;
    faiss_qbnorm::idx_t block_;
    bool labelled_;
};

}  // namespace engines
