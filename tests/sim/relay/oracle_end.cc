// The end of the oracle: what has become of each letter, also while it is waited for.
#include <algorithm>

#include "sim/relay/oracle.h"

namespace sim::relay {

bool Oracle::all_taken_from(std::uint64_t letter) const {
    return std::ranges::all_of(messages_, [&](const auto& item) {
        const auto& [number, message] = item;
        return number < letter || message.phase != Phase::acknowledged ||
               std::ranges::all_of(
                   message.letter.recipients,
                   [&](const std::string& path) {
                       const auto at = recipients_.find(path);
                       return at != recipients_.end() && !at->second.takes.empty();
                   });
    });
}

std::size_t Oracle::recipients_from(std::uint64_t letter) const {
    std::size_t sum = 0;
    for (auto at = messages_.lower_bound(letter); at != messages_.end(); ++at) {
        sum += at->second.letter.recipients.size();
    }
    return sum;
}

bool Oracle::has_failed(const std::string& path) const {
    const auto at = recipients_.find(path);
    return at != recipients_.end() && !at->second.outcomes.empty() &&
           at->second.outcomes.back().status >= Status::bounced;
}

bool Oracle::is_named(const std::string& path) const {
    const auto at = recipients_.find(path);
    return at != recipients_.end() && !at->second.notifications.empty();
}

bool Oracle::is_told_of_delay(const std::string& path) const {
    const auto at = recipients_.find(path);
    if (at == recipients_.end() || !at->second.delays.empty()) {
        return at != recipients_.end();
    }
    // The word itself may have expired while no next hop was there.
    const Message& message = messages_.at(*letter_of(path));
    return lost_senders_.contains(message.letter.reverse_path) &&
           std::ranges::any_of(at->second.outcomes, [](const Outcome& outcome) {
               return outcome.status == Status::delayed;
           });
}

bool Oracle::outcome_waits() const {
    return std::ranges::any_of(recipients_, [](const auto& item) {
        return std::ranges::any_of(item.second.takes, [](const Take& take) {
            return !take.claimed && !take.broken && !take.withheld;
        });
    });
}

// --- the end ---

void Oracle::settle() {
    for (const auto& [number, message] : messages_) {
        const bool kept =
            message.phase == Phase::acknowledged || (message.phase == Phase::ended && message.seen);
        if (!kept) {
            continue;
        }
        for (const std::string& path : message.letter.recipients) {
            settle_recipient(message, path);
        }
        if (message.phase == Phase::acknowledged) {
            check_trace_recipient(message);
        }
    }
}

void Oracle::settle_recipient(const Message& message, const std::string& path) {
    const Recipient& one = recipient(path);
    if (!one.accepted) {
        return;
    }
    const auto ended_with = [&](Status status) {
        return std::ranges::any_of(
            one.outcomes, [&](const Outcome& outcome) { return outcome.status == status; });
    };
    const bool failed = ended_with(Status::bounced) || ended_with(Status::expired);
    if (one.takes.empty() && !failed && !may_mean(store::RuleAction::erase, message, path)) {
        journal_.fault("letter " + std::to_string(message.letter.number) + " (" + message.id +
                       ") is lost: nobody has it for " + path);
    }
    const mail::Notify notify = message.letter.notify[message.letter.index_of(path)];
    if (failed && notify.failure() && !message.letter.reverse_path.empty() &&
        one.notifications.empty() && !lost_senders_.contains(message.letter.reverse_path)) {
        journal_.fault(path + " has failed, and its sender was not told");
    }
    if (message.letter.reverse_path.empty() &&
        !(one.notifications.empty() && one.delays.empty() && one.relays.empty())) {
        journal_.fault("a notification was sent to the null path, about " + path);
    }
    // A program that died behind the notification does not know of it, and tries again.
    if (!failed && !one.notifications.empty() && one.open_deaths == 0) {
        journal_.fault("a notification names " + path + ", which was delivered");
    }
    settle_relayed(message, path, one);
}

// Who wanted to know of a delivery, to a next hop that will not tell, has been told.
void Oracle::settle_relayed(const Message& message, const std::string& path, const Recipient& one) {
    const bool wanted = message.letter.notify[message.letter.index_of(path)].success() &&
                        !message.letter.reverse_path.empty();
    const bool silent =
        std::ranges::any_of(one.takes, [](const Take& take) { return take.claimed && !take.dsn; });
    if (wanted && silent && one.relays.empty() && !plan_.may_be_short &&
        !plan_.notifications_are_few && !lost_senders_.contains(message.letter.reverse_path)) {
        journal_.fault(path + " was handed on, and its sender was not told");
    }
}

}  // namespace sim::relay
