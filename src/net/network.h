// Network, NetworkSet: IP networks in CIDR form, and whether an address lies in one of them.
//
// Immutable once made; shared by all shards. IPv4-mapped IPv6 addresses (::ffff:192.0.2.1) count as
// the IPv4 address, whichever way they were written.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "io/address.h"

namespace net {

class Network {
  public:
    // "10.0.0.0/8", "2001:db8::/32", "[2001:db8::]/32" (as Postfix writes it); an address alone is
    // a network of one. EINVAL with a sentence for bits behind the prefix (it names what was
    // probably meant), for IPv4 written as IPv6, and for anything else.
    [[nodiscard]] static base::Result<Network> parse(std::string_view text);
    // `host`: 4 or 16 bytes, in network order. Bits behind the prefix are ignored.
    // REQUIRES: prefix_bits ≤ 8 × host.size().
    [[nodiscard]] static Network of(std::string_view host, unsigned prefix_bits);

    // `host` as io::SocketAddress::host_bytes() gives it; nothing contains a Unix path's "".
    [[nodiscard]] bool contains(std::string_view host) const;

    // "10.0.0.0/8"
    [[nodiscard]] std::string to_text() const;
    [[nodiscard]] unsigned prefix_bits() const { return prefix_bits_; }

    friend bool operator==(const Network&, const Network&) = default;

  private:
    [[nodiscard]] std::string host_text() const;

    std::array<std::uint8_t, 16> bytes_{};
    std::uint8_t size_ = 4;  // bytes of an address: 4 or 16
    std::uint8_t prefix_bits_ = 0;
};

// A handful of networks, looked through in order.
class NetworkSet {
  public:
    NetworkSet() = default;
    NetworkSet(std::initializer_list<Network> networks) : networks_(networks) {}
    explicit NetworkSet(std::vector<Network> networks) : networks_(std::move(networks)) {}

    void add(const Network& network) { networks_.push_back(network); }
    [[nodiscard]] bool contains(const io::SocketAddress& address) const;
    [[nodiscard]] bool empty() const { return networks_.empty(); }

  private:
    std::vector<Network> networks_;
};

}  // namespace net
