// Checkpoints: a start from one gives what the log gives, none is trusted that is not whole, and
// what rests on them is safe when the newest is lost.
#include <algorithm>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "unit/store/store_fixture.h"

namespace crash {
namespace {

class CheckpointTest : public StoreFixture {
  protected:
    CheckpointTest() { options_.store.checkpoint_bytes = 64U << 10U; }
};

rt::Task<void> some_stay(StoreProgram& program) {
    co_await two_stay(program, 101);
    if (!program.dead() && program.refusals() == 0) {
        EXPECT_GT(program.store().counters().checkpoints, 4U);
    }
}

TEST_F(CheckpointTest, SegmentsBetweenThoseThatStayAreFreed) {
    run(some_stay);
    // Those of the large message, of the log behind the older checkpoint, and the pool's.
    EXPECT_LT(segments().size(), 18U);
    EXPECT_EQ(checkpoints().size(), 2U);
    run(nothing);
    EXPECT_EQ(world().oracle().alive().size(), 2U);
}

TEST_F(CheckpointTest, WithoutOneAMessageThatStaysHoldsAllBehindIt) {
    options_.store.checkpoint_bytes = 0;
    options_.scripts = {nothing};
    run([](StoreProgram& program) -> rt::Task<void> {
        co_await program.put(letter_of(1, 1'000), 1'000);
        const mail::QueueId first = program.oracle().alive().front();
        for (std::uint64_t i = 3; i <= 100; ++i) {
            co_await program.put(letter_of(i, 20'000), 20'000);
            const std::vector<mail::QueueId> alive = program.oracle().alive();
            for (const mail::QueueId message : alive) {
                if (message != first) {
                    co_await program.finish(message);
                }
            }
        }
    });
    EXPECT_GT(segments().size(), 30U);
    EXPECT_TRUE(checkpoints().empty());
}

TEST_F(CheckpointTest, TheLossOfTheNewestBringsNothingBack) {
    run(some_stay);
    for (int i = 0; i < 3; ++i) {
        remove(checkpoints().back());
        run(some_stay);
    }
    EXPECT_EQ(world().oracle().alive().size(), 2U + 3U * 2U);
    run(nothing);
}

TEST_F(CheckpointTest, OneThatIsDamagedIsVoidAndTold) {
    run(some_stay);
    const std::string newest = checkpoints().back();
    damage_file(newest, 100);
    run(nothing);
    EXPECT_TRUE(logged(newest +
                       " is void: a page of it is damaged; the start goes on with the one before"));
    EXPECT_EQ(world().oracle().alive().size(), 2U);
    // Its number is not used again.
    EXPECT_GT(checkpoints().back(), newest);
}

// That is no damage, and no reason to go on with less.
TEST_F(CheckpointTest, OneThatMayNotBeOpenedRefusesTheStart) {
    run(some_stay);
    world().host().on_start = [&](const io::Op& op) {
        if (op.code() == io::OpCode::open &&
            std::string_view(static_cast<const char*>(op.parameters().memory)).ends_with(".ckpt")) {
            world().host().inject({.code = io::OpCode::open, .error = EACCES});
        }
    };
    const std::string refusal = world().run_once(nothing);
    world().host().on_start = {};
    EXPECT_NE(refusal.find(".ckpt: Permission denied; the user that ringpost runs as must own"),
              std::string::npos)
        << refusal;
    run(nothing);
    EXPECT_EQ(world().oracle().alive().size(), 2U);
}

// What a crash left between the new name and the end of an old one, or damage.
TEST_F(CheckpointTest, ThereAreTwoAgainWhateverWasLeft) {
    run(some_stay);
    const std::string old = disk().content_of(checkpoints().front()).value_or("");
    disk().put_file("/spool/p000/00000001.ckpt", old);
    disk().put_file("/spool/p000/00000002.ckpt", old);
    damage_file(checkpoints().back(), 100);
    run(some_stay);
    EXPECT_EQ(checkpoints().size(), 2U);
    run(nothing);
    EXPECT_EQ(world().oracle().alive().size(), 4U);
}

TEST_F(CheckpointTest, OneThatIsCutShortIsVoid) {
    run(some_stay);
    const std::string whole = disk().content_of(checkpoints().back()).value_or("");
    ASSERT_GE(whole.size(), store::format::CheckpointPage::kBytes);
    const std::byte zeros[64] = {};
    disk().overwrite(checkpoints().back(), 0, zeros);
    run(nothing);
    EXPECT_TRUE(logged("is void"));
}

// Segments were freed that only the checkpoints told of: without any, that is a loss to be told.
TEST_F(CheckpointTest, TheLossOfBothIsRefused) {
    run(some_stay);
    for (const std::string& path : checkpoints()) {
        remove(path);
    }
    const std::string refusal = world().run_once(nothing);
    EXPECT_NE(refusal.find("the log is damaged"), std::string::npos) << refusal;
    world().options().store.salvage = true;
    EXPECT_EQ(world().run_once(nothing), "");
}

TEST_F(CheckpointTest, TheLogAloneGivesTheSameWhereNothingWasFreedOutOfIt) {
    run([](StoreProgram& program) -> rt::Task<void> {
        for (std::uint64_t i = 1; i <= 20; ++i) {
            co_await program.put(letter_of(i, 20'000), 20'000);
        }
    });
    for (const std::string& path : checkpoints()) {
        remove(path);
    }
    run(nothing);
    EXPECT_EQ(world().oracle().alive().size(), 20U);
}

TEST_F(CheckpointTest, AMissingSegmentThatHoldsMailIsRefused) {
    run(some_stay);
    const std::string gone = path_of(segments().front());
    remove(gone);
    const std::string refusal = world().run_once(nothing);
    EXPECT_NE(refusal.find("is lost: "), std::string::npos) << refusal;
    EXPECT_NE(refusal.find("there is no file " + std::filesystem::path(gone).filename().string()),
              std::string::npos)
        << refusal;
    world().options().store.salvage = true;
    ASSERT_EQ(world().run_once(nothing), "");
    EXPECT_TRUE(logged("1 messages that were known and 0 records of their attempts; 1 messages "));
    world().options().store.salvage = false;
    EXPECT_EQ(world().run_once(nothing), "");
}

// Where nothing behind the checkpoint is left, that alone tells that something was there.
TEST_F(CheckpointTest, TheLossOfTheLogBehindItIsRefused) {
    run(some_stay);
    disk().put_file("/spool/p000/established", "");  // as behind a kill
    const sim::Disk::State whole = disk().state();
    const std::vector<std::uint64_t> all = segments();
    std::size_t missed = 0;
    std::uint64_t begins = 0;  // the log behind the newest checkpoint
    for (const std::uint64_t segment : all) {
        disk().restore(whole);
        remove(path_of(segment));
        const std::string refusal = world().run_once(nothing);
        const std::string said = store::format::segment_name(segment) +
                                 ", in which the log behind the newest checkpoint begins, is "
                                 "missing";
        if (refusal.find(said) != std::string::npos) {
            ++missed;
            begins = segment;
        }
    }
    EXPECT_EQ(missed, 1U);
    disk().restore(whole);
    for (const std::uint64_t segment : all) {
        remove(path_of(segment));
    }
    const std::string refusal = world().run_once(nothing);
    EXPECT_NE(refusal.find("in which the log behind the newest checkpoint begins, is missing"),
              std::string::npos)
        << refusal;
    world().options().store.salvage = true;
    EXPECT_EQ(world().run_once(nothing), "");
    EXPECT_EQ(world().oracle().alive().size(), 0U);
    // Their names stay theirs: an older checkpoint may speak of them.
    EXPECT_GT(segments().front(), begins);
    // Accepted once, it is not reported again.
    world().options().store.salvage = false;
    EXPECT_EQ(world().run_once(nothing), "");
}

TEST_F(CheckpointTest, DamageBehindItIsCorruption) {
    run([](StoreProgram& program) -> rt::Task<void> {
        co_await program.put(letter_of(1, 3'000), 3'000);
    });
    world().options().store.checkpoint_bytes = 0;  // what follows is behind the one at the stop
    run([](StoreProgram& program) -> rt::Task<void> {
        co_await program.put(letter_of(2, 3'000), 3'000);
        co_await program.put(letter_of(3, 3'000), 3'000);
    });
    const std::uint64_t segment = [&] {
        for (const std::uint64_t id : segments()) {
            if (batches(id).size() >= 3 && id > 1) {
                return id;
            }
        }
        return std::uint64_t{0};
    }();
    ASSERT_NE(segment, 0U);
    damage(segment, batches(segment)[1].offset + sizeof(store::format::BatchHeader) + 5);
    const std::string refusal = world().run_once(nothing);
    EXPECT_NE(refusal.find("the log is damaged"), std::string::npos) << refusal;
}

TEST_F(CheckpointTest, OneOfManyRecipientsAndMessagesHasSeveralPages) {
    run([](StoreProgram& program) -> rt::Task<void> {
        Letter wide = letter_of(1, 2'000);
        wide.recipients.assign(900, "r@dst.test");
        for (int i = 0; i < 12; ++i) {
            co_await program.put(wide, 2'000);
        }
        for (const mail::QueueId message : program.oracle().alive()) {
            program.record(message, 899, store::RecipientStatus::deferred);
        }
    });
    ASSERT_FALSE(checkpoints().empty());
    EXPECT_GE(disk().content_of(checkpoints().back()).value_or("").size(),
              3 * store::format::CheckpointPage::kBytes);
    run(nothing);
    EXPECT_EQ(world().oracle().alive().size(), 12U);
    run([](StoreProgram& program) -> rt::Task<void> { co_await program.finish_all(); });
    run(nothing);
    EXPECT_TRUE(world().oracle().alive().empty());
}

// It is begun anew later, and nothing else stops.
TEST_F(CheckpointTest, OneThatCannotBeWrittenIsGivenUp) {
    run([](StoreProgram& program) -> rt::Task<void> {
        co_await program.put(letter_of(1, 1'000), 1'000);
    });
    // Whatever open it is that finds no descriptor; some are the checkpoints'.
    for (std::uint32_t skip = 15; skip < 60; skip += 2) {
        world().host().inject({.code = io::OpCode::open, .skip = skip, .error = EMFILE});
        static_cast<void>(world().run_once(some_stay));
        EXPECT_EQ(faults(), "");
    }
    EXPECT_TRUE(logged("cannot write a checkpoint in /spool/p000"));
    run(nothing);
}

// One kill after another, each before as much log is written as makes one due: what a start has
// read of the log counts.
TEST_F(CheckpointTest, KillsInARowDoNotPutItOff) {
    options_.scripts = {nothing};
    run(nothing);
    for (const std::string& path : checkpoints()) {
        remove(path);
    }
    int writes = 0;
    int kills = 0;
    bool any = false;
    world().host().on_start = [&](const io::Op& op) {
        if (op.code() != io::OpCode::write_vector || ++writes % 3 != 0 || kills == 12) {
            return;
        }
        ++kills;
        world().world().after(std::chrono::milliseconds(1), "kill", [&] {
            any = any || !checkpoints().empty();
            writes = 0;
            world().host().kill();
        });
    };
    EXPECT_EQ(world().run_once([](StoreProgram& program) -> rt::Task<void> {
        co_await program.put(letter_of(1, 20'000), 20'000);
        co_await program.put(letter_of(2, 20'000), 20'000);
    }),
              "");
    EXPECT_EQ(faults(), "");
    EXPECT_EQ(kills, 12);
    EXPECT_TRUE(any);
}

// Each leaves a file that is hardly begun, and that the next start has to search for more.
TEST_F(CheckpointTest, WhatAStartHasToSearchIsBounded) {
    options_.store.segment_bytes = 512U << 10U;
    options_.store.checkpoint_bytes = options_.store.segment_bytes / 4;
    for (int life = 0; life < 3; ++life) {
        run_until_killed([](StoreProgram& program) -> rt::Task<void> {
            co_await program.put(letter_of(1, 100), 100);
            program.kill();
        });
    }
    EXPECT_FALSE(checkpoints().empty());
}

}  // namespace
}  // namespace crash
