#include "store/checkpoint_reader.h"

#include <algorithm>

#include "base/assert.h"
#include "store/log_reader.h"

namespace store {

format::PlaceSeed checkpoint_seed(const PartitionFiles& files, std::uint64_t generation) {
    constexpr std::uint32_t kNoSegment = 1U << 31U;  // apart from the segments of that number
    return {files.store, files.partition | kNoSegment, generation};
}

CheckpointReader::CheckpointReader(PartitionFiles& files, MessageTable& table, RuleTable& rules)
    : files_(files),
      table_(table),
      rules_(rules),
      memory_(kPagesPerRead * format::CheckpointPage::kBytes) {}

rt::Task<bool> CheckpointReader::read(std::uint64_t generation) {
    RP_ASSERT(table_.size() == 0);
    segments_.clear();
    bytes_ = 0;
    name_ = format::checkpoint_name(generation);
    op_.prepare_open(files_.directory, name_.c_str(), io::OpenMode());
    const std::int32_t opened = co_await op_.submit(files_.shard);
    fault_ = "it cannot be opened";
    if (opened < 0) {
        co_return false;
    }
    const io::OwnedHandle file(files_.shard.driver(), opened);
    const bool good = co_await read_pages(opened, generation);
    if (!good) {
        table_.clear();
        rules_.clear();
    }
    co_return good;
}

rt::Task<bool> CheckpointReader::read_pages(io::Handle file, std::uint64_t generation) {
    constexpr std::size_t kPage = format::CheckpointPage::kBytes;
    const base::Result<std::uint64_t> size = files_.shard.driver().file_size(file);
    const std::uint64_t pages = size.value_or(0) / kPage;
    const format::PlaceSeed seed = checkpoint_seed(files_, generation);
    fault_ = "it ends too soon";
    for (std::uint64_t number = 0; number < pages;) {
        const std::uint64_t count = std::min<std::uint64_t>(kPagesPerRead, pages - number);
        const base::MutableBytes memory = memory_.bytes().first(count * kPage);
        const base::Status status =
            co_await read_fully(files_.shard, op_, file, memory, number * kPage);
        if (!status.has_value()) {
            fault_ = "it cannot be read";
            co_return false;
        }
        for (std::uint64_t i = 0; i < count; ++i, ++number) {
            bool last = false;
            if (!take_page(memory.subspan(i * kPage, kPage), seed, generation,
                           static_cast<std::uint32_t>(number), last)) {
                fault_ = "a page of it is damaged";
                co_return false;
            }
            if (last) {
                bytes_ = (number + 1) * kPage;
                co_return true;
            }
        }
    }
    co_return false;
}

bool CheckpointReader::take_page(base::Bytes page, const format::PlaceSeed& seed,
                                 std::uint64_t generation, std::uint32_t number, bool& last) {
    const auto header = checkpoint_page_at(page, seed, generation, number);
    if (!header) {
        return false;
    }
    RecordReader records = checkpoint_records(page, *header);
    bool first = number == 0;
    while (const auto record = records.next()) {
        if (!take_record(*record, first)) {
            return false;
        }
        first = false;
    }
    last = (header->flags & format::CheckpointPage::kLast) != 0;
    return !records.malformed() && !first &&
           (!last || (segments_.size() == start_.segments && rules_.all().size() == start_.rules));
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
