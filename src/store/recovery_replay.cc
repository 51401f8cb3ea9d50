// The replay of a partition's log, and the judgement of what does not validate in it.
#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "store/recovery.h"

namespace store {
namespace {

// Where what is lost may have told of later epochs, ids must not recur all the same: the hours
// since 2020 are more than any log has been started.
std::uint32_t unused_epoch(std::int64_t now_ms) {
    constexpr std::int64_t k2020Ms = 1'577'836'800'000;
    const std::int64_t hours = (now_ms - k2020Ms) / 3'600'000;
    return static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(hours, 0, mail::QueueId::kEpochMax / 2));
}

}  // namespace

rt::Task<base::Status> Recovery::replay_segment(Found& found) {
    const std::uint64_t limit = found.known_end != 0 ? found.known_end : found.surveyed_end;
    name_ = format::segment_name(found.segment->id);
    walk_.start(*found.segment, log_offset(found.segment->id), limit);
    bool first = true;
    while (true) {
        const base::Result<bool> more = co_await walk_.next();
        if (!more.has_value()) {
            co_return refuse(more.error().number(),
                             "cannot read " + name_ + ": " + more.error().describe());
        }
        if (!*more) {
            break;
        }
        if (first && expected_ == 0) {
            // The oldest batch that is kept; those before it were freed with their segments.
            expected_ = walk_.header().sequence;
            const Found* base = find(base_);
            const bool first_known = base == nullptr || !base->segment->moved;
            if (first_known && (found.segment->id != base_ || walk_.offset() != format::kBlock)) {
                damage(found.segment.get(), expected_ - 1,
                       "the first batches of " + name_ + " are missing");
            }
        }
        first = false;
        const base::Status status = co_await replay_batch(found);
        if (!status.has_value()) {
            co_return status;
        }
    }
    judge_file(found);
    co_return base::Status();
}

// A segment gets its name when it is whole and durable, so no crash leaves it otherwise.
void Recovery::judge_file(Found& found) {
    Segment& segment = *found.segment;
    // One without a batch is put aside before the next epoch; until then it is news at each start.
    const std::uint64_t sequence =
        segment.last_sequence > 0 ? segment.last_sequence : ~std::uint64_t{0};
    if (found.foreign) {
        damage(&segment, sequence, name_ + " comes from elsewhere: its header names another place");
    } else if (found.file_bytes < format::kBlock) {
        damage(&segment, sequence,
               name_ + " is " + std::to_string(found.file_bytes) +
                   " bytes long: nothing is left of what it held");
    } else if (!found.header_good) {
        damage(&segment, sequence, "the header of " + name_ + " is damaged");
    } else if (found.file_bytes < segment.bytes) {
        damage(&segment, sequence,
               name_ + " is " + std::to_string(found.file_bytes) + " bytes long, and should be " +
                   std::to_string(segment.bytes));
    }
}

rt::Task<base::Status> Recovery::replay_batch(Found& found) {
    const std::uint64_t sequence = walk_.header().sequence;
    Segment& segment = *found.segment;
    if (sequence < expected_) {
        damage(&segment, sequence,
               "batch " + std::to_string(sequence) + " in " + name_ + " is out of order");
        co_return base::Status();
    }
    if (sequence > expected_) {
        damage(&segment, sequence - 1,
               "batches " + std::to_string(expected_) + " to " + std::to_string(sequence - 1) +
                   " before offset " + std::to_string(walk_.offset()) + " of " + name_ +
                   " are missing");
        lost_batches_ += sequence - expected_;
        expected_ = sequence;
    }
    base::Result<bool> valid = co_await walk_.read_records();
    const bool torn_possible = sequence > watermark_;
    if (valid.has_value() && *valid && torn_possible) {
        valid = co_await walk_.content_valid();
    }
    if (!valid.has_value()) {
        co_return refuse(valid.error().number(),
                         "cannot read " + name_ + ": " + valid.error().describe());
    }
    if (!*valid) {
        if (torn_possible) {
            note_torn(found);
            co_return base::Status();
        }
        damage(&segment, sequence,
               "batch " + std::to_string(sequence) + " at offset " +
                   std::to_string(walk_.offset()) + " of " + name_ + " is damaged");
        ++lost_batches_;
    } else {
        apply_records(found);
    }
    checkpoints_.behind_bytes += walk_.header().bytes();
    expected_ = sequence + 1;
    segment.end = walk_.end();
    segment.last_sequence = sequence;
    co_return base::Status();
}

void Recovery::apply_records(Found& found) {
    ++valid_batches_;
    RecordReader records = walk_.reader();
    const auto block = static_cast<std::uint32_t>(walk_.offset() / format::kBlock);
    bool good = found.segment->id <= Location::kSegmentMax &&
                walk_.header().record_count <= Location::kIndexMax;
    while (good) {
        const auto record = records.next();
        if (!record) {
            break;
        }
        good = replay_.apply(*record, Location(found.segment->id, block, records.index(), false));
    }
    if (!good || records.malformed()) {
        damage(found.segment.get(), walk_.header().sequence,
               "batch " + std::to_string(walk_.header().sequence) + " of " + name_ +
                   " holds a record that this version does not understand");
    }
}

