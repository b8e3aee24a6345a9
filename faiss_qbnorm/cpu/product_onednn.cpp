#include <omp.h>

#include <dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/cpu/product.h"

namespace faiss_qbnorm {

namespace {

using dnnl::matmul;
using dnnl::memory;

const dnnl::engine& cpu() {
    static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    return engine;
}

/// oneDNN plans for as many threads as the caller may start; our tiles are one
/// thread's each.
class PlanForOneThread {
  public:
    PlanForOneThread() : threads_(omp_get_max_threads()) {
        omp_set_num_threads(1);
    }
    ~PlanForOneThread() { omp_set_num_threads(threads_); }
    PlanForOneThread(const PlanForOneThread&) = delete;
    PlanForOneThread& operator=(const PlanForOneThread&) = delete;

  private:
    int threads_;
};

template <class Call>
auto as_error(Call call) {
    try {
        return call();
    } catch (const dnnl::error& problem) {
        if (problem.status == dnnl_out_of_memory) throw std::bad_alloc();
        fail("oneDNN cannot multiply: ", problem.what());
    }
}

matmul::primitive_desc plan(memory::data_type type, idx_t rows, int d,
                            idx_t width) {
    const memory::desc left({rows, d}, type, memory::format_tag::ab);
    const memory::desc right({d, width}, type, memory::format_tag::any);
    const memory::desc tile({rows, width}, memory::data_type::f32,
                            memory::format_tag::ab);
    dnnl::primitive_attr attributes;
    // The library's own scratchpad belongs to the thread that planned.
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
#if DNNL_VERSION_MAJOR >= 3
    return {cpu(), left, right, tile, attributes};
#else
    return {matmul::desc(left, right, tile), attributes, cpu()};
#endif
}

/// The panels of one width.
struct Panels {
    matmul::primitive_desc plan;
    matmul product;
    size_t packed_bytes;

    explicit Panels(const matmul::primitive_desc& plan)
        : plan(plan),
          product(plan),
          packed_bytes((plan.weights_desc().get_size() + 63) / 64 * 64) {}
};

class OnednnRows : public PackedRows {
  public:
    OnednnRows(const ProductShape& shape, const Factors& right)
        : shape_(shape),
          type_(right.bf16 ? memory::data_type::bf16 : memory::data_type::f32) {
        {
            const PlanForOneThread one;
            for (const idx_t panel : {idx_t{0}, shape.panels() - 1}) {
                kinds_.emplace_back(
                    plan(type_, shape.left_rows, shape.d, shape.width(panel)));
            }
        }
        packed_.resize((shape.panels() - 1) * kinds_[0].packed_bytes +
                       kinds_[1].packed_bytes);
        for (idx_t panel = 0; panel < shape.panels(); panel++) {
            pack(panel, right);
        }
    }

    std::unique_ptr<Multiplier> multiplier() const override {
        return as_error([&] { return std::make_unique<Worker>(*this); });
    }

  private:
    size_t kind_of(idx_t panel) const {
        return panel == shape_.panels() - 1 ? 1 : 0;
    }
    const Panels& kind(idx_t panel) const { return kinds_[kind_of(panel)]; }

    void pack(idx_t panel, const Factors& right) {
        const idx_t first = panel * shape_.panel_rows * shape_.d;
        const memory::desc plain({shape_.d, shape_.width(panel)}, type_,
                                 memory::format_tag::ba);
        const void* rows = right.bf16
                               ? static_cast<const void*>(right.bf16 + first)
                               : static_cast<const void*>(right.fp32 + first);
        // oneDNN's memories are not const; a reorder reads its source only.
        memory from(plain, cpu(), const_cast<void*>(rows));
        const memory& to = weights_.emplace_back(
            kind(panel).plan.weights_desc(), cpu(),
            packed_.data() + panel * kinds_[0].packed_bytes);
        dnnl::stream stream(cpu());
        dnnl::reorder(from, to).execute(
            stream, {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
        stream.wait();
    }

    class Worker : public Multiplier {
      public:
        explicit Worker(const OnednnRows& rows) : rows_(rows), stream_(cpu()) {
            for (const auto& [plan, product, bytes] : rows.kinds_) {
                const size_t needed = plan.scratchpad_desc().get_size();
                if (scratchpad_.size() < needed) scratchpad_.resize(needed);
            }
            for (const auto& [plan, product, bytes] : rows.kinds_) {
                arguments_.push_back(
                    {{DNNL_ARG_SRC, memory(plan.src_desc(), cpu(), nullptr)},
                     {DNNL_ARG_DST, memory(plan.dst_desc(), cpu(), nullptr)},
                     {DNNL_ARG_SCRATCHPAD, memory(plan.scratchpad_desc(), cpu(),
                                                  scratchpad_.data())},
                     {DNNL_ARG_WEIGHTS, memory()}});
            }
        }

        void multiply(const Factors& left, idx_t panel, float* tile) override {
            as_error([&] {
                const size_t kind = rows_.kind_of(panel);
                auto& arguments = arguments_[kind];
                const void* from = left.bf16
                                       ? static_cast<const void*>(left.bf16)
                                       : static_cast<const void*>(left.fp32);
                arguments[DNNL_ARG_SRC].set_data_handle(
                    const_cast<void*>(from));
                arguments[DNNL_ARG_DST].set_data_handle(tile);
                arguments[DNNL_ARG_WEIGHTS] = rows_.weights_[panel];
                rows_.kinds_[kind].product.execute(stream_, arguments);
                stream_.wait();
            });
        }

      private:
        const OnednnRows& rows_;
        dnnl::stream stream_;
        HugeVector<std::byte> scratchpad_;
        std::vector<std::unordered_map<int, memory>> arguments_;  // by kind
    };

    ProductShape shape_;
    memory::data_type type_;
    std::vector<Panels> kinds_;  // all panels but the last, and the last
    HugeVector<std::byte> packed_;
    std::vector<memory> weights_;  // each panel's, in packed_
};

bool reaches(dnnl::cpu_isa wanted) {
    const auto has = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
    const auto needed = static_cast<unsigned>(wanted);
    return (has & needed) == needed;
}

}  // namespace

std::unique_ptr<PackedRows> pack_for_onednn(const ProductShape& shape,
                                            const Factors& right) {
    return as_error([&] { return std::make_unique<OnednnRows>(shape, right); });
}

bool has_onednn() {
    return true;
}

bool has_fast_bf16() {
    return reaches(dnnl::cpu_isa::avx512_core_bf16);
}

std::string onednn_instruction_set() {
    using dnnl::cpu_isa;
    if (reaches(cpu_isa::avx512_core_amx)) return "AMX";
    if (reaches(cpu_isa::avx512_core_bf16)) return "AVX-512 with bf16";
    if (reaches(cpu_isa::avx512_core)) return "AVX-512";
    if (reaches(cpu_isa::avx2)) return "AVX2";
    return "SSE4 or AVX";
}

}  // namespace faiss_qbnorm
