#include "faiss_qbnorm/cpu/engine_cpu.h"

#include <algorithm>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/cpu/bound.h"

namespace faiss_qbnorm {

CpuBank::CpuBank(const Scoring& scoring, Metric metric, const MatrixView& bank)
    : metric(metric),
      bank(bank),
      center(metric == Metric::l2 ? mean_row(bank) : std::vector<float>()),
      queries(scoring, metric, bank, center.empty() ? nullptr : center.data()) {
}

namespace {

// The mean of some rows: any point amid them will do.
std::vector<float> point_amid(const MatrixView& rows) {
    constexpr idx_t some = 256;
    return mean_row(rows.slice(0, std::min(rows.rows, some)));
}

}  // namespace

CpuGallery::CpuGallery(Metric metric, const GalleryBlock& block)
    : metric(metric), block(block) {
    if (metric == Metric::l2 && block.vectors.rows > 0) {
        center = point_amid(block.vectors);
    }
}

CpuTable::CpuTable(const NormTable& table, const BankColumn& column)
    : column(column), begin(table.begin), end(table.end) {
    check(table);
    largest_offset = faiss_qbnorm::largest_offset(column);
    offsets = column.offsets.view();
    if (column.offsets.in_huge_pages()) return;
    copied.assign(offsets.begin(), offsets.end());
    offsets = copied;
}

namespace {

template <class Mine, class Handle>
const Mine& mine(const Handle& handle) {
    const auto* result = dynamic_cast<const Mine*>(&handle);
    require(result != nullptr,
            "a handle of another engine reached the cpu "
            "engine; bind it with this one");
    return *result;
}

/// Works on each block as it comes.
class CpuProbe : public Probe {
  public:
    CpuProbe(const CpuBank& bank, const Normalization& normalization,
             const ProbeResults& results)
        : bank_(bank), normalization_(normalization), results_(results) {}

    void add(const GalleryBlock& block) override {
        block_offsets_.resize(block.vectors.rows);
        cpu_probe(bank_, block, normalization_, block_offsets_.data(),
                  results_.winners);
        for (idx_t i = 0; i < block.vectors.rows; i++) {
            results_.offsets[block.label(i) - results_.begin] =
                block_offsets_[i];
        }
    }

    void add(const BoundGallery& gallery) override {
        add(mine<CpuGallery>(gallery).block);
    }

    void finish() override {}

  private:
    const CpuBank& bank_;
    Normalization normalization_;
    ProbeResults results_;
    std::vector<float> block_offsets_;
};

class EngineCpu : public Engine {
  public:
    explicit EngineCpu(const CpuOptions& options) {
        const bool blas =
            options.products == CpuProducts::blas || !has_onednn();
        const bool bf16 = options.precision == Precision::bf16;
        require(options.precision != Precision::fp16,
                "the cpu engine computes in fp32 or bf16, not fp16");
        require(!bf16 || !blas, "bf16 needs oneDNN, and ",
                has_onednn() ? "this engine is told to use BLAS"
                             : "this build has none");
        require(!bf16 || has_fast_bf16(),
                "this processor has no instructions for bf16");
        probing_ = {options.tiles, bf16 ? ProductType::bf16 : ProductType::fp32,
                    blas};
        // Scores that only filter may be rough where that is faster.
        scanning_ = {
            options.tiles,
            !blas && has_fast_bf16() ? ProductType::bf16 : ProductType::fp32,
            blas};
        name_ = options.products == CpuProducts::blas ? "cpu:blas" : "cpu";
    }

    std::string_view name() const override { return name_; }

    std::string describe() const override {
        const std::string loops = "loops in " + simd::instruction_set();
        if (scanning_.blas) return loops + ", products by BLAS in fp32";
        const bool bf16 = scanning_.type == ProductType::bf16;
        return loops + ", products by oneDNN in " + onednn_instruction_set() +
               (bf16 ? ", exact searches filtered in bf16" : "");
    }

    std::unique_ptr<BoundBank> bind_bank(
        Metric metric, const MatrixView& bank) const override {
        return std::make_unique<CpuBank>(probing_, metric, bank);
    }

    std::unique_ptr<BoundGallery> bind_gallery(
        Metric metric, const GalleryBlock& block) const override {
        return std::make_unique<CpuGallery>(metric, block);
    }

    using Engine::bind_table;
    std::unique_ptr<BoundTable> bind_table(
        const NormTable& table, const BankColumn& column) const override {
        return std::make_unique<CpuTable>(table, column);
    }

    std::unique_ptr<Probe> begin_probe(
        const BoundBank& bank, const Normalization& normalization,
        const ProbeResults& results) const override {
        return std::make_unique<CpuProbe>(mine<CpuBank>(bank), normalization,
                                          results);
    }

    void scan(const BoundGallery& gallery, const BoundTable* table,
              const MatrixView& queries, ScanState& state) const override {
        const auto& cpu_gallery = mine<CpuGallery>(gallery);
        cpu_scan(scanning_, cpu_gallery,
                 table ? &mine<CpuTable>(*table) : nullptr, queries, state);
    }

    void rerank(const BoundTable& table, Method method,
                const Candidates& candidates, idx_t k,
                const Answers& answers) const override {
        cpu_rerank(mine<CpuTable>(table), method, candidates, k, answers);
    }

  private:
    Scoring probing_;
    Scoring scanning_;
    std::string name_;
};

}  // namespace

std::unique_ptr<Engine> make_engine_cpu(const CpuOptions& options) {
    return std::make_unique<EngineCpu>(options);
}

}  // namespace faiss_qbnorm
