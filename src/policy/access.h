// Access: who may send mail to whom.
//
// Immutable once made; shared by all shards. Clients whose address lies in relay.networks may send
// anywhere (Postfix: permit_mynetworks); everyone else to relay.domains (relay_domains), and to the
// postmaster (RFC 5321 §4.5.1). The caller knows the networks; this knows the domains.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "mail/path.h"
#include "mail/status_code.h"
#include "policy/domain_set.h"

namespace policy {

// Where a client's connection comes from.
enum class Origin : std::uint8_t {
    stranger,
    relay_network,  // one of relay.networks
};

class Access {
  public:
    // `hostname` is this server's own name, whose postmaster anyone may write to.
    Access(std::string hostname, DomainSet relay_domains);

    // Nothing when the recipient is accepted, else the reply. REQUIRES: not a null path.
    [[nodiscard]] std::optional<mail::FixedReply> refuse_recipient(const mail::Path& recipient,
                                                                   Origin origin) const;

    static constexpr mail::FixedReply kRelayDenied{550, {5, 7, 1}, "Relay access denied"};
    // A local part that asks us to pass the mail on elsewhere ("user%elsewhere@here") from a
    // stranger (Postfix: allow_untrusted_routing = no).
    static constexpr mail::FixedReply kRoutingDenied{
        550, {5, 7, 1}, "Sender-specified routing denied"};

  private:
    std::string hostname_;
    DomainSet relay_domains_;
};

}  // namespace policy
