#include "faiss_qbnorm/cpu/settler.h"

#include <algorithm>
#include <limits>

namespace faiss_qbnorm {

namespace {

constexpr float nothing = -std::numeric_limits<float>::infinity();

// Drops what cannot be among the best k.
void cut(std::vector<Contender>& contenders, idx_t k) {
    if (static_cast<idx_t>(contenders.size()) <= k || k == 0) return;
    const float least = kth_low(contenders, k, k);
    std::erase_if(contenders, [&](const Contender& contender) {
        return contender.high < least;
    });
}

}  // namespace

bool Settler::settle(idx_t query, std::span<const Selection* const> selections,
                     TopLists& raw_list, TopLists* normalised_list) {
    gather(query, selections);
    idx_t raw_k = raw_list.k();
    if (gate_) {
        const Contender best = exact_best(query);
        Scored top1 = raw_list.best(query);
        if (best.row >= 0) {
            const Scored here{best.low, raw_.exact->label(best.row)};
            if (top1.label < 0 || ranks_before(here, top1)) top1 = here;
        }
        if (gate_->opens(top1.label)) {
            raw_k = 1;
            raw_.contenders.clear();
            if (best.row >= 0) raw_.contenders.push_back(best);
        } else {
            normalised_.contenders.clear();
            normalised_.guess = nothing;
            normalised_.failed = false;
        }
    }
    cut(raw_.contenders, raw_k);
    score_exactly(raw_.contenders, query, *raw_.exact);
    if (!is_complete(raw_, raw_k)) return false;
    if (normalised_.exact) {
        cut(normalised_.contenders, normalised_list->k());
        take_over_raw_scores();
        score_exactly(normalised_.contenders, query, *normalised_.exact);
        if (!is_complete(normalised_, normalised_list->k())) {
            return false;
        }
        offer(normalised_, query, *normalised_list);
    }
    offer(raw_, query, raw_list);
    return true;
}

// Whether k exact scores are no less than the guess: then so are the best k of
// all, and none of them was kept out.
bool Settler::is_complete(const Field& field, idx_t k) {
    if (field.failed) return false;
    if (field.guess == nothing) return true;
    return std::count_if(field.contenders.begin(), field.contenders.end(),
                         [&](const Contender& contender) {
                             return contender.low >= field.guess;
                         }) >= k;
}

void Settler::gather(idx_t query,
                     std::span<const Selection* const> selections) {
    const auto add = [&](Field& field, const Shortlists& lists) {
        const auto some = lists.contenders(query);
        field.contenders.insert(field.contenders.end(), some.begin(),
                                some.end());
        field.guess = std::max(field.guess, lists.guess_of(query));
        field.failed = field.failed || lists.has_failed(query);
    };
    for (Field* field : {&raw_, &normalised_}) {
        field->contenders.clear();
        field->guess = nothing;
        field->failed = false;
    }
    for (const Selection* selection : selections) {
        add(raw_, selection->raw());
        if (normalised_.exact) add(normalised_, selection->normalised());
    }
}

// The first by raw scores; row -1 where there is none.
Contender Settler::exact_best(idx_t query) {
    std::vector<Contender> first = raw_.contenders;
    cut(first, 1);
    score_exactly(first, query, *raw_.exact);
    const auto best = std::min_element(
        first.begin(), first.end(),
        [&](const Contender& a, const Contender& b) {
            return ranks_before({a.low, raw_.exact->label(a.row)},
                                {b.low, raw_.exact->label(b.row)});
        });
    return best == first.end() ? Contender{nothing, nothing, -1} : *best;
}

// Items contend in both rankings.
void Settler::take_over_raw_scores() {
    const auto by_row = [](const Contender& a, const Contender& b) {
        return a.row < b.row;
    };
    std::sort(raw_.contenders.begin(), raw_.contenders.end(), by_row);
    for (Contender& contender : normalised_.contenders) {
        if (contender.is_exact()) continue;
        const auto found = std::lower_bound(
            raw_.contenders.begin(), raw_.contenders.end(), contender, by_row);
        if (found == raw_.contenders.end() || found->row != contender.row) {
            continue;
        }
        contender.set(
            normalised_.exact->from_raw(contender.row, found->low).score);
    }
}

void Settler::offer(const Field& field, idx_t query, TopLists& list) {
    offered_.clear();
    for (const Contender& contender : field.contenders) {
        offered_.push_back({contender.low, field.exact->label(contender.row)});
    }
    list.offer_all(query, offered_);
}

}  // namespace faiss_qbnorm
