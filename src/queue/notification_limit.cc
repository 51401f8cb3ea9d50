#include "queue/notification_limit.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/bytes.h"

namespace queue {
namespace {

constexpr base::Duration kMinute = std::chrono::minutes(1);
constexpr std::uint32_t kMinutesMost = 60;

}  // namespace

NotificationLimit::NotificationLimit(std::uint32_t per_minute, std::uint32_t per_domain)
    : per_minute_(per_minute), per_domain_(per_domain) {
    RP_ASSERT(per_minute > 0 && per_domain > 0);
}

NotificationLimit::Verdict NotificationLimit::admit(std::string_view domain, base::MonoTime now) {
    if (now >= ends_) {
        ends_ = now + kMinute;
        count_ = {};
        refusal_told_ = false;
        domains_.clear();
    }
    if (count_.admitted >= per_minute_) {
        return Verdict::too_many;
    }
    Count& count = count_of(domain);
    if (count.admitted >= per_domain_) {
        return Verdict::domain_full;
    }
    ++count.admitted;
    ++count_.admitted;
    return Verdict::admitted;
}

base::MonoTime NotificationLimit::come_again(Verdict refusal, std::string_view domain) {
    RP_ASSERT(refusal != Verdict::admitted);
    const bool in_domain = refusal == Verdict::domain_full;
    Count& count = in_domain ? count_of(domain) : count_;
    const std::uint32_t later = count.refused++ / (in_domain ? per_domain_ : per_minute_);
    return ends_ + std::min(later, kMinutesMost - 1) * kMinute;
}

// In the same minute, or nearly: where that has passed there is nothing to give back.
void NotificationLimit::give_back(std::string_view domain) {
    Count& count = count_of(domain);
    if (count.admitted > 0) {
        --count.admitted;
        --count_.admitted;
    }
}

NotificationLimit::Count& NotificationLimit::count_of(std::string_view domain) {
    std::string name(domain);
    std::ranges::transform(name, name.begin(), base::lower);
    return domains_[std::move(name)];
}

bool NotificationLimit::first_refusal() {
    return !std::exchange(refusal_told_, true);
}

}  // namespace queue
