#include "app/config_check.h"

#include <algorithm>
#include <set>
#include <span>
#include <string>

#include <sys/un.h>

#include "app/config_value.h"
#include "app/suggest.h"

namespace app {
namespace {

constexpr std::size_t kListenersMax = 64;
constexpr std::size_t kHostsMax = 64;  // of one route

std::string indexed(std::string_view section, std::size_t index, std::string_view key) {
    std::string path(section);
    path.append("[").append(std::to_string(index)).append("]");
    return key.empty() ? path : path.append(".").append(key);
}

void check_control(const Config& config, bool is_root, ConfigReport& report) {
    constexpr std::size_t kPathMax = sizeof(sockaddr_un::sun_path) - 1;
    const std::string path = config.control_path(is_root);
    if (path.size() <= kPathMax || !report.clean("control") || !report.clean("spool")) {
        return;
    }
    const std::string sizes = std::to_string(path.size()) +
                              " bytes long, and a Unix socket's name has at most " +
                              std::to_string(kPathMax);
    if (config.control.empty()) {
        report.error_about("spool", "the control socket inside it would have a name " + sizes +
                                        "; set `control` to a shorter path");
    } else {
        report.error_about("control", shown(path) + " is " + sizes);
    }
}

bool is_any(const HostPort& address) {
    return address.host == "0.0.0.0" || address.host == "::";
}

// The same port on the same address, or on one that covers it.
bool overlap(const HostPort& a, const HostPort& b) {
    if (a.port != b.port || a.host.contains(':') != b.host.contains(':')) {
        return false;
    }
    return a.host == b.host || is_any(a) || is_any(b);
}

// Whether a connection to `host` comes to `listener`, as far as can be told without a look-up.
bool reaches(const HostPort& host, const ListenerConfig& listener, const std::string& hostname) {
    const HostPort& address = listener.address;
    if (host.port != address.port) {
        return false;
    }
    const bool local = host.host == "localhost" || host.host == "::1" || is_any(host) ||
                       host.host.starts_with("127.");
    if (is_any(address)) {
        return local || host.host == hostname;
    }
    return host.host == address.host ||
           (host.host == "localhost" && (address.host == "127.0.0.1" || address.host == "::1"));
}

void check_listeners(const Config& config, ConfigReport& report) {
    const auto& listeners = config.listeners;
    if (listeners.size() > kListenersMax) {
        report.error_about(indexed("listener", kListenersMax, ""),
                           "is one too many; there may be " + std::to_string(kListenersMax));
        return;
    }
    if (listeners.empty() && !report.given("listener")) {
        report.error_about(
            "",
            "no listener: mail cannot come in; add a [[listener]] with protocol = \"smtp\" and an "
            "address");
    }
    for (std::size_t i = 0; i < listeners.size(); ++i) {
        const std::string path = indexed("listener", i, "address");
        if (!report.given(path) || !report.clean(path)) {
            continue;
        }
        for (std::size_t j = 0; j < i; ++j) {
            const std::string other = indexed("listener", j, "address");
            if (report.given(other) && report.clean(other) &&
                overlap(listeners[i].address, listeners[j].address)) {
                report.error_about(path, shown(to_text(listeners[i].address)) +
                                             " is already taken by " + other +
                                             (listeners[i].address == listeners[j].address
                                                  ? ""
                                                  : " = " + shown(to_text(listeners[j].address))));
                break;
            }
        }
    }
}

void check_relay(const Config& config, ConfigReport& report) {
    if (!report.clean("relay.networks") || !report.clean("relay.domains")) {
        return;
    }
    for (std::size_t i = 0; i < config.relay.networks.size(); ++i) {
        const net::Network& network = config.relay.networks[i];
        if (network.prefix_bits() == 0) {
            report.warning_about(
                indexed("relay.networks", i, ""),
                shown(to_text(network)) +
                    " makes this an open relay for the whole internet; name your own networks");
        }
    }
    std::set<std::string> seen;
    for (std::size_t i = 0; i < config.relay.domains.size(); ++i) {
        const std::string text = to_text(config.relay.domains[i]);
        if (!seen.insert(text).second) {
            report.warning_about(indexed("relay.domains", i, ""), shown(text) + " is listed twice");
        }
    }
}

void check_waits(const std::vector<base::Duration>& waits, const std::string& path,
                 ConfigReport& report) {
    for (std::size_t i = 1; i < waits.size(); ++i) {
        if (waits[i] < waits[i - 1]) {
            report.warning_about(
                indexed(path, i, ""),
                "\"" + print_duration(waits[i]) + "\" is shorter than the wait before it, \"" +
                    print_duration(waits[i - 1]) + "\"; a busy next hop wants growing waits");
            break;
        }
    }
}

// What holds in the end for `section` ("queue", "route[0]"); a key that it lacks is the queue's.
void check_times(const RetryConfig& retry, base::Duration expire, base::Duration delay_notice,
                 const std::string& section, ConfigReport& report) {
    const auto path_of = [&](const std::string& key) {
        return report.given(section + key) ? section + key : "queue" + key;
    };
    const std::string retry_path = path_of(".retry");
    const std::string expire_path = path_of(".expire");
    const std::string notice_path = path_of(".delay_notice");
    if (!report.clean(retry_path) || !report.clean(expire_path)) {
        return;
    }
    const base::Duration first = retry.waits.empty() ? retry.growth.first : retry.waits.front();
    if (expire < first) {
        report.error_about(report.given(expire_path) ? expire_path : retry_path,
                           "mail would expire (" + print_duration(expire) +
                               ") before its first retry (" + print_duration(first) +
                               "); make expire longer or the first retry shorter");
    }
    if (report.given(notice_path) && report.clean(notice_path) && delay_notice >= expire) {
        report.warning_about(notice_path, "mail expires (" + print_duration(expire) +
                                              ") before its sender would be told of a delay (" +
                                              print_duration(delay_notice) +
                                              "); he hears of the failure alone");
    }
}

void check_queue(const Config& config, ConfigReport& report) {
    const QueueConfig& queue = config.queue;
    if (report.clean("queue.retry")) {
        check_waits(queue.retry.waits, "queue.retry", report);
    }
    check_times(queue.retry, queue.expire, queue.delay_notice, "queue", report);
    for (std::size_t i = 0; i < config.routes.size(); ++i) {
        const RouteConfig& route = config.routes[i];
        const std::string section = indexed("route", i, "");
        if (route.retry && report.clean(section + ".retry")) {
            check_waits(route.retry->waits, section + ".retry", report);
        }
        if (route.retry || route.expire || route.delay_notice) {
            check_times(route.retry.value_or(queue.retry), route.expire.value_or(queue.expire),
                        route.delay_notice.value_or(queue.delay_notice), section, report);
        }
    }
}

void check_routes(const Config& config, ConfigReport& report) {
    if (config.routes.empty() && !report.given("route")) {
        report.error_about(
            "", "no route: mail cannot leave; add a [[route]] with hosts = [\"host:port\"]");
    }
    for (std::size_t i = 0; i < config.routes.size(); ++i) {
        if (i > 0) {
            report.error_about(indexed("route", i, ""),
                               "is never used, since the first route takes all mail; put its hosts "
                               "into the first");
        }
        const std::string path = indexed("route", i, "hosts");
        const auto& hosts = config.routes[i].hosts;
        if (!report.given(path) || !report.clean(path)) {
            continue;
        }
        if (hosts.size() > kHostsMax) {
            report.error_about(path, "lists more than " + std::to_string(kHostsMax) + " hosts");
            continue;
        }
        if (hosts.empty()) {
            report.error_about(path, "is empty; write at least one \"host:port\"");
        }
        for (std::size_t j = 0; j < hosts.size(); ++j) {
            const std::string item = path + "[" + std::to_string(j) + "]";
            const auto before = std::span(hosts).first(j);
            if (std::ranges::find(before, hosts[j]) != before.end()) {
                report.error_about(item, shown(to_text(hosts[j])) + " is listed twice");
            }
            const bool loops =
                std::ranges::any_of(config.listeners, [&](const ListenerConfig& listener) {
                    return reaches(hosts[j], listener, config.hostname);
                });
            if (loops) {
                report.error_about(
                    item, shown(to_text(hosts[j])) +
                              " is this server's own listener: mail would go round in a loop");
            }
        }
    }
}

}  // namespace

void check_config(const Config& config, bool is_root, ConfigReport& report) {
    check_control(config, is_root, report);
    check_listeners(config, report);
    check_relay(config, report);
    check_queue(config, report);
    check_routes(config, report);
}

}  // namespace app
