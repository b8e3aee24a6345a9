// Oracle: formula.h's exact_score; tile scores are emulated with plain loops
// over the operands, in several orders of summation.

#include "cuda/score_bound.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "cuda/chunks.h"
#include "cuda/columns.h"
#include "cuda/scores.h"
#include "faiss_qbnorm/core/formula.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/core/normalization.h"
#include "tests/cuda/kernels.h"
#include "tests/data.h"

namespace {

using namespace faiss_qbnorm;
using namespace faiss_qbnorm::cuda;

template <class T>
std::vector<T> read(const void* from, idx_t n) {
    std::vector<T> result(n);
    check(
        cudaMemcpy(result.data(), from, n * sizeof(T), cudaMemcpyDeviceToHost),
        "reading");
    return result;
}

/// An operand's elements as floats, ld a row.
std::vector<float> elements_of(const Operand& operand) {
    const idx_t n = operand.rows * operand.ld;
    if (!operand.fp16) return read<float>(operand.elements, n);
    const auto halves = read<__half>(operand.elements, n);
    return {halves.begin(), halves.end()};
}

float in_order(const float* a, const float* b, int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

float pairwise(const float* a, const float* b, int n) {
    if (n == 1) return *a * *b;
    const int half = n / 2;
    return pairwise(a, b, half) + pairwise(a + half, b + half, n - half);
}

/// Each sum cut off one bit early, as tensor cores (of half) may.
float truncated(const float* a, const float* b, int n) {
    float sum = 0;
    for (int i = 0; i < n; i++) {
        const double exact = double{sum} + double{a[i]} * b[i];
        int exponent = 0;
        std::frexp(exact, &exponent);
        const double step = std::ldexp(1.0, std::max(exponent - 23, -149));
        sum = static_cast<float>(std::trunc(exact / step) * step);
    }
    return sum;
}

struct BoundCase {
    Metric metric;
    bool fp16;
    bool centered;  ///< as a probe's operands are
    float offset;
};

/// How far tile scores were off, by their bound at most.
struct Outcome {
    double worst = 0;  ///< error / bound
    int finite = 0;
    int infinite = 0;
};

Outcome expect_bounded(const BoundCase& c, const Matrix& gallery,
                       const Matrix& queries) {
    SCOPED_TRACE(testing::Message()
                 << name_of(c.metric) << ", fp16 " << c.fp16 << ", centered "
                 << c.centered << ", offset " << c.offset << ", d "
                 << gallery.d);
    const int d = gallery.d;
    const Stream stream;
    Upload upload;
    Columns columns;
    const bool centered = c.centered && c.metric == Metric::l2;
    fill(columns, c.metric, queries.view(),
         centered ? mean_row(queries.view()) : std::vector<float>{}, c.fp16, 8,
         upload, stream);
    Chunk chunk;
    const kernels::OnDevice<float> raw(gallery.data);
    chunk.rows = gallery.rows;
    chunk.raw = raw;
    prepare_chunk(chunk, c.metric, d, c.fp16, gallery.rows,
                  columns.center.data(), stream);
    const Operand& left = columns.operand;
    const Operand& right = chunk.operand;
    const ScoreBound bound{left.l2,
                           left.fp16,
                           d,
                           right.largest_norm,
                           right.largest_error,
                           left.largest_norm,
                           c.offset};
    const auto a = elements_of(left);
    const auto b = elements_of(right);
    const auto query_bias = read<float>(left.bias.data(), left.rows);
    const auto bias = read<float>(right.bias.data(), right.rows);
    const auto weight = read<float>(right.weight.data(), right.rows);
    Outcome outcome;
    for (idx_t q = 0; q < queries.rows; q++) {
        const float most = bound.of(columns.norm(q), columns.error(q));
        (most < INFINITY ? outcome.finite : outcome.infinite)++;
        if (!(most < INFINITY)) continue;
        for (idx_t g = 0; g < gallery.rows; g++) {
            const float exact = exact_score(c.metric, queries.view().row(q),
                                            gallery.view().row(g), d);
            for (const auto product : {in_order, pairwise, truncated}) {
                if (product == truncated && !c.fp16) continue;
                float p = product(&a[q * left.ld], &b[g * right.ld], left.ld);
                if (c.fp16) p = __half2float(__float2half_rn(p));
                const float score =
                    std::fma(p, weight[g] * left.scale, query_bias[q]) +
                    bias[g];
                const double error = std::fabs(double{score - c.offset} -
                                               double{exact - c.offset});
                if (!(error <= most)) {
                    ADD_FAILURE()
                        << "query " << q << ", item " << g << ": " << score
                        << " instead of " << exact << ", bound " << most;
                    return outcome;
                }
                outcome.worst = std::max(outcome.worst, error / most);
            }
        }
    }
    return outcome;
}

using Change = std::function<void(Matrix& gallery, Matrix& queries)>;

void scale_row(Matrix& matrix, idx_t row, float factor) {
    for (int j = 0; j < matrix.d; j++)
        matrix.data[row * matrix.d + j] *= factor;
}

/// All metrics, precisions, dimensions and offsets, over vectors like unit
/// ones that were changed.
Outcome expect_all_bounded(const Change& change) {
    Outcome all;
    for (const int d : {1, 8, 33, 300}) {
        Matrix gallery = testdata::unit(8, d, 1);
        Matrix queries = testdata::unit(7, d, 2);
        change(gallery, queries);
        for (const Metric metric : {Metric::inner_product, Metric::l2}) {
            for (const bool fp16 : {false, true}) {
                for (const bool centered : {false, true}) {
                    for (const float offset : {0.0F, 0.75F, 1e4F}) {
                        const Outcome one = expect_bounded(
                            {metric, fp16, centered, offset}, gallery, queries);
                        all.worst = std::max(all.worst, one.worst);
                        all.finite += one.finite;
                        all.infinite += one.infinite;
                    }
                }
            }
        }
    }
    EXPECT_LE(all.worst, 1);
    return all;
}

TEST(ScoreBound, HoldsForUnitVectors) {
    const Outcome all = expect_all_bounded([](Matrix&, Matrix&) {});
    EXPECT_EQ(all.infinite, 0);
    EXPECT_GT(all.worst, 0.01);  // or it would filter nothing
}

TEST(ScoreBound, HoldsWhereAllSignsAndRoundingsAgree) {
    const Outcome all =
        expect_all_bounded([](Matrix& gallery, Matrix& queries) {
            for (Matrix* matrix : {&gallery, &queries}) {
                // Between two halves, so that each coordinate loses as much.
                const float x = (1 + 0x1.fp-12F) /
                                std::exp2(std::ceil(std::log2(matrix->d) / 2));
                std::fill(matrix->data.begin(), matrix->data.end(), x);
            }
        });
    EXPECT_EQ(all.infinite, 0);
    EXPECT_GT(all.worst, 0.1);
}

TEST(ScoreBound, HoldsWhereVectorsAreTheSame) {
    expect_all_bounded([](Matrix& gallery, Matrix& queries) {
        std::copy_n(gallery.data.begin(), queries.data.size(),
                    queries.data.begin());
    });
}

TEST(ScoreBound, HoldsForSubnormalHalves) {
    expect_all_bounded([](Matrix& gallery, Matrix& queries) {
        for (Matrix* matrix : {&gallery, &queries}) {
            for (idx_t i = 0; i < static_cast<idx_t>(matrix->data.size());
                 i++) {
                if (i % matrix->d > 0) matrix->data[i] *= 3e-6F;
            }
        }
    });
}

TEST(ScoreBound, HoldsForAnySize) {
    for (const float size : {1e18F, 1e-15F, 1e-25F, 1e-37F, 1e-41F}) {
        SCOPED_TRACE(size);
        const Outcome all =
            expect_all_bounded([=](Matrix& gallery, Matrix& queries) {
                for (float& x : gallery.data) x *= size;
                for (float& x : queries.data) x *= size;
            });
        EXPECT_EQ(all.infinite, 0);
        expect_all_bounded([=](Matrix& gallery, Matrix& queries) {
            for (float& x : gallery.data) x *= size;
            for (float& x : queries.data) x /= size;
        });
    }
}

TEST(ScoreBound, HoldsForUnevenRows) {
    for (const float size : {1e3F, 1e12F}) {
        SCOPED_TRACE(size);
        expect_all_bounded([=](Matrix& gallery, Matrix&) {
            scale_row(gallery, 3, size);
            scale_row(gallery, 5, 0);
            scale_row(gallery, 7, 1 / size);
        });
        expect_all_bounded([=](Matrix&, Matrix& queries) {
            scale_row(queries, 3, size);
            scale_row(queries, 5, 0);
            scale_row(queries, 6, 1 / size);
        });
        expect_all_bounded([=](Matrix& gallery, Matrix& queries) {
            scale_row(gallery, 3, size);
            scale_row(queries, 4, size);
        });
    }
}

TEST(ScoreBound, HoldsForTinyItemsAndUnevenQueries) {
    expect_all_bounded([](Matrix& gallery, Matrix& queries) {
        for (float& x : gallery.data) x *= 1e-40F;
        for (idx_t q = 0; q < queries.rows; q++) {
            scale_row(queries, q, 1e10F * std::exp2(-4.0F * q));
        }
    });
}

TEST(ScoreBound, IsInfiniteWhereProductsMayOverflow) {
    for (const float size : {1e19F, 1e25F, 1e38F}) {
        SCOPED_TRACE(size);
        // Of all, of one item, of one query: beside which others are small.
        const Outcome all =
            expect_all_bounded([=](Matrix& gallery, Matrix& queries) {
                for (float& x : gallery.data) x *= size;
                for (float& x : queries.data) x *= size;
            });
        EXPECT_EQ(all.finite, 0);
        expect_all_bounded([=](Matrix& gallery, Matrix& queries) {
            for (float& x : gallery.data) x *= 1e18F;
            scale_row(gallery, 2, size / 1e18F);
            scale_row(queries, 3, size);
            scale_row(queries, 4, 0);
            scale_row(queries, 5, 4e18F);
        });
        expect_all_bounded([=](Matrix& gallery, Matrix& queries) {
            scale_row(gallery, 2, size);
            scale_row(queries, 4, 0);
            for (float& x : queries.data) x *= 1e-3F;
        });
    }
}

}  // namespace
