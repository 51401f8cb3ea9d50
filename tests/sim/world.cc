#include "sim/world.h"

#include <malloc.h>

#include <algorithm>
#include <bit>
#include <cinttypes>

#include "base/assert.h"
#include "base/crc32c.h"
#include "sim/host.h"
#include "sim/network.h"

namespace sim {

namespace {

std::uint64_t mixed(std::uint64_t hash, std::uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
    return std::rotl(hash, 29) ^ (hash >> 32U);
}

// One short life follows another: to give the memory of each back to the kernel, page by page,
// takes twice the time of the lives.
void keep_memory() {
    static const bool kept = mallopt(M_MMAP_THRESHOLD, 32 << 20) == 1 &&
                             mallopt(M_TRIM_THRESHOLD, 1 << 30) == 1 &&
                             mallopt(M_TOP_PAD, 16 << 20) == 1;
    static_cast<void>(kept);
}

}  // namespace

World::World(std::uint64_t seed, Options options)
    : seed_(seed),
      options_(std::move(options)),
      prng_(seed),
      network_(std::make_unique<Network>(*this)),
      hash_(seed) {
    keep_memory();
}

World::~World() {
    queue_ = EventQueue();  // events hold files open, on disks that end with their hosts
}

Host& World::add_host(std::string name) {
    hosts_.push_back(std::make_unique<Host>(*this, std::move(name)));
    return *hosts_.back();
}

EventId World::at(base::MonoTime time, const char* label, std::function<void()> happen) {
    return queue_.add(std::max(time, now_), prng_.next(), label, std::move(happen));
}

void World::crash_at_event(Host& host, std::uint64_t event,
                           std::optional<std::uint64_t> crash_seed) {
    planned_crashes_.push_back({&host, event, crash_seed});
}

void World::crash_where_planned() {
    for (std::size_t i = 0; i < planned_crashes_.size();) {
        const PlannedCrash crash = planned_crashes_[i];
        if (crash.event > events_) {
            ++i;
            continue;
        }
        planned_crashes_.erase(planned_crashes_.begin() + static_cast<std::ptrdiff_t>(i));
        crash.host->crash(crash.seed);
    }
}

void World::settle_dead_hosts() {
    for (std::size_t i = 0; i < hosts_.size(); ++i) {
        if (hosts_[i]->process_ != nullptr && hosts_[i]->process_->dead &&
            hosts_[i]->program_.end) {
            hosts_[i]->settle();
        }
    }
}

bool World::step() {
    crash_where_planned();
    if (queue_.empty()) {
        return false;
    }
    auto [id, event] = queue_.take();
    now_ = std::max(now_, id.time);
    ++events_;
    trace(event.label, static_cast<std::uint64_t>(now_.time_since_epoch().count()));
    event.happen();
    if (fault(Fault::wall_step, event.label)) {
        const auto hours = std::chrono::hours(24);
        step_wall(draw({-hours, hours}));
    }
    return true;
}

bool World::run_until(const std::function<bool()>& done, base::Duration longest) {
    const base::MonoTime end = longest < base::kNever - now_ ? now_ + longest : base::kNever;
    while (true) {
        crash_where_planned();
        settle_dead_hosts();
        if (done && done()) {
            return true;
        }
        if (queue_.empty() || queue_.next_time() > end) {
            if (!done) {
                now_ = end;
            }
            return false;
        }
        step();
    }
}

void World::trace(const char* label, std::uint64_t a, std::uint64_t b) {
    for (const char* c = label; *c != '\0'; ++c) {
        hash_ = mixed(hash_, static_cast<unsigned char>(*c));
    }
    hash_ = mixed(mixed(hash_, a), b);
    if (options_.log != nullptr) {
        std::fprintf(options_.log, "%8" PRIu64 " %14.6f %s %" PRIu64 " %" PRIu64 "\n", events_,
                     std::chrono::duration<double>(now_.time_since_epoch()).count(), label, a, b);
    }
}

void World::trace_bytes(const char* label, base::Bytes bytes) {
    trace(label, bytes.size(), base::crc32c(0, bytes));
}

bool World::fault(Fault fault, std::string_view state) {
    const std::uint32_t rate = options_.faults.rate(fault);
    if (rate == 0 || !prng_.chance(rate, 1'000'000)) {
        return false;
    }
    count(fault, state);
    return true;
}

void World::count(Fault fault, std::string_view state) {
    trace(name_of(fault));
    meetings_.add(fault, probe_ ? probe_(fault, state) : std::string(state));
}

base::Duration World::draw(const Span& span) {
    RP_ASSERT(span.least <= span.most);
    const auto width = static_cast<std::uint64_t>((span.most - span.least).count());
    return span.least + base::Duration(static_cast<std::int64_t>(prng_.below(width + 1)));
}

}  // namespace sim
