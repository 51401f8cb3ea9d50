#include "net/network.h"

#include <string>

#include <gmock/gmock.h>
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

std::string fault(std::string_view text) {
    const base::Result<Network> parsed = Network::parse(text);
    return parsed ? "" : parsed.error().describe();
}

TEST(Network, PrintsAsItIsWritten) {
    EXPECT_EQ(Network::parse("10.0.0.0/8")->to_text(), "10.0.0.0/8");
    EXPECT_EQ(Network::parse("[2001:db8::]/32")->to_text(), "2001:db8::/32");
    EXPECT_EQ(Network::parse("192.0.2.7")->to_text(), "192.0.2.7/32");
    EXPECT_EQ(Network::parse("::1")->to_text(), "::1/128");
    EXPECT_EQ(Network::parse("0.0.0.0/0")->to_text(), "0.0.0.0/0");
}

TEST(Network, SaysWhatWasProbablyMeant) {
    using testing::HasSubstr;
    EXPECT_THAT(fault("192.0.2.7/24"),
                HasSubstr("did you mean \"192.0.2.0/24\" or \"192.0.2.7\"?"));
    EXPECT_THAT(fault("2001:db8::1/33"), HasSubstr("did you mean \"2001:db8::/33\""));
    EXPECT_THAT(fault("10.0.0.0/33"), HasSubstr("0 to 32"));
    EXPECT_THAT(fault("::/129"), HasSubstr("0 to 128"));
    EXPECT_THAT(fault("10.0.0.0/"), HasSubstr("prefix length"));
    EXPECT_THAT(fault("10/8"), HasSubstr("not an IP network"));
    EXPECT_THAT(fault("::ffff:10.0.0.0/104"), HasSubstr("IPv4 written as IPv6"));
    EXPECT_NE(fault(std::string_view("10.0.0.0\0/8", 11)), "");
}

}  // namespace
}  // namespace net
