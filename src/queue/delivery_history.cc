// The attempts before this one: read before it, recorded with it.
#include <algorithm>

#include "queue/delivery.h"
#include "queue/scheduler.h"

namespace queue {

// Some recipient of the slice has a record of an attempt.
bool Delivery::was_tried(const Entry& entry) const {
    return std::ranges::any_of(slice_, [&entry](std::uint32_t recipient) {
        return entry.recipients()[recipient].attempts > 0;
    });
}

// Records of one batch lie in one block mostly, which the store reads once. While the disk is full
// what is recorded lives on a reserve, which is for outcomes alone: then the history is a gap.
rt::Task<void> Delivery::read_histories(Entry& entry) {
    const bool full = scheduler_.store().admits(0) == mail::SinkState::storage_full;
    for (std::size_t i = 0; i < slice_.size() && !scheduler_.stopping(); ++i) {
        const std::uint32_t attempts = entry.recipients()[slice_[i]].attempts;
        if (attempts > 0) {
            if (full) {
                history_.clear();
                history_.add_gap(attempts, scheduler_.shard().wall_now());
            } else {
                co_await read_last_outcome(entry, slice_[i]);
            }
            history_.append_to(histories_);
        }
        history_ends_.push_back(histories_.size());
    }
}

// Empty at a first attempt.
base::Bytes Delivery::history_of(std::uint32_t recipient) const {
    const auto at = static_cast<std::size_t>(std::ranges::find(slice_, recipient) - slice_.begin());
    if (at >= history_ends_.size()) {
        return {};
    }
    const std::size_t begin = at > 0 ? history_ends_[at - 1] : 0;
    return base::Bytes(histories_).subspan(begin, history_ends_[at] - begin);
}

void Delivery::carry_history(Bounce::Fate& fate) const {
    const base::Bytes history = history_of(fate.recipient);
    fate.history.assign(history.begin(), history.end());
}

}  // namespace queue
