#include "faiss_qbnorm/cpu/product.h"

extern "C" int sgemm_(const char* transa, const char* transb, const int* m,
                      const int* n, const int* k, const float* alpha,
                      const float* a, const int* lda, const float* b,
                      const int* ldb, const float* beta, float* c,
                      const int* ldc);

namespace faiss_qbnorm {

namespace {

class BlasRows : public PackedRows {
  public:
    BlasRows(const ProductShape& shape, const float* right)
        : shape_(shape), right_(right) {}

    std::unique_ptr<Multiplier> multiplier() const override {
        return std::make_unique<BlasMultiplier>(*this);
    }

  private:
    // On the calling thread alone: its caller's threads have tiles of their
    // own.
    struct BlasMultiplier : Multiplier {
        const BlasRows& rows;

        explicit BlasMultiplier(const BlasRows& rows) : rows(rows) {}

        void multiply(const Factors& left, idx_t /*first*/, idx_t /*last*/,
                      idx_t panel, float* tile) override {
            const ProductShape& shape = rows.shape_;
            // Fortran's column-major C[width x left_rows] is our row-major
            // tile.
            const int m = static_cast<int>(shape.width(panel));
            const int n = static_cast<int>(shape.left_rows);
            const int d = shape.d;
            const float one = 1;
            const float zero = 0;
            sgemm_("T", "N", &m, &n, &d, &one,
                   rows.right_ + panel * shape.panel_rows * d, &d, left.fp32,
                   &d, &zero, tile, &m);
        }
    };

    ProductShape shape_;
    const float* right_;
};

}  // namespace

std::unique_ptr<PackedRows> pack_for_blas(const ProductShape& shape,
                                          const float* right) {
    return std::make_unique<BlasRows>(shape, right);
}

}  // namespace faiss_qbnorm
