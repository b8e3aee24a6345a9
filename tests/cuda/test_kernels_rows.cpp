// Oracle: plain loops over doubles.

#include "tests/cuda/kernels.h"

#include <algorithm>

#include "cuda/kernel_fold.h"
#include "cuda/kernel_gather.h"
#include "cuda/kernel_prepare.h"
#include "tests/data.h"

namespace {

using namespace faiss_qbnorm;
using namespace faiss_qbnorm::cuda;
using kernels::OnDevice;

constexpr float garbage = -77;

/// The nearest float that is a half; ties do not come up.
double nearest_half(double x) {
    int exponent = 0;
    std::frexp(x, &exponent);
    const double step = std::ldexp(1.0, std::max(exponent, -13) - 11);
    return std::nearbyint(x / step) * step;
}

struct PrepareCase {
    int d;
    bool l2;
    bool centered;
    float scale;  ///< 0: of each row
};

template <class Element>
void expect_prepared(const PrepareCase& c) {
    SCOPED_TRACE(testing::Message()
                 << "d " << c.d << ", l2 " << c.l2 << ", centered "
                 << c.centered << ", scale " << c.scale);
    constexpr bool fp16 = sizeof(Element) == 2;
    const idx_t rows = 13;
    const idx_t padded = 19;
    const int d = c.d;
    const int ld = (d + 7) / 8 * 8;
    Matrix raw = testdata::gaussian(rows, d, 1);
    const float factors[] = {0, 1, 1e-30F, 1e15F, 1e-42F};  // one row of zeros
    for (idx_t i = 0; i < rows * d; i++) {
        raw.data[i] *= i / d < 5 ? factors[i / d] : 3;
    }
    const Matrix center = testdata::gaussian(1, d, 2);
    const OnDevice<float> in(raw.data);
    const OnDevice<float> center_in(center.data);
    const OnDevice<Element> elements(padded * ld, Element(garbage));
    const OnDevice<float> weight(padded, garbage);
    const OnDevice<float> bias(padded, garbage);
    const OnDevice<float> norms(padded, garbage);
    const OnDevice<float> errors(padded, garbage);
    const OnDevice<RowStatistics> found(1, RowStatistics{0, ~0U, 0});
    kernels::run(
        kernel_prepare<Element>, dim3(kernels::blocks(padded, prepare_rows)),
        prepare_threads,
        PrepareArguments<Element>{in, c.centered ? center_in.data() : nullptr,
                                  rows, padded, d, ld, c.l2, c.scale, elements,
                                  weight, bias, norms, errors, found});

    const auto got_elements = elements.read();
    const auto got_weight = weight.read();
    const auto got_bias = bias.read();
    const auto got_norms = norms.read();
    const auto got_errors = errors.read();
    double largest = 0;
    double smallest = INFINITY;
    double worst = 0;
    for (idx_t i = 0; i < padded; i++) {
        SCOPED_TRACE(testing::Message() << "row " << i);
        double squares = 0;
        double lost = 0;
        for (int j = 0; i < rows && j < d; j++) {
            const float x = raw.data[i * d + j];
            const float y = c.centered ? x - center.data[j] : x;
            squares += double{y} * y;
        }
        const double norm = std::sqrt(squares);
        double scale = c.scale;
        if (c.scale == 0) {
            scale = 1;
            while (norm > 0 && scale < norm) scale *= 2;
            while (norm > 0 && scale / 2 >= norm && scale > 0x1p-120) {
                scale /= 2;
            }
        }
        for (int j = 0; j < ld; j++) {
            double right = 0;
            if (i < rows && j < d) {
                const float x = raw.data[i * d + j];
                const double y = (c.centered ? x - center.data[j] : x) / scale;
                right = fp16 ? nearest_half(y) : y;
                lost += (y - right) * (y - right);
            }
            ASSERT_EQ(to_float(got_elements[i * ld + j]), right) << j;
        }
        lost = std::sqrt(lost) * scale;
        // What underflows float by the scale is not seen, nor does it matter.
        constexpr double step = 0x1p-149;
        const double unseen = (scale * d + 1) * step;
        // Rounded up, by little.
        const float got = got_norms[i];
        ASSERT_GE(got, norm * (1 + 1e-7) - step);
        ASSERT_LE(got, norm * (1 + 3e-6) + step);
        ASSERT_GE(got_errors[i], lost * (1 + 1e-7) - unseen);
        ASSERT_LE(got_errors[i], lost * (1 + 3e-6) + unseen);
        if (i >= rows) {
            ASSERT_EQ(got_bias[i], -INFINITY);
            continue;
        }
        ASSERT_EQ(got_weight[i], (c.l2 ? 2 : 1) * scale);
        ASSERT_EQ(got_bias[i], c.l2 ? -static_cast<float>(squares) : 0);
        largest = std::max<double>(largest, got);
        smallest = std::min<double>(smallest, got);
        worst = std::max<double>(worst, got_errors[i]);
    }
    const RowStatistics all = found.read()[0];
    EXPECT_EQ(__uint_as_float(all.largest_norm), largest);
    EXPECT_EQ(__uint_as_float(all.smallest_norm), smallest);
    EXPECT_EQ(__uint_as_float(all.largest_error), worst);
    EXPECT_EQ(fp16, worst > 0);
}

TEST(Prepare, MakesOperandsOfRows) {
    kernels::for_seeds([] {
        for (const int d : {1, 7, 8, 9, 96, 100}) {
            for (const bool l2 : {false, true}) {
                for (const bool centered : {false, true}) {
                    expect_prepared<__half>({d, l2, centered, 0});
                    expect_prepared<__half>({d, l2, centered, 0x1p60F});
                    expect_prepared<float>({d, l2, centered, 1});
                }
            }
        }
    });
}

TEST(Prepare, LeavesRowsThatServeAsTheyAre) {
    const Matrix raw = testdata::gaussian(9, 5, 1);
    const OnDevice<float> in(raw.data);
    const OnDevice<float> norms(9, garbage);
    const OnDevice<float> bias(9, garbage);
    const OnDevice<float> errors(9, garbage);
    const OnDevice<RowStatistics> found(1, RowStatistics{0, ~0U, 0});
    kernels::run(
        kernel_prepare<float>, dim3(2), prepare_threads,
        PrepareArguments<float>{in, nullptr, 9, 9, 5, 5, false, 1, nullptr,
                                nullptr, bias, norms, errors, found});
    EXPECT_EQ(in.read(), raw.data);
    EXPECT_EQ(errors.read(), std::vector<float>(9, 0));
    for (int i = 0; i < 9; i++) {
        double squares = 0;
        for (int j = 0; j < 5; j++) squares += std::pow(raw.data[i * 5 + j], 2);
        EXPECT_NEAR(norms.read()[i], std::sqrt(squares), 1e-5);
    }
}

TEST(Offsets, AreLogarithmsOfMeans) {
    constexpr double bank_rows = 37;
    constexpr float limit = 2;
    for (const idx_t rows : {1, 256, 257}) {
        const auto largest = kernels::lattice(rows, 40, 1);
        std::vector<float> norms(rows);
        std::vector<double> sums(rows);
        for (idx_t i = 0; i < rows; i++) {
            sums[i] = 1 + 36.0 * static_cast<double>(i) / 256;
            norms[i] = i % 3 == 0   ? limit
                       : i % 3 == 1 ? std::nextafter(limit, 3.0F)
                                    : 0;
        }
        const OnDevice<float> device_largest(largest);
        const OnDevice<double> device_sums(sums);
        const OnDevice<float> device_norms(norms);
        for (const double beta : {0.01, 20.0}) {
            const OnDevice<float> offsets(rows + 1, garbage);
            kernels::run(
                kernel_offsets, dim3(kernels::blocks(rows, offset_threads)),
                offset_threads,
                OffsetArguments{device_largest, device_sums, device_norms, rows,
                                bank_rows, beta, limit, offsets});
            const auto got = offsets.read();
            for (idx_t i = 0; i < rows; i++) {
                if (i % 3 == 1) {
                    ASSERT_TRUE(std::isnan(got[i])) << i;
                    continue;
                }
                const double mean = sums[i] / bank_rows;
                ASSERT_FLOAT_EQ(got[i], largest[i] + std::log(mean) / beta);
            }
            EXPECT_EQ(got[rows], garbage);
        }
    }
}

TEST(Gather, TakesEachLabelsOffset) {
    for (const idx_t rows : {1, 255, 256, 257}) {
        const auto offsets = kernels::lattice(1000, 8, 1);
        std::vector<idx_t> labels(rows);
        std::mt19937 random(8);
        for (idx_t& label : labels) label = 5000 + random() % 1000;
        const OnDevice<float> in(offsets);
        const OnDevice<idx_t> which(labels);
        const OnDevice<float> out(rows + 1, -99);
        kernels::run(kernel_gather, dim3(kernels::blocks(rows, gather_threads)),
                     gather_threads, in.data(), which.data(), idx_t{5000}, rows,
                     out.data());
        const auto gathered = out.read();
        for (idx_t i = 0; i < rows; i++) {
            ASSERT_EQ(gathered[i], offsets[labels[i] - 5000]);
        }
        EXPECT_EQ(gathered[rows], -99);
    }
}

}  // namespace
