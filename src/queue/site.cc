#include "queue/site.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "queue/scheduler.h"

namespace queue {
namespace {

// While a site cools down: how often, and how many entries at a time, to look for what has expired.
constexpr base::Duration kHoldTick = std::chrono::seconds(1);
constexpr std::size_t kEntriesPerTick = 4096;
constexpr base::Duration kShortagePause = std::chrono::seconds(1);
// How long MAIL is sent alone, for a round trip more per connection.
constexpr base::Duration kDoubt = std::chrono::minutes(10);
// Between notices of one kind, however often the state changes.
constexpr base::Duration kNoticePause = std::chrono::minutes(1);

// As it was on the wire, or our own words.
std::string words_of(const mail::Reply& reply) {
    return reply.code == 0 ? reply.text : mail::describe(reply);
}

}  // namespace

Site::Site(Scheduler& scheduler, const Route& route, const Options& options, std::uint16_t number)
    : scheduler_(scheduler),
      route_(route),
      options_(options),
      retry_(options.retry_of(route)),
      number_(number),
      limit_(route.connections_max),
      targets_(route.targets.size()),
      hold_timer_(*this) {
    RP_ASSERT(!route.targets.empty() && route.connections_max > 0);
}

Site::~Site() {
    RP_ASSERT(running_ == 0);
    while (!unused_.empty()) {
        unused_.pop_front();
    }
}

void Site::push(Entry& entry) {
    RP_ASSERT(entry.state() == EntryState::ready);
    ready_.push_back(entry);
    ++ready_count_;
}

Entry* Site::take(bool connected) {
    if (scheduler_.stopping()) {
        return nullptr;
    }
    Entry* entry = nullptr;
    if (!expired_.empty()) {
        entry = &static_cast<Entry&>(expired_.pop_front());
        entry->overdue_ = false;
        --expired_count_;
    } else if (!ready_.empty() && (connected || may_connect(scheduler_.shard().now()))) {
        entry = &static_cast<Entry&>(ready_.pop_front());
        --ready_count_;
    } else {
        return nullptr;
    }
    scheduler_.transition(*entry, EntryState::in_delivery);
    return entry;
}

void Site::withdraw(Entry& entry) {
    RP_ASSERT(entry.state() == EntryState::ready && entry.linked());
    entry.unlink();
    --(entry.overdue_ ? expired_count_ : ready_count_);
    entry.overdue_ = false;
}

rt::Task<void> Site::carry_out_rules(Entry& entry) {
    Delivery& clerk = unused_delivery();
    co_await clerk.carry_out_rules(entry);
    unused_.push_front(clerk);
}

void Site::try_now() {
    cool_until_ = base::MonoTime::min();
    short_until_ = base::MonoTime::min();
    pump();
}

// As many deliveries as there is work for: those that are awake look at the queue by themselves,
// but not before they are done with what they have.
void Site::pump() {
    if (scheduler_.stopping()) {
        return;
    }
    while (coming_ < expired_count_ + ready_count_ && !resting_.empty()) {
        ++coming_;
        resting_.pop_front().wake();
    }
    const bool holding = holds(scheduler_.shard().now());
    const std::size_t startable = expired_count_ + (holding ? 0 : ready_count_);
    const std::size_t limit = failures_ == 0 ? limit_ : expired_count_ > 0 ? 2 : 1;
    while (coming_ < startable && running_ < limit) {
        ++coming_;
        start_delivery();
    }
    if ((holding || failures_ > 0) && ready_count_ > 0) {
        hold();
    }
}

// Until it is time to look again what has expired, or connections may be made.
void Site::hold() {
    if (!hold_timer_.armed()) {
        const base::MonoTime now = scheduler_.shard().now();
        const base::MonoTime tick = now + kHoldTick;
        scheduler_.shard().session_timers().set(
            hold_timer_, holds(now) ? std::min(tick, std::max(cool_until_, short_until_)) : tick);
    }
}

void Site::hold_ticks(rt::Timer& timer) {
    Site& site = static_cast<HoldTimer&>(timer).site();
    site.find_expired();
    site.pump();
}

// Goes round the ready queue, a part at a time, so that a long one holds nobody up.
void Site::find_expired() {
    const base::WallTime now = scheduler_.shard().wall_now();
    const std::size_t count = std::min(ready_count_, kEntriesPerTick);
    const bool room = scheduler_.store().admits(0) == mail::SinkState::ready;
    for (std::size_t i = 0; i < count; ++i) {
        auto& entry = static_cast<Entry&>(ready_.pop_front());
        if (retry_.expired(entry.arrival(), now) || (room && owes_word(entry, now))) {
            --ready_count_;
            ++expired_count_;
            entry.overdue_ = true;
            expired_.push_back(entry);
        } else {
            ready_.push_back(entry);
        }
    }
}

bool Site::owes_word(const Entry& entry, base::WallTime now) const {
    return retry_.delayed(entry.arrival(), now) &&
           std::ranges::any_of(entry.recipients(), [](const store::RecipientState& one) {
               return !one.delay_told && !store::is_final(one.status) &&
                      one.status != store::RecipientStatus::held;
           });
}

void Site::arrived() {
    RP_ASSERT(coming_ > 0);
    --coming_;
}

Delivery& Site::unused_delivery() {
    if (unused_.empty()) {
        deliveries_.push_back(std::make_unique<Delivery>(scheduler_, *this));
        unused_.push_back(*deliveries_.back());
    }
    return unused_.pop_front();
}

void Site::start_delivery() {
    ++running_;
    scheduler_.deliveries().spawn(unused_delivery().run());
}

void Site::ended(Delivery& delivery) {
    RP_ASSERT(running_ > 0);
    --running_;
    unused_.push_front(delivery);
    pump();
}

void Site::stop_resting() {
    hold_timer_.cancel();
    while (!resting_.empty()) {
        ++coming_;
        resting_.pop_front().wake();
    }
    for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
        delivery->wake();  // those that wait for the store
    }
}

