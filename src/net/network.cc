#include "net/network.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include <arpa/inet.h>

#include "base/assert.h"

namespace net {
namespace {

constexpr unsigned kMappedPrefixBytes = 12;  // ::ffff:0:0/96

bool is_mapped(std::string_view host) {
    using namespace std::string_view_literals;
    return host.size() == 16 && host.starts_with("\0\0\0\0\0\0\0\0\0\0\xff\xff"sv);
}

std::optional<std::array<char, 16>> parse_host(std::string_view text, std::size_t& size) {
    std::array<char, INET6_ADDRSTRLEN + 1> copy{};
    if (text.size() >= copy.size() || text.contains('\0')) {
        return std::nullopt;
    }
    std::ranges::copy(text, copy.begin());
    std::array<char, 16> host{};
    size = text.find(':') == std::string_view::npos ? 4 : 16;
    if (inet_pton(size == 4 ? AF_INET : AF_INET6, copy.data(), host.data()) != 1) {
        return std::nullopt;
    }
    return host;
}

base::Result<Network> wrong(std::string_view text, const std::string& what) {
    return base::fail(EINVAL, "\"" + std::string(text) + "\" " + what);
}

}  // namespace

base::Result<Network> Network::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    std::string_view host_text = text.substr(0, slash);
    if (host_text.starts_with('[') && host_text.ends_with(']')) {
        host_text = host_text.substr(1, host_text.size() - 2);
    }
    std::size_t size = 0;
    const auto host = parse_host(host_text, size);
    if (!host) {
        return wrong(text,
                     "is not an IP network; write one such as \"10.0.0.0/8\" or \"2001:db8::/32\"");
    }
    unsigned prefix_bits = static_cast<unsigned>(size) * 8;
    if (slash != std::string_view::npos) {
        const std::string_view digits = text.substr(slash + 1);
        const char* const end = digits.data() + digits.size();
        const auto parsed = std::from_chars(digits.data(), end, prefix_bits);
        if (parsed.ec != std::errc() || parsed.ptr != end || prefix_bits > size * 8) {
            return wrong(text, "has a prefix length that is not a number from 0 to " +
                                   std::to_string(size * 8));
        }
    }
    const std::string_view bytes(host->data(), size);
    if (is_mapped(bytes) && prefix_bits >= kMappedPrefixBytes * 8) {
        return wrong(text, "is IPv4 written as IPv6; write it as an IPv4 network");
    }
    const Network network = of(bytes, prefix_bits);
    const Network alone = of(bytes, static_cast<unsigned>(size) * 8);
    if (network.bytes_ != alone.bytes_) {
        return wrong(text, "has bits behind its prefix; did you mean \"" + network.to_text() +
                               "\" or \"" + alone.host_text() + "\"?");
    }
    return network;
}

std::string Network::host_text() const {
    std::array<char, INET6_ADDRSTRLEN> text{};
    inet_ntop(size_ == 4 ? AF_INET : AF_INET6, bytes_.data(), text.data(), text.size());
    return text.data();
}

std::string Network::to_text() const {
    return host_text() + "/" + std::to_string(prefix_bits_);
}

Network Network::of(std::string_view host, unsigned prefix_bits) {
    RP_ASSERT((host.size() == 4 || host.size() == 16) && prefix_bits <= host.size() * 8);
    if (is_mapped(host) && prefix_bits >= kMappedPrefixBytes * 8) {
        host.remove_prefix(kMappedPrefixBytes);
        prefix_bits -= kMappedPrefixBytes * 8;
    }
    Network network;
    network.size_ = static_cast<std::uint8_t>(host.size());
    network.prefix_bits_ = static_cast<std::uint8_t>(prefix_bits);
    for (std::size_t i = 0; i < host.size() && prefix_bits > 0; ++i) {
        const unsigned bits = std::min(prefix_bits, 8U);
        const unsigned mask = 0xffU << (8 - bits) & 0xffU;
        network.bytes_[i] = static_cast<std::uint8_t>(static_cast<unsigned char>(host[i]) & mask);
        prefix_bits -= bits;
    }
    return network;
}

bool Network::contains(std::string_view host) const {
    if (is_mapped(host)) {
        host.remove_prefix(kMappedPrefixBytes);
    }
    return host.size() == size_ && of(host, prefix_bits_).bytes_ == bytes_;
}

bool NetworkSet::contains(const io::SocketAddress& address) const {
    const std::string_view host = address.host_bytes();
    return !host.empty() && std::ranges::any_of(networks_, [host](const Network& network) {
        return network.contains(host);
    });
}

}  // namespace net
