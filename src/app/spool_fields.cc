#include "app/spool_fields.h"

#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/timestamp.h"
#include "store/attempt_history.h"
#include "store/checkpoint_page.h"

namespace app {
namespace {

using Json = SpoolFields::Json;
namespace format = store::format;

std::string location_text(store::Location location) {
    return location.nowhere() ? "nowhere"
                              : fmt::format("{:08x}/{}/{}", location.segment(), location.block(),
                                            location.index());
}

const char* status_text(std::uint8_t status) {
    switch (static_cast<store::RecipientStatus>(status)) {
        case store::RecipientStatus::pending:
            return "pending";
        case store::RecipientStatus::deferred:
            return "deferred";
        case store::RecipientStatus::delivered:
            return "delivered";
        case store::RecipientStatus::failed:
            return "failed";
        case store::RecipientStatus::expired:
            return "expired";
        case store::RecipientStatus::held:
            return "held";
        case store::RecipientStatus::deleted:
            return "deleted";
    }
    return "unknown";
}

Json commit_fields(const store::StoredMessage& message) {
    Json recipients = Json::array();
    for (std::size_t i = 0; i < message.envelope.recipient_count(); ++i) {
        recipients.push_back(std::string(message.envelope.recipient(i)));
    }
    Json pieces = Json::array();
    for (const store::Piece& piece : message.pieces) {
        pieces.push_back(fmt::format("{:08x}/{}+{}", piece.segment, piece.block, piece.bytes));
    }
    return {{"type", "commit"},
            {"id", id_text(message.id.value())},
            {"arrival", iso8601(message.arrival)},
            {"from", std::string(message.envelope.reverse_path())},
            {"to", std::move(recipients)},
            {"stored_bytes", message.facts.stored_bytes},
            {"dot_stuffed", message.facts.dot_stuffed},
            {"stuffed_dots", message.facts.stuffed_dots},
            {"eight_bit", message.facts.has_8bit},
            {"eight_bit_header", message.facts.has_8bit_header},
            {"ends_in_crlf", message.facts.ends_in_crlf},
            {"smtputf8", message.envelope.parameters.smtputf8},
            {"body_8bitmime", message.envelope.parameters.body_8bitmime},
            {"declared_bytes", message.envelope.parameters.size_bytes},
            {"client", message.client_address},
            {"helo", message.helo},
            {"protocol", message.protocol},
            {"added_headers", std::string(message.added_headers)},
            {"pieces", std::move(pieces)}};
}

// The attempts before the one that the record tells of.
Json history_fields(const store::StoredOutcome& outcome) {
    store::AttemptHistory history;
    Json runs = Json::array();
    if (!history.decode(base::as_bytes(outcome.history))) {
        return "malformed";
    }
    for (const store::AttemptRun& run : history.runs()) {
        Json one{{"first", time_text(base::unix_ms(run.first))},
                 {"last", time_text(base::unix_ms(run.last))},
                 {"count", run.count}};
        if (run.gap) {
            one["gap"] = true;
        } else {
            std::string dsn;
            mail::append_status(dsn, run.status);
            one["code"] = run.code;
            one["dsn"] = dsn;
            one["reply"] = std::string(run.reply);
            one["relay"] = std::string(run.relay);
        }
        runs.push_back(std::move(one));
    }
    return runs;
}

Json outcome_fields(const store::StoredOutcome& outcome) {
    std::string dsn;
    mail::append_status(dsn, outcome.reply.status);
    return {{"type", "outcome"},
            {"id", id_text(outcome.id.value())},
            {"recipient", outcome.recipient},
            {"status", status_text(static_cast<std::uint8_t>(outcome.status))},
            {"attempts", outcome.attempts},
            {"at", time_text(base::unix_ms(outcome.at))},
            {"next_attempt", time_text(base::unix_ms(outcome.next_attempt))},
            {"code", outcome.reply.code},
            {"dsn", dsn},
            {"reply", outcome.reply.text},
            {"relay", outcome.relay},
            {"delay_told", outcome.delay_told},
            {"history", history_fields(outcome)}};
}

Json open_fields(const std::vector<format::SegmentEnd>& ends) {
    Json list = Json::array();
    for (const format::SegmentEnd& end : ends) {
        list.push_back(fmt::format("{:08x} ends at {} with batch {}", end.segment, end.end,
                                   end.last_sequence));
    }
    return {{"type", "segment_open"}, {"ends", std::move(list)}};
}

Json segments_text(std::span<const format::SegmentShare> shares) {
    Json names = Json::array();
    for (const format::SegmentShare& share : shares) {
        names.push_back(fmt::format("{:08x}", share.segment));
    }
    return names;
}

Json relocation_fields(const store::StoredRelocation& relocation) {
    const format::Relocation& fixed = relocation.fixed;
    Json fields{{"type", "relocation"},
                {"id", id_text(fixed.id)},
                {"from", location_text(store::Location(fixed.from))},
                {"to", location_text(store::Location(fixed.to))}};
    if (fixed.recipient == format::Relocation::kMessage) {
        fields["other_segments"] = segments_text(relocation.others);
    } else {
        fields["recipient"] = fixed.recipient;
    }
    return fields;
}

Json change_fields(const store::StoredChange& change) {
    Json recipients = Json::array();
    for (const store::RecipientChange& one : change.recipients) {
        recipients.push_back({{"recipient", one.recipient},
                              {"status", status_text(static_cast<std::uint8_t>(one.status))},
                              {"next_attempt", time_text(std::int64_t{one.next_s} * 1000)}});
    }
    return {{"type", "change"},
            {"id", id_text(change.id.value())},
            {"rules_met", change.rules_met},
            {"more", change.more},
            {"recipients", std::move(recipients)}};
}

// What it does not ask for is left out.
Json rule_fields(const store::Rule& rule) {
    Json fields{{"type", "rule"},
                {"rule", rule.number},
                {"action", name_of(rule.action)},
                {"given", time_text(rule.at_ms)},
                {"newest", id_text(rule.newest.value())}};
    if (rule.only != mail::QueueId()) {
        fields["id"] = id_text(rule.only.value());
    }
    if (rule.arrived_from_ms != store::Rule().arrived_from_ms) {
        fields["arrived_from"] = time_text(rule.arrived_from_ms);
    }
    if (rule.arrived_until_ms != store::Rule().arrived_until_ms) {
        fields["arrived_until"] = time_text(rule.arrived_until_ms);
    }
    for (std::uint8_t status = 0; status <= store::kRecipientStatusMax; ++status) {
        if ((rule.statuses >> status & 1U) != 0) {
            fields["states"].push_back(status_text(status));
        }
    }
    for (const auto& [name, text] :
         {std::pair("sender", &rule.sender), std::pair("recipient", &rule.recipient),
          std::pair("domain", &rule.domain), std::pair("tenant", &rule.tenant),
          std::pair("words", &rule.words)}) {
        if (!text->empty()) {
            fields[name] = *text;
        }
    }
    return fields;
}

// Of the records that are small and fixed.
Json small_fields(const store::Record& record) {
    if (const auto extent = store::decode_extent(record)) {
        return {{"type", "extent"},       {"id", id_text(extent->id)},
                {"piece", extent->piece}, {"block", extent->block},
                {"bytes", extent->bytes}, {"crc", fmt::format("{:08x}", extent->crc)}};
    }
    if (const auto finish = store::decode_finish(record)) {
        return {{"type", "finish"},
                {"id", id_text(finish->id)},
                {"commit", location_text(store::Location(finish->commit))}};
    }
    if (const auto epoch = store::decode_epoch(record)) {
        return {{"type", "epoch"},
                {"epoch", epoch->epoch},
                {"salvaged_below", epoch->salvaged_below},
                {"started", time_text(epoch->started_ms)}};
    }
    if (const auto summary = store::decode_summary(record)) {
        return {{"type", "summary"},
                {"first_batch", summary->first_sequence},
                {"last_batch", summary->last_sequence},
                {"commits", summary->commits},
                {"outcomes", summary->outcomes},
                {"finishes", summary->finishes},
                {"content_bytes", summary->content_bytes}};
    }
    if (const auto relocation = store::decode_relocation(record)) {
        return relocation_fields(*relocation);
    }
    if (const auto change = store::decode_change(record)) {
        return change_fields(*change);
    }
    if (const auto rule = store::decode_rule(record)) {
        return rule_fields(*rule);
    }
    if (const auto end = store::decode_rule_end(record)) {
        return {{"type", "rule_end"}, {"rule", end->number}};
    }
    if (record.type == format::RecordType::seal) {
        return {{"type", "seal"}};
    }
    return {{"type", "unknown"},
            {"number", static_cast<unsigned>(record.type)},
            {"version", record.version},
            {"flags", record.flags},
            {"bytes", record.payload.size()}};
}

Json checkpointed_fields(const store::CheckpointedMessage& message) {
    Json recipients = Json::array();
    for (std::uint32_t i = 0; i < message.fixed.count; ++i) {
        const format::CheckpointRecipient one = message.recipient(i);
        recipients.push_back({{"recipient", message.fixed.first + i},
                              {"status", status_text(one.status)},
                              {"attempts", one.attempts},
                              {"next_attempt", time_text(std::int64_t{one.next_s} * 1000)},
                              {"outcome", location_text(store::Location(one.outcome))}});
    }
    return {{"type", "checkpoint_message"},
            {"id", id_text(message.fixed.id)},
            {"commit", location_text(store::Location(message.fixed.location))},
            {"arrival", time_text(message.fixed.arrival_ms)},
            {"recipients", message.fixed.recipients},
            {"other_segments", segments_text(message.other_segments())},
            {"states", std::move(recipients)}};
}

}  // namespace

std::string id_text(std::uint64_t id) {
    return std::string(mail::view(mail::QueueId(id).text()));
}

std::string time_text(std::int64_t ms) {
    return ms == 0 ? "never" : iso8601(store::clamped_wall_time(ms));
}

SpoolFields::Json SpoolFields::of_log(const store::Record& record) {
    std::vector<format::SegmentEnd> ends;
    if (store::decode_commit(record, message_)) {
        return commit_fields(message_);
    }
    if (store::decode_outcome(record, outcome_)) {
        return outcome_fields(outcome_);
    }
    if (store::decode_segment_open(record, ends)) {
        return open_fields(ends);
    }
    return small_fields(record);
}

SpoolFields::Json SpoolFields::of_checkpoint(const store::Record& record) {
    if (const auto start = store::decode_checkpoint_start(record)) {
        return {{"type", "checkpoint_start"},
                {"first_batch", start->sequence},
                {"segment", fmt::format("{:08x}", start->segment)},
                {"offset", start->offset},
                {"first_segment", fmt::format("{:08x}", start->first_segment)},
                {"salvaged_below", start->salvaged_below},
                {"epoch", start->epoch},
                {"segments", start->segments},
                {"rules", start->rules},
                {"newest_rule", start->newest_rule},
                {"written", time_text(start->written_ms)}};
    }
    if (const auto segment = store::decode_checkpoint_segment(record)) {
        return {{"type", "checkpoint_segment"},
                {"segment", fmt::format("{:08x}", segment->segment)},
                {"end", segment->end},
                {"last_batch", segment->last_sequence}};
    }
    if (const auto message = store::decode_checkpoint_message(record)) {
        return checkpointed_fields(*message);
    }
    return small_fields(record);
}

}  // namespace app
