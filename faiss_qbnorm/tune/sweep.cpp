#include "faiss_qbnorm/tune/sweep.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>

#include "faiss_qbnorm/core/activation_set.h"
#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/eval/full_ranking.h"
#include "faiss_qbnorm/fit/similarity_column.h"
#include "faiss_qbnorm/tune/beta_grid.h"
#include "faiss_qbnorm/tune/item_statistics.h"

namespace faiss_qbnorm {

namespace {

constexpr int betas_swept = 16;
constexpr float alphas[] = {.25F, .5F, .75F, 1, 1.25F, 1.5F};

bool has_beta(Method method) {
    return method == Method::is || method == Method::dis ||
           method == Method::dbsn || is_dual(method);
}

/// How far a point's parameters are from its method's published ones.
double distance(const Normalization& n) {
    const Normalization published(n.method);
    const auto apart = [](auto a, auto b) {
        return std::fabs(std::log(static_cast<double>(a) / b));
    };
    return apart(n.beta, published.beta) + apart(n.alpha, published.alpha) +
           apart(n.neighbours, published.neighbours) +
           apart(n.activation_k, published.activation_k);
}

bool better(const SweepPoint& a, const SweepPoint& b) {
    const auto key = [](const SweepPoint& point) {
        return std::tuple(point.retrieval.recall_1,
                          point.retrieval.geometric_mean);
    };
    if (key(a) != key(b)) return key(a) > key(b);
    return a.normalization.method == b.normalization.method &&
           distance(a.normalization) < distance(b.normalization);
}

SweepPoint best_of(std::span<const SweepPoint> points) {
    SweepPoint best = points.front();
    for (const SweepPoint& point : points) {
        if (better(point, best)) best = point;
    }
    return best;
}

/// The values up to `most`, and `own`.
std::vector<idx_t> counts(std::vector<idx_t> values, idx_t most, idx_t own) {
    values.push_back(own);
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
    std::erase_if(values, [&](idx_t value) { return value > most; });
    return values;
}

/// All the rankings that a sweep compares, and what they found.
class Sweeper {
  public:
    Sweeper(const SweepData& data, std::span<const Normalization> starts)
        : data_(data) {
        const idx_t m = data.querybank.rows();
        for (const Normalization& start : starts) {
            if (has_beta(start.method)) wanted_.betas = betas();
            if (is_gated(start.method)) {
                activation_ks_ =
                    counts({1, 2, 3, 5, 10, 20, 50}, data.queries.items(),
                           std::min(start.activation_k, data.queries.items()));
                wanted_.winners = activation_ks_.back();
            }
            if (start.method == Method::csls || start.method == Method::nnn) {
                wanted_.neighbours =
                    counts({1, 2, 5, 10, 20, 50, 100, 200, 500}, m, 1);
            }
        }
        statistics_ = item_statistics(data.querybank, wanted_);
        if (is_dual(starts.front().method)) {
            second_ =
                item_statistics(*data.gallerybank,
                                {{starts.front().beta2}, {}, wanted_.winners});
        }
        add(Method::none, nullptr);
        for (const Normalization& start : starts) add_rankings(start);
        found_ = right_ranks(data.queries, data.truth, offsets_);
    }

    std::vector<SweepPoint> curve(const Normalization& start) const {
        if (is_gated(start.method)) return gated_curve(start);
        std::vector<SweepPoint> result;
        for (size_t i = 0; i < points_.size(); i++) {
            if (points_[i].method != start.method) continue;
            result.push_back({points_[i], retrieval_metrics(found_.ranks[i])});
        }
        return result;
    }

  private:
    std::vector<float> betas() const {
        const double sigma = mean_deviation(data_.querybank);
        require(sigma > 0, "every item is equally similar to all of ",
                data_.querybank.name(),
                ", so that every beta ranks alike; give a bank of different "
                "queries");
        return beta_grid(sigma, betas_swept);
    }

    void add(const Normalization& point, const float* offsets) {
        points_.push_back(point);
        offsets_.push_back(offsets);
    }

