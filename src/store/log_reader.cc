#include "store/log_reader.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.h"

namespace store {

rt::Task<base::Status> read_fully(rt::Shard& shard, rt::AwaitableOp& op, io::Handle file,
                                  base::MutableBytes into, std::uint64_t offset) {
    while (!into.empty()) {
        op.prepare_read(file, into, offset);
        const std::int32_t result = co_await op.submit(shard);
        if (result == -EINTR || result == -EAGAIN) {
            continue;
        }
        if (result < 0) {
            co_return base::fail(-result);
        }
        if (result == 0) {
            co_return base::fail(ENODATA);
        }
        // Direct reads go on in whole blocks, and give them: the file is a whole number of them.
        std::size_t got = static_cast<std::size_t>(result);
        if (got > format::kBlock) {
            got = got / format::kBlock * format::kBlock;
        }
        into = into.subspan(got);
        offset += got;
    }
    co_return base::Status();
}

namespace {

// Reads the batch's header and records to the front of `buffer`, and checks them.
rt::Task<base::Status> fill(rt::Shard& shard, Segment& segment, Location location,
                            ReadBuffer& buffer) {
    const std::uint64_t offset = std::uint64_t{location.block()} * format::kBlock;
    if (offset < format::kBlock || offset >= segment.bytes) {
        co_return base::fail(EUCLEAN);
    }
    std::size_t guess = std::min<std::uint64_t>(4 * format::kBlock, segment.bytes - offset);
    base::Status status = co_await read_fully(shard, buffer.op, segment.handle.get(),
                                              buffer.memory.bytes().first(guess), offset);
    if (!status.has_value() && guess > format::kBlock) {
        // What cannot be read may be content, or another batch.
        guess = format::kBlock;
        status = co_await read_fully(shard, buffer.op, segment.handle.get(),
                                     buffer.memory.bytes().first(guess), offset);
    }
    if (!status.has_value()) {
        co_return status;
    }
    const auto header = format::batch_header_at(buffer.memory.bytes(), segment.seed, segment.id,
                                                offset, segment.bytes);
    if (!header) {
        co_return base::fail(EUCLEAN);
    }
    const std::uint64_t area = header->record_area_bytes();
    if (area > guess) {
        buffer.grow(area);
        status = co_await read_fully(shard, buffer.op, segment.handle.get(),
                                     buffer.memory.bytes().first(area), offset);
        if (!status.has_value()) {
            co_return status;
        }
    }
    const base::Bytes records = base::Bytes(buffer.memory.bytes())
                                    .subspan(sizeof(format::BatchHeader), header->record_bytes);
    if (!format::records_valid(*header, records, segment.seed, offset)) {
        co_return base::fail(EUCLEAN);
    }
    co_return base::Status();
}

}  // namespace

rt::Task<base::Result<Record>> read_record(rt::Shard& shard, Segment& segment, Location location,
                                           ReadBuffer& buffer) {
    RP_ASSERT(buffer.place == BatchPlace(buffer.place.partition, location));
    if (!buffer.holds) {
        const base::Status filled = co_await fill(shard, segment, location, buffer);
        if (!filled.has_value()) {
            co_return base::fail(filled.error().number());
        }
        buffer.holds = true;
    }
    format::BatchHeader header;
    std::memcpy(&header, buffer.memory.bytes().data(), sizeof header);
    const base::Bytes records =
        base::Bytes(buffer.memory.bytes()).subspan(sizeof header, header.record_bytes);
    RecordReader reader(records, header.record_count);
    while (const auto record = reader.next()) {
        if (reader.index() == location.index()) {
            co_return *record;
        }
    }
    co_return base::fail(EUCLEAN);
}

}  // namespace store
