// `ringpost queue hold|release|retry|bounce|delete` and `ringpost queue stats`, on the client's
// side.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/cli.h"
#include "app/queue_client.h"
#include "app/queue_command.h"
#include "app/timestamp.h"

namespace app {
namespace {

using Json = nlohmann::ordered_json;

std::string counted(std::int64_t number, std::string_view one, std::string_view many) {
    return fmt::format("{} {}", number, number == 1 ? one : many);
}

std::string_view done_word(std::string_view action) {
    if (action == "hold") {
        return "held";
    }
    if (action == "release") {
        return "released";
    }
    if (action == "retry") {
        return "to be tried now";
    }
    return action == "bounce" ? "bounced" : "deleted";
}

// How far the walk is; and behind it, what keeps a rule from being done.
std::string standing_text(const Json& rule) {
    if (number_at(rule, "looked_at") < number_at(rule, "of")) {
        return looked_at_text(rule) + " of the queue looked at";
    }
    return text_at(rule, "action") == "bounce"
               ? "waiting for messages that are in delivery, or whose senders cannot be told yet"
               : "waiting for messages that are in delivery, or wait for an earlier command";
}

// As it was given: "--sender @src.test --state held".
std::string filter_text(const Json& rule) {
    const auto at = rule.find("filter");
    std::string text;
    if (at == rule.end() || !at->is_object()) {
        return text;
    }
    for (const auto& [name, value] : at->items()) {
        if (value.is_array()) {
            for (const Json& one : value) {
                text += " --state " +
                        cleaned(one.is_string() ? one.get<std::string>() : "", CleanStyle::token);
            }
        } else if (value.is_string()) {
            const std::string word = cleaned(value.get<std::string>(), CleanStyle::token);
            text += name == "id"              ? " " + word
                    : name == "arrived_until" ? " arrived until " + word
                    : name == "arrived_from"  ? " arrived since " + word
                                              : " --" + name + " " + word;
        }
    }
    return text.empty() ? " --all" : text;
}

std::string result_text(const Json& result, const std::string& action) {
    const std::string sum = counted(number_at(result, "messages"), "message", "messages") + ", " +
                            counted(number_at(result, "recipients"), "recipient", "recipients");
    if (flag_at(result, "done")) {
        return fmt::format("{} {}\n", sum, done_word(action));
    }
    return fmt::format(
        "rule {} is in force, over what it means of all that was queued when it was given; {} {} "
        "so far, {}; `ringpost queue stats` tells how far it is\n",
        number_at(result, "rule"), sum, done_word(action), standing_text(result));
}

double seconds_at(const Json& json, const char* name) {
    const auto at = json.find(name);
    return at != json.end() && at->is_number() ? at->get<double>() : 0;
}

// What runs beside the mail, and what that costs.
std::string store_text(const Json& store, std::int64_t up_s) {
    const auto cost = [&store](const char* busy, const char* longest) {
        return fmt::format("{:.2f} s of a core, {:.1f} ms at a time at most",
                           seconds_at(store, busy), 1000 * seconds_at(store, longest));
    };
    return fmt::format(
        "since the start, {} ago: {} of log; {}, {} ({}); cleaner: {} moved, {}, out of {} ({})\n",
        print_age(up_s), print_bytes(number_at(store, "log_bytes")),
        counted(number_at(store, "checkpoints"), "checkpoint", "checkpoints"),
        print_bytes(number_at(store, "checkpoint_bytes")),
        cost("checkpoint_busy_s", "checkpoint_longest_s"),
        counted(number_at(store, "messages_moved"), "message", "messages"),
        print_bytes(number_at(store, "cleaner_bytes")),
        counted(number_at(store, "segments_cleaned"), "segment", "segments"),
        cost("cleaner_busy_s", "cleaner_longest_s"));
}

std::string totals_text(const Json& totals) {
    std::string text = counted(number_at(totals, "messages"), "message", "messages") +
                       fmt::format(": {} ready, {} in delivery, {} deferred, {} held\n",
                                   number_at(totals, "ready"), number_at(totals, "in_delivery"),
                                   number_at(totals, "deferred"), number_at(totals, "held"));
    text += fmt::format("spool: {} in segments, of which {} are needed\n",
                        print_bytes(number_at(totals, "spool_bytes")),
                        print_bytes(number_at(totals, "live_bytes")));
    if (const auto store = totals.find("store"); store != totals.end() && store->is_object()) {
        text += store_text(*store, static_cast<std::int64_t>(seconds_at(totals, "up_s")));
    }
    for (const Json& hop : list_at(totals, "next_hops")) {
        text += fmt::format("{}: {} ready, {} of {} connections",
                            cleaned(text_at(hop, "next_hop"), CleanStyle::plain),
                            number_at(hop, "ready"), number_at(hop, "connections"),
                            number_at(hop, "connections_max"));
        if (!flag_at(hop, "serves")) {
            text +=
                "; it does not serve: " + cleaned(text_at(hop, "last_reply"), CleanStyle::plain);
        }
        text += "\n";
    }
    for (const Json& rule : list_at(totals, "rules")) {
        text += fmt::format("rule {}, {}{}: {} {}, {}\n", number_at(rule, "rule"),
                            cleaned(text_at(rule, "action"), CleanStyle::token), filter_text(rule),
                            counted(number_at(rule, "messages"), "message", "messages"),
                            done_word(text_at(rule, "action")), standing_text(rule));
    }
    return text;
}

constexpr std::string_view kGroupHeading =
    "RECIPIENTS   PENDING  DEFERRED      HELD  MESSAGES        SIZE    OLDEST";

std::string group_text(const Json& group, const std::string& by) {
    return fmt::format(
        "{:>10}  {:>8}  {:>8}  {:>8}  {:>8}  {:>10}  {:>8}{}\n", number_at(group, "recipients"),
        number_at(group, "pending"), number_at(group, "deferred"), number_at(group, "held"),
        number_at(group, "messages"), print_bytes(number_at(group, "size_bytes")),
        print_age(number_at(group, "oldest_age_s")),
        by.empty() ? "" : "  " + cleaned(text_at(group, by.c_str()), CleanStyle::token));
}

std::string upper(std::string text) {
    for (char& c : text) {
        c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    }
    return text;
}

}  // namespace

int run_queue_rule(const QueueRuleOptions& options, std::FILE* out, std::FILE* err) {
    if (options.filter.empty() != options.filter.all) {
        complain(err, options.filter.all
                          ? "--all goes with no other choice of messages"
                          : "which messages? Give queue ids, --sender, --recipient, --domain, "
                            "--tenant, --state, --older-than, --newer-than, or --all");
        return kExitUsage;
    }
    nlohmann::json request{{"command", "queue " + options.action}, {"wait", options.wait}};
    if (options.filter.all) {
        request["all"] = true;
    }
    if (!options.reason.empty()) {
        request["reason"] = options.reason;
    }
    Json last;
    const auto item = [&last](const Json& result, ProgressLine& line) {
        last = result;
        if (!flag_at(result, "done")) {
            line.show(result);
        }
        return true;
    };
    if (!ask(options.server, options.filter, std::move(request), out, err, item)) {
        return 1;
    }
    put(out, options.json ? dump(last, -1) + "\n" : result_text(last, options.action));
    for (const Json& id : list_at(last, "not_queued")) {
        put(err, "ringpost: no message " +
                     cleaned(id.is_string() ? id.get<std::string>() : "", CleanStyle::token) +
                     " is in the queue\n");
    }
    return end_output(out, err);
}

int run_queue_stats(const QueueStatsOptions& options, std::FILE* out, std::FILE* err) {
    nlohmann::json request{{"command", "queue stats"}};
    if (!options.by.empty()) {
        request["by"] = options.by;
    }
    bool first = true;
    const auto item = [&](const Json& result, ProgressLine& line) {
        line.end();
        if (options.json) {
            return put(out, dump(result, -1) + "\n");
        }
        if (result.contains("next_hops")) {
            return put(out, totals_text(result));
        }
        if (std::exchange(first, false)) {
            const std::string by = options.by.empty() ? "" : "  " + upper(options.by);
            put(out, std::string(kGroupHeading) + by + "\n");
        }
        return put(out, group_text(result, options.by));
    };
    const bool done = ask(options.server, options.filter, std::move(request), out, err, item);
    const int ended = end_output(out, err);
    return done ? ended : 1;
}

}  // namespace app
