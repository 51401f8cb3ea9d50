#include "mail/envelope.h"

#include <string>

#include <gtest/gtest.h>

namespace mail {
namespace {

TEST(Envelope, KeepsPathsWhileItGrows) {
    Envelope envelope;
    envelope.set_reverse_path("sender@example.org");
    for (int i = 0; i < 1000; ++i) {
        envelope.add_recipient("user" + std::to_string(i) + "@dst.test");
    }
    EXPECT_EQ(envelope.reverse_path(), "sender@example.org");
    ASSERT_EQ(envelope.recipient_count(), 1000U);
    EXPECT_EQ(envelope.recipient(0), "user0@dst.test");
    EXPECT_EQ(envelope.recipient(999), "user999@dst.test");
}

TEST(Envelope, ClearForgetsEverything) {
    Envelope envelope;
    envelope.set_reverse_path("a@b");
    envelope.add_recipient("c@d");
    envelope.parameters.smtputf8 = true;
    envelope.parameters.size_bytes = 5;
    envelope.clear();
    EXPECT_EQ(envelope.reverse_path(), "");
    EXPECT_EQ(envelope.recipient_count(), 0U);
    EXPECT_FALSE(envelope.parameters.smtputf8);
    EXPECT_EQ(envelope.parameters.size_bytes, 0U);
}

TEST(Envelope, NullReversePath) {
    Envelope envelope;
    envelope.set_reverse_path("");
    envelope.add_recipient("postmaster");
    EXPECT_EQ(envelope.reverse_path(), "");
    EXPECT_EQ(envelope.recipient(0), "postmaster");
}

TEST(Envelope, DomainOf) {
    EXPECT_EQ(domain_of("a@b"), "b");
    EXPECT_EQ(domain_of("\"x@y\"@b.c"), "b.c");
    EXPECT_EQ(domain_of("postmaster"), "");
    EXPECT_EQ(domain_of(""), "");
}

}  // namespace
}  // namespace mail
