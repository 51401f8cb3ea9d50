// `ringpost queue show` and `queue explain` over the control socket, with messages of the test's
// own behind the server.
#include "app/queue_show.h"

#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "app/control_client.h"
#include "app/queue_command.h"
#include "app/queue_control.h"
#include "app/queue_explain.h"
#include "app/relay_queue_view.h"
#include "app/timestamp.h"
#include "unit/app/control_fixture.h"

namespace app {
namespace {

using std::chrono::hours;
using std::chrono::seconds;
using store::RecipientStatus;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const mail::QueueId kId(0, 2, 16);
const mail::QueueId kStopping(9, 1, 1);

class FakeInspector final : public QueueInspector {
  public:
    queue::MessageDetail message;
    queue::Explanation explanation;
    std::vector<std::string> parts;
    bool fails = false;  // behind the last part

    base::Result<bool> detail(mail::QueueId id, queue::MessageDetail& detail) override {
        if (id == kStopping) {
            return base::fail(EIO, "the server is stopping");
        }
        detail = message;
        return id == kId;
    }
    base::Result<bool> explain(mail::QueueId id, queue::Explanation& into) override {
        into = explanation;
        return id == kId;
    }
    base::Result<std::unique_ptr<QueueContent>> content(mail::QueueId id) override {
        if (id != kId) {
            return std::unique_ptr<QueueContent>();
        }
        return std::unique_ptr<QueueContent>(std::make_unique<Content>(*this));
    }

  private:
    class Content final : public QueueContent {
      public:
        explicit Content(FakeInspector& inspector) : inspector_(inspector) {}
        base::Result<std::string> next() override {
            if (at_ == inspector_.parts.size()) {
                return inspector_.fails ? base::Result<std::string>(base::fail(EIO, "the disk"))
                                        : std::string();
            }
            return inspector_.parts[at_++];
        }

