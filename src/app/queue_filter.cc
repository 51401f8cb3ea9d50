#include "app/queue_filter.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "app/config_value.h"
#include "app/queue_pattern.h"
#include "app/request_members.h"
#include "app/suggest.h"

namespace app {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kIdsMax = 1000;

constexpr std::array kStates = {std::pair("pending", store::RecipientStatus::pending),
                                std::pair("deferred", store::RecipientStatus::deferred),
                                std::pair("held", store::RecipientStatus::held)};

// What chooses messages or recipients.
constexpr std::array<std::string_view, 8> kMembers = {
    "sender", "recipient", "domain", "tenant", "ids", "states", "older_than_s", "newer_than_s"};

constexpr std::array kWords = {
    std::pair("sender", &store::Rule::sender), std::pair("recipient", &store::Rule::recipient),
    std::pair("domain", &store::Rule::domain), std::pair("tenant", &store::Rule::tenant)};

std::unexpected<base::Error> pattern_fault(std::string_view name, const base::Error& error) {
    return base::fail(EINVAL, "\"" + std::string(name) + "\": " + std::string(error.text()));
}

std::optional<store::RecipientStatus> status_of(const std::string& name) {
    const auto known = std::ranges::find(kStates, name, [](const auto& one) { return one.first; });
    return known == kStates.end() ? std::nullopt : std::optional(known->second);
}

base::Status put_age(Json& request, const char* name, const std::string& text) {
    if (text.empty()) {
        return {};
    }
    const base::Result<base::Duration> age = parse_duration(text);
    if (!age) {
        return base::fail(EINVAL, age.error().text());
    }
    const auto seconds = std::chrono::floor<std::chrono::seconds>(*age);
    if (seconds != *age) {  // 0 seconds would mean much more than what was written
        return base::fail(EINVAL, shown(text) + " is no whole number of seconds");
    }
    request[name] = seconds.count();
    return {};
}

base::Status take_words(const Json& request, store::Rule& rule) {
    for (const auto& [name, member] : kWords) {
        const auto found = request.find(name);
        if (found == request.end()) {
            continue;
        }
        if (!found->is_string()) {
            return base::fail(EINVAL, std::string("\"") + name + "\" is not a text");
        }
        base::Result<std::string> pattern = filter_pattern(name, found->get<std::string>());
        if (!pattern) {
            return pattern_fault(name, pattern.error());
        }
        rule.*member = std::move(*pattern);
    }
    return {};
}

// What a bounce tells the senders.
base::Status take_reason(const Json& request, store::Rule& rule) {
    const auto found = request.find("reason");
    if (found == request.end()) {
        return {};
    }
    if (!found->is_string() || found->get_ref<const std::string&>().empty()) {
        return base::fail(EINVAL, "\"reason\" is not a text");
    }
    rule.words = found->get<std::string>();
    if (rule.words.size() > store::Rule::kTextBytesMax) {
        return base::fail(EINVAL, "\"reason\" is longer than " +
                                      std::to_string(store::Rule::kTextBytesMax) + " octets");
    }
    return {};
}

base::Status take_states(const Json& request, store::Rule& rule) {
    const auto states = request.find("states");
    if (states == request.end()) {
        return {};
    }
    if (!states->is_array() || states->empty()) {
        return base::fail(EINVAL, "\"states\" is not a list with one state at least");
    }
    for (const Json& state : *states) {
        const auto status = state.is_string() ? status_of(state.get<std::string>()) : std::nullopt;
        if (!status) {
            return base::fail(EINVAL, "\"states\" takes pending, deferred and held");
        }
        rule.statuses =
            static_cast<std::uint8_t>(rule.statuses | (1U << static_cast<unsigned>(*status)));
    }
    return {};
}

base::Status take_ages(const Json& request, base::WallTime now, store::Rule& rule) {
    for (const bool older : {true, false}) {
        const auto found = request.find(older ? "older_than_s" : "newer_than_s");
        if (found == request.end()) {
            continue;
        }
        constexpr std::int64_t kMost = 1'000'000'000;
        if (!found->is_number_integer() || found->get<std::int64_t>() < 0 ||
            found->get<std::int64_t>() > kMost) {
            return base::fail(EINVAL, "an age is not a number of seconds");
        }
        const std::int64_t at = base::unix_ms(now) - found->get<std::int64_t>() * 1000;
        (older ? rule.arrived_until_ms : rule.arrived_from_ms) = at;
    }
    return {};
}

base::Status take_ids(const Json& request, std::vector<mail::QueueId>& taken) {
    const auto ids = request.find("ids");
    if (ids == request.end()) {
        return {};
    }
    if (!ids->is_array() || ids->empty()) {
        return base::fail(EINVAL, "\"ids\" is not a list with one queue id at least");
    }
    for (const Json& text : *ids) {
        const auto id =
            text.is_string() ? mail::QueueId::parse(text.get<std::string>()) : std::nullopt;
        if (!id || taken.size() == kIdsMax) {
            return base::fail(
                EINVAL, "\"ids\" takes queue ids, " + std::to_string(kIdsMax) + " at the most");
        }
        if (std::ranges::find(taken, *id) == taken.end()) {
            taken.push_back(*id);
        }
    }
    return {};
}

}  // namespace

