#include "sim/relay/oracle.h"

#include <algorithm>

namespace sim::relay {
namespace {

// Stored content is looked for in pieces of at least this size: a line's own text.
constexpr std::size_t kPieceLeast = 24;
// An attempt that began in time may take so long to reach a next hop: all its recipients, where
// each step takes as long as it may.
constexpr base::Duration kAttemptMost = std::chrono::minutes(6);
// An outcome is durable after so long, where the disk is not slow.
constexpr base::Duration kRecordMost = std::chrono::seconds(1);
// The log keeps times in whole milliseconds.
constexpr base::Duration kClockStep = std::chrono::milliseconds(1);

const char* name_of(mail::AttemptEvent::Status status) {
    switch (status) {
        case mail::AttemptEvent::Status::sent:
            return "sent";
        case mail::AttemptEvent::Status::deferred:
            return "deferred";
        case mail::AttemptEvent::Status::delayed:
            return "delayed";
        case mail::AttemptEvent::Status::bounced:
            return "bounced";
        case mail::AttemptEvent::Status::expired:
            return "expired";
    }
    RP_PANIC("no such status");
}

// Whether all of `stored` is in `image`, in any places.
bool holds(const std::string& image, std::string_view stored) {
    while (!stored.empty()) {
        const std::string_view piece = stored.substr(0, kPieceLeast);
        std::size_t most = 0;
        for (std::size_t at = image.find(piece); at != std::string::npos && most < stored.size();
             at = image.find(piece, at + 1)) {
            const std::string_view there = std::string_view(image).substr(at, stored.size());
            const auto differ = std::ranges::mismatch(there, stored);
            most = std::max(most, static_cast<std::size_t>(differ.in1 - there.begin()));
        }
        if (most == 0) {
            return false;
        }
        stored.remove_prefix(most);
    }
    return true;
}

}  // namespace

// --- clients ---

void Oracle::composing(const Letter& letter, const std::string& client) {
    Message& message = messages_[letter.number];
    message.letter = letter;
    message.client = client;
    message.composed = world_.wall_now();
}

void Oracle::recipient_answered(std::uint64_t letter, const std::string& path, bool accepted) {
    Recipient& one = recipient(path);
    // The same path may be sent twice: then once accepted is accepted.
    one.accepted = one.accepted || accepted;
    one.refused = !one.accepted;
    if (one.refused && one.takes.size() + one.outcomes.size() > 0) {
        journal_.fault("letter " + std::to_string(letter) + ": " + path +
                       " was refused, and is delivered to");
    }
}

void Oracle::end_sent(std::uint64_t letter) {
    Message& message = messages_.at(letter);
    message.phase = Phase::ended;
    message.ended = world_.wall_now();
    message.end_sent = world_.now();
}

void Oracle::acknowledged(std::uint64_t letter, const std::string& id) {
    Message& message = messages_.at(letter);
    message.phase = Phase::acknowledged;
    message.id = id;
    message.acknowledged = world_.now();
    ++acknowledged_;
    bind(id, "letter " + std::to_string(letter));
    const auto left = leaves_.find(id);
    if (left == leaves_.end() || !left->second.contains(letter)) {
        journal_.fault("letter " + std::to_string(letter) + " got its 250 as " + id +
                       " before it was durable");
    }
    const base::Duration waited = world_.now() - message.end_sent;
    if (quiet_ && waited > ack_most()) {
        journal_.fault("letter " + std::to_string(letter) + " got its 250 late, after " +
                       std::to_string(waited / std::chrono::milliseconds(1)) + " ms");
    }
}

// For its last bytes, a commit with what goes before it, and the reply, where nothing is slow.
base::Duration Oracle::ack_most() const {
    return plan_.settings.store.commit_delay + 20 * plan_.world.network_latency.most +
           40 * plan_.world.disk_latency.most + std::chrono::milliseconds(50);
}

void Oracle::refused(std::uint64_t letter) {
    Message& message = messages_.at(letter);
    message.phase = Phase::refused;
    if (message.seen) {
        journal_.fault("letter " + std::to_string(letter) + " was refused, and was delivered");
    }
}

void Oracle::withdrawn(std::uint64_t letter) {
    Message& message = messages_.at(letter);
    if (message.phase == Phase::composing) {
        message.phase = Phase::withdrawn;
    }
}

// --- the program ---

void Oracle::started(std::uint32_t shards) {
    ++generation_;
    started_ = world_.now();
    running_ = true;
    logged_.assign(shards, {});
    gave_up_.clear();
}

void Oracle::decide_fates(const std::vector<std::uint64_t>& durable, bool in_line) {
    for (auto& [key, one] : recipients_) {
        for (Outcome& outcome : one.outcomes) {
            if (outcome.fate != Fate::open) {
                continue;
            }
            const std::uint64_t count = durable.at(outcome.shard);
            const bool stands =
                in_line ? outcome.index <= count : count == logged_.at(outcome.shard).size();
            outcome.fate = stands ? Fate::durable : Fate::uncertain;
        }
    }
}

void Oracle::died(const std::vector<std::uint64_t>& durable, bool in_line) {
    running_ = false;
    decide_fates(durable, in_line);
    forget();
}

// What the program may not know any more: that a next hop took something, and, where it had not
// recorded that somebody failed, that it had sent the notification.
void Oracle::forget() {
    for (auto& [key, one] : recipients_) {
        for (Take& take : one.takes) {
            take.forgotten = take.forgotten || take.generation == generation_;
        }
        const Outcome* last = certain(one);
        const bool open = last == nullptr || !is_final(last->status);
        const auto letter = letter_of(key);
        const Message* message = letter ? &messages_.at(*letter) : nullptr;
        const bool may_fail =
            one.never_in == generation_ ||
            (message != nullptr && may_mean(store::RuleAction::bounce, *message, key)) ||
            (message != nullptr && (may_have_expired(*message) || may_be_too_large(*message)));
        if (open && may_fail) {
            ++one.open_deaths;
        }
        const bool told = std::ranges::any_of(one.outcomes, [](const Outcome& outcome) {
            return outcome.status == Status::delayed && outcome.fate == Fate::durable;
        });
        if (open && !told && message != nullptr && may_be_delayed(*message)) {
            ++one.delay_deaths;
        }
        const bool handed_on = std::ranges::any_of(one.takes, [this](const Take& take) {
            return !take.dsn && (take.generation == generation_ || take.generation == 0);
        });
        if (open && handed_on) {
            ++one.relay_deaths;
        }
    }
}

void Oracle::stopped(const std::vector<std::uint64_t>& durable, bool in_line) {
    running_ = false;
    for (std::size_t shard = 0; shard < logged_.size(); ++shard) {
        const bool gave_up = gave_up_.contains(static_cast<std::uint32_t>(shard));
        if (durable.at(shard) != logged_[shard].size() && !gave_up) {
            journal_.fault("shard " + std::to_string(shard) + " was stopped with " +
                           std::to_string(durable[shard]) + " durable outcomes of " +
                           std::to_string(logged_[shard].size()));
        }
    }
    decide_fates(durable, in_line);
    if (!gave_up_.empty()) {
        forget();
    }
}

void Oracle::gave_up_outcomes(std::uint32_t shard) {
    if (!plan_.disk_may_be_full()) {
        journal_.fault("shard " + std::to_string(shard) +
                       " gives up outcomes though the disk is not full");
    }
    gave_up_.insert(shard);
}

void Oracle::check_recorded(const std::vector<std::uint64_t>& durable) {
    for (std::size_t shard = 0; shard < logged_.size(); ++shard) {
        const auto old = std::ranges::upper_bound(logged_[shard], world_.now() - kRecordMost);
        const auto due = static_cast<std::uint64_t>(old - logged_[shard].begin());
        if (durable.at(shard) < due) {
            journal_.fault("shard " + std::to_string(shard) + " has made " +
                           std::to_string(durable[shard]) + " outcomes durable of " +
                           std::to_string(due) + " that are old enough");
        }
    }
}

void Oracle::bind(const std::string& id, const std::string& owner) {
    const auto [at, fresh] = owners_.emplace(id, owner);
    if (!fresh && at->second != owner) {
        journal_.fault("the id " + id + " recurs: it was of " + at->second + ", now of " + owner);
    }
}

Oracle::Message* Oracle::known(std::string_view path, const char* what) {
    const auto number = letter_of(path);
    const auto at = number ? messages_.find(*number) : messages_.end();
    if (at == messages_.end()) {
        journal_.fault(std::string(what) + " " + std::string(path) + ", which nobody has sent");
        return nullptr;
    }
    return &at->second;
}

std::string Oracle::key_of(const std::string& id, const std::string& path) {
    return is_sender(path) ? id + " " + path : path;
}

const Oracle::Outcome* Oracle::certain(const Recipient& recipient) {
    if (recipient.outcomes.empty() || recipient.outcomes.back().fate == Fate::uncertain) {
        return nullptr;
    }
    return &recipient.outcomes.back();
}

bool Oracle::has_final(const Recipient& recipient) const {
    return std::ranges::any_of(recipient.outcomes,
                               [](const Outcome& outcome) { return is_final(outcome.status); });
}

void Oracle::reception(const mail::ReceptionEvent& event) {
    if (event.status != mail::ReceptionEvent::Status::accepted) {
        return;
    }
    const std::string id(mail::view(event.id.text()));
    if (!accepted_.insert(id).second) {
        journal_.fault("the id " + id + " recurs: it was accepted before");
    }
}

void Oracle::attempt(std::uint32_t shard, const mail::AttemptEvent& event) {
    const std::string id(mail::view(event.id.text()));
    const std::string path(event.to);
    journal_.note(id + " to " + path + ": " + name_of(event.status) + " " +
                  std::to_string(event.code) + " " + std::string(event.reply) + " attempts " +
                  std::to_string(event.attempts));
    Message* message = known(path, "the log tells of");
    if (message == nullptr) {
        return;
    }
    bind(id, is_sender(path) ? "a notification to " + path
                             : "letter " + std::to_string(message->letter.number));
    const std::string key = key_of(id, path);
    Recipient& one = recipient(key);
    if (!is_sender(path)) {
        message->seen = true;
    }
    check_count(key, one, event);
    if (event.status == Status::sent) {
        check_sent(key, one);
    } else if (by_rule(event) && !is_sender(path)) {
        if (!may_mean(store::RuleAction::bounce, *message, path)) {
            journal_.fault(key + " has failed by a rule that does not mean it");
        }
    } else if (event.status == Status::bounced && !said_never(path, event) &&
               (is_sender(path) || event.code != 0 || !may_be_too_large(*message))) {
        journal_.fault(key + " has failed for good, and no next hop has said so");
    } else if (event.status == Status::deferred && said_never(path, event) && !plan_.may_be_short &&
               !plan_.notifications_are_few && !plan_.network_breaks() &&
               !message->left_after_refusal) {
        // Unless its notification could not be stored, or is above the limit; or it was the last
        // word of a connection that broke off.
        journal_.fault(key + " is tried again, though a next hop has refused it for good: " +
                       std::string(event.reply));
    } else if (event.status == Status::expired && !is_sender(path) && !may_have_expired(*message)) {
        journal_.fault(key + " has expired before its time");
    }
    if (event.status == Status::expired && is_sender(path)) {
        lost_senders_.insert(path);
    }
    logged_.at(shard).push_back(world_.now());
    Outcome outcome{.status = event.status,
                    .attempts = event.attempts,
                    .shard = shard,
                    .index = logged_[shard].size(),
                    .at = world_.now(),
                    .wall = world_.wall_now(),
                    .announced = event.next_attempt};
    if (event.status == Status::delayed && !one.outcomes.empty()) {
        outcome.at = one.outcomes.back().at;  // it waits since then
        outcome.wall = one.outcomes.back().wall;
        outcome.announced = one.outcomes.back().announced;
    }
    one.outcomes.push_back(outcome);
}

// A next hop has answered this path so, with a 5xx. The log has code and text of it.
bool Oracle::said_never(const std::string& path, const mail::AttemptEvent& event) {
    return std::ranges::any_of(recipient(path).never, [&](const std::string& reply) {
        return reply.starts_with(std::to_string(event.code)) && reply.ends_with(event.reply);
    });
}

bool Oracle::may_be_too_large(const Message& message) const {
    const Letter& letter = message.letter;
    // With the trace header; and what has to be converted grows.
    const std::size_t size = letter.content.size() * (letter.eight_bit ? 3 : 1) + 1000;
    return std::ranges::any_of(plan_.hops, [&](const HopPlan& hop) {
        return hop.size_bytes_max > 0 && size > hop.size_bytes_max;
    });
}

bool Oracle::may_be_delayed(const Message& message) const {
    return plan_.delay_notice > base::Duration::zero() &&
           (plan_.on(Fault::wall_step) ||
            world_.wall_now() >= message.composed + plan_.delay_notice);
}

bool Oracle::may_have_expired(const Message& message) const {
    return plan_.on(Fault::wall_step) || world_.wall_now() >= message.composed + plan_.expiry;
}

// What a crash left of the count of attempts is one of those that it could leave.
void Oracle::check_count(const std::string& key, const Recipient& one,
                         const mail::AttemptEvent& event) {
    const bool attempt =
        event.status != Status::expired && event.status != Status::delayed && !by_rule(event);
    const std::uint32_t more = attempt ? 1 : 0;
    std::size_t left = one.outcomes.size();
    bool ended = false;
    bool fits = false;
    while (!ended) {
        const Outcome* before = left > 0 ? &one.outcomes[left - 1] : nullptr;
        fits = fits || event.attempts == (before == nullptr ? 0 : before->attempts) + more;
        ended = before == nullptr || before->fate != Fate::uncertain;
        --left;
    }
    if (!fits) {
        journal_.fault(key + " counts " + std::to_string(event.attempts) +
                       " attempts, which does not follow from its last outcome");
    }
    const Outcome* last = certain(one);
    if (last != nullptr && is_final(last->status)) {
        journal_.fault(key + " is tried again though it was final");
    }
}

void Oracle::check_sent(const std::string& key, Recipient& one) {
    const auto take =
        std::find_if(one.takes.rbegin(), one.takes.rend(), [&](const Take& candidate) {
            return !candidate.claimed && !candidate.withheld && candidate.generation == generation_;
        });
    if (take == one.takes.rend()) {
        journal_.fault(key + " is told as sent, and no next hop has said so");
        return;
    }
    take->claimed = true;
}

bool Oracle::is_durable(const Message& message, const std::string& id,
                        const std::string& durable) const {
    if (durable.find(" id " + id) == std::string::npos) {
        return false;
    }
    for (const std::string& path : message.letter.recipients) {
        const auto one = recipients_.find(path);
        if (one != recipients_.end() && one->second.accepted &&
            durable.find(path) == std::string::npos) {
            return false;
        }
    }
    return holds(durable, message.letter.content) ||
           holds(durable, stuffed(message.letter.content));
}

void Oracle::ack_leaves(const std::string& client, const std::string& id,
                        const std::string& durable) {
    std::set<std::uint64_t>& letters = leaves_[id];
    for (const auto& [number, message] : messages_) {
        if (message.client == client && message.phase == Phase::ended &&
            is_durable(message, id, durable)) {
            letters.insert(number);
        }
    }
}

void Oracle::check_queue(const std::set<std::string>& ids) {
    for (const auto& [number, message] : messages_) {
        if (message.phase != Phase::acknowledged || ids.contains(message.id)) {
            continue;
        }
        for (const std::string& path : message.letter.recipients) {
            const Recipient& one = recipient(path);
            if (one.accepted && !has_final(one) &&
                !may_mean(store::RuleAction::erase, message, path)) {
                journal_.fault("letter " + std::to_string(number) + " (" + message.id +
                               ") was acknowledged and is lost: it is not queued, and nothing has "
                               "become of " +
                               path);
            }
        }
    }
}

// --- next hops ---

void Oracle::offered(const std::string& path, base::MonoTime sent) {
    Message* message = known(path, "a next hop is offered");
    if (message == nullptr || is_sender(path)) {
        return;
    }
    const std::string number = std::to_string(message->letter.number);
    message->seen = true;
    if (message->phase != Phase::ended && message->phase != Phase::acknowledged) {
        journal_.fault("letter " + number + " is offered to a next hop, and was " +
                       (message->phase == Phase::refused     ? "refused"
                        : message->phase == Phase::withdrawn ? "broken off"
                                                             : "not ended"));
    }
    const Recipient& one = recipient(path);
    if (one.refused) {
        journal_.fault(path + " was refused, and is offered to a next hop");
    }
    const Outcome* last = certain(one);
    if (last != nullptr && last->at <= sent) {
        if (is_final(last->status)) {
            journal_.fault(path + " is offered again though it is final: " + name_of(last->status));
            return;
        }
        const base::WallTime wall = world_.wall_now() - (world_.now() - sent);
        const base::Duration wait =
            last->attempts == 0 ? base::Duration() : plan_.wait_after(last->attempts);
        const bool sooner = may_mean(store::RuleAction::retry, *message, path) ||
                            may_mean(store::RuleAction::release, *message, path);
        if (!plan_.on(Fault::wall_step) && !sooner && wall + kClockStep < last->wall + wait) {
            journal_.fault(
                path + " is tried " +
                std::to_string((last->wall + wait - wall) / std::chrono::milliseconds(1)) +
                " ms early");
        }
    }
    check_steady_wait(*message, path, sent);
    check_rules(*message, path, sent);
    if (!plan_.on(Fault::wall_step) &&
        world_.wall_now() > message->ended + plan_.expiry + kAttemptMost) {
        journal_.fault(path + " is tried long after it has expired");
    }
}

// A wall clock that jumps shortens no wait of a running program. Where a message has several
// recipients, those that it makes due go along; a released message is tried by the wall clock, and
// so is one whose sender was told of the delay between the attempt and its place on the wheel.
void Oracle::check_steady_wait(const Message& message, const std::string& path,
                               base::MonoTime sent) {
    const Outcome* last = certain(recipient(path));
    if (last == nullptr || last->at > sent || last->at < started_ ||
        message.letter.recipients.size() > 1 || plan_.on(Fault::read_error) ||
        (last->status == Status::delayed && plan_.on(Fault::wall_step)) ||
        may_mean(store::RuleAction::retry, message, path) ||
        may_mean(store::RuleAction::release, message, path)) {
        return;
    }
    if (sent + kClockStep < last->at + last->announced) {
        journal_.fault(
            path + " is tried before the time that was announced, by " +
            std::to_string((last->at + last->announced - sent) / std::chrono::milliseconds(1)) +
            " ms");
    }
}

void Oracle::never(const std::vector<std::string>& paths, const std::string& reply) {
    for (const std::string& path : paths) {
        Recipient& one = recipient(path);
        one.never.insert(reply);
        one.never_in = generation_;
        if (is_sender(path)) {
            lost_senders_.insert(path);
        }
    }
}

void Oracle::never_from(const std::string& reverse_path, const std::string& reply) {
    if (const Message* message = known(reverse_path, "a next hop is sent mail from")) {
        never(message->letter.recipients, reply);
    }
}

void Oracle::left_after_refusal(const std::string& reverse_path) {
    if (Message* message = known(reverse_path, "a next hop is sent mail from")) {
        message->left_after_refusal = true;
    }
}

void Oracle::taken(const Given& given, bool withheld) {
    const bool letter = !is_sender(given.recipients.front());
    const std::string id = letter ? "" : notification_id(given.content);
    ++taken_;
    for (const std::string& path : given.recipients) {
        const std::string key = key_of(id, path);
        Recipient& one = recipient(key);
        copies_ += one.takes.empty() ? 0 : 1;
        check_copy(key, one, given.sent);
        // What a program sent that has ended may be read only now.
        const bool late = !running_ || given.sent < started_;
        one.takes.push_back({.connection = given.connection,
                             .generation = late ? 0 : generation_,
                             .forgotten = late,
                             .at = world_.now(),
                             .withheld = withheld,
                             .dsn = given.dsn});
    }
}

// It was taken before: the relay must not have known when it sent this, or not be able to remember.
void Oracle::check_copy(const std::string& key, const Recipient& one, base::MonoTime sent) {
    if (one.takes.empty()) {
        return;
    }
    const Outcome* last = certain(one);
    if (last != nullptr && last->at <= sent && is_final(last->status)) {
        journal_.fault(key + " is delivered again though it was final: " + name_of(last->status));
    }
    for (const Take& take : one.takes) {
        if (take.at > sent) {
            continue;
        }
        const bool unheard = take.withheld || take.broken || plan_.network_breaks();
        if (!take.forgotten && (take.claimed || take.confirmed || !unheard)) {
            journal_.fault(key + " is delivered again though the relay heard of the first time");
        }
    }
}

void Oracle::confirmed(EndpointId connection) {
    for (auto& [key, one] : recipients_) {
        for (Take& take : one.takes) {
            if (take.connection == connection && !take.broken) {
                take.confirmed = true;
            }
        }
    }
}

void Oracle::broken(EndpointId connection) {
    for (auto& [key, one] : recipients_) {
        for (Take& take : one.takes) {
            if (take.connection == connection && !take.confirmed) {
                take.broken = true;
            }
        }
    }
}

}  // namespace sim::relay
