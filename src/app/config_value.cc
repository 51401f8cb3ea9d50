#include "app/config_value.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "app/suggest.h"
#include "base/bytes.h"
#include "mail/path.h"

namespace app {
namespace {

using base::fail;
using base::Result;

template <typename... Parts>
std::unexpected<base::Error> wrong(const Parts&... parts) {
    std::string text;
    ((text += parts), ...);
    return fail(EINVAL, std::move(text));
}

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kSecond = 1000 * kMs;
constexpr std::array<Unit, 6> kDurationUnits = {{{"ms", kMs},
                                                 {"s", kSecond},
                                                 {"m", 60 * kSecond},
                                                 {"h", 3600 * kSecond},
                                                 {"d", 86400 * kSecond},
                                                 {"w", 604800 * kSecond}}};
constexpr std::uint64_t kDurationMax = std::uint64_t{3650} * 86400 * kSecond;

constexpr std::array<Unit, 8> kSizeUnits = {{{"B", 1},
                                             {"kB", 1000},
                                             {"KB", 1000},
                                             {"MB", 1'000'000},
                                             {"GB", 1'000'000'000},
                                             {"KiB", 1U << 10U},
                                             {"MiB", 1U << 20U},
                                             {"GiB", 1U << 30U}}};
constexpr std::uint64_t kSizeMax = std::uint64_t{1} << 62U;

// Takes the digits at the front of `text`. Nothing when there are none, or more than 2^64.
std::optional<std::uint64_t> take_number(std::string_view& text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc()) {
        return std::nullopt;
    }
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return number;
}

// Takes letters at the front of `text`.
std::string_view take_letters(std::string_view& text) {
    std::size_t size = 0;
    while (size < text.size() &&
           ((base::lower(text[size]) >= 'a') && base::lower(text[size]) <= 'z')) {
        ++size;
    }
    const std::string_view letters = text.substr(0, size);
    text.remove_prefix(size);
    return letters;
}

const Unit* find_unit(std::span<const Unit> units, std::string_view name) {
    for (const Unit& unit : units) {
        if (unit.name == name) {
            return &unit;
        }
    }
    return nullptr;
}

bool is_name_char(char c) {
    const char l = base::lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

std::string lower_case(std::string_view text) {
    std::string result(text);
    std::ranges::transform(result, result.begin(), base::lower);
    return result;
}

struct IpAddress {
    std::array<std::uint8_t, 16> bytes{};
    bool ipv6 = false;
};

std::optional<IpAddress> parse_ip(std::string_view text) {
    if (text.contains('\0')) {
        return std::nullopt;
    }
    const std::string terminated(text);
    IpAddress address;
    if (::inet_pton(AF_INET, terminated.c_str(), address.bytes.data()) == 1) {
        return address;
    }
    address.ipv6 = true;
    if (::inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) {
        return address;
    }
    return std::nullopt;
}

std::string print_ip(const std::array<std::uint8_t, 16>& bytes, bool ipv6) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(ipv6 ? AF_INET6 : AF_INET, bytes.data(), text.data(), text.size());
    return text.data();
}

// All digits and dots: meant as an IPv4 address, so not to be taken for a host name.
bool looks_like_ipv4(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

Result<std::uint16_t> parse_port(std::string_view text) {
    std::string_view rest = text;
    const std::optional<std::uint64_t> port = take_number(rest);
    if (!port || !rest.empty() || *port == 0 || *port > 65535) {
        return wrong("the port ", shown(text), " is not a number from 1 to 65535");
    }
    return static_cast<std::uint16_t>(*port);
}

}  // namespace

Result<base::Duration> parse_duration(std::string_view text) {
    if (text.empty()) {
        return wrong("is empty; write a number and a unit, such as \"30s\"");
    }
    std::uint64_t total = 0;
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::optional<std::uint64_t> number = take_number(rest);
        if (!number) {
            return wrong(shown(text),
                         " is not a duration; write a number and a unit, such as \"30s\"");
        }
        const std::string_view name = take_letters(rest);
        const Unit* unit = find_unit(kDurationUnits, name);
        if (rest.starts_with('.') || rest.starts_with(',')) {
            return wrong(shown(text), " has a fraction; write whole numbers, such as \"1h30m\"");
        }
        if (name.empty()) {
            return wrong(shown(text),
                         " has no unit; write one of ms, s, m, h, d, w behind the number");
        }
        if (unit == nullptr) {
            return wrong(shown(text), " has the unknown unit ", shown(name),
                         "; the units are ms, s, m, h, d, w");
        }
        if (*number > kDurationMax / unit->factor ||
            total + *number * unit->factor > kDurationMax) {
            return wrong(shown(text), " is more than ten years");
        }
        total += *number * unit->factor;
    }
    return base::Duration(static_cast<std::int64_t>(total));
}

std::string print_duration(base::Duration duration) {
    const auto ns = static_cast<std::uint64_t>(duration.count());
    if (ns == 0) {
        return "0s";
    }
    constexpr std::array<std::string_view, 5> kPrinted = {"d", "h", "m", "s", "ms"};
    for (const std::string_view name : kPrinted) {  // the largest unit that divides it
        const std::uint64_t factor = find_unit(kDurationUnits, name)->factor;
        if (ns % factor == 0) {
            return std::to_string(ns / factor).append(name);
        }
    }
    return std::to_string(ns / kMs) + "ms";
}

Result<std::uint64_t> parse_size(std::string_view text) {
    std::string_view rest = text;
    const std::optional<std::uint64_t> number = take_number(rest);
    if (!number) {
        return wrong(shown(text),
                     " is not a size; write bytes, or a number and a unit such as \"10MiB\"");
    }
    const Unit* unit = rest.empty() ? find_unit(kSizeUnits, "B") : find_unit(kSizeUnits, rest);
    if (unit == nullptr) {
        return wrong(shown(text), " has the unknown unit ", shown(rest),
                     "; the units are B, KB, MB, GB (powers of 1000) and KiB, MiB, GiB (of 1024)");
    }
    if (*number > kSizeMax / unit->factor) {
        return wrong(shown(text), " is more than 2^62 bytes");
    }
    return *number * unit->factor;
}

std::string print_size(std::uint64_t bytes) {
    constexpr std::array<std::string_view, 6> kPrinted = {"GiB", "GB", "MiB", "MB", "KiB", "KB"};
    if (bytes != 0) {
        for (const std::string_view name : kPrinted) {
            const std::uint64_t factor = find_unit(kSizeUnits, name)->factor;
            if (bytes % factor == 0) {
                return std::to_string(bytes / factor).append(name);
            }
        }
    }
    return std::to_string(bytes);
}

Result<std::string> parse_host_name(std::string_view text) {
    if (text.empty()) {
        return wrong("is empty; write a host name such as \"relay.example.com\"");
    }
    if (parse_ip(text) || looks_like_ipv4(text)) {
        return wrong(shown(text), " is an IP address where a name belongs");
    }
    if (text.size() > 253) {
        return wrong(shown(text), " is longer than 253 characters");
    }
    std::size_t start = 0;
    while (start <= text.size()) {
        const std::size_t dot = std::min(text.find('.', start), text.size());
        const std::string_view label = text.substr(start, dot - start);
        if (label.empty()) {
            return wrong(shown(text), " has an empty label (two dots, or one at an end)");
        }
        if (label.size() > 63) {
            return wrong(shown(text), " has a label of more than 63 characters");
        }
        if (!std::ranges::all_of(label, is_name_char)) {
            const bool utf8 = std::ranges::any_of(text, [](char c) { return (c & 0x80) != 0; });
            return wrong(shown(text),
                         utf8 ? " is not ASCII; write it with A-labels (xn--…)"
                              : " has a character other than letters, digits, hyphens and dots");
        }
        if (label.front() == '-' || label.back() == '-') {
            return wrong(shown(text), " has a label that begins or ends with a hyphen");
        }
        start = dot + 1;
    }
    return lower_case(text);
}

Result<HostPort> parse_host_port(std::string_view text) {
    if (text.starts_with('[')) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) {
            return wrong(shown(text), " lacks the closing bracket of its IPv6 address");
        }
        const std::string_view host = text.substr(1, end - 1);
        const std::optional<IpAddress> ip = parse_ip(host);
        if (!ip || !ip->ipv6) {
            return wrong(shown(text), ": brackets are for IPv6 addresses; write it without them");
        }
        if (text.size() <= end + 2 || text[end + 1] != ':') {
            return wrong(shown(text), " lacks a port; write \"", text.substr(0, end + 1), ":25\"");
        }
        const Result<std::uint16_t> port = parse_port(text.substr(end + 2));
        if (!port) {
            return std::unexpected(port.error());
        }
        return HostPort{.host = print_ip(ip->bytes, true), .port = *port};
    }
    if (parse_ip(text) && text.contains(':')) {
        const std::size_t last = text.rfind(':');
        const std::string_view head = text.substr(0, last);
        if (parse_ip(head) && parse_port(text.substr(last + 1))) {
            return wrong(shown(text), " needs brackets around its IPv6 address; write \"[", head,
                         "]", text.substr(last), "\"");
        }
        return wrong(shown(text), " is an IPv6 address without brackets and port; write \"[", text,
                     "]:25\"");
    }
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos || colon + 1 == text.size()) {
        return wrong(shown(text), " lacks a port; write ",
                     shown(std::string(text.substr(0, colon)) + ":25"));
    }
    const Result<std::uint16_t> port = parse_port(text.substr(colon + 1));
    if (!port) {
        return std::unexpected(port.error());
    }
    const std::string_view host = text.substr(0, colon);
    if (const std::optional<IpAddress> ip = parse_ip(host)) {
        if (ip->ipv6) {
            return wrong(shown(text), " needs brackets around its IPv6 address; write \"[", host,
                         "]:", text.substr(colon + 1), "\"");
        }
        return HostPort{.host = print_ip(ip->bytes, false), .port = *port};
    }
    Result<std::string> name = parse_host_name(host);
    if (!name) {
        return std::unexpected(looks_like_ipv4(host) && !host.empty()
                                   ? base::Error(EINVAL, shown(host) + " is not an IP address")
                                   : name.error());
    }
    return HostPort{.host = std::move(*name), .port = *port};
}

