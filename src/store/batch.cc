#include "store/batch.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace store {
namespace {

constexpr std::size_t kAreaBytes = 64U << 10U;
// What outcomes may fill of a batch that is short because its segment is nearly full.
constexpr std::uint64_t kOutcomeBytesLeast = 16U << 10U;

std::uint32_t blocks_of(std::uint64_t bytes) {
    return static_cast<std::uint32_t>(base::round_up(bytes, format::kBlock) / format::kBlock);
}

}  // namespace

Batch::Batch() : area_(kAreaBytes) {
    parts_.reserve(kPiecesMax);
    vector_.reserve(kPiecesMax + 1);
}

void Batch::start(std::uint64_t room_bytes, std::uint64_t bytes_max) {
    parts_.clear();
    vector_.clear();
    room_bytes_ = room_bytes;
    bytes_max_ = std::min(bytes_max, room_bytes);
    record_bytes_ = 0;
    records_ = 0;
    blocks_ = 0;
    pieces_ = 0;
    content_bytes_ = 0;
    first_content_ = true;
}

bool Batch::reserve(const Need& need, std::uint64_t bytes_max) {
    const std::uint64_t total = sizeof(format::BatchHeader) + record_bytes_ + need.record_bytes;
    const std::uint64_t size =
        (std::uint64_t{blocks_of(total)} + blocks_ + need.blocks) * format::kBlock;
    if (size > bytes_max || total > INT32_MAX || records_ + 1 > kRecordsMax ||
        pieces_ + need.pieces > kPiecesMax) {
        return false;
    }
    record_bytes_ += need.record_bytes;
    ++records_;
    blocks_ += need.blocks;
    pieces_ += need.pieces;
    return true;
}

bool Batch::reserve_content(const Need& need) {
    if (!reserve(need, first_content_ ? room_bytes_ : bytes_max_)) {
        return false;
    }
    first_content_ = false;
    return true;
}

bool Batch::plan_record(std::uint64_t payload) {
    return reserve({.record_bytes = format::record_bytes(payload)}, room_bytes_);
}

bool Batch::plan_outcome(OutcomeBuffer& outcomes) {
    if (records_ >= kRecordsMax / 2 ||
        !reserve({.record_bytes = outcomes.next().bytes},
                 std::max(bytes_max_ / 2, std::min(room_bytes_, kOutcomeBytesLeast)))) {
        return false;
    }
    outcomes.plan();
    return true;
}

bool Batch::plan_transaction(Transaction& transaction) {
    Part part;
    part.transaction = &transaction;
    const std::span<Transaction::Chunk> chunks = transaction.placeable();
    bool all = parts_.size() < kPiecesMax;
    while (all && part.chunks < chunks.size()) {
        all = reserve_content({format::record_bytes(sizeof(format::Extent)),
                               blocks_of(chunks[part.chunks].bytes), 1});
        part.chunks += all ? 1 : 0;
    }
    if (all && transaction.committing()) {
        all = reserve_content({.record_bytes = format::record_bytes(transaction.commit_payload())});
        part.commit = all;
    }
    if (part.chunks > 0 || part.commit) {
        parts_.push_back(part);
    }
    return all;
}

RecordWriter& Batch::open(std::uint64_t segment, std::uint64_t offset) {
    RP_ASSERT(records_ > 0);
    segment_ = segment;
    offset_ = offset;
    const std::uint64_t area =
        base::round_up(sizeof(format::BatchHeader) + record_bytes_, format::kBlock);
    if (area > area_.size()) {
        area_ = AlignedBuffer(std::bit_ceil(area));
    }
    writer_ = RecordWriter(area_.bytes().subspan(sizeof(format::BatchHeader), record_bytes_));
    vector_.push_back({area_.bytes().data(), area});
    bytes_ = area + std::uint64_t{blocks_} * format::kBlock;
    return writer_;
}

void Batch::put_rest(const OutcomeBuffer& outcomes) {
    first_outcome_ = writer_.count();
    writer_.put_records(outcomes.planned_bytes(),
                        static_cast<std::uint32_t>(outcomes.planned().size()));
    auto block = static_cast<std::uint32_t>((offset_ + vector_.front().iov_len) / format::kBlock);
    for (Part& part : parts_) {
        put_part(part, block);
    }
    RP_ASSERT(writer_.size() == record_bytes_ && writer_.count() == records_);
}

void Batch::put_part(Part& part, std::uint32_t& block) {
    Transaction& transaction = *part.transaction;
    for (std::uint32_t i = 0; i < part.chunks; ++i) {
        const Transaction::Chunk chunk = transaction.placeable().front();
        const format::Extent extent{transaction.id().value(), transaction.placed_pieces(), block,
                                    chunk.bytes, chunk.crc};
        writer_.put_record(format::RecordType::extent, extent);
        transaction.place_next(segment_, block);
        const std::uint32_t blocks = blocks_of(chunk.bytes);
        vector_.push_back({chunk.memory, std::size_t{blocks} * format::kBlock});
        block += blocks;
        content_bytes_ += chunk.bytes;
    }
    if (part.commit) {
        const bool spans = transaction.oldest_segment() != segment_;
        part.location = Location(segment_, static_cast<std::uint32_t>(offset_ / format::kBlock),
                                 writer_.count(), spans);
        part.record_at = static_cast<std::uint32_t>(sizeof(format::BatchHeader) + writer_.size() +
                                                    sizeof(format::RecordHeader));
        part.record_bytes = static_cast<std::uint32_t>(transaction.commit_payload());
        put_commit(writer_, transaction.parts());
    }
}

void Batch::finish(format::BatchHeader& header, const format::PlaceSeed& seed) {
    header.segment = segment_;
    header.record_bytes = static_cast<std::uint32_t>(record_bytes_);
    header.record_count = records_;
    header.data_blocks = blocks_;
    const std::size_t used = sizeof header + record_bytes_;
    const base::MutableBytes area = area_.bytes();
    std::memset(area.data() + used, 0, vector_.front().iov_len - used);
    format::sign_batch(area, header, seed, offset_);
}

Location Batch::outcome_location(std::size_t index) const {
    return {segment_, static_cast<std::uint32_t>(offset_ / format::kBlock),
            first_outcome_ + static_cast<std::uint32_t>(index), false};
}

}  // namespace store
