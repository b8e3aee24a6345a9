#pragma once

#include <string>
#include <vector>

#include "bench/papers/scene.h"

namespace papers {

/// The first `count` of a permutation of 0 .. size - 1, the same everywhere.
std::vector<idx_t> random_rows(idx_t size, idx_t count, unsigned seed);

/// A bank that covers few items: the bank queries of the item that is first
/// for most of them, then of the next, until there are `count`.
std::vector<idx_t> adversarial_rows(const Kept& bank, idx_t count);

/// The `count` bank queries whose best item scores least: the farthest from
/// this gallery that a bank of the same domain has.
std::vector<idx_t> farthest_rows(const Kept& bank, idx_t count);

enum class BankKind { in_domain, far, adversarial };

struct NamedBank {
    std::string name;
    std::string what;
    BankKind kind;
    ScoredBank bank;
    idx_t covers;  ///< items that are first for one of its queries
};

/// Table 2's banks, all of one size: a quarter of the querybank, 5,000 (the
/// paper's) or what the smallest of the others has, whichever is least.
std::vector<NamedBank> equal_banks(const Dataset& dataset, const Scene& scene);

}  // namespace papers