void Recovery::note_torn(const Found& found) {
    files_.log.notice(mail::Severity::info,
                      files_.path + (files_.read_only ? ": a start cuts" : ": cut") +
                          " a torn batch of " + std::to_string(walk_.header().bytes()) +
                          " bytes at offset " + std::to_string(walk_.offset()) + " of " +
                          format::segment_name(found.segment->id) +
                          "; nothing in it was acknowledged");
}

// Damage that a person has accepted once is not reported again.
void Recovery::damage(Segment* segment, std::uint64_t sequence, const std::string& what) {
    if (segment != nullptr) {
        segment->damaged = true;
    }
    if (sequence >= salvaged_below_) {
        damages_.push_back(what);
    }
}

Segment* Recovery::kept(std::uint64_t segment) const {
    return segment >= base_ && segment - base_ < by_id_.size() ? by_id_[segment - base_] : nullptr;
}

bool Recovery::whole(const Message& message) const {
    return kept(message.location().segment()) != nullptr &&
           std::ranges::all_of(table_.other_segments(message), [this](const auto& other) {
               return kept(other.segment) != nullptr;
           });
}

std::optional<std::uint64_t> Recovery::missing_file(const Message& message) {
    if (find(message.location().segment()) == nullptr) {
        return message.location().segment();
    }
    for (const format::SegmentShare& other : table_.other_segments(message)) {
        if (find(other.segment) == nullptr) {
            return other.segment;
        }
    }
    return std::nullopt;
}

void Recovery::count(Message& message) {
    const auto hold = [this](std::uint64_t segment, std::uint32_t units) {
        ++kept(segment)->live;
        kept(segment)->live_units += units;
    };
    hold(message.location().segment(), message.units());
    for (const format::SegmentShare& other : table_.other_segments(message)) {
        hold(other.segment, other.units);
    }
    for (RecipientState& recipient : message.recipients()) {
        if (kept(recipient.outcome.segment()) != nullptr) {
            hold(recipient.outcome.segment(), kOutcomeUnits);
        } else {
            recipient.outcome = Location();  // salvaged without it
        }
    }
}

void Recovery::check_messages() {
    for (const Found& found : found_) {
        const std::uint64_t id = found.segment->id;
        if (id >= base_ && found.segment->last_sequence > 0) {
            by_id_.resize(id - base_ + 1);
            by_id_[id - base_] = found.segment.get();
        }
    }
    // What a checkpoint before the one that was read would need.
    for (Segment* segment : by_id_) {
        if (segment != nullptr) {
            // Of the segment in which the log behind the checkpoint begins, the rest was not read.
            segment->until_covered =
                (checkpointed_ && segment->id <= checkpoint_.start().segment) ||
                replay_.until_covered().contains(segment->id);
        }
    }
    for (std::size_t i = 0; i < table_.slots(); ++i) {
        Message* message = table_.slot(i);
        if (message == nullptr) {
            continue;
        }
        if (whole(*message)) {
            count(*message);
            continue;
        }
        // Everything in segments before the base is dead; a checkpoint may be from before that.
        const bool dead = message->location().segment() < base_;
        const Segment* segment = kept(message->location().segment());
        if (!dead) {
            const std::optional<std::uint64_t> file = missing_file(*message);
            lose(*message, segment == nullptr ? ~std::uint64_t{0} : segment->last_sequence,
                 file ? "there is no file " + format::segment_name(*file)
                      : "its segment holds nothing that can be read");
        } else {
            table_.remove(*message);
        }
    }
}

base::Status Recovery::verdict() {
    const bool lost_all = established_ && valid_batches_ == 0 && !checkpointed_;
    if (lost_all && found_.empty()) {
        damage(nullptr, expected_,
               "there is no segment in the folder, though this partition has held a log; perhaps "
               "its file system is not mounted");
    }
    if (expected_ <= watermark_) {
        damage(nullptr, watermark_,
               "batches " + std::to_string(expected_) + " to " + std::to_string(watermark_) +
                   ", the newest that were acknowledged, are missing");
        lost_batches_ += watermark_ + 1 - expected_;
    }
    if (lost_all && !found_.empty()) {
        damage(nullptr, expected_, "the log has no valid batch left");
    }
    if (!damages_.empty()) {
        epoch_ = std::max(epoch_, unused_epoch(base::unix_ms(files_.shard.wall_now())));
    }
    if (epoch_ >= mail::QueueId::kEpochMax) {
        return refuse(EOVERFLOW,
                      "this spool has been started a million times; drain it, and "
                      "make a new one");
    }
    if (damages_.empty()) {
        return {};
    }
    if (!files_.read_only && !found_.empty() &&
        std::ranges::all_of(found_, [](const Found& one) { return one.foreign; })) {
        return refuse(EUCLEAN,
                      "every segment names another place: the identity of this spool, or this "
                      "folder, is another one's. Nothing was changed. Put the right one back; "
                      "where there is none, move the folder away, and start with `ringpost serve "
                      "--salvage`");
    }
    std::string sentence = "the log is damaged: " + damages_.front();
    if (damages_.size() > 1) {
        sentence += " (and " + std::to_string(damages_.size() - 1) + " more)";
    }
    if (!options_.salvage) {
        return refuse(EUCLEAN, sentence +
                                   ". Nothing was changed. Put the files back from a copy, or "
                                   "start once with `ringpost serve --salvage` to go on with "
                                   "what is left");
    }
    tell_salvage(lost_all);
    return {};
}

}  // namespace store
