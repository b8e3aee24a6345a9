#include "faiss_qbnorm/similarities/some_similarities.h"

namespace faiss_qbnorm {

void SomeRows::read(idx_t begin, idx_t end, float* out) const {
    std::vector<float> block((end - begin) * whole_.rows());
    whole_.read(begin, end, block.data());
    for (idx_t item = 0; item < end - begin; item++) {
        const float* from = block.data() + item * whole_.rows();
        for (const idx_t row : kept_) *out++ = from[row];
    }
}

void SomeItems::read(idx_t begin, idx_t end, float* out) const {
    // A run of items that follow one another is one read.
    for (idx_t first = begin; first < end;) {
        idx_t last = first + 1;
        while (last < end && kept_[last] == kept_[last - 1] + 1) last++;
        whole_.read(kept_[first], kept_[last - 1] + 1,
                    out + (first - begin) * rows());
        first = last;
    }
}

}  // namespace faiss_qbnorm
