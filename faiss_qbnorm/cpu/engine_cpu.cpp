#include "faiss_qbnorm/cpu/engine_cpu.h"

#include <algorithm>
#include <cmath>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/cpu/bound.h"

namespace faiss_qbnorm {

namespace {

std::vector<float> center_of(Metric metric, const MatrixView& bank) {
    std::vector<double> sums(bank.d, 0);
    for (idx_t i = 0; metric == Metric::l2 && i < bank.rows; i++) {
        for (int j = 0; j < bank.d; j++) sums[j] += bank.row(i)[j];
    }
    std::vector<float> center(bank.d);
    for (int j = 0; j < bank.d; j++) {
        center[j] =
            static_cast<float>(sums[j] / static_cast<double>(bank.rows));
    }
    return center;
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

CpuTable::CpuTable(const NormTable& table)
    : column(column_of(table, Bank::querybank)),
      begin(table.begin),
      end(table.end) {
    const float* offsets = column.offsets.data();
    const auto size = static_cast<idx_t>(column.offsets.size());
    check(table);
    float largest = 0;
    bool finite = true;
#pragma omp parallel for reduction(max : largest) reduction(&& : finite)
    for (idx_t i = 0; i < size; i++) {
        largest = std::max(largest, std::fabs(offsets[i]));
        finite = finite && std::isfinite(offsets[i]);
    }
    require(finite,
            "the table holds an offset of NaN or Inf; it is damaged, fit it "
            "again");
    largest_offset = largest;
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

    std::unique_ptr<BoundTable> bind_table(
        const NormTable& table) const override {
        return std::make_unique<CpuTable>(table);
    }

    void probe(const BoundBank& bank, const GalleryBlock& block,
               const Normalization& normalization, float* offsets,
               TopLists& winners) const override {
        const auto& cpu_bank = mine<CpuBank>(bank);
        cpu_probe(tiles_, cpu_bank, block, normalization, offsets, winners);
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
