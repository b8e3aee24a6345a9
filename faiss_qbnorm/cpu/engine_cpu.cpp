#include "faiss_qbnorm/cpu/engine_cpu.h"

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/cpu/bound.h"

namespace faiss_qbnorm {

namespace {

std::vector<float> center_of(Metric metric, const MatrixView& bank) {
    return metric == Metric::l2 ? mean_row(bank) : std::vector<float>(bank.d);
}

std::vector<float> without(const std::vector<float>& center, Metric metric,
                           const MatrixView& bank) {
    if (metric != Metric::l2) return {};
    std::vector<float> result(bank.rows * bank.d);
#pragma omp parallel for
    for (idx_t i = 0; i < bank.rows; i++) {
        for (int j = 0; j < bank.d; j++) {
            result[i * bank.d + j] = bank.row(i)[j] - center[j];
        }
    }
    return result;
}

}  // namespace

CpuBank::CpuBank(Metric metric, const MatrixView& bank)
    : metric(metric),
      bank(bank),
      center(center_of(metric, bank)),
      centered(without(center, metric, bank)),
      rows(centered.empty() ? bank
                            : MatrixView{centered.data(), bank.rows, bank.d}),
      max_norm(rows.max_norm(0, bank.rows)) {}

CpuTable::CpuTable(const NormTable& table, Bank bank)
    : column(column_of(table, bank)), begin(table.begin), end(table.end) {
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
    CpuProbe(const CpuTiles& tiles, const CpuBank& bank,
             const Normalization& normalization, const ProbeResults& results)
        : tiles_(tiles),
          bank_(bank),
          normalization_(normalization),
          results_(results) {}

    void add(const GalleryBlock& block) override {
        block_offsets_.resize(block.vectors.rows);
        cpu_probe(tiles_, bank_, block, normalization_, block_offsets_.data(),
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
    CpuTiles tiles_;
    const CpuBank& bank_;
    Normalization normalization_;
    ProbeResults results_;
    std::vector<float> block_offsets_;
};

class EngineCpu : public Engine {
  public:
    explicit EngineCpu(const CpuTiles& tiles) : tiles_(tiles) {}

    std::string_view name() const override { return "cpu"; }

    std::unique_ptr<BoundBank> bind_bank(
        Metric metric, const MatrixView& bank) const override {
        return std::make_unique<CpuBank>(metric, bank);
    }

    std::unique_ptr<BoundGallery> bind_gallery(
        Metric metric, const GalleryBlock& block) const override {
        return std::make_unique<CpuGallery>(metric, block);
    }

    std::unique_ptr<BoundTable> bind_table(const NormTable& table,
                                           Bank bank) const override {
        return std::make_unique<CpuTable>(table, bank);
    }

    std::unique_ptr<Probe> begin_probe(
        const BoundBank& bank, const Normalization& normalization,
        const ProbeResults& results) const override {
        return std::make_unique<CpuProbe>(tiles_, mine<CpuBank>(bank),
                                          normalization, results);
    }

    void scan(const BoundGallery& gallery, const BoundTable* table,
              const MatrixView& queries, ScanState& state) const override {
        const auto& cpu_gallery = mine<CpuGallery>(gallery);
        cpu_scan(tiles_, cpu_gallery, table ? &mine<CpuTable>(*table) : nullptr,
                 ScoredRows(queries), state);
    }

    void rerank(const BoundTable& table, Method method,
                const Candidates& candidates, idx_t k,
                const Answers& answers) const override {
        cpu_rerank(mine<CpuTable>(table), method, candidates, k, answers);
    }

  private:
    CpuTiles tiles_;
};

}  // namespace

std::unique_ptr<Engine> make_engine_cpu(const CpuTiles& tiles) {
    return std::make_unique<EngineCpu>(tiles);
}

}  // namespace faiss_qbnorm
