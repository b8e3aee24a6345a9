#pragma once

#include <vector>

#include "faiss_qbnorm/similarities/similarities.h"

namespace faiss_qbnorm {

/// Some rows of other similarities, which must stay alive.
class SomeRows : public Similarities {
  public:
    SomeRows(const Similarities& whole, std::vector<idx_t> kept)
        : whole_(whole), kept_(std::move(kept)) {}

    idx_t rows() const override { return static_cast<idx_t>(kept_.size()); }
    idx_t items() const override { return whole_.items(); }
    std::string name() const override { return whole_.name(); }
    void read(idx_t begin, idx_t end, float* out) const override;

  private:
    const Similarities& whole_;
    std::vector<idx_t> kept_;
};

/// Some items of other similarities, which must stay alive; item i is the
/// i-th of those kept, which rise.
class SomeItems : public Similarities {
  public:
    SomeItems(const Similarities& whole, std::vector<idx_t> kept)
        : whole_(whole), kept_(std::move(kept)) {}

    idx_t rows() const override { return whole_.rows(); }
    idx_t items() const override { return static_cast<idx_t>(kept_.size()); }
    std::string name() const override { return whole_.name(); }
    void read(idx_t begin, idx_t end, float* out) const override;

  private:
    const Similarities& whole_;
    std::vector<idx_t> kept_;
};

}  // namespace faiss_qbnorm
