// Options: what the queue of one shard is told at its start: routes, times and limits. Part of the
// immutable configuration, borrowed by the scheduler for its life.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "queue/retry_policy.h"
#include "smtp/client.h"
#include "smtp/limits.h"

namespace queue {

// A next hop: addresses that are tried in this order.
struct Route {
    std::string name;                   // for the log
    std::vector<smtp::Target> targets;  // at least one
    // Postfix's default_destination_concurrency_limit. Per shard.
    std::uint32_t connections_max = 20;
    std::optional<RetryPolicy> retry = std::nullopt;  // instead of Options::retry
};

struct Options {
    std::string hostname;       // ours, for EHLO and for notifications
    std::vector<Route> routes;  // at least one; the first one takes everything
    RetryPolicy retry{{std::chrono::minutes(5)}, std::chrono::hours(5 * 24)};
    [[nodiscard]] const RetryPolicy& retry_of(const Route& route) const {
        return route.retry ? *route.retry : retry;
    }
    smtp::Limits smtp;

    // Who is told of mail that failed and has no sender to tell; "": nobody.
    std::string double_bounce_to;
    // The largest message that RET=FULL brings back whole (Postfix: bounce_size_limit).
    std::uint64_t returned_bytes_max = 50'000;
    // Per shard, in a minute: in all, and to one domain. Above them they are dropped.
    std::uint32_t notifications_max = 1000;
    std::uint32_t notifications_per_domain_max = 100;

    // RFC 5321 §4.5.3.1.8: a server takes at least 100. Further ones go in the next transaction.
    std::uint32_t recipients_per_transaction = 100;
    // Postfix's connection reuse has a time alone (300 s); a count is for servers that have one.
    std::uint32_t transactions_per_connection = 1000;
    base::Duration connection_age_max = std::chrono::seconds(300);
    base::Duration connection_idle_max = std::chrono::seconds(5);

    // A site that could not be reached rests: first this long, then twice as long each time, a
    // little less by chance. What is due meanwhile waits untried.
    base::Duration cool_down_least = std::chrono::seconds(1);
    base::Duration cool_down_most = std::chrono::seconds(10);

    // At a shutdown: for deliveries under way to end by themselves; then they are broken off.
    base::Duration stop_wait = std::chrono::seconds(5);
};

}  // namespace queue
