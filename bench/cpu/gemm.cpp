#include "bench/cpu/gemm.h"

#include <dlfcn.h>

#include <algorithm>
#include <cmath>

#include "bench/common/verify.h"
#include "bench/cpu/gemm_onednn.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/huge_pages.h"

extern "C" int sgemm_(const char*, const char*, const int*, const int*,
                      const int*, const float*, const float*, const int*,
                      const float*, const int*, const float*, float*,
                      const int*);

namespace bench {

using faiss_qbnorm::HugeVector;

namespace {

constexpr idx_t slab_rows = 2048;

/// C = slab * bank^T, row-major: Fortran sees the transposes.
void openblas(const MatrixView& slab, const MatrixView& bank, float* c) {
    const int m = static_cast<int>(bank.rows);
    const int n = static_cast<int>(slab.rows);
    const float one = 1;
    const float zero = 0;
    sgemm_("T", "N", &m, &n, &bank.d, &one, bank.data, &bank.d, slab.data,
           &slab.d, &zero, c, &m);
}

void verify_product(const MatrixView& slab, const MatrixView& bank,
                    const float* c, const std::string& name) {
    for (const idx_t i : sample(slab.rows, 5)) {
        for (const idx_t j : sample(bank.rows, 5)) {
            const double right = product(slab.row(i), bank.row(j), bank.d);
            const double error = std::fabs(c[i * bank.rows + j] - right);
            faiss_qbnorm::require(error <= 1e-5, name, " is off by ", error);
        }
    }
}

const char* asked_of_openblas(const char* function) {
    // Another BLAS may be what is linked.
    using Question = char* (*)();
    const auto question =
        reinterpret_cast<Question>(dlsym(RTLD_DEFAULT, function));
    return question ? question() : "not OpenBLAS";
}

}  // namespace

Gemm gemm_alone(const MatrixView& gallery, const MatrixView& bank,
                idx_t slabs) {
    const idx_t rows = std::min(slab_rows, gallery.rows);
    const MatrixView used =
        gallery.slice(0, std::min(slabs, gallery.rows / rows) * rows);
    const auto buffer = std::make_shared<HugeVector<float>>(rows * bank.rows);
    const double work = 2e-9 * static_cast<double>(used.rows) *
                        static_cast<double>(bank.rows) * bank.d;
    Gemm result;
    const auto add = [&](const std::string& name, const Multiply& multiply) {
        multiply(used.slice(0, rows), buffer->data());
        verify_product(used.slice(0, rows), bank, buffer->data(), name);
        result.contenders.push_back(
            {name, work, [=] {
                 return seconds_of([&] {
                     for (idx_t i = 0; i < used.rows; i += rows) {
                         multiply(used.slice(i, i + rows), buffer->data());
                     }
                 });
             }});
    };
    add("OpenBLAS sgemm",
        [bank](const MatrixView& slab, float* c) { openblas(slab, bank, c); });
    const auto others = onednn_products(bank, rows);
    for (const auto& [name, multiply] : others) add(name, multiply);
    if (others.empty()) {
        result.missing["oneDNN"] = "the build found no oneDNN (libdnnl-dev)";
    }
    return result;
}

Json gemm_facts() {
    return {{"OpenBLAS", asked_of_openblas("openblas_get_config")},
            {"OpenBLAS core", asked_of_openblas("openblas_get_corename")},
            {"oneDNN", onednn_version()}};
}

}  // namespace bench
