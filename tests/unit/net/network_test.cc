#include "net/network.h"

#include <gtest/gtest.h>

namespace net {
namespace {

bool contains(const char* network, const char* address) {
    return NetworkSet{*Network::parse(network)}.contains(*io::SocketAddress::parse(address));
}

TEST(Network, ContainsByPrefix) {
    EXPECT_TRUE(contains("127.0.0.0/8", "127.255.3.4:1"));
    EXPECT_FALSE(contains("127.0.0.0/8", "128.0.0.1:1"));
    EXPECT_TRUE(contains("192.0.2.64/26", "192.0.2.127:1"));
    EXPECT_FALSE(contains("192.0.2.64/26", "192.0.2.128:1"));
    EXPECT_FALSE(contains("192.0.2.64/26", "192.0.2.63:1"));
    EXPECT_TRUE(contains("0.0.0.0/0", "203.0.113.9:1"));
    EXPECT_FALSE(contains("0.0.0.0/0", "[2001:db8::1]:1"));
    EXPECT_TRUE(contains("2001:db8::/33", "[2001:db8:7fff::1]:1"));
    EXPECT_FALSE(contains("2001:db8::/33", "[2001:db8:8000::1]:1"));
    EXPECT_TRUE(contains("::/0", "[2001:db8::1]:1"));
}

TEST(Network, AnAddressAloneIsANetworkOfOne) {
    EXPECT_TRUE(contains("192.0.2.1", "192.0.2.1:1"));
    EXPECT_FALSE(contains("192.0.2.1", "192.0.2.0:1"));
    EXPECT_TRUE(contains("::1", "[::1]:25"));
    EXPECT_FALSE(contains("[::1]/128", "[::2]:25"));
}

TEST(Network, MappedAddressesCountAsIpv4) {
    EXPECT_TRUE(contains("127.0.0.0/8", "[::ffff:127.0.0.1]:1"));
    EXPECT_FALSE(contains("127.0.0.0/8", "[::ffff:128.0.0.1]:1"));
    EXPECT_TRUE(contains("::ffff:127.0.0.0/104", "127.9.9.9:1"));
    // Compatible ("::127.0.0.1") is no longer IPv4 (RFC 4291 §2.5.5.1).
    EXPECT_FALSE(contains("127.0.0.0/8", "[::127.0.0.1]:1"));
}

TEST(Network, AUnixSocketIsInNone) {
    EXPECT_FALSE(contains("0.0.0.0/0", "unix:/run/x"));
    EXPECT_FALSE(contains("::/0", "unix:/run/x"));
}

TEST(Network, RefusesWhatIsNone) {
    for (const char* text :
         {"", "/", "1.2.3/8", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/x", "1.2.3.4/8x", "::/129",
          "example.test", "1.2.3.4/-1", "1.2.3.4/8", "2001:db8::1/32", "::ffff:127.0.0.1/100"}) {
        EXPECT_FALSE(Network::parse(text)) << text;
    }
}

}  // namespace
}  // namespace net