void Site::break_off() {
    for (const std::unique_ptr<Delivery>& delivery : deliveries_) {
        delivery->stop();
    }
}

void Site::short_of_means(const mail::Reply& reply, base::MonoTime now) {
    short_until_ = now + kShortagePause;
    if (now >= next_shortage_notice_) {
        next_shortage_notice_ = now + kNoticePause;
        scheduler_.log().notice(mail::Severity::warning,
                                "no connection can be made: " + reply.text +
                                    "; deliveries wait. See the limit of open files (LimitNOFILE=, "
                                    "ulimit -n), memory, and the range of local ports");
    }
}

void Site::crowded(std::size_t others, base::MonoTime now) {
    limit_ = std::max<std::size_t>(others, 1);
    grow_at_ = now + options_.cool_down_most;
}

void Site::succeeded(base::MonoTime now) {
    const bool was_dead = std::exchange(failures_, 0) > 0;
    if (std::exchange(dead_told_, false)) {
        scheduler_.log().notice(mail::Severity::info,
                                "mail gets through to " + route_.name + " again");
    }
    const bool grows = limit_ < route_.connections_max && now >= grow_at_;
    if (grows) {
        ++limit_;
        grow_at_ = now + options_.cool_down_most;
    }
    if (was_dead || grows) {
        pump();
    }
}

void Site::doubt(base::MonoTime now) {
    doubt_until_ = now + kDoubt;
}

void Site::passed_over(std::size_t target, const mail::Reply& reply) {
    TargetState& state = targets_[target];
    state.failing = true;
    state.reason = words_of(reply);
}

void Site::serves(std::size_t target, base::MonoTime now) {
    const std::string& name = route_.targets[target].name;
    for (std::size_t before = 0; before < target; ++before) {
        TargetState& state = targets_[before];
        if (state.failing && !state.told && now >= state.next_notice) {
            state.told = true;
            state.next_notice = now + kNoticePause;
            scheduler_.log().notice(mail::Severity::warning,
                                    "next hop " + route_.targets[before].name +
                                        " does not serve (" + state.reason + "); mail goes to " +
                                        name);
        }
    }
    TargetState& state = targets_[target];
    state.failing = false;
    if (std::exchange(state.told, false)) {
        scheduler_.log().notice(mail::Severity::info, "next hop " + name + " serves again");
    }
}

void Site::failed(const mail::Reply& reply, base::MonoTime now, base::Prng& prng) {
    last_words_ = words_of(reply);
    if (!dead_told_ && now >= next_dead_notice_) {
        dead_told_ = true;
        next_dead_notice_ = now + kNoticePause;
        scheduler_.log().notice(mail::Severity::warning,
                                "no mail gets through to " + route_.name + " (" + last_words_ +
                                    "); what is for it waits, and is tried from time to time");
    }
    if (now < cool_until_) {
        return;  // several connections failed at once; that is one failure
    }
    limit_ = route_.connections_max;  // what was learnt of it no longer holds
    base::Duration wait = options_.cool_down_least;
    for (std::uint32_t i = 0; i < failures_ && wait < options_.cool_down_most; ++i) {
        wait *= 2;
    }
    wait = std::min(wait, options_.cool_down_most);
    ++failures_;
    // Up to a quarter less, so that the sites that one fault took down do not come back together.
    const auto quarter = static_cast<std::uint64_t>(wait.count() / 4);
    const auto less = static_cast<std::int64_t>(quarter > 0 ? prng.below(quarter) : 0);
    cool_until_ = now + wait - base::Duration(less);
}

}  // namespace queue
