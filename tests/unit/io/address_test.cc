#include "io/address.h"

#include <cstring>

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace {

using io::SocketAddress;

std::string parsed(std::string_view text) {
    const auto address = SocketAddress::parse(text);
    return address ? address->text() : "error: " + address.error().text();
}

TEST(SocketAddress, ParsesWhatItPrints) {
    for (const std::string_view text :
         {"127.0.0.1:25", "0.0.0.0:0", "255.255.255.255:65535", "[::1]:25", "[2001:db8::5]:587",
          "unix:/run/lmtp.sock", "unix:relative"}) {
        EXPECT_EQ(parsed(text), text);
        EXPECT_TRUE(*SocketAddress::parse(text) == *SocketAddress::parse(text));
    }
    EXPECT_EQ(parsed("[2001:DB8:0:0::5]:587"), "[2001:db8::5]:587");
}

TEST(SocketAddress, RefusesWithTheTextThatIsWrong) {
    for (const std::string_view text : {"",
                                        ":",
                                        "25",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:+25",
                                        "127.0.0.1: 25",
                                        "127.0.0.1:25 ",
                                        "127.0.0.1:-1",
                                        "127.0.0.256:25",
                                        "127.0.0.1.:25",
                                        "localhost:25",
                                        "::1:25",
                                        "[::1]",
                                        "[::1]25",
                                        "[::1:25",
                                        "[127.0.0.1]:25",
                                        "[]:25",
                                        "[::1]]:25",
                                        ":25"}) {
        const auto address = SocketAddress::parse(text);
        ASSERT_FALSE(address.has_value()) << text;
        EXPECT_EQ(address.error().number(), EINVAL);
        EXPECT_NE(address.error().text().find('\''), std::string::npos) << text;
    }
}

TEST(SocketAddress, UnixPathsHaveAtMost107Bytes) {
    EXPECT_FALSE(SocketAddress::parse("unix:").has_value());
    EXPECT_FALSE(SocketAddress::parse(std::string_view("unix:/a\0b", 9)).has_value());
    EXPECT_TRUE(SocketAddress::parse("unix:" + std::string(107, 'x')).has_value());
    EXPECT_FALSE(SocketAddress::parse("unix:" + std::string(108, 'x')).has_value());
}

TEST(SocketAddress, Parts) {
    const auto v4 = SocketAddress::ipv4(0x7f000001, 25);
    EXPECT_EQ(v4.text(), "127.0.0.1:25");
    EXPECT_EQ(v4.host(), "127.0.0.1");
    EXPECT_EQ(v4.host_bytes(), std::string_view("\x7f\0\0\1", 4));
    EXPECT_EQ(v4.port(), 25);
    EXPECT_EQ(v4.family(), AF_INET);
    EXPECT_EQ(v4.raw_size(), sizeof(sockaddr_in));
    const auto v6 = *SocketAddress::parse("[::1]:587");
    EXPECT_EQ(v6.host(), "::1");
    EXPECT_EQ(v6.host_bytes().size(), 16U);
    EXPECT_EQ(v6.port(), 587);
    EXPECT_EQ(v6.raw_size(), sizeof(sockaddr_in6));
    const auto path = *SocketAddress::parse("unix:/a");
    EXPECT_EQ(path.host(), "unix:/a");
    EXPECT_EQ(path.host_bytes(), "");
    EXPECT_EQ(path.port(), 0);
    EXPECT_EQ(path.raw_size(), offsetof(sockaddr_un, sun_path) + 3);
}

TEST(SocketAddress, EmptyIsNowhere) {
    const SocketAddress empty;
    EXPECT_TRUE(empty.empty());
    EXPECT_EQ(empty.raw_size(), 0U);
    EXPECT_EQ(empty.port(), 0);
    EXPECT_EQ(empty.host(), "unknown");
    EXPECT_FALSE(empty == SocketAddress::ipv4(0, 0));
}

// A listener on [::] that takes IPv4 too shows its IPv4 peers so; they are the same hosts.
TEST(SocketAddress, MappedAddressesAreIPv4) {
    in6_addr mapped{};
    ASSERT_EQ(::inet_pton(AF_INET6, "::ffff:10.1.2.3", &mapped), 1);
    const auto address = SocketAddress::ipv6(mapped, 25);
    EXPECT_EQ(address.text(), "10.1.2.3:25");
    EXPECT_EQ(address.host_bytes(), std::string_view("\x0a\1\2\3", 4));
}

TEST(SocketAddress, FromTheKernel) {
    sockaddr_storage storage{};
    const auto v6 = *SocketAddress::parse("[2001:db8::5]:587");
    std::memcpy(&storage, v6.raw(), v6.raw_size());
    EXPECT_EQ(SocketAddress::from_kernel(storage, v6.raw_size()).text(), v6.text());
    // The other end of a Unix socket that was bound to nothing.
    storage = {};
    storage.ss_family = AF_UNIX;
    EXPECT_EQ(SocketAddress::from_kernel(storage, sizeof(sa_family_t)).text(), "unix:");
    // A path may fill its field, without a zero at the end.
    auto& unix_address = reinterpret_cast<sockaddr_un&>(storage);
    std::memset(unix_address.sun_path, 'x', sizeof unix_address.sun_path);
    EXPECT_EQ(SocketAddress::from_kernel(storage, sizeof(sockaddr_un)).text(),
              "unix:" + std::string(107, 'x'));
    storage.ss_family = AF_NETLINK;
    EXPECT_TRUE(SocketAddress::from_kernel(storage, sizeof storage).empty());
}

}  // namespace
