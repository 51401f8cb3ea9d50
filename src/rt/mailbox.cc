#include "rt/mailbox.h"

#include "base/assert.h"

namespace rt {

Mailbox::Mailbox(std::size_t capacity)
    : mask_(capacity - 1), cells_(std::make_unique<Cell[]>(capacity)) {
    RP_ASSERT(capacity > 0 && (capacity & mask_) == 0);
    for (std::size_t i = 0; i < capacity; ++i) {
        cells_[i].turn.store(i, std::memory_order_relaxed);
    }
}

bool Mailbox::put(Letter& letter) {
    std::uint64_t at = tail_.load(std::memory_order_relaxed);
    for (;;) {
        Cell& cell = cells_[at & mask_];
        const std::uint64_t turn = cell.turn.load(std::memory_order_acquire);
        if (turn == at) {
            if (tail_.compare_exchange_weak(at, at + 1, std::memory_order_relaxed)) {
                cell.letter = &letter;
                // seq_cst: ordered against the reader's "I am going to wait" flag (see
                // Shard::deliver).
                cell.turn.store(at + 1, std::memory_order_seq_cst);
                return true;
            }
        } else if (turn < at) {
            return false;  // the reader has not emptied this cell since the last round
        } else {
            at = tail_.load(std::memory_order_relaxed);
        }
    }
}

Letter* Mailbox::take() {
    Cell& cell = cells_[head_ & mask_];
    if (cell.turn.load(std::memory_order_acquire) != head_ + 1) {
        return nullptr;
    }
    Letter* letter = cell.letter;
    cell.turn.store(head_ + mask_ + 1, std::memory_order_release);
    ++head_;
    return letter;
}

bool Mailbox::empty() const {
    return cells_[head_ & mask_].turn.load(std::memory_order_seq_cst) != head_ + 1;
}

}  // namespace rt
