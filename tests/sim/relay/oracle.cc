#include "sim/relay/oracle.h"

#include <algorithm>

namespace sim::relay {
namespace {

constexpr std::size_t kIdSize = mail::QueueId::kTextSize;
// Stored content is looked for in pieces of at least this size: a line's own text.
constexpr std::size_t kPieceLeast = 24;
// An attempt that began in time may take so long to reach a next hop.
constexpr base::Duration kAttemptMost = std::chrono::minutes(6);
// The log keeps times in whole milliseconds.
constexpr base::Duration kClockStep = std::chrono::milliseconds(1);

const char* name_of(mail::AttemptEvent::Status status) {
    switch (status) {
        case mail::AttemptEvent::Status::sent:
            return "sent";
        case mail::AttemptEvent::Status::deferred:
            return "deferred";
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

// The line behind `field`, up to its end.
std::string_view field_of(std::string_view content, std::string_view field, std::size_t& at) {
    at = content.find(field, at);
    if (at == std::string_view::npos) {
        return {};
    }
    at += field.size();
    return content.substr(at, content.find('\r', at) - at);
}

std::string without_transfer_encoding(std::string_view header) {
    std::string rest;
    while (!header.empty()) {
        const std::size_t end = std::min(header.find("\r\n"), header.size() - 2) + 2;
        const std::string_view line = header.substr(0, end);
        if (!line.starts_with("Content-Transfer-Encoding:")) {
            rest += line;
        }
        header.remove_prefix(end);
    }
    return rest;
}

// RFC 6152 §3: what had to be converted for a next hop without 8BITMIME.
bool is_downgraded(std::string_view content, std::string_view original) {
    const std::size_t body = content.find("\r\n\r\n");
    const std::size_t original_body = original.find("\r\n\r\n");
    if (body == std::string_view::npos || original_body == std::string_view::npos) {
        return false;
    }
    const bool seven_bit =
        std::ranges::all_of(content, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    return seven_bit &&
           without_transfer_encoding(content.substr(0, body + 2)) ==
               without_transfer_encoding(original.substr(0, original_body + 2)) &&
           quoted_printable_decoded(content.substr(body + 4)) == original.substr(original_body + 4);
}

}  // namespace

TraceHeader trace_header(std::string_view content) {
    if (!content.starts_with("Received: from ")) {
        return {};
    }
    std::size_t end = content.find("\r\n");
    while (end != std::string_view::npos && end + 2 < content.size() &&
           (content[end + 2] == '\t' || content[end + 2] == ' ')) {
        end = content.find("\r\n", end + 2);
    }
    if (end == std::string_view::npos) {
        return {};
    }
    const std::string_view text = content.substr(0, end + 2);
    const std::size_t id = text.find(" id ");
    if (id == std::string_view::npos) {
        return {};
    }
    return {text, std::string(text.substr(id + 4, kIdSize)), content.substr(end + 2)};
}

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
}

void Oracle::acknowledged(std::uint64_t letter, const std::string& id) {
    Message& message = messages_.at(letter);
    message.phase = Phase::acknowledged;
    message.id = id;
    ++acknowledged_;
    bind(id, "letter " + std::to_string(letter));
    const auto left = leaves_.find(id);
    if (left == leaves_.end() || !left->second.contains(letter)) {
        journal_.fault("letter " + std::to_string(letter) + " got its 250 as " + id +
                       " before it was durable");
    }
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
    logged_.assign(shards, 0);
}

void Oracle::decide_fates(const std::vector<std::uint64_t>& durable, bool in_line) {
    for (auto& [key, one] : recipients_) {
        for (Outcome& outcome : one.outcomes) {
            if (outcome.fate != Fate::open) {
                continue;
            }
            const std::uint64_t count = durable.at(outcome.shard);
            const bool stands =
                in_line ? outcome.index <= count : count == logged_.at(outcome.shard);
            outcome.fate = stands ? Fate::durable : Fate::uncertain;
        }
    }
}

void Oracle::died(const std::vector<std::uint64_t>& durable, bool in_line) {
    decide_fates(durable, in_line);
    for (auto& [key, one] : recipients_) {
        const Outcome* last = certain(one);
        if (last == nullptr || !is_final(last->status)) {
            ++one.open_deaths;
        }
    }
}

void Oracle::stopped(const std::vector<std::uint64_t>& durable) {
    for (std::size_t shard = 0; shard < logged_.size(); ++shard) {
        if (durable.at(shard) != logged_[shard]) {
            journal_.fault("shard " + std::to_string(shard) + " was stopped with " +
                           std::to_string(durable[shard]) + " durable outcomes of " +
                           std::to_string(logged_[shard]));
        }
    }
    decide_fates(durable, true);
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
    } else if (event.status == Status::bounced && !one.never && !lost_senders_.contains(path)) {
        journal_.fault(key + " has failed for good, and no next hop has said so");
    } else if (event.status == Status::expired && !plan_.on(Fault::wall_step) && !is_sender(path) &&
               world_.wall_now() < plan_.settings.queue.retry.expires_at(message->composed)) {
        journal_.fault(key + " has expired before its time");
    }
    if (event.status == Status::expired && is_sender(path)) {
        lost_senders_.insert(path);
    }
    one.outcomes.push_back({.status = event.status,
                            .attempts = event.attempts,
                            .shard = shard,
                            .index = ++logged_.at(shard),
                            .at = world_.now(),
                            .wall = world_.wall_now(),
                            .possible_duplicate = event.possible_duplicate});
}

// What a crash left of the count of attempts is one of those that it could leave.
void Oracle::check_count(const std::string& key, const Recipient& one,
                         const mail::AttemptEvent& event) {
    const std::uint32_t more = event.status == Status::expired ? 0 : 1;
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
            if (one.accepted && !has_final(one)) {
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
        const base::Duration wait = plan_.settings.queue.retry.wait_after(last->attempts);
        if (!plan_.on(Fault::wall_step) && wall + kClockStep < last->wall + wait) {
            journal_.fault(
                path + " is tried " +
                std::to_string((last->wall + wait - wall) / std::chrono::milliseconds(1)) +
                " ms early");
        }
    }
    if (!plan_.on(Fault::wall_step) &&
        world_.wall_now() > plan_.settings.queue.retry.expires_at(message->ended) + kAttemptMost) {
        journal_.fault(path + " is tried long after it has expired");
    }
}

void Oracle::never(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
        if (is_sender(path)) {
            lost_senders_.insert(path);
        } else {
            recipient(path).never = true;
        }
    }
}

void Oracle::part(const std::vector<std::string>& paths, std::string_view content, bool eight_bit) {
    if (paths.empty() || is_sender(paths.front())) {
        return;
    }
    Message* message = known(paths.front(), "a next hop is given a part for");
    const TraceHeader header = trace_header(content);
    if (message == nullptr || header.id.empty() || (message->letter.eight_bit && !eight_bit)) {
        return;
    }
    if (!message->letter.content.starts_with(header.rest)) {
        journal_.fault("a part of letter " + std::to_string(message->letter.number) +
                       " that broke off differs from what was sent");
    }
}

void Oracle::given(const Given& message) {
    if (message.recipients.empty()) {
        return;  // nobody was accepted: what comes then is nothing
    }
    if (is_sender(message.recipients.front())) {
        check_notification(message);
    } else {
        check_letter(message);
    }
}

void Oracle::check_letter(const Given& given) {
    Message* message = known(given.recipients.front(), "a next hop is given mail for");
    if (message == nullptr) {
        return;
    }
    const Letter& letter = message->letter;
    const std::string name = "letter " + std::to_string(letter.number);
    if (given.reverse_path != letter.reverse_path) {
        journal_.fault(name + " reaches a next hop from <" + given.reverse_path + ">");
    }
    for (const std::string& path : given.recipients) {
        if (letter_of(path) != letter.number || is_sender(path)) {
            journal_.fault(name + " goes to " + path + " too");
        }
    }
    const TraceHeader header = trace_header(given.content);
    if (header.id.empty()) {
        journal_.fault(name + " reaches a next hop without the relay's trace header");
        return;
    }
    bind(header.id, name);
    if (message->phase == Phase::acknowledged && header.id != message->id) {
        journal_.fault(name + " was acknowledged as " + message->id + " and goes as " + header.id);
    }
    const bool same = header.rest == letter.content || (letter.eight_bit && !given.eight_bit &&
                                                        is_downgraded(header.rest, letter.content));
    if (!same || (letter.eight_bit && !given.eight_bit && header.rest == letter.content)) {
        journal_.fault(name + " reaches a next hop with other bytes than were sent (" +
                       std::to_string(header.rest.size()) + " of " +
                       std::to_string(letter.content.size()) + ")");
    }
}

// RFC 3464, as the relay writes it.
void Oracle::check_notification(const Given& given) {
    const std::string& to = given.recipients.front();
    std::size_t at = 0;
    const std::string_view own = field_of(given.content, "Message-ID: <", at).substr(0, kIdSize);
    std::size_t body = at == std::string::npos ? 0 : at;
    const std::string_view of = field_of(given.content, "X-Ringpost-Queue-ID: ", body);
    if (!given.reverse_path.empty() || given.recipients.size() != 1 || own.size() != kIdSize ||
        of.size() != kIdSize) {
        journal_.fault("a notification to " + to + " is malformed");
        return;
    }
    const std::string id(own);
    bind(id, "a notification to " + to);
    const auto [before, fresh] = notifications_.emplace(id, given.content);
    if (!fresh && before->second != given.content) {
        journal_.fault("the notification " + id + " has changed");
    }
    bool any = false;
    std::size_t from = body;
    while (true) {
        const std::string_view path = field_of(given.content, "Final-Recipient: rfc822; ", from);
        if (from == std::string::npos) {
            break;
        }
        any = true;
        const Message* message = known(path, "a notification names");
        if (message != nullptr) {
            bind(std::string(of), "letter " + std::to_string(message->letter.number));
            if (to != message->letter.reverse_path) {
                journal_.fault("a notification about " + std::string(path) + " goes to " + to);
            }
            named(std::string(path), id);
        }
    }
    if (!any) {
        journal_.fault("the notification " + id + " names nobody");
    }
}

void Oracle::named(const std::string& path, const std::string& id) {
    Recipient& one = recipient(path);
    if (one.notifications.insert(id).second) {
        ++notified_;
    }
    if (one.notifications.size() > 1 + std::size_t{one.open_deaths}) {
        journal_.fault(std::to_string(one.notifications.size()) + " notifications name " + path);
    }
    const auto expires =
        plan_.settings.queue.retry.expires_at(messages_.at(*letter_of(path)).composed);
    if (!one.never && !plan_.on(Fault::wall_step) && world_.wall_now() < expires) {
        journal_.fault("a notification names " + path + ", which has not failed");
    }
}

void Oracle::taken(const Given& given, bool withheld) {
    std::string id;
    if (is_sender(given.recipients.front())) {
        std::size_t at = 0;
        id = field_of(given.content, "Message-ID: <", at).substr(0, kIdSize);
    }
    ++taken_;
    for (const std::string& path : given.recipients) {
        const std::string key = key_of(id, path);
        Recipient& one = recipient(key);
        copies_ += one.takes.empty() ? 0 : 1;
        check_copy(key, one, given.sent);
        // What an earlier program sent may be read only now.
        one.takes.push_back({.connection = given.connection,
                             .generation = given.sent < started_ ? 0 : generation_,
                             .at = world_.now(),
                             .withheld = withheld});
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
        const bool forgotten = take.generation != generation_;  // its claim, if any, is uncertain
        const bool unheard = take.withheld || take.broken || plan_.network_breaks() ||
                             std::ranges::any_of(one.outcomes, [&](const Outcome& outcome) {
                                 return outcome.possible_duplicate && outcome.at >= take.at;
                             });
        if (!forgotten && (take.claimed || (take.confirmed || !unheard))) {
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
    if (one.takes.empty() && !failed) {
        journal_.fault("letter " + std::to_string(message.letter.number) + " (" + message.id +
                       ") is lost: nobody has it for " + path);
    }
    if (failed && !message.letter.reverse_path.empty() && one.notifications.empty() &&
        !lost_senders_.contains(message.letter.reverse_path)) {
        journal_.fault(path + " has failed, and its sender was not told");
    }
    if (message.letter.reverse_path.empty() && !one.notifications.empty()) {
        journal_.fault("a notification was sent to the null path, about " + path);
    }
    // A program that died behind the notification does not know of it, and tries again.
    if (!failed && !one.notifications.empty() && one.open_deaths == 0) {
        journal_.fault("a notification names " + path + ", which was delivered");
    }
}

}  // namespace sim::relay
