#include "app/spool_report.h"

#include <array>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/clean_text.h"
#include "store/format.h"

namespace app {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<const char*, store::kRecipientStatusMax + 1> kStates = {
    "pending", "deferred", "delivered", "failed", "expired", "held", "deleted"};

void put(std::FILE* out, const std::string& line) {
    std::fwrite(line.data(), 1, line.size(), out);
    std::fputc('\n', out);
}

std::string dumped(const Json& json) {
    return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string counted(std::uint64_t number, std::string_view one, std::string_view many) {
    return fmt::format("{} {}", number, number == 1 ? one : many);
}

std::string ids_of(const store::Finding& finding) {
    std::string ids;
    for (const mail::QueueId id : finding.messages) {
        ids += (ids.empty() ? "" : ", ") + std::string(mail::view(id.text()));
    }
    return ids;
}

}  // namespace

std::string finding_line(const store::Finding& finding, bool json) {
    const bool error = finding.severity == store::Finding::Severity::error;
    if (json) {
        Json line = {{"type", "finding"}, {"severity", error ? "error" : "note"}};
        if (finding.partition) {
            line["partition"] = *finding.partition;
        }
        line["what"] = finding.what;
        line["refused"] = finding.refused;
        line["messages"] = Json::array();
        for (const mail::QueueId id : finding.messages) {
            line["messages"].push_back(std::string(mail::view(id.text())));
        }
        return dumped(line);
    }
    std::string line = error ? "error: " : "note: ";
    if (finding.partition) {
        line += store::format::partition_name(*finding.partition) + ": ";
    }
    append_clean(line, finding.what, CleanStyle::plain);
    if (!finding.messages.empty()) {
        line += finding.messages.size() == 1 ? "; it hits message " : "; it hits messages ";
        line += ids_of(finding);
    }
    if (finding.refused) {
        line += "; a start is refused for it";
    }
    return line;
}

void SpoolReport::finding(const store::Finding& finding) {
    (finding.severity == store::Finding::Severity::error ? errors_ : notes_) += 1;
    put(out_, finding_line(finding, json_));
}

void SpoolReport::totals(const store::PartitionTotals& totals) {
    ++partitions_;
    messages_ += totals.messages;
    bytes_ += totals.bytes;
    Json states = Json::object();
    std::string words;
    for (std::size_t i = 0; i < kStates.size(); ++i) {
        recipients_ += totals.recipients[i];
        states[kStates[i]] = totals.recipients[i];
        if (totals.recipients[i] > 0) {
            words += fmt::format("{}{} {}", words.empty() ? " (" : ", ", totals.recipients[i],
                                 kStates[i]);
        }
    }
    std::uint64_t all = 0;
    for (const std::uint64_t count : totals.recipients) {
        all += count;
    }
    if (json_) {
        put(out_, dumped({{"type", "partition"},
                          {"partition", totals.partition},
                          {"segments", totals.segments},
                          {"free_segments", totals.free_segments},
                          {"batches", totals.batches},
                          {"messages", totals.messages},
                          {"recipients", states},
                          {"content_bytes", totals.bytes},
                          {"checkpoints", totals.checkpoints},
                          {"watermark", totals.watermark}}));
        return;
    }
    std::string checkpoints;
    for (const std::uint64_t generation : totals.checkpoints) {
        checkpoints += (checkpoints.empty() ? "" : ", ") + std::to_string(generation);
    }
    put(out_, fmt::format("{}: {} and {} free, {}, {} live, {}{}, {} of content, checkpoints {}, "
                          "watermark {}",
                          store::format::partition_name(totals.partition),
                          counted(totals.segments, "segment", "segments"), totals.free_segments,
                          counted(totals.batches, "batch", "batches"),
                          counted(totals.messages, "message", "messages"),
                          counted(all, "recipient", "recipients"), words.empty() ? "" : words + ")",
                          counted(totals.bytes, "byte", "bytes"),
                          checkpoints.empty() ? "none" : checkpoints, totals.watermark));
}

void SpoolReport::summary(const std::string& path) {
    if (json_) {
        put(out_, dumped({{"type", "summary"},
                          {"spool", path},
                          {"sound", errors_ == 0},
                          {"partitions", partitions_},
                          {"messages", messages_},
                          {"recipients", recipients_},
                          {"content_bytes", bytes_},
                          {"errors", errors_},
                          {"notes", notes_}}));
        return;
    }
    std::string line = "the spool ";
    append_clean(line, path, CleanStyle::plain);
    line +=
        errors_ == 0 ? " is sound: " : " is damaged: " + counted(errors_, "error", "errors") + ", ";
    put(out_, line + fmt::format("{}, {} live, {}, {} of content",
                                 counted(partitions_, "partition", "partitions"),
                                 counted(messages_, "message", "messages"),
                                 counted(recipients_, "recipient", "recipients"),
                                 counted(bytes_, "byte", "bytes")));
}

}  // namespace app
