#include "cuda/engine_cuda.h"

#include <string>

#include "cuda/bound.h"

namespace faiss_qbnorm {

namespace cuda {

namespace {

void check_device(int device) {
    int count = 0;
    check(cudaGetDeviceCount(&count), "looking for a device");
    require(count > 0, "CUDA finds no device");
    require(device >= 0 && device < count, "there is no CUDA device ", device,
            "; the last one is ", count - 1);
    int major = 0;
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor,
                                 device),
          "asking for the compute capability");
    require(major >= 8, "CUDA device ", device, " has compute capability ",
            major, ".x, but 8.0 is needed");
}

class EngineCuda : public Engine {
  public:
    EngineCuda(int device, Precision precision, const CudaTiles& tiles)
        : context_{device, precision, tiles, {}} {
        require(precision != Precision::bf16,
                "the cuda engine computes in fp16 or fp32, not bf16");
        check_device(device);
        const DeviceScope scope(device);
        context_.pool.take();  // so that what fails at the start fails here
    }

    ~EngineCuda() override {
        try {  // handles go with their device at hand, if it can be had
            const DeviceScope scope(context_.device);
            context_.pool.clear();
        } catch (const Error&) {
        }
    }
    EngineCuda(const EngineCuda&) = delete;
    EngineCuda& operator=(const EngineCuda&) = delete;

    std::string_view name() const override { return "cuda"; }

    std::string describe() const override {
        cudaDeviceProp properties;
        check(cudaGetDeviceProperties(&properties, context_.device),
              "asking for the device's name");
        return properties.name;
    }

    std::unique_ptr<BoundBank> bind_bank(
        Metric metric, const MatrixView& bank) const override {
        const DeviceScope scope(context_.device);
        return std::make_unique<CudaBank>(context_, metric, bank);
    }

    std::unique_ptr<BoundGallery> bind_gallery(
        Metric metric, const GalleryBlock& block) const override {
        const DeviceScope scope(context_.device);
        return std::make_unique<CudaGallery>(context_, metric, block);
    }

    using Engine::bind_table;
    std::unique_ptr<BoundTable> bind_table(
        const NormTable& table, const BankColumn& column) const override {
        const DeviceScope scope(context_.device);
        return std::make_unique<CudaTable>(context_, table, column);
    }

    std::unique_ptr<Probe> begin_probe(
        const BoundBank& bank, const Normalization& normalization,
        const ProbeResults& results) const override {
        const DeviceScope scope(context_.device);
        return cuda_begin_probe(context_, mine<CudaBank>(bank), normalization,
                                results);
    }

    void scan(const BoundGallery& gallery, const BoundTable* table,
              const MatrixView& queries, ScanState& state) const override {
        const DeviceScope scope(context_.device);
        cuda_scan(context_, mine<CudaGallery>(gallery),
                  table ? &mine<CudaTable>(*table) : nullptr, queries, state);
    }

    void rerank(const BoundTable& table, Method method,
                const Candidates& candidates, idx_t k,
                const Answers& answers) const override {
        const DeviceScope scope(context_.device);
        cuda_rerank(context_, mine<CudaTable>(table), method, candidates, k,
                    answers);
    }

  private:
    mutable Context context_;  // its pool serves concurrent calls
};

}  // namespace

}  // namespace cuda

std::unique_ptr<Engine> make_engine_cuda(int device, Precision precision,
                                         const CudaTiles& tiles) {
    return std::make_unique<cuda::EngineCuda>(device, precision, tiles);
}

}  // namespace faiss_qbnorm