Result<HostPort> parse_ip_port(std::string_view text) {
    if (text.starts_with("*:") || (text.starts_with(":") && !text.starts_with("::"))) {
        return wrong(shown(text), " names no address; write \"0.0.0.0", text.substr(text.find(':')),
                     "\" for every IPv4 address, and \"[::]", text.substr(text.find(':')),
                     "\" in a second listener for IPv6");
    }
    Result<HostPort> result = parse_host_port(text);
    if (result && !parse_ip(result->host)) {
        return wrong(shown(text), " is a name where an IP address belongs",
                     result->host == "localhost" ? "; write 127.0.0.1 or [::1]" : "");
    }
    return result;
}

Result<DomainPattern> parse_domain_pattern(std::string_view text) {
    if (text == "*" || text == "*." || text == ".") {
        return wrong(shown(text), " would be every domain: an open relay; name the domains");
    }
    if (text.contains('@')) {
        return wrong(shown(text), " is an address where a domain belongs; did you mean ",
                     shown(text.substr(text.rfind('@') + 1)), "?");
    }
    const bool subdomains = text.starts_with("*.") || text.starts_with('.');
    std::string_view domain = text;
    domain.remove_prefix(text.starts_with("*.") ? 2 : subdomains ? 1 : 0);
    if (domain.contains('*')) {
        return wrong(shown(text),
                     " has a wildcard elsewhere than in front; only \"*.example.com\" is taken");
    }
    Result<std::string> name = parse_host_name(domain);
    if (!name) {
        return std::unexpected(name.error());
    }
    return DomainPattern{.domain = std::move(*name), .subdomains = subdomains};
}

