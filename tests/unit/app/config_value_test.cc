#include "app/config_value.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "app/suggest.h"

namespace app {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

template <typename T>
std::string fault(const base::Result<T>& result) {
    return result ? "(no fault)" : result.error().text();
}

TEST(Duration, ReadsNumbersWithUnits) {
    EXPECT_EQ(parse_duration("500ms").value(), milliseconds(500));
    EXPECT_EQ(parse_duration("5s").value(), seconds(5));
    EXPECT_EQ(parse_duration("30m").value(), seconds(1800));
    EXPECT_EQ(parse_duration("1h").value(), seconds(3600));
    EXPECT_EQ(parse_duration("5d").value(), seconds(5 * 86400));
    EXPECT_EQ(parse_duration("2w").value(), seconds(14 * 86400));
    EXPECT_EQ(parse_duration("1h30m").value(), seconds(5400));
    EXPECT_EQ(parse_duration("0s").value(), seconds(0));
}

TEST(Duration, SaysWhatIsWrong) {
    EXPECT_NE(fault(parse_duration("")).find("is empty"), std::string::npos);
    EXPECT_NE(fault(parse_duration("5")).find("has no unit"), std::string::npos);
    EXPECT_NE(fault(parse_duration("5x")).find("unknown unit \"x\""), std::string::npos);
    EXPECT_NE(fault(parse_duration("soon")).find("not a duration"), std::string::npos);
    EXPECT_NE(fault(parse_duration("-5s")).find("not a duration"), std::string::npos);
    EXPECT_NE(fault(parse_duration("5 s")).find("no unit"), std::string::npos);
    EXPECT_NE(fault(parse_duration("3651d")).find("more than ten years"), std::string::npos);
    EXPECT_NE(fault(parse_duration("3650d1s")).find("more than ten years"), std::string::npos);
    EXPECT_NE(fault(parse_duration("18446744073709551615w")).find("more than ten years"),
              std::string::npos);
    EXPECT_NE(fault(parse_duration("99999999999999999999s")).find("not a duration"),
              std::string::npos);
}

TEST(Duration, HasNoFractions) {
    EXPECT_NE(fault(parse_duration("1.5h")).find("has a fraction"), std::string::npos);
}

TEST(Duration, PrintsWhatItReads) {
    for (const char* text : {"1ms", "999ms", "5s", "90s", "5m", "1h", "5d", "36h", "0s"}) {
        EXPECT_EQ(print_duration(parse_duration(text).value()), text);
    }
    EXPECT_EQ(print_duration(parse_duration("7d").value()), "7d");
    EXPECT_EQ(print_duration(parse_duration("60s").value()), "1m");
}

TEST(Size, ReadsBytesAndUnits) {
    EXPECT_EQ(parse_size("4096").value(), 4096U);
    EXPECT_EQ(parse_size("0").value(), 0U);
    EXPECT_EQ(parse_size("10MiB").value(), 10U << 20U);
    EXPECT_EQ(parse_size("50MB").value(), 50'000'000U);
    EXPECT_EQ(parse_size("3KB").value(), 3000U);
    EXPECT_EQ(parse_size("2GiB").value(), std::uint64_t{2} << 30U);
}

TEST(Size, SaysWhatIsWrong) {
    EXPECT_NE(fault(parse_size("10 MB")).find("unknown unit \" MB\""), std::string::npos);
    EXPECT_NE(fault(parse_size("10M")).find("unknown unit"), std::string::npos);
    EXPECT_NE(fault(parse_size("")).find("not a size"), std::string::npos);
    EXPECT_NE(fault(parse_size("9999999999GB")).find("more than"), std::string::npos);
}

TEST(Size, PrintsWhatItReads) {
    for (const char* text : {"10MiB", "50MB", "4097", "1GiB", "1KB", "0"}) {
        EXPECT_EQ(print_size(parse_size(text).value()), text);
    }
}

TEST(HostName, TakesNamesAndLowersThem) {
    EXPECT_EQ(parse_host_name("Relay.Example.COM").value(), "relay.example.com");
    EXPECT_EQ(parse_host_name("localhost").value(), "localhost");
    EXPECT_EQ(parse_host_name("3com.example").value(), "3com.example");
    EXPECT_EQ(parse_host_name("xn--bcher-kva.example").value(), "xn--bcher-kva.example");
    EXPECT_TRUE(parse_host_name(std::string(63, 'a')));
}

TEST(HostName, RefusesTheRest) {
    for (const std::string& name :
         {std::string(), std::string("."), std::string("a..b"), std::string("a."),
          std::string(".a"), std::string("a_b"), std::string("-a.b"), std::string("a-.b"),
          std::string("a b"), std::string("192.0.2.1"), std::string("1.2.3"), std::string("::1"),
          std::string(64, 'a'), std::string("a\0b", 3),
          std::string(127, 'a').append(".").append(std::string(127, 'b'))}) {
        EXPECT_FALSE(parse_host_name(name)) << name;
    }
    EXPECT_NE(fault(parse_host_name("bücher.example")).find("A-labels"), std::string::npos);
    EXPECT_NE(fault(parse_host_name("192.0.2.1")).find("an IP address where a name belongs"),
              std::string::npos);
}

TEST(HostPortText, TakesNamesAndAddresses) {
    EXPECT_EQ(parse_host_port("127.0.0.1:2626").value(), (HostPort{"127.0.0.1", 2626}));
    EXPECT_EQ(parse_host_port("[2001:DB8:0::1]:25").value(), (HostPort{"2001:db8::1", 25}));
    EXPECT_EQ(parse_host_port("localhost:25").value(), (HostPort{"localhost", 25}));
    EXPECT_EQ(parse_host_port("Mail.Example:65535").value(), (HostPort{"mail.example", 65535}));
    EXPECT_EQ(to_text(HostPort{"2001:db8::1", 25}), "[2001:db8::1]:25");
    EXPECT_EQ(to_text(HostPort{"localhost", 25}), "localhost:25");
}

TEST(HostPortText, SaysWhatIsWrong) {
    EXPECT_NE(fault(parse_host_port("127.0.0.1")).find("lacks a port; write \"127.0.0.1:25\""),
              std::string::npos);
    EXPECT_NE(fault(parse_host_port("host:")).find("lacks a port; write \"host:25\""),
              std::string::npos);
    EXPECT_NE(fault(parse_host_port("::1")).find("write \"[::1]:25\""), std::string::npos);
    EXPECT_NE(fault(parse_host_port("::1:25")).find("write \"[::1]:25\""), std::string::npos);
    EXPECT_NE(fault(parse_ip_port("::1:25")).find("write \"[::1]:25\""), std::string::npos);
    EXPECT_NE(fault(parse_ip_port(":25")).find("write \"0.0.0.0:25\""), std::string::npos);
    EXPECT_NE(fault(parse_host_port("[::1]")).find("lacks a port"), std::string::npos);
    EXPECT_NE(fault(parse_host_port("[::1]25")).find("lacks a port"), std::string::npos);
    EXPECT_NE(fault(parse_host_port("[::1:25")).find("closing bracket"), std::string::npos);
    EXPECT_NE(fault(parse_host_port("[mail.example]:25")).find("without them"), std::string::npos);
    EXPECT_NE(fault(parse_host_port("2001:db8:1:2:3:4:5:6:25"))
                  .find("write \"[2001:db8:1:2:3:4:5:6]:25\""),
              std::string::npos)
        << fault(parse_host_port("2001:db8:1:2:3:4:5:6:25"));
    EXPECT_NE(fault(parse_host_port("host:smtp")).find("port \"smtp\""), std::string::npos);
    EXPECT_NE(fault(parse_host_port("host:0")).find("port \"0\""), std::string::npos);
    EXPECT_NE(fault(parse_host_port("host:65536")).find("port \"65536\""), std::string::npos);
    EXPECT_NE(fault(parse_host_port("127.0.0.256:25")).find("is not an IP address"),
              std::string::npos);
    EXPECT_FALSE(parse_host_port(":25"));
    EXPECT_FALSE(parse_host_port(""));
}

TEST(HostPortText, ListenersTakeAddressesAlone) {
    EXPECT_TRUE(parse_ip_port("0.0.0.0:25"));
    EXPECT_TRUE(parse_ip_port("[::]:25"));
    EXPECT_NE(fault(parse_ip_port("localhost:25")).find("write 127.0.0.1 or [::1]"),
              std::string::npos);
    EXPECT_NE(fault(parse_ip_port("*:25")).find("write \"0.0.0.0:25\""), std::string::npos);
    EXPECT_NE(fault(parse_ip_port(":25")).find("write \"0.0.0.0:25\""), std::string::npos);
}

TEST(DomainPatternText, TakesDomainsAndWildcards) {
    EXPECT_EQ(parse_domain_pattern("Dst.Test").value(), (DomainPattern{"dst.test", false}));
    EXPECT_EQ(parse_domain_pattern("*.dst.test").value(), (DomainPattern{"dst.test", true}));
    EXPECT_EQ(parse_domain_pattern(".dst.test").value(), (DomainPattern{"dst.test", true}));
    EXPECT_EQ(to_text(DomainPattern{"dst.test", true}), "*.dst.test");
}

TEST(DomainPatternText, RefusesTheRest) {
    EXPECT_NE(fault(parse_domain_pattern("*")).find("open relay"), std::string::npos);
    EXPECT_NE(fault(parse_domain_pattern("user@dst.test")).find("did you mean \"dst.test\""),
              std::string::npos);
    EXPECT_NE(fault(parse_domain_pattern("mail.*.test")).find("wildcard"), std::string::npos);
    EXPECT_FALSE(parse_domain_pattern(""));
    EXPECT_FALSE(parse_domain_pattern("*.*.test"));
    EXPECT_FALSE(parse_domain_pattern("..test"));
}

TEST(Nearest, FindsTheMistyped) {
    constexpr std::array<std::string_view, 4> kWords = {"hostname", "spool", "control", "shards"};
    EXPECT_EQ(nearest("hostnmae", kWords), "hostname");
    EXPECT_EQ(nearest("host_name", kWords), "hostname");
    EXPECT_EQ(nearest("Spool", kWords), "spool");
    EXPECT_EQ(nearest("shard", kWords), "shards");
    EXPECT_EQ(nearest("certificate", kWords), "");
    EXPECT_EQ(nearest("", kWords), "");
    EXPECT_EQ(nearest(std::string(100000, 'x'), kWords), "");
}

TEST(Shown, IsSafeToPrint) {
    EXPECT_EQ(shown("a\n\x1b[2J\x7f"), "\"a??[2J?\"");
    EXPECT_EQ(shown(std::string(59, 'x') + "äh"), "\"" + std::string(59, 'x') + "…\"");
}

}  // namespace
}  // namespace app
