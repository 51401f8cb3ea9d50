#include "store/transaction.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"
#include "base/crc32c.h"
#include "store/committer.h"

namespace store {

Transaction::Transaction(TransactionHome& home) : home_(home) {
    chunks_.reserve(kHeldChunksMax * 2);
    pieces_.reserve(kHeldChunksMax * 2);
    held_segments_.reserve(4);
}

Transaction::~Transaction() {
    RP_ASSERT(phase_ == Phase::idle && chunks_.empty());
}

void Transaction::transition(Phase to) {
    const bool good =
        (phase_ == Phase::idle && to == Phase::open) ||
        (phase_ == Phase::open &&
         (to == Phase::committing || to == Phase::over || to == Phase::abandoned)) ||
        (phase_ == Phase::committing && (to == Phase::over || to == Phase::abandoned)) ||
        (phase_ == Phase::over && (to == Phase::idle || to == Phase::abandoned)) ||
        (phase_ == Phase::abandoned && to == Phase::idle);
    RP_ASSERT(good);
    phase_ = to;
}

void Transaction::begin(Committer& committer, mail::QueueId id, base::WallTime arrival,
                        const mail::Origin& origin) {
    transition(Phase::open);
    committer_ = &committer;
    id_ = id;
    arrival_ = arrival;
    client_address_.assign(origin.client_address);
    helo_.assign(origin.helo);
    protocol_.assign(origin.protocol);
    result_ = mail::SinkState::ready;
}

mail::SinkState Transaction::append(std::string_view run, base::Waiter& waiter) {
    if (result_ != mail::SinkState::ready) {
        return result_;
    }
    RP_ASSERT(phase_ == Phase::open && waiter_ == nullptr);
    copy(run);
    const std::size_t full = placeable().size();
    const bool short_of_memory = home_.short_of_memory();
    if (full >= kStreamChunks || (short_of_memory && full > 0)) {
        committer_->stream(*this);
    }
    if (chunks_.size() > kHeldChunksMax || (short_of_memory && chunks_.size() > 1)) {
        waiter_ = &waiter;
        return mail::SinkState::wait;
    }
    return mail::SinkState::ready;
}

void Transaction::copy(std::string_view run) {
    bytes_ += run.size();
    while (!run.empty()) {
        if (chunks_.empty() || chunks_.back().bytes == ChunkPool::kChunkBytes ||
            chunks_.size() == placed_) {
            chunks_.push_back({home_.chunks().take(), 0, 0});
        }
        Chunk& chunk = chunks_.back();
        const std::size_t size =
            std::min<std::size_t>(run.size(), ChunkPool::kChunkBytes - chunk.bytes);
        std::byte* const to = chunk.memory + chunk.bytes;
        std::memcpy(to, run.data(), size);
        chunk.crc = base::crc32c(chunk.crc, base::Bytes(to, size));
        chunk.bytes += static_cast<std::uint32_t>(size);
        run.remove_prefix(size);
    }
}

void Transaction::commit(const mail::Envelope& envelope, const mail::ContentFacts& facts,
                         std::string_view added_headers, base::Waiter& waiter) {
    RP_ASSERT(phase_ == Phase::open || phase_ == Phase::over);
    RP_ASSERT(waiter_ == nullptr && facts.stored_bytes == bytes_);
    envelope_ = &envelope;
    facts_ = &facts;
    added_headers_ = added_headers;
    waiter_ = &waiter;
    if (phase_ == Phase::over) {
        // It failed while it streamed; the answer still comes later, as promised.
        committer_->fail_later(*this);
        return;
    }
    transition(Phase::committing);
    home_.data_phase_over();
    commit_payload_ = commit_payload_bytes(parts(), pieces_.size() + placeable().size());
    committer_->commit(*this);
}

mail::SinkState Transaction::state() const {
    RP_ASSERT(waiter_ == nullptr);
    return result_;
}

CommitParts Transaction::parts() const {
    return {id_,   arrival_,  *facts_,        *envelope_, client_address_,
            helo_, protocol_, added_headers_, pieces_,    oldest_segment()};
}

std::span<Transaction::Chunk> Transaction::placeable() {
    std::size_t count = chunks_.size() - placed_;
    if (count > 0 && phase_ != Phase::committing && chunks_.back().bytes < ChunkPool::kChunkBytes) {
        --count;
    }
    return std::span(chunks_).subspan(placed_, count);
}

std::uint64_t Transaction::unwritten_bytes() const {
    std::uint64_t bytes = commit_payload_;
    for (std::size_t i = placed_; i < chunks_.size(); ++i) {
        bytes += base::round_up(chunks_[i].bytes, format::kBlock);
    }
    return bytes;
}

void Transaction::place_next(std::uint64_t segment, std::uint32_t block) {
    Chunk& chunk = chunks_[placed_];
    ++placed_;
    pieces_.push_back({static_cast<std::uint32_t>(segment), block, chunk.bytes, chunk.crc});
    // What earlier messages left behind the content does not go to the disk again.
    const std::size_t padded = base::round_up(chunk.bytes, format::kBlock);
    std::memset(chunk.memory + chunk.bytes, 0, padded - chunk.bytes);
}

bool Transaction::cacheable() const {
    return chunks_.size() == pieces_.size() && chunks_.size() <= kCachedChunksMax;
}

void Transaction::written(bool committed) {
    if (committed) {
        RP_ASSERT(phase_ == Phase::committing);
        drop_chunks(chunks_.size());
        transition(Phase::over);
        wake(mail::SinkState::ready);
        return;
    }
    drop_chunks(placed_);
    if (phase_ == Phase::open && waiter_ != nullptr && chunks_.size() <= kStreamChunks) {
        wake(mail::SinkState::ready);
    } else if (phase_ == Phase::open && waiter_ != nullptr && !placeable().empty()) {
        committer_->stream(*this);
    }
}

void Transaction::drop_chunks(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
        home_.chunks().give_back(chunks_[i].memory);
    }
    chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(count));
    placed_ = 0;
}

void Transaction::fail(mail::SinkState state) {
    if (phase_ == Phase::open) {
        home_.data_phase_over();
        transition(Phase::over);
    } else if (phase_ == Phase::committing) {
        transition(Phase::over);
    }
    result_ = state;
    wake(state);
}

void Transaction::wake(mail::SinkState state) {
    result_ = state;
    if (waiter_ != nullptr) {
        std::exchange(waiter_, nullptr)->wake();
    }
}

// Before the wake of a commit this comes only when a dead program is unwound.
void Transaction::release() {
    waiter_ = nullptr;
    if (phase_ == Phase::open) {
        home_.data_phase_over();
    }
    transition(Phase::abandoned);
    committer_->abandon(*this);
}

void Transaction::recycle() {
    RP_ASSERT(!WorkNode::linked() && !BatchNode::linked() && held_segments_.empty());
    drop_chunks(chunks_.size());
    transition(Phase::idle);
    pieces_.clear();
    bytes_ = 0;
    commit_payload_ = 0;
    envelope_ = nullptr;
    facts_ = nullptr;
    added_headers_ = {};
    committer_ = nullptr;
    home_.recycle(*this);
}

}  // namespace store
