#include "store/outcome_buffer.h"

#include <utility>

#include "base/assert.h"
#include "store/record_writer.h"

namespace store {

void OutcomeBuffer::add(Message& message, const Outcome& outcome) {
    const std::size_t size = format::record_bytes(outcome_payload_bytes(outcome));
    const std::size_t at = bytes_.size();
    bytes_.resize(at + size);
    RecordWriter writer(base::MutableBytes(bytes_).subspan(at));
    put_outcome(writer, message.id(), outcome);
    RP_ASSERT(writer.size() == size);
    entries_.push_back(
        {&message, outcome.recipient, static_cast<std::uint32_t>(size), Kind::outcome});
}

void OutcomeBuffer::add_finish(Message& message) {
    const std::size_t size = format::record_bytes(sizeof(format::Finish));
    const std::size_t at = bytes_.size();
    bytes_.resize(at + size);
    RecordWriter writer(base::MutableBytes(bytes_).subspan(at));
    writer.put_record(format::RecordType::finish,
                      format::Finish{message.id().value(), message.location().value()});
    entries_.push_back({&message, 0, static_cast<std::uint32_t>(size), Kind::finish});
}

void OutcomeBuffer::add_relocation(const format::Relocation& fixed,
                                   std::span<const format::SegmentShare> others) {
    const std::size_t size = format::record_bytes(sizeof fixed + others.size_bytes());
    const std::size_t at = bytes_.size();
    bytes_.resize(at + size);
    RecordWriter writer(base::MutableBytes(bytes_).subspan(at));
    writer.begin(format::RecordType::relocation, sizeof fixed + others.size_bytes());
    writer.put(fixed);
    writer.put_bytes(std::as_bytes(others));
    writer.end();
    entries_.push_back({nullptr, 0, static_cast<std::uint32_t>(size), Kind::relocation});
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
