#include "queue/site.h"

#include <algorithm>

#include "base/assert.h"
#include "queue/scheduler.h"

namespace queue {

Site::Site(Scheduler& scheduler, const Route& route, const Options& options, std::uint16_t number)
    : scheduler_(scheduler),
      route_(route),
      options_(options),
      number_(number),
      limit_(route.connections_max) {
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

Entry* Site::take() {
    if (ready_.empty() || scheduler_.stopping()) {
        return nullptr;
    }
    auto& entry = static_cast<Entry&>(ready_.pop_front());
    --ready_count_;
    scheduler_.transition(entry, EntryState::in_delivery);
    return &entry;
}

// As many deliveries as there is work for: those that are awake look at the queue by themselves,
// but not before they are done with what they have.
void Site::pump() {
    if (scheduler_.stopping()) {
        return;
    }
    while (coming_ < ready_count_ && !resting_.empty()) {
        ++coming_;
        resting_.pop_front().wake();
    }
    while (coming_ < ready_count_ && running_ < limit_) {
        ++coming_;
        start_delivery();
    }
}

void Site::arrived() {
    RP_ASSERT(coming_ > 0);
    --coming_;
}

void Site::start_delivery() {
    if (unused_.empty()) {
        deliveries_.push_back(std::make_unique<Delivery>(scheduler_, *this));
        unused_.push_back(*deliveries_.back());
    }
    ++running_;
    scheduler_.deliveries().spawn(unused_.pop_front().run());
}

void Site::ended(Delivery& delivery) {
    RP_ASSERT(running_ > 0);
    --running_;
    unused_.push_front(delivery);
    pump();
}

void Site::stop_resting() {
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

void Site::crowded(base::MonoTime now) {
    limit_ = std::max<std::size_t>(engaged_, 1);
    grow_at_ = now + options_.cool_down_most;
}

void Site::succeeded(base::MonoTime now) {
    failures_ = 0;
    if (limit_ < route_.connections_max && now >= grow_at_) {
        ++limit_;
        grow_at_ = now + options_.cool_down_most;
        pump();
    }
}

void Site::failed(const mail::Reply& reply, base::MonoTime now, base::Prng& prng) {
    failure_.code = reply.code;
    failure_.status = reply.status;
    failure_.text.assign(reply.text);
    if (cooling_down(now)) {
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
