#pragma once

#include <faiss/Index.h>

#include <memory>

namespace faiss_qbnorm {

/// The search parameters of a base index that has an IDSelector from elsewhere.
class BaseParams {
  public:
    /// `given`, the base's own or null, with `sel` in it where that is not
    /// null. Throws where `given` has a selector too, and where its type is one
    /// that we cannot copy.
    BaseParams(const faiss::Index& base, faiss::IDSelector* sel,
               const faiss::SearchParameters* given);

    const faiss::SearchParameters* get() const { return params_; }

  private:
    std::unique_ptr<faiss::SearchParameters> copy_;
    const faiss::SearchParameters* params_;
};

/// What of `params` concerns innermost(base).
const faiss::SearchParameters* innermost_params(
    const faiss::Index& base, const faiss::SearchParameters* params);

}  // namespace faiss_qbnorm
