#include "store/replay.h"

#include <algorithm>
#include <utility>

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
            Message* message = table_.find(mail::QueueId(finish->id));
            const Location was =
                message == nullptr ? Location(finish->commit) : message->location();
            if (was.segment() > location.segment()) {
                until_covered_.insert(location.segment());  // as Partition::finished()
            }
            if (message != nullptr) {
                table_.remove(*message);
            }
            return true;
        }
        case format::RecordType::relocation:
            return apply_relocation(record, location);
        case format::RecordType::change:
            return apply_change(record, location);
        case format::RecordType::rule:
        case format::RecordType::rule_end:
            return apply_rule(record, location);
        case format::RecordType::extent:
        case format::RecordType::segment_open:
        case format::RecordType::seal:
        case format::RecordType::summary:
            return true;
        case format::RecordType::epoch:
            parts_.clear();  // the rest of them was lost, and they are void
            return true;
        case format::RecordType::checkpoint_start:
        case format::RecordType::checkpoint_segment:
        case format::RecordType::checkpoint_message:
            return false;  // not in a log
    }
    return may_skip(record);
}

bool Replay::apply_commit(const Record& record, Location location) {
    const auto fixed = decode_commit_fixed(record);
    if (!fixed || fixed->recipients == 0) {
        return false;
    }
    const mail::QueueId id(fixed->id);
    if (table_.find(id) != nullptr) {
        return true;
    }
    std::vector<format::SegmentShare> others;
    if (fixed->oldest_segment != location.segment()) {
        if (!decode_commit(record, spread_)) {
            return false;
        }
        find_other_shares(spread_.pieces, location.segment(), others);
    }
    const MessagePlace place{
        id, Location(location.segment(), location.block(), location.index(), !others.empty()),
        fixed->arrival_ms, fixed->recipients,
        own_units(fixed->stored_bytes, record.payload.size(), others)};
    // Rules that come before it in the log do not mean it.
    table_.add(place, others).rules_met = rules_.newest_durable();
    return true;
}

bool Replay::apply_outcome(const Record& record, Location location) {
    const auto fixed = decode_outcome_fixed(record);
    if (!fixed) {
        return false;
    }
    Message* message = table_.find(mail::QueueId(fixed->id));
    if (message == nullptr) {
        return true;  // it is dead
    }
    if (fixed->recipient >= message->recipients().size()) {
        return false;
    }
    RecipientState& state = message->recipients()[fixed->recipient];
    state.status = static_cast<RecipientStatus>(fixed->status);
    state.attempts =
        static_cast<std::uint16_t>(std::min<std::uint32_t>(fixed->attempts, UINT16_MAX));
    state.next_s = state.status == RecipientStatus::deferred
                       ? base::unix_seconds(clamped_wall_time(fixed->next_attempt_ms))
                       : 0;
    state.outcome = location;
    state.delay_told = decode_delay_told(record);
    const std::uint32_t rules_met = decode_rules_met(record);
    message->rules_met = std::max(message->rules_met, rules_met);
    rules_.saw(rules_met);
    return true;
}

bool Replay::apply_change(const Record& record, Location location) {
    auto stored = decode_change(record);
    if (!stored) {
        return false;
    }
    until_covered_.insert(location.segment());
    rules_.saw(stored->rules_met);
    Message* message = table_.find(stored->id);
    if (message == nullptr) {
        return true;  // it is dead
    }
    std::vector<RecipientChange>& changes = stored->recipients;
    if (const auto before = parts_.extract(stored->id.value())) {
        changes.insert(changes.begin(), before.mapped().begin(), before.mapped().end());
    }
    if (stored->more) {
        parts_.emplace(stored->id.value(), std::move(changes));
        return true;
    }
    for (const RecipientChange& change : changes) {
        if (change.recipient >= message->recipients().size()) {
            return false;
        }
        RecipientState& state = message->recipients()[change.recipient];
        state.status = change.status;
        state.next_s = change.next_s;
    }
    message->rules_met = std::max(message->rules_met, stored->rules_met);
    return true;
}

bool Replay::apply_rule(const Record& record, Location location) {
    until_covered_.insert(location.segment());
    if (const auto rule = decode_rule(record)) {
        rules_.add(*rule);
        rules_.became_durable(rule->number);
        return true;
    }
    const auto end = decode_rule_end(record);
    if (end) {
        rules_.end(end->number);
    }
    return end.has_value();
}

// It never makes a message, and never takes one back to where it was.
bool Replay::apply_relocation(const Record& record, Location location) {
    const auto stored = decode_relocation(record);
    if (!stored) {
        return false;
    }
    const format::Relocation& fixed = stored->fixed;
    until_covered_.insert(location.segment());
    until_covered_.insert(Location(fixed.from).segment());
    Message* message = table_.find(mail::QueueId(fixed.id));
    if (message == nullptr) {
        return true;
    }
    if (fixed.recipient == format::Relocation::kMessage) {
        if (message->location() == Location(fixed.from)) {
            table_.move(*message, Location(fixed.to), fixed.units, stored->others);
            ++relocations_;
        }
        return true;
    }
    if (fixed.recipient >= message->recipients().size()) {
        return false;
    }
    RecipientState& state = message->recipients()[fixed.recipient];
    if (state.outcome == Location(fixed.from)) {
        state.outcome = Location(fixed.to);
        ++relocations_;
    }
    return true;
}

}  // namespace store
