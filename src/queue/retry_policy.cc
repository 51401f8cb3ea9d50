#include "queue/retry_policy.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace queue {
namespace {

// The wait after these is the cap whatever the growth: nothing grows for ever by 1.000001.
constexpr std::size_t kGrowingWaitsMax = 1000;

std::vector<base::Duration> waits_of(const RetryGrowth& growth) {
    RP_ASSERT(growth.growth >= 1 && growth.first <= growth.cap);
    std::vector<base::Duration> waits;
    auto wait = static_cast<double>(growth.first.count());
    const auto cap = static_cast<double>(growth.cap.count());
    while (wait < cap && waits.size() < kGrowingWaitsMax) {
        waits.emplace_back(static_cast<base::Duration::rep>(wait));
        wait *= growth.growth;
        if (growth.growth == 1) {
            return waits;
        }
    }
    waits.push_back(growth.cap);
    return waits;
}

}  // namespace

RetryPolicy::RetryPolicy(std::vector<base::Duration> waits, base::Duration expire,
                         base::Duration delay_notice)
    : waits_(std::move(waits)), expire_(expire), delay_notice_(delay_notice) {
    RP_ASSERT(!waits_.empty() && expire_ > base::Duration::zero());
    for (const base::Duration wait : waits_) {
        RP_ASSERT(wait > base::Duration::zero());
    }
}

RetryPolicy RetryPolicy::growing(const RetryGrowth& growth, base::Duration expire,
                                 base::Duration delay_notice) {
    RP_ASSERT(growth.jitter >= 0 && growth.jitter <= 1);
    RetryPolicy policy(waits_of(growth), expire, delay_notice);
    policy.jitter_ = growth.jitter;
    return policy;
}

base::Duration RetryPolicy::wait_after(std::uint32_t attempts) const {
    RP_ASSERT(attempts > 0);
    return waits_[std::min<std::size_t>(attempts, waits_.size()) - 1];
}

base::Duration RetryPolicy::jitter_of(base::Duration wait) const {
    return base::Duration(
        static_cast<base::Duration::rep>(static_cast<double>(wait.count()) * jitter_));
}

base::Duration RetryPolicy::longest_wait_after(std::uint32_t attempts) const {
    const base::Duration wait = wait_after(attempts);
    return wait + jitter_of(wait);
}

base::Duration RetryPolicy::draw_wait(std::uint32_t attempts, base::Prng& prng) const {
    const base::Duration wait = wait_after(attempts);
    const base::Duration more = jitter_of(wait);
    if (more <= base::Duration::zero()) {
        return wait;
    }
    const std::uint64_t drawn = prng.below(static_cast<std::uint64_t>(more.count()) + 1);
    return wait + base::Duration(static_cast<base::Duration::rep>(drawn));
}

base::Duration RetryPolicy::longest_wait() const {
    const base::Duration wait = *std::ranges::max_element(waits_);
    return wait + jitter_of(wait);
}

base::WallTime RetryPolicy::next_attempt(base::WallTime arrival, base::WallTime now,
                                         std::uint32_t attempts, base::Prng& prng) const {
    return std::max(now, std::min(now + draw_wait(attempts, prng), expires_at(arrival)));
}

}  // namespace queue
