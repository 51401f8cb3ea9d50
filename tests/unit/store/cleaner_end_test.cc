// Messages that end while the cleaner moves them, or soon after: what the next starts make of it.
#include <gtest/gtest.h>

#include "unit/store/store_fixture.h"

namespace crash {
namespace {

class CleanerEndTest : public StoreFixture {
  protected:
    CleanerEndTest() {
        options_.store.segment_bytes = 64U << 10U;
        options_.store.checkpoint_bytes = 64U << 20U;  // none but those that the cleaner wants
        options_.store.cache_bytes_max = 0;
        options_.store.outcome_delay = {};
        options_.store.cleaner_bytes_per_s = 1ULL << 40U;  // it waits for nothing
    }
};

using Counters = store::StoreCounters;

// Turn by turn, so that what follows comes at once.
rt::Task<void> wait_until_above(StoreProgram& program, std::uint64_t Counters::* count,
                                std::uint64_t value) {
    for (int turn = 0; turn < 10'000 && program.store().counters().*count <= value; ++turn) {
        co_await rt::NextTurn();
    }
    EXPECT_GT(program.store().counters().*count, value);
}

rt::Task<void> wait_until_gone(StoreProgram& program, std::uint64_t segment) {
    const std::string path = "/spool/p000/" + store::format::segment_name(segment);
    for (int turn = 0; turn < 10'000 && program.disk().content_of(path).has_value(); ++turn) {
        co_await rt::NextTurn();
    }
    EXPECT_FALSE(program.disk().content_of(path).has_value());
}

// One message is alone in its segment, the oldest that is alive, and the four behind that hold
// nothing. What was older kept the cleaner away until then; its files are held, so that those four
// are the first that the pool removes.
rt::Task<void> finish_what_moves(StoreProgram& program) {
    co_await program.pause(std::chrono::seconds(1));
    const mail::QueueId older = co_await put_one(program, 800'000);
    co_await fill_segment(program);
    const mail::QueueId moves = co_await put_one(program, 24'000);
    const std::uint64_t source = program.store().find(moves)->location().segment();
    for (int i = 0; i < 4; ++i) {
        co_await fill_segment(program);
    }
    const mail::QueueId last = co_await put_one(program, 1'000);
    const base::Result<store::ReaderHandle> reader = co_await program.store().open_source(older);
    EXPECT_TRUE(reader.has_value());
    co_await program.pause(std::chrono::seconds(1));
    const Counters before = program.store().counters();
    co_await program.finish(older);
    // The first of its two pieces is copied; its end is durable before the word of its move.
    co_await wait_until_above(program, &Counters::cleaner_batches, before.cleaner_batches);
    co_await program.finish(moves);
    EXPECT_EQ(program.store().counters().batches, before.batches + 2);
    co_await wait_until_above(program, &Counters::cleanings_ended, before.cleanings_ended);
    EXPECT_EQ(program.store().counters().batches, before.batches + 3);
    EXPECT_EQ(program.store().counters().messages_moved, before.messages_moved + 1);
    // This batch must not say that the source is alive: the segment behind it goes now.
    co_await program.finish(last);
    co_await wait_until_gone(program, source + 1);
    co_await wait_until_above(program, &Counters::checkpoints, before.checkpoints);
    EXPECT_EQ(program.store().counters().checkpoints, before.checkpoints + 1);
    program.kill();
}

// The older checkpoint is from before all that: the log is read from where its last batch says.
TEST_F(CleanerEndTest, WhatEndsWhileItIsMovedKeepsNoSegmentThatTheLogGaveUp) {
    run(put_and_finish);
    run_until_killed(finish_what_moves);
    ASSERT_EQ(checkpoints().size(), 2U);
    remove(checkpoints().back());
    EXPECT_EQ(world().run_once(nothing), "");
    EXPECT_EQ(faults(), "");
}

// Four messages are moved into a segment that is newer than the log's end; then a checkpoint
// begins, and behind that the first of them ends, still in the older segment.
rt::Task<void> finish_what_was_moved(StoreProgram& program) {
    co_await program.pause(std::chrono::seconds(1));
    for (int i = 0; i < 4; ++i) {
        co_await put_one(program, 4'000);
    }
    const mail::QueueId moved = program.oracle().alive().front();
    co_await fill_segment(program);
    const Counters before = program.store().counters();
    co_await wait_until_above(program, &Counters::cleanings_ended, before.cleanings_ended);
    EXPECT_EQ(program.store().counters().messages_moved, 4U);
    const std::uint64_t begun = program.store().counters().checkpoints_begun;
    co_await wait_until_above(program, &Counters::checkpoints_ended, begun);
    co_await program.finish(moved);
    EXPECT_EQ(program.store().counters().rotations, before.rotations);
    program.kill();
}

// One checkpoint more, so that the last one is the older now; and of two batches the second says
// which segment is the oldest that is alive. The first of the three still is where it was moved.
rt::Task<void> finish_two_behind_a_checkpoint(StoreProgram& program) {
    const std::vector<mail::QueueId> moved = program.oracle().alive();
    co_await wait_until_above(program, &Counters::checkpoints, 0);
    co_await program.finish(moved.at(1));
    co_await program.finish(moved.at(2));
    EXPECT_EQ(program.store().counters().checkpoints, 1U);
    program.kill();
}

rt::Task<void> verify_all(StoreProgram& program) {
    co_await program.verify();
}

TEST_F(CleanerEndTest, WhatWasMovedAndHasEndedStaysAwayWithoutTheNewestCheckpoint) {
    run(put_and_finish);
    run_until_killed(finish_what_was_moved);
    world().options().store.cleaner_bytes_per_s = 0;
    run_until_killed(finish_two_behind_a_checkpoint);
    ASSERT_EQ(checkpoints().size(), 2U);
    remove(checkpoints().back());
    EXPECT_EQ(world().run_once(verify_all), "");
    EXPECT_EQ(faults(), "");
}

// A message has its first piece in one segment, and the rest in the next one: there is the word of
// its move, too, and there the log behind the next checkpoint begins. So the log's last batch says
// that the first of the two segments is dead.
rt::Task<void> move_before_a_checkpoint(StoreProgram& program) {
    co_await program.pause(std::chrono::seconds(1));
    const mail::QueueId older = co_await put_one(program, 800'000);
    for (int i = 0; i < 5; ++i) {
        co_await fill_segment(program);
    }
    const std::uint64_t number = program.oracle().acknowledged_count() + 1;
    co_await program.put(letter_of(number, 28'000), 8'000);
    const mail::QueueId moves = program.oracle().alive().back();
    const std::uint64_t second = program.store().find(moves)->location().segment();
    const base::Result<store::ReaderHandle> reader = co_await program.store().open_source(older);
    EXPECT_TRUE(reader.has_value());
    co_await program.pause(std::chrono::seconds(1));
    const Counters before = program.store().counters();
    co_await program.finish(older);
    co_await wait_until_above(program, &Counters::cleanings_ended, before.cleanings_ended);
    EXPECT_EQ(program.store().counters().messages_moved, before.messages_moved + 1);
    co_await wait_until_above(program, &Counters::checkpoints, before.checkpoints);
    const mail::QueueId last = co_await put_one(program, 1'000);
    co_await program.finish(last);
    EXPECT_EQ(program.store().counters().rotations, before.rotations);
    EXPECT_GT(program.store().find(moves)->location().segment(), second);
    program.kill();
}

// A batch says which segment is the oldest that is alive.
rt::Task<void> say_what_is_alive(StoreProgram& program) {
    co_await put_and_finish(program);
    EXPECT_EQ(program.store().counters().checkpoints, 0U);
    program.kill();
}

// A start from that checkpoint does not read that word; the one before needs it.
TEST_F(CleanerEndTest, AStartKeepsTheWordOfMovesForTheOlderCheckpoint) {
    run(put_and_finish);
    run_until_killed(move_before_a_checkpoint);
    world().options().store.checkpoint_bytes = 0;
    run_until_killed(say_what_is_alive);
    ASSERT_EQ(checkpoints().size(), 2U);
    remove(checkpoints().back());
    EXPECT_EQ(world().run_once(verify_all), "");
    EXPECT_EQ(faults(), "");
}

}  // namespace
}  // namespace crash
