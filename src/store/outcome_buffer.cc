#include "store/outcome_buffer.h"

#include <utility>

#include "base/assert.h"

namespace store {

RecordWriter OutcomeBuffer::append(std::uint64_t payload, Entry entry) {
    const std::size_t size = format::record_bytes(payload);
    const std::size_t at = bytes_.size();
    bytes_.resize(at + size);
    entry.bytes = static_cast<std::uint32_t>(size);
    entries_.push_back(entry);
    return RecordWriter(base::MutableBytes(bytes_).subspan(at));
}

void OutcomeBuffer::add(Message& message, const Outcome& outcome) {
    RecordWriter writer =
        append(outcome_payload_bytes(outcome), {&message, outcome.recipient, 0, Kind::outcome});
    put_outcome(writer, message.id(), outcome);
}

void OutcomeBuffer::add_finish(Message& message) {
    RecordWriter writer = append(sizeof(format::Finish), {&message, 0, 0, Kind::finish});
    writer.put_record(format::RecordType::finish,
                      format::Finish{message.id().value(), message.location().value()});
}

void OutcomeBuffer::add_relocation(const format::Relocation& fixed,
                                   std::span<const format::SegmentShare> others) {
    const std::size_t payload = sizeof fixed + others.size_bytes();
    RecordWriter writer = append(payload, {nullptr, 0, 0, Kind::relocation});
    writer.begin(format::RecordType::relocation, payload);
    writer.put(fixed);
    writer.put_bytes(std::as_bytes(others));
    writer.end();
}

void OutcomeBuffer::add_change(mail::QueueId id, std::span<const RecipientChange> changes,
                               std::uint32_t rules_met, bool more) {
    RecordWriter writer =
        append(change_payload_bytes(changes.size()), {nullptr, 0, 0, Kind::change});
    put_change(writer, id, changes, rules_met, more);
}

void OutcomeBuffer::add_rule(const Rule& rule) {
    RecordWriter writer = append(rule_payload_bytes(rule), {nullptr, 0, 0, Kind::rule});
    put_rule(writer, rule);
}

void OutcomeBuffer::add_rule_end(std::uint32_t number) {
    RecordWriter writer = append(sizeof(format::RuleEnd), {nullptr, 0, 0, Kind::rule_end});
    writer.put_record(format::RecordType::rule_end, format::RuleEnd{number, 0});
}

void OutcomeBuffer::wake_all() {
    while (!waiters_.empty()) {
        waiters_.pop_front().wake();
    }
}

void OutcomeBuffer::forget_waiters() {
    while (!waiters_.empty()) {
        static_cast<void>(waiters_.pop_front());
    }
}

void OutcomeBuffer::plan() {
    RP_ASSERT(!empty());
    next_byte_ += entries_[next_].bytes;
    ++next_;
}

base::Bytes OutcomeBuffer::planned_bytes() const {
    return base::Bytes(bytes_).subspan(done_byte_, next_byte_ - done_byte_);
}

std::span<const OutcomeBuffer::Entry> OutcomeBuffer::planned() const {
    return std::span<const Entry>(entries_).subspan(done_, next_ - done_);
}

void OutcomeBuffer::planned_done() {
    done_ = next_;
    done_byte_ = next_byte_;
    if (done_ == entries_.size()) {
        bytes_.clear();
        entries_.clear();
        done_ = next_ = 0;
        done_byte_ = next_byte_ = 0;
        wake_all();
    }
}

void OutcomeBuffer::swap(OutcomeBuffer& other) noexcept {
    bytes_.swap(other.bytes_);
    entries_.swap(other.entries_);
    std::swap(done_, other.done_);
    std::swap(next_, other.next_);
    std::swap(done_byte_, other.done_byte_);
    std::swap(next_byte_, other.next_byte_);
    base::WaiterList mine;
    mine.append(waiters_);
    waiters_.append(other.waiters_);
    other.waiters_.append(mine);
}

}  // namespace store
