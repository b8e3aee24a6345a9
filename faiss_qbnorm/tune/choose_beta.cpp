#include "faiss_qbnorm/tune/choose_beta.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/core/parallel_errors.h"
#include "faiss_qbnorm/tune/beta_grid.h"
#include "faiss_qbnorm/tune/draw.h"
#include "faiss_qbnorm/tune/rank_unlabelled.h"

namespace faiss_qbnorm {

namespace {

constexpr idx_t splits = 4;
constexpr idx_t most_held_out = 300;
constexpr idx_t enough_queries = 200;
constexpr int halves = 200;
constexpr double sure = 0.8;
constexpr double same_beta = 1.5;
constexpr std::uint32_t seed = 20220622;

/// Ranks the unlabelled queries, wherever they come from.
class Unlabelled {
  public:
    Unlabelled(const Similarities& bank, const Similarities* queries,
               idx_t activation_k)
        : bank_(bank), queries_(queries), activation_k_(activation_k) {
        if (queries) return;
        held_out_ = std::min(most_held_out, bank.rows() / splits);
        order_ = draw(bank.rows(), bank.rows(), seed);
    }

    /// In one split, or in all of them.
    idx_t count() const {
        return queries_ ? queries_->rows() : held_out_ * splits;
    }

    std::vector<UnlabelledRankings> rank(std::span<const float> betas) const {
        if (!queries_) {
            return rank_held_out(bank_, order_, held_out_, splits, betas,
                                 activation_k_);
        }
        std::vector<UnlabelledRankings> one;
        one.push_back(rank_unlabelled(bank_, *queries_, betas, activation_k_));
        return one;
    }

  private:
    const Similarities& bank_;
    const Similarities* queries_;
    idx_t activation_k_;
    idx_t held_out_ = 0;
    std::vector<idx_t> order_;
};

struct Entropies {
    double raw = 0;
    double is = 0;
    double dis = 0;

    /// The largest, where more than rounding apart; else the gentler method.
    Method best() const {
        constexpr double rounding = 1e-9;
        if (std::max(is, dis) <= raw + rounding) return Method::none;
        return is > dis + rounding ? Method::is : Method::dis;
    }
};

/// Some of each split's queries.
using Sample = std::vector<std::vector<idx_t>>;

/// Means over splits of the entropies of some of their queries.
class Measurements {
  public:
    explicit Measurements(idx_t items) : meter_(items) {}

    std::vector<double> curve(std::span<const UnlabelledRankings> splits,
                              const Sample& sample) {
        std::vector<double> result;
        for (size_t b = 0; b < splits.front().is.size(); b++) {
            result.push_back(mean(
                splits, sample, [&](const auto& split, const auto& queries) {
                    return meter_.measure(split.is[b], queries);
                }));
        }
        return result;
    }

    /// At the only beta of the splits.
    Entropies methods(std::span<const UnlabelledRankings> splits,
                      const Sample& sample) {
        Entropies result;
        result.raw =
            mean(splits, sample, [&](const auto& split, const auto& queries) {
                return meter_.measure(split.raw, queries);
            });
        result.is =
            mean(splits, sample, [&](const auto& split, const auto& queries) {
                return meter_.measure(split.is[0], queries);
            });
        result.dis =
            mean(splits, sample, [&](const auto& split, const auto& queries) {
                return meter_.measure(split.is[0], queries, split.open,
                                      &split.raw);
            });
        return result;
    }

  private:
    template <class Measure>
    static double mean(std::span<const UnlabelledRankings> splits,
                       const Sample& sample, Measure measure) {
        double sum = 0;
        for (size_t s = 0; s < splits.size(); s++) {
            sum += measure(splits[s], sample[s]);
        }
        return sum / static_cast<double>(splits.size());
    }

    SpreadMeter meter_;
};

Sample everyone(std::span<const UnlabelledRankings> splits) {
    Sample sample;
    for (const UnlabelledRankings& split : splits) {
        std::vector<idx_t> queries(split.raw.nq);
        std::iota(queries.begin(), queries.end(), 0);
        sample.push_back(std::move(queries));
    }
    return sample;
}

Sample half(std::span<const UnlabelledRankings> splits, std::uint32_t which) {
    Sample sample;
    for (size_t s = 0; s < splits.size(); s++) {
        const idx_t nq = splits[s].raw.nq;
        sample.push_back(
            draw(nq, (nq + 1) / 2,
                 seed + which * static_cast<std::uint32_t>(splits.size()) +
                     static_cast<std::uint32_t>(s)));
    }
    return sample;
}

/// What random halves of the queries say. Halves, not samples with replacement:
/// a query drawn twice is a hub of its own, which would tell against the even
/// rankings.
class Halves {
  public:
    Halves(idx_t items, std::span<const float> betas,
           std::span<const UnlabelledRankings> on_grid,
           std::span<const UnlabelledRankings> at_choice)
        : entropies_(halves), betas_(halves) {
        ParallelErrors errors;
#pragma omp parallel
        {
            Measurements measurements(items);
#pragma omp for schedule(dynamic)
            for (int i = 0; i < halves; i++) {
                errors.run([&] {
                    const Sample sample =
                        half(on_grid, static_cast<std::uint32_t>(i));
                    entropies_[i] = measurements.methods(at_choice, sample);
                    betas_[i] =
                        peak(betas, measurements.curve(on_grid, sample));
                });
            }
        }
        errors.rethrow();
    }

