#include "queue/delivery.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "queue/scheduler.h"
#include "queue/site.h"

namespace queue {

using store::RecipientStatus;

namespace {

// How often to look whether the store takes outcomes again.
constexpr base::Duration kStorePause = std::chrono::milliseconds(100);

}  // namespace

Delivery::Delivery(Scheduler& scheduler, Site& site)
    : scheduler_(scheduler),
      site_(site),
      client_(scheduler.net(), scheduler.options().smtp, scheduler.options().hostname),
      bounce_(scheduler.store(), scheduler.options()) {}

rt::Task<void> Delivery::run() {
    site_.arrived();
    for (;;) {
        if (!scheduler_.store().takes_outcomes() && !scheduler_.stopping()) {
            co_await rest_.until(scheduler_.shard().now() + kStorePause);
            continue;
        }
        Entry* entry = site_.take(client_.usable());
        if (entry != nullptr) {
            co_await attempt(*entry);
            co_await close_if_worn();
            if (crowded_) {
                break;
            }
            continue;
        }
        if (scheduler_.stopping() || !client_.usable()) {
            break;
        }
        site_.rest(*this);
        co_await rest_.until(scheduler_.shard().now() + scheduler_.options().connection_idle_max);
        if (linked()) {  // nobody woke us
            unlink();
            break;
        }
        site_.arrived();
        client_.rested();
        if (client_.server_left()) {
            co_await disconnect();
        }
    }
    co_await disconnect();
    crowded_ = false;
    site_.ended(*this);
}

// Not used for ever, and not once it is broken.
rt::Task<void> Delivery::close_if_worn() {
    const Options& options = scheduler_.options();
    const bool worn = !client_.usable() || transactions_ >= options.transactions_per_connection ||
                      scheduler_.shard().now() - connected_at_ >= options.connection_age_max;
    if (worn) {
        co_await disconnect();
    }
}

rt::Task<void> Delivery::disconnect() {
    if (std::exchange(engaged_, false)) {
        site_.disengage();
    }
    if (client_.is_open()) {
        co_await client_.close();
    }
}

// --- one attempt ---

rt::Task<void> Delivery::attempt(Entry& entry) {
    base::Result<store::ReaderHandle> opened = co_await scheduler_.store().open_source(entry.id());
    if (!opened) {
        scheduler_.unreadable(entry, opened.error());
        co_return;
    }
    reader_ = std::move(*opened);
    bounce_.clear();
    collect_due(entry);
    if (scheduler_.options().retry.expired(entry.arrival(), scheduler_.shard().wall_now())) {
        co_await expire(entry);
    } else {
        co_await try_recipients(entry);
    }
    if (!bounce_.failures().empty()) {
        co_await bounce(entry);
    }
    const store::StoredMessage& message = reader_->message();
    if (std::exchange(content_bad_, false)) {
        scheduler_.hold_damaged(entry, HoldReason::content_bad);
    } else {
        scheduler_.attempted(entry, message.envelope.reverse_path(), message.facts.content_bytes());
    }
    reader_.reset();
}

void Delivery::collect_due(const Entry& entry) {
    due_.clear();
    due_at_ = 0;
    const std::span<const store::RecipientState> recipients = entry.recipients();
    for (std::uint32_t i = 0; i < recipients.size(); ++i) {
        if (entry.is_due(recipients[i])) {
            due_.push_back(i);
        }
    }
}

rt::Task<void> Delivery::try_recipients(Entry& entry) {
    const mail::Envelope& envelope = reader_->message().envelope;
    request_.reverse_path = envelope.reverse_path();
    request_.smtputf8 = envelope.parameters.smtputf8;
    while (due_at_ < due_.size() && !scheduler_.stopping() && !content_bad_) {
        if (!scheduler_.store().takes_outcomes()) {
            co_await rest_.until(scheduler_.shard().now() + kStorePause);
            continue;
        }
        collect_slice();
        bool done = co_await reach_site();
        if (done) {
            done = co_await transact();
        }
        if (untried_) {
            co_return;  // what is left stays ready: another connection will see to it
        }
        if (!done) {
            defer_slice(entry);
            continue;
        }
        take_results(entry);
        co_await close_if_worn();
    }
}

void Delivery::collect_slice() {
    const std::size_t most = scheduler_.options().recipients_per_transaction;
    const mail::Envelope& envelope = reader_->message().envelope;
    slice_.clear();
    paths_.clear();
    while (due_at_ < due_.size() && slice_.size() < most) {
        slice_.push_back(due_[due_at_]);
        paths_.push_back(envelope.recipient(due_[due_at_]));
        ++due_at_;
    }
    request_.recipients = paths_;
}

// A usable connection; false: none is to be had now. Unless untried_ is set then, this was the
// attempt that found the site dead.
rt::Task<bool> Delivery::reach_site() {
    untried_ = false;
    if (client_.usable()) {
        co_return true;
    }
    rt::Shard& shard = scheduler_.shard();
    // Asked again: what was free when the entry was taken may be taken by now.
    if (!site_.may_connect(shard.now())) {
        untried_ = true;
        co_return false;
    }
    site_.engage();
    const bool connected = co_await connect();
    if (!connected) {
        // While others get through, or still may, it is one connection too many; the last one of
        // all finds the site dead.
        site_.disengage();
        untried_ = true;
        if (client_.short_of_means()) {
            site_.short_of_means(client_.failure(), shard.now());
        } else if (site_.engaged() > 0) {
            crowded_ = true;
            site_.crowded(shard.now());
        } else if (!scheduler_.stopping()) {
            untried_ = false;
            site_.failed(client_.failure(), shard.now(), shard.prng());
        }
        co_return false;
    }
    engaged_ = true;
    connected_at_ = shard.now();
    transactions_ = 0;
    co_return true;
}

// To the first target that serves.
rt::Task<bool> Delivery::connect() {
    const std::span<const smtp::Target> targets = site_.route().targets;
    for (std::size_t i = 0; i < targets.size() && !scheduler_.stopping(); ++i) {
        const bool connected = co_await client_.connect(targets[i]);
        if (connected) {
            site_.serves(i, scheduler_.shard().now());
            co_return true;
        }
        if (client_.short_of_means() || scheduler_.stopping()) {
            break;
        }
        site_.passed_over(i, client_.failure());
    }
    co_return false;
}

// False: the connection turned out to be stale, and no other is to be had.
rt::Task<bool> Delivery::transact() {
    reader_->rewind();
    co_await client_.deliver(request_, *reader_);
    if (client_.went_stale()) {
        co_await disconnect();
        const bool reached = co_await reach_site();
        if (!reached) {
            co_return false;
        }
        reader_->rewind();
        co_await client_.deliver(request_, *reader_);
    }
    ++transactions_;
    if (client_.repairs() > 0) {
        tell_repairs();
    }
    co_return true;
}

void Delivery::tell_repairs() {
    const mail::QueueId::Text id = reader_->message().id.text();
    scheduler_.log().notice(
        mail::Severity::warning,
        "the content of " + std::string(mail::view(id)) +
            " holds bare line ends or NULs, which nothing should have stored: " +
            std::to_string(client_.repairs()) + " were put right on the way to " +
            std::string(relay()) + "; please report this as a fault of ringpost");
}

void Delivery::take_results(Entry& entry) {
    const smtp::ClientTransaction& transaction = client_.transaction();
    bool answered = false;
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
                bounce_.add(recipient, RecipientStatus::failed, reply, relay());
                break;
        }
        answered = answered || transaction.state(i) != smtp::RecipientState::deferred;
    }
    // A site that greets and then drops every first transaction is as dead as one that refuses.
    rt::Shard& shard = scheduler_.shard();
    if (answered || client_.usable()) {
        site_.succeeded(shard.now());
    } else if (transactions_ <= 1 && !client_.source_failed() && !scheduler_.stopping()) {
        if (site_.engaged() > 1) {
            site_.crowded(shard.now());
        } else {
            site_.failed(client_.failure(), shard.now(), shard.prng());
        }
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
        stored_outcome_.reply = {
            .code = 0, .status = {4, 4, 7}, .text = "no attempt was made in the time set for it"};
        if (!site_.last_words().empty()) {
            stored_outcome_.reply.text.assign("the next hop did not serve: " + site_.last_words());
        }
        stored_outcome_.relay.clear();
        if (!entry.recipients()[recipient].outcome.nowhere()) {
            const base::Status read =
                co_await scheduler_.store().read_outcome(entry.id(), recipient, stored_outcome_);
            if (!read) {
                stored_outcome_.reply.text.assign("the last reply cannot be read");
            }
        }
        bounce_.add(recipient, RecipientStatus::expired, stored_outcome_.reply,
                    stored_outcome_.relay);
    }
}

