#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "faiss_qbnorm/core/types.h"
#include "faiss_qbnorm/eval/metrics.h"

/// What the metric code published with Bogolin et al. 2022 (metric.py,
/// t2v_metrics and v2t_metrics, run under NumPy 2) says of small matrices of
/// similarities, rounded as it rounds: to one decimal.

namespace reference_case {

using faiss_qbnorm::idx_t;
using faiss_qbnorm::RetrievalMetrics;

/// 12 captions x 6 videos, two captions for each; many ties.
inline const std::vector<float> similarities{
    5, 4, 2, 4, 0, 4, 2, 4, 4, 4, 3, 3, 3, 1, 3, 3, 5, 1, 1, 0, 1, 2, 4, 3,
    5, 0, 4, 4, 4, 3, 5, 4, 6, 3, 2, 5, 2, 1, 0, 3, 0, 4, 1, 5, 0, 5, 5, 2,
    2, 2, 3, 1, 6, 4, 4, 2, 2, 3, 6, 2, 0, 1, 1, 2, 1, 0, 4, 2, 3, 4, 2, 6};
inline constexpr idx_t captions = 12;
inline constexpr idx_t videos = 6;

/// Caption 1, and both of video 3, are missing.
inline const std::vector<std::int64_t> mask{1, 0, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1};
inline const std::vector<idx_t> unmasked{0, 2, 3, 4, 5, 8, 9, 10, 11};

struct Published {
    double r1, r5, r10, r50, median, mean, geometric_mean;
};

inline constexpr Published t2v{41.7, 83.3, 100, 100, 2, 2.9, 70.3};
inline constexpr Published t2v_masked{55.6, 88.9, 100, 100, 1, 2.8, 79.0};
inline constexpr Published v2t{50.0, 83.3, 100, 100, 1.2, 2.6, 74.7};
/// Its mean rank is infinite: video 3 has no caption.
inline constexpr Published v2t_masked{33.3, 66.7, 83.3, 83.3, 1.8, 0, 57.0};

/// The same code's own example (the experiment inside v2t_metrics), seen from
/// either side, and matrices of zeros, of which its comments speak.
inline const std::vector<float> toy{2, 1, 1, 1, 2, 1, 2, 2, 2};
inline constexpr Published toy_published{66.7, 100, 100, 100, 1, 1.3, 87.4};
inline constexpr Published zeros_t2v{0, 100, 100, 100, 2, 2, 0};  // 6 x 3
inline constexpr Published zeros_v2t{0, 100, 100, 100, 3.5, 3.5, 0};

inline void expect_published(const RetrievalMetrics& metrics,
                             const Published& published) {
    constexpr double rounding = 0.0501;
    EXPECT_NEAR(metrics.recall_1, published.r1, rounding);
    EXPECT_NEAR(metrics.recall_5, published.r5, rounding);
    EXPECT_NEAR(metrics.recall_10, published.r10, rounding);
    EXPECT_NEAR(metrics.recall_50, published.r50, rounding);
    EXPECT_NEAR(metrics.median_rank, published.median, rounding);
    EXPECT_NEAR(metrics.geometric_mean, published.geometric_mean, rounding);
    if (published.mean > 0) {
        EXPECT_NEAR(metrics.mean_rank, published.mean, rounding);
    } else {
        EXPECT_EQ(metrics.mean_rank, std::numeric_limits<double>::infinity());
    }
}

}  // namespace reference_case