      private:
        FakeInspector& inspector_;
        std::size_t at_ = 0;
    };
};

queue::ListedRecipient recipient(std::string path, RecipientStatus status) {
    queue::ListedRecipient one;
    one.path = std::move(path);
    one.status = status;
    return one;
}

// To one recipient, deferred three times.
queue::ListedMessage deferred_message(base::WallTime now) {
    queue::ListedMessage message;
    message.id = kId;
    message.state = queue::EntryState::deferred;
    message.arrival = now - hours(1);
    message.size_bytes = 12'345;
    message.sender = "alice@src.test";
    message.site = "smarthost";
    queue::ListedRecipient one = recipient("bob@dst.test", RecipientStatus::deferred);
    one.attempts = 3;
    one.next_attempt = now + hours(2) + seconds(30);
    one.reply = {.code = 451, .status = {4, 3, 0}, .text = "try again"};
    one.relay = "mx.dst.test:25";
    message.recipients.push_back(one);
    return message;
}

queue::Explanation explanation_of(queue::ListedMessage message, base::WallTime now) {
    queue::Explanation all;
    all.listed = std::move(message);
    all.delay_told.assign(all.listed.recipients.size(), false);
    all.site.name = "smarthost";
    all.site.hosts = {{"mx1.dst.test:25", ""}, {"mx2.dst.test:25", ""}};
    all.site.connections_limit = all.site.connections_max = 20;
    all.expires_at = now + hours(100);
    return all;
}

std::string text_of(const queue::Explanation& all, base::WallTime now) {
    std::string text;
    const auto json = explanation_json(all, now);
    for (const auto& sentence : json["text"]) {
        text += sentence.get<std::string>() + "\n";
    }
    return text;
}

// Its attempt has come.
queue::Explanation due_message(base::WallTime now) {
    queue::Explanation all = explanation_of(deferred_message(now), now);
    all.listed.state = queue::EntryState::ready;
    all.listed.recipients[0].due = true;
    return all;
}

TEST(Explain, TimeIsToldWithTheLastReply) {
    const base::WallTime now = wall_now();
    const queue::Explanation all = explanation_of(deferred_message(now), now);
    const auto json = explanation_json(all, now);
    EXPECT_EQ(json["situations"].size(), 1U);
    EXPECT_EQ(json["situations"][0]["situation"], "time");
    EXPECT_EQ(json["situations"][0]["next_attempt_in_s"], 7230);
    EXPECT_EQ(json["situations"][0]["last_reply"], "451 4.3.0 try again");
    EXPECT_EQ(json["situations"][0]["last_next_hop"], "mx.dst.test:25");
    EXPECT_THAT(
        text_of(all, now),
        StartsWith("<bob@dst.test> waits for the 4th attempt, at " + iso8601(now + seconds(7230)) +
                   " (in 2h00m). At the last attempt, the 3rd, mx.dst.test:25 answered: "
                   "451 4.3.0 try again\nIt is given up at "));
}

TEST(Explain, ADeadSiteIsToldWithTheWordsOfItsHosts) {
    const base::WallTime now = wall_now();
    queue::Explanation all = due_message(now);
    all.site.dead = true;
    all.site.last_words = "connection refused";
    all.site.hosts = {{"mx1.dst.test:25", "connection refused"}, {"mx2.dst.test:25", "554 no"}};
    all.site.next_try = seconds(8);
    all.site.ready = 17;
    EXPECT_EQ(explanation_json(all, now)["situations"][0]["situation"], "site");
    EXPECT_EQ(explanation_json(all, now)["site"]["hosts"][1]["failure"], "554 no");
    EXPECT_THAT(text_of(all, now),
                HasSubstr("waits until a host of smarthost serves: none served the last time: "
                          "mx1.dst.test:25 (connection refused); mx2.dst.test:25 (554 no). One is "
                          "tried again in 8s, with one of the 17 messages that are ready for "
                          "them."));
}

TEST(Explain, WhoWaitsForTimeHearsOfADeadSiteToo) {
    const base::WallTime now = wall_now();
    queue::Explanation all = explanation_of(deferred_message(now), now);
    all.listed.recipients[0].reply = {.code = 0, .status = {}, .text = "connection refused"};
    EXPECT_THAT(text_of(all, now), HasSubstr("At the last attempt, the 3rd, at mx.dst.test:25: "
                                             "connection refused\nIt is given up"));
    all.site.dead = true;
    all.site.last_words = "timed out";
    EXPECT_THAT(text_of(all, now),
                HasSubstr("\nOf the hosts of smarthost none served the last time: timed out.\n"));
}

TEST(Explain, WhatElseADueRecipientMayWaitFor) {
    const base::WallTime now = wall_now();
    queue::Explanation all = due_message(now);
    EXPECT_EQ(explanation_json(all, now)["situations"][0]["situation"], "turn");
    all.site.full = true;
    all.site.connections = all.site.connections_limit = 5;
    all.site.ready = 100;
    EXPECT_THAT(text_of(all, now),
                HasSubstr("waits for a connection to smarthost: 5 of 5 are in use (of 20 that are "
                          "configured; the next hop took no more); 100 messages are ready for it"));
    all.site.short_of_means = true;
    all.site.next_try = seconds(1);
    EXPECT_THAT(text_of(all, now), HasSubstr("lacks descriptors, memory or ports"));
    all.listed.state = queue::EntryState::in_delivery;
    all.listed.recipients[0].in_attempt = true;
    EXPECT_THAT(text_of(all, now), HasSubstr("<bob@dst.test> is in an attempt right now"));
    all.store_takes_attempts = false;
    EXPECT_THAT(text_of(all, now), HasSubstr("the spool takes no outcomes now"));
    all.stopping = true;
    EXPECT_THAT(text_of(all, now), HasSubstr("waits for the next start"));
}

TEST(Explain, WhatCannotEndBeforeItsSenderIsTold) {
    const base::WallTime now = wall_now();
    queue::Explanation all = explanation_of(deferred_message(now), now);
    all.put_off = queue::PutOff::notification_limit;
    EXPECT_EQ(explanation_json(all, now)["situations"][0]["situation"], "time");
    all.expires_at = now - seconds(1);
    EXPECT_EQ(explanation_json(all, now)["situations"][0]["situation"], "telling");
    EXPECT_THAT(text_of(all, now),
                StartsWith("<bob@dst.test> is given up once the sender can be told: as many "
                           "notifications were sent in a minute as may be"));
    all.expires_at = now + hours(1);
    queue::ListedRecipient& bob = all.listed.recipients[0];
    bob.status = RecipientStatus::failed;
    bob.foreseen = true;
    all.put_off = queue::PutOff::no;
    EXPECT_EQ(explanation_json(all, now)["situations"][0]["situation"], "commanded");
    all.put_off = queue::PutOff::notification_room;
    all.listed.recipients.push_back(recipient("carol@dst.test", RecipientStatus::pending));
    EXPECT_THAT(text_of(all, now),
                StartsWith("<bob@dst.test> is bounced by an operator's command once the sender can "
                           "be told: the spool takes no notification now."));
    EXPECT_THAT(text_of(all, now),
                HasSubstr("<carol@dst.test> waits for others, who are bounced once the sender"));
    all.put_off = queue::PutOff::memory;
    EXPECT_EQ(explanation_json(all, now)["situations"][1]["situation"], "reading");
}

TEST(Explain, RecipientsAreGroupedTheMostTellingFirst) {
    const base::WallTime now = wall_now();
    queue::ListedMessage message = deferred_message(now);
    for (int i = 0; i < 7; ++i) {
        message.recipients.push_back(message.recipients[0]);
        message.recipients.back().path = "r" + std::to_string(i) + "@dst.test";
    }
    message.recipients.push_back(recipient("carol@dst.test", RecipientStatus::delivered));
    message.recipients.back().reply = {.code = 250, .status = {2, 0, 0}, .text = "Ok"};
    message.recipients.push_back(recipient("dave@dst.test", RecipientStatus::held));
    queue::Explanation all = explanation_of(std::move(message), now);
    all.delay_notice_at = now - seconds(5);
    const auto json = explanation_json(all, now);
    ASSERT_EQ(json["situations"].size(), 3U);
    EXPECT_EQ(json["situations"][0]["situation"], "held");
    EXPECT_EQ(json["situations"][1]["recipients"], 8);
    EXPECT_EQ(json["situations"][1]["addresses"].size(), 5U);
    EXPECT_EQ(json["situations"][2]["situation"], "done");
    const std::string text = text_of(all, now);
    EXPECT_THAT(text, StartsWith("<dave@dst.test> is held by an operator"));
    EXPECT_THAT(text, HasSubstr("8 recipients (<bob@dst.test>, <r0@dst.test>, <r1@dst.test>, "
                                "<r2@dst.test>, <r3@dst.test>, …) wait for the 4th attempt"));
    EXPECT_THAT(text, HasSubstr("<carol@dst.test> was delivered: 250 2.0.0 Ok"));
    EXPECT_THAT(text, HasSubstr("Word of the delay is due to the sender."));
    all.delay_told.assign(10, true);
    EXPECT_THAT(text_of(all, now), HasSubstr("The sender was told of the delay"));
}

// As a delivery has it: what is held is neither tried, nor given up, nor told of.
TEST(Explain, AHoldStopsExpiryAndWordOfADelay) {
    const base::WallTime now = wall_now();
    for (const bool by_relay : {false, true}) {
        queue::Explanation all = explanation_of(deferred_message(now), now);
        all.listed.state = queue::EntryState::held;
        if (by_relay) {
            all.listed.hold_reason = queue::HoldReason::content_bad;
        } else {
            all.listed.recipients[0].status = RecipientStatus::held;
        }
        all.delay_notice_at = now - seconds(5);
        const std::string early = text_of(all, now);
        EXPECT_THAT(early,
                    HasSubstr("\nWhat is held is neither tried nor given up, and no delay is "
                              "told of; released after " +
                              iso8601(all.expires_at)));
        EXPECT_THAT(early, Not(HasSubstr("It is given up at")));
        EXPECT_THAT(early, Not(HasSubstr("Word of the delay")));
        all.expires_at = now - seconds(5);
        const std::string late = text_of(all, now);
        EXPECT_THAT(late, HasSubstr("its time was over at " + iso8601(all.expires_at) +
                                    ", so once released it is given up without another attempt."));
        EXPECT_THAT(late, Not(HasSubstr("next occasion")));
        EXPECT_THAT(late, Not(HasSubstr("Word of the delay")));
    }
}

TEST(Explain, WhetherTheSenderHearsOfADelay) {
    const base::WallTime now = wall_now();
    queue::Explanation all = explanation_of(deferred_message(now), now);
    all.delay_notice_at = now + seconds(5);
    EXPECT_THAT(text_of(all, now), HasSubstr("\nThe sender is told of the delay at " +
                                             iso8601(*all.delay_notice_at) + " (in 5s).\n"));
    all.listed.recipients[0].delay_wanted = false;
    EXPECT_THAT(text_of(all, now), HasSubstr("\nThe sender asked to be told of no delay.\n"));
    all.delay_told[0] = true;  // as recorded of who does not want to know
    EXPECT_THAT(text_of(all, now), HasSubstr("\nThe sender asked to be told of no delay.\n"));
}

TEST(Explain, ACommandBehindAnAttemptIsNamed) {
    const base::WallTime now = wall_now();
    queue::Explanation all = due_message(now);
    queue::ListedRecipient& one = all.listed.recipients[0];
    all.listed.state = queue::EntryState::in_delivery;
    one.in_attempt = one.foreseen = true;
    one.due = false;
    const std::vector<std::pair<RecipientStatus, std::string>> commands = {
        {RecipientStatus::held, "hold"},
        {RecipientStatus::failed, "bounce"},
        {RecipientStatus::deleted, "delete"},
        {RecipientStatus::deferred, "retry"}};
    for (const auto& [status, name] : commands) {
        one.status = status;
        EXPECT_EQ(explanation_json(all, now)["situations"][0]["situation"], "attempt") << name;
        EXPECT_THAT(text_of(all, now),
                    HasSubstr(" An operator's " + name + " waits for the end of the attempt: "));
    }
    one.in_attempt = false;
    one.status = RecipientStatus::failed;
    EXPECT_EQ(explanation_json(all, now)["situations"][0]["situation"], "commanded");
    EXPECT_THAT(text_of(all, now), HasSubstr("is bounced by an operator's command"));
    one.foreseen = false;
    one.status = RecipientStatus::deleted;
    EXPECT_THAT(text_of(all, now), HasSubstr("was deleted by an operator."));
}

TEST(Explain, WhatTheRelayHoldsSaysWhy) {
    const base::WallTime now = wall_now();
    queue::Explanation all = explanation_of(deferred_message(now), now);
    all.listed.state = queue::EntryState::held;
    all.listed.hold_reason = queue::HoldReason::damaged;
    all.listed.readable = false;
    all.listed.recipients[0].path.clear();
    EXPECT_THAT(text_of(all, now), StartsWith("One recipient is held by the relay: its envelope "
                                              "cannot be read from the spool: its checksum"));
}

TEST(Explain, NoMoreGroupsThanCanBeRead) {
    const base::WallTime now = wall_now();
    queue::ListedMessage message = deferred_message(now);
    for (int i = 0; i < 100; ++i) {
        message.recipients.push_back(message.recipients[0]);
        message.recipients.back().reply.text = "reply " + std::to_string(i);
    }
    message.recipients.push_back(recipient("dave@dst.test", RecipientStatus::held));
    const queue::Explanation all = explanation_of(std::move(message), now);
    EXPECT_EQ(explanation_json(all, now)["situations"].size(), 20U);
    EXPECT_THAT(text_of(all, now), StartsWith("<dave@dst.test> is held by an operator"));
    EXPECT_THAT(text_of(all, now), HasSubstr("82 more recipients are not told of here"));
}

// It was put off as a whole, and no attempt of its recipient is planned.
TEST(QueueMessageOf, ANeverTriedRecipientWaitsForNoTime) {
    queue::ListedMessage listed = deferred_message(wall_now());
    listed.recipients[0].status = RecipientStatus::pending;
    listed.recipients[0].next_attempt = {};
    const QueueMessage message = queue_message_of(listed);
    EXPECT_EQ(message.recipients[0].waits_for, WaitsFor::turn);
    EXPECT_FALSE(message.recipients[0].next_attempt.has_value());
}

TEST(QueueMessageOf, WhatIsDeletedInAnAttemptHasNotExpired) {
    queue::ListedMessage listed = deferred_message(wall_now());
    listed.recipients[0].status = RecipientStatus::deleted;
    EXPECT_EQ(queue_message_json(queue_message_of(listed), wall_now())["state"], "deleted");
}

class Show : public ControlFixture {
  protected:
    Show() {
        ControlCommands commands;
        add_inspection_commands(commands, inspector_);
        serve(std::move(commands));

        const base::WallTime now = wall_now();
        queue::MessageDetail& message = inspector_.message;
        message.listed = deferred_message(now);
        message.expires_at = now + hours(100);
        message.client_address = "192.0.2.1";
        message.helo = "client.test";
        message.protocol = "ESMTPS";
        message.body_8bitmime = true;
        message.declared_bytes = 12'345;
        message.ret = mail::ReturnContent::headers;
        message.envelope_id = "QQ314159";
        message.header = "Received: by relay.test\r\nSubject: \x1b[2J\r\n\tfolded\r\n";
        queue::DetailedRecipient one;
        one.notify = {mail::Notify::kFailure};
        one.original_recipient = "rfc822;Bob@dst.test";
        one.attempts.push_back({.first = now - hours(1),
                                .last = now - hours(1) + seconds(5),
                                .count = 2,
                                .gap = false,
                                .relay = "mx1.dst.test:25",
                                .reply = {.code = 450, .status = {4, 2, 1}, .text = "Later"}});
        one.attempts.push_back(
            {.first = now, .last = now, .count = 7, .gap = true, .relay = "", .reply = {}});
        one.attempts.push_back({.first = now,
                                .last = now,
                                .count = 1,
                                .gap = false,
                                .relay = "mx2.dst.test:25",
                                .reply = {.code = 0, .status = {}, .text = "timed out"}});
        message.recipients.push_back(one);
    }

