// The end of an attempt: how its recipients fared, who is told of it, and what is recorded.
#include <algorithm>

#include "queue/delivery.h"
#include "queue/scheduler.h"
#include "queue/site.h"

namespace queue {

using mail::DsnKind;
using store::RecipientStatus;
using AttemptStatus = mail::AttemptEvent::Status;

// What the operator wants of this message, before anything else happens to it.
void Delivery::ask_rules(Entry& entry) {
    Rules& rules = scheduler_.rules();
    rules_asked_ = rules.newest_for(entry);
    bounced_by_ = 0;
    if (!rules.due(entry)) {
        return;
    }
    for (const Rules::Verdict& verdict : rules.carry_out(entry, &reader_->message().envelope)) {
        bounced_by_ = verdict.bounced_by->number;
        mail::Reply reply{.code = 0, .status = {5, 7, 1}, .text = "given up by the postmaster"};
        if (!verdict.bounced_by->words.empty()) {
            reply.text += ": " + verdict.bounced_by->words;
        }
        bounce_.add(DsnKind::failed, verdict.recipient, RecipientStatus::failed, reply, "", true);
    }
}

void Delivery::take_results(Entry& entry) {
    const smtp::ClientTransaction& transaction = client_.transaction();
    for (std::size_t i = 0; i < slice_.size(); ++i) {
        const std::uint32_t recipient = slice_[i];
        const mail::Reply& reply = transaction.reply(i);
        switch (transaction.state(i)) {
            case smtp::RecipientState::pending:
                due_.push_back(recipient);  // in another transaction of this attempt
                break;
            case smtp::RecipientState::delivered:
                delivered(entry, recipient, reply);
                break;
            case smtp::RecipientState::deferred:
                if (client_.source_failed() && reply.code == 0) {
                    content_bad_ = true;  // no attempt: the next hop had no say in it
                    break;
                }
                deferred(entry, recipient, reply, transaction.possible_duplicate(i));
                break;
            case smtp::RecipientState::failed:
                carry_history(bounce_.add(DsnKind::failed, recipient, RecipientStatus::failed,
                                          reply, relay()));
                break;
        }
    }
    judge_site();
}

// A site that drops every first transaction before it has answered MAIL is as dead as one that
// refuses. What breaks behind that is this message's bad luck: the next one may fare better.
void Delivery::judge_site() {
    const smtp::ClientTransaction& transaction = client_.transaction();
    rt::Shard& shard = scheduler_.shard();
    if (transaction.mail_answered() || client_.usable()) {
        site_.succeeded(shard.now());
        return;
    }
    if (transactions_ > 1 || client_.source_failed() || scheduler_.stopping()) {
        return;
    }
    if (client_.extensions().pipelining && !request_.mail_alone && transaction.replies() == 0 &&
        client_.failure().code == 0) {
        site_.doubt(shard.now());
    } else if (site_.engaged() > 1) {
        crowded_ = true;  // its own connection is counted still
        site_.crowded(site_.engaged() - 1, shard.now());
    } else {
        site_.failed(client_.failure(), shard.now(), shard.prng());
    }
}

void Delivery::defer_slice(Entry& entry) {
    for (const std::uint32_t recipient : slice_) {
        deferred(entry, recipient, client_.failure(), false);
    }
}

// --- expiry and notification ---

// Given up. The last reply of each goes into the notification.
rt::Task<void> Delivery::expire(Entry& entry) {
    for (const std::uint32_t recipient : due_) {
        if (scheduler_.stopping()) {
            co_return;  // the rest expires at the next start
        }
        co_await read_last_outcome(entry, recipient);
        // This is no attempt: all that were made came before.
        Bounce::Fate& fate = bounce_.add(DsnKind::failed, recipient, RecipientStatus::expired,
                                         stored_outcome_.reply, stored_outcome_.relay);
        fate.at = stored_outcome_.at;
        fate.tried = stored_outcome_.attempts > 0;
        history_.append_to(fate.history);
    }
}

// Reply and next hop of the last attempt, or why there was none, into stored_outcome_; and all
// attempts into history_, as far as they are known.
rt::Task<void> Delivery::read_last_outcome(Entry& entry, std::uint32_t recipient) {
    const std::uint32_t attempts = entry.recipients()[recipient].attempts;
    history_.clear();
    stored_outcome_.attempts = 0;
    stored_outcome_.at = scheduler_.shard().wall_now();
    stored_outcome_.history.clear();
    stored_outcome_.reply = {
        .code = 0, .status = {4, 4, 7}, .text = "no attempt was made in the time set for it"};
    if (!site_.last_words().empty()) {
        stored_outcome_.reply.text.assign("the next hop did not serve: " + site_.last_words());
    }
    stored_outcome_.relay.clear();
    if (!entry.recipients()[recipient].outcome.nowhere()) {
        const base::Status read =
            co_await scheduler_.store().read_outcome(entry.id(), recipient, stored_outcome_);
        if (read) {
            history_.take(stored_outcome_);
        } else {
            stored_outcome_.reply.text.assign("the last reply cannot be read");
        }
    }
    // A record that cannot be read, or that is not durable yet.
    if (const std::uint64_t known = history_.attempts(); known < attempts) {
        history_.add_gap(attempts - known, stored_outcome_.at);
    }
}

// Senders are told before what they are told of is recorded.
rt::Task<void> Delivery::settle(Entry& entry) {
    if (!bounce_.fates(DsnKind::relayed).empty()) {
        co_await settle_relayed(entry);
    }
    bool told = true;
    if (!bounce_.fates(DsnKind::failed).empty()) {
        told = co_await settle_failed(entry);
    }
    if (told && !scheduler_.stopping() && site_.owes_word(entry, scheduler_.shard().wall_now())) {
        co_await tell_of_delay(entry);
    }
}

// Nobody is failed whose sender cannot be told now. What the next hop has refused is tried again in
// its time; where our own limit of notifications is used up, what a rule bounces and what has
// expired needs no more than that notification, and waits for it as it is.
rt::Task<bool> Delivery::settle_failed(Entry& entry) {
    const Bounce::Sent sent = co_await bounce_.send(DsnKind::failed, *reader_);
    const bool told = sent == Bounce::Sent::yes;
    for (const Bounce::Fate& fate : bounce_.fates(DsnKind::failed)) {
        if (!told) {
            const bool expired = fate.status == RecipientStatus::expired;
            if (fate.by_rule || (expired && sent == Bounce::Sent::over_limit)) {
                untold_ = true;
            } else {
                postponed(entry, fate);
            }
            continue;
        }
        const bool expired = fate.status == RecipientStatus::expired;
        entry.recipients()[fate.recipient].status = fate.status;
        record(entry, fate.recipient, fate.reply, fate.relay, fate.history, !fate.by_rule);
        log_attempt(entry, fate.recipient, fate.reply, fate.relay,
                    expired ? AttemptStatus::expired : AttemptStatus::bounced, false);
    }
    if (sent == Bounce::Sent::over_limit) {
        told_at_ = bounce_.come_again();
    }
    if (told && bounced_by_ != 0) {
        scheduler_.rules().bounced(entry, bounced_by_, bounce_.fates(DsnKind::failed).size());
    }
    co_return told;
}

// RFC 3461 §5.2.2. Delivered is delivered, even if nobody can be told of it.
rt::Task<void> Delivery::settle_relayed(Entry& entry) {
    const Bounce::Sent sent = co_await bounce_.send(DsnKind::relayed, *reader_);
    if (sent != Bounce::Sent::yes) {
        const mail::QueueId::Text id = entry.id().text();
        scheduler_.log().notice(mail::Severity::warning,
                                "the sender of " + std::string(mail::view(id)) +
                                    " wants to know of its delivery, and cannot be told: the "
                                    "spool takes no notification");
    }
    for (const Bounce::Fate& fate : bounce_.fates(DsnKind::relayed)) {
        entry.recipients()[fate.recipient].status = RecipientStatus::delivered;
        record(entry, fate.recipient, fate.reply, fate.relay, fate.history);
        log_attempt(entry, fate.recipient, fate.reply, fate.relay, AttemptStatus::sent, false);
    }
}

// Of all recipients that wait, once. What this attempt heard of them is gathered already; the rest
// is read.
rt::Task<void> Delivery::tell_of_delay(Entry& entry) {
    const mail::Envelope& envelope = reader_->message().envelope;
    const bool nobody = envelope.reverse_path().empty();
    std::vector<std::uint32_t> heard;
    for (const Bounce::Fate& fate : bounce_.fates(DsnKind::delayed)) {
        heard.push_back(fate.recipient);
    }
    std::ranges::sort(heard);
    for (std::uint32_t i = 0; i < entry.recipients().size(); ++i) {
        store::RecipientState& state = entry.recipients()[i];
        const bool waits =
            state.status == RecipientStatus::deferred || state.status == RecipientStatus::pending;
        if (state.delay_told || !waits) {
            continue;
        }
        if (nobody || !envelope.notify(i).delay()) {
            state.delay_told = true;  // nobody wants to know
            continue;
        }
        if (!std::ranges::binary_search(heard, i)) {
            co_await read_last_outcome(entry, i);
            Bounce::Fate& fate = bounce_.add(DsnKind::delayed, i, state.status,
                                             stored_outcome_.reply, stored_outcome_.relay);
            fate.at = stored_outcome_.at;
            fate.tried = stored_outcome_.attempts > 0;
            if (stored_outcome_.attempts == state.attempts) {
                const base::Bytes history = base::as_bytes(stored_outcome_.history);
                fate.history.assign(history.begin(), history.end());
            } else {
                history_.append_to(fate.history);  // with a gap for the last attempt
            }
        }
    }
    if (bounce_.fates(DsnKind::delayed).empty()) {
        co_return;
    }
    const Bounce::Sent sent = co_await bounce_.send(DsnKind::delayed, *reader_);
    if (sent != Bounce::Sent::yes) {
        untold_ = untold_ || site_.dead();  // else with the next attempt
        co_return;
    }
    for (const Bounce::Fate& fate : bounce_.fates(DsnKind::delayed)) {
        entry.recipients()[fate.recipient].delay_told = true;
        record_told(entry, fate);
        log_attempt(entry, fate.recipient, fate.reply, fate.relay, AttemptStatus::delayed, false);
    }
}

// The notification could not be stored (a full disk), or is one too many for now: nobody is failed
// without one, so all of it is tried again.
void Delivery::postponed(Entry& entry, const Bounce::Fate& fate) {
    entry.recipients()[fate.recipient].status = RecipientStatus::deferred;
    record(entry, fate.recipient, fate.reply, fate.relay, fate.history);
    log_attempt(entry, fate.recipient, fate.reply, fate.relay, AttemptStatus::deferred, false);
}

// --- how recipients fared ---

void Delivery::delivered(Entry& entry, std::uint32_t recipient, const mail::Reply& reply) {
    // Who asked for word of the delivery, and goes where none will come from, hears it from us.
    const mail::Envelope& envelope = reader_->message().envelope;
    if (envelope.notify(recipient).success() && !client_.extensions().dsn &&
        !envelope.reverse_path().empty()) {
        carry_history(
            bounce_.add(DsnKind::relayed, recipient, RecipientStatus::delivered, reply, relay()));
        return;
    }
    entry.recipients()[recipient].status = RecipientStatus::delivered;
    record(entry, recipient, reply, relay(), history_of(recipient));
    log_attempt(entry, recipient, reply, relay(), AttemptStatus::sent, false);
}

void Delivery::deferred(Entry& entry, std::uint32_t recipient, const mail::Reply& reply,
                        bool possible_duplicate) {
    // What a shutdown broke off is no attempt: the next start makes it again, at once. Unless the
    // next hop may have the message: that is told, and then a repetition is in no hurry.
    if (scheduler_.stopping() && reply.code == 0 && !possible_duplicate) {
        return;
    }
    entry.recipients()[recipient].status = RecipientStatus::deferred;
    record(entry, recipient, reply, relay(), history_of(recipient));
    log_attempt(entry, recipient, reply, relay(), AttemptStatus::deferred, possible_duplicate);
    const mail::Envelope& envelope = reader_->message().envelope;
    if (!entry.recipients()[recipient].delay_told &&
        site_.owes_word(entry, scheduler_.shard().wall_now()) &&
        envelope.notify(recipient).delay() && !envelope.reverse_path().empty()) {
        carry_history(
            bounce_.add(DsnKind::delayed, recipient, RecipientStatus::deferred, reply, relay()));
    }
}

void Delivery::record(Entry& entry, std::uint32_t recipient, const mail::Reply& reply,
                      std::string_view relay, base::Bytes history, bool tried) {
    const store::RecipientState& state = entry.recipients()[recipient];
    const base::WallTime now = scheduler_.shard().wall_now();
    const RetryPolicy& retry = site_.retry();
    base::Prng& prng = scheduler_.shard().prng();
    std::uint32_t attempts = state.attempts;
    base::WallTime next;
    if (tried && state.status != RecipientStatus::expired && attempts < UINT16_MAX) {
        ++attempts;
    }
    if (state.status == RecipientStatus::deferred) {
        // Behind the expiry there is still the notification to be stored.
        next = retry.expired(entry.arrival(), now)
                   ? now + retry.draw_wait(std::max<std::uint32_t>(attempts, 1), prng)
                   : retry.next_attempt(entry.arrival(), now, attempts, prng);
    }
    scheduler_.store().record_outcome(entry.message(), {.recipient = recipient,
                                                        .status = state.status,
                                                        .attempts = attempts,
                                                        .at = now,
                                                        .next_attempt = next,
                                                        .code = reply.code,
                                                        .dsn = reply.status,
                                                        .reply = reply.text,
                                                        .relay = relay,
                                                        .delay_told = state.delay_told,
                                                        .history = history});
}

// No attempt: all stays as it was, but that the sender knows of the delay.
void Delivery::record_told(Entry& entry, const Bounce::Fate& fate) {
    const store::RecipientState& state = entry.recipients()[fate.recipient];
    base::WallTime next;
    if (state.status == RecipientStatus::deferred) {
        next = base::wall_from_unix_seconds(state.next_s);
    }
    scheduler_.store().record_outcome(entry.message(), {.recipient = fate.recipient,
                                                        .status = state.status,
                                                        .attempts = state.attempts,
                                                        .at = fate.at,
                                                        .next_attempt = next,
                                                        .code = fate.reply.code,
                                                        .dsn = fate.reply.status,
                                                        .reply = fate.reply.text,
                                                        .relay = fate.relay,
                                                        .delay_told = state.delay_told,
                                                        .history = fate.history});
}

void Delivery::log_attempt(const Entry& entry, std::uint32_t recipient, const mail::Reply& reply,
                           std::string_view relay, AttemptStatus status, bool possible_duplicate) {
    const store::StoredMessage& message = reader_->message();
    const store::RecipientState& state = entry.recipients()[recipient];
    const base::WallTime now = scheduler_.shard().wall_now();
    const bool waits = state.status == RecipientStatus::deferred;
    // A host that greets with 554 has refused the connection, not the recipient.
    mail::EnhancedStatus dsn = reply.status;
    if ((status == AttemptStatus::deferred || status == AttemptStatus::delayed) && dsn.klass == 5) {
        dsn.klass = 4;
    }
    // Who is due already waits for a next hop that serves: when that will be, nobody knows.
    const base::Duration wait = base::wall_from_unix_seconds(state.next_s) - now;
    const base::Duration next = waits ? std::max(wait, wait.zero()) : wait.zero();
    scheduler_.log().attempt({.status = status,
                              .id = entry.id(),
                              .from = message.envelope.reverse_path(),
                              .to = message.envelope.recipient(recipient),
                              .relay = relay,
                              .delay = now - entry.arrival(),
                              .size_bytes = message.facts.content_bytes(),
                              .attempts = state.attempts,
                              .dsn = dsn,
                              .code = reply.code,
                              .reply = reply.text,
                              .tls = "",
                              .next_attempt = next,
                              .possible_duplicate = possible_duplicate});
}

std::string_view Delivery::relay() const {
    return client_.target() != nullptr ? client_.target()->name : std::string_view();
}

}  // namespace queue
