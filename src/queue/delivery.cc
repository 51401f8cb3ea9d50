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
      bounce_(scheduler, site.retry()) {}

rt::Task<void> Delivery::run() {
    site_.arrived();
    for (;;) {
        if (!scheduler_.store().takes_attempts() && !scheduler_.stopping()) {
            co_await rest_.until(scheduler_.shard().now() + kStorePause);
            continue;
        }
        Entry* entry = site_.take(client_.usable());
        if (entry != nullptr) {
            co_await attempt(*entry, true);
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
    if (client_.is_open()) {
        co_await client_.close();
    }
    if (std::exchange(engaged_, false)) {
        site_.disengage();
    }
}

// --- one attempt ---

rt::Task<void> Delivery::carry_out_rules(Entry& entry) {
    co_await attempt(entry, false);
}

rt::Task<void> Delivery::attempt(Entry& entry, bool tries) {
    base::Result<store::ReaderHandle> opened = co_await scheduler_.store().open_source(entry.id());
    if (!opened) {
        scheduler_.unreadable(entry, opened.error());
        co_return;
    }
    reader_ = std::move(*opened);
    bounce_.clear();
    untold_ = false;
    told_at_ = base::MonoTime::min();
    ask_rules(entry);
    if (!tries && bounced_by_ != 0 && scheduler_.rules().rests()) {
        reader_.reset();
        scheduler_.put_back(entry);  // what else the rules want is done; nobody can be told now
        co_return;
    }
    // What a rule bounces goes first, and by itself: there may be rules behind that one.
    if (tries && bounced_by_ == 0) {
        collect_due(entry);
        co_await try_due(entry);
    }
    co_await settle(entry);
    const store::StoredMessage& message = reader_->message();
    if (std::exchange(content_bad_, false)) {
        scheduler_.hold_damaged(entry, HoldReason::content_bad);
    } else if (untold_) {
        put_off(entry);
    } else {
        scheduler_.attempted(entry, message.envelope.reverse_path(), message.facts.content_bytes());
    }
    reader_.reset();
}

// Somebody is to be told first.
void Delivery::put_off(Entry& entry) {
    if (told_at_ == base::MonoTime::min()) {
        scheduler_.put_off(entry, PutOff::notification_room);
        scheduler_.rules().no_room();
        return;
    }
    scheduler_.put_off(entry, PutOff::notification_limit, told_at_);
    if (bounced_by_ != 0) {
        scheduler_.rules().rest(scheduler_.notification_limit().ends());
    }
}

rt::Task<void> Delivery::try_due(Entry& entry) {
    const base::WallTime now = scheduler_.shard().wall_now();
    if (site_.retry().expired(entry.arrival(), now)) {
        co_await expire(entry);
    } else if (!site_.dead() || client_.usable() || !site_.owes_word(entry, now)) {
        co_await try_recipients(entry);
    }
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
    request_.ret = envelope.parameters.ret;
    request_.envelope_id = envelope.envelope_id();
    const bool has_dsn = envelope.has_dsn();
    // A rule that comes meanwhile finds the rest untried.
    while (due_at_ < due_.size() && !scheduler_.stopping() && !content_bad_ &&
           scheduler_.rules().newest_for(entry) <= rules_asked_) {
        if (!scheduler_.store().takes_attempts()) {
            co_await rest_.until(scheduler_.shard().now() + kStorePause);
            continue;
        }
        collect_slice(has_dsn);
        if (was_tried(entry)) {
            co_await read_histories(entry);
            if (scheduler_.stopping()) {
                co_return;
            }
        }
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
        if (crowded_) {
            co_return;  // what is left is for a connection that serves
        }
    }
}

void Delivery::collect_slice(bool has_dsn) {
    const std::size_t most = scheduler_.options().recipients_per_transaction;
    const mail::Envelope& envelope = reader_->message().envelope;
    slice_.clear();
    paths_.clear();
    dsn_.clear();
    histories_.clear();
    history_ends_.clear();
    while (due_at_ < due_.size() && slice_.size() < most) {
        slice_.push_back(due_[due_at_]);
        paths_.push_back(envelope.recipient(due_[due_at_]));
        if (has_dsn) {
            dsn_.push_back({.notify = envelope.notify(due_[due_at_]),
                            .original_recipient = envelope.original_recipient(due_[due_at_])});
        }
        ++due_at_;
    }
    request_.recipients = paths_;
    request_.dsn = dsn_;
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
            site_.crowded(site_.engaged(), shard.now());
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
    co_await offer();
    if (client_.went_stale()) {
        co_await disconnect();
        const bool reached = co_await reach_site();
        if (!reached) {
            co_return false;
        }
        co_await offer();
    }
    ++transactions_;
    if (client_.repairs() > 0) {
        tell_repairs();
    }
    co_return true;
}

rt::Task<void> Delivery::offer() {
    reader_->rewind();
    request_.mail_alone = transactions_ == 0 && site_.in_doubt(scheduler_.shard().now());
    co_await client_.deliver(request_, *reader_);
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

}  // namespace queue
