#include "queue/entry.h"

#include <array>
#include <new>

#include "base/assert.h"

namespace queue {
namespace {

constexpr std::size_t kStates = 5;

// From the row to the column. Whatever ends a message ends in `free`.
constexpr std::array<std::array<bool, kStates>, kStates> kAllowed{{
    // free   ready  in_delivery  deferred  held
    {{false, true, false, true, true}},  // free: a new message, or one that a restart found
    {{true, false, true, false, true}},  // ready
    {{true, true, false, true, true}},   // in_delivery
    {{true, true, false, false, true}},  // deferred
    {{true, true, false, true, false}},  // held
}};

}  // namespace

const char* name_of(EntryState state) {
    switch (state) {
        case EntryState::free:
            return "free";
        case EntryState::ready:
            return "ready";
        case EntryState::in_delivery:
            return "in delivery";
        case EntryState::deferred:
            return "deferred";
        case EntryState::held:
            return "held";
    }
    RP_PANIC("unknown entry state");
}

std::string_view words_of(HoldReason reason) {
    switch (reason) {
        case HoldReason::none:
            return "";
        case HoldReason::unreadable:
            return "its envelope cannot be read from the spool: the disk gives an error";
        case HoldReason::damaged:
            return "its envelope cannot be read from the spool: its checksum does not match";
        case HoldReason::content_bad:
            return "its content cannot be read from the spool; the log says where and why";
    }
    RP_PANIC("unknown hold reason");
}

void Entry::transition(EntryState to) {
    RP_ASSERT(!linked());
    RP_ASSERT(kAllowed[static_cast<std::size_t>(state_)][static_cast<std::size_t>(to)]);
    state_ = to;
}

Seconds seconds_of(base::WallTime time) {
    const std::int64_t ms = base::unix_ms(time);
    return ms <= 0 ? 0 : static_cast<Seconds>((ms + 999) / 1000);
}

void Entry::set(store::MessageRef stored, base::WallTime arrival, std::size_t recipients) {
    RP_ASSERT(state_ == EntryState::free && count_ == 0 && recipients > 0);
    message = stored;
    arrival_ms_ = base::unix_ms(arrival);
    due_s = 0;
    site = 0;
    hold_reason = HoldReason::none;
    count_ = static_cast<std::uint32_t>(recipients);
    if (count_ == 1) {
        one_ = {};
    } else {
        many_ = new RecipientEntry[count_];
    }
}

void Entry::clear() {
    if (count_ > 1) {
        delete[] many_;
    }
    one_ = {};
    count_ = 0;
}

bool Entry::is_due(const RecipientEntry& recipient) const {
    return recipient.status == store::RecipientStatus::pending ||
           (recipient.status == store::RecipientStatus::deferred && recipient.next_s <= due_s);
}

struct EntrySlab::Chunk {
    void* owner;
    Entry* entries() { return reinterpret_cast<Entry*>(this + 1); }
};

EntrySlab::~EntrySlab() {
    for (Chunk* chunk : chunks_) {
        for (std::size_t i = 0; i < kPerChunk; ++i) {
            chunk->entries()[i].clear();
            chunk->entries()[i].~Entry();  // leaves its list
        }
        ::operator delete(chunk, std::align_val_t{kChunkBytes});
    }
}

void EntrySlab::add_chunk() {
    static_assert(sizeof(Chunk) == sizeof(void*));
    static_assert(sizeof(Chunk) + kPerChunk * sizeof(Entry) <= kChunkBytes);
    void* memory = ::operator new(kChunkBytes, std::align_val_t{kChunkBytes});
    auto* chunk = new (memory) Chunk{owner_};
    chunks_.push_back(chunk);
    for (std::size_t i = 0; i < kPerChunk; ++i) {
        free_.push_back(*new (chunk->entries() + i) Entry(fire_));
    }
}

Entry& EntrySlab::take() {
    if (free_.empty()) {
        add_chunk();
    }
    ++size_;
    return static_cast<Entry&>(free_.pop_front());
}

// In front, so that the slots in use stay few and near each other.
void EntrySlab::give_back(Entry& entry) {
    RP_ASSERT(entry.state() == EntryState::free && size_ > 0);
    --size_;
    free_.push_front(entry);
}

Entry& EntrySlab::slot(std::size_t number) {
    RP_ASSERT(number < slots());
    return chunks_[number / kPerChunk]->entries()[number % kPerChunk];
}

void* EntrySlab::owner_of(const Entry& entry) {
    const auto address = reinterpret_cast<std::uintptr_t>(&entry);
    const auto* chunk = reinterpret_cast<const std::byte*>(&entry) - address % kChunkBytes;
    return reinterpret_cast<const Chunk*>(chunk)->owner;
}

}  // namespace queue
