// The calls of a driver that act at once, and what files are besides their ops.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>

#include "ring/conformance.h"

namespace ring_test {
namespace {

constexpr std::size_t kBlock = 4096;

struct Freed {
    void operator()(void* memory) const { std::free(memory); }
};

TEST_P(Conformance, ListenersSayWhereTheyAre) {
    const auto [listener, address] = bench().listen();
    EXPECT_EQ(address.host(), "127.0.0.1");
    EXPECT_NE(address.port(), 0);
    EXPECT_TRUE(bench().driver().peer_address(listener.get()).empty());
}

TEST_P(Conformance, TwoListenersShareAnAddressIfBothAgree) {
    const auto [listener, address] = bench().listen();
    const base::Result<io::Handle> second = bench().driver().listen(address, {});
    ASSERT_TRUE(second.has_value()) << second.error().describe();
    const io::OwnedHandle owned = bench().own(*second);
    const base::Result<io::Handle> third =
        bench().driver().listen(address, {.backlog = 1, .reuse_port = false});
    ASSERT_FALSE(third.has_value());
    EXPECT_EQ(third.error().number(), EADDRINUSE);
    EXPECT_NE(third.error().text().find(address.text()), std::string::npos) << third.error().text();
}

TEST_P(Conformance, ASocketMayHaveASourceAddress) {
    const auto [listener, address] = bench().listen();
    const base::Result<io::Handle> socket =
        bench().driver().socket(AF_INET, io::SocketAddress::ipv4(INADDR_LOOPBACK + 1, 0));
    ASSERT_TRUE(socket.has_value()) << socket.error().describe();
    const io::OwnedHandle owned = bench().own(*socket);
    RecordedOp connect;
    connect.prepare_connect(*socket, address);
    EXPECT_EQ(bench().run(connect), 0);
    EXPECT_EQ(bench().driver().local_address(*socket).host(), "127.0.0.2");
    EXPECT_NE(bench().driver().local_address(*socket).port(), 0);
}

TEST_P(Conformance, ClocksGoOn) {
    io::Driver& driver = bench().driver();
    const base::MonoTime mono = driver.now();
    const base::WallTime wall = driver.wall_now();
    bench().settle();
    EXPECT_GT(driver.now(), mono);
    EXPECT_GT(driver.wall_now(), wall);
    EXPECT_GT(base::unix_ms(wall), 0);
}

TEST_P(Conformance, RandomBytesDiffer) {
    std::array<std::byte, 1000> first{};
    std::array<std::byte, 1000> second{};
    bench().driver().random(first);
    bench().driver().random(second);
    EXPECT_NE(first, second);
    // No run of zeros where one draw ends and the next begins.
    EXPECT_LT(std::ranges::count(first, std::byte{}), 30);
    bench().driver().random({});
}

TEST_P(Conformance, ADirectoryListsItsNames) {
    static_cast<void>(bench().file("b", ""));
    static_cast<void>(bench().file("a", "x"));
    RecordedOp make;
    make.prepare_make_directory(bench().directory(), "below", 0700);
    ASSERT_EQ(bench().run(make), 0);
    for (int i = 0; i < 2; ++i) {
        base::Result<std::vector<std::string>> names =
            bench().driver().list_directory(bench().directory());
        ASSERT_TRUE(names.has_value());
        std::ranges::sort(*names);
        EXPECT_EQ(*names, (std::vector<std::string>{"a", "b", "below"}));
    }
    const io::OwnedHandle file = bench().open("a", {});
    const auto not_a_directory = bench().driver().list_directory(file.get());
    ASSERT_FALSE(not_a_directory.has_value());
    EXPECT_EQ(not_a_directory.error().number(), ENOTDIR);
}

TEST_P(Conformance, ALockIsHeldByOneOpenFile) {
    io::OwnedHandle first = bench().file("lock", "");
    const io::OwnedHandle second = bench().open("lock", {.write = true});
    EXPECT_TRUE(bench().driver().try_lock(first.get()).has_value());
    EXPECT_TRUE(bench().driver().try_lock(first.get()).has_value()) << "it has it already";
    const base::Status refused = bench().driver().try_lock(second.get());
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().number(), EWOULDBLOCK);
    first.reset();
    bench().settle();
    EXPECT_TRUE(bench().driver().try_lock(second.get()).has_value());
}

TEST_P(Conformance, ThereIsSpace) {
    const base::Result<io::SpaceInfo> space = bench().driver().space(bench().directory());
    ASSERT_TRUE(space.has_value());
    EXPECT_GT(space->free_bytes, 0U);
    EXPECT_GE(space->total_bytes, space->free_bytes);
}

TEST_P(Conformance, DirectFilesTakeWholeBlocksOnly) {
    const std::unique_ptr<void, Freed> memory(std::aligned_alloc(kBlock, 2 * kBlock));
    auto* const bytes = static_cast<std::byte*>(memory.get());
    std::fill_n(bytes, 2 * kBlock, std::byte{'x'});
    const io::OwnedHandle file =
        bench().open("direct", {.write = true, .create = true, .direct = true, .dsync = true});
    RecordedOp op;
    op.prepare_write(file.get(), {bytes, 2 * kBlock}, 0);
    ASSERT_EQ(bench().run(op), static_cast<std::int32_t>(2 * kBlock));
    op.prepare_write(file.get(), {bytes, kBlock}, 100);
    EXPECT_EQ(bench().run(op), -EINVAL) << "offset";
    op.prepare_write(file.get(), {bytes, 100}, 0);
    EXPECT_EQ(bench().run(op), -EINVAL) << "size";
    op.prepare_write(file.get(), {bytes + 1, kBlock}, 0);
    EXPECT_EQ(bench().run(op), -EINVAL) << "memory";
    op.prepare_read(file.get(), {bytes, kBlock}, 100);
    EXPECT_EQ(bench().run(op), -EINVAL) << "offset of a read";
    std::fill_n(bytes, kBlock, std::byte{});
    op.prepare_read(file.get(), {bytes, kBlock}, kBlock);
    EXPECT_EQ(bench().run(op), static_cast<std::int32_t>(kBlock));
    EXPECT_EQ(bytes[0], std::byte{'x'});
    EXPECT_EQ(bytes[kBlock - 1], std::byte{'x'});
}

TEST_P(Conformance, AWriteBeyondTheEndLeavesZeros) {
    const io::OwnedHandle file = bench().file("holes", "ab");
    RecordedOp op;
    op.prepare_write(file.get(), base::as_bytes("cd"), 6);
    EXPECT_EQ(bench().run(op), 2);
    EXPECT_EQ(bench().content("holes"), std::string("ab\0\0\0\0cd", 8));
}

TEST_P(Conformance, ADroppedCacheLosesNothing) {
    const io::OwnedHandle file = bench().file("cached", "ab");
    RecordedOp op;
    op.prepare_write(file.get(), base::as_bytes("cd"), 2);
    EXPECT_EQ(bench().run(op), 2);
    bench().driver().drop_cache(file.get());
    EXPECT_EQ(bench().content("cached"), "abcd");
    op.prepare_sync(file.get());
    EXPECT_EQ(bench().run(op), 0);
    bench().driver().drop_cache(file.get());
    EXPECT_EQ(bench().content("cached"), "abcd");
}

TEST_P(Conformance, AWriteWhereTheFileMayNotGrowFails) {
    const io::OwnedHandle file = bench().file("limited", "ab");
    world().limit_file_size(4096);
    RecordedOp op;
    op.prepare_write(file.get(), base::as_bytes("cd"), 4096);
    const std::int32_t result = bench().run(op);
    EXPECT_TRUE(result == -EFBIG || result == -ENOSPC) << result;
    EXPECT_EQ(bench().content("limited"), "ab");
}

}  // namespace
}  // namespace ring_test
