#include <omp.h>

#include <dnnl.hpp>
#include <unordered_map>
#include <vector>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/parallel_errors.h"
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

// The library's own scratchpad belongs to the thread that planned.
dnnl::primitive_attr with_scratchpad() {
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    return attributes;
}

matmul::primitive_desc plan(memory::data_type type, idx_t rows, int d,
                            idx_t width) {
    const memory::desc left({rows, d}, type, memory::format_tag::ab);
    const memory::desc right({d, width}, type, memory::format_tag::any);
    const memory::desc tile({rows, width}, memory::data_type::f32,
                            memory::format_tag::ab);
#if DNNL_VERSION_MAJOR >= 3
    return {cpu(), left, right, tile, with_scratchpad()};
#else
    return {matmul::desc(left, right, tile), with_scratchpad(), cpu()};
#endif
}

/// The panels of one width.
struct Panels {
    matmul::primitive_desc plan;
    matmul product;
    memory::desc rows;  ///< before they are packed
    dnnl::reorder::primitive_desc packing_plan;
    dnnl::reorder packing;
    size_t packed_bytes;

    Panels(memory::data_type type, idx_t left_rows, int d, idx_t width)
        : plan(faiss_qbnorm::plan(type, left_rows, d, width)),
          product(plan),
          rows({d, width}, type, memory::format_tag::ba),
          packing_plan(cpu(), rows, cpu(), plan.weights_desc(),
                       with_scratchpad()),
          packing(packing_plan),
          packed_bytes((plan.weights_desc().get_size() + 63) / 64 * 64) {}
};

/// Of `rows` left rows, how many are multiplied at once: a tile that is not
/// full costs less by these, and a full one hardly more.
idx_t slab_of(idx_t rows) {
    constexpr idx_t slab = 128;
    return rows % slab == 0 ? slab : rows;
}

class OnednnRows : public PackedRows {
  public:
    OnednnRows(const ProductShape& shape, const Factors& right)
        : shape_(shape),
          slab_(slab_of(shape.left_rows)),
          kinds_(kinds_for(shape, right)),
          packed_(huge_array<std::byte>((shape.panels() - 1) *
                                            kinds_[0].packed_bytes +
                                        kinds_[1].packed_bytes)),
          weights_(shape.panels()) {
        ParallelErrors errors;
#pragma omp parallel for
        for (idx_t panel = 0; panel < shape.panels(); panel++) {
            errors.run([&] { pack(panel, right); });
        }
        errors.rethrow();
    }

    std::unique_ptr<Multiplier> multiplier() const override {
        return as_error([&] { return std::make_unique<Worker>(*this); });
    }

  private:
    // All panels but the last, and the last.
    static std::vector<Panels> kinds_for(const ProductShape& shape,
                                         const Factors& right) {
        const PlanForOneThread one;
        const auto type =
            right.bf16 ? memory::data_type::bf16 : memory::data_type::f32;
        std::vector<Panels> kinds;
        for (const idx_t panel : {idx_t{0}, shape.panels() - 1}) {
            kinds.emplace_back(type, slab_of(shape.left_rows), shape.d,
                               shape.width(panel));
        }
        return kinds;
    }

    static const void* at(const Factors& factors, idx_t place) {
        return factors.bf16 ? static_cast<const void*>(factors.bf16 + place)
                            : static_cast<const void*>(factors.fp32 + place);
    }

    size_t kind_of(idx_t panel) const {
        return panel == shape_.panels() - 1 ? 1 : 0;
    }
    const Panels& kind(idx_t panel) const {
        return kinds_[kind_of(panel)];
    }

    void pack(idx_t panel, const Factors& right) {
        const Panels& how = kind(panel);
        const void* rows = at(right, panel * shape_.panel_rows * shape_.d);
        // oneDNN's memories are not const; a reorder reads its source only.
        memory from(how.rows, cpu(), const_cast<void*>(rows));
        weights_[panel] =
            memory(how.plan.weights_desc(), cpu(),
                   packed_.get() + panel * kinds_[0].packed_bytes);
        dnnl::stream stream(cpu());
        how.packing.execute(
            stream, {{DNNL_ARG_FROM, from},
                     {DNNL_ARG_TO, weights_[panel]},
                     {DNNL_ARG_SCRATCHPAD,
                      memory(how.packing_plan.scratchpad_desc(), cpu())}});
        stream.wait();
    }

    class Worker : public Multiplier {
      public:
        explicit Worker(const OnednnRows& rows) : rows_(rows), stream_(cpu()) {
            for (const Panels& kind : rows.kinds_) {
                const size_t needed = kind.plan.scratchpad_desc().get_size();
                if (scratchpad_.size() < needed) scratchpad_.resize(needed);
            }
            for (const Panels& kind : rows.kinds_) {
                const auto& plan = kind.plan;
                arguments_.push_back(
                    {{DNNL_ARG_SRC, memory(plan.src_desc(), cpu(), nullptr)},
                     {DNNL_ARG_DST, memory(plan.dst_desc(), cpu(), nullptr)},
                     {DNNL_ARG_SCRATCHPAD, memory(plan.scratchpad_desc(), cpu(),
                                                  scratchpad_.data())},
                     {DNNL_ARG_WEIGHTS, memory()}});
            }
        }

        void multiply(const Factors& left, idx_t first, idx_t last, idx_t panel,
                      float* tile) override {
            as_error([&] {
                const size_t kind = rows_.kind_of(panel);
                auto& arguments = arguments_[kind];
                arguments[DNNL_ARG_WEIGHTS] = rows_.weights_[panel];
                const idx_t slab = rows_.slab_;
                for (idx_t row = first / slab * slab; row < last; row += slab) {
                    const void* from = at(left, row * rows_.shape_.d);
                    arguments[DNNL_ARG_SRC].set_data_handle(
                        const_cast<void*>(from));
                    arguments[DNNL_ARG_DST].set_data_handle(
                        tile + row * rows_.shape_.width(panel));
                    rows_.kinds_[kind].product.execute(stream_, arguments);
                }
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
    idx_t slab_;
    std::vector<Panels> kinds_;
    HugeArray<std::byte> packed_;
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
