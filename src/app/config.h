// Config: what the operator wrote, read and checked; plain values, never changed once made.
//
// Made by app/config_reader.h; docs/CONFIG.md (generated from the same table that reads) says what
// each key means. The program takes a Config at start and hands each part to the layer it concerns,
// in that layer's own types: no layer below app includes this header. Defaults are the initializers
// here, and nowhere else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "net/network.h"
#include "queue/retry_policy.h"

namespace app {

// A host as text and a TCP port. The host is an IP address in canonical form (IPv6 without
// brackets) or a host name.
struct HostPort {
    std::string host;
    std::uint16_t port = 0;
    friend bool operator==(const HostPort&, const HostPort&) = default;
};

// `example.com` means the domain itself; `*.example.com` every domain below it, at any depth, but
// not itself.
struct DomainPattern {
    std::string domain;  // lower case, A-labels, no leading dot
    bool subdomains = false;
    friend bool operator==(const DomainPattern&, const DomainPattern&) = default;
};

enum class Protocol : std::uint8_t { smtp };

// What becomes of a bare CR or LF in content.
enum class LineEndings : std::uint8_t {
    by_network,  // normalise from relay.networks, refuse from anyone else
    refuse,      // 550 5.5.2, then close
    normalise,   // each becomes CRLF
};

struct ListenerConfig {
    Protocol protocol = Protocol::smtp;
    HostPort address;  // always an IP address
    LineEndings line_endings = LineEndings::by_network;
    friend bool operator==(const ListenerConfig&, const ListenerConfig&) = default;
};

// 127.0.0.0/8 and ::1/128.
[[nodiscard]] std::vector<net::Network> loopback_networks();

struct RelayConfig {
    std::vector<net::Network> networks = loopback_networks();
    std::vector<DomainPattern> domains;
    friend bool operator==(const RelayConfig&, const RelayConfig&) = default;
};

// Either is used: waits after the first, second, … attempt that deferred a recipient, of which the
// last one repeats; or, where there are none, waits that grow.
struct RetryConfig {
    std::vector<base::Duration> waits;
    queue::RetryGrowth growth;
    friend bool operator==(const RetryConfig&, const RetryConfig&) = default;
};

struct QueueConfig {
    RetryConfig retry;
    base::Duration expire = std::chrono::hours(5 * 24);
    base::Duration delay_notice = std::chrono::hours(4);  // zero: none
    std::string double_bounce_to;                         // "": nobody
    friend bool operator==(const QueueConfig&, const QueueConfig&) = default;
};

struct RouteConfig {
    std::vector<HostPort> hosts;     // in order of preference; a name still has to be resolved
    std::uint32_t connections = 20;  // to its hosts at once, from the whole server
    // Instead of the queue's.
    std::optional<RetryConfig> retry = std::nullopt;
    std::optional<base::Duration> expire = std::nullopt;
    std::optional<base::Duration> delay_notice = std::nullopt;
    friend bool operator==(const RouteConfig&, const RouteConfig&) = default;
};

// Most of the program's limits are fixed in code; these are the ones an operator has a reason to
// move.
struct LimitsConfig {
    std::uint32_t sessions = 1000;  // per shard, all listeners together
    std::uint64_t message_size_bytes = std::uint64_t{100} << 20U;
    std::uint32_t recipients = 1000;  // per transaction
    std::uint32_t errors = 20;        // bad commands per session, until 421
    std::uint32_t hops = 50;          // Received fields, until 554
    std::uint64_t returned_size_bytes = 50'000;
    std::uint32_t notifications = 1000;            // per shard and minute
    std::uint32_t notifications_per_domain = 100;  // … to one domain
    base::Duration commit_delay = std::chrono::milliseconds(1);
    friend bool operator==(const LimitsConfig&, const LimitsConfig&) = default;
};

// The log of the spool, in each of its partitions.
struct StoreConfig {
    std::uint64_t segment_bytes = std::uint64_t{64} << 20U;
    std::uint64_t checkpoint_bytes = std::uint64_t{64} << 20U;     // of log between two checkpoints
    std::uint64_t cleaner_bytes_per_s = std::uint64_t{32} << 20U;  // 0: nothing is moved
    friend bool operator==(const StoreConfig&, const StoreConfig&) = default;
};

enum class LogFormat : std::uint8_t { text, json };
enum class LogLevel : std::uint8_t { debug, info, warning, error };

struct LogConfig {
    LogFormat format = LogFormat::text;
    LogLevel level = LogLevel::info;
    friend bool operator==(const LogConfig&, const LogConfig&) = default;
};

struct Config {
    std::string hostname;
    std::string spool = "/var/spool/ringpost";
    std::string control;       // as configured; empty: control_path() says where
    std::uint32_t shards = 0;  // 0: one per core that the process may use
    std::vector<ListenerConfig> listeners;
    RelayConfig relay;
    QueueConfig queue;
    std::vector<RouteConfig> routes;
    LimitsConfig limits;
    StoreConfig store;
    LogConfig log;
    friend bool operator==(const Config&, const Config&) = default;

    // Where the control socket lies: `control` when given; else /run/ringpost/control.sock for
    // root, and inside the spool for anyone else.
    [[nodiscard]] std::string control_path(bool is_root) const;
};

// As the configuration writes them: "[::1]:25", "10.0.0.0/8", "*.example.com".
[[nodiscard]] std::string to_text(const HostPort& address);
[[nodiscard]] std::string to_text(const net::Network& network);
[[nodiscard]] std::string to_text(const DomainPattern& pattern);

}  // namespace app
