#include "io/address.h"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <optional>

#include <arpa/inet.h>

#include "base/decimal.h"

namespace io {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) {
        return std::nullopt;
    }
    return port;
}

constexpr std::string_view kUnixPrefix = "unix:";

}  // namespace

base::Result<SocketAddress> SocketAddress::parse(std::string_view text) {
    SocketAddress address;
    if (text.starts_with(kUnixPrefix)) {
        const std::string_view path = text.substr(kUnixPrefix.size());
        if (path.empty() || path.size() >= sizeof address.unix_.sun_path ||
            path.find('\0') != std::string_view::npos) {
            return base::fail(EINVAL, "'" + std::string(text) +
                                          "': a Unix path has 1 to 107 bytes, none of them NUL");
        }
        address.unix_ = {};
        address.unix_.sun_family = AF_UNIX;
        std::memcpy(address.unix_.sun_path, path.data(), path.size());
        return address;
    }
    const std::size_t colon = text.rfind(':');
    const std::optional<std::uint16_t> port =
        colon == std::string_view::npos ? std::nullopt : parse_port(text.substr(colon + 1));
    if (!port) {
        return base::fail(EINVAL, "'" + std::string(text) +
                                      "' is not ADDRESS:PORT, such as 127.0.0.1:25 or [::1]:25");
    }
    std::string host(text.substr(0, colon));
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        in6_addr v6{};
        if (::inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &v6) == 1) {
            return ipv6(v6, *port);
        }
    } else {
        in_addr v4{};
        if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) {
            return ipv4(ntohl(v4.s_addr), *port);
        }
    }
    return base::fail(EINVAL,
                      "'" + host + "' is not an IPv4 address or an IPv6 address in brackets");
}

SocketAddress SocketAddress::from_kernel(const sockaddr_storage& storage, socklen_t size) {
    SocketAddress address;
    if (storage.ss_family == AF_INET) {
        std::memcpy(&address.v4_, &storage, sizeof address.v4_);
    } else if (storage.ss_family == AF_INET6) {
        std::memcpy(&address.v6_, &storage, sizeof address.v6_);
    } else if (storage.ss_family == AF_UNIX) {
        address.unix_ = {};
        // The kernel's path may fill its field without a NUL at the end; ours always has one.
        constexpr std::size_t kSizeMax = sizeof address.unix_ - 1;
        std::memcpy(&address.unix_, &storage, std::min<std::size_t>(size, kSizeMax));
    }
    return address;
}

SocketAddress SocketAddress::ipv4(std::uint32_t host, std::uint16_t port) {
    SocketAddress address;
    address.v4_ = {};
    address.v4_.sin_family = AF_INET;
    address.v4_.sin_port = htons(port);
    address.v4_.sin_addr.s_addr = htonl(host);
    return address;
}

SocketAddress SocketAddress::ipv6(const in6_addr& host, std::uint16_t port) {
    SocketAddress address;
    address.v6_ = {};
    address.v6_.sin6_family = AF_INET6;
    address.v6_.sin6_port = htons(port);
    address.v6_.sin6_addr = host;
    return address;
}

socklen_t SocketAddress::raw_size() const {
    switch (family()) {
        case AF_INET:
            return sizeof v4_;
        case AF_INET6:
            return sizeof v6_;
        case AF_UNIX:
            return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) +
                                          std::strlen(unix_.sun_path) + 1);
        default:
            return 0;
    }
}

std::uint16_t SocketAddress::port() const {
    switch (family()) {
        case AF_INET:
            return ntohs(v4_.sin_port);
        case AF_INET6:
            return ntohs(v6_.sin6_port);
        default:
            return 0;
    }
}

std::string_view SocketAddress::host_bytes() const {
    if (family() == AF_INET) {
        return {reinterpret_cast<const char*>(&v4_.sin_addr), sizeof v4_.sin_addr};
    }
    if (family() == AF_INET6) {
        const auto* bytes = reinterpret_cast<const char*>(&v6_.sin6_addr);
        if (IN6_IS_ADDR_V4MAPPED(&v6_.sin6_addr)) {
            return {bytes + 12, 4};
        }
        return {bytes, sizeof v6_.sin6_addr};
    }
    return {};
}

std::string SocketAddress::host() const {
    if (family() == AF_UNIX) {
        return std::string(kUnixPrefix) + unix_.sun_path;
    }
    const std::string_view bytes = host_bytes();
    if (bytes.size() == 4) {  // each accepted connection: inet_ntop would go by printf
        std::string text;
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            text.append(i == 0 ? "" : ".");
            base::append_decimal(text, static_cast<unsigned char>(bytes[i]));
        }
        return text;
    }
    char text[INET6_ADDRSTRLEN];
    if (bytes.empty() || ::inet_ntop(AF_INET6, bytes.data(), text, sizeof text) == nullptr) {
        return "unknown";
    }
    return text;
}

std::string SocketAddress::text() const {
    switch (family()) {
        case AF_INET:
            return host() + ':' + std::to_string(port());
        case AF_INET6:
            return host_bytes().size() == 4 ? host() + ':' + std::to_string(port())
                                            : '[' + host() + "]:" + std::to_string(port());
        default:
            return host();
    }
}

}  // namespace io
