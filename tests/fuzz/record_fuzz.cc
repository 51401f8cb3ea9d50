// The bytes of a segment, as recovery and deliveries take them apart: nothing in them may make the
// reader crash, run on or read outside them. Checksums are made right first, since a fuzzer cannot
// guess them, wherever a block begins with a batch's magic number.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/assert.h"
#include "base/bytes.h"
#include "store/format.h"
#include "store/record_reader.h"
#include "store/replay.h"

namespace {

constexpr std::uint64_t kSegment = 7;

// Signs what lies there as if it were a batch, with its sizes brought into the segment.
void make_valid(std::vector<std::byte>& segment, std::size_t offset,
                const store::format::PlaceSeed& seed) {
    store::format::BatchHeader header;
    std::memcpy(&header, segment.data() + offset, sizeof header);
    const std::size_t room = segment.size() - offset;
    header.segment = kSegment;
    header.record_bytes %= static_cast<std::uint32_t>(room - sizeof header + 1);
    header.data_blocks = 0;
    store::format::sign_batch(base::MutableBytes(segment).subspan(offset), header, seed, offset);
}

void read_all(const store::Record& record, store::Replay& replay, store::Location location) {
    store::StoredMessage message;
    store::StoredOutcome outcome;
    std::vector<store::format::SegmentEnd> ends;
    if (store::decode_commit(record, message)) {
        RP_ASSERT(store::decode_commit_fixed(record).has_value());
        std::size_t bytes = message.envelope.reverse_path().size();
        for (std::size_t i = 0; i < message.envelope.recipient_count(); ++i) {
            bytes += message.envelope.recipient(i).size();
        }
        RP_ASSERT(bytes <= record.payload.size());
    }
    static_cast<void>(store::decode_outcome(record, outcome));
    static_cast<void>(store::decode_segment_open(record, ends));
    static_cast<void>(store::decode_extent(record));
    static_cast<void>(store::decode_summary(record));
    static_cast<void>(store::decode_finish(record));
    static_cast<void>(store::decode_epoch(record));
    static_cast<void>(replay.apply(record, location));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using store::format::kBlock;
    if (size < sizeof(store::format::BatchHeader) || size > 64 * std::size_t{kBlock}) {
        return 0;
    }
    std::vector<std::byte> segment(base::round_up(size, kBlock));
    std::memcpy(segment.data(), data, size);
    store::format::SegmentHeader header;
    static_cast<void>(store::format::read_block(base::Bytes(segment).first(kBlock), header));

    const store::format::PlaceSeed seed(store::StoreId{}, 0, kSegment);
    store::Replay replay;
    for (std::size_t offset = 0; offset < segment.size();) {
        if (base::load_le<std::uint32_t>(segment.data() + offset) ==
            store::format::BatchHeader::kMagic) {
            make_valid(segment, offset, seed);
        }
        const auto batch = store::format::batch_header_at(
            base::Bytes(segment).subspan(offset, kBlock), seed, kSegment, offset, segment.size());
        if (!batch) {
            offset += kBlock;
            continue;
        }
        const base::Bytes records = base::Bytes(segment).subspan(
            offset + sizeof(store::format::BatchHeader), batch->record_bytes);
        RP_ASSERT(store::format::records_valid(*batch, records, seed, offset));
        store::RecordReader reader(records, batch->record_count);
        while (const auto record = reader.next()) {
            const std::uint32_t index = reader.index() % store::Location::kIndexMax;
            read_all(*record, replay,
                     store::Location(kSegment, static_cast<std::uint32_t>(offset / kBlock), index,
                                     false));
        }
        offset += batch->bytes();
    }
    for (const store::Replay::Message& message : replay.finish()) {
        RP_ASSERT(replay.recipients(message).size() == message.recipients);
    }
    return 0;
}
