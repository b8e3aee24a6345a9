#include "bench/cpu/gemm_onednn.h"

#include <memory>
#include <oneapi/dnnl/dnnl.hpp>

#include "faiss_qbnorm/core/error.h"

namespace bench {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::MatrixView;

namespace {

using Memory = dnnl::memory;
using Tag = Memory::format_tag;

void sgemm(const MatrixView& slab, const MatrixView& bank, float* c) {
    const auto status =
        dnnl_sgemm('N', 'T', slab.rows, bank.rows, bank.d, 1, slab.data, slab.d,
                   bank.data, bank.d, 0, c, bank.rows);
    faiss_qbnorm::require(status == dnnl_success, "dnnl_sgemm failed");
}

Memory::desc described(idx_t rows, idx_t columns, Tag tag) {
    return {{rows, columns}, Memory::data_type::f32, tag};
}

/// oneDNN's matmul with the bank in the layout that it likes best.
class PackedMatmul {
  public:
    PackedMatmul(const MatrixView& bank, idx_t rows)
        : kind_({described(rows, bank.d, Tag::ab),
                 described(bank.d, bank.rows, Tag::any),
                 described(rows, bank.rows, Tag::ab)},
                engine_),
          weights_(kind_.weights_desc(), engine_),
          matmul_(kind_) {
        // oneDNN takes no const memory.
        Memory plain(described(bank.d, bank.rows, Tag::ba), engine_,
                     const_cast<float*>(bank.data));
        dnnl::reorder(plain, weights_).execute(stream_, plain, weights_);
        stream_.wait();
    }

    void multiply(const MatrixView& slab, float* c) {
        Memory source(kind_.src_desc(), engine_, const_cast<float*>(slab.data));
        Memory result(kind_.dst_desc(), engine_, c);
        matmul_.execute(stream_, {{DNNL_ARG_SRC, source},
                                  {DNNL_ARG_WEIGHTS, weights_},
                                  {DNNL_ARG_DST, result}});
        stream_.wait();
    }

  private:
    dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream_{engine_};
    dnnl::matmul::primitive_desc kind_;
    Memory weights_;
    dnnl::matmul matmul_;
};

}  // namespace

std::vector<std::pair<std::string, Multiply>> onednn_products(
    const MatrixView& bank, idx_t rows) {
    const auto packed = std::make_shared<PackedMatmul>(bank, rows);
    return {
        {"oneDNN sgemm",
         [bank](const MatrixView& slab, float* c) { sgemm(slab, bank, c); }},
        {"oneDNN matmul, packed", [packed](const MatrixView& slab, float* c) {
             packed->multiply(slab, c);
         }}};
}

std::string onednn_version() {
    const dnnl_version_t* version = dnnl_version();
    return std::to_string(version->major) + "." +
           std::to_string(version->minor) + "." +
           std::to_string(version->patch);
}

}  // namespace bench
