// The filter of the commands over the queue, from the command line into the store's rule.
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "app/queue_filter.h"

namespace app {
namespace {

using testing::HasSubstr;

constexpr base::WallTime kNow = base::wall_from_unix_ms(1'000'000'000'000);

base::Result<QueueFilter> through(const QueueFilterOptions& options) {
    nlohmann::json request;
    if (const base::Status good = put_filter(request, options); !good) {
        return std::unexpected(good.error());
    }
    return filter_of(request, kNow, {});
}

TEST(QueueFilter, CarriesAllOfIt) {
    const auto filter = through({.ids = {"000002000000G"},
                                 .sender = "@src.test",
                                 .recipient = "b@dst.test",
                                 .domain = "*.dst.test",
                                 .tenant = "src.test",
                                 .states = {"deferred", "held"},
                                 .older_than = "2h",
                                 .newer_than = "1d"});
    ASSERT_TRUE(filter.has_value()) << filter.error().text();
    EXPECT_EQ(filter->rule.sender, "@src.test");
    EXPECT_EQ(filter->rule.recipient, "b@dst.test");
    EXPECT_EQ(filter->rule.domain, "*.dst.test");
    EXPECT_EQ(filter->rule.tenant, "src.test");
    EXPECT_EQ(filter->rule.statuses, (1U << 1U) | (1U << 5U));
    EXPECT_EQ(filter->rule.arrived_until_ms, 1'000'000'000'000 - 2 * 3'600'000);
    EXPECT_EQ(filter->rule.arrived_from_ms, 1'000'000'000'000 - 24 * 3'600'000);
    ASSERT_EQ(filter->ids.size(), 1U);
}

TEST(QueueFilter, WithoutAnyItMeansAll) {
    const auto filter = through({});
    ASSERT_TRUE(filter.has_value());
    EXPECT_TRUE(filter->ids.empty());
    EXPECT_EQ(filter->rule.statuses, 0U);
    EXPECT_EQ(filter->rule.arrived_until_ms, store::Rule().arrived_until_ms);
}

TEST(QueueFilter, SaysWhatIsWrong) {
    const auto fault = [](const QueueFilterOptions& options) {
        const auto filter = through(options);
        return filter ? std::string("none") : filter.error().text();
    };
    EXPECT_THAT(fault({.sender = "src.test"}), HasSubstr("is no address"));
    EXPECT_THAT(fault({.recipient = "<>"}), HasSubstr("is no address"));
    EXPECT_THAT(fault({.domain = "a@dst.test"}), HasSubstr("is no domain"));
    EXPECT_THAT(fault({.states = {"lost"}}), HasSubstr("none of pending, deferred and held"));
    EXPECT_THAT(fault({.older_than = "soon"}), testing::Not("none"));
    EXPECT_THAT(fault({.older_than = "500ms"}), HasSubstr("no whole number of seconds"));
    EXPECT_THAT(fault({.sender = std::string(600, 'a') + "@b"}), HasSubstr("longer than"));
}

// By the command line and by the server alike.
TEST(QueueFilter, TakesAWordAsItIsMeant) {
    const auto taken = [](const char* name, const char* word) {
        const auto filter = filter_of(nlohmann::json{{name, word}}, kNow, {});
        if (!filter) {
            return filter.error().text();
        }
        return filter->rule.sender + filter->rule.recipient + filter->rule.domain +
               filter->rule.tenant;
    };
    EXPECT_EQ(taken("sender", "<>"), "<>");
    EXPECT_EQ(taken("sender", "<a@b.test>"), "a@b.test");
    EXPECT_EQ(taken("recipient", "<a@b.test>"), "a@b.test");
    EXPECT_EQ(taken("sender", "@b.test."), "@b.test");
    EXPECT_EQ(taken("sender", "@*.b.test"), "@*.b.test");
    EXPECT_EQ(taken("sender", "@[192.0.2.1]"), "@[192.0.2.1]");
    EXPECT_EQ(taken("sender", R"("a b"@c.test)"), R"("a b"@c.test)");
    EXPECT_EQ(taken("sender", "a@b.test."), "a@b.test");
    EXPECT_EQ(taken("sender", "jörg@bücher.test"), "jörg@bücher.test");
    EXPECT_EQ(taken("recipient", "postmaster"), "postmaster");
    EXPECT_EQ(taken("domain", "dst.test."), "dst.test");
    EXPECT_EQ(taken("domain", "*.dst.test"), "*.dst.test");
    EXPECT_EQ(taken("domain", ".dst.test"), "*.dst.test");
    EXPECT_EQ(taken("tenant", "[IPv6:2001:db8::1]"), "[IPv6:2001:db8::1]");
}

TEST(QueueFilter, RefusesAWordThatMatchesNothing) {
    const auto fault = [](const char* name, const char* word) {
        const auto filter = filter_of(nlohmann::json{{name, word}}, kNow, {});
        return filter ? std::string("none") : filter.error().text();
    };
    for (const char* name : {"sender", "recipient", "domain", "tenant"}) {
        EXPECT_THAT(fault(name, ""), HasSubstr("to mean any, leave it away")) << name;
        EXPECT_THAT(fault(name, ""), HasSubstr(std::string("\"") + name + "\"")) << name;
    }
    for (const char* word : {"@", "<@>", "*", "*@*", "@*", "a@", "a b@c.test", "a@b c.test",
                             "b.test", "a@b..test", "<a@b.test", "a@b.test,c@d.test", "@b.test@",
                             "postmaster", "@*.", "a@*.test", "@[192.0.2]", "@*.[192.0.2.1]"}) {
        EXPECT_NE(fault("sender", word), "none") << word;
    }
    for (const char* word : {"*", "*.", ".", "..", "*.*", "a.*.test", "a test", "a.test,b.test",
                             "@a.test", "<a.test>", "a..test", "a.test.."}) {
        EXPECT_NE(fault("domain", word), "none") << word;
    }
    for (const char* word : {"@", "@*", "*@*", "*"}) {
        EXPECT_THAT(fault("sender", word), HasSubstr("names no domain")) << word;
    }
    EXPECT_THAT(fault("domain", "*"), HasSubstr("to mean any, leave domain away"));
}

TEST(QueueFilter, TrustsNoRequest) {
    for (const char* text :
         {R"({"sender": 1})", R"({"reason": ""})", R"({"reason": 1})", R"({"sender": ""})",
          R"({"states": ["gone"]})", R"({"states": [1]})", R"({"older_than_s": -1})",
          R"({"older_than_s": 1e30})", R"({"ids": ["x"]})", R"({"ids": [7]})",
          R"({"ids": ["0000000000000"]})", R"({"newer_than_s": "1"})", R"({"sender": null})",
          R"({"ids": []})", R"({"ids": null})", R"({"ids": "000002000000G"})", R"({"states": []})",
          R"({"states": {}})", R"({"states": "held"})"}) {
        EXPECT_FALSE(filter_of(nlohmann::json::parse(text), kNow, {}).has_value()) << text;
    }
}

// One that is misspelt would else mean everything.
TEST(QueueFilter, NamesAMemberThatItDoesNotKnow) {
    const auto request = nlohmann::json::parse(R"({"command": "x", "wait": true, "sendr": "a@b"})");
    const std::vector<std::string_view> others = {"wait"};
    const auto filter = filter_of(request, kNow, others);
    ASSERT_FALSE(filter.has_value());
    EXPECT_THAT(filter.error().text(),
                HasSubstr("\"sendr\" is no member of this request; did you mean \"sender\"?"));
    EXPECT_THAT(filter_of(nlohmann::json::parse(R"({"wait": true})"), kNow, {}).error().text(),
                HasSubstr("\"wait\" is no member"));
}

// Of what changes the queue, an empty choice is not one of all.
TEST(QueueFilter, WhoMeansAllSaysSo) {
    const auto fault = [](const char* text) {
        const auto filter = chosen_by(nlohmann::json::parse(text), kNow, {});
        return filter ? std::string("none") : filter.error().text();
    };
    EXPECT_THAT(fault(R"({})"), HasSubstr("which messages?"));
    EXPECT_THAT(fault(R"({"all": false})"), HasSubstr("which messages?"));
    EXPECT_THAT(fault(R"({"all": 1})"), HasSubstr("neither true nor false"));
    EXPECT_THAT(fault(R"({"all": true, "domain": "dst.test"})"), HasSubstr("no other choice"));
    EXPECT_THAT(fault(R"({"all": true, "older_than_s": 1})"), HasSubstr("no other choice"));
    EXPECT_EQ(fault(R"({"all": true})"), "none");
    EXPECT_EQ(fault(R"({"all": false, "domain": "dst.test"})"), "none");
    EXPECT_EQ(fault(R"({"domain": "dst.test"})"), "none");
}

}  // namespace
}  // namespace app
