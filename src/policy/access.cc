#include "policy/access.h"

#include <utility>

#include "base/assert.h"
#include "base/bytes.h"

namespace policy {

Access::Access(std::string hostname, DomainSet relay_domains)
    : hostname_(std::move(hostname)), relay_domains_(std::move(relay_domains)) {}

std::optional<mail::FixedReply> Access::refuse_recipient(const mail::Path& recipient,
                                                         Origin origin) const {
    RP_ASSERT(!recipient.null());
    if (origin == Origin::relay_network) {
        return std::nullopt;
    }
    if (base::equal_ignoring_case(recipient.local_part, "postmaster") &&
        (recipient.domain.empty() || base::equal_ignoring_case(recipient.domain, hostname_))) {
        return std::nullopt;
    }
    if (!relay_domains_.contains(recipient.domain)) {
        return kRelayDenied;
    }
    if (recipient.local_part.find_first_of("@%!") != std::string_view::npos) {
        return kRoutingDenied;
    }
    return std::nullopt;
}

}  // namespace policy
