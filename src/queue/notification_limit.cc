#include "queue/notification_limit.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"

namespace queue {

NotificationLimit::NotificationLimit(std::uint32_t per_minute, std::uint32_t per_domain)
    : per_minute_(per_minute), per_domain_(per_domain) {
    RP_ASSERT(per_minute > 0 && per_domain > 0);
}

NotificationLimit::Verdict NotificationLimit::admit(std::string_view domain, base::MonoTime now) {
    if (now >= ends_) {
        ends_ = now + std::chrono::minutes(1);
        count_ = 0;
        refusal_told_ = false;
        domains_.clear();
    }
    if (count_ >= per_minute_) {
        return Verdict::too_many;
    }
    std::uint32_t& count = count_of(domain);
    if (count >= per_domain_) {
        return Verdict::domain_full;
    }
    ++count;
    ++count_;
    return Verdict::admitted;
}

// In the same minute, or nearly: where that has passed there is nothing to give back.
void NotificationLimit::give_back(std::string_view domain) {
    std::uint32_t& count = count_of(domain);
    if (count > 0) {
        --count;
        --count_;
    }
}

std::uint32_t& NotificationLimit::count_of(std::string_view domain) {
    std::string name(domain);
    std::ranges::transform(name, name.begin(), base::lower);
    return domains_[std::move(name)];
}

bool NotificationLimit::first_refusal() {
    return !std::exchange(refusal_told_, true);
}

}  // namespace queue
