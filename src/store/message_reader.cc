#include "store/message_reader.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "base/crc32c.h"
#include "store/format.h"

namespace store {
namespace {

std::size_t padded(const Piece& piece) {
    return base::round_up(piece.bytes, format::kBlock);
}

std::string_view text_of(const std::byte* memory, std::size_t size) {
    return base::as_text({memory, size});
}

}  // namespace

MessageReader::ReadOp::ReadOp(MessageReader& reader)
    : io::Op([](io::Op& op, const io::Completion& completion) {
          static_cast<ReadOp&>(op).owner.on_read(completion.result);
      }),
      owner(reader) {}

MessageReader::MessageReader(MessageReaderHome& home) : home_(home), op_(*this) {}

MessageReader::~MessageReader() {
    RP_ASSERT(cached_ == nullptr && segments_.empty());
}

void MessageReader::open(CachedMessage* cached) {
    RP_ASSERT(cached_ == nullptr && segments_.empty());
    cached_ = cached;
    failed_ = false;
    released_ = false;
    next_piece_ = 0;
    pieces_read_ = 0;
}

void MessageReader::rewind() {
    RP_ASSERT(!op_.in_flight());
    next_piece_ = 0;
    pieces_read_ = 0;
}

mail::SourceState MessageReader::next(std::string_view& span, base::Waiter& waiter) {
    RP_ASSERT(!op_.in_flight() && waiter_ == nullptr);
    if (failed_) {
        return mail::SourceState::failed;
    }
    if (next_piece_ == message_.pieces.size()) {
        return mail::SourceState::end;
    }
    const Piece& piece = message_.pieces[next_piece_];
    if (cached_ != nullptr) {
        const Transaction::Chunk& chunk = cached_->chunks()[next_piece_++];
        RP_ASSERT(chunk.bytes == piece.bytes);
        span = text_of(chunk.memory, chunk.bytes);
        return mail::SourceState::ready;
    }
    if (pieces_read_ == 0) {
        waiter_ = &waiter;
        start_read();
        return mail::SourceState::wait;
    }
    span = text_of(buffer_->memory.bytes().data() + buffer_at_, piece.bytes);
    buffer_at_ += padded(piece);
    ++next_piece_;
    --pieces_read_;
    return mail::SourceState::ready;
}

Segment* MessageReader::segment_of(const Piece& piece) const {
    const auto at = std::ranges::find_if(
        segments_, [&](const Segment* segment) { return segment->id == piece.segment; });
    return at == segments_.end() ? nullptr : *at;
}

// As many pieces as follow one another on the disk and fit into the buffer.
void MessageReader::start_read() {
    if (buffer_ == nullptr) {
        buffer_ = home_.buffers().take();
    }
    const Piece& first = message_.pieces[next_piece_];
    std::size_t bytes = 0;
    for (std::size_t i = next_piece_; i < message_.pieces.size(); ++i) {
        const Piece& piece = message_.pieces[i];
        if (piece.segment != first.segment || piece.block != first.block + bytes / format::kBlock ||
            bytes + padded(piece) > ReadBuffer::kBytes) {
            break;
        }
        bytes += padded(piece);
        ++pieces_read_;
    }
    Segment* const segment = segment_of(first);
    const std::uint64_t offset = std::uint64_t{first.block} * format::kBlock;
    if (segment == nullptr || bytes == 0 || offset + bytes > segment->bytes) {
        // Whoever waits is woken by a completion in any case.
        op_.prepare_nop();
        pieces_read_ = 0;
    } else {
        op_.prepare_read(segment->handle.get(), buffer_->memory.bytes().first(bytes), offset);
    }
    buffer_at_ = 0;
    read_bytes_ = 0;
    home_.shard().driver().submit(op_);
}

void MessageReader::on_read(std::int32_t result) {
    if (released_) {
        close();
        return;
    }
    if (!home_.shard().driver().dead()) {
        const Piece& piece = message_.pieces[next_piece_];
        if (result > 0) {
            read_bytes_ += static_cast<std::size_t>(result);
        }
        if (result > 0 && read_bytes_ < padded(piece)) {
            read_on(static_cast<std::size_t>(result));
            return;
        }
        if (result <= 0) {
            home_.report_damage(message_, piece, result < 0 ? -result : EUCLEAN);
            failed_ = true;
        } else if (!check(read_bytes_)) {
            home_.report_damage(message_, piece, EUCLEAN);
            failed_ = true;
        }
    } else {
        failed_ = true;
    }
    std::exchange(waiter_, nullptr)->wake();
}

// The read came short, before the first piece was whole.
void MessageReader::read_on(std::size_t bytes) {
    const io::Op::Parameters asked = op_.parameters();
    op_.prepare_read(asked.handle, buffer_->memory.bytes().subspan(read_bytes_, asked.size - bytes),
                     asked.offset + bytes);
    home_.shard().driver().submit(op_);
}

// Keeps the pieces that came whole; a short read is continued by the next one.
bool MessageReader::check(std::size_t bytes) {
    std::size_t at = 0;
    std::size_t good = 0;
    while (good < pieces_read_) {
        const Piece& piece = message_.pieces[next_piece_ + good];
        if (at + padded(piece) > bytes) {
            break;
        }
        const base::Bytes content = buffer_->memory.bytes().subspan(at, piece.bytes);
        if (base::crc32c(0, content) != piece.crc) {
            break;
        }
        at += padded(piece);
        ++good;
    }
    pieces_read_ = good;
    return good > 0;
}

void MessageReader::release() {
    waiter_ = nullptr;
    released_ = true;
    if (!op_.in_flight()) {
        close();
    }
}

void MessageReader::close() {
    if (buffer_ != nullptr) {
        home_.buffers().give_back(std::move(buffer_));
    }
    if (cached_ != nullptr) {
        home_.unpin(*std::exchange(cached_, nullptr));
    }
    for (Segment* segment : segments_) {
        home_.unpin(*segment);
    }
    segments_.clear();
    message_.clear();
    home_.recycle(*this);
}

}  // namespace store
