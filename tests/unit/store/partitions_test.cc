// A spool whose partitions change hands: with another number of shards, and with partitions that
// were added.
#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <gtest/gtest.h>

#include "unit/store/store_fixture.h"

namespace crash {
namespace {

class PartitionsTest : public StoreFixture {
  protected:
    // Each of the shards once, with that script.
    void run_shards(std::uint32_t shards, StoreProgram::Script script) {
        partitions_ = std::max(partitions_, shards);
        world().options().store.shards = shards;
        world().options().store.identity.partitions = shards;
        for (std::uint32_t shard = 0; shard < shards; ++shard) {
            std::set<std::uint32_t> owned;
            for (std::uint32_t number = shard; number < partitions_; number += shards) {
                owned.insert(number);
            }
            world().options().shard = shard;
            world().oracle().only_partitions(owned);
            EXPECT_EQ(world().run_once(script), "");
        }
        world().oracle().only_partitions(std::nullopt);
        EXPECT_EQ(faults(), "");
    }

    std::uint32_t partitions_ = 0;
};

rt::Task<void> three_letters(StoreProgram& program) {
    for (std::uint64_t i = 1; i <= 3; ++i) {
        co_await program.put(letter_of(i, 3'000), 3'000);
    }
}

rt::Task<void> one_is_deferred(StoreProgram& program) {
    const std::vector<mail::QueueId> alive = program.oracle().alive();
    if (!alive.empty()) {
        co_await program.record_and_wait(alive.front(), 0, store::RecipientStatus::deferred);
    }
}

rt::Task<void> finish_all(StoreProgram& program) {
    co_await program.finish_all();
}

// Every start looks whether all that its shard owns has come back, with its bytes.
class ChangeOfShards : public PartitionsTest,
                       public testing::WithParamInterface<std::pair<std::uint32_t, std::uint32_t>> {
};

TEST_P(ChangeOfShards, KeepsEveryMessage) {
    const auto [before, after] = GetParam();
    run_shards(before, three_letters);
    EXPECT_EQ(world().oracle().alive().size(), 3U * before);
    run_shards(after, one_is_deferred);
    run_shards(after, three_letters);
    EXPECT_EQ(world().oracle().alive().size(), 3U * (before + after));
    run_shards(before, nothing);
    run_shards(after, finish_all);
    EXPECT_EQ(world().oracle().alive().size(), 0U);
    run_shards(before, nothing);
}

INSTANTIATE_TEST_SUITE_P(FromTo, ChangeOfShards,
                         testing::Values(std::pair(1U, 2U), std::pair(2U, 1U), std::pair(3U, 2U),
                                         std::pair(2U, 3U), std::pair(1U, 4U), std::pair(4U, 1U),
                                         std::pair(5U, 3U), std::pair(3U, 5U)));

// What one partition is refused for is found before another is written to.
TEST_F(PartitionsTest, AreAllLookedAtBeforeAnyIsChanged) {
    run_shards(2, three_letters);
    world().options().store.shards = 1;
    world().options().shard = 0;
    const std::string second = "/spool/p001/00000001.seg";
    const std::string whole = disk().content_of(second).value();
    disk().put_file(second, "");
    int changes = 0;
    world().host().on_start = [&](const io::Op& op) {
        const bool writes = op.code() == io::OpCode::write ||
                            op.code() == io::OpCode::write_vector ||
                            op.code() == io::OpCode::rename || op.code() == io::OpCode::unlink ||
                            op.code() == io::OpCode::allocate;
        changes += writes ? 1 : 0;
    };
    const std::vector<std::string> before = disk().names_in("/spool/p000");
    const std::string refusal = world().run_once(nothing);
    world().host().on_start = {};
    EXPECT_NE(refusal.find("/spool/p001: the log is damaged"), std::string::npos) << refusal;
    EXPECT_EQ(disk().names_in("/spool/p000"), before);
    EXPECT_EQ(changes, 0);
    disk().put_file(second, whole);
    EXPECT_EQ(world().run_once(nothing), "");
    EXPECT_EQ(world().oracle().alive().size(), 6U);
}

// Which partitions there are is known as long as anything tells of one.
TEST_F(PartitionsTest, AreNotMadeAnewWhereAnyIsLeft) {
    run_shards(2, three_letters);
    const std::string identity = disk().content_of("/spool/identity").value();
    const std::string copy = disk().content_of("/spool/identity.copy").value();
    const sim::Disk::State whole = disk().state();
    const std::vector<std::string> all = disk().names_in("/spool");
    for (const std::string kept : {"p000", "p001", "established-p000", "established-p001"}) {
        for (const bool with_copy : {true, false}) {
            disk().restore(whole);
            for (const std::string& name : all) {
                if (name == kept || name == "lock" || (with_copy && name == "identity.copy")) {
                    continue;
                }
                const auto gone =
                    disk().rename(sim::Disk::kRoot, "/spool/" + name, "/gone." + name);
                ASSERT_TRUE(gone.has_value()) << name;
            }
            const std::string refusal = world().run_once(nothing);
            EXPECT_NE(refusal.find(with_copy ? "identity is damaged or missing; put it back"
                                             : "identity is missing though the spool was used"),
                      std::string::npos)
                << kept << ": " << refusal;
            EXPECT_FALSE(disk().exists("/spool/identity"));
            EXPECT_EQ(disk().content_of("/spool/identity.copy").value_or(""),
                      with_copy ? copy : "");
        }
    }
    disk().restore(whole);
    run_shards(1, nothing);
    EXPECT_EQ(world().oracle().alive().size(), 6U);
    EXPECT_EQ(disk().content_of("/spool/identity").value(), identity);
}

// As a crash at the first start leaves it; or all that is left of a spool, which then says so.
TEST_F(PartitionsTest, TheCopyAloneTellsWhichSpoolItIs) {
    run_shards(1, three_letters);
    const std::string identity = disk().content_of("/spool/identity").value();
    for (const std::string name : {"identity", "p000", "established-p000"}) {
        const auto gone = disk().rename(sim::Disk::kRoot, "/spool/" + name, "/gone." + name);
        ASSERT_TRUE(gone.has_value()) << name;
    }
    const std::string refusal = world().run_once(nothing);
    EXPECT_NE(refusal.find("the folder /spool/p000 is missing"), std::string::npos) << refusal;
    EXPECT_EQ(disk().content_of("/spool/identity").value_or(""), identity);
}

// An identity from a backup of then knows of fewer.
TEST_F(PartitionsTest, AreAllKnownWhereAnOlderIdentityIsPutBack) {
    run_shards(1, three_letters);
    const std::string old = disk().content_of("/spool/identity").value();
    run_shards(2, three_letters);
    const std::string identity = disk().content_of("/spool/identity").value();
    const std::size_t alive = world().oracle().alive().size();
    disk().put_file("/spool/identity", old);
    run_shards(1, one_is_deferred);
    EXPECT_EQ(disk().content_of("/spool/identity").value(), identity);
    EXPECT_EQ(disk().content_of("/spool/identity.copy").value(), identity);
    // And a copy that is older; or both, or no copy: the witnesses know.
    disk().put_file("/spool/identity.copy", old);
    run_shards(1, nothing);
    EXPECT_EQ(disk().content_of("/spool/identity.copy").value(), identity);
    for (const bool has_copy : {true, false}) {
        disk().put_file("/spool/identity", old);
        if (has_copy) {
            disk().put_file("/spool/identity.copy", old);
        } else {
            remove("/spool/identity.copy");
        }
        run_shards(1, nothing);
        EXPECT_EQ(disk().content_of("/spool/identity").value(), identity);
        EXPECT_EQ(disk().content_of("/spool/identity.copy").value(), identity);
    }
    // Where the older copy is all there is, too.
    remove("/spool/identity");
    disk().put_file("/spool/identity.copy", old);
    world().options().store.salvage = true;
    run_shards(1, nothing);
    EXPECT_EQ(disk().content_of("/spool/identity").value(), identity);
    EXPECT_EQ(world().oracle().alive().size(), alive);
}

// Its copy is what the spool can be mended with.
TEST_F(PartitionsTest, AreNotAddedToASpoolWithAnothersIdentity) {
    run_shards(1, three_letters);
    const std::string copy = disk().content_of("/spool/identity.copy").value();
    store::format::Identity identity;
    identity.store = {std::byte{1}};
    identity.partitions = 1;
    std::vector<std::byte> block(store::format::kBlock);
    store::format::write_block(block, identity);
    disk().overwrite("/spool/identity", 0, block);
    world().options().store.identity.partitions = 3;
    const std::string refusal = world().run_once(nothing);
    EXPECT_NE(refusal.find("are of different spools, so no partitions are added"),
              std::string::npos)
        << refusal;
    EXPECT_EQ(disk().content_of("/spool/identity.copy").value(), copy);
}

// A crash at any event of the addition leaves a spool that opens, with the old number or the new.
rt::Task<void> add_two(rt::Shard& shard, std::optional<std::uint32_t>& partitions) {
    const base::Result<store::SpoolIdentity> identity =
        co_await store::open_spool(shard, "/spool", 3);
    if (identity.has_value()) {
        partitions = identity->partitions;
    }
}

rt::Task<void> read_identity(rt::Shard& shard, std::uint32_t& partitions) {
    store::IdentityDamage damage;
    const base::Result<store::format::Identity> identity =
        co_await store::read_spool(shard, "/spool", damage);
    EXPECT_EQ(damage.identity + damage.copy, "");
    EXPECT_TRUE(identity.has_value()) << identity.error().describe();
    partitions = identity.has_value() ? identity->partitions : 0;
}

TEST_F(PartitionsTest, AreAddedWholeOrNotWhereverACrashComes) {
    run_shards(1, three_letters);
    std::set<std::uint32_t> seen;
    std::vector<sim::Disk::State> moments;
    const auto note_moment = [&](const io::Op&) { moments.push_back(disk().state()); };
    world().host().on_start = note_moment;
    std::optional<std::uint32_t> added;
    world().run_beside([&](rt::Shard& shard) { return add_two(shard, added); });
    world().host().on_start = {};
    EXPECT_EQ(added, 3U);
    ASSERT_GT(moments.size(), 8U);
    for (const sim::Disk::State& moment : moments) {
        for (std::uint64_t seed = 0; seed < 5; ++seed) {
            base::Prng prng(seed);
            disk().restore(moment);
            disk().restore(disk().crashed(prng));
            std::uint32_t partitions = 0;
            world().run_beside([&](rt::Shard& shard) { return read_identity(shard, partitions); });
            seen.insert(partitions);
            partitions_ = partitions;
            run_shards(1, nothing);
            EXPECT_EQ(world().oracle().alive().size(), 3U);
        }
    }
    EXPECT_EQ(seen, (std::set<std::uint32_t>{1, 3}));
    // What was given up is done again.
    world().run_beside([&](rt::Shard& shard) { return add_two(shard, added); });
    EXPECT_EQ(added, 3U);
    EXPECT_TRUE(disk().exists("/spool/p002"));
}

}  // namespace
}  // namespace crash
