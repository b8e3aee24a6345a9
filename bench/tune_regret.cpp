// What choosing without labels costs: for many banks, good and bad, R@1 at the
// choice of tune/choose_beta.h against the best of a labelled grid. The choice
// sees some queries without labels and is judged by all the others.
//
//   bench_tune DATA [SEEDS]     DATA: a folder with gallery.npy, ... (its own
//                               README); prints Markdown
//
// Full data: the manual pages of the data's README, banks of another domain
// (querybank_far.npy) and of other sections (bank_section.npy) where there.

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <numeric>
#include <random>

#include "bench/common/timing.h"
#include "faiss_qbnorm/core/activation_set.h"
#include "faiss_qbnorm/core/matrix.h"
#include "faiss_qbnorm/io/vector_file.h"
#include "faiss_qbnorm/similarities/vector_similarities.h"
#include "faiss_qbnorm/tune/beta_grid.h"
#include "faiss_qbnorm/tune/choose_beta.h"
#include "faiss_qbnorm/tune/item_statistics.h"
#include "faiss_qbnorm/tune/right_ranks.h"

namespace {

using namespace faiss_qbnorm;

constexpr Metric metric = Metric::inner_product;

Matrix take(const Matrix& from, std::span<const idx_t> rows) {
    Matrix result{{}, static_cast<idx_t>(rows.size()), from.d};
    for (const idx_t row : rows) {
        const float* values = from.view().row(row);
        result.data.insert(result.data.end(), values, values + from.d);
    }
    return result;
}

std::vector<idx_t> shuffled(idx_t size, std::uint32_t seed) {
    std::vector<idx_t> order(size);
    std::iota(order.begin(), order.end(), 0);
    std::mt19937 random(seed);
    std::shuffle(order.begin(), order.end(), random);
    return order;
}

Matrix draw(const Matrix& from, idx_t rows, std::uint32_t seed) {
    auto order = shuffled(from.rows, seed);
    order.resize(std::min(rows, from.rows));
    return take(from, order);
}

Matrix noise(idx_t rows, int d, std::uint32_t seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    Matrix result{std::vector<float>(rows * d), rows, d};
    for (float& x : result.data) x = normal(random);
    normalize_rows(result.data.data(), rows, d);
    return result;
}

struct Data {
    std::string folder;
    Matrix gallery;
    Matrix queries;
    Matrix bank;

    explicit Data(const std::string& folder)
        : folder(folder),
          gallery(read("gallery.npy")),
          queries(read("queries.npy")),
          bank(read("querybank.npy")) {}

    Matrix read(const std::string& name) const {
        return VectorFile(folder + "/" + name, true).read();
    }
    bool has(const std::string& name) const {
        return std::filesystem::exists(folder + "/" + name);
    }
};

/// The bank's queries whose first items are the fewest.
Matrix covering_least(const Data& data, idx_t rows) {
    const MemoryGallery gallery(data.gallery.view());
    const VectorSimilarities bank(metric, gallery, data.bank.view(), "bank");
    const auto first = item_statistics(bank, {{}, {}, 1}).winners;
    std::vector<idx_t> hits(data.gallery.rows, 0);
    for (const idx_t item : first) hits[item]++;
    std::vector<idx_t> order(first.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](idx_t a, idx_t b) {
        return std::pair(hits[first[a]], first[a]) >
               std::pair(hits[first[b]], first[b]);
    });
    order.resize(rows);
    return take(data.bank, order);
}

