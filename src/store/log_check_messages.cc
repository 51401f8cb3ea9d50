// What the messages of a partition need: their commit records, their content and the records of
// their recipients' outcomes.
#include <algorithm>
#include <utility>

#include "base/crc32c.h"
#include "store/log_check.h"
#include "store/log_reader.h"

namespace store {

rt::Task<void> LogCheck::check_messages() {
    for (std::size_t slot = 0; slot < table_.slots() && !shard_.driver().dead(); ++slot) {
        const Message* message = table_.slot(slot);
        if (message == nullptr) {
            continue;
        }
        for (const RecipientState& recipient : message->recipients()) {
            ++totals_.recipients[static_cast<std::size_t>(recipient.status)];
        }
        const bool read = co_await read_commit(*message);
        if (read) {
            co_await check_content();
        }
        for (std::uint32_t i = 0; i < message->recipients().size(); ++i) {
            co_await check_outcome(*message, i);
        }
    }
}

rt::Task<bool> LogCheck::read_commit(const Message& message) {
    const Location location = message.location();
    Segment* segment = segments_.find(location.segment());
    bool good = false;
    if (segment != nullptr) {
        const ReadBufferPool::Lease buffer = buffers_.lease(BatchPlace(files_.partition, location));
        const base::Result<Record> record =
            co_await read_record(shard_, *segment, location, *buffer);
        good = record.has_value() && decode_commit(*record, stored_) &&
               stored_.id == message.id() &&
               stored_.envelope.recipient_count() == message.recipients().size();
    }
    if (good) {
        co_return true;
    }
    const std::string name = format::segment_name(location.segment());
    const bool there = co_await still_there(name);
    if (there) {
        error("the commit record of a message is not there: record " +
                  std::to_string(location.index()) + " at block " +
                  std::to_string(location.block()) + " of " + name,
              {message.id()});
    }
    co_return false;
}

rt::Task<std::vector<std::size_t>> LogCheck::bad_pieces() {
    std::vector<std::size_t> bad;
    for (std::size_t first = 0; first < stored_.pieces.size();) {
        const std::size_t read = co_await read_pieces(first);
        std::size_t at = 0;
        for (std::size_t i = 0; i < read; ++i) {
            if (!piece_at(at, stored_.pieces[first + i])) {
                bad.push_back(first + i);
            }
            at += padded(stored_.pieces[first + i]);
        }
        if (read == 0) {
            bad.push_back(first);
        }
        first += std::max<std::size_t>(read, 1);
    }
    co_return bad;
}

// One finding a message, however many of its pieces are hit.
rt::Task<void> LogCheck::check_content() {
    totals_.bytes += stored_.facts.stored_bytes;
    const std::vector<std::size_t> bad = co_await bad_pieces();
    if (bad.empty()) {
        co_return;
    }
    const Piece& piece = stored_.pieces[bad.front()];
    const std::string name = format::segment_name(piece.segment);
    const bool there = co_await still_there(name);
    // A segment that is gone for good shows at any time; in use, the message has ended meanwhile.
    if (there) {
        std::string what = "the content of a message is damaged: piece " +
                           std::to_string(bad.front() + 1) + " of " +
                           std::to_string(stored_.pieces.size()) + ", at block " +
                           std::to_string(piece.block) + " of " + name;
        if (bad.size() > 1) {
            what += " (and " + std::to_string(bad.size() - 1) + " more)";
        }
        error(std::move(what), {stored_.id});
    }
}

rt::Task<void> LogCheck::check_outcome(const Message& message, std::uint32_t recipient) {
    const Location location = message.recipients()[recipient].outcome;
    Segment* segment = segments_.find(location.segment());
    if (location.nowhere() || segment == nullptr) {
        co_return;  // never tried, or salvaged without it
    }
    bool good = false;
    {
        const ReadBufferPool::Lease buffer = buffers_.lease(BatchPlace(files_.partition, location));
        const base::Result<Record> record =
            co_await read_record(shard_, *segment, location, *buffer);
        StoredOutcome outcome;
        good = record.has_value() && decode_outcome(*record, outcome) &&
               outcome.id == message.id() && outcome.recipient == recipient;
    }
    if (good) {
        co_return;
    }
    const std::string name = format::segment_name(location.segment());
    const bool there = co_await still_there(name);
    if (there) {
        error("the last outcome of recipient " + std::to_string(recipient + 1) +
                  " is not there: record " + std::to_string(location.index()) + " at block " +
                  std::to_string(location.block()) + " of " + name,
              {message.id()});
    }
}

rt::Task<std::size_t> LogCheck::read_pieces(std::size_t first) {
    const Piece& from = stored_.pieces[first];
    Segment* segment = find(from.segment);
    const std::uint64_t offset = std::uint64_t{from.block} * format::kBlock;
    std::size_t bytes = 0;
    std::size_t count = 0;
    for (std::size_t i = first; i < stored_.pieces.size(); ++i, ++count) {
        const Piece& piece = stored_.pieces[i];
        if (piece.segment != from.segment || piece.block != from.block + bytes / format::kBlock ||
            bytes + padded(piece) > kReadBytes) {
            break;
        }
        bytes += padded(piece);
    }
    if (segment == nullptr || count == 0 || bytes == 0 || offset + bytes > segment->bytes) {
        co_return 0;
    }
    base::Status status = co_await read_fully(shard_, op_, segment->handle.get(),
                                              buffer_.bytes().first(bytes), offset);
    if (!status.has_value() && count > 1) {
        count = 1;
        status = co_await read_fully(shard_, op_, segment->handle.get(),
                                     buffer_.bytes().first(padded(from)), offset);
    }
    co_return status.has_value() ? count : 0;
}

std::optional<base::Bytes> LogCheck::piece_at(std::size_t at, const Piece& piece) const {
    const base::Bytes bytes = base::Bytes(buffer_.bytes()).subspan(at, piece.bytes);
    return base::crc32c(0, bytes) == piece.crc ? std::optional(bytes) : std::nullopt;
}

}  // namespace store
