#pragma once

// Before the first of Highway's headers. Vectors whose size the compiler does
// not know fit into no array.
#define HWY_DISABLED_TARGETS \
    (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
