// What a salvage cannot go on with: messages that are known and gone are dropped, and told by id.
#include <algorithm>
#include <cerrno>

#include "store/log_reader.h"
#include "store/recovery.h"

namespace store {
namespace {

// Other errors may pass. EINVAL: the file was cut within a block, and has no direct I/O there.
bool is_gone(const base::Error& error) {
    return error.number() == EUCLEAN || error.number() == ENODATA || error.number() == EINVAL;
}

std::string number(std::uint64_t value) {
    return std::to_string(value);
}

}  // namespace

rt::Task<void> Recovery::drop_unreadable() {
    for (std::size_t slot = 0; slot < table_.slots() && !files_.shard.driver().dead(); ++slot) {
        Message* message = table_.slot(slot);
        if (message == nullptr || find(message->location().segment()) == nullptr) {
            continue;  // check_messages() tells of those
        }
        const std::uint64_t segment = message->location().segment();
        const base::Status read = co_await read_commit(*message);
        std::optional<std::uint64_t> cut;
        if (read.has_value()) {
            cut = short_segment();
        } else if (!is_gone(read.error())) {
            ++doubtful_messages_;
        }
        if (segment >= base_ && !read.has_value() && is_gone(read.error())) {
            find(segment)->segment->damaged = true;
            lose(*message, ~std::uint64_t{0},
                 "its commit record in " + format::segment_name(segment) + " cannot be read");
            continue;
        }
        if (segment >= base_ && cut) {
            lose(*message, ~std::uint64_t{0},
                 "its content in " + format::segment_name(*cut) + " is cut off");
            continue;
        }
        for (std::uint32_t i = 0; i < message->recipients().size(); ++i) {
            const bool gone = co_await outcome_gone(*message, i);
            if (gone) {
                message->recipients()[i].outcome = Location();
                ++lost_outcomes_;
            }
        }
    }
}

rt::Task<base::Status> Recovery::read_commit(const Message& message) {
    const Location location = message.location();
    const ReadBufferPool::Lease buffer = buffers_.lease(BatchPlace(files_.partition, location));
    const base::Result<Record> record =
        co_await read_record(files_.shard, *find(location.segment())->segment, location, *buffer);
    if (!record.has_value()) {
        co_return base::fail(record.error().number());
    }
    if (!decode_commit(*record, stored_) || stored_.id != message.id() ||
        stored_.envelope.recipient_count() != message.recipients().size()) {
        co_return base::fail(EUCLEAN);
    }
    co_return base::Status();
}

rt::Task<bool> Recovery::outcome_gone(const Message& message, std::uint32_t recipient) {
    const Location location = message.recipients()[recipient].outcome;
    const Found* found = location.nowhere() ? nullptr : find(location.segment());
    if (found == nullptr) {
        co_return false;  // never tried; or count() forgets it
    }
    const ReadBufferPool::Lease buffer = buffers_.lease(BatchPlace(files_.partition, location));
    const base::Result<Record> record =
        co_await read_record(files_.shard, *found->segment, location, *buffer);
    if (!record.has_value()) {
        co_return is_gone(record.error());
    }
    const auto fixed = decode_outcome_fixed(*record);
    co_return !fixed || mail::QueueId(fixed->id) != message.id() || fixed->recipient != recipient;
}

std::optional<std::uint64_t> Recovery::short_segment() {
    for (const Piece& piece : stored_.pieces) {
        const Found* found = find(piece.segment);
        const std::uint64_t end = std::uint64_t{piece.block} * format::kBlock + piece.bytes;
        if (found != nullptr && end > found->file_bytes) {
            return piece.segment;
        }
    }
    return std::nullopt;
}

void Recovery::lose(Message& message, std::uint64_t sequence, const std::string& why) {
    const std::string what =
        "message " + std::string(mail::view(message.id().text())) + " is lost: " + why;
    table_.remove(message);
    if (sequence < salvaged_below_ || from_before_salvage()) {
        files_.log.notice(mail::Severity::warning,
                          files_.path + ": " + what + ", which a salvage has accepted");
        return;
    }
    ++lost_messages_;
    if (files_.read_only || lost_messages_ <= kMessagesTold) {
        damages_.push_back(what);
    }
}

void Recovery::tell_salvage(bool lost_all) {
    const auto tell = [this](const std::string& what) {
        files_.log.notice(mail::Severity::error, files_.path + ": " + what);
    };
    for (const std::string& what : damages_) {
        tell("salvaged around damage: " + what);
    }
    if (lost_messages_ > kMessagesTold) {
        tell("salvaged around damage: " + number(lost_messages_ - kMessagesTold) +
             " more messages are lost");
    }
    if (doubtful_messages_ > 0) {
        tell(number(doubtful_messages_) +
             " messages cannot be read now, for an error of the disk; they stay in the queue");
    }
    if (lost_all) {
        tell(
            "everything that this partition held is lost, and nothing is left that tells what it "
            "was; it goes on empty");
    }
    tell("salvage lost " + number(lost_batches_) + " batches, " + number(walk_.unreadable()) +
         " unreadable blocks, " + number(lost_messages_) + " messages that were known and " +
         number(lost_outcomes_) + " records of their attempts; " + number(table_.size()) +
         " messages are left; messages may have come back that were finished");
}

}  // namespace store
