// The two owners of driver.h, over the smallest driver that can count.
#include "io/driver.h"

#include <map>

#include <gtest/gtest.h>

namespace {

using io::Handle;

class CountingDriver final : public io::Driver {
  public:
    std::map<Handle, int> closed;
    std::map<std::int32_t, int> returned;
    std::byte memory[64] = {};

    void close(Handle handle) override { ++closed[handle]; }
    base::MutableBytes buffer(io::BufferRingId, std::int32_t) override { return memory; }
    void return_buffer(io::BufferRingId, std::int32_t id) override { ++returned[id]; }

    // The owners call none of these.
    void submit(io::Op&) override { RP_PANIC("submit"); }
    void cancel(io::Op&) override { RP_PANIC("cancel"); }
    std::span<const io::Reaped> wait(base::MonoTime) override { RP_PANIC("wait"); }
    base::MonoTime now() override { RP_PANIC("now"); }
    base::WallTime wall_now() override { RP_PANIC("wall_now"); }
    void random(base::MutableBytes) override { RP_PANIC("random"); }
    base::Result<io::BufferRingId> add_buffer_ring(std::uint32_t, std::uint32_t) override {
        RP_PANIC("add_buffer_ring");
    }
    base::Result<Handle> listen(const io::SocketAddress&, const io::ListenOptions&) override {
        RP_PANIC("listen");
    }
    base::Result<Handle> socket(int, const io::SocketAddress&) override { RP_PANIC("socket"); }
    io::SocketAddress local_address(Handle) override { RP_PANIC("local_address"); }
    io::SocketAddress peer_address(Handle) override { RP_PANIC("peer_address"); }
    base::Result<std::vector<std::string>> list_directory(Handle) override {
        RP_PANIC("list_directory");
    }
    base::Result<std::uint64_t> file_size(Handle) override { RP_PANIC("file_size"); }
    void drop_cache(Handle) override { RP_PANIC("drop_cache"); }
    base::Status try_lock(Handle) override { RP_PANIC("try_lock"); }
    base::Result<io::SpaceInfo> space(Handle) override { RP_PANIC("space"); }
    void ring_doorbell(io::Driver&) override { RP_PANIC("ring_doorbell"); }
    void wake() override { RP_PANIC("wake"); }
    void fatal(std::string_view) override { RP_PANIC("fatal"); }
    bool dead() const override { return false; }
    const io::DriverCounters& counters() const override { RP_PANIC("counters"); }
};

TEST(OwnedHandle, ClosesOnce) {
    CountingDriver driver;
    {
        io::OwnedHandle first(driver, 3);
        io::OwnedHandle second = std::move(first);
        EXPECT_EQ(second.get(), 3);
        io::OwnedHandle third(driver, 4);
        third = std::move(second);
        EXPECT_EQ(driver.closed[4], 1);
        io::OwnedHandle kept(driver, 5);
        EXPECT_EQ(kept.release(), 5);
        const io::OwnedHandle none(driver, -2);
        EXPECT_FALSE(none);
    }
    EXPECT_EQ(driver.closed, (std::map<Handle, int>{{3, 1}, {4, 1}}));
}

TEST(Lease, GoesBackOnce) {
    CountingDriver driver;
    {
        io::Lease first(driver, 0, {.result = 5, .buffer = 7});
        EXPECT_EQ(first.bytes().size(), 5U);
        io::Lease second = std::move(first);
        io::Lease third;
        third = std::move(second);
        EXPECT_TRUE(third.bytes().data() == driver.memory);
        third.reset();
        EXPECT_FALSE(third);
        EXPECT_TRUE(third.bytes().empty());
        third = io::Lease(driver, 0, {.result = 64, .buffer = 8});
    }
    EXPECT_EQ(driver.returned, (std::map<std::int32_t, int>{{7, 1}, {8, 1}}));
}

}  // namespace
