// A spool read from outside: each kind of damage has its finding, what is sound has none, and
// nothing is changed by looking.
#include "store/spool_check.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>

#include <gtest/gtest.h>

#include "store/record_writer.h"
#include "unit/store/store_fixture.h"

namespace crash {
namespace {

using std::chrono::milliseconds;

struct Seen final : store::SpoolVisitor {
    void checkpoint(const store::CheckpointFacts& facts) override { checkpoints.push_back(facts); }
    void checkpoint_record(std::uint64_t, std::uint32_t, std::uint32_t,
                           const store::Record&) override {
        ++checkpoint_records;
    }
    void segment(const store::SegmentFacts&) override { ++segments; }
    void batch(const store::format::BatchHeader&, std::uint64_t, bool counts) override {
        ++(counts ? batches : void_batches);
    }
    void record(const store::RecordPlace&, const store::Record& record) override {
        ++records[record.type];
        const auto commit = store::decode_commit_fixed(record);
        commits_of_wanted += commit && commit->id == wanted.value() ? 1 : 0;
    }
    bool wants_content(mail::QueueId id) override { return id == wanted; }
    void content(mail::QueueId, std::size_t, std::optional<base::Bytes> bytes) override {
        text += bytes ? std::string(base::as_text(*bytes)) : "(lost)";
    }
    void finding(const store::Finding& finding) override { findings.push_back(finding); }
    void totals(const store::PartitionTotals& of) override { all.push_back(of); }

    [[nodiscard]] std::size_t errors() const {
        return static_cast<std::size_t>(
            std::ranges::count(findings, store::Finding::Severity::error,
                               [](const store::Finding& one) { return one.severity; }));
    }
    [[nodiscard]] std::string told() const {
        std::string lines;
        for (const store::Finding& one : findings) {
            lines += one.what + "\n";
        }
        return lines;
    }
    [[nodiscard]] const store::Finding* find(std::string_view what) const {
        for (const store::Finding& one : findings) {
            if (one.what.find(what) != std::string::npos) {
                return &one;
            }
        }
        return nullptr;
    }

    mail::QueueId wanted;
    int commits_of_wanted = 0;
    std::string text;
    std::vector<store::Finding> findings;
    std::vector<store::PartitionTotals> all;
    std::vector<store::CheckpointFacts> checkpoints;
    std::map<store::format::RecordType, int> records;
    int checkpoint_records = 0;
    int segments = 0;
    int batches = 0;
    int void_batches = 0;
    base::Status status;
};

rt::Task<void> check_into(rt::Shard& shard, store::SpoolCheckOptions options, Seen& seen) {
    seen.status = co_await store::check_spool(shard, std::move(options), seen);
}

class SpoolCheckTest : public StoreFixture {
  protected:
    // Names and bytes of all that is there.
    [[nodiscard]] std::map<std::string, std::string> everything(const std::string& folder) {
        std::map<std::string, std::string> all;
        for (const std::string& name : disk().names_in(folder)) {
            const std::string path = folder + "/" + name;
            const auto content = disk().content_of(path);
            all[path] = content.value_or("(folder)");
            if (name.starts_with('p')) {
                all.merge(everything(path));
            }
        }
        return all;
    }
    // Every look is watched: it changes nothing, and tries to change nothing.
    Seen& look(bool check_messages = true) {
        seen_ = std::make_unique<Seen>();
        seen_->wanted = wanted_;
        const std::map<std::string, std::string> before = everything("/spool");
        EXPECT_FALSE(before.empty());
        int operations = 0;
        int changes = 0;
        world().host().on_start = [&](const io::Op& op) {
            ++operations;
            const bool reads = op.code() == io::OpCode::open || op.code() == io::OpCode::read;
            const bool opens_to_write = op.code() == io::OpCode::open &&
                                        (op.parameters().mode.write || op.parameters().mode.create);
            changes += !reads || opens_to_write ? 1 : 0;
        };
        store::SpoolCheckOptions options;
        options.spool = "/spool";
        options.check_messages = check_messages;
        world().run_beside([&](rt::Shard& shard) { return check_into(shard, options, *seen_); });
        world().host().on_start = {};
        EXPECT_GT(operations, 0);
        EXPECT_EQ(changes, 0);
        EXPECT_TRUE(everything("/spool") == before);
        return *seen_;
    }
    const store::Finding& expect_error(std::string_view what, bool refused) {
        static const store::Finding kNone;
        const store::Finding* found = seen_->find(what);
        EXPECT_NE(found, nullptr) << what << "\nis not among:\n" << seen_->told();
        if (found == nullptr) {
            return kNone;
        }
        EXPECT_EQ(found->severity, store::Finding::Severity::error);
        EXPECT_EQ(found->refused, refused) << found->what;
        EXPECT_EQ(found->partition, 0U);
        return *found;
    }
    void expect_note(std::string_view what) {
        const store::Finding* found = seen_->find(what);
        ASSERT_NE(found, nullptr) << what << "\nis not among:\n" << seen_->told();
        EXPECT_EQ(found->severity, store::Finding::Severity::note);
    }
    void expect_sound() {
        EXPECT_TRUE(seen_->status.has_value()) << seen_->status.error().describe();
        EXPECT_EQ(seen_->told(), "");
    }
    [[nodiscard]] mail::QueueId id_of(std::size_t number) {
        return world().oracle().alive().at(number - 1);
    }
    // A byte of the batch's last record.
    void damage_records(std::uint64_t segment, const Batch& batch) {
        damage(segment, batch.offset + sizeof batch.header + batch.header.record_bytes - 9);
    }
    // Writes a batch with that commit over the last one, a seal.
    void put_commit_instead(std::uint64_t segment, mail::QueueId id) {
        const Batch last = batches(segment).back();
        EXPECT_EQ(last.header.record_count, 1U);
        std::vector<std::byte> area(store::format::kBlock);
        store::RecordWriter writer(base::MutableBytes(area).subspan(sizeof last.header));
        mail::Envelope envelope;
        envelope.add_recipient("other@dst.test");
        store::put_commit(
            writer,
            {id, {}, {}, envelope, "", "", "", "", {}, static_cast<std::uint32_t>(segment)});
        store::format::BatchHeader header = last.header;
        header.record_bytes = static_cast<std::uint32_t>(writer.size());
        header.record_count = writer.count();
        store::format::Identity identity;
        const std::string block = disk().content_of("/spool/identity").value();
        ASSERT_EQ(store::format::read_block(base::as_bytes(block), identity),
                  store::format::BlockState::good);
        const store::format::PlaceSeed seed(identity.store, 0, segment);
        store::format::sign_batch(area, header, seed, last.offset);
        disk().overwrite(path_of(segment), last.offset, area);
    }