Result<std::string> parse_mailbox_or_none(std::string_view text) {
    if (text.empty()) {
        return std::string();
    }
    const auto path = mail::parse_mailbox(text, mail::PathLimits{});
    if (!path || path->domain.empty()) {
        return base::fail(EINVAL, shown(text) +
                                      " is not a mail address; write one such as "
                                      "\"postmaster@example.com\", or \"\" for none");
    }
    return std::string(text);
}

Result<std::string> parse_path(std::string_view text) {
    if (text.empty()) {
        return wrong("is empty; write a path");
    }
    if (std::ranges::any_of(text, [](char c) { return (c >= 0 && c < ' ') || c == 0x7f; })) {
        return wrong(shown(text), " has a control character in it");
    }
    return std::string(text);
}

std::vector<net::Network> loopback_networks() {
    return {net::Network::of(std::string_view("\x7f\0\0\0", 4), 8),
            net::Network::of(std::string(15, '\0') + '\x01', 128)};
}

std::string to_text(const HostPort& address) {
    const std::string port = std::to_string(address.port);
    return address.host.contains(':') ? "[" + address.host + "]:" + port
                                      : address.host + ":" + port;
}

std::string to_text(const net::Network& network) {
    return network.to_text();
}

std::string to_text(const DomainPattern& pattern) {
    return pattern.subdomains ? "*." + pattern.domain : pattern.domain;
}

}  // namespace app