    /// The method of the largest entropy; but of two the one that changes less,
    /// unless the other wins in nearly all halves: do no harm.
    Method decide(const Entropies& entropies) const {
        const Method best = entropies.best();
        if (best == Method::is && wins(&Entropies::is, &Entropies::dis)) {
            return best;
        }
        if (best != Method::none && entropies.dis > entropies.raw &&
            wins(&Entropies::dis, &Entropies::raw)) {
            return Method::dis;
        }
        return Method::none;
    }

    double confidence(const BetaChoice& choice, bool method_given) const {
        int same = 0;
        for (int i = 0; i < halves; i++) {
            const double ratio = double{betas_[i]} / choice.beta;
            const bool same_method =
                method_given || entropies_[i].best() == choice.method;
            const bool near = choice.method == Method::none ||
                              std::max(ratio, 1 / ratio) <= same_beta;
            same += same_method && near ? 1 : 0;
        }
        return static_cast<double>(same) / halves;
    }

  private:
    bool wins(double Entropies::*one, double Entropies::*other) const {
        const auto count = std::count_if(
            entropies_.begin(), entropies_.end(),
            [&](const Entropies& e) { return e.*one > e.*other; });
        return static_cast<double>(count) >= sure * halves;
    }

    std::vector<Entropies> entropies_;
    std::vector<float> betas_;
};

void check_arguments(const Similarities& bank, const Similarities* queries,
                     std::optional<Method> method, idx_t activation_k) {
    require(bank.items() > 0, "there are no items to rank");
    require(bank.rows() > 0, bank.name(),
            ": holds no queries; a bank needs at least one");
    if (queries) {
        require(queries->items() == bank.items(), queries->name(),
                ": is about ", queries->items(), " items but ", bank.name(),
                " about ", bank.items(), "; give both for one gallery");
        require(queries->rows() > 0, queries->name(), ": holds no queries");
    }
    require(!method || *method == Method::is || *method == Method::dis,
            "without ground truth beta is chosen for is and dis only, not for ",
            method ? name_of(*method) : "");
    Normalization normalization;
    normalization.activation_k = activation_k;
    check(normalization);
}

/// What to say where nothing can be chosen.
std::string nothing_to_choose(const Similarities& bank, double sigma,
                              idx_t queries) {
    if (bank.items() == 1) {
        return "the gallery has one item, so that every ranking is the same";
    }
    if (sigma == 0) {
        return "every item is equally similar to all of " + bank.name() +
               ", which says nothing about beta; give a bank of different "
               "queries";
    }
    if (queries == 0) {
        return bank.name() +
               " has fewer than four rows, too few to hold any out; give live "
               "queries too";
    }
    return "";
}

std::string warning_for(const BetaChoice& choice) {
    std::string warning;
    const auto add = [&](const std::string& sentence) {
        warning += (warning.empty() ? "" : "; ") + sentence;
    };
    if (choice.held_out) {
        add("chosen from the bank alone, which cannot tell whether it is of "
            "the queries' domain: give live queries to be sure that "
            "normalising helps");
    }
    if (choice.queries < enough_queries) {
        add("only " + std::to_string(choice.queries) +
            " queries: give 200 or, better, 1,000");
    }
    return warning;
}

}  // namespace

BetaChoice choose_beta(const Similarities& bank, const Similarities* queries,
                       std::optional<Method> method, idx_t activation_k) {
    check_arguments(bank, queries, method, activation_k);
    const Unlabelled unlabelled(bank, queries, activation_k);
    BetaChoice choice;
    choice.method = method.value_or(Method::none);
    choice.sigma = mean_deviation(bank);
    choice.queries = unlabelled.count();
    choice.held_out = !queries;
    choice.warning = nothing_to_choose(bank, choice.sigma, choice.queries);
    if (!choice.warning.empty()) return choice;

    const std::vector<float> betas = beta_grid(choice.sigma, 12);
    const auto on_grid = unlabelled.rank(betas);
    const Sample all = everyone(on_grid);
    Measurements measurements(bank.items());
    const std::vector<double> curve = measurements.curve(on_grid, all);
    for (size_t b = 0; b < betas.size(); b++) {
        choice.curve.push_back({betas[b], curve[b]});
    }
    choice.beta = peak(betas, curve);
    const auto at_choice = unlabelled.rank(std::span(&choice.beta, 1));
    const Entropies entropies = measurements.methods(at_choice, all);
    choice.entropy_raw = entropies.raw;
    choice.entropy_is = entropies.is;
    choice.entropy_dis = entropies.dis;
    const Halves halves(bank.items(), betas, on_grid, at_choice);
    if (!method) choice.method = halves.decide(entropies);
    choice.confidence = halves.confidence(choice, method.has_value());
    choice.warning = warning_for(choice);
    return choice;
}

}  // namespace faiss_qbnorm