    template <typename Options>
    Output run(int (*command)(const Options&, std::FILE*, std::FILE*), Options options) {
        options.server.control = path_;
        if (options.id.empty()) {
            options.id = std::string(mail::view(kId.text()));
        }
        return ControlFixture::run(command, options);
    }

    FakeInspector inspector_;
};

TEST_F(Show, ForPeople) {
    const Output show = run(run_queue_show, QueueShowOptions{});
    EXPECT_EQ(show.code, 0) << show.err;
    EXPECT_THAT(show.out, StartsWith("id       " + std::string(mail::view(kId.text())) + "\n"));
    EXPECT_THAT(show.out, HasSubstr("\nsender   <alice@src.test>\n"));
    EXPECT_THAT(show.out, HasSubstr("\nclient   192.0.2.1 as client.test by ESMTPS\n"));
    EXPECT_THAT(show.out,
                HasSubstr("\noptions  BODY=8BITMIME SIZE=12345 RET=HDRS ENVID=QQ314159\n"));
    EXPECT_THAT(show.out, HasSubstr("    deferred   bob@dst.test  3 attempts, next in 2h00m\n"
                                    "        NOTIFY=FAILURE ORCPT=rfc822;Bob@dst.test\n"));
    EXPECT_THAT(show.out, HasSubstr(", 2 attempts  mx1.dst.test:25  450 4.2.1 Later\n"));
    EXPECT_THAT(show.out, HasSubstr(", 7 attempts, of which nothing else is kept\n"));
    EXPECT_THAT(show.out, HasSubstr("  mx2.dst.test:25  timed out\n"));
    EXPECT_THAT(show.out, HasSubstr("headers\n    Received: by relay.test\n"
                                    "    Subject: \\x1b[2J\n     folded\n"));
}

TEST_F(Show, WhatIsHeldDoesNotExpire) {
    const auto line = [this] {
        const std::string out = run(run_queue_show, QueueShowOptions{}).out;
        const std::size_t begin = out.find("\nexpires  ") + 1;
        return out.substr(begin, out.find('\n', begin) - begin);
    };
    EXPECT_THAT(line(), testing::EndsWith("h)"));
    inspector_.message.listed.recipients[0].status = RecipientStatus::held;
    EXPECT_THAT(line(), testing::EndsWith(", but not while it is held"));
    inspector_.message.expires_at = wall_now() - hours(1);
    EXPECT_THAT(line(), testing::EndsWith(" (over; it is given up once it is released)"));
    inspector_.message.listed.recipients[0].status = RecipientStatus::deferred;
    EXPECT_THAT(line(), testing::EndsWith(" (it is given up at the next occasion)"));
}

TEST_F(Show, AnAttemptUnderWayIsTold) {
    inspector_.message.listed.recipients[0].status = RecipientStatus::held;  // as it will be
    inspector_.message.listed.recipients[0].in_attempt = true;
    EXPECT_THAT(run(run_queue_show, QueueShowOptions{}).out,
                HasSubstr("held       bob@dst.test  3 attempts, the next one is under way\n"));
    const auto json =
        nlohmann::json::parse(run(run_queue_show, QueueShowOptions{.json = true}).out);
    EXPECT_EQ(json["recipients"][0]["in_attempt"], true);
}

TEST_F(Show, AsJson) {
    const Output show = run(run_queue_show, QueueShowOptions{.json = true});
    const auto json = nlohmann::json::parse(show.out);
    EXPECT_EQ(json["sender"], "alice@src.test");
    EXPECT_EQ(json["client_address"], "192.0.2.1");
    EXPECT_EQ(json["ret"], "HDRS");
    EXPECT_EQ(json["headers"], inspector_.message.header);
    EXPECT_EQ(json["headers_cut"], false);
    const auto& recipient = json["recipients"][0];
    EXPECT_EQ(recipient["state"], "deferred");
    EXPECT_EQ(recipient["last_reply"], "451 4.3.0 try again");
    EXPECT_EQ(recipient["notify"], "FAILURE");
    ASSERT_EQ(recipient["history"].size(), 3U);
    EXPECT_EQ(recipient["history"][0]["attempts"], 2);
    EXPECT_EQ(recipient["history"][0]["code"], 450);
    EXPECT_EQ(recipient["history"][0]["status"], "4.2.1");
    EXPECT_EQ(recipient["history"][0]["reply"], "450 4.2.1 Later");
    EXPECT_EQ(recipient["history"][1]["unknown"], true);
    EXPECT_TRUE(recipient["history"][1]["reply"].is_null());
    EXPECT_TRUE(recipient["history"][2]["code"].is_null());
    EXPECT_EQ(recipient["history"][2]["reply"], "timed out");
}

TEST_F(Show, ManyRecipientsAreAllThere) {
    inspector_.message.listed.recipients.assign(1002,
                                                recipient("r@dst.test", RecipientStatus::pending));
    inspector_.message.recipients.clear();
    const Output show = run(run_queue_show, QueueShowOptions{});
    std::size_t lines = 0;
    for (std::size_t at = 0; (at = show.out.find("r@dst.test", at)) != std::string::npos; ++at) {
        ++lines;
    }
    EXPECT_EQ(lines, 1002U);
}

TEST_F(Show, UnreadableHeaders) {
    inspector_.message.header_readable = false;
    EXPECT_THAT(run(run_queue_show, QueueShowOptions{}).out,
                HasSubstr("headers  (they cannot be read from the spool)\n"));
    EXPECT_TRUE(
        nlohmann::json::parse(run(run_queue_show, QueueShowOptions{.json = true}).out)["headers"]
            .is_null());
}

TEST_F(Show, ContentComesByteForByte) {
    std::string whole;
    for (int i = 0; i < 100; ++i) {
        inspector_.parts.push_back(
            std::string(static_cast<std::size_t>(30'000 + i), static_cast<char>(i)) + "\r\n\xff.");
        whole += inspector_.parts.back();
    }
    const Output content = run(run_queue_show, QueueShowOptions{.content = true});
    EXPECT_EQ(content.code, 0) << content.err;
    EXPECT_TRUE(content.out == whole);
}

TEST_F(Show, ContentThatBreaksOffIsNotTakenForWhole) {
    inspector_.parts = {"Subject: x\r\n"};
    inspector_.fails = true;
    const Output content = run(run_queue_show, QueueShowOptions{.content = true});
    EXPECT_EQ(content.code, 1);
    EXPECT_EQ(content.err, "ringpost: the disk\n");
}

TEST_F(Show, WhatIsNotThereIsASentence) {
    for (const bool content : {false, true}) {
        const Output gone =
            run(run_queue_show, QueueShowOptions{.content = content, .id = "0000020000001"});
        EXPECT_EQ(gone.code, 1);
        EXPECT_EQ(gone.out, "");
        EXPECT_THAT(gone.err, StartsWith("ringpost: no message 0000020000001 is in the queue"));
    }
    EXPECT_THAT(run(run_queue_explain, QueueExplainOptions{.id = "0000020000001"}).err,
                StartsWith("ringpost: no message 0000020000001 is in the queue"));
    EXPECT_EQ(
        run(run_queue_show, QueueShowOptions{.id = std::string(mail::view(kStopping.text()))}).err,
        "ringpost: the server is stopping\n");
    EXPECT_THAT(run(run_queue_show, QueueShowOptions{.id = "x"}).err, HasSubstr("not a queue id"));
}

TEST_F(Show, ExplainsForPeopleAndAsJson) {
    const base::WallTime now = wall_now();
    inspector_.explanation = explanation_of(deferred_message(now), now);
    inspector_.explanation.listed.recipients[0].reply.text = "evil \x1b[2J";
    const Output people = run(run_queue_explain, QueueExplainOptions{});
    EXPECT_EQ(people.code, 0) << people.err;
    EXPECT_THAT(people.out, StartsWith("<bob@dst.test> waits for the 4th attempt, at "));
    EXPECT_THAT(people.out, HasSubstr("evil \\x1b[2J\nIt is given up at "));
    const auto json =
        nlohmann::json::parse(run(run_queue_explain, QueueExplainOptions{.json = true}).out);
    EXPECT_EQ(json["id"], mail::view(kId.text()));
    EXPECT_EQ(json["situations"][0]["situation"], "time");
}

}  // namespace
}  // namespace app