    void add_rankings(const Normalization& start) {
        switch (start.method) {
            case Method::is:
            case Method::dis:
                return add_softmax(start);
            case Method::dbsn:
                return add_weighted(start);
            case Method::dualis:
                return add_dual(start);
            case Method::csls:
                return add_means(start, std::array{0.5F});
            case Method::nnn:
                return add_means(start, alphas);
            default:
                return;
        }
    }

    void add_softmax(Normalization point) {
        for (size_t b = 0; b < wanted_.betas.size(); b++) {
            point.beta = wanted_.betas[b];
            add(point, statistics_.softmax[b].data());
        }
    }

    void add_dual(Normalization point) {
        for (size_t b = 0; b < wanted_.betas.size(); b++) {
            point.beta = wanted_.betas[b];
            std::vector<float> offsets(data_.queries.items());
            for (size_t i = 0; i < offsets.size(); i++) {
                offsets[i] = (point.beta * statistics_.softmax[b][i] +
                              point.beta2 * second_.softmax[0][i]) /
                             (point.beta + point.beta2);
            }
            add(point, keep(std::move(offsets)));
        }
    }

    void add_weighted(Normalization point) {
        for (const float beta : wanted_.betas) {
            point.beta = beta;
            const BankColumn column =
                fit_column(data_.querybank, Bank::querybank, point);
            add(point, keep({column.offsets.begin(), column.offsets.end()}));
        }
    }

    /// csls ranks as 2 s - r does, by s - r / 2.
    void add_means(Normalization point, std::span<const float> weights) {
        for (size_t n = 0; n < wanted_.neighbours.size(); n++) {
            for (const float weight : weights) {
                point.neighbours = wanted_.neighbours[n];
                if (point.method == Method::nnn) point.alpha = weight;
                std::vector<float> offsets = statistics_.means[n];
                for (float& offset : offsets) offset *= weight;
                add(point, keep(std::move(offsets)));
            }
        }
    }

    const float* keep(std::vector<float> offsets) {
        kept_.push_back(std::move(offsets));
        return kept_.back().data();
    }

    /// Over beta, then over activation_k at the best.
    std::vector<SweepPoint> gated_curve(const Normalization& start) const {
        std::vector<Normalization> points;
        for (const float beta : wanted_.betas) {
            points.push_back(start);
            points.back().beta = beta;
        }
        std::vector<SweepPoint> result = gated_points(points);
        const Normalization best = best_of(result).normalization;
        points.clear();
        for (const idx_t k : activation_ks_) {
            if (k == start.activation_k) continue;
            points.push_back(best);
            points.back().activation_k = k;
        }
        const std::vector<SweepPoint> more = gated_points(points);
        result.insert(result.end(), more.begin(), more.end());
        return result;
    }

    std::vector<SweepPoint> gated_points(
        const std::vector<Normalization>& points) const {
        std::vector<SweepPoint> result;
        std::vector<NormTable> tables;
        for (const Normalization& point : points) {
            if (point.method == Method::dis) {
                result.push_back(dis_point(point));
            } else {
                tables.push_back(dual_table(point));
            }
        }
        std::vector<TabledMethod> duals;
        for (const NormTable& table : tables) {
            duals.push_back({Method::dualdis, &table});
        }
        if (duals.empty()) return result;
        const auto rankings = rank_all(data_.queries, duals,
                                       {.k = 1, .targets = data_.truth.labels});
        for (size_t i = 0; i < points.size(); i++) {
            result.push_back(
                {points[i], retrieval_metrics(rankings[i].target_ranks)});
        }
        return result;
    }

