// What happens while a checkpoint is written, or takes several records: a start finds all of it, or
// nothing.
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "unit/store/store_fixture.h"

namespace crash {
namespace {

using Counters = store::StoreCounters;
using std::chrono::milliseconds;
using std::chrono::seconds;

rt::Task<void> verify(StoreProgram& program) {
    co_await program.verify();
}

// The header of the batch that the operation writes.
store::format::BatchHeader header_of(const io::Op& op) {
    store::format::BatchHeader header;
    std::memcpy(&header, static_cast<const iovec*>(op.parameters().memory)->iov_base,
                sizeof header);
    return header;
}

// --- mail that is moved into a new segment while a checkpoint begins behind that ---

bool waits_for_move = false;

rt::Task<void> move_slowly(StoreProgram& program) {
    co_await program.pause(seconds(1));
    for (int i = 0; i < 4; ++i) {
        co_await put_one(program, 4'000);
    }
    const mail::QueueId moves = program.oracle().alive().front();
    const std::uint64_t source = program.store().find(moves)->location().segment();
    waits_for_move = true;
    while (program.store().counters().cleanings_begun == 0) {
        co_await put_and_finish(program);
    }
    for (int i = 0; i < 1000 && waits_for_move; ++i) {
        co_await program.pause(milliseconds(1));
    }
    EXPECT_FALSE(waits_for_move);
    const Counters begun = program.store().counters();
    for (int i = 0; i < 2; ++i) {
        co_await fill_segment(program);
    }
    while (program.store().counters().checkpoints == begun.checkpoints) {
        co_await put_and_finish(program);
    }
    EXPECT_EQ(program.store().counters().cleaner_batches, begun.cleaner_batches);
    const std::uint64_t checkpoints = program.store().counters().checkpoints;
    for (int turn = 0;
         turn < 1'000'000 && program.store().find(moves)->location().segment() == source; ++turn) {
        co_await rt::NextTurn();
    }
    EXPECT_EQ(program.store().counters().messages_moved, 4U);
    EXPECT_EQ(program.store().counters().checkpoints, checkpoints);
    program.kill();
}

class MoveTogetherTest : public StoreFixture {
  protected:
    MoveTogetherTest() {
        options_.store.segment_bytes = 64U << 10U;
        options_.store.checkpoint_bytes = 512U << 10U;
        options_.store.cache_bytes_max = 0;
        options_.store.outcome_delay = {};
        options_.store.cleaner_bytes_per_s = 1ULL << 40U;
    }
};

TEST_F(MoveTogetherTest, WhatComesIntoASegmentBehindACheckpointThatListsItStays) {
    run(put_and_finish);
    waits_for_move = false;
    world().host().on_start = [&](const io::Op& op) {
        if (waits_for_move && op.code() == io::OpCode::write_vector &&
            (header_of(op).flags & store::format::BatchHeader::kMoved) != 0) {
            waits_for_move = false;
            world().host().inject({.code = io::OpCode::write_vector, .delay = seconds(2)});
        }
    };
    run_until_killed(move_slowly);
    run(verify);
}

// --- what rules did ---

class RulesTogetherTest : public StoreFixture {
  protected:
    RulesTogetherTest() {
        options_.store.segment_bytes = 1U << 20U;
        options_.store.checkpoint_bytes = 128U << 10U;
        options_.store.cache_bytes_max = 0;
        options_.store.outcome_delay = milliseconds(50);
        options_.store.cleaner_bytes_per_s = 0;
    }
};

store::Rule rule_of(std::uint32_t number, store::RuleAction action) {
    store::Rule rule;
    rule.number = number;
    rule.action = action;
    return rule;
}

// An outcome is durable behind the checkpoint's position; then a rule deletes the message, and that
// is not durable yet when the checkpoint takes it.
rt::Task<void> delete_while_a_checkpoint_is_written(StoreProgram& program) {
    const mail::QueueId id = co_await put_one(program, 1'000);
    while (program.store().counters().checkpoints_begun == 0) {
        co_await put_one(program, 10'000);
    }
    const base::MonoTime begun = program.shard().now();  // to open its file takes 400 ms
    program.record(id, 0, store::RecipientStatus::deferred);
    co_await program.pause(milliseconds(100));
    EXPECT_FALSE(program.store().find(id)->recipients()[0].outcome.nowhere());
    const store::Rule rule = rule_of(1, store::RuleAction::erase);
    program.store().add_rules(std::span(&rule, 1));
    co_await program.pause(milliseconds(100));
    EXPECT_TRUE(program.store().rule_durable(1));
    co_await program.pause(milliseconds(380) - (program.shard().now() - begun));
    const store::RecipientChange change{0, store::RecipientStatus::deleted, 0};
    program.store().record_changes(*program.store().find(id), std::span(&change, 1), 1);
    EXPECT_EQ(program.store().counters().checkpoints, 0U);
    for (int turn = 0; turn < 100'000 && program.store().counters().checkpoints == 0; ++turn) {
        co_await rt::NextTurn();
    }
    EXPECT_EQ(program.store().counters().checkpoints, 1U);
    program.kill();
}

rt::Task<void> expect_deleted(StoreProgram& program) {
    const store::Message& message = *program.store().find(program.oracle().alive().front());
    EXPECT_EQ(message.recipients()[0].status, store::RecipientStatus::deleted);
    EXPECT_EQ(message.rules_met, 1U);
    co_return;
}

TEST_F(RulesTogetherTest, ACheckpointHasNothingThatTheLogHasNot) {
    bool first = true;
    world().host().on_start = [&](const io::Op& op) {
        if (first && op.code() == io::OpCode::open &&
            std::string_view(static_cast<const char*>(op.parameters().memory)) ==
                "checkpoint.tmp") {
            first = false;
            world().host().inject({.code = io::OpCode::open, .delay = milliseconds(400)});
        }
    };
    run_until_killed(delete_while_a_checkpoint_is_written);
    EXPECT_EQ(world().run_once(expect_deleted), "");  // what rules do is not known to the oracle
}

constexpr std::uint32_t kMany = 300;

// The first rule deletes what is held, the second holds all: who is held by that must not meet the
// first one again.
rt::Task<void> hold_many(StoreProgram& program) {
    Letter letter = letter_of(1, 1'000);
    letter.recipients.assign(kMany, "r@dst.test");
    co_await program.put(letter, 1'000);
    const mail::QueueId many = program.oracle().alive().back();
    const mail::QueueId one = co_await put_one(program, 1'000);
    std::vector<store::Rule> rules{rule_of(1, store::RuleAction::erase),
                                   rule_of(2, store::RuleAction::hold)};
    rules[0].statuses = 1U << static_cast<unsigned>(store::RecipientStatus::held);
    program.store().add_rules(rules);
    co_await program.pause(milliseconds(200));
    EXPECT_TRUE(program.store().rule_durable(2));
    // As many as a batch holds but one, so that the next message's are in two batches.
    const store::RecipientChange change{0, store::RecipientStatus::held, 0};
    for (int i = 0; i < 2046; ++i) {
        program.store().record_changes(*program.store().find(one), std::span(&change, 1), 2);
    }
    std::vector<store::RecipientChange> all;
    for (std::uint32_t i = 0; i < kMany; ++i) {
        all.push_back({i, store::RecipientStatus::held, 0});
    }
    program.store().record_changes(*program.store().find(many), all, 2);
    co_await program.pause(milliseconds(500));
}

std::uint64_t count_held(const store::Message& message) {
    return static_cast<std::uint64_t>(std::ranges::count(
        message.recipients(), store::RecipientStatus::held, &store::RecipientState::status));
}

rt::Task<void> expect_all_or_none_held(StoreProgram& program) {
    const store::Message& message = *program.store().find(program.oracle().alive().front());
    EXPECT_EQ(message.recipients().size(), kMany);
    EXPECT_EQ(count_held(message), message.rules_met == 2 ? kMany : 0U);
    // Others come later, and must not find what was left of the first.
    std::vector<store::RecipientChange> one{{0, store::RecipientStatus::held, 0}};
    program.store().record_changes(*program.store().find(message.id()), one, 2);
    co_await program.pause(milliseconds(500));
}

rt::Task<void> expect_one_held(StoreProgram& program) {
    const store::Message& message = *program.store().find(program.oracle().alive().front());
    EXPECT_EQ(count_held(message), 1U);
    co_return;
}

TEST_F(RulesTogetherTest, WhatTakesTwoRecordsIsNotHalfThere) {
    options_.store.checkpoint_bytes = 0;
    bool cut = false;
    world().host().on_start = [&](const io::Op& op) {
        // The first write that has the rest of them, behind the one that was full.
        static bool full = false;
        if (op.code() != io::OpCode::write_vector || cut) {
            return;
        }
        cut = full;
        full = header_of(op).record_count > 2000;
        if (cut) {
            world().host().inject({.code = io::OpCode::write_vector, .delay = milliseconds(900)});
            world().world().after(milliseconds(1), "cut", [&] { world().host().crash(9); });
        }
    };
    run_until_killed(hold_many);
    EXPECT_TRUE(cut);
    EXPECT_EQ(world().run_once(expect_all_or_none_held), "");
    EXPECT_EQ(world().run_once(expect_one_held), "");
}

}  // namespace
}  // namespace crash
