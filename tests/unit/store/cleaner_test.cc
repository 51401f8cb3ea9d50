// The cleaner: space stays near what is alive, and everything that was moved is what it was,
// through starts, with and without the newest checkpoint.
#include <algorithm>

#include <gtest/gtest.h>

#include "unit/store/store_fixture.h"

namespace crash {
namespace {

class CleanerTest : public StoreFixture {
  protected:
    CleanerTest() {
        options_.store.segment_bytes = 256U << 10U;
        options_.store.checkpoint_bytes = 256U << 10U;
        options_.store.cache_bytes_max = 0;
    }
};

// Of what is put, one in twenty stays, deferred now and then; and after a while one of those ends.
rt::Task<void> churn(StoreProgram& program) {
    const std::size_t before = program.oracle().alive().size();
    for (std::uint64_t i = 1; i <= 1200; ++i) {
        co_await program.put(letter_of(i, i % 97 == 0 ? 150'000 : 4'000), 25'000);
        if (program.dead()) {
            co_return;
        }
        const std::vector<mail::QueueId> alive = program.oracle().alive();
        if (i % 20 == 0) {
            program.record(alive.back(), 0, store::RecipientStatus::deferred);
        } else if (i % 97 != 0) {
            co_await program.finish(alive.back());
        }
        if (i % 40 == 0 && alive.size() > before + 10) {
            co_await program.finish(alive[before]);
        }
        if (i % 60 == 0) {
            program.record(alive.back(), 0, store::RecipientStatus::deferred);
        }
    }
    co_await program.pause(std::chrono::seconds(3));
    EXPECT_GT(program.store().counters().messages_moved, 0U);
    EXPECT_GT(program.store().counters().segments_cleaned, 0U);
}

// Until something was moved, which is not before one checkpoint may be lost.
rt::Task<void> churn_until_moved(StoreProgram& program) {
    for (std::uint64_t i = 1; i <= 1200 && program.store().counters().messages_moved == 0; ++i) {
        co_await program.put(letter_of(i, 4'000), 25'000);
        if (i % 20 != 0) {
            co_await program.finish(program.oracle().alive().back());
        }
    }
    EXPECT_GT(program.store().counters().messages_moved, 0U);
    EXPECT_GE(program.store().counters().checkpoints, 2U);
}

// Until it has begun with a segment of 256 KiB, at 64 KiB a second.
rt::Task<void> churn_until_cleaning(StoreProgram& program) {
    const auto counters = [&] { return program.store().counters(); };
    for (std::uint64_t i = 1; i <= 1200 && counters().cleanings_begun == 0; ++i) {
        co_await program.put(letter_of(i, 4'000), 25'000);
        if (i % 3 != 0) {
            co_await program.finish(program.oracle().alive().back());
        }
    }
    co_await program.pause(std::chrono::seconds(2));
    EXPECT_EQ(counters().cleanings_begun, 1U);
    EXPECT_EQ(counters().cleanings_ended, 0U);
    co_await program.pause(std::chrono::seconds(8));
    EXPECT_GE(counters().cleanings_ended, 1U);
}

rt::Task<void> verify_all(StoreProgram& program) {
    co_await program.verify();
}

TEST_F(CleanerTest, SpaceStaysUnderTwiceTheLiveBytesAndFiveSegments) {
    for (int round = 0; round < 4; ++round) {
        run(churn);
        std::uint64_t used = 0;
        for (const std::uint64_t id : segments()) {
            used += disk().content_of(path_of(id)).value_or("").size();
        }
        std::uint64_t live = 0;
        for (const mail::QueueId message : world().oracle().alive()) {
            live += base::round_up(world().oracle().message(message).letter.content.size(), 4096);
        }
        EXPECT_LE(used, 2 * live + 5 * options_.store.segment_bytes) << "live " << live;
    }
    run(verify_all);
}

TEST_F(CleanerTest, WhatItReadsCountsForItsRate) {
    options_.store.checkpoint_bytes = 64U << 10U;
    options_.store.cleaner_bytes_per_s = 64U << 10U;
    run(churn_until_cleaning);
}

TEST_F(CleanerTest, NothingIsMovedBeforeThereAreTwoCheckpoints) {
    run(churn_until_moved);
}

TEST_F(CleanerTest, WhatWasMovedComesBackWithoutTheNewestCheckpoint) {
    run(churn);
    ASSERT_FALSE(checkpoints().empty());
    remove(checkpoints().back());
    run(verify_all);
    run(churn);
    run(verify_all);
}

// The log alone no longer tells of what was moved.
TEST_F(CleanerTest, WithoutAnyCheckpointItIsSalvage) {
    run(churn);
    const std::size_t alive = world().oracle().alive().size();
    for (const std::string& path : checkpoints()) {
        remove(path);
    }
    const std::string refusal = world().run_once(nothing);
    EXPECT_NE(refusal.find("the log is damaged"), std::string::npos) << refusal;
    world().options().store.salvage = true;
    EXPECT_EQ(world().run_once(nothing), "");
    // It may bring back what had ended; it loses nothing.
    for (const std::string& fault : world().oracle().faults()) {
        EXPECT_EQ(fault.find("lost"), std::string::npos) << fault;
    }
    EXPECT_GE(world().oracle().alive().size(), alive);
}

// More than a place in a batch can tell apart.
rt::Task<void> many_short_outcomes(StoreProgram& program) {
    constexpr std::uint32_t kMany = 12'000;
    Letter letter = letter_of(1, 1'000);
    letter.recipients.assign(kMany, "r@dst.test");
    co_await program.put(letter, 1'000);
    const mail::QueueId many = program.oracle().alive().back();
    for (std::uint32_t i = 0; i < kMany; ++i) {
        store::Outcome outcome;
        outcome.recipient = i;
        outcome.status = store::RecipientStatus::delivered;
        outcome.attempts = 1;
        outcome.code = 250;
        program.store().record_outcome(*program.store().find(many), outcome);
    }
    co_await program.pause(std::chrono::milliseconds(300));
    const auto place = [&](std::uint32_t recipient) {
        return program.store().find(many)->recipients()[recipient].outcome.segment();
    };
    const std::uint64_t from = place(0);
    for (std::uint64_t i = 2; i < 3000 && place(kMany - 1) == from; ++i) {
        co_await program.put(letter_of(i, 60'000), 60'000);
        co_await program.finish(program.oracle().alive().back());
    }
    EXPECT_NE(place(0), from);
    EXPECT_NE(place(kMany - 1), from);
}

TEST_F(CleanerTest, OutcomesAreMovedHoweverShortTheyAre) {
    options_.store.segment_bytes = 4U << 20U;
    options_.store.checkpoint_bytes = 4U << 20U;
    options_.store.cleaner_bytes_per_s = 1ULL << 40U;
    run(many_short_outcomes);
}

}  // namespace
}  // namespace crash
