// What a stop on a full disk leaves behind.
#include <chrono>
#include <cstdint>

#include "unit/store/store_fixture.h"

namespace crash {
namespace {

using std::chrono::milliseconds;

class FullDiskTest : public StoreFixture {
  protected:
    FullDiskTest() {
        options_.store.segment_bytes = 1U << 20U;
        options_.sim.disk.capacity_bytes = 6U << 20U;
    }
    // Of all messages: outcomes that were recorded and are not durable.
    [[nodiscard]] std::size_t lost() {
        std::size_t count = 0;
        for (const mail::QueueId message : world().oracle().alive()) {
            const RecipientModel& model = world().oracle().message(message).recipients.at(0);
            count += model.asked.size() - 1 - model.durable;
        }
        return count;
    }
};

rt::Task<void> until_full(StoreProgram& program) {
    for (std::uint64_t i = 1; program.refusals() == 0 && !program.dead(); ++i) {
        co_await program.put(letter_of(i, 30'000), 30'000);
    }
}

// Gone before any of them is durable.
rt::Task<void> record_and_go(StoreProgram& program, int count) {
    const std::vector<mail::QueueId> alive = program.oracle().alive();
    for (int i = 0; i < count; ++i) {
        program.record(alive[static_cast<std::size_t>(i) % alive.size()], 0,
                       store::RecipientStatus::deferred);
    }
    co_return;
}
rt::Task<void> record_a_few(StoreProgram& program) {
    co_await record_and_go(program, 900);
}
// More than the segments hold that are prepared.
rt::Task<void> record_much(StoreProgram& program) {
    co_await record_and_go(program, 20'000);
}
// … and the reserve besides.
rt::Task<void> record_too_much(StoreProgram& program) {
    co_await record_and_go(program, 60'000);
}

TEST_F(FullDiskTest, AStopUsesTheReserveForOutcomes) {
    run(until_full);
    disk().set_capacity_bytes(0);  // nothing can be made any more
    run(record_much);
    EXPECT_EQ(lost(), 0U);
    run(record_a_few);
    EXPECT_EQ(lost(), 0U);
    EXPECT_TRUE(logged("no new mail is taken until there is room"));
    EXPECT_FALSE(logged("not even in the reserve"));
    run(nothing);
}

TEST_F(FullDiskTest, AStopGivesOutcomesUpOnlyWhenTheReserveIsGoneAndSaysSo) {
    run(until_full);
    disk().set_capacity_bytes(0);
    run(record_too_much);
    EXPECT_GT(lost(), 0U);
    EXPECT_TRUE(logged("have no room on the disk, not even in the reserve"));
    disk().set_capacity_bytes(std::uint64_t{1} << 40U);
    run(record_a_few);  // the next start is left a segment, and goes on
    run(nothing);
}

rt::Task<void> outcomes_wait_for_room(StoreProgram& program) {
    co_await record_a_few(program);
    for (int i = 0; i < 100 && program.store().takes_outcomes(); ++i) {
        co_await program.pause(milliseconds(100));
        co_await record_a_few(program);
    }
    EXPECT_FALSE(program.store().takes_outcomes());  // so deliveries pause
    program.disk().set_capacity_bytes(std::uint64_t{1} << 40U);
    co_await program.pause(std::chrono::seconds(3));
    EXPECT_TRUE(program.store().takes_outcomes());
}

TEST_F(FullDiskTest, OutcomesWithoutRoomWaitAndAreWrittenWhenThereIsRoom) {
    run(until_full);
    disk().set_capacity_bytes(0);
    run(outcomes_wait_for_room);
    EXPECT_EQ(lost(), 0U);
    run(nothing);
}

}  // namespace
}  // namespace crash
