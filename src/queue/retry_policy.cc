#include "queue/retry_policy.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace queue {

RetryPolicy::RetryPolicy(std::vector<base::Duration> waits, base::Duration expire)
    : waits_(std::move(waits)), expire_(expire) {
    RP_ASSERT(!waits_.empty() && expire_ > base::Duration::zero());
    for (const base::Duration wait : waits_) {
        RP_ASSERT(wait > base::Duration::zero());
    }
}

base::Duration RetryPolicy::wait_after(std::uint32_t attempts) const {
    RP_ASSERT(attempts > 0);
    return waits_[std::min<std::size_t>(attempts, waits_.size()) - 1];
}

base::Duration RetryPolicy::longest_wait() const {
    return *std::ranges::max_element(waits_);
}

base::WallTime RetryPolicy::next_attempt(base::WallTime arrival, base::WallTime now,
                                         std::uint32_t attempts) const {
    return std::max(now, std::min(now + wait_after(attempts), expires_at(arrival)));
}

}  // namespace queue
