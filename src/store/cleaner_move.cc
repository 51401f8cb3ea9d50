// The copying: from where a message or an outcome is, through memory, into the cleaner's segment;
// and the word of it to the log.
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.h"
#include "base/crc32c.h"
#include "store/cleaner.h"
#include "store/log_reader.h"

namespace store {

// All of it, wherever it lies. What cannot be read stays.
rt::Task<void> Cleaner::take_message(mail::QueueId id) {
    const Message* message = links_.table.find(id);
    taken_.insert(id.value());
    std::vector<Segment*> sources{links_.segments.find(message->location().segment())};
    for (const format::SegmentShare& other : links_.table.other_segments(*message)) {
        sources.push_back(links_.segments.find(other.segment));
    }
    for (Segment* source : sources) {
        ++source->pins;
    }
    open_ = std::make_unique<Item>();
    open_->type = format::RecordType::commit;
    open_->id = id;
    open_->from = message->location();
    bool good = co_await read_commit(*open_);
    for (std::size_t i = 0; good && i < open_->pieces.size(); ++i) {
        good = co_await stage_piece(*open_, i);
    }
    if (good) {
        record_bytes_ += format::record_bytes(open_->payload.size());
        items_.push_back(std::move(open_));
    } else {
        std::erase_if(staged_,
                      [this](const StagedPiece& staged) { return staged.item == open_.get(); });
        open_.reset();
    }
    for (Segment* source : sources) {
        links_.segments.unpin(*source);
    }
}

rt::Task<bool> Cleaner::read_commit(Item& item) {
    Segment& segment = *links_.segments.find(item.from.segment());
    const ReadBufferPool::Lease buffer = links_.buffers.lease({links_.files.partition, item.from});
    const base::Result<Record> record =
        co_await read_record(links_.files.shard, segment, item.from, *buffer);
    StoredMessage stored;
    if (!record.has_value() || !decode_commit(*record, stored) || stored.id != item.id) {
        co_return false;
    }
    item.payload.assign(record->payload.begin(), record->payload.end());
    item.pieces = std::move(stored.pieces);
    co_return true;
}

// Its bytes come into memory, behind those that wait there already.
rt::Task<bool> Cleaner::stage_piece(Item& item, std::size_t number) {
    const Piece piece = item.pieces[number];
    const std::size_t padded = base::round_up(piece.bytes, format::kBlock);
    if (content_.size() == 0) {
        content_ = AlignedBuffer(content_bytes_max());
    }
    if (content_bytes_ + padded > content_.size()) {
        const bool flushed = co_await flush();
        if (!flushed) {
            co_return false;
        }
    }
    Segment* source = links_.segments.find(piece.segment);
    const std::uint64_t offset = std::uint64_t{piece.block} * format::kBlock;
    if (source == nullptr || padded > content_.size() || offset + padded > source->bytes) {
        co_return false;
    }
    const base::MutableBytes into = content_.bytes().subspan(content_bytes_, padded);
    const base::Status read =
        co_await read_fully(links_.files.shard, op_, source->handle.get(), into, offset);
    if (!read.has_value() || base::crc32c(0, into.first(piece.bytes)) != piece.crc) {
        co_return false;
    }
    std::memset(into.data() + piece.bytes, 0, padded - piece.bytes);
    copied_bytes_ += padded;
    staged_.push_back({&item, number, content_bytes_});
    content_bytes_ += padded;
    record_bytes_ += format::record_bytes(sizeof(format::Extent));
    co_return true;
}

std::size_t Cleaner::content_bytes_max() const {
    return std::min<std::size_t>(
        kContentBytes, links_.options.segment_bytes / 4 / format::kBlock * format::kBlock);
}

std::uint64_t Cleaner::area_bytes() const {
    std::uint64_t records = staged_.size() * format::record_bytes(sizeof(format::Extent));
    for (const std::unique_ptr<Item>& item : items_) {
        records += format::record_bytes(item->payload.size());
    }
    return base::round_up(sizeof(format::BatchHeader) + records, format::kBlock);
}

// Writes what waits as one batch. False: it cannot be, for want of room, or because all ends.
rt::Task<bool> Cleaner::flush() {
    if (staged_.empty() && items_.empty()) {
        co_return true;
    }
    const std::uint64_t area = area_bytes();
    bool good = !ending();
    if (good) {
        good = co_await make_room(area + content_bytes_);
    }
    if (good) {
        if (area_.size() < area) {
            area_ = AlignedBuffer(area);
        }
        put_records(area);
        good = co_await write(area, area + content_bytes_);
    }
    if (good) {
        hand_over();
    }
    staged_.clear();
    items_.clear();
    places_.clear();
    content_bytes_ = 0;
    record_bytes_ = 0;
    if (good) {
        co_await throttle();
    }
    co_return good;
}

// While the disk is full the log's own needs go first.
rt::Task<bool> Cleaner::make_room(std::uint64_t bytes) {
    while (active_ == nullptr || active_->bytes - active_->end < bytes) {
        const std::size_t needed = links_.pool.starved() ? kNeededWhileFull : 2;
        if (links_.pool.prepared() < needed) {
            links_.pool.want_all();
            const base::MonoTime again = links_.files.shard.now() + std::chrono::milliseconds(100);
            co_await sleep_.until(again);
            if (ending() || links_.pool.starved()) {
                no_room_ = true;
                co_return false;
            }
            continue;
        }
        std::unique_ptr<Segment> segment = links_.pool.take();
        active_ = segment.get();
        active_->moved = true;
        active_id_ = active_->id;
        links_.segments.push_back(std::move(segment));
        use(*active_);
        if (active_->bytes - active_->end < bytes) {
            no_room_ = true;  // a small one, from a full disk
            co_return false;
        }
    }
    co_return true;
}

// Alive while a pass is under way, so that no batch says that older segments are all there is.
void Cleaner::use(Segment& container) {
    links_.segments.hold(container.id, 0);
    held_.push_back(&container);
}

void Cleaner::put_records(std::uint64_t area) {
    RecordWriter writer(area_.bytes().subspan(sizeof header_, area - sizeof header_));
    const auto batch = static_cast<std::uint32_t>(active_->end / format::kBlock);
    const auto content = static_cast<std::uint32_t>((active_->end + area) / format::kBlock);
    for (const StagedPiece& staged : staged_) {
        Piece& piece = staged.item->pieces[staged.piece];
        piece.segment = static_cast<std::uint32_t>(active_->id);
        piece.block = content + static_cast<std::uint32_t>(staged.offset / format::kBlock);
        writer.put_record(
            format::RecordType::extent,
            format::Extent{staged.item->id.value(), static_cast<std::uint32_t>(staged.piece),
                           piece.block, piece.bytes, piece.crc});
    }
    places_.clear();
    for (const std::unique_ptr<Item>& item : items_) {
        const bool spans = std::ranges::any_of(
            item->pieces, [&](const Piece& piece) { return piece.segment != active_->id; });
        places_.emplace_back(active_->id, batch, writer.count(), spans);
        if (item->type == format::RecordType::commit) {
            replace_pieces(item->payload, item->pieces, active_->id);
        }
        writer.begin(item->type, item->payload.size());
        writer.put_bytes(item->payload);
        writer.end();
    }
    header_ = {};
    header_.flags = format::BatchHeader::kMoved;
    header_.sequence = next_sequence_++;
    header_.segment = active_->id;
    header_.epoch = links_.committer.epoch().epoch;
    header_.record_bytes = static_cast<std::uint32_t>(writer.size());
    header_.record_count = writer.count();
    header_.data_blocks = static_cast<std::uint32_t>(content_bytes_ / format::kBlock);
    header_.written_ms = base::unix_ms(links_.files.shard.wall_now());
    const std::size_t used = sizeof header_ + writer.size();
    std::memset(area_.bytes().data() + used, 0, area - used);
    format::sign_batch(area_.bytes(), header_, active_->seed, active_->end);
}

rt::Task<bool> Cleaner::write(std::uint64_t area, std::uint64_t bytes) {
    vector_[0] = {area_.bytes().data(), area};
    vector_[1] = {content_.size() == 0 ? nullptr : content_.bytes().data(), content_bytes_};
    op_.prepare_write_vector(active_->handle.get(), vector_.data(), content_bytes_ > 0 ? 2 : 1,
                             active_->end);
    std::int32_t result = co_await op_.submit(links_.files.shard);
    bool good = result == static_cast<std::int32_t>(bytes);
    if (good && !links_.files.direct) {
        op_.prepare_sync(active_->handle.get());
        result = co_await op_.submit(links_.files.shard);
        good = result == 0;
    }
    if (dead()) {
        co_return false;
    }
    if (!good) {
        links_.files.shard.driver().fatal(
            "cannot write moved mail in " + links_.files.path + ": " +
            (result >= 0 ? "it came short" : base::Error(-result).describe()) +
            "; nothing is lost; check the disk, then start again");
        co_return false;
    }
    active_->end += bytes;
    active_->last_sequence = header_.sequence;
    ++links_.counters.cleaner_batches;
    links_.counters.cleaner_bytes += bytes;
    copied_bytes_ += bytes;
    co_return true;
}

// Those that have ended, or moved on, meanwhile are passed over here or when it is durable.
void Cleaner::hand_over() {
    for (std::size_t i = 0; i < items_.size(); ++i) {
        const Item& item = *items_[i];
        format::Relocation fixed;
        fixed.id = item.id.value();
        fixed.from = item.from.value();
        fixed.to = places_[i].value();
        fixed.recipient = item.recipient;
        std::vector<format::SegmentShare> others;
        if (item.type == format::RecordType::commit) {
            std::uint64_t stored = 0;
            for (const Piece& piece : item.pieces) {
                stored += piece.bytes;
            }
            find_other_shares(item.pieces, places_[i].segment(), others);
            fixed.units = own_units(stored, item.payload.size(), others);
            fixed.others = static_cast<std::uint32_t>(others.size());
            ++links_.counters.messages_moved;
        }
        links_.committer.relocate(fixed, others);
    }
}

// A little at a time: what waits for the disk meanwhile waits for that. Beyond the bound there is
// no time to lose.
rt::Task<void> Cleaner::throttle() {
    const std::uint64_t owed = copied_bytes_ + walk_.bytes_read() - paid_bytes_;
    const std::uint64_t rate = links_.options.cleaner_bytes_per_s;
    if (owed < rate / 100 || ending()) {
        co_return;
    }
    paid_bytes_ += owed;
    if (!wanted(kBound, count_dead().bytes)) {
        const base::MonoTime until =
            links_.files.shard.now() + std::chrono::microseconds(owed * 1'000'000 / rate);
        co_await sleep_.until(until);
    }
}

}  // namespace store
