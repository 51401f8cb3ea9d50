// The store at work, over the simulator: what goes in comes out, batches, rotation, a full disk.
#include <gtest/gtest.h>

#include "unit/store/store_fixture.h"

namespace crash {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using StoreTest = StoreFixture;

rt::Task<void> sizes(StoreProgram& program) {
    std::uint64_t number = 0;
    for (const std::size_t edge : {0U, 1U, 4096U, 8192U, 16384U, 32768U, 65536U, 131072U}) {
        for (std::size_t off = 0; off <= 6; ++off) {
            if (edge + off >= 3) {
                co_await program.put(letter_of(++number, edge + off - 3), 3000 + off * 1000);
            }
        }
    }
    co_await program.verify();
}

TEST_F(StoreTest, EverySizeComesBackFromTheCacheAndFromTheDisk) {
    options_.store.cache_bytes_max = 8U << 20U;
    run(sizes);
    EXPECT_GT(world().oracle().acknowledged_count(), 40U);
    run(nothing);  // verifies what came back, and nothing is cached then
}

TEST_F(StoreTest, WithoutACacheEverythingIsReadFromTheDisk) {
    options_.store.cache_bytes_max = 0;
    run(sizes);
}

TEST_F(StoreTest, BufferedWritesKeepTheSame) {
    options_.store.direct_io = false;
    run(sizes);
    run(nothing);
}

rt::Task<void> large(StoreProgram& program) {
    co_await program.put(letter_of(1, 3'000'000), 65536);
    program.scope().spawn(program.put(letter_of(2, 1'000'000), 4096));
    program.scope().spawn(program.put(letter_of(3, 1'000'000), 100'000));
    co_await program.scope().join();
    co_await program.verify();
}

TEST_F(StoreTest, LargeMessagesStreamThroughLittleMemory) {
    options_.store.chunk_bytes_max = 256U << 10U;
    options_.store.cache_bytes_max = 64U << 10U;
    run(large);
    EXPECT_EQ(world().oracle().acknowledged_count(), 3U);
    run(nothing);
}

rt::Task<void> many_at_once(StoreProgram& program) {
    for (std::uint64_t i = 1; i <= 50; ++i) {
        program.scope().spawn(program.put(letter_of(i, 500), 100));
    }
    co_await program.scope().join();
    // One batch began the epoch. Chance decides how many the messages shared.
    EXPECT_LT(program.store().counters().batches, 10U);
    EXPECT_EQ(program.store().counters().commits, 50U);
}

TEST_F(StoreTest, SessionsThatCommitTogetherShareBatches) {
    run(many_at_once);
    run(nothing);
}

rt::Task<void> serial(StoreProgram& program) {
    for (std::uint64_t i = 1; i <= 20; ++i) {
        const base::MonoTime before = program.shard().now();
        co_await program.put(letter_of(i, 500), 500);
        // No wait for siblings: nothing but the disk's own time and a few turns.
        EXPECT_LT(program.shard().now() - before, milliseconds(1));
    }
}

TEST_F(StoreTest, ALoneClientIsNotMadeToWaitForOthers) {
    options_.sim.disk_latency = {std::chrono::microseconds(20), std::chrono::microseconds(60)};
    run(serial);
}

// What waits when a batch of several is durable gathers for a quarter of the time that one took,
// and so has company that comes back a little later. Behind a batch of one it does not.
rt::Task<void> gathering(StoreProgram& program, std::uint64_t together) {
    rt::Scope first(program.shard(), "first");
    for (std::uint64_t i = 1; i <= together; ++i) {
        first.spawn(program.put(letter_of(i, 500), 500));
    }
    co_await program.pause(seconds(2));  // the write is on its way: it takes four
    program.scope().spawn(program.put(letter_of(10, 500), 500));
    co_await first.join();
    const std::uint64_t batches = program.store().counters().batches;
    EXPECT_EQ(program.store().counters().commits, together);
    co_await program.pause(milliseconds(500));
    program.scope().spawn(program.put(letter_of(11, 500), 500));
    co_await program.scope().join();
    EXPECT_EQ(program.store().counters().commits, together + 2);
    EXPECT_EQ(program.store().counters().batches, batches + (together > 1 ? 1 : 2));
}

TEST_F(StoreTest, BehindABatchOfSeveralTheNextOneGathersForAQuarterOfItsTime) {
    options_.sim.disk_latency = {seconds(4), seconds(4)};
    options_.store.commit_delay = seconds(1);
    run([](StoreProgram& program) { return gathering(program, 2); });
    run([](StoreProgram& program) { return gathering(program, 1); });
}

rt::Task<void> outcome_alone(StoreProgram& program) {
    co_await program.put(letter_of(1, 500), 500);
    const base::MonoTime before = program.shard().now();
    co_await program.record_and_wait(program.oracle().alive().front(), 0,
                                     store::RecipientStatus::deferred);
    EXPECT_GE(program.shard().now() - before, milliseconds(10));
    EXPECT_LT(program.shard().now() - before, milliseconds(20));
}

TEST_F(StoreTest, OutcomesStartABatchOfTheirOwnAfterAWhile) {
    run(outcome_alone);
}

rt::Task<void> long_life(StoreProgram& program) {
    for (std::uint64_t i = 1; i <= 60; ++i) {
        co_await program.put(letter_of(i, 20'000), 20'000);
        co_await program.finish_all();
    }
    const store::StoreCounters counters = program.store().counters();
    EXPECT_GT(counters.rotations, 20U);
    EXPECT_GT(counters.segments_recycled, 15U);
    EXPECT_LT(counters.segments_created, 11U);  // three of them the small reserve
}

TEST_F(StoreTest, SegmentsAreRecycledWhenAllInThemIsDead) {
    run(long_life);
    EXPECT_LT(segments().size(), 11U);
    run(nothing);
}

rt::Task<void> one_stays(StoreProgram& program) {
    co_await program.put(letter_of(1, 1'000), 1'000);
    const mail::QueueId first = program.oracle().alive().front();
    for (std::uint64_t i = 2; i <= 30; ++i) {
        co_await program.put(letter_of(i, 20'000), 20'000);
        const std::vector<mail::QueueId> alive = program.oracle().alive();
        for (const mail::QueueId message : alive) {
            if (message != first) {
                co_await program.finish(message);
            }
        }
    }
}

TEST_F(StoreTest, AMessageThatStaysHoldsWhatCameAfterIt) {
    run(one_stays);
    EXPECT_GT(segments().size(), 8U);
    run(nothing);
    EXPECT_EQ(world().oracle().alive().size(), 1U);
}

rt::Task<void> reads_while_finished(StoreProgram& program) {
    co_await program.put(letter_of(1, 40'000), 40'000);
    const mail::QueueId message = program.oracle().alive().front();
    base::Result<store::ReaderHandle> reader = co_await program.store().open_source(message);
    EXPECT_TRUE(reader.has_value());
    co_await program.finish(message);
    for (std::uint64_t i = 2; i <= 20; ++i) {
        co_await program.put(letter_of(i, 30'000), 30'000);
        co_await program.finish_all();
    }
    std::string content;
    rt::Wakeup wakeup;
    while (true) {
        std::string_view span;
        const mail::SourceState state = (*reader)->next(span, wakeup);
        if (state == mail::SourceState::wait) {
            co_await wakeup.woken("read");
            continue;
        }
        if (state != mail::SourceState::ready) {
            EXPECT_EQ(state, mail::SourceState::end);
            break;
        }
        content += span;
    }
    EXPECT_EQ(content, content_of(1, 40'000));
}

TEST_F(StoreTest, AReaderKeepsItsBytesWhateverHappensToTheMessage) {
    options_.store.cache_bytes_max = 0;
    run(reads_while_finished);
}

rt::Task<void> lets_a_reader_go(StoreProgram& program) {
    co_await program.put(letter_of(1, 40'000), 40'000);
    base::Result<store::ReaderHandle> reader =
        co_await program.store().open_source(program.oracle().alive().front());
    rt::Wakeup wakeup;
    std::string_view span;
    EXPECT_EQ((*reader)->next(span, wakeup), mail::SourceState::wait);
    reader->reset();  // the read is still under way
    co_await program.verify();
}

TEST_F(StoreTest, AReaderMayGoWhileItsReadIsUnderWay) {
    options_.store.cache_bytes_max = 0;
    run(lets_a_reader_go);
}

rt::Task<void> fills_the_disk(StoreProgram& program) {
    std::uint64_t number = 0;
    while (program.refusals() == 0 && number < 1000) {
        if (program.store().admits(20'000) != mail::SinkState::ready) {
            break;
        }
        co_await program.put(letter_of(++number, 20'000), 20'000);
    }
    EXPECT_LT(number, 1000U);
    EXPECT_EQ(program.store().admits(20'000), mail::SinkState::storage_full);
    // What is queued goes on, and its outcomes have room.
    co_await program.verify();
    const std::vector<mail::QueueId> alive = program.oracle().alive();
    for (const mail::QueueId message : alive) {
        program.record(message, 0, store::RecipientStatus::deferred);
    }
    co_await program.record_and_wait(alive.front(), 0, store::RecipientStatus::deferred);
    program.disk().set_capacity_bytes(std::uint64_t{1} << 40U);
    co_await program.pause(seconds(3));
    EXPECT_EQ(program.store().admits(20'000), mail::SinkState::ready);
    const std::size_t before = program.oracle().acknowledged_count();
    co_await program.put(letter_of(++number, 20'000), 20'000);
    EXPECT_EQ(program.oracle().acknowledged_count(), before + 1);
}

TEST_F(StoreTest, AFullDiskRefusesMailAndNothingElse) {
    options_.sim.disk.capacity_bytes = 600U << 10U;
    run(fills_the_disk);
    EXPECT_TRUE(logged("no new mail is taken"));
    run(nothing);
}

rt::Task<void> drains_a_full_disk(StoreProgram& program) {
    std::uint64_t number = 0;
    while (program.store().admits(20'000) == mail::SinkState::ready && number < 1000) {
        co_await program.put(letter_of(++number, 20'000), 20'000);
    }
    co_await program.finish_all();
    co_await program.pause(seconds(3));
    EXPECT_EQ(program.store().admits(20'000), mail::SinkState::ready);
    const std::size_t before = program.oracle().acknowledged_count();
    co_await program.put(letter_of(++number, 20'000), 20'000);
    EXPECT_EQ(program.oracle().acknowledged_count(), before + 1);
}

TEST_F(StoreTest, AFullDiskDrainsByDeliveryAlone) {
    options_.sim.disk.capacity_bytes = 600U << 10U;
    run(drains_a_full_disk);
    run(nothing);
}

rt::Task<void> outcomes_all_along(StoreProgram& program, std::size_t until) {
    const mail::QueueId message = program.oracle().alive().front();
    for (int i = 0; i < 3000 && program.oracle().acknowledged_count() < until; ++i) {
        for (int j = 0; j < 20; ++j) {
            program.record(message, 0, store::RecipientStatus::deferred);
        }
        co_await program.pause(std::chrono::microseconds(50));
    }
    EXPECT_GE(program.oracle().acknowledged_count(), until);
}

rt::Task<void> wide_among_outcomes(StoreProgram& program) {
    co_await program.put(letter_of(1, 100), 100);
    Letter wide = letter_of(2, 100);
    for (int i = 0; i < 1000; ++i) {
        wide.recipients.push_back("recipient" + std::to_string(i) + "@dst.test");
    }
    program.scope().spawn(outcomes_all_along(program, 3));
    program.scope().spawn(program.put(wide, 100));
    program.scope().spawn(program.put(letter_of(3, 100), 100));
    co_await program.scope().join();
}

TEST_F(StoreTest, ACommitLargerThanABatchIsNotKeptWaitingByOutcomes) {
    options_.store.batch_bytes_max = 16U << 10U;
    run(wide_among_outcomes);
}

rt::Task<void> too_large(StoreProgram& program) {
    Letter big = letter_of(1, 100);
    for (int i = 0; i < 5000; ++i) {
        big.recipients.push_back("recipient" + std::to_string(i) + "@dst.test");
    }
    const std::uint64_t before = program.refusals();
    co_await program.put(big, 100);
    EXPECT_EQ(program.refusals(), before + 1);
    co_await program.put(letter_of(2, 100), 100);
    EXPECT_EQ(program.oracle().acknowledged_count(), 1U);
}

TEST_F(StoreTest, ACommitThatNoSegmentHoldsIsRefused) {
    run(too_large);  // segments of 64 KiB
    run(nothing);
}

rt::Task<void> limited(StoreProgram& program) {
    std::vector<mail::IncomingMessageHandle> messages;
    for (int i = 0; i < 3; ++i) {
        messages.push_back(program.store().begin(mail::Origin()));
        EXPECT_NE(messages.back(), nullptr);
    }
    EXPECT_EQ(program.store().begin(mail::Origin()), nullptr);
    messages.pop_back();
    messages.push_back(program.store().begin(mail::Origin()));
    EXPECT_NE(messages.back(), nullptr);
    co_return;
}

TEST_F(StoreTest, TransactionsHaveALimit) {
    options_.store.transactions_max = 3;
    run(limited);
}

rt::Task<void> second_store(StoreProgram& program) {
    co_await program.put(letter_of(1, 1000), 1000);
    const std::string refusal = co_await program.open_again();
    EXPECT_NE(refusal.find("in use by another ringpost process"), std::string::npos) << refusal;
}

TEST_F(StoreTest, ASpoolHasOneProcess) {
    run(second_store);
}

}  // namespace
}  // namespace crash