rt::Task<void> Delivery::bounce(Entry& entry) {
    const bool told = co_await bounce_.send(*reader_, scheduler_.shard().wall_now());
    for (const Bounce::Failure& failure : bounce_.failures()) {
        if (!told) {
            postponed(entry, failure);
            continue;
        }
        const bool expired = failure.status == RecipientStatus::expired;
        entry.recipients()[failure.recipient].status = failure.status;
        record(entry, failure.recipient, failure.reply, failure.relay);
        log_attempt(
            entry, failure.recipient, failure.reply, failure.relay,
            expired ? mail::AttemptEvent::Status::expired : mail::AttemptEvent::Status::bounced,
            false);
    }
}

// The notification could not be stored (a full disk): nobody is failed without one, so all of it is
// tried again.
void Delivery::postponed(Entry& entry, const Bounce::Failure& failure) {
    entry.recipients()[failure.recipient].status = RecipientStatus::deferred;
    record(entry, failure.recipient, failure.reply, failure.relay);
    log_attempt(entry, failure.recipient, failure.reply, failure.relay,
                mail::AttemptEvent::Status::deferred, false);
}

// --- how recipients fared ---

void Delivery::delivered(Entry& entry, std::uint32_t recipient, const mail::Reply& reply) {
    entry.recipients()[recipient].status = RecipientStatus::delivered;
    record(entry, recipient, reply, relay());
    log_attempt(entry, recipient, reply, relay(), mail::AttemptEvent::Status::sent, false);
}

