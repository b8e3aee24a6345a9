#pragma once

#include "faiss_qbnorm/core/types.h"

namespace faiss_qbnorm {

/// Calls `take(i)` for the few i in [0, n) with `survives(i)`. Write the test
/// as !(value < threshold), so that NaN (an overflowed product) survives.
template <class Survives, class Take>
void for_each_survivor(idx_t n, Survives survives, Take take) {
    constexpr idx_t chunk = 32;
    idx_t begin = 0;
    for (; begin + chunk <= n; begin += chunk) {
        int any = 0;  // without a branch inside, the loop vectorises
        for (idx_t i = 0; i < chunk; i++) any |= int{survives(begin + i)};
        if (!any) continue;
        for (idx_t i = begin; i < begin + chunk; i++) {
            if (survives(i)) take(i);
        }
    }
    for (; begin < n; begin++) {
        if (survives(begin)) take(begin);
    }
}

}  // namespace faiss_qbnorm
