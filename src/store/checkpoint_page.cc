#include "store/checkpoint_page.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "base/crc32c.h"

namespace store {
namespace {

constexpr std::size_t kCrcFrom = offsetof(format::CheckpointPage, generation);

std::uint32_t page_crc(base::Bytes page, const format::PlaceSeed& seed, std::uint32_t number) {
    return base::crc32c(seed.at(std::uint64_t{number} * format::CheckpointPage::kBytes),
                        page.subspan(kCrcFrom));
}

template <typename T>
std::optional<T> decode(const Record& record, format::RecordType type) {
    if (record.type != type || record.payload.size() != sizeof(T)) {
        return std::nullopt;
    }
    T value;
    std::memcpy(&value, record.payload.data(), sizeof value);
    return value;
}

}  // namespace

CheckpointPageWriter::CheckpointPageWriter(base::MutableBytes page, std::uint64_t generation,
                                           std::uint32_t number)
    : page_(page), writer_(page.subspan(sizeof(format::CheckpointPage))) {
    RP_ASSERT(page.size() == format::CheckpointPage::kBytes);
    header_.generation = generation;
    header_.number = number;
}

std::size_t CheckpointPageWriter::room() const {
    return page_.size() - sizeof header_ - writer_.size();
}

bool CheckpointPageWriter::put(const format::CheckpointStart& start) {
    if (room() < format::record_bytes(sizeof start)) {
        return false;
    }
    writer_.put_record(format::RecordType::checkpoint_start, start);
    return true;
}

bool CheckpointPageWriter::put(const format::CheckpointSegment& segment) {
    if (room() < format::record_bytes(sizeof segment)) {
        return false;
    }
    writer_.put_record(format::RecordType::checkpoint_segment, segment);
    return true;
}

bool CheckpointPageWriter::put(const Rule& rule) {
    if (room() < format::record_bytes(rule_payload_bytes(rule))) {
        return false;
    }
    put_rule(writer_, rule);
    return true;
}

std::uint32_t CheckpointPageWriter::put(const Message& message,
                                        std::span<const format::SegmentShare> others,
                                        std::uint32_t first) {
    const std::span<const RecipientState> recipients = message.recipients();
    const std::uint64_t fixed =
        sizeof(format::RecordHeader) + sizeof(format::CheckpointMessage) + others.size_bytes();
    // Room for the padding, too.
    const std::uint64_t one = sizeof(format::CheckpointRecipient);
    if (room() < fixed + one + format::kRecordAlign) {
        RP_ASSERT(!empty());  // a message of more segments than a page can name
        return 0;
    }
    const std::uint64_t most = (room() - fixed - format::kRecordAlign) / one;
    const auto count =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(most, recipients.size() - first));
    writer_.begin(format::RecordType::checkpoint_message,
                  sizeof(format::CheckpointMessage) + others.size_bytes() + count * one);
    writer_.put(format::CheckpointMessage{
        message.id().value(), message.location().value(), message.arrival_ms(),
        static_cast<std::uint32_t>(recipients.size()), first, count,
        static_cast<std::uint32_t>(others.size()), message.units(), message.rules_met});
    writer_.put_bytes(std::as_bytes(others));
    for (const RecipientState& state : recipients.subspan(first, count)) {
        writer_.put(format::CheckpointRecipient{
            state.outcome.value(), state.next_s, state.attempts,
            static_cast<std::uint8_t>(state.status),
            state.delay_told ? format::CheckpointRecipient::kDelayTold : std::uint8_t{0}});
    }
    writer_.end();
    return count;
}

void CheckpointPageWriter::finish(const format::PlaceSeed& seed, bool last) {
    header_.flags = last ? format::CheckpointPage::kLast : 0;
    header_.record_bytes = static_cast<std::uint32_t>(writer_.size());
    header_.record_count = writer_.count();
    const std::size_t used = sizeof header_ + writer_.size();
    std::memset(page_.data() + used, 0, page_.size() - used);
    std::memcpy(page_.data(), &header_, sizeof header_);
    header_.crc = page_crc(page_, seed, header_.number);
    std::memcpy(page_.data(), &header_, sizeof header_);
}

std::vector<format::SegmentShare> CheckpointedMessage::other_segments() const {
    std::vector<format::SegmentShare> shares(others.size() / sizeof(format::SegmentShare));
    if (!shares.empty()) {
        std::memcpy(shares.data(), others.data(), others.size());
    }
    return shares;
}

format::CheckpointRecipient CheckpointedMessage::recipient(std::size_t index) const {
    format::CheckpointRecipient value;
    std::memcpy(&value, recipients.data() + index * sizeof value, sizeof value);
    return value;
}

std::optional<format::CheckpointPage> checkpoint_page_at(base::Bytes page,
                                                         const format::PlaceSeed& seed,
                                                         std::uint64_t generation,
                                                         std::uint32_t number) {
    format::CheckpointPage header;
    if (page.size() != format::CheckpointPage::kBytes) {
        return std::nullopt;
    }
    std::memcpy(&header, page.data(), sizeof header);
    const bool good = header.magic == format::CheckpointPage::kMagic &&
                      header.version <= format::kVersion && header.generation == generation &&
                      header.number == number &&
                      header.record_bytes <= page.size() - sizeof header &&
                      header.crc == page_crc(page, seed, number);
    return good ? std::optional(header) : std::nullopt;
}

RecordReader checkpoint_records(base::Bytes page, const format::CheckpointPage& header) {
    return {page.subspan(sizeof header, header.record_bytes), header.record_count};
}

std::optional<format::CheckpointStart> decode_checkpoint_start(const Record& record) {
    return decode<format::CheckpointStart>(record, format::RecordType::checkpoint_start);
}

std::optional<format::CheckpointSegment> decode_checkpoint_segment(const Record& record) {
    return decode<format::CheckpointSegment>(record, format::RecordType::checkpoint_segment);
}

std::optional<CheckpointedMessage> decode_checkpoint_message(const Record& record) {
    CheckpointedMessage message;
    format::CheckpointMessage& fixed = message.fixed;
    if (record.type != format::RecordType::checkpoint_message ||
        record.payload.size() < sizeof fixed) {
        return std::nullopt;
    }
    std::memcpy(&fixed, record.payload.data(), sizeof fixed);
    const base::Bytes rest = record.payload.subspan(sizeof fixed);
    const std::uint64_t others = std::uint64_t{fixed.others} * sizeof(format::SegmentShare);
    const std::uint64_t recipients =
        std::uint64_t{fixed.count} * sizeof(format::CheckpointRecipient);
    if (others + recipients != rest.size() || fixed.recipients == 0 || fixed.count == 0 ||
        std::uint64_t{fixed.first} + fixed.count > fixed.recipients ||
        Location(fixed.location).nowhere() ||
        Location(fixed.location).spans() != (fixed.others > 0)) {
        return std::nullopt;
    }
    message.others = rest.first(others);
    message.recipients = rest.subspan(others);
    for (std::size_t i = 0; i < fixed.count; ++i) {
        if (message.recipient(i).status > kRecipientStatusMax) {
            return std::nullopt;
        }
    }
    return message;
}

}  // namespace store
