// Crashes after every event of small scenarios, with what was not durable lost, torn or kept as
// each seed says; a restart; and often a second crash in the midst of that. The oracle judges.
#include <algorithm>
#include <cstdlib>
#include <functional>

#include <gtest/gtest.h>

#include "base/prng.h"
#include "crash/store_program.h"

namespace crash {
namespace {

constexpr std::uint64_t kCrashSeeds = 3;
constexpr std::uint64_t kSecondCrashes = 3;

// Every event, or, where a sanitizer makes each run ten times as slow, each of that many.
constexpr std::uint32_t kStride = RINGPOST_CRASH_STRIDE;
// With this in the environment, long scenarios too are cut at every event.
constexpr const char* kEvery = "CRASH_EVERY_EVENT";

Letter letter(std::uint64_t number, std::size_t bytes, std::size_t recipients = 1) {
    Letter made;
    made.sender = "sender" + std::to_string(number) + "@src.test";
    for (std::size_t i = 0; i < recipients; ++i) {
        made.recipients.push_back("r" + std::to_string(i) + "@dst.test");
    }
    made.headers = "Received: by relay.test; number " + std::to_string(number) + "\r\n";
    made.content = content_of(number, bytes);
    return made;
}

rt::Task<void> one_small(StoreProgram& program) {
    co_await program.put(letter(1, 700), 100);
}

rt::Task<void> empty_content(StoreProgram& program) {
    co_await program.put(letter(1, 0), 100);
}

// Streams out in earlier batches, over three segments.
rt::Task<void> many_extents(StoreProgram& program) {
    co_await program.put(letter(1, 170'000), 30'000);
}

rt::Task<void> three_at_once(StoreProgram& program) {
    program.scope().spawn(program.put(letter(1, 5'000), 1'000));
    program.scope().spawn(program.put(letter(2, 20'000), 7'000));
    program.scope().spawn(program.put(letter(3, 300), 50));
    co_await program.scope().join();
}

rt::Task<void> aborted(StoreProgram& program) {
    program.scope().spawn(program.abort(content_of(7, 100'000)));
    program.scope().spawn(program.put(letter(1, 900), 300));
    co_await program.abort(content_of(8, 5'000));
    co_await program.scope().join();
}

// Fills segments and frees them again, so that recycled ones with stale bytes come into use.
rt::Task<void> rotation(StoreProgram& program) {
    for (std::uint64_t i = 1; i <= 5; ++i) {
        co_await program.put(letter(i, 30'000), 9'000);
        if (program.dead()) {
            co_return;
        }
        if (i % 2 == 0) {
            co_await program.finish_all();
        }
    }
}

// Frees several segments at once, by the oldest message's end, and then is idle: the pool takes
// them off the disk while no later batch comes that would say so.
rt::Task<void> freeing(StoreProgram& program) {
    for (std::uint64_t i = 1; i <= 4; ++i) {
        co_await program.put(letter(i, 50'000), 25'000);
    }
    std::vector<mail::QueueId> alive = program.oracle().alive();
    std::ranges::sort(alive, std::ranges::greater());
    for (const mail::QueueId message : alive) {
        if (program.dead()) {
            co_return;
        }
        co_await program.finish(message);
    }
    co_await program.pause(std::chrono::milliseconds(300));
}

// A crashed program runs its script again, so there may be more messages than this run put in.
rt::Task<void> outcomes(StoreProgram& program) {
    using store::RecipientStatus;
    co_await program.put(letter(1, 700, 3), 700);
    co_await program.put(letter(2, 700, 1), 700);
    mail::QueueId message;
    for (const mail::QueueId alive : program.oracle().alive()) {
        if (program.oracle().message(alive).recipients.size() == 3) {
            message = alive;
        }
    }
    if (program.dead() || message == mail::QueueId()) {
        co_return;  // crashed, or refused for want of room
    }
    program.record(message, 0, RecipientStatus::delivered);
    program.record(message, 1, RecipientStatus::deferred);
    co_await program.record_and_wait(message, 1, RecipientStatus::deferred);
    if (program.dead()) {
        co_return;
    }
    program.record(message, 2, RecipientStatus::failed);
    program.record(message, 1, RecipientStatus::delivered);
    co_await program.finish(message);
    co_await program.pause(std::chrono::milliseconds(300));
}

// Four messages stay, deferred again and again, while others come and go: so checkpoints are
// written beside the log, and segments between those that stay are freed.
rt::Task<void> checkpoints(StoreProgram& program) {
    for (std::uint64_t i = 1; i <= 16; ++i) {
        co_await program.put(letter(i, i % 5 == 0 ? 45'000 : 15'000, i % 4 == 0 ? 2 : 1), 15'000);
        if (program.dead()) {
            co_return;
        }
        const std::vector<mail::QueueId> alive = program.oracle().alive();
        for (const mail::QueueId message : alive) {
            if (program.oracle().message(message).recipients.size() == 2) {
                program.record(message, i % 2, store::RecipientStatus::deferred);
            }
        }
        for (const mail::QueueId message : alive) {
            if (program.oracle().message(message).recipients.size() == 1 && !program.dead()) {
                co_await program.finish(message);
            }
        }
    }
}

// Of each segment one message stays: the cleaner moves them together.
rt::Task<void> relocation(StoreProgram& program) {
    for (std::uint64_t i = 1; i <= 20; ++i) {
        co_await program.put(letter(i, i % 3 == 0 ? 4'000 : 28'000), 28'000);
        if (program.dead()) {
            co_return;
        }
        const std::vector<mail::QueueId> alive = program.oracle().alive();
        if (i % 3 == 0 && !alive.empty()) {
            program.record(alive.back(), 0, store::RecipientStatus::deferred);
        } else if (!alive.empty()) {
            co_await program.finish(alive.back());
        }
    }
    co_await program.pause(std::chrono::milliseconds(500));
}

// What each restarted store does after it was verified: goes on in the same log.
rt::Task<void> afterwards(StoreProgram& program) {
    co_await program.put(letter(1000, 2'000), 900);
    if (program.dead()) {
        co_return;
    }
    co_await program.verify();
}

rt::Task<void> empties(StoreProgram& program) {
    co_await program.finish_all();
}

rt::Task<void> nothing(StoreProgram& program) {
    if (!program.dead() && !program.oracle().alive().empty()) {
        program.oracle().fault("something came back after all had ended");
    }
    co_return;
}

struct Scenario {
    const char* name;
    StoreProgram::Script script;
    bool direct = true;
    std::uint32_t sector_bytes = 512;
    sim::NameOrder names = sim::NameOrder::prefix;
    bool tear_inside_sectors = false;
    std::uint64_t checkpoint_bytes = 0;
    std::uint32_t stride = 1;  // of a long one only each of so many events
};

void PrintTo(const Scenario& scenario, std::ostream* out) {
    *out << scenario.name;
}

StoreWorldOptions options_for(const Scenario& scenario, bool to_the_end) {
    StoreWorldOptions options;
    options.sim.disk.sector_bytes = scenario.sector_bytes;
    options.sim.disk.names = scenario.names;
    options.sim.disk.tear_inside_sectors = scenario.tear_inside_sectors;
    options.store = small_store();
    options.store.direct_io = scenario.direct;
    options.store.checkpoint_bytes = scenario.checkpoint_bytes;
    options.scripts = {scenario.script, afterwards};
    if (to_the_end) {
        options.scripts.push_back(empties);
        options.scripts.push_back(nothing);
    }
    return options;
}

std::uint32_t stride_of(const Scenario& scenario) {
    return std::getenv(kEvery) != nullptr ? 1 : kStride * scenario.stride;
}

std::string described(StoreWorld& world) {
    std::string text;
    for (const std::string& fault : world.oracle().faults()) {
        text += fault + "\n";
    }
    for (const std::string& line : world.log()) {
        text += "  log: " + line + "\n";
    }
    return text + "  fatal: " + world.host().fatal_sentence();
}

class CrashTest : public testing::TestWithParam<Scenario> {};

TEST_P(CrashTest, AfterEveryEvent) {
    StoreWorld clean(options_for(GetParam(), true));
    ASSERT_TRUE(clean.run());
    ASSERT_TRUE(clean.oracle().faults().empty()) << described(clean);
    ASSERT_GT(clean.oracle().acknowledged_count(), 1U);
    const std::uint64_t first_events = clean.starts().at(1);

    std::uint64_t runs = 0;
    std::uint64_t torn = 0;
    for (std::uint64_t event = 0; event < first_events; event += stride_of(GetParam())) {
        for (std::uint64_t seed = 1; seed <= kCrashSeeds; ++seed) {
            StoreWorld world(options_for(GetParam(), seed == 1));
            world.world().crash_at_event(world.host(), event, seed);
            ASSERT_TRUE(world.run()) << "event " << event << " seed " << seed;
            ASSERT_TRUE(world.oracle().faults().empty())
                << "event " << event << " seed " << seed << "\n"
                << described(world);
            torn += world.host().last_crash().writes_torn;
            ++runs;
        }
    }
    EXPECT_GT(torn, 0U);
    RecordProperty("runs", static_cast<int>(runs));
    RecordProperty("torn_writes", static_cast<int>(torn));
}

// The second crash comes while the first one's restart recovers, or soon after.
TEST_P(CrashTest, TwiceInARow) {
    StoreWorld clean(options_for(GetParam(), true));
    ASSERT_TRUE(clean.run());
    const std::uint64_t first_events = clean.starts().at(1);
    base::Prng prng(7);
    for (std::uint64_t event = 0; event < first_events; event += stride_of(GetParam())) {
        StoreWorld once(options_for(GetParam(), false));
        once.world().crash_at_event(once.host(), event, event);
        ASSERT_TRUE(once.run());
        ASSERT_GE(once.starts().size(), 3U);
        const std::uint64_t from = once.starts().at(1);
        const std::uint64_t until = once.starts().at(2);
        for (std::uint64_t i = 0; i < kSecondCrashes; ++i) {
            const std::uint64_t second = from + prng.below(until - from);
            StoreWorld world(options_for(GetParam(), false));
            world.world().crash_at_event(world.host(), event, event);
            world.world().crash_at_event(world.host(), second, i);
            ASSERT_TRUE(world.run()) << "events " << event << ", " << second;
            ASSERT_TRUE(world.oracle().faults().empty())
                << "events " << event << ", " << second << " seed " << i << "\n"
                << described(world);
        }
    }
}

// A killed process's writes go on; what its successor read must hold even if the power fails then.
TEST_P(CrashTest, KilledAtEveryEventThenCrashed) {
    StoreWorld clean(options_for(GetParam(), false));
    ASSERT_TRUE(clean.run());
    const std::uint64_t first_events = clean.starts().at(1);
    base::Prng prng(9);
    for (std::uint64_t event = 0; event < first_events; event += stride_of(GetParam())) {
        StoreWorld world(options_for(GetParam(), false));
        world.kill_at_event(event);
        const std::uint64_t second = world.world().events() + prng.below(first_events);
        world.world().crash_at_event(world.host(), second, event);
        ASSERT_TRUE(world.run()) << "events " << event << ", " << second;
        ASSERT_TRUE(world.oracle().faults().empty()) << "events " << event << ", " << second << "\n"
                                                     << described(world);
    }
}

// Each operation of that kind fails once; the process ends, or refuses to start, or goes without
// what it wanted; and is started again.
TEST_P(CrashTest, EveryWriteAndSyncFailsOnce) {
    const std::pair<io::OpCode, int> kinds[] = {
        {io::OpCode::write_vector, EIO}, {io::OpCode::sync, EIO},    {io::OpCode::write, EIO},
        {io::OpCode::rename, EIO},       {io::OpCode::open, EMFILE}, {io::OpCode::allocate, ENOSPC},
        {io::OpCode::write, ENOSPC}};
    for (const auto& [code, error] : kinds) {
        for (std::uint32_t skip = 0;; skip += stride_of(GetParam())) {
            StoreWorld world(options_for(GetParam(), false));
            world.host().inject({.code = code, .skip = skip, .error = error});
            // The script runs once; what the failed operation dropped may be in the cache until the
            // power fails, after the second run.
            std::string refusal;
            bool met = false;
            for (int run = 0; run < 3; ++run) {
                for (int tries = 0; tries < 3; ++tries) {
                    refusal = world.run_once(run == 0 ? GetParam().script : afterwards);
                    if (refusal.empty()) {
                        break;
                    }
                }
                ASSERT_EQ(refusal, "") << io::name_of(code) << " " << skip << " run " << run;
                met = met || world.host().injections_left() == 0;
                if (run > 0) {
                    base::Prng prng(skip);
                    world.host().disk().crash(prng);
                }
            }
            ASSERT_TRUE(world.oracle().faults().empty()) << io::name_of(code) << " " << skip << "\n"
                                                         << described(world);
            if (!met) {
                break;
            }
        }
    }
}

// Fills the disk; the next time it is started someone has made room.
rt::Task<void> full_disk(StoreProgram& program) {
    if (program.oracle().acknowledged_count() > 0) {
        program.disk().set_capacity_bytes(std::uint64_t{1} << 40U);
    }
    const std::uint64_t before = program.refusals();
    for (std::uint64_t i = 1; i <= 12 && program.refusals() == before; ++i) {
        co_await program.put(letter(i, 30'000), 9'000);
        if (program.dead()) {
            co_return;
        }
    }
    const std::vector<mail::QueueId> alive = program.oracle().alive();
    for (const mail::QueueId message : alive) {
        program.record(message, 0, store::RecipientStatus::deferred);
    }
    if (!alive.empty()) {
        co_await program.finish(alive.front());
    }
}

// Of the last run that came to its end.
std::uint64_t moved_on_a_full_disk = 0;

// The same, with checkpoints and the cleaner: of every three messages one stays, until those that
// stay, and their checkpoints, leave no room.
rt::Task<void> full_disk_relocation(StoreProgram& program) {
    if (program.oracle().acknowledged_count() > 0) {
        program.disk().set_capacity_bytes(std::uint64_t{1} << 40U);
    }
    const std::uint64_t before = program.refusals();
    for (std::uint64_t i = 1; i <= 40 && program.refusals() < before + 2; ++i) {
        co_await program.put(letter(i, i % 3 == 0 ? 20'000 : 28'000), 28'000);
        if (program.dead()) {
            co_return;
        }
        const std::vector<mail::QueueId> alive = program.oracle().alive();
        if (i % 3 == 0 && !alive.empty()) {
            program.record(alive.back(), 0, store::RecipientStatus::deferred);
        } else if (!alive.empty()) {
            co_await program.finish(alive.back());
        }
    }
    co_await program.pause(std::chrono::seconds(2));
    moved_on_a_full_disk = program.store().counters().messages_moved;
}

struct FullScenario {
    Scenario scenario;
    std::uint64_t disk_bytes;
};

void PrintTo(const FullScenario& full, std::ostream* out) {
    *out << full.scenario.name;
}

class FullDisk : public testing::TestWithParam<FullScenario> {};

TEST_P(FullDisk, AfterEveryEvent) {
    const Scenario& scenario = GetParam().scenario;
    StoreWorldOptions options = options_for(scenario, false);
    options.sim.disk.capacity_bytes = GetParam().disk_bytes;
    StoreWorld clean(options);
    ASSERT_EQ(clean.run_once(scenario.script), "");
    ASSERT_TRUE(clean.oracle().faults().empty()) << described(clean);
    const std::string log = described(clean);
    ASSERT_NE(log.find("no new mail is taken until there is room"), log.npos) << log;
    ASSERT_GT(clean.oracle().acknowledged_count(), 2U);
    for (std::uint64_t event = 0; event < clean.world().events(); event += stride_of(scenario)) {
        StoreWorld world(options);
        world.world().crash_at_event(world.host(), event, event);
        ASSERT_TRUE(world.run()) << "event " << event;
        ASSERT_TRUE(world.oracle().faults().empty()) << "event " << event << "\n"
                                                     << described(world);
    }
}

constexpr std::uint64_t kSmallCheckpoints = 64U << 10U;

INSTANTIATE_TEST_SUITE_P(
    Store, FullDisk,
    testing::Values(FullScenario{{"full_disk", full_disk}, 420U << 10U},
                    FullScenario{{"full_disk_relocation", full_disk_relocation, true, 512,
                                  sim::NameOrder::prefix, false, kSmallCheckpoints, 7},
                                 900U << 10U},
                    FullScenario{{"full_disk_relocation_names", full_disk_relocation, false, 4096,
                                  sim::NameOrder::independent, true, kSmallCheckpoints, 15},
                                 900U << 10U}),
    [](const testing::TestParamInfo<FullScenario>& full) {
        return std::string(full.param.scenario.name);
    });

INSTANTIATE_TEST_SUITE_P(
    Store, CrashTest,
    testing::Values(
        Scenario{"one_small", one_small}, Scenario{"empty_content", empty_content},
        Scenario{"many_extents", many_extents}, Scenario{"three_at_once", three_at_once},
        Scenario{"aborted", aborted}, Scenario{"rotation", rotation}, Scenario{"freeing", freeing},
        Scenario{"outcomes", outcomes},
        Scenario{"checkpoints", checkpoints, true, 512, sim::NameOrder::prefix, false, 64U << 10U,
                 4},
        Scenario{"relocation", relocation, true, 512, sim::NameOrder::prefix, false, 64U << 10U, 4},
        Scenario{"checkpoints_names", checkpoints, false, 4096, sim::NameOrder::independent, true,
                 64U << 10U, 9},
        Scenario{"one_small_buffered", one_small, false},
        Scenario{"many_extents_buffered", many_extents, false},
        Scenario{"outcomes_buffered", outcomes, false},
        Scenario{"three_at_once_names", three_at_once, true, 4096, sim::NameOrder::independent},
        Scenario{"rotation_names", rotation, true, 512, sim::NameOrder::independent},
        Scenario{"three_at_once_torn", three_at_once, true, 4096, sim::NameOrder::prefix, true}),
    [](const testing::TestParamInfo<Scenario>& scenario) { return scenario.param.name; });

}  // namespace
}  // namespace crash
