#include "app/queue_situation.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/assert.h"
#include "mail/status_code.h"

namespace app {
namespace {

using queue::EntryState;
using queue::Explanation;
using queue::ListedRecipient;
using store::RecipientStatus;

constexpr std::size_t kAddressesMax = 5;
// What is said of further ones would not be read.
constexpr std::size_t kGroupsMax = 20;

Situation situation_of_due(const Explanation& all, const ListedRecipient& recipient) {
    if (all.stopping) {
        return Situation::stopping;
    }
    if (!all.store_takes_attempts) {
        return Situation::storing;
    }
    if (recipient.in_attempt) {
        return Situation::attempt;
    }
    if (all.site.short_of_means) {
        return Situation::means;
    }
    if (all.site.dead) {
        return Situation::site;
    }
    return all.site.full ? Situation::connections : Situation::turn;
}

bool waits_to_tell(const Explanation& all) {
    return all.put_off == queue::PutOff::notification_room ||
           all.put_off == queue::PutOff::notification_limit;
}

Situation situation_of(const Explanation& all, const ListedRecipient& recipient,
                       base::WallTime now) {
    if (recipient.in_attempt) {
        return situation_of_due(all, recipient);
    }
    if (store::is_final(recipient.status)) {
        if (!recipient.foreseen) {
            return Situation::done;
        }
        return waits_to_tell(all) && recipient.status == RecipientStatus::failed
                   ? Situation::telling
                   : Situation::commanded;
    }
    if (all.listed.hold_reason != queue::HoldReason::none) {
        return Situation::held_by_relay;
    }
    if (recipient.status == RecipientStatus::held || all.listed.state == EntryState::held) {
        return Situation::held;
    }
    if (recipient.due) {
        return situation_of_due(all, recipient);
    }
    const bool pending = recipient.status == RecipientStatus::pending;
    if (waits_to_tell(all) && (pending || all.expires_at <= now)) {
        return Situation::telling;
    }
    if (all.put_off == queue::PutOff::memory) {
        return Situation::reading;
    }
    return pending ? Situation::turn : Situation::time;
}

std::string words_of(const mail::Reply& reply) {
    return reply.code == 0 ? reply.text : mail::describe(reply);
}

}  // namespace

std::string_view name_of(Situation situation) {
    switch (situation) {
        case Situation::held_by_relay:
            return "held_by_relay";
        case Situation::held:
            return "held";
        case Situation::telling:
            return "telling";
        case Situation::commanded:
            return "commanded";
        case Situation::stopping:
            return "stopping";
        case Situation::storing:
            return "storing";
        case Situation::means:
            return "means";
        case Situation::site:
            return "site";
        case Situation::connections:
            return "connections";
        case Situation::turn:
            return "turn";
        case Situation::attempt:
            return "attempt";
        case Situation::reading:
            return "reading";
        case Situation::time:
            return "time";
        case Situation::done:
            return "done";
    }
    RP_PANIC("no such Situation");
}

std::vector<RecipientGroup> groups_of(const Explanation& all, base::WallTime now) {
    const std::vector<ListedRecipient>& recipients = all.listed.recipients;
    std::vector<std::pair<Situation, std::size_t>> order;
    for (std::size_t i = 0; i < recipients.size(); ++i) {
        order.emplace_back(situation_of(all, recipients[i], now), i);
    }
    std::ranges::sort(order);  // so that the most telling come in
    std::vector<RecipientGroup> groups;
    for (const auto& [situation, index] : order) {
        const ListedRecipient& recipient = recipients[index];
        RecipientGroup one;
        one.situation = situation;
        one.status = recipient.status;
        one.attempts = recipient.attempts;
        one.reply = words_of(recipient.reply);
        one.answered = recipient.reply.code != 0;
        one.relay = recipient.relay;
        one.overtaken = recipient.in_attempt && recipient.foreseen;
        const auto known = std::ranges::find_if(groups, [&one](const RecipientGroup& group) {
            return group.situation == one.situation && group.status == one.status &&
                   group.overtaken == one.overtaken && group.attempts == one.attempts &&
                   group.reply == one.reply && group.relay == one.relay;
        });
        if (known == groups.end() && groups.size() == kGroupsMax) {
            continue;
        }
        RecipientGroup& group =
            known != groups.end() ? *known : groups.emplace_back(std::move(one));
        ++group.count;
        if (group.addresses.size() < kAddressesMax && !recipient.path.empty()) {
            group.addresses.push_back(recipient.path);
        }
        if (group.situation == Situation::time &&
            (!group.next || recipient.next_attempt < *group.next)) {
            group.next = recipient.next_attempt;
        }
    }
    std::ranges::sort(groups, {}, [](const RecipientGroup& group) {
        return std::tie(group.situation, group.addresses, group.reply);
    });
    return groups;
}

}  // namespace app
