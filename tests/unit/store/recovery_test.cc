// Damage of every kind, and what a start makes of it: a torn tail is cut, corruption is refused and
// left as it is, salvage goes on with the rest and says so.
#include <gtest/gtest.h>

#include "unit/store/store_fixture.h"

namespace crash {
namespace {

using std::chrono::milliseconds;

class RecoveryTest : public StoreFixture {
  protected:
    // Faults but those that say what was lost.
    [[nodiscard]] std::size_t lost() {
        std::size_t count = 0;
        for (const std::string& fault : world().oracle().faults()) {
            EXPECT_NE(fault.find("lost, though it was acknowledged"), std::string::npos) << fault;
            ++count;
        }
        return count;
    }
    void expect_refused(std::string_view why) {
        const std::vector<std::uint64_t> ids = segments();
        const std::string first = ids.empty() ? kPartition : path_of(ids.front());
        const auto before = disk().content_of(first);
        const std::string refusal = world().run_once(nothing);
        EXPECT_NE(refusal.find(why), std::string::npos) << refusal;
        EXPECT_EQ(faults(), "");
        EXPECT_EQ(segments(), ids);
        EXPECT_EQ(disk().content_of(first), before);
    }
    void salvage(std::size_t lost_messages) {
        world().options().store.salvage = true;
        ASSERT_EQ(world().run_once(nothing), "");
        EXPECT_EQ(lost(), lost_messages);
        EXPECT_TRUE(logged("salvaged around damage"));
        // Accepted once, it is not reported again.
        world().options().store.salvage = false;
        EXPECT_EQ(world().run_once(nothing), "");
        EXPECT_EQ(lost(), lost_messages);
    }
};

TEST_F(RecoveryTest, DamagedRecordsBelowTheWatermarkAreCorruption) {
    run(three_letters);
    const std::vector<Batch> found = batches(1);
    ASSERT_GE(found.size(), 5U);  // the epoch, three commits, a seal
    damage(1, found[2].offset + sizeof(store::format::BatchHeader) + 5);
    expect_refused("the log is damaged: batch 3 at offset");
    salvage(1);
    EXPECT_EQ(world().oracle().alive().size(), 2U);
}

TEST_F(RecoveryTest, ADamagedHeaderBelowTheWatermarkIsCorruption) {
    run(three_letters);
    damage(1, batches(1)[2].offset + 9);
    expect_refused("batches 3 to 3 before offset");
    salvage(1);
}

TEST_F(RecoveryTest, DamageToTheLastAcknowledgedBatchShowsOnceItIsSealed) {
    run(three_letters);
    damage(1, batches(1)[3].offset + 9);
    expect_refused("batches 4 to 4 before offset");
    salvage(1);
}

TEST_F(RecoveryTest, DamageToTheSealAndTheLastBatchReadsAsATornTailAfterACrash) {
    run(three_letters);
    disk().put_file("/spool/p000/established", "");  // as if it had never been closed
    const std::vector<Batch> found = batches(1);
    damage(1, found[3].offset + sizeof(store::format::BatchHeader) + 5);
    damage(1, found[4].offset + 9);
    EXPECT_EQ(world().run_once(nothing), "");
    EXPECT_EQ(lost(), 1U);
    EXPECT_TRUE(logged("cut a torn batch"));
}

TEST_F(RecoveryTest, TheLossOfTheLogsEndShowsOnceItWasClosed) {
    run(three_letters);
    const std::vector<Batch> found = batches(1);
    const std::string path = path_of(1);
    const std::string whole = disk().content_of(path).value();
    const auto expect_seen = [&](std::string content, std::string_view why) {
        disk().put_file(path, content);
        expect_refused(why);
        disk().put_file(path, whole);
    };
    std::string zeroed = whole;
    std::fill(zeroed.begin() + static_cast<std::ptrdiff_t>(found[2].offset), zeroed.end(), '\0');
    expect_seen(zeroed, "the newest that were acknowledged, are missing");
    expect_seen(std::string(whole.size(), '\0'), "the header of 00000001.seg is damaged");
    expect_seen(whole.substr(0, store::format::kBlock), "00000001.seg is 4096 bytes long");
    remove(path);
    expect_refused("batches 1 to 5, the newest that were acknowledged, are missing");
    disk().put_file(path, whole);
    run(nothing);
}

TEST_F(RecoveryTest, TheLossOfTheNewestSegmentShowsInTheOnesPreparedBehindIt) {
    run(several_segments);
    disk().put_file("/spool/p000/established", "");
    std::uint64_t newest = 0;
    for (const std::uint64_t id : segments()) {
        newest = batches(id).empty() ? newest : id;
    }
    ASSERT_LT(newest, segments().back());
    remove(path_of(newest));
    expect_refused("the newest that were acknowledged, are missing");
}

TEST_F(RecoveryTest, ATornEstablishedSaysNothing) {
    run(three_letters);
    const char torn = 'x';
    disk().overwrite("/spool/p000/established", 40, std::as_bytes(std::span(&torn, 1)));
    run(nothing);
}

TEST_F(RecoveryTest, ASegmentThatIsMissingInTheMiddleIsCorruption) {
    run(several_segments);
    std::vector<std::uint64_t> used = segments();
    std::erase_if(used, [&](std::uint64_t id) { return batches(id).empty(); });
    ASSERT_GE(used.size(), 3U);
    remove(path_of(used[1]));
    expect_refused("are missing");
    world().options().store.salvage = true;
    ASSERT_EQ(world().run_once(nothing), "");
    EXPECT_GE(lost(), 2U);
    world().options().store.salvage = false;
    EXPECT_EQ(world().run_once(nothing), "");
}

TEST_F(RecoveryTest, AMissingOldestSegmentIsCorruption) {
    run(several_segments);
    remove(path_of(segments().front()));
    expect_refused("the oldest segment, is missing");
}

TEST_F(RecoveryTest, ALogThatIsGoneIsCorruption) {
    run(three_letters);
    for (const std::uint64_t id : segments()) {
        remove(path_of(id));
    }
    expect_refused("there is no segment in the folder");
    disk().put_file("/spool/p000/established", "");
    expect_refused("there is no segment in the folder");
    salvage(3);
    EXPECT_TRUE(logged("everything that this partition held is lost"));
}

// A mount point without its file system, or a folder that was made anew: its own mark is lost too.
TEST_F(RecoveryTest, AFolderThatIsEmptyNowIsALoss) {
    run(three_letters);
    for (const std::string& name : disk().names_in(kPartition)) {
        remove(std::string(kPartition) + "/" + name);
    }
    disk().put_directory("/spool/p000/lost+found");
    expect_refused("perhaps its file system is not mounted");
    salvage(3);
    EXPECT_TRUE(logged("everything that this partition held is lost"));
    // Under ids of their own.
    EXPECT_EQ(world().run_once(three_letters), "");
    EXPECT_EQ(world().run_once(nothing), "");
    EXPECT_EQ(lost(), 3U);
    EXPECT_EQ(world().oracle().alive().size(), 3U);
}

TEST_F(RecoveryTest, AFolderThatIsMissingIsALoss) {
    run(three_letters);
    ASSERT_TRUE(disk().rename(sim::Disk::kRoot, kPartition, "/elsewhere").has_value());
    for (int i = 0; i < 2; ++i) {
        const std::string refusal = world().run_once(nothing);
        EXPECT_NE(refusal.find("is missing; perhaps its file system is not mounted"),
                  std::string::npos)
            << refusal;
        EXPECT_FALSE(disk().exists(kPartition));
        if (i == 0) {
            remove("/spool/established-p000");  // the number of partitions tells it as well
        }
    }
    salvage(3);
    EXPECT_TRUE(logged("salvage made the folder anew"));
    EXPECT_TRUE(logged("everything that this partition held is lost"));
}

// Made by a version that knew no witness, it gets one at the next start.
TEST_F(RecoveryTest, ASpoolWithoutAWitnessGetsIt) {
    run(three_letters);
    remove("/spool/established-p000");
    run(nothing);
    EXPECT_TRUE(disk().exists("/spool/established-p000"));
}

TEST_F(RecoveryTest, TheWitnessStandsForALostMark) {
    run(three_letters);
    remove("/spool/p000/established");
    run(nothing);
    EXPECT_TRUE(disk().exists("/spool/p000/established"));
}

TEST_F(RecoveryTest, ADamagedSegmentHeaderIsCorruption) {
    run(three_letters);
    damage(1, 20);
    expect_refused("the header of 00000001.seg is damaged");
    salvage(0);
    EXPECT_EQ(world().oracle().alive().size(), 3U);
}

TEST_F(RecoveryTest, AnEmptiedSegmentIsCorruption) {
    run(several_segments);
    disk().put_file(path_of(segments()[1]), "");
    expect_refused("is damaged");
}

// The checkpoint knows of them; their bytes are gone.
TEST_F(RecoveryTest, SalvageNamesTheMessagesWhoseSegmentWasEmptied) {
    options_.store.checkpoint_bytes = 64U << 20U;  // the one at the stop
    run(several_segments);
    ASSERT_EQ(checkpoints().size(), 1U);
    const std::uint64_t emptied = segments()[1];
    const std::string name = store::format::segment_name(emptied);
    std::size_t commits = 0;
    for (const Batch& batch : batches(emptied)) {
        commits += batch.header.data_blocks > 0 ? 1 : 0;
    }
    ASSERT_GE(commits, 2U);
    disk().put_file(path_of(emptied), "");
    expect_refused(name + " is 0 bytes long: nothing is left of what it held");
    // A crash comes before a checkpoint does: they stay away all the same.
    world().options().store.salvage = true;
    world().options().store.checkpoint_bytes = 0;
    world().host().set_restart(false);
    ASSERT_EQ(world().run_once([](StoreProgram& program) -> rt::Task<void> {
        program.kill();
        co_return;
    }),
              "it does not end");
    world().host().set_restart(true);
    const std::size_t gone = lost();
    EXPECT_GE(gone, 2U);
    EXPECT_TRUE(logged("is lost: its commit record in " + name + " cannot be read"));
    EXPECT_TRUE(logged(std::to_string(gone) + " messages that were known"));
    world().options().store.salvage = false;
    world().options().store.checkpoint_bytes = 64U << 20U;
    EXPECT_EQ(world().run_once(nothing), "");
    EXPECT_EQ(world().run_once(nothing), "");
    EXPECT_EQ(lost(), gone);
    EXPECT_EQ(world().oracle().alive().size(), 10U - gone);
    for (const std::string& line : world().log()) {
        if (const auto at = line.find("message 0"); at != std::string::npos) {
            const auto id = mail::QueueId::parse(line.substr(at + 8, 13));
            ASSERT_TRUE(id.has_value()) << line;
            EXPECT_EQ(std::ranges::count(world().oracle().alive(), *id), 0) << line;
        }
    }
}

rt::Task<void> ten_of_which_one_was_tried(StoreProgram& program) {
    co_await several_segments(program);
    co_await program.record_and_wait(program.oracle().alive().front(), 0,
                                     store::RecipientStatus::deferred);
    for (std::uint64_t i = 11; i <= 20; ++i) {
        co_await program.put(letter_of(i, 20'000), 20'000);
    }
}

TEST_F(RecoveryTest, SalvageForgetsOutcomesWhoseSegmentWasEmptied) {
    options_.store.checkpoint_bytes = 64U << 20U;
    run(ten_of_which_one_was_tried);
    std::uint64_t with_outcome = 0;
    for (const std::uint64_t id : segments()) {
        for (const Batch& batch : batches(id)) {
            const std::string bytes = disk().content_of(path_of(id)).value();
            with_outcome = bytes[batch.offset + sizeof batch.header] ==
                                   static_cast<char>(store::format::RecordType::outcome)
                               ? id
                               : with_outcome;
        }
    }
    ASSERT_GT(with_outcome, segments().front());
    disk().put_file(path_of(with_outcome), "");
    world().options().store.salvage = true;
    ASSERT_EQ(world().run_once(nothing), "");
    EXPECT_TRUE(logged(" and 1 records of their attempts"));
}

TEST_F(RecoveryTest, AZeroedSegmentIsCorruption) {
    run(several_segments);
    disk().put_file(path_of(segments()[1]), std::string(64U << 10U, '\0'));
    expect_refused("is damaged");
}

// It may have held what was acknowledged: who would know?
TEST_F(RecoveryTest, AnEmptiedSegmentIsCorruptionEvenIfItWasNeverUsed) {
    run(three_letters);
    const std::uint64_t prepared = segments().back();
    ASSERT_TRUE(batches(prepared).empty());
    disk().put_file(path_of(prepared), "");
    expect_refused("is damaged");
    salvage(0);
    EXPECT_FALSE(disk().exists(path_of(prepared)));
    EXPECT_TRUE(disk().exists(path_of(prepared) + ".damaged"));
}

TEST_F(RecoveryTest, LeftoversOfPreparationAreRemoved) {
    run(three_letters);
    disk().put_file("/spool/p000/new.tmp", "half a segment");
    disk().put_file("/spool/p000/recycle.tmp", "another");
    run(nothing);
    EXPECT_FALSE(disk().exists("/spool/p000/new.tmp"));
    EXPECT_FALSE(disk().exists("/spool/p000/recycle.tmp"));
}

TEST_F(RecoveryTest, ASegmentOfANewerVersionIsRefused) {
    run(three_letters);
    store::format::SegmentHeader header;
    std::vector<std::byte> block(store::format::kBlock);
    header.version = store::format::kVersion + 1;
    store::format::write_block(block, header);
    disk().overwrite(path_of(1), 0, block);
    expect_refused("written by a newer version");
}

TEST_F(RecoveryTest, ASpoolOfANewerVersionIsRefused) {
    run(three_letters);
    store::format::Identity identity;
    std::vector<std::byte> block(store::format::kBlock);
    identity.version = store::format::kVersion + 1;
    store::format::write_block(block, identity);
    disk().overwrite("/spool/identity", 0, block);
    expect_refused("written by a newer version");
}

TEST_F(RecoveryTest, AnIdentityThatIsDamagedOrMissingIsNotMadeAnew) {
    run(three_letters);
    const std::string identity = disk().content_of("/spool/identity").value();
    disk().overwrite("/spool/identity", 17, std::as_bytes(std::span("x", 1)));
    expect_refused("identity is damaged");
    remove("/spool/identity");
    expect_refused("identity is damaged or missing");
    remove("/spool/identity.copy");
    expect_refused("identity is missing");
    disk().put_file("/spool/identity", identity);
    run(nothing);
}

TEST_F(RecoveryTest, SegmentsOfAnotherSpoolAreNotTaken) {
    run(three_letters);
    store::format::Identity identity;
    std::vector<std::byte> block(store::format::kBlock);
    identity.store = {std::byte{1}, std::byte{2}};
    identity.partitions = 1;
    store::format::write_block(block, identity);
    disk().overwrite("/spool/identity", 0, block);
    for (const bool salvage : {false, true}) {
        world().options().store.salvage = salvage;
        expect_refused("every segment names another place: the identity of this spool");
    }
}

// Such a name would leave no room for segments behind it.
TEST_F(RecoveryTest, AStrayFileDoesNotSayWhichSegmentIsNext) {
    run(three_letters);
    const std::uint64_t last = segments().back();
    disk().put_file(path_of(0xffff'ffff), "");
    expect_refused("is damaged");
    salvage(0);
    run(three_letters);
    EXPECT_LT(segments().back(), last + 10);
    EXPECT_EQ(world().oracle().alive().size(), 6U);
}

// What is refused behind the making of a folder leaves no folder that counts as new.
TEST_F(RecoveryTest, AFolderThatASalvageHasMadeIsStillALoss) {
    run(three_letters);
    remove("/spool/established-p000");
    ASSERT_TRUE(disk().rename(sim::Disk::kRoot, kPartition, "/elsewhere").has_value());
    int made = 0;  // the spool itself comes first
    world().host().on_start = [&](const io::Op& op) {
        if (op.code() == io::OpCode::make_directory && ++made == 2) {
            world().world().after(milliseconds(1), "kill", [&] { world().host().kill(); });
        }
    };
    world().options().store.salvage = true;
    world().host().set_restart(false);
    EXPECT_NE(world().run_once(nothing), "");
    world().host().set_restart(true);
    world().host().on_start = {};
    world().options().store.salvage = false;
    EXPECT_EQ(made, 2);
    EXPECT_TRUE(disk().exists(kPartition));
    expect_refused("though this partition has held a log");
}

TEST_F(RecoveryTest, AMarkThatCannotBeReadIsLeftAsideBySalvage) {
    run(three_letters);
    const std::string path = std::string(kPartition) + "/established";
    remove(path);
    disk().put_directory(path);
    expect_refused("established: Is a directory");
    world().options().store.salvage = true;
    EXPECT_EQ(world().run_once(nothing), "");
    EXPECT_EQ(world().oracle().alive().size(), 3U);
    EXPECT_TRUE(logged("salvage goes on without it"));
}

TEST_F(RecoveryTest, RottenContentIsNeverHandedOut) {
    options_.store.cache_bytes_max = 0;
    run(three_letters);
    const Batch batch = batches(1)[2];
    damage(1, batch.offset + batch.header.record_area_bytes() + 100);
    EXPECT_EQ(world().run_once(nothing), "");  // reads everything that came back
    ASSERT_EQ(world().oracle().faults().size(), 1U);
    EXPECT_EQ(world().oracle().faults().front(), "its content cannot be read");
    EXPECT_TRUE(logged("cannot be read at block"));
}

TEST_F(RecoveryTest, AReadErrorDuringRecoveryRefusesTheStart) {
    run(three_letters);
    world().host().inject({.code = io::OpCode::read, .skip = 2, .error = EIO});
    expect_refused("cannot read");
    run(nothing);
}

// Buffered reads may come short anywhere, not in whole blocks alone: each in turn, of a restart
// that reads all messages.
TEST_F(RecoveryTest, ShortReadsAreGoneOnWith) {
    options_.store.direct_io = false;
    std::uint32_t reads = 0;
    for (bool any = true; any; ++reads) {
        StoreWorld world(options_);
        EXPECT_EQ(world.run_once(three_letters), "");
        world.host().inject({.code = io::OpCode::read, .skip = reads, .bytes = 100});
        EXPECT_EQ(world.run_once(nothing), "") << reads;
        EXPECT_TRUE(world.oracle().faults().empty()) << world.oracle().faults().front();
        any = world.host().injections_left() == 0;
    }
    EXPECT_GT(reads, 10U);
}

rt::Task<void> one_letter(StoreProgram& program) {
    co_await program.put(letter_of(4, 500), 500);
}

// The restarted program runs the script again.
void expect_fatal(StoreWorld& world, std::string_view sentence) {
    EXPECT_EQ(world.run_once(one_letter), "");
    EXPECT_NE(world.host().fatal_sentence().find(sentence), std::string::npos)
        << world.host().fatal_sentence();
    EXPECT_EQ(world.oracle().acknowledged_count(), 4U);
    EXPECT_TRUE(world.oracle().faults().empty()) << world.oracle().faults().front();
    EXPECT_EQ(world.host().injections_left(), 0U);
}

TEST_F(RecoveryTest, AFailedWriteEndsTheProcess) {
    run(three_letters);
    world().host().inject({.code = io::OpCode::write_vector, .skip = 1, .error = EIO});
    expect_fatal(world(), "cannot write the log in /spool/p000");
}

TEST_F(RecoveryTest, AShortWriteEndsTheProcess) {
    run(three_letters);
    world().host().inject({.code = io::OpCode::write_vector, .skip = 1, .bytes = 4096});
    expect_fatal(world(), "it came short");
}

TEST_F(RecoveryTest, AFailedSyncEndsTheProcess) {
    options_.store.direct_io = false;
    run(three_letters);
    int writes = 0;
    io::Handle log = io::kNoHandle;
    // The sync behind the second batch: the first begins the epoch. Others may come before it.
    world().host().on_start = [&](const io::Op& op) {
        if (op.code() == io::OpCode::write_vector && ++writes == 2) {
            log = op.parameters().handle;
        } else if (op.code() == io::OpCode::sync && op.parameters().handle == log &&
                   log != io::kNoHandle) {
            log = io::kNoHandle;
            world().host().inject({.code = io::OpCode::sync, .error = EIO});
        }
    };
    EXPECT_EQ(world().run_once(one_letter), "");
    EXPECT_NE(world().host().fatal_sentence().find("cannot sync the log"), std::string::npos)
        << world().host().fatal_sentence();
    EXPECT_TRUE(world().oracle().faults().empty());
    EXPECT_GE(world().oracle().alive().size(), world().oracle().acknowledged_count());
}

TEST_F(RecoveryTest, AKilledProcessLeavesALogThatOpens) {
    run(three_letters);
    world().host().inject(
        {.code = io::OpCode::write_vector, .skip = 1, .delay = milliseconds(900)});
    const std::uint64_t starts = world().host().starts();
    int writes = 0;
    world().host().on_start = [&](const io::Op& op) {
        writes += op.code() == io::OpCode::write_vector ? 1 : 0;
        if (op.code() == io::OpCode::write_vector && writes == 2) {
            // The write goes on without the process, and holds its segment's lock meanwhile.
            world().world().after(milliseconds(1), "kill", [&] { world().host().kill(); });
        }
    };
    EXPECT_EQ(world().run_once(one_letter), "");
    EXPECT_EQ(faults(), "");
    EXPECT_GT(world().host().starts(), starts + 1);
}

rt::Task<void> finish_all(StoreProgram& program) {
    co_await program.finish_all();
}

rt::Task<void> finish_everything(StoreProgram& program) {
    EXPECT_EQ(program.oracle().alive().size(), 6U);
    co_await program.finish_all();
}

TEST_F(RecoveryTest, FewerShardsTakeOverThePartitionsOfMore) {
    options_.store.shards = 2;
    options_.store.identity.partitions = 2;
    run(three_letters);
    world().options().shard = 1;
    world().oracle().only_partition(1);
    EXPECT_EQ(world().run_once(three_letters), "");
    world().options().shard = 0;
    world().options().store.shards = 1;
    world().oracle().only_partition({});
    EXPECT_EQ(world().run_once(finish_everything), "");
    EXPECT_EQ(faults(), "");
}

rt::Task<void> until_full(StoreProgram& program) {
    for (std::uint64_t i = 1; program.refusals() == 0 && !program.dead(); ++i) {
        co_await program.put(letter_of(i, 30'000), 30'000);
    }
}

rt::Task<void> defer_everything(StoreProgram& program) {
    for (const mail::QueueId message : program.oracle().alive()) {
        program.record(message, 0, store::RecipientStatus::deferred);
    }
    co_await program.pause(milliseconds(500));
}

rt::Task<void> takes_mail_again(StoreProgram& program) {
    co_await program.pause(std::chrono::seconds(3));
    EXPECT_EQ(program.store().admits(20'000), mail::SinkState::ready);
}

rt::Task<void> takes_mail_once_there_is_room(StoreProgram& program) {
    co_await program.pause(std::chrono::seconds(3));
    EXPECT_EQ(program.store().admits(20'000), mail::SinkState::storage_full);
    program.disk().set_capacity_bytes(std::uint64_t{1} << 40U);
    co_await program.pause(std::chrono::seconds(3));
    EXPECT_EQ(program.store().admits(20'000), mail::SinkState::ready);
}

TEST_F(RecoveryTest, AStartOnAFullDiskTakesMailOnceThereIsRoom) {
    options_.store.segment_bytes = 1U << 20U;
    options_.sim.disk.capacity_bytes = 6U << 20U;
    run(until_full);
    run(nothing);
    run(nothing);
    run(takes_mail_once_there_is_room);
}

// Each start needs a segment of its own, and no old one can be freed.
TEST_F(RecoveryTest, AFullDiskStillTakesStartsAndOutcomes) {
    options_.store.segment_bytes = 1U << 20U;
    options_.sim.disk.capacity_bytes = 6U << 20U;
    run(until_full);
    for (int i = 0; i < 8; ++i) {
        run(defer_everything);
    }
    EXPECT_TRUE(logged("no new mail is taken until there is room"));
    disk().set_capacity_bytes(std::uint64_t{1} << 40U);
    run(takes_mail_again);
    run(finish_all);
    run(three_letters);
}

rt::Task<void> ids_grow(StoreProgram& program) {
    static std::uint64_t last = 0;
    for (int i = 0; i < 3; ++i) {
        const mail::IncomingMessageHandle message = program.store().begin(mail::Origin());
        EXPECT_GT(message->id().value(), last);
        last = message->id().value();
    }
    co_return;
}

TEST_F(RecoveryTest, IdsNeverRecurThoughNothingWasCommitted) {
    run(ids_grow);
    run(ids_grow);
    run(ids_grow);
}

TEST_F(RecoveryTest, TheSpoolsOwnNameIsDurableHoweverItIsWritten) {
    options_.store.spool = "/spool/";
    options_.sim.disk.names = sim::NameOrder::independent;
    run(three_letters);
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        base::Prng prng(seed);
        sim::Disk after;
        after.restore(disk().crashed(prng));
        EXPECT_TRUE(after.exists(path_of(1)));
    }
}

TEST_F(RecoveryTest, PartitionsAreAddedToASpool) {
    run(three_letters);
    world().options().store.identity.partitions = 3;
    run(nothing);
    EXPECT_TRUE(disk().exists("/spool/p002/established"));
    EXPECT_EQ(world().oracle().alive().size(), 3U);
}

}  // namespace
}  // namespace crash
