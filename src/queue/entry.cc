#include "queue/entry.h"

#include <array>

#include "base/assert.h"

namespace queue {
namespace {

constexpr std::size_t kStates = 5;

// From the row to the column. What ends a message ends its entry, from any of them.
constexpr std::array<std::array<bool, kStates>, kStates> kAllowed{{
    // arrived ready in_delivery  deferred  held
    {{false, true, false, true, true}},   // arrived: a new message, or one that a restart found
    {{false, false, true, false, true}},  // ready
    {{false, true, false, true, true}},   // in_delivery
    {{false, true, true, false, true}},   // deferred; in delivery: a rule is carried out
    {{false, true, true, true, false}},   // held; likewise
}};

}  // namespace

const char* name_of(EntryState state) {
    switch (state) {
        case EntryState::arrived:
            return "arrived";
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
    put_off_ = PutOff::no;
    wait_interrupted_ = false;
}

void Entry::put_off(PutOff why) {
    RP_ASSERT(state_ == EntryState::deferred);
    put_off_ = why;
}

bool Entry::is_due(const store::RecipientState& recipient) const {
    return recipient.status == store::RecipientStatus::pending ||
           (recipient.status == store::RecipientStatus::deferred && recipient.next_s <= due_s);
}

}  // namespace queue
