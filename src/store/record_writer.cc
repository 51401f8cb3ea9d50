#include "store/record_writer.h"

#include <algorithm>
#include <cstring>

#include "base/assert.h"
#include "store/attempt_history.h"
#include "store/record_reader.h"
#include "store/store.h"

namespace store {
namespace {

constexpr std::size_t kPathBytesMax = 65535;

template <typename Tag>
constexpr std::uint16_t number(Tag tag) {
    return static_cast<std::uint16_t>(tag);
}

std::uint64_t field_bytes(std::uint64_t value) {
    return value == 0 ? 0 : sizeof(format::FieldHeader) + value;
}

std::uint64_t recipients_bytes(const mail::Envelope& envelope) {
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < envelope.recipient_count(); ++i) {
        bytes += sizeof(std::uint16_t) + std::min(envelope.recipient(i).size(), kPathBytesMax);
    }
    return bytes;
}

bool has_dsn(const mail::Envelope& envelope, std::size_t recipient) {
    return envelope.notify(recipient).given() || !envelope.original_recipient(recipient).empty();
}

// The parser that took them bounds ENVID and ORCPT to much less than 65,535 octets.
std::uint64_t dsn_bytes(const mail::Envelope& envelope) {
    if (!envelope.has_dsn()) {
        return 0;
    }
    std::uint64_t bytes = sizeof(format::Dsn) + envelope.envelope_id().size();
    for (std::size_t i = 0; i < envelope.recipient_count(); ++i) {
        bytes += has_dsn(envelope, i)
                     ? sizeof(format::DsnRecipient) + envelope.original_recipient(i).size()
                     : 0;
    }
    return bytes;
}

void put_dsn(RecordWriter& writer, const mail::Envelope& envelope) {
    const std::uint64_t bytes = dsn_bytes(envelope);
    if (bytes == 0) {
        return;
    }
    writer.begin_field(number(format::CommitField::dsn), bytes);
    format::Dsn fixed;
    fixed.ret = static_cast<std::uint8_t>(envelope.parameters.ret);
    fixed.envelope_id_bytes = static_cast<std::uint16_t>(envelope.envelope_id().size());
    writer.put(fixed);
    writer.put_bytes(base::as_bytes(envelope.envelope_id()));
    for (std::size_t i = 0; i < envelope.recipient_count(); ++i) {
        if (!has_dsn(envelope, i)) {
            continue;
        }
        const std::string_view original = envelope.original_recipient(i);
        format::DsnRecipient one;
        one.recipient = static_cast<std::uint32_t>(i);
        one.notify = envelope.notify(i).bits;
        one.original_bytes = static_cast<std::uint16_t>(original.size());
        writer.put(one);
        writer.put_bytes(base::as_bytes(original));
    }
}

std::string_view cut(std::string_view text, std::size_t bytes_max) {
    return text.substr(0, bytes_max);
}

}  // namespace

void RecordWriter::begin(format::RecordType type, std::uint64_t payload) {
    RP_ASSERT(at_ % format::kRecordAlign == 0 && payload <= UINT32_MAX);
    format::RecordHeader header;
    header.type = type;
    header.bytes = static_cast<std::uint32_t>(payload);
    end_ = at_ + sizeof header + payload;
    put(header);
}

void RecordWriter::end() {
    RP_ASSERT(at_ == end_);
    const std::size_t padded = base::round_up(at_, format::kRecordAlign);
    RP_ASSERT(padded <= into_.size());
    std::memset(into_.data() + at_, 0, padded - at_);
    at_ = padded;
    ++count_;
}

void RecordWriter::put_bytes(base::Bytes bytes) {
    RP_ASSERT(bytes.size() <= into_.size() - at_);
    if (!bytes.empty()) {
        std::memcpy(into_.data() + at_, bytes.data(), bytes.size());
    }
    at_ += bytes.size();
}

void RecordWriter::begin_field(std::uint16_t tag, std::uint64_t bytes) {
    format::FieldHeader header;
    header.tag = tag;
    header.bytes = static_cast<std::uint32_t>(bytes);
    put(header);
}

void RecordWriter::put_field(std::uint16_t tag, std::string_view text) {
    if (!text.empty()) {
        begin_field(tag, text.size());
        put_bytes(base::as_bytes(text));
    }
}

std::uint64_t commit_payload_bytes(const CommitParts& parts, std::size_t pieces) {
    return sizeof(format::Commit) + field_bytes(parts.envelope.reverse_path().size()) +
           field_bytes(recipients_bytes(parts.envelope)) +
           field_bytes(parts.client_address.size()) + field_bytes(parts.helo.size()) +
           field_bytes(parts.protocol.size()) + field_bytes(parts.added_headers.size()) +
           field_bytes(pieces * sizeof(Piece)) + field_bytes(dsn_bytes(parts.envelope));
}

