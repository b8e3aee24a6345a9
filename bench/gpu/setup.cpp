#include "bench/gpu/setup.h"

#include <algorithm>
#include <fstream>
#include <thread>

#include "cuda/bound.h"
#include "faiss_qbnorm/core/error.h"

namespace bench {

using faiss_qbnorm::require;
using faiss_qbnorm::cuda::check;

namespace {

/// Host bytes that a program may take.
idx_t available_bytes() {
    std::ifstream file("/proc/meminfo");
    std::string name;
    std::string rest;
    idx_t kilobytes = 0;
    while (file >> name >> kilobytes) {
        if (name == "MemAvailable:") return kilobytes << 10;
        std::getline(file, rest);
    }
    faiss_qbnorm::fail("/proc/meminfo does not say how much memory is free");
}

}  // namespace

Setup Setup::tiny() {
    Setup setup;
    setup.product_size = 64;
    setup.copy_bytes = 100000;
    setup.dimensions = {16, 24};
    setup.items = 300;
    setup.bank = 40;
    setup.queries = 20;
    setup.k = 7;
    setup.few_items = 300;
    setup.few_d = 16;
    setup.few_k = 3;
    setup.table_items = 5000;
    setup.candidates = 1200;
    setup.list_lengths = {20, 300};
    setup.streamed_floats = 300 * 16;
    setup.streamed_bank = 40;
    setup.streamed_dimensions = {16};
    setup.dis_items = 300;
    setup.dis_d = 16;
    setup.dis_queries = 20;
    setup.dis_k = 5;
    setup.small = true;
    setup.reference_calls = 1;
    setup.tiles.reserve_bytes = 0;
    setup.tiles.tile_columns = 256;
    setup.tiles.probe_rows = 32;
    setup.tiles.chunk_bytes = 100 * 16 * 4;
    setup.tiles.rerank_candidates = 500;
    return setup;
}

void require_resident(const faiss_qbnorm::BoundGallery& gallery) {
    const auto& bound =
        faiss_qbnorm::cuda::mine<faiss_qbnorm::cuda::CudaGallery>(gallery);
    require(bound.resident.has_value(),
            "the gallery does not fit into the device's memory");
}

idx_t items_that_fit(int d, const faiss_qbnorm::CudaTiles& tiles) {
    constexpr idx_t most = 100000000;
    constexpr idx_t spare = idx_t{4} << 30;  // tiles, shortlists, other things
    size_t free = 0;
    size_t total = 0;
    check(cudaMemGetInfo(&free, &total), "asking for the free memory");
    const idx_t on_device =
        (static_cast<idx_t>(free) - tiles.reserve_bytes - spare) /
        (faiss_qbnorm::cuda::bytes_of_rows(1, d,
                                           faiss_qbnorm::Precision::fp16) +
         5);
    const idx_t on_host =
        (available_bytes() - spare) / ((idx_t{d} + 1) * idx_t{sizeof(float)});
    const idx_t items = std::min({most, on_device, on_host});
    require(items > 0, "too little memory is free");
    return items;
}

Json machine() {
    int driver = 0;
    int runtime = 0;
    int device = 0;
    cudaDeviceProp properties{};
    check(cudaDriverGetVersion(&driver), "asking for the driver");
    check(cudaRuntimeGetVersion(&runtime), "asking for the runtime");
    check(cudaGetDevice(&device), "asking for the current device");
    check(cudaGetDeviceProperties(&properties, device),
          "asking for the device's properties");
    const auto version = [](int number) {
        return std::to_string(number / 1000) + "." +
               std::to_string(number % 1000 / 10);
    };
    return {{"device", properties.name},
            {"driver_cuda", version(driver)},
            {"runtime_cuda", version(runtime)},
            {"multiprocessors", properties.multiProcessorCount},
            {"device_bytes", properties.totalGlobalMem},
            {"host_cores", std::thread::hardware_concurrency()},
            {"host_bytes_available", available_bytes()}};
}

}  // namespace bench
