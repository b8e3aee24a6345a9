#pragma once

#include <chrono>
#include <functional>
#include <vector>

namespace bench {

/// Runs something once and returns the seconds it took.
using Timed = std::function<double()>;

template <class Work>
double seconds_of(const Work& work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() -
                                         begin)
        .count();
}

/// Seconds of one call, of so many in a row that they take 20 ms together.
Timed steady(std::function<void()> work);

struct Times {
    double median = 0;
    double least = 0;
    double most = 0;
};

/// Times all in turn, five times or more, after a warm-up of each where that
/// would be short.
std::vector<Times> in_turn(const std::vector<Timed>& all);

struct Pair {
    Times ours;
    Times reference;
};

/// Times both in turn.
Pair compare(const Timed& ours, const Timed& reference);
/// The same without a reference.
Times repeat(const Timed& ours);

}  // namespace bench
