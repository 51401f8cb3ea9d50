// SocketAddress: where a socket listens or connects to. IPv4, IPv6, or a Unix path.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/result.h"

namespace io {

class SocketAddress {
  public:
    SocketAddress() { any_.sa_family = AF_UNSPEC; }

    // "127.0.0.1:25", "[::1]:25", or "unix:/path". Names are not taken: they need a resolver.
    [[nodiscard]] static base::Result<SocketAddress> parse(std::string_view text);
    // From what the kernel filled in. REQUIRES: size is what the kernel gave with it.
    [[nodiscard]] static SocketAddress from_kernel(const sockaddr_storage& storage, socklen_t size);
    [[nodiscard]] static SocketAddress ipv4(std::uint32_t address, std::uint16_t port);
    [[nodiscard]] static SocketAddress ipv6(const in6_addr& address, std::uint16_t port);

    [[nodiscard]] int family() const { return any_.sa_family; }
    [[nodiscard]] bool empty() const { return any_.sa_family == AF_UNSPEC; }
    [[nodiscard]] const sockaddr* raw() const { return &any_; }
    [[nodiscard]] socklen_t raw_size() const;
    // 0 for a Unix path.
    [[nodiscard]] std::uint16_t port() const;
    // Network byte order: 4 or 16 bytes; "" for a Unix path. An IPv4-mapped IPv6 address gives its
    // 4 bytes.
    [[nodiscard]] std::string_view host_bytes() const;

    // As parse() takes it; host() is without the port and brackets ("127.0.0.1", "::1",
    // "unix:/path").
    [[nodiscard]] std::string text() const;
    [[nodiscard]] std::string host() const;

    friend bool operator==(const SocketAddress& a, const SocketAddress& b) {
        return a.text() == b.text();
    }

  private:
    union {
        sockaddr any_;
        sockaddr_in v4_;
        sockaddr_in6 v6_;
        sockaddr_un unix_;
    };
};

}  // namespace io
