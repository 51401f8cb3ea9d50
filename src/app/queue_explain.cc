#include "app/queue_explain.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "app/queue_situation.h"
#include "app/timestamp.h"
#include "base/assert.h"
#include "mail/status_code.h"

namespace app {
namespace {

using Json = nlohmann::ordered_json;
using Group = RecipientGroup;
using queue::Explanation;
using store::RecipientStatus;

std::int64_t seconds_until(base::WallTime time, base::WallTime now) {
    return std::max<std::int64_t>(0, std::chrono::floor<std::chrono::seconds>(time - now).count());
}

std::string when(base::WallTime time, base::WallTime now) {
    return iso8601(time) + " (in " + print_age(seconds_until(time, now)) + ")";
}

std::string in_seconds(base::Duration wait) {
    return print_age(std::chrono::ceil<std::chrono::seconds>(wait).count());
}

// "bob@dst.test", or "3 recipients (a@dst.test, …)".
std::string subject_of(const Group& group) {
    if (group.count == 1) {
        return group.addresses.empty() ? "One recipient" : "<" + group.addresses[0] + ">";
    }
    std::string text = fmt::format("{} recipients", group.count);
    for (std::size_t i = 0; i < group.addresses.size(); ++i) {
        text += (i == 0 ? " (<" : ", <") + group.addresses[i] + ">";
    }
    if (!group.addresses.empty()) {
        text += group.count > group.addresses.size() ? ", …)" : ")";
    }
    return text;
}

// "bob@dst.test waits", "3 recipients (…) wait".
std::string told(const Group& group, std::string_view one, std::string_view many) {
    return subject_of(group) + " " + std::string(group.count == 1 ? one : many);
}

std::string ordinal(std::uint32_t number) {
    const std::uint32_t tens = number % 100;
    const std::uint32_t ones = number % 10;
    const bool teens = tens >= 11 && tens <= 13;
    return std::to_string(number) + (teens       ? "th"
                                     : ones == 1 ? "st"
                                     : ones == 2 ? "nd"
                                     : ones == 3 ? "rd"
                                                 : "th");
}

// What was heard at the last attempt; "" before the first one.
std::string last_words(const Group& group) {
    if (group.attempts == 0 || group.reply.empty()) {
        return "";
    }
    std::string host;
    if (!group.relay.empty()) {
        host = group.answered ? ", " + group.relay + " answered" : ", at " + group.relay;
    }
    return fmt::format(" At the last attempt, the {}{}: {}", ordinal(group.attempts), host,
                       group.reply);
}

// Each host of the route that is known not to serve, with its words.
std::string host_words(const queue::SiteState& site) {
    std::string text;
    for (const queue::HostState& host : site.hosts) {
        if (!host.words.empty()) {
            text += (text.empty() ? "" : "; ") + host.name + " (" + host.words + ")";
        }
    }
    return text;
}

std::string dead_words(const queue::SiteState& site) {
    const std::string hosts = host_words(site);
    return "none served the last time: " + (hosts.empty() ? site.last_words : hosts) + ".";
}

std::string site_sentence(const Group& group, const queue::SiteState& site) {
    std::string text = fmt::format("{} until a host of {} serves: {}", told(group, "waits", "wait"),
                                   site.name, dead_words(site));
    text += site.next_try ? fmt::format(" One is tried again in {}", in_seconds(*site.next_try))
                          : std::string(" They are being tried again now");
    return text + fmt::format(", with one of the {} {} that {} ready for them.", site.ready,
                              site.ready == 1 ? "message" : "messages",
                              site.ready == 1 ? "is" : "are");
}

std::string connections_sentence(const Group& group, const queue::SiteState& site) {
    std::string text =
        fmt::format("{} for a connection to {}: {} of {} are in use", told(group, "waits", "wait"),
                    site.name, site.connections, site.connections_limit);
    if (site.connections_limit < site.connections_max) {
        text += fmt::format(" (of {} that are configured; the next hop took no more)",
                            site.connections_max);
    }
    return text + fmt::format("; {} ready for it, this one included.",
                              site.ready == 1 ? std::string("1 message is")
                                              : fmt::format("{} messages are", site.ready));
}

std::string done_sentence(const Group& group) {
    if (group.status == RecipientStatus::deleted) {
        return told(group, "was", "were") + " deleted by an operator.";
    }
    const std::string_view fate = group.status == RecipientStatus::delivered ? "delivered"
                                  : group.status != RecipientStatus::failed  ? "given up"
                                  : group.answered                           ? "refused for good"
                                                                             : "bounced";
    return fmt::format("{} {}: {}", told(group, "was", "were"), fate, group.reply);
}

// The operator's command that is met behind the attempt under way; "" where there is none.
std::string overtaking_words(const Group& group) {
    if (!group.overtaken) {
        return "";
    }
    const auto [command, fate] =
        group.status == RecipientStatus::held      ? std::pair("hold", "held")
        : group.status == RecipientStatus::failed  ? std::pair("bounce", "bounced")
        : group.status == RecipientStatus::deleted ? std::pair("delete", "deleted")
                                                   : std::pair("retry", "tried again at once");
    return fmt::format(
        " An operator's {} waits for the end of the attempt: whoever is not settled by that is {}.",
        command, fate);
}

// What has expired, or an operator bounces, and cannot end yet; and who waits for those.
std::string telling_sentence(const Group& group, const Explanation& all, base::WallTime now) {
    const std::string begin =
        group.status == RecipientStatus::failed
            ? told(group, "is", "are") + " bounced by an operator's command once"
        : all.expires_at <= now
            ? told(group, "is", "are") + " given up once"
            : told(group, "waits", "wait") + " for others, who are bounced once";
    return begin + " the sender can be told: " +
           (all.put_off == queue::PutOff::notification_limit
                ? "as many notifications were sent in a minute as may be (limits.notifications, "
                  "limits.notifications_per_domain)."
                : "the spool takes no notification now. Its disk is full or slow.");
}

std::string situation_sentence(const Group& group, const Explanation& all, base::WallTime now) {
    switch (group.situation) {
        case Situation::held_by_relay:
            return told(group, "is", "are") +
                   " held by the relay: " + std::string(queue::words_of(all.listed.hold_reason)) +
                   ". The next start reads it again.";
        case Situation::held:
            return told(group, "is", "are") + " held by an operator, until released." +
                   last_words(group);
        case Situation::telling:
            return telling_sentence(group, all, now);
        case Situation::commanded:
            return told(group, "is", "are") +
                   (group.status == RecipientStatus::deleted ? " deleted" : " bounced") +
                   " by an operator's command, which is being carried out.";
        case Situation::stopping:
            return told(group, "waits", "wait") + " for the next start: the server is stopping.";
        case Situation::storing:
            return told(group, "is", "are") +
                   " due, but deliveries wait: the spool takes no outcomes now. Its disk is full "
                   "or "
                   "slow; the log tells of a full one.";
        case Situation::means:
            return fmt::format(
                "{} due, but this server lacks descriptors, memory or ports for a "
                "connection. It tries again in {}; the log says which.",
                told(group, "is", "are"),
                in_seconds(all.site.next_try.value_or(base::Duration::zero())));
        case Situation::site:
            return site_sentence(group, all.site) + last_words(group);
        case Situation::connections:
            return connections_sentence(group, all.site) + last_words(group);
        case Situation::turn:
            return told(group, "is", "are") + " due, and an attempt begins at once." +
                   last_words(group);
        case Situation::attempt:
            return fmt::format("{} in an attempt right now, at {}.", told(group, "is", "are"),
                               all.site.name) +
                   last_words(group);
        case Situation::reading:
            return told(group, "waits", "wait") +
                   " because the message could not be read from the spool, for want of memory; it "
                   "is read again later.";
        case Situation::time:
            return fmt::format("{} for the {} attempt, at {}.", told(group, "waits", "wait"),
                               ordinal(group.attempts + 1), when(*group.next, now)) +
                   last_words(group);
        case Situation::done:
            return done_sentence(group);
    }
    RP_PANIC("no such Situation");
}

std::string sentence_of(const Group& group, const Explanation& all, base::WallTime now) {
    return situation_sentence(group, all, now) + overtaking_words(group);
}

// What is true of the message as a whole, of those who are held and of those who are not.
struct Waiting {
    bool held = false;
    bool others = false;
    // Of the others: who wants to hear of a delay, and who did not yet.
    bool delay_wanted = false;
    bool untold = false;
};

Waiting waiting_of(const Explanation& all) {
    Waiting waiting;
    for (std::size_t i = 0; i < all.listed.recipients.size(); ++i) {
        const queue::ListedRecipient& one = all.listed.recipients[i];
        if (store::is_final(one.status)) {
            continue;
        }
        if (one.status == RecipientStatus::held || all.listed.state == queue::EntryState::held) {
            waiting.held = true;
            continue;
        }
        waiting.others = true;
        waiting.delay_wanted = waiting.delay_wanted || one.delay_wanted;
        waiting.untold = waiting.untold || (one.delay_wanted && !all.delay_told[i]);
    }
    return waiting;
}

std::string delay_sentence(const Explanation& all, const Waiting& waiting, base::WallTime now) {
    if (!waiting.delay_wanted) {
        return "The sender asked to be told of no delay.";
    }
    if (!waiting.untold) {
        return "The sender was told of the delay.";
    }
    return now < *all.delay_notice_at
               ? "The sender is told of the delay at " + when(*all.delay_notice_at, now) + "."
               : "Word of the delay is due to the sender.";
}

// A hold stops the clock's hand, not the clock.
std::string held_sentence(const Explanation& all, base::WallTime now) {
    const std::string none =
        "What is held is neither tried nor given up, and no delay is told of; ";
    return none + (now < all.expires_at
                       ? "released after " + when(all.expires_at, now) +
                             ", it is given up without another attempt."
                       : "its time was over at " + iso8601(all.expires_at) +
                             ", so once released it is given up without another attempt.");
}

// Behind what its recipients wait for.
void add_times(Json& text, const Explanation& all, base::WallTime now) {
    const Waiting waiting = waiting_of(all);
    if (waiting.held) {
        text.push_back(held_sentence(all, now));
    }
    if (!waiting.others) {
        return;
    }
    const std::string rest = waiting.held ? "The rest" : "It";
    text.push_back(now < all.expires_at
                       ? rest + " is given up at " + when(all.expires_at, now) + "."
                       : "Its time was over at " + iso8601(all.expires_at) +
                             "; it is given up at the next occasion.");
    if (all.delay_notice_at && !all.listed.sender.empty()) {
        text.push_back(delay_sentence(all, waiting, now));
    }
}

Json situation_json(const Group& group, const Explanation& all, base::WallTime now) {
    const auto text_or_null = [](const std::string& text) {
        return text.empty() ? Json(nullptr) : Json(text);
    };
    Json json;
    json["situation"] = name_of(group.situation);
    json["recipients"] = group.count;
    json["addresses"] = group.addresses;
    json["attempts"] = group.attempts;
    put_time(json, "next_attempt", group.next, now);
    json["last_next_hop"] = text_or_null(group.relay);
    json["last_reply"] = group.attempts > 0 ? text_or_null(group.reply) : Json(nullptr);
    json["text"] = sentence_of(group, all, now);
    return json;
}

Json site_json(const queue::SiteState& site) {
    Json hosts = Json::array();
    for (const queue::HostState& host : site.hosts) {
        hosts.push_back({{"name", host.name},
                         {"failure", host.words.empty() ? Json(nullptr) : Json(host.words)}});
    }
    Json json;
    json["name"] = site.name;
    json["serves"] = !site.dead;
    json["failure"] = site.dead ? Json(site.last_words) : Json(nullptr);
    json["hosts"] = std::move(hosts);
    json["short_of_means"] = site.short_of_means;
    json["next_try_in_s"] = nullptr;
    if (site.next_try) {
        json["next_try_in_s"] = std::chrono::ceil<std::chrono::seconds>(*site.next_try).count();
    }
    json["connections"] = site.connections;
    json["connections_limit"] = site.connections_limit;
    json["connections_max"] = site.connections_max;
    json["ready"] = site.ready;
    return json;
}

}  // namespace

nlohmann::ordered_json explanation_json(const queue::Explanation& all, base::WallTime now) {
    Json situations = Json::array();
    Json text = Json::array();
    std::size_t told = 0;
    const std::vector<Group> groups = groups_of(all, now);
    for (const Group& group : groups) {
        situations.push_back(situation_json(group, all, now));
        text.push_back(situations.back()["text"]);
        told += group.count;
    }
    // Who waits for time alone has no word of the site yet.
    if (all.site.dead && !groups.empty() && groups.front().situation == Situation::time) {
        text.push_back("Of the hosts of " + all.site.name + " " + dead_words(all.site));
    }
    if (told < all.listed.recipients.size()) {
        text.push_back(
            fmt::format("{} more recipients are not told of here; `ringpost queue "
                        "show` has all.",
                        all.listed.recipients.size() - told));
    }
    add_times(text, all, now);
    Json json;
    json["id"] = std::string(mail::view(all.listed.id.text()));
    json["situations"] = std::move(situations);
    json["site"] = site_json(all.site);
    json["store_takes_attempts"] = all.store_takes_attempts;
    json["stopping"] = all.stopping;
    put_time(json, "expires", all.expires_at, now);
    put_time(json, "delay_notice", all.delay_notice_at, now);
    json["text"] = std::move(text);
    return json;
}

void put_time(nlohmann::ordered_json& json, const char* name,
              const std::optional<base::WallTime>& time, base::WallTime now) {
    json[name] = time ? Json(iso8601(*time)) : Json(nullptr);
    json[std::string(name) + "_in_s"] = time ? Json(seconds_until(*time, now)) : Json(nullptr);
}

}  // namespace app