void put_commit(RecordWriter& writer, const CommitParts& parts) {
    using Field = format::CommitField;
    const mail::Envelope& envelope = parts.envelope;
    const mail::ContentFacts& facts = parts.facts;
    format::Commit fixed;
    fixed.id = parts.id.value();
    fixed.arrival_ms = base::unix_ms(parts.arrival);
    fixed.stored_bytes = facts.stored_bytes;
    fixed.stuffed_dots = facts.stuffed_dots;
    fixed.declared_bytes = envelope.parameters.size_bytes;
    fixed.recipients = static_cast<std::uint32_t>(envelope.recipient_count());
    fixed.pieces = static_cast<std::uint32_t>(parts.pieces.size());
    fixed.content_flags = (facts.dot_stuffed ? format::Commit::kDotStuffed : 0U) |
                          (facts.has_8bit ? format::Commit::kHas8bit : 0U) |
                          (facts.has_8bit_header ? format::Commit::kHas8bitHeader : 0U) |
                          (facts.ends_in_crlf ? format::Commit::kEndsInCrlf : 0U);
    fixed.parameter_flags = (envelope.parameters.smtputf8 ? format::Commit::kSmtpUtf8 : 0U) |
                            (envelope.parameters.body_8bitmime ? format::Commit::k8BitMime : 0U);
    fixed.oldest_segment = static_cast<std::uint32_t>(parts.oldest_segment);

    writer.begin(format::RecordType::commit, commit_payload_bytes(parts, parts.pieces.size()));
    writer.put(fixed);
    writer.put_field(number(Field::reverse_path), envelope.reverse_path());
    if (const std::uint64_t bytes = recipients_bytes(envelope); bytes > 0) {
        writer.begin_field(number(Field::recipients), bytes);
        for (std::size_t i = 0; i < envelope.recipient_count(); ++i) {
            const std::string_view path = cut(envelope.recipient(i), kPathBytesMax);
            writer.put(static_cast<std::uint16_t>(path.size()));
            writer.put_bytes(base::as_bytes(path));
        }
    }
    writer.put_field(number(Field::client_address), parts.client_address);
    writer.put_field(number(Field::helo), parts.helo);
    writer.put_field(number(Field::protocol), parts.protocol);
    writer.put_field(number(Field::added_headers), parts.added_headers);
    if (!parts.pieces.empty()) {
        writer.begin_field(number(Field::pieces), parts.pieces.size_bytes());
        writer.put_bytes(std::as_bytes(parts.pieces));
    }
    put_dsn(writer, envelope);
    writer.end();
}

void replace_pieces(std::vector<std::byte>& payload, std::span<const Piece> pieces,
                    std::uint64_t segment) {
    const auto oldest =
        static_cast<std::uint32_t>(pieces.empty() ? segment : pieces.front().segment);
    std::memcpy(payload.data() + offsetof(format::Commit, oldest_segment), &oldest, sizeof oldest);
    FieldReader fields(base::Bytes(payload).subspan(sizeof(format::Commit)));
    while (const auto field = fields.next()) {
        if (field->tag == number(format::CommitField::pieces)) {
            RP_ASSERT(field->value.size() == pieces.size_bytes());
            const std::ptrdiff_t at = field->value.data() - payload.data();
            std::memcpy(payload.data() + at, pieces.data(), pieces.size_bytes());
            return;
        }
    }
    RP_ASSERT(pieces.empty());
}

std::uint64_t outcome_payload_bytes(const Outcome& outcome) {
    return sizeof(format::OutcomeFixed) +
           field_bytes(cut(outcome.reply, Outcome::kReplyBytesMax).size()) +
           field_bytes(cut(outcome.relay, Outcome::kRelayBytesMax).size()) +
           field_bytes(outcome.delay_told ? sizeof format::kDelayTold : 0) +
           field_bytes(outcome.rules_met > 0 ? sizeof outcome.rules_met : 0) +
           field_bytes(outcome.history.size());
}

void put_outcome(RecordWriter& writer, mail::QueueId id, const Outcome& outcome) {
    using Field = format::OutcomeField;
    format::OutcomeFixed fixed;
    fixed.id = id.value();
    fixed.at_ms = base::unix_ms(outcome.at);
    fixed.next_attempt_ms = base::unix_ms(outcome.next_attempt);
    fixed.recipient = outcome.recipient;
    fixed.attempts = outcome.attempts;
    fixed.code = outcome.code;
    fixed.status = static_cast<std::uint8_t>(outcome.status);
    fixed.dsn_class = outcome.dsn.klass;
    fixed.dsn_subject = outcome.dsn.subject;
    fixed.dsn_detail = outcome.dsn.detail;
    RP_ASSERT(outcome.history.size() <= AttemptHistory::kBytesMax);
    writer.begin(format::RecordType::outcome, outcome_payload_bytes(outcome));
    writer.put(fixed);
    writer.put_field(number(Field::reply), cut(outcome.reply, Outcome::kReplyBytesMax));
    writer.put_field(number(Field::relay), cut(outcome.relay, Outcome::kRelayBytesMax));
    if (outcome.delay_told) {
        writer.begin_field(number(Field::told), sizeof format::kDelayTold);
        writer.put(format::kDelayTold);
    }
    if (outcome.rules_met > 0) {
        writer.begin_field(number(Field::rules_met), sizeof outcome.rules_met);
        writer.put(outcome.rules_met);
    }
    writer.put_field(number(Field::history), base::as_text(outcome.history));
    writer.end();
}

}  // namespace store