void Delivery::deferred(Entry& entry, std::uint32_t recipient, const mail::Reply& reply,
                        bool possible_duplicate) {
    // What a shutdown broke off is no attempt: the next start makes it again, at once. Unless the
    // next hop may have the message: that is told, and then a repetition is in no hurry.
    if (scheduler_.stopping() && reply.code == 0 && !possible_duplicate) {
        return;
    }
    entry.recipients()[recipient].status = RecipientStatus::deferred;
    record(entry, recipient, reply, relay());
    log_attempt(entry, recipient, reply, relay(), mail::AttemptEvent::Status::deferred,
                possible_duplicate);
}

void Delivery::record(Entry& entry, std::uint32_t recipient, const mail::Reply& reply,
                      std::string_view relay) {
    const store::RecipientState& state = entry.recipients()[recipient];
    const base::WallTime now = scheduler_.shard().wall_now();
    const RetryPolicy& retry = scheduler_.options().retry;
    std::uint32_t attempts = state.attempts;
    base::WallTime next;
    if (state.status != RecipientStatus::expired && attempts < UINT16_MAX) {
        ++attempts;
    }
    if (state.status == RecipientStatus::deferred) {
        // Behind the expiry there is still the notification to be stored.
        next = retry.expired(entry.arrival(), now)
                   ? now + retry.wait_after(std::max<std::uint32_t>(attempts, 1))
                   : retry.next_attempt(entry.arrival(), now, attempts);
    }
    scheduler_.store().record_outcome(entry.message(), {.recipient = recipient,
                                                        .status = state.status,
                                                        .attempts = attempts,
                                                        .at = now,
                                                        .next_attempt = next,
                                                        .code = reply.code,
                                                        .dsn = reply.status,
                                                        .reply = reply.text,
                                                        .relay = relay});
}

void Delivery::log_attempt(const Entry& entry, std::uint32_t recipient, const mail::Reply& reply,
                           std::string_view relay, mail::AttemptEvent::Status status,
                           bool possible_duplicate) {
    const store::StoredMessage& message = reader_->message();
    const store::RecipientState& state = entry.recipients()[recipient];
    const base::WallTime now = scheduler_.shard().wall_now();
    const bool waits = state.status == RecipientStatus::deferred;
    // A host that greets with 554 has refused the connection, not the recipient.
    mail::EnhancedStatus dsn = reply.status;
    if (status == mail::AttemptEvent::Status::deferred && dsn.klass == 5) {
        dsn.klass = 4;
    }
    const base::WallTime next = base::wall_from_unix_seconds(state.next_s);
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
                              .next_attempt = waits ? next - now : base::Duration::zero(),
                              .possible_duplicate = possible_duplicate});
}

std::string_view Delivery::relay() const {
    return client_.target() != nullptr ? client_.target()->name : std::string_view();
}

}  // namespace queue
