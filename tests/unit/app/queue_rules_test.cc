// The commands over the queue and its counts, with a queue of the test's own behind the server.
#include "app/queue_rules.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "app/queue_command.h"
#include "app/queue_control.h"
#include "unit/app/control_fixture.h"

namespace app {
namespace {

using testing::HasSubstr;

class FakeView final : public QueueView {
  public:
    std::vector<QueueMessage> messages;

    base::Result<QueuePage> page(QueueCursor, const store::Rule& filter,
                                 const QueuePageWish& wish) override {
        QueuePage page;
        for (const QueueMessage& message : messages) {
            const bool meant = filter.only == mail::QueueId() || filter.only == message.id;
            if (meant && page.messages.size() < wish.messages_max) {
                page.messages.push_back(message);
            }
        }
        return page;
    }
};

// Carries out nothing but what a test says.
class FakeOperator final : public QueueOperator {
  public:
    std::vector<store::Rule> rules;
    std::uint64_t touched = 1;
    FakeView* emptied = nullptr;  // by the next rule: what it meant has just left

    base::Result<GivenRules> give(const store::Rule& rule,
                                  std::span<const mail::QueueId>) override {
        rules.push_back(rule);
        if (emptied != nullptr) {
            emptied->messages.clear();
        }
        return GivenRules{.first = 1, .open = {}};
    }
    base::Result<queue::RuleProgress> progress(GivenRules&) override {
        queue::RuleProgress progress;
        progress.messages = progress.recipients = touched;
        progress.done = true;
        return progress;
    }
    base::Result<QueueTotals> totals() override { return QueueTotals(); }
};

QueueMessage message(std::uint64_t sequence, const std::vector<std::string>& to) {
    QueueMessage message{.id = mail::QueueId(0, 1, sequence),
                         .arrival = {},
                         .size_bytes = 1000,
                         .sender = "alice@src.test",
                         .recipients = {}};
    for (const std::string& address : to) {
        message.recipients.push_back({.address = address, .last_reply = ""});
    }
    return message;
}

std::string id_of(std::uint64_t sequence) {
    return std::string(mail::view(mail::QueueId(0, 1, sequence).text()));
}

class QueueRules : public ControlFixture {
  protected:
    QueueRules() {
        ControlCommands commands;
        add_queue_commands(commands, view_);
        add_operator_commands(commands, operator_, view_);
        serve(std::move(commands));
        view_.messages = {message(1, {"b@x.test"}), message(2, {"b@x.test"}),
                          message(3, {"b@x.test"})};
    }
    Output command(const QueueFilterOptions& filter) {
        return run(
            run_queue_rule,
            QueueRuleOptions{.server = {.control = path_}, .action = "delete", .filter = filter});
    }

    FakeView view_;
    FakeOperator operator_;
};

TEST_F(QueueRules, AnIdThatIsNotQueuedIsNoSuccess) {
    const Output wrong = command({.ids = {id_of(7), id_of(8)}});
    EXPECT_EQ(wrong.code, 1);
    EXPECT_EQ(wrong.out, "");
    EXPECT_THAT(wrong.err, HasSubstr("no message " + id_of(7) + " is in the queue"));
    EXPECT_TRUE(operator_.rules.empty());
    const Output partly = command({.ids = {id_of(7), id_of(2)}});
    EXPECT_EQ(partly.code, 0);
    EXPECT_THAT(partly.err, HasSubstr("no message " + id_of(7) + " is in the queue"));
    EXPECT_THAT(partly.err, Not(HasSubstr(id_of(2))));
    EXPECT_EQ(command({.all = true}).code, 0);
    EXPECT_EQ(operator_.rules.size(), 2U);
}

TEST_F(QueueRules, WhatLeavesBeforeTheCommandIsNoSuccess) {
    operator_.touched = 0;
    EXPECT_EQ(command({.ids = {id_of(1)}}).code, 0);  // it is there, and stayed as it was
    operator_.emptied = &view_;
    const Output late = command({.ids = {id_of(1)}});
    EXPECT_EQ(late.code, 1);
    EXPECT_THAT(late.err, HasSubstr("no message " + id_of(1) + " is in the queue"));
}

TEST_F(QueueRules, AListOfIdsThatAreNotQueuedIsNoSuccess) {
    const auto list = [this](std::vector<std::string> ids) {
        return run(run_queue_list, QueueListOptions{.server = {.control = path_},
                                                    .json = true,
                                                    .filter = {.ids = std::move(ids)}});
    };
    const Output wrong = list({id_of(7)});
    EXPECT_EQ(wrong.code, 1);
    EXPECT_THAT(wrong.err, HasSubstr("no message " + id_of(7) + " is in the queue"));
    const Output partly = list({id_of(7), id_of(2)});
    EXPECT_EQ(partly.code, 0);
    EXPECT_EQ(std::ranges::count(partly.out, '\n'), 1);
}

TEST_F(QueueRules, WhoMeansNothingIsToldHowToMeanSome) {
    const Output none = command({});
    EXPECT_EQ(none.code, 2);
    EXPECT_THAT(none.err, HasSubstr("which messages?"));
    EXPECT_EQ(command({.domain = "x.test", .all = true}).code, 2);
    EXPECT_TRUE(operator_.rules.empty());
}

TEST_F(QueueRules, TheLimitIsOfAllIdsTogether) {
    const Output list =
        run(run_queue_list, QueueListOptions{.server = {.control = path_},
                                             .json = true,
                                             .limit = 2,
                                             .filter = {.ids = {id_of(3), id_of(1), id_of(2)}}});
    EXPECT_EQ(list.code, 0) << list.err;
    EXPECT_EQ(std::ranges::count(list.out, '\n'), 2);
}

// Its recipients' domains take turns, and each group counts the message once.
TEST_F(QueueRules, AMessageCountsOnceInEachGroup) {
    std::vector<std::string> to;
    for (int i = 0; i < 30; ++i) {
        to.push_back("r" + std::to_string(i) + "@d" + std::to_string(i % 3) + ".test");
    }
    view_.messages = {message(1, to), message(2, {"r@d1.test"})};
    view_.messages[1].recipients[0].state = RecipientState::held;
    const Output stats =
        run(run_queue_stats,
            QueueStatsOptions{.server = {.control = path_}, .json = true, .by = "domain"});
    EXPECT_EQ(stats.code, 0) << stats.err;
    const auto first = nlohmann::json::parse(stats.out.substr(0, stats.out.find('\n')));
    EXPECT_EQ(first["domain"], "d1.test");
    EXPECT_EQ(first["messages"], 2);
    EXPECT_EQ(first["recipients"], 11);
    EXPECT_EQ(first["pending"], 10);
    EXPECT_EQ(first["held"], 1);
    EXPECT_EQ(first["size_bytes"], 2000);
    EXPECT_EQ(std::ranges::count(stats.out, '\n'), 3);
}

TEST_F(QueueRules, GroupsAreWhatFiltersMean) {
    view_.messages = {message(1, {"r@D.test"}), message(2, {"r@d.TEST", "postmaster"}),
                      message(3, {""})};
    view_.messages[2].readable = false;
    const Output stats =
        run(run_queue_stats,
            QueueStatsOptions{.server = {.control = path_}, .json = true, .by = "domain"});
    EXPECT_EQ(stats.code, 0) << stats.err;
    EXPECT_EQ(std::ranges::count(stats.out, '\n'), 3);
    for (const char* key : {"\"d.test\"", "\"(none)\"", "\"(unreadable)\""}) {
        EXPECT_THAT(stats.out, HasSubstr(key));
    }
}

}  // namespace
}  // namespace app
