#include "app/relay_settings.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include <netdb.h>

#include "store/format.h"

namespace app {
namespace {

policy::DomainSet domain_set(const std::vector<DomainPattern>& patterns) {
    policy::DomainSet set;
    for (const DomainPattern& pattern : patterns) {
        set.add(to_text(pattern));
    }
    return set;
}

smtp::LineEndingPolicy line_endings(LineEndings setting) {
    switch (setting) {
        case LineEndings::by_network:
            return smtp::LineEndingPolicy::by_network;
        case LineEndings::refuse:
            return smtp::LineEndingPolicy::refuse;
        case LineEndings::normalise:
            return smtp::LineEndingPolicy::normalise;
    }
    RP_PANIC("no such LineEndings");
}

// Every address of the host, in the system's order of preference.
base::Result<std::vector<smtp::Target>> targets_of(const HostPort& host) {
    const addrinfo hints{.ai_flags = AI_ADDRCONFIG,
                         .ai_family = AF_UNSPEC,
                         .ai_socktype = SOCK_STREAM,
                         .ai_protocol = 0,
                         .ai_addrlen = 0,
                         .ai_addr = nullptr,
                         .ai_canonname = nullptr,
                         .ai_next = nullptr};
    std::vector<smtp::Target> targets;
    if (auto literal = io::SocketAddress::parse(to_text(host))) {
        targets.push_back({literal->text(), *literal});
        return targets;
    }
    addrinfo* found = nullptr;
    const int error =
        ::getaddrinfo(host.host.c_str(), std::to_string(host.port).c_str(), &hints, &found);
    if (error != 0) {
        return base::fail(EHOSTUNREACH, "route to " + to_text(host) +
                                            ": the name has no address (" + ::gai_strerror(error) +
                                            "); mend the name, or give an address");
    }
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned(found, &::freeaddrinfo);
    for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
        sockaddr_storage storage{};
        std::memcpy(&storage, one->ai_addr, one->ai_addrlen);
        const io::SocketAddress address = io::SocketAddress::from_kernel(storage, one->ai_addrlen);
        targets.push_back({host.host + ':' + address.text(), address});
    }
    return targets;
}

queue::RetryPolicy policy_of(const RetryConfig& retry, base::Duration expire,
                             base::Duration delay_notice) {
    return retry.waits.empty() ? queue::RetryPolicy::growing(retry.growth, expire, delay_notice)
                               : queue::RetryPolicy(retry.waits, expire, delay_notice);
}

base::Result<std::vector<queue::Route>> routes_of(const Config& config) {
    std::vector<queue::Route> routes;
    for (const RouteConfig& route : config.routes) {
        queue::Route made;
        made.connections_max = route.connections;
        if (route.retry || route.expire || route.delay_notice) {
            made.retry = policy_of(route.retry.value_or(config.queue.retry),
                                   route.expire.value_or(config.queue.expire),
                                   route.delay_notice.value_or(config.queue.delay_notice));
        }
        for (const HostPort& host : route.hosts) {
            auto targets = targets_of(host);
            if (!targets) {
                return std::unexpected(targets.error());
            }
            made.name += (made.name.empty() ? "" : ", ") + to_text(host);
            made.targets.insert(made.targets.end(), targets->begin(), targets->end());
        }
        routes.push_back(std::move(made));
    }
    return routes;
}

}  // namespace

queue::Options RelaySettings::queue_of(std::uint32_t shard) const {
    queue::Options share = queue;
    for (queue::Route& route : share.routes) {
        const std::uint32_t all = route.connections_max;
        route.connections_max =
            std::max(1U, all / store.shards + (shard < all % store.shards ? 1U : 0U));
    }
    return share;
}

std::uint32_t RelaySettings::connections_max() const {
    std::uint32_t all = 0;
    for (const queue::Route& route : queue.routes) {
        all += std::max(route.connections_max, store.shards);
    }
    return all;
}

base::Result<RelaySettings> RelaySettings::from(const Config& config, std::uint32_t shards) {
    auto routes = routes_of(config);
    if (!routes) {
        return std::unexpected(routes.error());
    }
    RelaySettings settings{
        .access = policy::Access(config.hostname, domain_set(config.relay.domains)),
        .listeners = {},
        .queue = {},
        .store = {},
        .sessions_max = config.limits.sessions};

    smtp::Limits limits;
    limits.message_bytes_max = config.limits.message_size_bytes;
    limits.recipients_max = config.limits.recipients;
    limits.errors_max = config.limits.errors;
    limits.hops_max = config.limits.hops;

    for (const ListenerConfig& listener : config.listeners) {
        auto address = io::SocketAddress::parse(to_text(listener.address));
        if (!address) {
            return std::unexpected(address.error());
        }
        smtp::SessionConfig session;
        session.hostname = config.hostname;
        session.relay_networks = net::NetworkSet(config.relay.networks);
        session.line_endings = line_endings(listener.line_endings);
        session.limits = limits;
        settings.listeners.push_back({*address, std::move(session)});
    }

    settings.queue.hostname = config.hostname;
    settings.queue.routes = std::move(*routes);
    settings.queue.retry =
        policy_of(config.queue.retry, config.queue.expire, config.queue.delay_notice);
    settings.queue.double_bounce_to = config.queue.double_bounce_to;
    settings.queue.returned_bytes_max = config.limits.returned_size_bytes;
    settings.queue.notifications_max = config.limits.notifications;
    settings.queue.notifications_per_domain_max = config.limits.notifications_per_domain;
    settings.queue.smtp = limits;

    settings.store.spool = config.spool;
    settings.store.shards = shards;
    settings.store.commit_delay = config.limits.commit_delay;
    settings.store.segment_bytes =
        base::round_up(config.store.segment_bytes, store::format::kBlock);
    settings.store.checkpoint_bytes = config.store.checkpoint_bytes;
    settings.store.cleaner_bytes_per_s = config.store.cleaner_bytes_per_s;
    return settings;
}

}  // namespace app