/// The bank's rows of sections 2 and 3 (programming): int8, at the file's end.
std::vector<idx_t> off_topic(const Data& data) {
    std::ifstream file(data.folder + "/bank_section.npy", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    const size_t first = bytes.size() - data.bank.rows;
    std::vector<idx_t> rows;
    for (idx_t i = 0; i < data.bank.rows; i++) {
        if (bytes[first + i] == 2 || bytes[first + i] == 3) rows.push_back(i);
    }
    return rows;
}

struct Bank {
    std::string name;
    std::function<Matrix(std::uint32_t seed)> make;
};

std::vector<Bank> banks_of(const Data& data) {
    std::vector<Bank> banks;
    for (const idx_t rows : {50, 200, 500, 1000, 2000, 5000}) {
        banks.push_back({"own domain", [&data, rows](auto seed) {
                             return draw(data.bank, rows, seed);
                         }});
    }
    if (data.bank.rows > 5000) {
        banks.push_back(
            {"own domain, all", [&](std::uint32_t) { return data.bank; }});
    }
    if (data.has("querybank_far.npy")) {
        for (const idx_t rows : {500, 5000}) {
            banks.push_back({"another domain", [&data, rows](auto seed) {
                                 return draw(data.read("querybank_far.npy"),
                                             rows, seed);
                             }});
        }
    }
    if (data.has("bank_section.npy")) {
        for (const idx_t rows : {1000, 20000}) {
            banks.push_back({"other sections", [&data, rows](auto seed) {
                                 const auto off = off_topic(data);
                                 return draw(take(data.bank, off), rows, seed);
                             }});
        }
    }
    for (const idx_t rows : {300, 1000, 3000}) {
        banks.push_back({"covers the fewest items", [&data, rows](auto) {
                             return covering_least(data, rows);
                         }});
    }
    for (const idx_t rows : {300, 5000}) {
        banks.push_back({"noise", [&data, rows](auto seed) {
                             return noise(rows, data.gallery.d, seed);
                         }});
    }
    return banks;
}

double recall(const std::vector<double>& ranks, std::span<const idx_t> judged) {
    idx_t found = 0;
    for (const idx_t query : judged) found += ranks[query] == 0 ? 1 : 0;
    return 100.0 * static_cast<double>(found) /
           static_cast<double>(judged.size());
}

/// What one choice comes to.
struct Outcome {
    double raw = 0;
    double best_is = 0;
    double best_dis = 0;
    double is = 0;
    double dis = 0;
    double chosen = 0;
    BetaChoice choice;
    double seconds = 0;

    double best() const { return std::max({raw, best_is, best_dis}); }
};

/// The choices of one draw of a bank, by each number of queries, and by the
/// labels of the queries that were not among them.
class Judge {
  public:
    Judge(const Data& data, const Matrix& bank, std::uint32_t seed)
        : data_(data),
          gallery_(data.gallery.view()),
          bank_(metric, gallery_, bank.view(), "bank"),
          order_(shuffled(data.queries.rows, seed)) {}

    std::vector<Outcome> outcomes(std::span<const idx_t> counts) {
        std::vector<Outcome> result;
        std::vector<float> betas = beta_grid(mean_deviation(bank_), 16);
        const size_t grid = betas.size();
        for (const idx_t count : counts) {
            Outcome outcome;
            outcome.seconds =
                bench::seconds_of([&] { outcome.choice = choose(count); });
            betas.push_back(outcome.choice.beta);
            result.push_back(outcome);
        }
        rank(betas);
        for (size_t c = 0; c < counts.size(); c++) {
            const auto judged = std::span(order_).subspan(counts[c]);
            Outcome& outcome = result[c];
            outcome.raw = recall(found_.ranks[0], judged);
            for (size_t b = 0; b < grid; b++) {
                outcome.best_is =
                    std::max(outcome.best_is, recall(is(b), judged));
                outcome.best_dis =
                    std::max(outcome.best_dis, recall(dis(b), judged));
            }
            outcome.is = recall(is(grid + c), judged);
            outcome.dis = recall(dis(grid + c), judged);
            outcome.chosen = outcome.choice.method == Method::is ? outcome.is
                             : outcome.choice.method == Method::dis
                                 ? outcome.dis
                                 : outcome.raw;
        }
        return result;
    }

  private:
    BetaChoice choose(idx_t count) const {
        if (count == 0) return choose_beta(bank_, nullptr, {});
        const Matrix some = take(data_.queries, std::span(order_).first(count));
        const VectorSimilarities queries(metric, gallery_, some.view(),
                                         "queries");
        return choose_beta(bank_, &queries, {});
    }

    void rank(const std::vector<float>& betas) {
        const ItemStatistics statistics =
            item_statistics(bank_, {betas, {}, 1});
        std::vector<const float*> offsets{nullptr};
        for (const auto& softmax : statistics.softmax) {
            offsets.push_back(softmax.data());
        }
        const VectorSimilarities queries(metric, gallery_, data_.queries.view(),
                                         "queries");
        std::vector<idx_t> truth(data_.queries.rows);
        std::iota(truth.begin(), truth.end(), 0);
        found_ = right_ranks(queries, {truth, 1}, offsets);
        active_ = ActivationSet(data_.gallery.rows, statistics.winners);
    }

    const std::vector<double>& is(size_t beta) const {
        return found_.ranks[1 + beta];
    }
    std::vector<double> dis(size_t beta) const {
        std::vector<double> ranks = found_.ranks[0];
        for (size_t q = 0; q < ranks.size(); q++) {
            if (active_.contains(found_.raw_first[q])) ranks[q] = is(beta)[q];
        }
        return ranks;
    }

    const Data& data_;
    MemoryGallery gallery_;
    VectorSimilarities bank_;
    std::vector<idx_t> order_;  // those whose labels are hidden come first
    RightRanks found_;
    ActivationSet active_;
};

void print(const Bank& bank, idx_t rows, idx_t queries,
           const std::vector<Outcome>& outcomes) {
    const auto mean = [&](auto value) {
        double sum = 0;
        for (const Outcome& o : outcomes) sum += value(o);
        return sum / static_cast<double>(outcomes.size());
    };
    const auto worst = [&](auto value) {
        double most = -100;
        for (const Outcome& o : outcomes) most = std::max(most, value(o));
        return most;
    };
    std::string methods;
    for (const Outcome& o : outcomes) {
        if (!methods.empty()) methods += ' ';
        methods += name_of(o.choice.method);
    }
    const auto regret_is = [](const Outcome& o) { return o.best_is - o.is; };
    const auto regret_dis = [](const Outcome& o) { return o.best_dis - o.dis; };
    const auto regret = [](const Outcome& o) { return o.best() - o.chosen; };
    const auto loss = [](const Outcome& o) { return o.raw - o.chosen; };
    std::printf(
        "| %s | %lld | %lld | %.2f | %.2f | %.2f | %.1f | %.2f / %.2f | %.2f / "
        "%.2f | %s | %+.2f / %+.2f | %.2f / %.2f | %.2f | %.1f |\n",
        bank.name.c_str(), static_cast<long long>(rows),
        static_cast<long long>(queries), mean([](auto& o) { return o.raw; }),
        mean([](auto& o) { return o.best_is; }),
        mean([](auto& o) { return o.best_dis; }),
        mean([](auto& o) { return o.choice.beta; }), mean(regret_is),
        worst(regret_is), mean(regret_dis), worst(regret_dis), methods.c_str(),
        -mean(loss), -worst(loss), mean(regret), worst(regret),
        mean([](auto& o) { return o.choice.confidence; }),
        mean([](auto& o) { return o.seconds; }));
    std::fflush(stdout);
}

void measure(const Data& data, int seeds) {
    const std::vector<idx_t> counts{0, 100, 200, 1000};
    std::printf(
        "| bank | rows | queries | raw | best IS | best DIS | beta | regret of "
        "IS, mean / worst | of DIS | chosen | against raw, mean / worst | "
        "regret | confidence | seconds |\n"
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
    for (const Bank& bank : banks_of(data)) {
        std::vector<std::vector<Outcome>> by_count(counts.size());
        idx_t rows = 0;
        for (int seed = 1; seed <= seeds; seed++) {
            const Matrix drawn = bank.make(seed);
            rows = drawn.rows;
            Judge judge(data, drawn, seed);
            const auto outcomes = judge.outcomes(counts);
            for (size_t c = 0; c < counts.size(); c++) {
                by_count[c].push_back(outcomes[c]);
            }
        }
        for (size_t c = 0; c < counts.size(); c++) {
            print(bank, rows, counts[c], by_count[c]);
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 && argc != 3) {
        std::fprintf(stderr, "usage: bench_tune DATA [SEEDS]\n");
        return 2;
    }
    try {
        measure(Data(argv[1]), argc == 3 ? std::stoi(argv[2]) : 3);
        return 0;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "bench_tune: %s\n", problem.what());
        return 1;
    }
}
