#include "store/checkpoint_reader.h"

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "rt/scope.h"
#include "store/log_reader.h"

namespace store {

format::PlaceSeed checkpoint_seed(const PartitionFiles& files, std::uint64_t generation) {
    constexpr std::uint32_t kNoSegment = 1U << 31U;  // apart from the segments of that number
    return {files.store, files.partition | kNoSegment, generation};
}

CheckpointReader::CheckpointReader(PartitionFiles& files, MessageTable& table, RuleTable& rules)
    : files_(files), table_(table), rules_(rules) {}

rt::Task<bool> CheckpointReader::read(std::uint64_t generation) {
    RP_ASSERT(table_.size() == 0);
    segments_.clear();
    bytes_ = 0;
    unread_ = true;
    name_ = format::checkpoint_name(generation);
    const base::Result<io::Handle> opened = co_await open_file();
    open_error_ = opened.has_value() ? 0 : opened.error().number();
    if (!opened.has_value()) {
        fault_ = "it cannot be opened (" + opened.error().describe() + ")";
        co_return false;
    }
    const io::OwnedHandle file(files_.shard.driver(), *opened);
    unread_ = false;
    const bool good = co_await read_pages(*opened, generation);
    if (!good) {
        table_.clear();
        rules_.clear();
    }
    co_return good;
}

// It is read once: past the kernel's cache, where that can be.
rt::Task<base::Result<io::Handle>> CheckpointReader::open_file() {
    io::OpenMode mode;
    mode.direct = files_.direct;
    op_.prepare_open(files_.directory, name_.c_str(), mode);
    std::int32_t opened = co_await op_.submit(files_.shard);
    if (opened == -EINVAL && mode.direct) {
        mode.direct = false;
        op_.prepare_open(files_.directory, name_.c_str(), mode);
        opened = co_await op_.submit(files_.shard);
    }
    if (opened < 0) {
        co_return base::fail(-opened);
    }
    co_return opened;
}

rt::Task<void> CheckpointReader::read_piece(Piece& piece, io::Handle file, std::uint64_t number,
                                            std::uint64_t pages) {
    constexpr std::size_t kPage = format::CheckpointPage::kBytes;
    piece.pages = pages;
    const base::MutableBytes memory = piece.memory.bytes().first(pages * kPage);
    piece.status = co_await read_fully(files_.shard, piece.op, file, memory, number * kPage);
}

rt::Task<bool> CheckpointReader::read_pages(io::Handle file, std::uint64_t generation) {
    const base::Result<std::uint64_t> size = files_.shard.driver().file_size(file);
    const std::uint64_t pages = size.value_or(0) / format::CheckpointPage::kBytes;
    // Each message is a record of this length at least.
    constexpr std::uint64_t kLeast = format::record_bytes(sizeof(format::CheckpointMessage) +
                                                          sizeof(format::CheckpointRecipient));
    table_.reserve(std::min(size.value_or(0) / kLeast, kReservedMost));
    rt::Scope ahead(files_.shard, "checkpoint");
    co_await read_piece(pieces_[0], file, 0, std::min<std::uint64_t>(kPagesPerRead, pages));
    fault_ = "it ends too soon";
    bool good = true;
    bool last = false;
    for (std::uint64_t number = 0, at = 0; good && !last && number < pages; at = 1 - at) {
        Piece& piece = pieces_[at];
        const std::uint64_t next = number + piece.pages;
        if (next < pages) {
            ahead.spawn(read_piece(pieces_[1 - at], file, next,
                                   std::min<std::uint64_t>(kPagesPerRead, pages - next)));
            co_await rt::NextTurn();  // it is on its way then
        }
        good = take_piece(piece, generation, number, last);
        number = next;
        co_await ahead.join();
    }
    co_return good&& last;
}

bool CheckpointReader::take_piece(const Piece& piece, std::uint64_t generation,
                                  std::uint64_t number, bool& last) {
    constexpr std::size_t kPage = format::CheckpointPage::kBytes;
    if (!piece.status.has_value()) {
        fault_ = "it cannot be read";
        unread_ = true;
        return false;
    }
    const format::PlaceSeed seed = checkpoint_seed(files_, generation);
    for (std::uint64_t i = 0; i < piece.pages && !last; ++i, ++number) {
        const base::Bytes page = base::Bytes(piece.memory.bytes()).subspan(i * kPage, kPage);
        if (!take_page(page, seed, generation, static_cast<std::uint32_t>(number), last)) {
            fault_ = "a page of it is damaged";
            return false;
        }
        bytes_ = (number + 1) * kPage;
    }
    return true;
}

bool CheckpointReader::take_page(base::Bytes page, const format::PlaceSeed& seed,
                                 std::uint64_t generation, std::uint32_t number, bool& last) {
    const auto header = checkpoint_page_at(page, seed, generation, number);
    if (!header) {
        return false;
    }
    RecordReader records = checkpoint_records(page, *header);
    RecordReader ahead = records;
    for (std::size_t i = 0; i < kRecordsAhead; ++i) {
        prefetch(ahead.next());
    }
    bool first = number == 0;
    while (const auto record = records.next()) {
        prefetch(ahead.next());
        if (!take_record(*record, first)) {
            return false;
        }
        first = false;
    }
    last = (header->flags & format::CheckpointPage::kLast) != 0;
    return !records.malformed() && !first &&
           (!last || (segments_.size() == start_.segments && rules_.all().size() == start_.rules));
}

void CheckpointReader::prefetch(const std::optional<Record>& record) const {
    if (record && record->type == format::RecordType::checkpoint_message &&
        record->payload.size() >= sizeof(std::uint64_t)) {
        table_.prefetch(mail::QueueId(base::load_le<std::uint64_t>(record->payload.data())));
    }
}

bool CheckpointReader::take_record(const Record& record, bool first) {
    if (first) {
        const auto start = decode_checkpoint_start(record);
        start_ = start.value_or(format::CheckpointStart());
        rules_.became_durable(start_.newest_rule);
        return start.has_value();
    }
    if (const auto message = decode_checkpoint_message(record)) {
        return take_message(*message);
    }
    if (const auto segment = decode_checkpoint_segment(record)) {
        segments_.push_back(*segment);
        return true;
    }
    if (const auto rule = decode_rule(record)) {
        rules_.add(*rule);
        return true;
    }
    return false;
}

bool CheckpointReader::take_message(const CheckpointedMessage& stored) {
    const mail::QueueId id(stored.fixed.id);
    Message* message = table_.find(id);
    if (message == nullptr) {
        const MessagePlace place{id, Location(stored.fixed.location), stored.fixed.arrival_ms,
                                 stored.fixed.recipients, stored.fixed.units};
        message = &table_.add(place, stored.other_segments());
    } else if (message->recipients().size() != stored.fixed.recipients) {
        return false;
    }
    message->rules_met = stored.fixed.rules_met;
    rules_.saw(stored.fixed.rules_met);
    for (std::uint32_t i = 0; i < stored.fixed.count; ++i) {
        const format::CheckpointRecipient from = stored.recipient(i);
        RecipientState& to = message->recipients()[stored.fixed.first + i];
        to.outcome = Location(from.outcome);
        to.next_s = from.next_s;
        to.attempts = from.attempts;
        to.status = static_cast<RecipientStatus>(from.status);
        to.delay_told = (from.flags & format::CheckpointRecipient::kDelayTold) != 0;
    }
    return true;
}

}  // namespace store
