#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "faiss_qbnorm/core/huge_pages.h"
#include "faiss_qbnorm/core/types.h"

/// Matrix products of a tile of left rows with packed right rows: what a probe
/// and a scan spend their time on, so a library does it that knows the
/// processor.

namespace faiss_qbnorm {

/// What factors are rounded to. Sums are float32.
enum class ProductType { fp32, bf16 };

/// Rows as factors. bf16 holds the upper half of each float32.
struct Factors {
    const float* fp32 = nullptr;
    const std::uint16_t* bf16 = nullptr;
};

/// Multiplies for one thread.
class Multiplier {
  public:
    virtual ~Multiplier() = default;

    /// tile[i * width + j] = left row i . row j of the panel, for rows [first,
    /// last) of the left rows that the product was made for. What the tile has
    /// of others is lost. A row's bits depend on its place only.
    virtual void multiply(const Factors& left, idx_t first, idx_t last,
                          idx_t panel, float* tile) = 0;
};

/// Right rows, cut into panels and laid out for many products.
class PackedRows {
  public:
    virtual ~PackedRows() = default;
    virtual std::unique_ptr<Multiplier> multiplier() const = 0;
};

/// How many rows a product takes.
struct ProductShape {
    idx_t left_rows;
    idx_t right_rows;
    idx_t panel_rows;  ///< of the right rows; the last panel may have fewer
    int d;

    idx_t panels() const { return (right_rows + panel_rows - 1) / panel_rows; }
    idx_t width(idx_t panel) const {
        const idx_t left_over = right_rows - panel * panel_rows;
        return left_over < panel_rows ? left_over : panel_rows;
    }
};

/// fp32 by BLAS, which is always there. Refers to `right`.
std::unique_ptr<PackedRows> pack_for_blas(const ProductShape& shape,
                                          const float* right);

/// By oneDNN where this build has it, else null. Copies `right`.
std::unique_ptr<PackedRows> pack_for_onednn(const ProductShape& shape,
                                            const Factors& right);

/// Whether this build has oneDNN.
bool has_onednn();

/// Whether oneDNN multiplies bf16 by instructions for it here.
bool has_fast_bf16();

/// The instruction set that oneDNN chose; empty without it.
std::string onednn_instruction_set();

}  // namespace faiss_qbnorm
