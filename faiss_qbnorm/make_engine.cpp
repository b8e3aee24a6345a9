#include "faiss_qbnorm/make_engine.h"

#include <charconv>
#include <cstdlib>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/cpu/engine_cpu.h"
#ifdef QBNORM_CUDA
#include "cuda/engine_cuda.h"
#endif

namespace faiss_qbnorm {

namespace {

#ifdef QBNORM_CUDA
/// The N of "cuda:N"; 0 for "cuda"; -1 for any other name.
int device_of(std::string_view name) {
    constexpr std::string_view cuda = "cuda";
    if (name == cuda) return 0;
    if (!name.starts_with(cuda) || name.substr(cuda.size(), 1) != ":") {
        return -1;
    }
    const std::string_view number = name.substr(cuda.size() + 1);
    int device = -1;
    const char* end = number.data() + number.size();
    const auto [stop, error] = std::from_chars(number.data(), end, device);
    return error == std::errc() && stop == end ? device : -1;
}
#endif

[[noreturn]] void refuse(std::string_view name) {
    std::string known;
    for (const std::string& engine : engine_names()) {
        known += (known.empty() ? "" : ", ") + engine;
    }
    fail("unknown engine '", name, "'; this build has: ", known);
}

}  // namespace

std::vector<std::string> engine_names() {
#ifdef QBNORM_CUDA
    return {"cpu", "cpu:blas", "cuda"};
#else
    return {"cpu", "cpu:blas"};
#endif
}

bool is_engine_name(std::string_view name) {
#ifdef QBNORM_CUDA
    if (device_of(name) >= 0) return true;
#endif
    return name == "cpu" || name == "cpu:blas";
}

std::unique_ptr<Engine> make_engine(std::string_view name,
                                    Precision precision) {
    if (name.empty()) {
        const char* forced = std::getenv("QBNORM_ENGINE");
        name = forced ? forced : "";
    }
    if (name.empty() || name == "cpu") return make_engine_cpu({precision});
    if (name == "cpu:blas") {
        return make_engine_cpu({precision, CpuProducts::blas});
    }
#ifdef QBNORM_CUDA
    if (const int device = device_of(name); device >= 0) {
        return make_engine_cuda(device, precision);
    }
#endif
    refuse(name);
}

}  // namespace faiss_qbnorm