    std::unique_ptr<Seen> seen_;
    mail::QueueId wanted_;
};

rt::Task<void> some_tries(StoreProgram& program) {
    co_await three_letters(program);
    const std::vector<mail::QueueId> alive = program.oracle().alive();
    co_await program.record_and_wait(alive.at(0), 0, store::RecipientStatus::deferred);
    co_await program.finish(alive.at(2));
}

TEST_F(SpoolCheckTest, ASoundSpoolHasNoFindings) {
    run(some_tries);
    look();
    expect_sound();
    ASSERT_EQ(seen_->all.size(), 1U);
    const store::PartitionTotals& totals = seen_->all.front();
    EXPECT_EQ(totals.messages, 2U);
    EXPECT_EQ(totals.recipients[0], 1U);
    EXPECT_EQ(totals.recipients[1], 1U);
    EXPECT_EQ(totals.bytes, 6'000U);
    EXPECT_EQ(totals.batches, batches(1).size());
    EXPECT_EQ(totals.watermark, batches(1).back().header.sequence);
    EXPECT_EQ(totals.segments, 1U);
    EXPECT_EQ(totals.segments + totals.free_segments, segments().size());
    run(nothing);
    look();
    expect_sound();
    EXPECT_EQ(seen_->all.front().messages, 2U);
}

TEST_F(SpoolCheckTest, EveryRecordAndTheContentAreShown) {
    run(some_tries);
    wanted_ = id_of(2);
    look(false);
    expect_sound();
    EXPECT_EQ(seen_->records[store::format::RecordType::commit], 3);
    EXPECT_EQ(seen_->records[store::format::RecordType::extent], 3);
    EXPECT_EQ(seen_->records[store::format::RecordType::outcome], 2);
    EXPECT_EQ(seen_->records[store::format::RecordType::finish], 1);
    EXPECT_EQ(seen_->text, content_of(2, 3'000));
}

TEST_F(SpoolCheckTest, DamagedRecordsAreToldWithTheirMessage) {
    run(three_letters);
    const Batch batch = batches(1)[2];
    damage_records(1, batch);
    const mail::QueueId hit = id_of(2);
    look();
    EXPECT_EQ(seen_->errors(), 1U) << seen_->told();
    const auto& finding = expect_error(
        "batch 3 at offset " + std::to_string(batch.offset) + " of 00000001.seg is damaged", true);
    EXPECT_EQ(finding.messages, std::vector<mail::QueueId>{hit});
    EXPECT_EQ(seen_->all.front().messages, 2U);
}

TEST_F(SpoolCheckTest, ADamagedBatchHeaderIsToldWithItsMessage) {
    run(three_letters);
    const Batch batch = batches(1)[2];
    damage(1, batch.offset + 9);
    look();
    EXPECT_EQ(seen_->errors(), 2U) << seen_->told();
    expect_error("batches 3 to 3 before offset", true);
    const auto& finding =
        expect_error("no batch validates in the " + std::to_string(batch.header.bytes()) +
                         " bytes at offset " + std::to_string(batch.offset),
                     false);
    EXPECT_EQ(finding.messages, std::vector<mail::QueueId>{id_of(2)});
}

TEST_F(SpoolCheckTest, ATornTailIsANote) {
    run(three_letters);
    disk().put_file("/spool/p000/established", "");
    const std::vector<Batch> found = batches(1);
    damage_records(1, found[3]);
    damage(1, found[4].offset + 9);
    look();
    EXPECT_EQ(seen_->errors(), 0U) << seen_->told();
    expect_note("a start cuts a torn batch of");
    EXPECT_EQ(seen_->all.front().messages, 2U);
}

TEST_F(SpoolCheckTest, RottenContentIsToldThoughAStartTakesIt) {
    run(several_segments);
    const std::uint64_t segment = segments().at(1);
    const Batch batch = batches(segment)[1];
    damage(segment, batch.offset + batch.header.record_area_bytes() + 100);
    EXPECT_EQ(look().errors(), 1U) << seen_->told();
    const auto& finding = expect_error("the content of a message is damaged: piece ", false);
    EXPECT_EQ(finding.messages.size(), 1U);
    EXPECT_NE(finding.what.find(store::format::segment_name(segment)), std::string::npos);
}

TEST_F(SpoolCheckTest, DamageToSegmentFilesIsTold) {
    run(several_segments);
    const std::uint64_t segment = segments().at(1);
    const std::string path = path_of(segment);
    const std::string name = store::format::segment_name(segment);
    const std::string whole = disk().content_of(path).value();
    std::string changed = whole;
    changed[20] = static_cast<char>(changed[20] ^ 1);
    disk().put_file(path, changed);
    look();
    expect_error("the header of " + name + " is damaged", true);
    disk().put_file(path, whole.substr(0, whole.size() - store::format::kBlock));
    look();
    expect_error(name + " is " + std::to_string(whole.size() - store::format::kBlock), true);
    disk().put_file(path, std::string(whole.size(), '\0'));
    look();
    expect_error("are missing", true);
    remove(path);
    look();
    expect_error("are missing", true);
    disk().put_file(path, whole);
    look();
    expect_sound();
    remove(path_of(segments().front()));
    look();
    expect_error("the oldest segment, is missing", true);
}

TEST_F(SpoolCheckTest, TheLossOfTheLogsEndIsTold) {
    run(three_letters);
    remove(path_of(1));
    look();
    expect_error("batches 1 to 5, the newest that were acknowledged, are missing", true);
    disk().put_file("/spool/p000/established", "");
    disk().put_file(path_of(2), "");
    look();
    expect_error("the log has no valid batch left", true);
    for (const std::string& name : disk().names_in(kPartition)) {
        remove(std::string(kPartition) + "/" + name);
    }
    look();
    expect_error("there is no segment in the folder, though this partition has held a log", true);
}

TEST_F(SpoolCheckTest, SegmentsOfAnotherSpoolAreTold) {
    run(three_letters);
    store::format::Identity identity;
    std::vector<std::byte> block(store::format::kBlock);
    identity.store = {std::byte{1}, std::byte{2}};
    identity.partitions = 1;
    store::format::write_block(block, identity);
    disk().overwrite("/spool/identity", 0, block);
    look();
    expect_error("comes from elsewhere", true);
}

TEST_F(SpoolCheckTest, ADamagedIdentityIsToldAndItsCopyTaken) {
    run(three_letters);
    damage_file("/spool/identity", 3000);  // where it has nothing
    look();
    expect_sound();
    damage_file("/spool/identity.copy", 20);
    EXPECT_EQ(look().errors(), 1U);
    EXPECT_FALSE(seen_->find("identity.copy is damaged")->refused);
    run(nothing);  // writes it anew
    look();
    expect_sound();
    damage_file("/spool/identity", 20);
    EXPECT_EQ(look().errors(), 1U);
    EXPECT_TRUE(seen_->find("identity is damaged or missing")->refused);
    EXPECT_EQ(seen_->all.front().messages, 3U);
    const std::string refusal = world().run_once(nothing);
    EXPECT_NE(refusal.find("ringpost serve --salvage"), std::string::npos) << refusal;
    world().options().store.salvage = true;
    run(nothing);
    world().options().store.salvage = false;
    remove("/spool/identity");
    EXPECT_NE(world().run_once(nothing), "");
    world().options().store.salvage = true;
    run(nothing);
    look();
    expect_sound();
    EXPECT_EQ(world().oracle().alive().size(), 3U);
}

TEST_F(SpoolCheckTest, IdsThatAreUsedTwiceAreTold) {
    run(three_letters);
    put_commit_instead(1, id_of(2));
    look();
    EXPECT_EQ(seen_->errors(), 1U) << seen_->told();
    EXPECT_EQ(expect_error("commits a message under an id that another one has", false).messages,
              std::vector<mail::QueueId>{id_of(2)});
    put_commit_instead(1, mail::QueueId(7, 1, 1));
    look();
    EXPECT_EQ(seen_->errors(), 1U) << seen_->told();
    expect_error("commits a message with an id of partition 7", false);
}

TEST_F(SpoolCheckTest, WhatIsNoSpoolOrNewerIsAnError) {
    run(three_letters);
    const std::string whole = disk().content_of("/spool/identity").value();
    store::format::SegmentHeader header;
    std::vector<std::byte> block(store::format::kBlock);
    header.version = store::format::kVersion + 1;
    const std::string segment = disk().content_of(path_of(1)).value();
    store::format::write_block(block, header);
    disk().overwrite(path_of(1), 0, block);
    EXPECT_EQ(look().status.error().number(), EPROTONOSUPPORT);
    disk().put_file(path_of(1), segment);

    store::format::Identity identity;
    identity.version = store::format::kVersion + 1;
    store::format::write_block(block, identity);
    disk().overwrite("/spool/identity", 0, block);
    EXPECT_EQ(look().status.error().number(), EPROTONOSUPPORT);
    disk().put_file("/spool/identity", whole);
    disk().overwrite("/spool/identity", 17, std::as_bytes(std::span("x", 1)));
    disk().overwrite("/spool/identity.copy", 17, std::as_bytes(std::span("x", 1)));
    EXPECT_EQ(look().status.error().number(), EUCLEAN);
    remove("/spool/identity");
    remove("/spool/identity.copy");
    EXPECT_EQ(look().status.error().number(), ENOENT);
    EXPECT_NE(seen_->status.error().describe().find("is not a spool"), std::string::npos);
}

// A start refuses it, and so it is not sound.
TEST_F(SpoolCheckTest, AnEstablishedOfANewerVersionIsAnError) {
    run(three_letters);
    store::format::Established said;
    said.version = store::format::kVersion + 1;
    std::vector<std::byte> block(store::format::kBlock);
    store::format::write_block(block, said);
    disk().overwrite("/spool/p000/established", 0, block);
    const std::string refusal = world().run_once(nothing);
    EXPECT_EQ(look().status.error().number(), EPROTONOSUPPORT);
    const std::string told = seen_->status.error().describe();
    EXPECT_NE(told.find("/established was written by a newer version"), std::string::npos) << told;
    EXPECT_NE(refusal.find("/established was written by a newer version"), std::string::npos)
        << refusal;
}

TEST_F(SpoolCheckTest, WhatASalvageHasAcceptedIsANote) {
    run(three_letters);
    damage_records(1, batches(1)[2]);
    world().options().store.salvage = true;
    ASSERT_EQ(world().run_once(nothing), "");
    look();
    EXPECT_EQ(seen_->errors(), 0U) << seen_->told();
    expect_note("which a salvage has accepted");
}

TEST_F(SpoolCheckTest, LeftoversAreNotes) {
    run(three_letters);
    disk().put_file("/spool/p000/new.tmp", "half a segment");
    disk().put_file("/spool/p000/00000009.seg.damaged", "kept");
    disk().put_directory("/spool/p001");
    const char torn = 'x';
    disk().overwrite("/spool/p000/established", 40, std::as_bytes(std::span(&torn, 1)));
    look();
    EXPECT_EQ(seen_->errors(), 0U) << seen_->told();
    expect_note("new.tmp was being prepared");
    expect_note("established does not validate");
    expect_note("00000009.seg.damaged was put aside");
    expect_note("the identity does not count it");
    disk().put_file("/spool/p001/00000001.seg", "something");
    EXPECT_EQ(look().errors(), 1U) << seen_->told();
}

TEST_F(SpoolCheckTest, AFolderThatIsMissingIsTold) {
    run(three_letters);
    store::format::Identity identity;
    std::string block = disk().content_of("/spool/identity").value();
    ASSERT_EQ(store::format::read_block(base::as_bytes(block), identity),
              store::format::BlockState::good);
    identity.partitions = 2;
    std::vector<std::byte> changed(block.size());
    store::format::write_block(changed, identity);
    disk().overwrite("/spool/identity", 0, changed);
    disk().overwrite("/spool/identity.copy", 0, changed);
    EXPECT_EQ(look().errors(), 1U);
    const store::Finding* found = seen_->find("the folder /spool/p001 is missing");
    ASSERT_NE(found, nullptr);
    EXPECT_TRUE(found->refused);
    disk().put_directory(
        "/spool/p001");  // as a start with more shards leaves it, before it is used
    look();
    expect_sound();
}

rt::Task<void> some_stay(StoreProgram& program) {
    co_await two_stay(program, 40);
}

class CheckpointedSpoolCheckTest : public SpoolCheckTest {
  protected:
    CheckpointedSpoolCheckTest() { options_.store.checkpoint_bytes = 64U << 10U; }
};

TEST_F(CheckpointedSpoolCheckTest, ASoundOneHasNoFindings) {
    run(some_stay);
    look();
    expect_sound();
    EXPECT_EQ(seen_->all.front().checkpoints.size(), 2U);
    EXPECT_EQ(seen_->all.front().messages, 2U);
    EXPECT_EQ(seen_->all.front().bytes, 151'000U);
    EXPECT_GE(seen_->checkpoint_records, 6);
}

TEST_F(CheckpointedSpoolCheckTest, BothCheckpointsAreRead) {
    run(some_stay);
    const std::vector<std::string> paths = checkpoints();
    ASSERT_EQ(paths.size(), 2U);
    for (const std::string& path : paths) {
        damage_file(path, 100);
        EXPECT_EQ(look().errors(), 1U) << seen_->told();
        expect_error("is void: a page of it is damaged (page 0)", false);
        damage_file(path, 100);  // as it was
    }
    look();
    expect_sound();
    for (const std::string& path : paths) {
        remove(path);
    }
    look();
    EXPECT_GE(seen_->errors(), 1U);
    EXPECT_TRUE(std::ranges::any_of(seen_->findings,
                                    [](const store::Finding& one) { return one.refused; }));
}

// A start reads no record before its checkpoint.
TEST_F(CheckpointedSpoolCheckTest, DamageBeforeTheCheckpointIsToldThoughAStartTakesIt) {
    options_.store.cleaner_bytes_per_s = 0;  // the message stays where it was put
    run(some_stay);
    const std::uint64_t oldest = segments().front();
    const std::vector<Batch> found = batches(oldest);
    ASSERT_GE(found.size(), 2U);
    // The first message's commit, and its content behind it.
    damage_records(oldest, found[1]);
    look();
    const std::string place = "at offset " + std::to_string(found[1].offset);
    expect_error(place, false);
    const auto& lost = expect_error("the commit record of a message is not there", false);
    EXPECT_EQ(lost.messages, std::vector<mail::QueueId>{id_of(1)});
    damage_file(path_of(oldest), found[1].offset + 9);
    look();
    expect_error("no batch validates in the", false);
}

TEST_F(CheckpointedSpoolCheckTest, TheContentOfAMovedMessageIsShownOnce) {
    run(some_stay);
    wanted_ = id_of(1);
    const std::string content = content_of(1, 1'000);
    look(false);
    EXPECT_GE(seen_->commits_of_wanted, 2);
    EXPECT_EQ(seen_->text, content);
    // Whichever of its copies is the one that is left.
    struct Copy {
        std::uint64_t segment = 0;
        std::uint64_t offset = 0;
    };
    std::vector<Copy> copies;
    for (const std::uint64_t segment : segments()) {
        const std::string file = disk().content_of(path_of(segment)).value_or("");
        for (std::size_t at = file.find(content); at != std::string::npos;
             at = file.find(content, at + 1)) {
            copies.push_back({segment, at});
        }
    }
    ASSERT_GE(copies.size(), 2U);
    for (const Copy& copy : copies) {
        damage(copy.segment, copy.offset);
    }
    EXPECT_EQ(look(false).text, "(lost)");
    for (const Copy& copy : copies) {
        damage(copy.segment, copy.offset);  // as it was
        EXPECT_EQ(look(false).text, content);
        damage(copy.segment, copy.offset);
    }
}

TEST_F(CheckpointedSpoolCheckTest, ALostOutcomeIsTold) {
    run(some_stay);
    // Of all batches before the checkpoint with nothing but the outcome that still counts.
    int told = 0;
    const std::vector<std::uint64_t> all = segments();
    for (const std::uint64_t segment : all) {
        const std::vector<Batch> found = batches(segment);
        for (const Batch& batch : found) {
            damage_records(segment, batch);
            look();
            told += seen_->find("the last outcome of recipient 1 is not there") != nullptr ? 1 : 0;
            damage_records(segment, batch);  // as it was
        }
        if (told > 0) {
            break;
        }
    }
    EXPECT_GT(told, 0);
}

// While messages come and go, and segments and checkpoints with them.
rt::Task<void> look_again_and_again(StoreProgram& program, bool& stop, std::vector<Seen*>& looks) {
    store::SpoolCheckOptions options;
    options.spool = "/spool";
    options.in_use = true;
    while (!stop) {
        looks.push_back(new Seen());
        co_await check_into(program.shard(), options, *looks.back());
    }
}

std::vector<Seen*> looks_of_the_last_run;

rt::Task<void> busy_and_looked_at(StoreProgram& program) {
    bool stop = false;
    rt::Scope beside(program.shard(), "looking");
    beside.spawn(look_again_and_again(program, stop, looks_of_the_last_run));
    co_await some_stay(program);
    stop = true;
    co_await beside.join();
}

TEST_F(CheckpointedSpoolCheckTest, ASpoolInUseHasNoErrors) {
    // Slow reads, so that much happens during each look.
    for (int i = 0; i < 200; ++i) {
        world().host().inject({.code = io::OpCode::read, .skip = 12, .delay = milliseconds(30)});
    }
    run(busy_and_looked_at);
    EXPECT_GE(looks_of_the_last_run.size(), 5U);
    std::uint64_t messages = 0;
    std::size_t whole = 0;
    for (const Seen* seen : looks_of_the_last_run) {
        whole += seen->status.has_value() ? 1 : 0;
        EXPECT_TRUE(seen->status.has_value() || seen->status.error().number() == EAGAIN)
            << seen->status.error().describe();
        EXPECT_EQ(seen->errors(), 0U) << seen->told();
        messages += seen->all.empty() ? 0 : seen->all.front().messages;
        delete seen;
    }
    looks_of_the_last_run.clear();
    EXPECT_GE(whole, 5U);
    EXPECT_GT(messages, 0U);
}

// Damage stays, and is told then, too.
rt::Task<void> damaged_and_looked_at(StoreProgram& program) {
    const std::string path = "/spool/p000/00000001.seg";
    const std::string content = program.disk().content_of(path).value();
    const std::byte changed{static_cast<unsigned char>(content.at(20) ^ 1)};
    program.disk().overwrite(path, 20, base::Bytes(&changed, 1));
    co_await program.pause(milliseconds(300));
    store::SpoolCheckOptions options;
    options.spool = "/spool";
    options.in_use = true;
    looks_of_the_last_run.push_back(new Seen());
    co_await check_into(program.shard(), options, *looks_of_the_last_run.back());
    program.disk().overwrite(path, 0, base::as_bytes(content).first(store::format::kBlock));
}

TEST_F(SpoolCheckTest, DamageInASpoolInUseIsTold) {
    run(three_letters);
    run(damaged_and_looked_at);
    ASSERT_EQ(looks_of_the_last_run.size(), 1U);
    seen_.reset(std::exchange(looks_of_the_last_run, {}).front());
    EXPECT_EQ(seen_->errors(), 1U) << seen_->told();
    expect_error("the header of 00000001.seg is damaged", true);
}

}  // namespace
}  // namespace crash