base::Status put_filter(Json& request, const QueueFilterOptions& filter) {
    for (const auto& [name, text] :
         {std::pair("sender", &filter.sender), std::pair("recipient", &filter.recipient),
          std::pair("domain", &filter.domain), std::pair("tenant", &filter.tenant)}) {
        if (!text->empty()) {
            base::Result<std::string> pattern = filter_pattern(name, *text);
            if (!pattern) {
                return pattern_fault(name, pattern.error());
            }
            request[name] = std::move(*pattern);
        }
    }
    if (!filter.ids.empty()) {
        request["ids"] = filter.ids;
    }
    for (const std::string& state : filter.states) {
        if (!status_of(state)) {
            return base::fail(EINVAL, shown(state) + " is none of pending, deferred and held");
        }
        request["states"].push_back(state);
    }
    if (const base::Status good = put_age(request, "older_than_s", filter.older_than); !good) {
        return good;
    }
    return put_age(request, "newer_than_s", filter.newer_than);
}

base::Result<QueueFilter> filter_of(const Json& request, base::WallTime now,
                                    std::span<const std::string_view> others) {
    QueueFilter filter;
    std::vector<std::string_view> known(kMembers.begin(), kMembers.end());
    known.insert(known.end(), others.begin(), others.end());
    base::Status good = check_members(request, known);
    if (good) {
        good = take_words(request, filter.rule);
    }
    if (good) {
        good = take_reason(request, filter.rule);
    }
    if (good) {
        good = take_states(request, filter.rule);
    }
    if (good) {
        good = take_ages(request, now, filter.rule);
    }
    if (good) {
        good = take_ids(request, filter.ids);
    }
    if (!good) {
        return std::unexpected(good.error());
    }
    filter.given = std::ranges::any_of(
        kMembers, [&request](std::string_view name) { return request.contains(name); });
    return filter;
}

base::Result<QueueFilter> chosen_by(const Json& request, base::WallTime now,
                                    std::span<const std::string_view> others) {
    std::vector<std::string_view> known(others.begin(), others.end());
    known.emplace_back("all");
    base::Result<QueueFilter> filter = filter_of(request, now, known);
    const auto given = request.find("all");
    if (!filter || (given == request.end() && filter->given)) {
        return filter;
    }
    if (given != request.end() && !given->is_boolean()) {
        return base::fail(EINVAL, "\"all\" is neither true nor false");
    }
    const bool all = given != request.end() && given->get<bool>();
    if (all && filter->given) {
        return base::fail(EINVAL, "\"all\" goes with no other choice of messages");
    }
    if (!all && !filter->given) {
        return base::fail(EINVAL,
                          "which messages? Without any member that chooses some, \"all\" must be "
                          "true");
    }
    return filter;
}

}  // namespace app
