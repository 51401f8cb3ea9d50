#include "app/spool_dump.h"

#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <openssl/base64.h>
#include <nlohmann/json.hpp>

#include "app/clean_text.h"
#include "app/spool_report.h"
#include "app/timestamp.h"
#include "store/attempt_history.h"
#include "store/checkpoint_page.h"

namespace app {
namespace {

using Json = nlohmann::ordered_json;
namespace format = store::format;

std::string id_text(std::uint64_t id) {
    return std::string(mail::view(mail::QueueId(id).text()));
}

std::string time_text(std::int64_t ms) {
    return ms == 0 ? "never" : iso8601(store::clamped_wall_time(ms));
}

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

Json checkpoint_fields(const store::Record& record) {
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

std::string dumped(const Json& json) {
    return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

void append_value(std::string& line, const Json& value) {
    if (value.is_string()) {
        const std::string& text = value.get_ref<const std::string&>();
        line += '"';
        append_clean(line, text, CleanStyle::quote);
        line += '"';
    } else if (value.is_array()) {
        line += '[';
        for (std::size_t i = 0; i < value.size(); ++i) {
            line += i == 0 ? "" : ", ";
            append_value(line, value[i]);
        }
        line += ']';
    } else if (value.is_object()) {
        bool first = true;
        for (const auto& [name, inner] : value.items()) {
            line += (std::exchange(first, false) ? "" : " ") + name + "=";
            append_value(line, inner);
        }
    } else {
        line += dumped(value);
    }
}

std::string base64(base::Bytes bytes) {
    std::string text(bytes.size() / 3 * 4 + 8, '\0');
    text.resize(EVP_EncodeBlock(reinterpret_cast<std::uint8_t*>(text.data()),
                                reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
    return text;
}

}  // namespace

// "p000/0000002a.seg 17/3 commit id="…" …", or the same as an object.
void SpoolDump::put(const std::string& place, const Json& fields) {
    if (choice_.content && !json_) {
        return;  // the content alone, byte for byte
    }
    std::string line;
    if (json_) {
        line = dumped(fields);
    } else {
        line = place;
        for (const auto& [name, value] : fields.items()) {
            if (name == "partition" || name == "segment_file" || name == "checkpoint_file" ||
                name == "place") {
                continue;  // the line begins with them
            }
            line += line.empty() ? "" : " ";
            if (name == "type") {
                line += value.get_ref<const std::string&>();
                continue;
            }
            line += name + "=";
            append_value(line, value);
        }
    }
    line += '\n';
    std::fwrite(line.data(), 1, line.size(), out_);
}

void SpoolDump::identity(const format::Identity& identity) {
    std::string store;
    for (const std::byte octet : identity.store) {
        store += fmt::format("{:02x}", static_cast<unsigned>(octet));
    }
    put("", {{"type", "identity"},
             {"store", store},
             {"format", identity.version},
             {"partitions", identity.partitions},
             {"created", time_text(identity.created_ms)}});
}

void SpoolDump::checkpoint(const store::CheckpointFacts& facts) {
    if (choice_.segment || choice_.message) {
        return;
    }
    const std::string name = format::checkpoint_name(facts.generation);
    put(format::partition_name(partition_) + "/" + name, {{"type", "checkpoint"},
                                                          {"partition", partition_},
                                                          {"generation", facts.generation},
                                                          {"bytes", facts.bytes},
                                                          {"valid", facts.valid},
                                                          {"bad_pages", facts.bad_pages}});
}

void SpoolDump::checkpoint_record(std::uint64_t generation, std::uint32_t page, std::uint32_t index,
                                  const store::Record& record) {
    if (choice_.segment) {
        return;
    }
    const auto message = store::decode_checkpoint_message(record);
    if (choice_.message && (!message || message->fixed.id != choice_.message->value())) {
        return;
    }
    found_message_ = found_message_ || !choice_.content;
    const std::string place = fmt::format("{}/{}", page, index);
    const Json inner = checkpoint_fields(record);
    Json fields = {{"type", inner["type"]},
                   {"partition", partition_},
                   {"checkpoint_file", format::checkpoint_name(generation)},
                   {"place", place}};
    fields.update(inner);
    put(format::partition_name(partition_) + "/" + format::checkpoint_name(generation) + " " +
            place,
        fields);
}

void SpoolDump::segment(const store::SegmentFacts& facts) {
    segment_ = facts.segment;
    found_segment_ = found_segment_ || chosen(segment_);
    if (choice_.message || !chosen(segment_)) {
        return;
    }
    const std::string name = format::segment_name(segment_);
    put(format::partition_name(partition_) + "/" + name, {{"type", "segment"},
                                                          {"partition", partition_},
                                                          {"segment_file", name},
                                                          {"kept", facts.kept},
                                                          {"bytes", facts.bytes},
                                                          {"end", facts.end},
                                                          {"last_batch", facts.last_sequence},
                                                          {"live", facts.live}});
}

void SpoolDump::batch(const format::BatchHeader& header, std::uint64_t offset, bool counts) {
    if (choice_.message || !chosen(segment_)) {
        return;
    }
    const std::string name = format::segment_name(segment_);
    const std::string place = std::to_string(offset / format::kBlock);
    put(format::partition_name(partition_) + "/" + name + " " + place,
        {{"type", "batch"},
         {"partition", partition_},
         {"segment_file", name},
         {"place", place},
         {"counts", counts},
         {"batch", header.sequence},
         {"watermark", header.watermark},
         {"first_segment", fmt::format("{:08x}", header.first_segment)},
         {"epoch", header.epoch},
         {"opens", (header.flags & format::BatchHeader::kOpens) != 0},
         {"records", header.record_count},
         {"record_bytes", header.record_bytes},
         {"content_blocks", header.data_blocks},
         {"written", time_text(header.written_ms)}});
}

void SpoolDump::record(const store::RecordPlace& at, const store::Record& record) {
    if (!chosen(at.segment)) {
        return;
    }
    Json inner;
    std::vector<format::SegmentEnd> ends;
    if (store::decode_commit(record, message_)) {
        inner = commit_fields(message_);
    } else if (store::decode_outcome(record, outcome_)) {
        inner = outcome_fields(outcome_);
    } else if (store::decode_segment_open(record, ends)) {
        inner = open_fields(ends);
    } else {
        inner = small_fields(record);
    }
    if (choice_.message && inner.value("id", "") != id_text(choice_.message->value())) {
        return;
    }
    found_message_ = found_message_ || !choice_.content;
    const std::string name = format::segment_name(at.segment);
    const std::string place = fmt::format("{}/{}", at.block, at.index);
    Json fields = {{"type", inner["type"]},
                   {"partition", partition_},
                   {"segment_file", name},
                   {"place", place}};
    fields.update(inner);
    put(format::partition_name(partition_) + "/" + name + " " + place, fields);
}

bool SpoolDump::wants_content(mail::QueueId id) {
    const bool wanted =
        choice_.content && choice_.message && *choice_.message == id && chosen(segment_);
    found_message_ = found_message_ || wanted;
    return wanted;
}

void SpoolDump::content(mail::QueueId id, std::size_t piece, std::optional<base::Bytes> bytes) {
    if (json_) {
        Json fields = {{"type", "content"},
                       {"partition", partition_},
                       {"id", id_text(id.value())},
                       {"piece", piece},
                       {"whole", bytes.has_value()}};
        if (bytes) {
            fields["base64"] = base64(*bytes);
        }
        put("", fields);
    } else if (bytes) {
        std::fwrite(bytes->data(), 1, bytes->size(), out_);
    } else {
        store::Finding lost;
        lost.partition = partition_;
        lost.what = "piece " + std::to_string(piece + 1) + " of the content is damaged or gone";
        lost.messages = {id};
        finding(lost);
    }
}

void SpoolDump::finding(const store::Finding& finding) {
    errors_ += finding.severity == store::Finding::Severity::error ? 1 : 0;
    const std::string line = "ringpost: " + finding_line(finding, false) + "\n";
    std::fwrite(line.data(), 1, line.size(), err_);
}

}  // namespace app
