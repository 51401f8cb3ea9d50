// Every batch and every record of a partition's segments.
#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

#include "store/log_check.h"
#include "store/log_reader.h"

namespace store {
namespace {

// The message that a record is about.
std::optional<mail::QueueId> id_of(const Record& record) {
    if (const auto extent = decode_extent(record)) {
        return mail::QueueId(extent->id);
    }
    if (const auto commit = decode_commit_fixed(record)) {
        return mail::QueueId(commit->id);
    }
    if (const auto outcome = decode_outcome_fixed(record)) {
        return mail::QueueId(outcome->id);
    }
    if (const auto finish = decode_finish(record)) {
        return mail::QueueId(finish->id);
    }
    if (const auto relocation = decode_relocation(record)) {
        return mail::QueueId(relocation->fixed.id);
    }
    if (const auto change = decode_change(record)) {
        return change->id;
    }
    return std::nullopt;
}

std::string number(std::uint64_t value) {
    return std::to_string(value);
}

}  // namespace

rt::Task<void> LogCheck::walk_segments() {
    std::vector<std::pair<Segment*, bool>> all;
    for (std::size_t i = 0; i < segments_.size(); ++i) {
        all.emplace_back(&segments_.at(i), true);
    }
    totals_.segments = all.size();
    for (const std::unique_ptr<Segment>& free : recovery_->free()) {
        all.emplace_back(free.get(), false);
    }
    totals_.free_segments = all.size() - totals_.segments;
    std::ranges::sort(all, {}, [](const auto& one) { return one.first->id; });
    for (const auto& [segment, kept] : all) {
        visitor_.segment(SegmentFacts{segment->id, segment->bytes, segment->end,
                                      segment->last_sequence, segment->live, kept});
        if (kept || !options_.check_messages) {
            co_await walk_segment(*segment, kept);
        }
    }
    co_await show_content();
}

rt::Task<void> LogCheck::walk_segment(Segment& segment, bool kept) {
    const bool all = !options_.check_messages;
    walk_.start(segment, format::kBlock, all ? segment.bytes : segment.end);
    std::uint64_t expected = format::kBlock;
    while (true) {
        const base::Result<bool> more = co_await walk_.next();
        if (!more.has_value() || !*more) {
            break;  // it tolerates errors
        }
        const bool counts = kept && walk_.offset() < segment.end;
        if (counts && walk_.offset() > expected) {
            co_await tell_hole(segment, expected, walk_.offset(), walk_.header().sequence);
        }
        if (!counts && kept && expected < segment.end) {
            co_await tell_hole(segment, expected, segment.end, segment.last_sequence + 1);
        }
        expected = walk_.end();
        visitor_.batch(walk_.header(), walk_.offset(), counts);
        totals_.batches += counts ? 1 : 0;
        const base::Result<bool> valid = co_await walk_.read_records();
        if (valid.has_value() && *valid) {
            show_records(segment, counts);
        } else if (counts) {
            co_await tell_bad_batch(segment,
                                    "batch " + number(walk_.header().sequence) + " at offset " +
                                        number(walk_.offset()) + " of " +
                                        format::segment_name(segment.id) + " is damaged",
                                    walk_.offset(), walk_.header().sequence);
        }
    }
    if (kept && expected < segment.end) {
        co_await tell_hole(segment, expected, segment.end, segment.last_sequence + 1);
    }
}

// Before the batch of that sequence number.
rt::Task<void> LogCheck::tell_hole(Segment& segment, std::uint64_t from, std::uint64_t to,
                                   std::uint64_t sequence) {
    std::string what = "no batch validates in the " + number(to - from) + " bytes at offset " +
                       number(from) + " of " + format::segment_name(segment.id);
    co_await tell_bad_batch(segment, std::move(what), from, sequence - 1);
}

rt::Task<void> LogCheck::tell_bad_batch(Segment& segment, std::string what, std::uint64_t offset,
                                        std::uint64_t sequence) {
    const bool there = co_await still_there(format::segment_name(segment.id));
    if (!there) {
        co_return;
    }
    if (sequence < recovery_->salvaged_below()) {
        note(what + ", which a salvage has accepted");
        co_return;
    }
    std::vector<mail::QueueId> ids = co_await ids_at(segment, offset);
    error(std::move(what), std::move(ids));
}

rt::Task<std::vector<mail::QueueId>> LogCheck::ids_at(Segment& segment, std::uint64_t offset) {
    std::vector<mail::QueueId> ids;
    const std::size_t size =
        std::min<std::uint64_t>(kReadBytes, segment.bytes - std::min(offset, segment.bytes));
    const base::MutableBytes memory = buffer_.bytes().first(size);
    const base::Status status =
        co_await read_fully(shard_, op_, segment.handle.get(), memory, offset);
    format::BatchHeader header;
    if (!status.has_value() || size < sizeof header) {
        co_return ids;
    }
    std::memcpy(&header, memory.data(), sizeof header);
    if (header.magic != format::BatchHeader::kMagic) {
        co_return ids;
    }
    const std::size_t bytes = std::min<std::size_t>(header.record_bytes, size - sizeof header);
    RecordReader records(memory.subspan(sizeof header, bytes), header.record_count);
    while (const auto record = records.next()) {
        const auto id = id_of(*record);
        if (id && id->partition() == files_.partition && ids.size() < kMessagesTold &&
            std::ranges::find(ids, *id) == ids.end()) {
            ids.push_back(*id);
        }
    }
    co_return ids;
}

void LogCheck::show_records(Segment& segment, bool counts) {
    RecordReader records = walk_.reader();
    bool understood = true;
    while (const auto record = records.next()) {
        visitor_.record({segment.id, walk_.offset() / format::kBlock, records.index()}, *record);
        understood = understood && this->understood(*record);
        if (record->type != format::RecordType::commit) {
            continue;
        }
        if (counts) {
            note_commit(segment, *record, records.index());
        }
        if (const auto id = id_of(*record); id && visitor_.wants_content(*id)) {
            note_content(*record);
        }
    }
    if (counts && (!understood || records.malformed())) {
        error("batch " + number(walk_.header().sequence) + " of " +
              format::segment_name(segment.id) +
              " holds a record that this version does not understand");
    }
}

bool LogCheck::understood(const Record& record) {
    using format::RecordType;
    if (record.type == RecordType::commit) {
        return decode_commit(record, stored_);
    }
    if (record.type == RecordType::outcome) {
        StoredOutcome outcome;
        return decode_outcome(record, outcome);
    }
    if (record.type == RecordType::segment_open) {
        std::vector<format::SegmentEnd> ends;
        return decode_segment_open(record, ends);
    }
    if (record.type == RecordType::epoch) {
        return decode_epoch(record).has_value();
    }
    if (record.type == RecordType::relocation) {
        return decode_relocation(record).has_value();
    }
    if (record.type == RecordType::change) {
        return decode_change(record).has_value();
    }
    if (record.type == RecordType::rule) {
        return decode_rule(record).has_value();
    }
    if (record.type == RecordType::rule_end) {
        return decode_rule_end(record).has_value();
    }
    if (record.type == RecordType::summary) {
        return decode_summary(record).has_value();
    }
    if (record.type == RecordType::extent || record.type == RecordType::finish) {
        return id_of(record).has_value();
    }
    return is_known(record.type) || may_skip(record);
}

// A message that is alive is marked by its first commit record.
void LogCheck::note_commit(const Segment& segment, const Record& record, std::uint32_t index) {
    const auto id = id_of(record);
    if (!id) {
        return;
    }
    const std::string place = "record " + number(index) + " at offset " + number(walk_.offset()) +
                              " of " + format::segment_name(segment.id);
    if (id->partition() != files_.partition) {
        error(place + " commits a message with an id of partition " + number(id->partition()),
              {*id});
    }
    Message* message = table_.find(*id);
    // What was moved has a record in each place where it has been.
    if (message == nullptr || (walk_.header().flags & format::BatchHeader::kMoved) != 0) {
        return;
    }
    if (message->owner != nullptr) {
        error(place + " commits a message under an id that another one has", {*id});
    }
    message->owner = this;
}

void LogCheck::note_content(const Record& record) {
    if (decode_commit(record, stored_)) {
        contents_.push_back({walk_.header().sequence, stored_.id, stored_.pieces});
    }
}

// A message that was moved has a commit record in each place where it has been, and what they name
// may be written over since: the newest that is whole is shown, else the newest.
rt::Task<void> LogCheck::show_content() {
    std::ranges::sort(contents_, std::ranges::greater(), &Content::sequence);
    bool whole = false;
    for (std::size_t i = 0; i < contents_.size() && !whole; ++i) {
        stored_.pieces = contents_[i].pieces;
        const std::vector<std::size_t> bad = co_await bad_pieces();
        whole = bad.empty();
    }
    if (contents_.empty()) {
        co_return;
    }
    if (!whole) {
        stored_.pieces = contents_.front().pieces;
    }
    const mail::QueueId id = contents_.front().id;
    for (std::size_t first = 0; first < stored_.pieces.size();) {
        const std::size_t read = co_await read_pieces(first);
        std::size_t at = 0;
        for (std::size_t i = 0; i < read; ++i) {
            const Piece& piece = stored_.pieces[first + i];
            visitor_.content(id, first + i, piece_at(at, piece));
            at += padded(piece);
        }
        if (read == 0) {
            visitor_.content(id, first, std::nullopt);
        }
        first += std::max<std::size_t>(read, 1);
    }
}

}  // namespace store
