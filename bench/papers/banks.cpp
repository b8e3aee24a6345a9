#include "bench/papers/banks.h"

#include <algorithm>
#include <numeric>
#include <random>
#include <set>

namespace papers {

namespace {

constexpr idx_t papers_size = 5000;

std::vector<idx_t> all_rows(idx_t size) {
    std::vector<idx_t> rows(size);
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
}

NamedBank named(const std::string& name, const std::string& what, BankKind kind,
                const ScoredBank& bank) {
    const auto first = bank.scores->first_items();
    const std::set<idx_t> items(first.begin(), first.end());
    return {name, what, kind, bank, static_cast<idx_t>(items.size())};
}

}  // namespace

std::vector<idx_t> random_rows(idx_t size, idx_t count, unsigned seed) {
    std::vector<idx_t> rows = all_rows(size);
    std::mt19937_64 random(seed);
    for (idx_t i = 0; i < count; i++) {
        const auto left = static_cast<std::uint64_t>(size - i);
        std::swap(rows[i], rows[i + static_cast<idx_t>(random() % left)]);
    }
    rows.resize(count);
    return rows;
}

std::vector<idx_t> adversarial_rows(const Kept& bank, idx_t count) {
    const std::vector<idx_t> first = bank.first_items();
    std::vector<idx_t> hits(bank.items(), 0);
    for (const idx_t item : first) hits[item]++;
    std::vector<idx_t> rows = all_rows(bank.rows());
    std::stable_sort(rows.begin(), rows.end(), [&](idx_t a, idx_t b) {
        return std::pair(-hits[first[a]], first[a]) <
               std::pair(-hits[first[b]], first[b]);
    });
    rows.resize(count);
    return rows;
}

std::vector<idx_t> farthest_rows(const Kept& bank, idx_t count) {
    const std::vector<float> scores = bank.first_scores();
    std::vector<idx_t> rows = all_rows(bank.rows());
    std::stable_sort(rows.begin(), rows.end(),
                     [&](idx_t a, idx_t b) { return scores[a] < scores[b]; });
    rows.resize(count);
    return rows;
}

std::vector<NamedBank> equal_banks(const Dataset& dataset, const Scene& scene) {
    const Matrix& all = scene.problem.querybank;
    const Matrix& gallery = scene.problem.gallery;
    const Kept& scores = *scene.querybank.scores;
    const auto off_topic = static_cast<idx_t>(dataset.off_topic.size());
    idx_t size = std::min(papers_size, all.rows / 4);
    if (dataset.far.rows > 0) size = std::min(size, dataset.far.rows);
    if (off_topic > 0) size = std::min(size, off_topic);

    std::vector<NamedBank> banks;
    const auto add = [&](const std::string& name, const std::string& what,
                         BankKind kind, const Matrix& vectors) {
        banks.push_back(named(name, what, kind, ScoredBank(gallery, vectors)));
    };
    add("in-domain", "a random part of the querybank", BankKind::in_domain,
        rows_of(all, random_rows(all.rows, size, 1)));
    if (dataset.far.rows > 0) {
        add("far", dataset.far_name, BankKind::far,
            rows_of(dataset.far, random_rows(dataset.far.rows, size, 2)));
    }
    if (off_topic > 0) {
        std::vector<idx_t> rows;
        for (const idx_t i : random_rows(off_topic, size, 3)) {
            rows.push_back(dataset.off_topic[i]);
        }
        add("off-topic", "the querybank's sections about programming",
            BankKind::far, rows_of(all, rows));
    }
    if (banks.size() == 1) {
        add("far (substitute)",
            "there is no bank of another domain: the queries of the bank whose "
            "best item scores least",
            BankKind::far, rows_of(all, farthest_rows(scores, size)));
    }
    add("adversarial",
        "the queries of the item that is first for most of the bank, then of "
        "the next",
        BankKind::adversarial, rows_of(all, adversarial_rows(scores, size)));
    return banks;
}

}  // namespace papers
