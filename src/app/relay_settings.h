// RelaySettings: the configuration in the terms of the layers that it concerns.
//
// Made once by the main thread from a checked Config; immutable then, shared by all shards,
// outlives them.
#pragma once

#include <vector>

#include "app/config.h"
#include "base/result.h"
#include "io/address.h"
#include "policy/access.h"
#include "queue/options.h"
#include "smtp/session_config.h"
#include "store/store.h"

namespace app {

struct RelaySettings {
    struct Listener {
        io::SocketAddress address;
        smtp::SessionConfig session;
    };

    policy::Access access;
    std::vector<Listener> listeners;
    queue::Options queue;            // of the whole server; queue_of() has a shard's share
    store::StoreOptions store;       // without the identity, which the spool gives
    std::uint32_t sessions_max = 0;  // per shard

    // The shards divide a route's connections among them; each has at least one.
    [[nodiscard]] queue::Options queue_of(std::uint32_t shard) const;
    // To all routes, from all shards.
    [[nodiscard]] std::uint32_t connections_max() const;

    // Fails with a sentence where a route's host has no address. Looks names up by the system's
    // resolver, and may wait for it: for the main thread at start only.
    [[nodiscard]] static base::Result<RelaySettings> from(const Config& config,
                                                          std::uint32_t shards);
};

}  // namespace app
