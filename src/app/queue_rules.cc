#include "app/queue_rules.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "app/queue_filter.h"
#include "app/queue_show.h"
#include "app/timestamp.h"
#include "mail/envelope.h"
#include "queue/rule_match.h"

namespace app {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How long a command waits for its rule to be carried out before it answers; and between two words
// of progress, where the client waits for the end.
constexpr milliseconds kAnswerMost{30};
constexpr milliseconds kLookEvery{4};
constexpr milliseconds kLookLaterEvery{100};
constexpr milliseconds kTellEvery{500};
constexpr std::size_t kPageMessages = 500;
constexpr std::size_t kGroupsMax = 100'000;

Json progress_json(std::uint32_t rule, store::RuleAction action,
                   const queue::RuleProgress& progress) {
    return {{"rule", rule},
            {"action", name_of(action)},
            {"done", progress.done},
            {"messages", progress.messages},
            {"recipients", progress.recipients},
            {"looked_at", progress.done ? progress.of : progress.looked_at},
            {"of", progress.of}};
}

base::Status give(QueueOperator& queue, QueueView& view, store::RuleAction action,
                  const nlohmann::json& request, ControlReply& reply) {
    static constexpr std::array<std::string_view, 2> kOthers = {"wait", "reason"};
    const std::size_t others = action == store::RuleAction::bounce ? 2 : 1;
    base::Result<QueueFilter> filter =
        chosen_by(request, wall_now(), std::span(kOthers).first(others));
    if (!filter) {
        return std::unexpected(filter.error());
    }
    const auto wait = request.find("wait");
    if (wait != request.end() && !wait->is_boolean()) {
        return base::fail(EINVAL, "\"wait\" is neither true nor false");
    }
    const bool waits = wait != request.end() && wait->get<bool>();
    const base::Result<std::vector<std::string>> missing = check_queued(view, filter->ids);
    if (!missing) {
        return std::unexpected(missing.error());
    }
    filter->rule.action = action;
    base::Result<GivenRules> given = queue.give(filter->rule, filter->ids);
    if (!given) {
        return std::unexpected(given.error());
    }
    auto until = steady_clock::now() + kAnswerMost;
    milliseconds look_every = kLookEvery;
    while (true) {
        const base::Result<queue::RuleProgress> progress = queue.progress(*given);
        if (!progress) {
            return base::fail(progress.error().number(),
                              "the command is in force, and goes on behind the next start: " +
                                  progress.error().describe());
        }
        if (progress->done && progress->messages == 0) {  // it may have left meanwhile
            if (const auto queued = check_queued(view, filter->ids); !queued) {
                return std::unexpected(queued.error());
            }
        }
        const bool late = steady_clock::now() >= until;
        if (progress->done || late) {
            Json item = progress_json(given->first, action, *progress);
            if (!missing->empty()) {
                item["not_queued"] = *missing;
            }
            const bool told = reply.item(item);
            if (progress->done || !waits || !told || !reply.deliver()) {
                return {};
            }
            until = steady_clock::now() + kTellEvery;
            look_every = kLookLaterEvery;
        }
        std::this_thread::sleep_for(look_every);
    }
}

// --- stats ---

// What was asked for; what was not is left out.
Json rule_json(const queue::RuleProgress& progress) {
    const store::Rule& rule = progress.rule;
    Json json = progress_json(rule.number, rule.action, progress);
    Json& filter = json["filter"] = Json::object();
    if (rule.only != mail::QueueId()) {
        filter["id"] = std::string(mail::view(rule.only.text()));
    }
    for (const auto& [name, text] :
         {std::pair("sender", &rule.sender), std::pair("recipient", &rule.recipient),
          std::pair("domain", &rule.domain), std::pair("tenant", &rule.tenant)}) {
        if (!text->empty()) {
            filter[name] = *text;
        }
    }
    for (const auto& [name, status] : {std::pair("pending", store::RecipientStatus::pending),
                                       std::pair("deferred", store::RecipientStatus::deferred),
                                       std::pair("held", store::RecipientStatus::held)}) {
        if ((rule.statuses >> static_cast<unsigned>(status) & 1U) != 0) {
            filter["states"].push_back(name);
        }
    }
    if (rule.arrived_until_ms != store::Rule().arrived_until_ms) {
        filter["arrived_until"] = iso8601(store::clamped_wall_time(rule.arrived_until_ms));
    }
    if (rule.arrived_from_ms != store::Rule().arrived_from_ms) {
        filter["arrived_from"] = iso8601(store::clamped_wall_time(rule.arrived_from_ms));
    }
    json["reason"] = rule.words.empty() ? Json(nullptr) : Json(rule.words);
    json["given"] = iso8601(store::clamped_wall_time(rule.at_ms));
    return json;
}

Json site_json(const QueueTotals::Site& site) {
    return {{"next_hop", site.name},
            {"ready", site.ready},
            {"connections", site.connections},
            {"connections_max", site.connections_max},
            {"serves", !site.dead},
            {"last_reply", site.last_words}};
}

double in_seconds(base::Duration time) {
    return std::chrono::duration<double>(time).count();
}

Json store_json(const store::StoreCounters& store) {
    return {{"log_bytes", store.batch_bytes},
            {"log_batches", store.batches},
            {"segments_created", store.segments_created},
            {"segments_recycled", store.segments_recycled},
            {"checkpoints", store.checkpoints},
            {"checkpoint_bytes", store.checkpoint_bytes},
            {"checkpoint_busy_s", in_seconds(store.checkpointing.busy)},
            {"checkpoint_longest_s", in_seconds(store.checkpointing.longest)},
            {"segments_cleaned", store.segments_cleaned},
            {"messages_moved", store.messages_moved},
            {"cleaner_bytes", store.cleaner_bytes},
            {"cleaner_busy_s", in_seconds(store.cleaning.busy)},
            {"cleaner_longest_s", in_seconds(store.cleaning.longest)}};
}

Json totals_json(const QueueTotals& totals) {
    Json sites = Json::array();
    for (const QueueTotals::Site& site : totals.sites) {
        sites.push_back(site_json(site));
    }
    Json rules = Json::array();
    for (const queue::RuleProgress& one : totals.rules) {
        rules.push_back(rule_json(one));
    }
    return {{"messages", totals.messages.total()},
            {"ready", totals.messages.ready},
            {"in_delivery", totals.messages.in_delivery},
            {"deferred", totals.messages.deferred},
            {"held", totals.messages.held},
            {"spool_bytes", totals.spool_bytes},
            {"live_bytes", totals.live_bytes},
            {"up_s", in_seconds(totals.up)},
            {"store", store_json(totals.store)},
            {"next_hops", std::move(sites)},
            {"rules", std::move(rules)}};
}

struct Group {
    std::uint64_t messages = 0;
    std::uint64_t recipients = 0;
    std::uint64_t bytes = 0;
    std::array<std::uint64_t, 3> states{};  // pending, deferred, held
    mail::QueueId last;                     // of the messages that it has counted
    base::WallTime oldest = base::WallTime::max();
};
using Groups = std::map<std::string, Group>;

// As filters compare it.
std::string domain_key(const std::string& path) {
    std::string domain(mail::domain_of(path));
    for (char& c : domain) {
        c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    return domain.empty() ? "(none)" : domain;
}

std::string key_of(const std::string& by, const QueueMessage& message,
                   const QueueRecipient& recipient) {
    if (!by.empty() && !message.readable) {
        return "(unreadable)";
    }
    if (by == "domain") {
        return domain_key(recipient.address);
    }
    if (by == "sender") {
        return message.sender.empty() ? "<>" : message.sender;
    }
    if (by == "tenant") {
        return message.sender.empty() ? "<>" : domain_key(message.sender);
    }
    return "";
}

void count(Groups& groups, const std::string& by, const QueueMessage& message) {
    for (const QueueRecipient& recipient : message.recipients) {
        if (!recipient.meant || recipient.state > RecipientState::held) {
            continue;
        }
        std::string key = key_of(by, message, recipient);
        if (groups.size() >= kGroupsMax && !groups.contains(key)) {
            key = "(others)";
        }
        Group& group = groups[key];
        ++group.recipients;
        ++group.states.at(static_cast<std::size_t>(recipient.state));
        if (group.last != message.id) {
            group.last = message.id;
            ++group.messages;
            group.bytes += message.size_bytes;
            group.oldest = std::min(group.oldest, message.arrival);
        }
    }
}

Json group_json(const std::string& by, const std::string& key, const Group& group) {
    Json json;
    if (!by.empty()) {
        json[by] = key;
    }
    const auto of = [&group](RecipientState state) {
        return group.states.at(static_cast<std::size_t>(state));
    };
    json["messages"] = group.messages;
    json["recipients"] = group.recipients;
    json["pending"] = of(RecipientState::pending);
    json["deferred"] = of(RecipientState::deferred);
    json["held"] = of(RecipientState::held);
    json["size_bytes"] = group.bytes;
    json["oldest_age_s"] =
        group.messages == 0
            ? 0
            : std::max<std::int64_t>(
                  0, std::chrono::floor<std::chrono::seconds>(wall_now() - group.oldest).count());
    return json;
}

// Of what the filter means, by looking at it.
base::Status survey(QueueView& view, const QueueFilter& filter, const std::string& by,
                    ControlReply& reply) {
    Groups groups;
    std::optional<QueueCursor> from = QueueCursor();
    auto tell = steady_clock::now() + kTellEvery;
    const QueuePageWish wish{.messages_max = kPageMessages, .replies = false};
    while (from) {
        const base::Result<QueuePage> page = view.page(*from, filter.rule, wish);
        if (!page) {
            return std::unexpected(page.error());
        }
        for (const QueueMessage& message : page->messages) {
            count(groups, by, message);
        }
        from = page->next;
        if (from && steady_clock::now() >= tell) {
            tell = steady_clock::now() + kTellEvery;
            if (!reply.progress({{"looked_at", from->looked_at}, {"of", from->of}}) ||
                !reply.deliver()) {
                return {};
            }
        }
    }
    if (groups.empty() && by.empty()) {
        groups.emplace();
    }
    std::vector<const Groups::value_type*> sorted;
    for (const auto& group : groups) {
        sorted.push_back(&group);
    }
    std::ranges::sort(sorted, [](const auto* a, const auto* b) {
        return std::tie(b->second.recipients, a->first) < std::tie(a->second.recipients, b->first);
    });
    for (const auto* group : sorted) {
        if (!reply.item(group_json(by, group->first, group->second))) {
            return {};
        }
    }
    return {};
}

base::Status stats(QueueOperator& queue, QueueView& view, const nlohmann::json& request,
                   ControlReply& reply) {
    static constexpr std::array<std::string_view, 1> kOthers = {"by"};
    const base::Result<QueueFilter> filter = filter_of(request, wall_now(), kOthers);
    if (!filter) {
        return std::unexpected(filter.error());
    }
    const auto given = request.find("by");
    if (given != request.end() && !given->is_string()) {
        return base::fail(EINVAL, "\"by\" takes domain, sender and tenant");
    }
    const std::string by = given == request.end() ? std::string() : given->get<std::string>();
    if (!by.empty() && by != "domain" && by != "sender" && by != "tenant") {
        return base::fail(EINVAL, "\"by\" takes domain, sender and tenant");
    }
    if (!filter->ids.empty()) {
        return base::fail(EINVAL, "of single messages there are no counts; see queue show");
    }
    const bool any = filter->rule.statuses == 0 && !queue::needs_envelope(filter->rule) &&
                     filter->rule.arrived_from_ms == store::Rule().arrived_from_ms &&
                     filter->rule.arrived_until_ms == store::Rule().arrived_until_ms;
    if (!any || !by.empty()) {
        return survey(view, *filter, by, reply);
    }
    const base::Result<QueueTotals> totals = queue.totals();
    if (!totals) {
        return std::unexpected(totals.error());
    }
    static_cast<void>(reply.item(totals_json(*totals)));
    return {};
}

}  // namespace

void add_operator_commands(ControlCommands& commands, QueueOperator& queue, QueueView& view) {
    for (const store::RuleAction action :
         {store::RuleAction::hold, store::RuleAction::release, store::RuleAction::retry,
          store::RuleAction::bounce, store::RuleAction::erase}) {
        commands[std::string("queue ") + name_of(action)] =
            [&queue, &view, action](const nlohmann::json& request, ControlReply& reply) {
                return give(queue, view, action, request, reply);
            };
    }
    commands["queue stats"] = [&queue, &view](const nlohmann::json& request, ControlReply& reply) {
        return stats(queue, view, request, reply);
    };
}

}  // namespace app
