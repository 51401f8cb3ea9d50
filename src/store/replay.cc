#include "store/replay.h"

#include <algorithm>

#include "base/assert.h"

namespace store {

bool Replay::apply(const Record& record, Location location) {
    switch (record.type) {
        case format::RecordType::commit:
            return apply_commit(record, location);
        case format::RecordType::outcome:
            return apply_outcome(record, location);
        case format::RecordType::finish: {
            const auto finish = decode_finish(record);
            if (!finish) {
                return false;
            }
            if (const auto at = by_id_.find(finish->id); at != by_id_.end()) {
                messages_[at->second].alive = false;
                by_id_.erase(at);
            }
            return true;
        }
        case format::RecordType::extent:
        case format::RecordType::segment_open:
        case format::RecordType::epoch:
        case format::RecordType::seal:
        case format::RecordType::summary:
            return true;
    }
    return may_skip(record);
}

bool Replay::apply_commit(const Record& record, Location location) {
    const auto fixed = decode_commit_fixed(record);
    if (!fixed) {
        return false;
    }
    if (!by_id_.emplace(fixed->id, messages_.size()).second) {
        return true;
    }
    Message message;
    message.id = fixed->id;
    message.location = Location(location.segment(), location.block(), location.index(),
                                fixed->oldest_segment != location.segment());
    message.arrival_ms = fixed->arrival_ms;
    message.stored_bytes = fixed->stored_bytes;
    message.first_recipient = recipients_.size();
    message.recipients = fixed->recipients;
    message.oldest_segment = fixed->oldest_segment;
    messages_.push_back(message);
    recipients_.resize(recipients_.size() + fixed->recipients);
    return true;
}

bool Replay::apply_outcome(const Record& record, Location location) {
    const auto fixed = decode_outcome_fixed(record);
    if (!fixed) {
        return false;
    }
    const auto at = by_id_.find(fixed->id);
    if (at == by_id_.end()) {
        return true;  // its message is dead
    }
    const Message& message = messages_[at->second];
    if (fixed->recipient >= message.recipients) {
        return false;
    }
    RecipientState& state = recipients_[message.first_recipient + fixed->recipient];
    state.status = static_cast<RecipientStatus>(fixed->status);
    state.attempts = fixed->attempts;
    state.next_attempt = clamped_wall_time(fixed->next_attempt_ms);
    state.outcome = location;
    state.delay_told = decode_delay_told(record);
    return true;
}

std::span<const Replay::Message> Replay::finish() {
    by_id_.clear();
    std::erase_if(messages_, [](const Message& message) { return !message.alive; });
    std::ranges::sort(messages_, {}, &Message::id);
    return messages_;
}

std::span<const RecipientState> Replay::recipients(const Message& message) const {
    return std::span(recipients_).subspan(message.first_recipient, message.recipients);
}

}  // namespace store
