#include "store/record_reader.h"

#include <algorithm>
#include <cstring>

#include "store/location.h"

namespace store {
namespace {

// The structure at the front of `payload`, when the record is of that type and long enough.
template <typename T>
std::optional<T> fixed_part(const Record& record, format::RecordType type) {
    if (record.type != type || record.payload.size() < sizeof(T)) {
        return std::nullopt;
    }
    T value;
    std::memcpy(&value, record.payload.data(), sizeof value);
    return value;
}

bool take_recipients(base::Bytes bytes, std::uint32_t count, mail::Envelope& envelope) {
    for (std::uint32_t i = 0; i < count; ++i) {
        if (bytes.size() < sizeof(std::uint16_t)) {
            return false;
        }
        const std::size_t size = base::load_le<std::uint16_t>(bytes.data());
        bytes = bytes.subspan(sizeof(std::uint16_t));
        if (bytes.size() < size) {
            return false;
        }
        envelope.add_recipient(base::as_text(bytes.first(size)));
        bytes = bytes.subspan(size);
    }
    return bytes.empty();
}

// The structure at the front of `bytes`, taken off; nothing when they are too few.
template <typename T>
std::optional<T> take(base::Bytes& bytes) {
    if (bytes.size() < sizeof(T)) {
        return std::nullopt;
    }
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes = bytes.subspan(sizeof value);
    return value;
}

std::string_view take_text(base::Bytes& bytes, std::size_t size) {
    const std::string_view text = base::as_text(bytes.first(std::min(size, bytes.size())));
    bytes = bytes.subspan(text.size());
    return text;
}

// What does not parse as the parameter that it should be counts as not given: a message is not lost
// for it.
void take_dsn(base::Bytes bytes, mail::Envelope& envelope) {
    const auto fixed = take<format::Dsn>(bytes);
    if (!fixed) {
        return;
    }
    if (fixed->ret <= static_cast<std::uint8_t>(mail::ReturnContent::headers)) {
        envelope.parameters.ret = static_cast<mail::ReturnContent>(fixed->ret);
    }
    if (const std::string_view id = take_text(bytes, fixed->envelope_id_bytes);
        mail::is_envelope_id(id)) {
        envelope.set_envelope_id(id);
    }
    while (const auto one = take<format::DsnRecipient>(bytes)) {
        const std::string_view original = take_text(bytes, one->original_bytes);
        if (one->recipient >= envelope.recipient_count()) {
            continue;
        }
        const auto bits = static_cast<std::uint8_t>(one->notify & mail::Notify::kAll);
        envelope.set_notify(one->recipient, {bits});
        if (mail::is_original_recipient(original)) {
            envelope.set_original_recipient(one->recipient, original);
        }
    }
}

bool take_commit_field(const FieldReader::Field& field, const format::Commit& fixed,
                       StoredMessage& into) {
    using Field = format::CommitField;
    switch (static_cast<Field>(field.tag)) {
        case Field::reverse_path:
            into.envelope.set_reverse_path(base::as_text(field.value));
            return true;
        case Field::recipients:
            return into.envelope.recipient_count() == 0 &&
                   take_recipients(field.value, fixed.recipients, into.envelope);
        case Field::client_address:
            into.client_address.assign(base::as_text(field.value));
            return true;
        case Field::helo:
            into.helo.assign(base::as_text(field.value));
            return true;
        case Field::protocol:
            into.protocol.assign(base::as_text(field.value));
            return true;
        case Field::added_headers:
            into.added_headers = base::as_text(field.value);
            return true;
        case Field::pieces:
            if (field.value.size() != std::uint64_t{fixed.pieces} * sizeof(Piece)) {
                return false;
            }
            into.pieces.resize(fixed.pieces);
            if (fixed.pieces > 0) {
                std::memcpy(into.pieces.data(), field.value.data(), field.value.size());
            }
            return true;
        case Field::dsn:
            return true;  // when the recipients are known
    }
    return !field.critical;
}

bool tells_of_delay(base::Bytes value) {
    return !value.empty() && (std::to_integer<std::uint8_t>(value[0]) & format::kDelayTold) != 0;
}

std::uint32_t rules_met(base::Bytes value) {
    std::uint32_t number = 0;
    if (value.size() == sizeof number) {
        std::memcpy(&number, value.data(), sizeof number);
    }
    return number;
}

}  // namespace

void StoredMessage::clear() {
    id = {};
    arrival = {};
    facts = {};
    envelope.clear();
    client_address.clear();
    helo.clear();
    protocol.clear();
    added_headers = {};
    kept_headers.clear();
    pieces.clear();
}

void StoredMessage::keep() {
    kept_headers.assign(added_headers);
    added_headers = kept_headers;
}

std::optional<Record> RecordReader::next() {
    if (malformed_ || given_ == count_) {
        malformed_ = malformed_ || !left_.empty();
        return std::nullopt;
    }
    format::RecordHeader header;
    if (left_.size() < sizeof header) {
        malformed_ = true;
        return std::nullopt;
    }
    std::memcpy(&header, left_.data(), sizeof header);
    const std::uint64_t size = format::record_bytes(header.bytes);
    if (left_.size() < size) {
        malformed_ = true;
        return std::nullopt;
    }
    const Record record{header.type, header.flags, header.version,
                        left_.subspan(sizeof header, header.bytes)};
    left_ = left_.subspan(size);
    ++given_;
    return record;
}

std::optional<FieldReader::Field> FieldReader::next() {
    if (left_.empty() || malformed_) {
        return std::nullopt;
    }
    format::FieldHeader header;
    if (left_.size() < sizeof header) {
        malformed_ = true;
        return std::nullopt;
    }
    std::memcpy(&header, left_.data(), sizeof header);
    if (left_.size() - sizeof header < header.bytes) {
        malformed_ = true;
        return std::nullopt;
    }
    const Field field{header.tag, (header.flags & format::FieldHeader::kCritical) != 0,
                      left_.subspan(sizeof header, header.bytes)};
    left_ = left_.subspan(sizeof header + header.bytes);
    return field;
}

std::optional<format::Extent> decode_extent(const Record& record) {
    return fixed_part<format::Extent>(record, format::RecordType::extent);
}

std::optional<format::Commit> decode_commit_fixed(const Record& record) {
    const auto fixed = fixed_part<format::Commit>(record, format::RecordType::commit);
    // Each recipient and each piece takes its room in the payload.
    if (!fixed || std::uint64_t{fixed->recipients} * sizeof(std::uint16_t) +
                          std::uint64_t{fixed->pieces} * sizeof(Piece) >
                      record.payload.size() - sizeof *fixed) {
        return std::nullopt;
    }
    return fixed;
}

bool decode_commit(const Record& record, StoredMessage& into) {
    into.clear();
    const auto fixed = decode_commit_fixed(record);
    if (!fixed) {
        return false;
    }
    into.id = mail::QueueId(fixed->id);
    into.arrival = clamped_wall_time(fixed->arrival_ms);
    into.facts.stored_bytes = fixed->stored_bytes;
    into.facts.stuffed_dots = fixed->stuffed_dots;
    into.facts.dot_stuffed = (fixed->content_flags & format::Commit::kDotStuffed) != 0;
    into.facts.has_8bit = (fixed->content_flags & format::Commit::kHas8bit) != 0;
    into.facts.has_8bit_header = (fixed->content_flags & format::Commit::kHas8bitHeader) != 0;
    into.facts.ends_in_crlf = (fixed->content_flags & format::Commit::kEndsInCrlf) != 0;
    into.envelope.parameters.smtputf8 = (fixed->parameter_flags & format::Commit::kSmtpUtf8) != 0;
    into.envelope.parameters.body_8bitmime =
        (fixed->parameter_flags & format::Commit::k8BitMime) != 0;
    into.envelope.parameters.size_bytes = fixed->declared_bytes;

    FieldReader fields(record.payload.subspan(sizeof *fixed));
    base::Bytes dsn;
    while (const auto field = fields.next()) {
        if (!take_commit_field(*field, *fixed, into)) {
            return false;
        }
        if (field->tag == static_cast<std::uint16_t>(format::CommitField::dsn)) {
            dsn = field->value;
        }
    }
    take_dsn(dsn, into.envelope);
    std::uint64_t bytes = 0;
    for (const Piece& piece : into.pieces) {
        bytes += piece.bytes;
    }
    return !fields.malformed() && into.envelope.recipient_count() == fixed->recipients &&
           into.pieces.size() == fixed->pieces && bytes == fixed->stored_bytes;
}

std::optional<format::OutcomeFixed> decode_outcome_fixed(const Record& record) {
    const auto fixed = fixed_part<format::OutcomeFixed>(record, format::RecordType::outcome);
    if (!fixed || fixed->status > kRecipientStatusMax) {
        return std::nullopt;
    }
    return fixed;
}

namespace {

// The value of that field of an outcome, alone; empty where it has none.
base::Bytes outcome_field(const Record& record, format::OutcomeField tag) {
    if (record.payload.size() < sizeof(format::OutcomeFixed)) {
        return {};
    }
    FieldReader fields(record.payload.subspan(sizeof(format::OutcomeFixed)));
    while (const auto field = fields.next()) {
        if (field->tag == static_cast<std::uint16_t>(tag)) {
            return field->value;
        }
    }
    return {};
}

}  // namespace

bool decode_delay_told(const Record& record) {
    return tells_of_delay(outcome_field(record, format::OutcomeField::told));
}

std::uint32_t decode_rules_met(const Record& record) {
    return rules_met(outcome_field(record, format::OutcomeField::rules_met));
}

bool decode_outcome(const Record& record, StoredOutcome& into) {
    const auto fixed = decode_outcome_fixed(record);
    if (!fixed) {
        return false;
    }
    into.id = mail::QueueId(fixed->id);
    into.recipient = fixed->recipient;
    into.status = static_cast<RecipientStatus>(fixed->status);
    into.attempts = fixed->attempts;
    into.at = clamped_wall_time(fixed->at_ms);
    into.next_attempt = clamped_wall_time(fixed->next_attempt_ms);
    into.reply.code = fixed->code;
    into.reply.status = {fixed->dsn_class, fixed->dsn_subject, fixed->dsn_detail};
    into.reply.text.clear();
    into.relay.clear();
    into.delay_told = false;
    into.rules_met = 0;
    into.history.clear();
    FieldReader fields(record.payload.subspan(sizeof *fixed));
    while (const auto field = fields.next()) {
        switch (static_cast<format::OutcomeField>(field->tag)) {
            case format::OutcomeField::reply:
                into.reply.text.assign(base::as_text(field->value));
                continue;
            case format::OutcomeField::relay:
                into.relay.assign(base::as_text(field->value));
                continue;
            case format::OutcomeField::told:
                into.delay_told = tells_of_delay(field->value);
                continue;
            case format::OutcomeField::rules_met:
                into.rules_met = rules_met(field->value);
                continue;
            case format::OutcomeField::history:
                into.history.assign(base::as_text(field->value));
                continue;
        }
        if (field->critical) {
            return false;
        }
    }
    return !fields.malformed();
}

std::optional<format::Finish> decode_finish(const Record& record) {
    return fixed_part<format::Finish>(record, format::RecordType::finish);
}

std::optional<format::Epoch> decode_epoch(const Record& record) {
    return fixed_part<format::Epoch>(record, format::RecordType::epoch);
}

std::optional<format::Summary> decode_summary(const Record& record) {
    return fixed_part<format::Summary>(record, format::RecordType::summary);
}

bool decode_segment_open(const Record& record, std::vector<format::SegmentEnd>& ends) {
    const auto fixed = fixed_part<format::SegmentOpen>(record, format::RecordType::segment_open);
    if (!fixed || record.payload.size() - sizeof *fixed !=
                      std::uint64_t{fixed->count} * sizeof(format::SegmentEnd)) {
        return false;
    }
    base::Bytes left = record.payload.subspan(sizeof *fixed);
    for (std::uint32_t i = 0; i < fixed->count; ++i) {
        format::SegmentEnd end;
        std::memcpy(&end, left.data(), sizeof end);
        ends.push_back(end);
        left = left.subspan(sizeof end);
    }
    return true;
}

base::WallTime clamped_wall_time(std::int64_t ms) {
    constexpr std::int64_t kMax = base::unix_ms(base::WallTime::max());
    return base::wall_from_unix_ms(std::clamp(ms, -kMax, kMax));
}

std::optional<StoredRelocation> decode_relocation(const Record& record) {
    StoredRelocation stored;
    format::Relocation& fixed = stored.fixed;
    if (record.type != format::RecordType::relocation || record.payload.size() < sizeof fixed) {
        return std::nullopt;
    }
    std::memcpy(&fixed, record.payload.data(), sizeof fixed);
    const base::Bytes others = record.payload.subspan(sizeof fixed);
    if (others.size() != std::uint64_t{fixed.others} * sizeof(format::SegmentShare) ||
        Location(fixed.to).nowhere() || Location(fixed.from).nowhere() ||
        Location(fixed.to).spans() != (fixed.others > 0)) {
        return std::nullopt;
    }
    stored.others.resize(fixed.others);
    if (!others.empty()) {
        std::memcpy(stored.others.data(), others.data(), others.size());
    }
    return stored;
}

bool is_known(format::RecordType type) {
    switch (type) {
        case format::RecordType::extent:
        case format::RecordType::commit:
        case format::RecordType::outcome:
        case format::RecordType::finish:
        case format::RecordType::segment_open:
        case format::RecordType::epoch:
        case format::RecordType::seal:
        case format::RecordType::summary:
        case format::RecordType::relocation:
        case format::RecordType::change:
        case format::RecordType::rule:
        case format::RecordType::rule_end:
        case format::RecordType::checkpoint_start:
        case format::RecordType::checkpoint_segment:
        case format::RecordType::checkpoint_message:
            return true;
    }
    return false;
}

}  // namespace store