    /// The raw ranks of queries whose gate is closed, those of IS of the
    /// others.
    SweepPoint dis_point(const Normalization& point) const {
        const ActivationSet activation =
            activation_of(statistics_, point.activation_k);
        size_t open = 0;
        while (points_[open].method != Method::dis ||
               points_[open].beta != point.beta) {
            open++;
        }
        std::vector<double> ranks = found_.ranks[raw];
        for (size_t q = 0; q < ranks.size(); q++) {
            if (activation.contains(found_.raw_first[q])) {
                ranks[q] = found_.ranks[open][q];
            }
        }
        return {point, retrieval_metrics(std::move(ranks))};
    }

    /// Of the top activation_k of each bank row.
    ActivationSet activation_of(const ItemStatistics& bank,
                                idx_t activation_k) const {
        const idx_t width = bank.winners_per_row;
        std::vector<idx_t> active;
        for (size_t i = 0; i < bank.winners.size(); i++) {
            if (static_cast<idx_t>(i) % width < activation_k) {
                active.push_back(bank.winners[i]);
            }
        }
        return {data_.queries.items(), active};
    }

    NormTable dual_table(const Normalization& point) const {
        NormTable table;
        table.gallery_size = data_.queries.items();
        table.end = table.gallery_size;
        const auto add_column = [&](Bank bank, const ItemStatistics& statistics,
                                    size_t beta, idx_t rows) {
            BankColumn column;
            column.bank = bank;
            column.normalization = point;
            column.bank_size = rows;
            column.offsets = statistics.softmax[beta];
            column.activation = activation_of(statistics, point.activation_k);
            table.columns.push_back(std::move(column));
        };
        const auto beta =
            std::find(wanted_.betas.begin(), wanted_.betas.end(), point.beta);
        add_column(Bank::querybank, statistics_, beta - wanted_.betas.begin(),
                   data_.querybank.rows());
        add_column(Bank::gallerybank, second_, 0, data_.gallerybank->rows());
        return table;
    }

    static constexpr size_t raw = 0;  // the first ranking

    const SweepData& data_;
    Wanted wanted_;
    std::vector<idx_t> activation_ks_;
    ItemStatistics statistics_;
    ItemStatistics second_;              // of the gallerybank, at beta2
    std::vector<Normalization> points_;  // of each ranking
    std::vector<const float*> offsets_;
    std::vector<std::vector<float>> kept_;
    RightRanks found_;
};

void check(const SweepData& data, const Normalization& start) {
    check(start);
    require(has_beta(start.method) || start.method == Method::csls ||
                start.method == Method::nnn,
            "method ", name_of(start.method),
            " has no parameters to sweep; the methods that have: is, dis, "
            "csls, nnn, dbsn, dualis, dualdis");
    const auto of_one_gallery = [&](const Similarities& bank) {
        require(bank.items() == data.queries.items(), data.queries.name(),
                ": is about ", data.queries.items(), " items but ", bank.name(),
                " about ", bank.items(), "; give both for one gallery");
        require(bank.rows() > 0, bank.name(),
                ": holds no queries; a bank needs at least one");
    };
    require(data.queries.rows() > 0 && data.queries.items() > 0,
            "there are no queries or no items to rank");
    of_one_gallery(data.querybank);
    if (!is_dual(start.method)) return;
    require(data.gallerybank, "method ", name_of(start.method),
            " needs a gallerybank");
    of_one_gallery(*data.gallerybank);
}

}  // namespace

SweepResult sweep(const SweepData& data, const Normalization& start) {
    check(data, start);
    const Sweeper sweeper(data, std::span(&start, 1));
    SweepResult result;
    result.curve = sweeper.curve(start);
    result.best = best_of(result.curve);
    return result;
}

SweepResult sweep_methods(const SweepData& data) {
    const std::vector<Normalization> starts{
        Method::none, Method::csls, Method::nnn, Method::is, Method::dis};
    check(data, starts.back());
    const Sweeper sweeper(data, starts);
    SweepResult result;
    for (const Normalization& start : starts) {
        const std::vector<SweepPoint> curve = sweeper.curve(start);
        result.curve.insert(result.curve.end(), curve.begin(), curve.end());
    }
    result.best = best_of(result.curve);
    return result;
}

}  // namespace faiss_qbnorm
