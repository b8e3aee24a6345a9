#include "faiss_qbnorm/faiss/list_scanner.h"

#include <faiss/IndexIVFFlat.h>
#include <faiss/impl/IDSelector.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <typeinfo>

#include "faiss_qbnorm/core/error.h"
#include "faiss_qbnorm/cpu/simd.h"
#include "faiss_qbnorm/cpu/simd_rerank.h"
#include "faiss_qbnorm/faiss/built_against.h"
#include "faiss_qbnorm/faiss/raw_bound.h"

namespace faiss_qbnorm {

namespace {

constexpr float lowest = -std::numeric_limits<float>::infinity();

}  // namespace

ListScanner::ListScanner(const faiss::IndexIVF& ivf, const SearchPlan& plan,
                         const IvfSettings& settings, idx_t k)
    : ivf_(ivf),
      plan_(plan),
      settings_(settings),
      sign_(plan.metric == Metric::l2 ? -1.0F : 1.0F),
      is_flat_(typeid(ivf) == typeid(faiss::IndexIVFFlat)),
      // It is shown only what the selector lets pass.
      scanner_(ivf.get_InvertedListScanner(false, nullptr)),
      scores_(ScannedItems::room),
      raw_(1, std::clamp<idx_t>(ivf.ntotal, 1, k)),
      normalised_(1, raw_.k()) {}

void ListScanner::scan(const float* query, const idx_t* lists,
                       const float* coarse_distances) {
    query_ = query;
    scanner_->set_query(query);
    items_.clear();
    bound_ = lowest;
    raw_.clear();
    normalised_.clear();
    members_ = 0;
    scan_lists(lists, coarse_distances);
    rank_raw();
    open_ =
        Gate{plan_.method, plan_.column.activation}.opens(raw_.best(0).label);
    if (open_) rank_normalised();
}

void ListScanner::scan_lists(const idx_t* lists,
                             const float* coarse_distances) {
    const auto open = [&](idx_t i) {
        std::optional<OpenList>& slot = opened_[i % 2];
        slot.reset();
        if (i == settings_.nprobe || lists[i] < 0) return;
        if (ivf_.invlists->list_size(lists[i]) == 0) return;
        slot.emplace(*ivf_.invlists, lists[i]);
    };
    size_t scanned = 0;
    open(0);
    for (idx_t i = 0; i < settings_.nprobe; i++) {
        open(i + 1);
        const std::optional<OpenList>& list = opened_[i % 2];
        if (!list) continue;
        scanner_->set_list(list->list(), coarse_distances[i]);
        scanned += scan_list(*list, scanned);
        if (settings_.max_codes && scanned >= settings_.max_codes) break;
    }
    for (std::optional<OpenList>& list : opened_) list.reset();
}

/// Returns what counts into max_codes.
size_t ListScanner::scan_list(const OpenList& list, size_t scanned) {
    size_t size = list.size();
    // Later versions stop in the middle of a list.
    if (QBNORM_FAISS_VERSION >= 10704 && settings_.max_codes) {
        size = std::min(size, settings_.max_codes - scanned);
    }
    const idx_t members = scan_members({list.codes(), list.ids(), size});
    members_ += members;
    return settings_.counts_members ? members : size;
}

/// Scans what the selector lets pass, and returns how many those are.
idx_t ListScanner::scan_members(const Run& list) {
    // A multiple of 4: later versions of FAISS score 4 codes at once, and what
    // is left of a list otherwise.
    constexpr size_t at_once = ScannedItems::room / 4;
    idx_t members = 0;
    for (size_t i = 0; i < list.size;) {
        const size_t most = std::min(list.size, i + at_once);
        const size_t end = end_of_run(list.ids, i, most);
        scan_run({list.codes + i * ivf_.code_size, list.ids + i, end - i});
        members += static_cast<idx_t>(end - i);
        i = end < most ? end + 1 : end;
    }
    return members;
}

/// The first in [begin, end) that the selector does not let pass, or end.
size_t ListScanner::end_of_run(const idx_t* ids, size_t begin,
                               size_t end) const {
    if (!settings_.sel) return end;
    while (begin < end && settings_.sel->is_member(ids[begin])) begin++;
    return begin;
}

void ListScanner::scan_run(const Run& run) {
    if (run.size == 0) return;
    if (items_.size() + run.size > ScannedItems::room) make_room();
    if (!is_flat_) {
        items_.scan(*scanner_, run.size, run.codes, run.ids, sign_ * bound_);
        return;
    }
    // Codes are the vectors: faster than FAISS's loop, and rounded once.
    const auto d = static_cast<int>(ivf_.d);
    const auto* vector = reinterpret_cast<const float*>(run.codes);
    for (size_t i = 0; i < run.size; i++, vector += d) {
        const float score = simd::exact_score(plan_.metric, query_, vector, d);
        if (score > bound_) items_.push(sign_ * score, run.ids[i]);
    }
}

void ListScanner::make_room() {
    rank_raw();
    rank_normalised();
    items_.clear();
    const float bound =
        std::min(raw_.threshold(0),
                 raw_bound(normalised_.threshold(0), plan_.least_offset));
    bound_ = std::nextafter(bound, lowest);
}

void ListScanner::rank_raw() {
    check_labels();
    const float* distances = items_.distances();
    for (size_t i = 0; i < items_.size(); i++) {
        scores_[i] = sign_ * distances[i];
    }
    best_of_.offer(scores_.data(), items_.ids(), items_.size(), raw_);
}

/// After rank_raw.
void ListScanner::rank_normalised() {
    simd::subtract_offsets(scores_.data(), items_.ids(),
                           static_cast<idx_t>(items_.size()),
                           plan_.column.offsets.data(), 0, scores_.data());
    best_of_.offer(scores_.data(), items_.ids(), items_.size(), normalised_);
}

void ListScanner::check_labels() const {
    const auto items = static_cast<idx_t>(plan_.column.offsets.size());
    const idx_t* labels = items_.ids();
    idx_t wrong = 0;  // negative, if any is
    for (size_t i = 0; i < items_.size(); i++) {
        wrong |= labels[i] | (items - 1 - labels[i]);
    }
    for (size_t i = 0; wrong < 0 && i < items_.size(); i++) {
        require(labels[i] >= 0 && labels[i] < items,
                "the base index holds label ", labels[i],
                " but the table covers ", items, " items");
    }
}

}  // namespace faiss_qbnorm
