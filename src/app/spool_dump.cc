#include "app/spool_dump.h"

#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <openssl/base64.h>
#include <nlohmann/json.hpp>

#include "app/clean_text.h"
#include "app/spool_report.h"
#include "store/checkpoint_page.h"

namespace app {
namespace {

using Json = nlohmann::ordered_json;
namespace format = store::format;

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
    const Json inner = SpoolFields::of_checkpoint(record);
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
    const Json inner = fields_.of_log(record);
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
