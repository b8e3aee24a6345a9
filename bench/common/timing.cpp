#include "bench/common/timing.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace bench {

namespace {

constexpr int usual_rounds = 9;
constexpr int least_rounds = 5;
constexpr double slow = 1;  ///< seconds of a round that is repeated less
constexpr double least_seconds = 0.02;

Times summary(std::vector<double> seconds) {
    std::sort(seconds.begin(), seconds.end());
    return {seconds[seconds.size() / 2], seconds.front(), seconds.back()};
}

}  // namespace

Timed steady(std::function<void()> work) {
    const double first = seconds_of(work);
    const double once = first < least_seconds ? seconds_of(work) : first;
    const int calls =
        static_cast<int>(std::clamp(std::ceil(least_seconds / once), 1.0, 1e6));
    return [work = std::move(work), calls] {
        return seconds_of([&] {
                   for (int i = 0; i < calls; i++) work();
               }) /
               calls;
    };
}

std::vector<Times> in_turn(const std::vector<Timed>& all) {
    std::vector<std::vector<double>> seconds(all.size());
    const auto round = [&] {
        for (size_t i = 0; i < all.size(); i++) seconds[i].push_back(all[i]());
    };
    const double took = seconds_of(round);
    // What takes so long is warm after its first instants.
    if (took <= slow) seconds.assign(all.size(), {});
    const size_t rounds = took > slow ? least_rounds : usual_rounds;
    while (seconds.front().size() < rounds) round();
    std::vector<Times> result;
    result.reserve(seconds.size());
    for (std::vector<double>& one : seconds) {
        result.push_back(summary(std::move(one)));
    }
    return result;
}

Pair compare(const Timed& ours, const Timed& reference) {
    const std::vector<Times> times = in_turn({reference, ours});
    return {times[1], times[0]};
}

Times repeat(const Timed& ours) {
    return in_turn({ours}).front();
}

}  // namespace bench
