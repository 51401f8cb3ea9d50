#include "policy/access.h"

#include <string>

#include <gtest/gtest.h>

namespace policy {
namespace {

DomainSet domains(std::initializer_list<const char*> patterns) {
    DomainSet set;
    for (const char* pattern : patterns) {
        set.add(pattern);
    }
    return set;
}

mail::Path path(std::string_view text) {
    const std::size_t at = text.rfind('@');
    mail::Path path;
    path.text = text;
    path.local_part = text.substr(0, at);
    path.domain = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
    return path;
}

TEST(DomainSet, ExactNamesMatchWithoutCaseAndNothingBelow) {
    const DomainSet set = domains({"Dst.Test"});
    EXPECT_TRUE(set.contains("dst.test"));
    EXPECT_TRUE(set.contains("DST.TEST"));
    EXPECT_FALSE(set.contains("mail.dst.test"));
    EXPECT_FALSE(set.contains("xdst.test"));
    EXPECT_FALSE(set.contains("test"));
    EXPECT_FALSE(set.contains(""));
}

TEST(DomainSet, PatternsMatchBelowAtAnyDepthAndNotThemselves) {
    for (const char* pattern : {"*.dst.test", ".dst.test"}) {
        const DomainSet set = domains({pattern});
        EXPECT_TRUE(set.contains("mail.dst.test")) << pattern;
        EXPECT_TRUE(set.contains("a.b.c.DST.test")) << pattern;
        EXPECT_FALSE(set.contains("dst.test")) << pattern;
        EXPECT_FALSE(set.contains("mail-dst.test")) << pattern;
    }
}

TEST(DomainSet, ExactAndBelowCanBothBeGiven) {
    const DomainSet set = domains({".dst.test", "dst.test"});
    EXPECT_TRUE(set.contains("dst.test"));
    EXPECT_TRUE(set.contains("x.dst.test"));
}

TEST(DomainSet, LiteralsAndOverlongNamesMatchNoPattern) {
    const DomainSet set = domains({".0.0.1]", "*.test"});
    EXPECT_FALSE(set.contains("[127.0.0.1]"));
    EXPECT_FALSE(set.contains(std::string(251, 'x') + ".test"));
    EXPECT_TRUE(set.contains(std::string(250, 'x') + ".test"));
}

TEST(Access, RelayNetworksMaySendAnywhere) {
    const Access access("relay.example.test", {});
    EXPECT_FALSE(access.refuse_recipient(path("a@elsewhere.test"), Origin::relay_network));
    EXPECT_FALSE(access.refuse_recipient(path("a%b@elsewhere.test"), Origin::relay_network));
    EXPECT_FALSE(access.refuse_recipient(path("a@[192.0.2.1]"), Origin::relay_network));
}

TEST(Access, StrangersMaySendToRelayDomainsOnly) {
    const Access access("relay.example.test", domains({"dst.test"}));
    EXPECT_FALSE(access.refuse_recipient(path("a@dst.test"), Origin::stranger));
    EXPECT_EQ(access.refuse_recipient(path("a@elsewhere.test"), Origin::stranger),
              Access::kRelayDenied);
    EXPECT_EQ(access.refuse_recipient(path("a@[192.0.2.1]"), Origin::stranger),
              Access::kRelayDenied);
}

TEST(Access, StrangersMayNotRouteThroughALocalPart) {
    const Access access("relay.example.test", domains({"dst.test"}));
    for (const char* local : {"a%b.test", "b.test!a", "\"a@b.test\""}) {
        EXPECT_EQ(access.refuse_recipient(path(std::string(local) + "@dst.test"), Origin::stranger),
                  Access::kRoutingDenied)
            << local;
    }
}

TEST(Access, AnyoneMayWriteToThePostmaster) {
    const Access access("relay.example.test", {});
    EXPECT_FALSE(access.refuse_recipient(path("PostMaster"), Origin::stranger));
    EXPECT_FALSE(access.refuse_recipient(path("postmaster@Relay.Example.Test"), Origin::stranger));
    EXPECT_TRUE(access.refuse_recipient(path("postmaster@elsewhere.test"), Origin::stranger));
}

}  // namespace
}  // namespace policy
