#include "faiss_qbnorm/fit/sinkhorn.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/parallel_errors.h"

namespace faiss_qbnorm {

namespace {

using Targets = std::span<const Similarities* const>;

// Bank queries that one thread works on at a time.
constexpr idx_t strip = 256;

idx_t check_targets(Targets targets) {
    require(!targets.empty(), "dbsn needs similarities to learn from");
    const Similarities& first = *targets.front();
    require(first.rows() > 0, first.name(), ": the bank is empty");
    idx_t items = 0;
    for (const Similarities* target : targets) {
        require(target->rows() == first.rows(), target->name(), ": has ",
                target->rows(), " bank queries but ", first.name(), " has ",
                first.rows(), "; dbsn takes one querybank");
        items += target->items();
    }
    require(items > 0, first.name(), ": has no items for dbsn to learn from");
    return items;
}

// Shows visit(block, items) all items of all targets.
template <class Visit>
void for_each_block(Targets targets, const Visit& visit) {
    std::vector<float> block;
    for (const Similarities* target : targets) {
        const idx_t step = block_items(*target);
        for (idx_t begin = 0; begin < target->items(); begin += step) {
            const idx_t end = std::min(begin + step, target->items());
            block.resize((end - begin) * target->rows());
            target->read(begin, end, block.data());
            visit(block.data(), end - begin);
        }
    }
}

/// The first half of an iteration, from u = 1 / n: a logsumexp over items for
/// each bank query.
class FirstWeights {
  public:
    FirstWeights(idx_t rows, double beta)
        : rows_(rows),
          beta_(beta),
          maxima_(rows, -std::numeric_limits<double>::infinity()),
          sums_(rows, 0) {}

    void add(const float* block, idx_t items) {
#pragma omp parallel for
        for (idx_t r0 = 0; r0 < rows_; r0 += strip) {
            const idx_t r1 = std::min(r0 + strip, rows_);
            std::array<double, strip> before;
            std::copy(maxima_.begin() + r0, maxima_.begin() + r1,
                      before.begin());
            for (idx_t j = 0; j < items; j++) {
                for (idx_t r = r0; r < r1; r++) {
                    maxima_[r] =
                        std::max(maxima_[r], beta_ * block[j * rows_ + r]);
                }
            }
            for (idx_t r = r0; r < r1; r++) {
                sums_[r] *= std::exp(before[r - r0] - maxima_[r]);
            }
            for (idx_t j = 0; j < items; j++) {
                for (idx_t r = r0; r < r1; r++) {
                    sums_[r] +=
                        std::exp(beta_ * block[j * rows_ + r] - maxima_[r]);
                }
            }
        }
    }

    std::vector<double> log_weights() const {
        std::vector<double> result(rows_);
        for (idx_t r = 0; r < rows_; r++) {
            result[r] = -maxima_[r] - std::log(sums_[r]);
        }
        return result;
    }

  private:
    const idx_t rows_;
    const double beta_;
    std::vector<double> maxima_;
    std::vector<double> sums_;
};

/// The others: with u of the weights v before, n K_ij u_j v_i is the softmax
/// over the bank of beta p_ij + log v_i, so that v_i becomes
///   v_i (n / M) / sum_j softmax_ij.
class NextWeights {
  public:
    NextWeights(std::vector<double>& log_weights, double beta)
        : rows_(static_cast<idx_t>(log_weights.size())),
          beta_(beta),
          log_weights_(log_weights),
          sums_(rows_, 0),
          parts_(chunks * rows_) {}

    void add(const float* block, idx_t items) {
        const idx_t step = (items + chunks - 1) / chunks;
        ParallelErrors errors;
#pragma omp parallel for schedule(dynamic)
        for (idx_t chunk = 0; chunk < chunks; chunk++) {
            errors.run([&] {
                double* part = parts_.data() + chunk * rows_;
                std::fill_n(part, rows_, 0.0);
                std::vector<double> terms(rows_);
                const idx_t end = std::min((chunk + 1) * step, items);
                for (idx_t j = chunk * step; j < end; j++) {
                    add_item(block + j * rows_, terms, part);
                }
            });
        }
        errors.rethrow();
#pragma omp parallel for
        for (idx_t r = 0; r < rows_; r++) {
            for (idx_t chunk = 0; chunk < chunks; chunk++) {
                sums_[r] += parts_[chunk * rows_ + r];
            }
        }
    }

    void finish(idx_t items) {
        const double bank = static_cast<double>(rows_);
        const double log_share = std::log(static_cast<double>(items) / bank);
        for (idx_t r = 0; r < rows_; r++) {
            // In exact arithmetic a sum is no less: a weight grows by at most
            // the inverse of the least growth of the u, which is at least 1 / n
            // at first and never falls. Where exponents are so large that a
            // double rounds them off, errors add up, and a sum may underflow.
            const double sum = std::max(sums_[r], 1 / bank);
            log_weights_[r] += log_share - std::log(sum);
        }
    }

  private:
    // Of a block: fixed, so that threads do not change the order of sums.
    static constexpr idx_t chunks = 16;

    void add_item(const float* scores, std::vector<double>& terms,
                  double* part) const {
        double most = -std::numeric_limits<double>::infinity();
        for (idx_t r = 0; r < rows_; r++) {
            terms[r] = beta_ * scores[r] + log_weights_[r];
            most = std::max(most, terms[r]);
        }
        double sum = 0;
        for (double& term : terms) {
            term = std::exp(term - most);
            sum += term;
        }
        const double scale = 1 / sum;
        for (idx_t r = 0; r < rows_; r++) part[r] += terms[r] * scale;
    }

    const idx_t rows_;
    const double beta_;
    std::vector<double>& log_weights_;
    std::vector<double> sums_;
    std::vector<double> parts_;
};

// Moved so that the mean is 1, and into float32's range.
std::vector<float> scaled(const std::vector<double>& log_weights) {
    double most = log_weights.front();
    for (const double w : log_weights) most = std::max(most, w);
    double sum = 0;
    for (const double w : log_weights) sum += std::exp(w - most);
    const double shift =
        most + std::log(sum / static_cast<double>(log_weights.size()));
    std::vector<float> result;
    result.reserve(log_weights.size());
    for (const double w : log_weights) {
        constexpr double least = std::numeric_limits<float>::lowest();
        result.push_back(static_cast<float>(std::max(w - shift, least)));
    }
    return result;
}

}  // namespace

std::vector<float> sinkhorn_log_weights(Targets targets, double beta,
                                        int iterations) {
    const idx_t items = check_targets(targets);
    FirstWeights first(targets.front()->rows(), beta);
    for_each_block(targets, [&](const float* block, idx_t count) {
        first.add(block, count);
    });
    std::vector<double> log_weights = first.log_weights();
    for (int i = 1; i < iterations; i++) {
        NextWeights next(log_weights, beta);
        for_each_block(targets, [&](const float* block, idx_t count) {
            next.add(block, count);
        });
        next.finish(items);
    }
    return scaled(log_weights);
}

}  // namespace faiss_qbnorm
