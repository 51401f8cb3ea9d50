#include "queue/scheduler.h"

#include <algorithm>
#include <cerrno>

#include "base/assert.h"

namespace queue {

using store::RecipientStatus;

namespace {

constexpr base::Duration kPutOff = std::chrono::seconds(30);

// Times in the log are in whole seconds, rounded up.
base::Duration wait_most(const RetryPolicy& retry) {
    return retry.longest_wait() + std::chrono::seconds(1);
}

}  // namespace

Scheduler::Scheduler(net::ShardNet& net, mail::EventLog& log, const Options& options)
    : shard_(net.shard()),
      net_(net),
      log_(log),
      options_(options),
      deliveries_(shard_, "deliveries"),
      slab_(this),
      notification_limit_(options.notifications_max, options.notifications_per_domain_max),
      rules_(*this),
      stop_timer_(*this) {
    RP_ASSERT(!options.routes.empty());
}

Scheduler::~Scheduler() {
    RP_ASSERT(deliveries_.size() == 0);
}

void Scheduler::use(store::Store& store) {
    RP_ASSERT(store_ == nullptr);
    store_ = &store;
    for (const Route& route : options_.routes) {
        const auto number = static_cast<std::uint16_t>(sites_.size());
        sites_.push_back(std::make_unique<Site>(*this, route, options_, number));
    }
}

void Scheduler::start() {
    RP_ASSERT(store_ != nullptr && !started_);
    started_ = true;
    for (const std::unique_ptr<Site>& site : sites_) {
        site->pump();
    }
    rules_.start();
}

rt::Task<void> Scheduler::stop() {
    stopping_ = true;
    for (const std::unique_ptr<Site>& site : sites_) {
        site->stop_resting();
    }
    shard_.session_timers().set(stop_timer_, shard_.now() + options_.stop_wait);
    co_await rules_.stop();
    co_await deliveries_.join();
    stop_timer_.cancel();
}

void Scheduler::stop_late(rt::Timer& timer) {
    for (const std::unique_ptr<Site>& site : static_cast<StopTimer&>(timer).scheduler().sites_) {
        site->break_off();
    }
}

// --- what the store tells ---

void Scheduler::recovered(store::Message& message) {
    place(add(message));
}

void Scheduler::committed(store::Message& message, const mail::Envelope& /*envelope*/,
                          const mail::ContentFacts& /*facts*/) {
    place(add(message));
}

// --- entries ---

Entry& Scheduler::add(store::Message& message) {
    Entry& entry = slab_.take(&Scheduler::retry_due, message);
    message.owner = &entry;
    return entry;
}

Entry* Scheduler::find(mail::QueueId id) {
    const store::Message* message = store_->find(id);
    return message == nullptr ? nullptr : static_cast<Entry*>(message->owner);
}

// Where an entry belongs, by what its recipients are.
void Scheduler::place(Entry& entry) {
    base::UnixSeconds due_s = UINT32_MAX;
    bool waits = false;
    bool held = false;
    for (const store::RecipientState& recipient : entry.recipients()) {
        if (recipient.status == RecipientStatus::pending) {
            due_s = 0;
            waits = true;
        } else if (recipient.status == RecipientStatus::deferred) {
            due_s = std::min(due_s, due_of(entry, recipient));
            waits = true;
        }
        held = held || recipient.status == RecipientStatus::held;
    }
    if ((waits || held) && entry.hold_reason != HoldReason::none) {
        transition(entry, EntryState::held);
    } else if (waits) {
        defer(entry, due_s);
    } else if (held) {
        transition(entry, EntryState::held);
    } else {
        remove(entry);
    }
}

// When a deferred recipient is to be looked at: for its next attempt, or for word of its delay. Of
// a clock that was set back, see defer(): then the attempt alone counts.
base::UnixSeconds Scheduler::due_of(const Entry& entry,
                                    const store::RecipientState& recipient) const {
    const RetryPolicy& retry = site_of(entry).retry();
    if (!retry.tells_of_delay() || recipient.delay_told) {
        return recipient.next_s;
    }
    const base::WallTime now = shard_.wall_now();
    const base::WallTime next = base::wall_from_unix_ms(std::int64_t{recipient.next_s} * 1000);
    const base::WallTime notice = retry.delay_notice_at(entry.arrival());
    // What was due and could not be told goes with the next attempt.
    const bool waits = notice > now && next - now <= wait_most(retry);
    return waits ? std::min(recipient.next_s, base::unix_seconds(notice)) : recipient.next_s;
}

// Onto the retry wheel, or into the ready queue when it is due by now.
void Scheduler::defer(Entry& entry, base::UnixSeconds due_s) {
    if (entry.wait_interrupted() && entry.due_s == due_s) {
        transition(entry, EntryState::deferred);
        shard_.retry_timers().set_again(entry);  // whatever the wall clock has done meanwhile
        return;
    }
    entry.due_s = due_s;
    const base::WallTime due = base::wall_from_unix_seconds(due_s);
    // A clock that was set back since the time was written makes nobody wait longer than one wait.
    const base::Duration wait =
        std::min(due - shard_.wall_now(), wait_most(site_of(entry).retry()));
    if (wait <= base::Duration::zero()) {
        make_ready(entry);
        return;
    }
    transition(entry, EntryState::deferred);
    shard_.retry_timers().set(entry, shard_.now() + wait);
}

void Scheduler::retry_due(rt::Timer& timer) {
    auto& entry = static_cast<Entry&>(timer);
    static_cast<Scheduler*>(base::Slab<Entry>::owner_of(entry))->make_ready(entry);
}

void Scheduler::make_ready(Entry& entry) {
    // What else is due by now goes in the same attempt.
    const std::int64_t now_s = base::unix_ms(shard_.wall_now()) / 1000;
    entry.due_s =
        std::max(entry.due_s, static_cast<base::UnixSeconds>(std::max<std::int64_t>(now_s, 0)));
    transition(entry, EntryState::ready);
    Site& site = *sites_[entry.site];
    site.push(entry);
    if (started_) {
        site.pump();
    }
}

void Scheduler::attempted(Entry& entry, std::string_view reverse_path, std::uint64_t size_bytes) {
    std::uint32_t delivered = 0;
    std::uint32_t failed = 0;
    std::uint32_t deleted = 0;
    for (const store::RecipientState& recipient : entry.recipients()) {
        delivered += recipient.status == RecipientStatus::delivered ? 1 : 0;
        failed += recipient.status == RecipientStatus::failed ||
                          recipient.status == RecipientStatus::expired
                      ? 1
                      : 0;
        deleted += recipient.status == RecipientStatus::deleted ? 1 : 0;
    }
    if (delivered + failed + deleted == entry.recipients().size()) {
        log_.removal({.id = entry.id(),
                      .from = reverse_path,
                      .size_bytes = size_bytes,
                      .delay = shard_.wall_now() - entry.arrival(),
                      .delivered = delivered,
                      .failed = failed,
                      .deleted = deleted});
    }
    place(entry);
}

void Scheduler::withdraw(Entry& entry) {
    RP_ASSERT(entry.state() != EntryState::in_delivery);
    if (entry.state() == EntryState::ready) {
        sites_[entry.site]->withdraw(entry);
    } else {
        entry.unlink();
    }
    const bool waits = entry.state() == EntryState::deferred && entry.put_off() == PutOff::no;
    transition(entry, EntryState::in_delivery);
    if (waits) {
        entry.interrupt_wait();
    }
}

// Where it has ended, nobody has read whose it was.
void Scheduler::put_back(Entry& entry) {
    const std::span<const store::RecipientState> all = entry.recipients();
    if (std::ranges::all_of(all, [](const auto& one) { return store::is_final(one.status); })) {
        log_.removal({.id = entry.id(),
                      .known = false,
                      .delay = shard_.wall_now() - entry.arrival(),
                      .deleted = static_cast<std::uint32_t>(std::ranges::count(
                          all, RecipientStatus::deleted, &store::RecipientState::status))});
    }
    place(entry);
}

rt::Task<void> Scheduler::carry_out_rules(Entry& entry) {
    co_await sites_[entry.site]->carry_out_rules(entry);
}

void Scheduler::try_sites_now() {
    for (const std::unique_ptr<Site>& site : sites_) {
        site->try_now();
    }
}

void Scheduler::remove(Entry& entry) {
    RP_ASSERT(!entry.linked());
    if (std::size_t* count = count_of(entry.state())) {
        --*count;
    }
    store::Message& message = entry.message();
    slab_.give_back(entry);
    store_->finish(message);
}

void Scheduler::unreadable(Entry& entry, const base::Error& error) {
    const int number = error.number();
    if (number != ENOMEM && number != EAGAIN && number != ENOBUFS && number != ECANCELED) {
        hold_damaged(entry, number == EUCLEAN ? HoldReason::damaged : HoldReason::unreadable);
        return;
    }
    std::string text("message ");
    text.append(mail::view(entry.id().text())).append(" cannot be read from the spool now (");
    text.append(error.describe()).append("); it is read again later");
    log_.notice(mail::Severity::warning, text);
    put_off(entry, PutOff::memory);
}

void Scheduler::put_off(Entry& entry, PutOff why) {
    put_off(entry, why, shard_.now() + kPutOff);
}

void Scheduler::put_off(Entry& entry, PutOff why, base::MonoTime until) {
    transition(entry, EntryState::deferred);
    entry.put_off(why);
    shard_.retry_timers().set(entry, until);
}

void Scheduler::hold_damaged(Entry& entry, HoldReason reason) {
    entry.hold_reason = reason;
    std::string text("message ");
    text.append(mail::view(entry.id().text())).append(" is held: ").append(words_of(reason));
    text.append("; check the disk. The next start reads it again");
    log_.notice(mail::Severity::error, text);
    transition(entry, EntryState::held);
}

std::size_t* Scheduler::count_of(EntryState state) {
    switch (state) {
        case EntryState::arrived:
            return nullptr;
        case EntryState::ready:
            return &counts_.ready;
        case EntryState::in_delivery:
            return &counts_.in_delivery;
        case EntryState::deferred:
            return &counts_.deferred;
        case EntryState::held:
            return &counts_.held;
    }
    RP_PANIC("unknown entry state");
}

void Scheduler::transition(Entry& entry, EntryState to) {
    const EntryState from = entry.state();
    if (std::size_t* count = count_of(from)) {
        --*count;
    }
    entry.transition(to);
    if (from == EntryState::in_delivery) {
        rules_.back(entry);
    }
    if (std::size_t* count = count_of(to)) {
        ++*count;
    }
}

}  // namespace queue
