#include "powercut/volatile_disk.h"

#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace powercut {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kBytes = 16 * kBlockBytes;
constexpr CutOrder kDropAll{.fate = Fate::drop};

std::vector<std::byte> filled(char octet, std::size_t size = kBlockBytes) {
    return std::vector<std::byte>(size, static_cast<std::byte>(octet));
}

std::vector<std::byte> content(VolatileDisk& disk, std::uint64_t offset = 0,
                               std::size_t size = kBlockBytes) {
    std::vector<std::byte> result(size);
    EXPECT_EQ(disk.read(offset, result), 0);
    return result;
}

// What no file shows, since the kernel lets no write pass a sync of the same file.
TEST(VolatileDisk, ASyncCoversWhatWasWrittenBeforeItBegan) {
    VolatileDisk disk(kBytes, 1024);
    ASSERT_EQ(disk.write(0, filled('a')), 0);
    disk.delay_syncs(50ms);
    std::thread sync([&] { EXPECT_EQ(disk.sync(), 0); });
    while (disk.status().syncs_in_progress == 0) {
        std::this_thread::yield();
    }
    ASSERT_EQ(disk.write(0, filled('b')), 0);
    ASSERT_EQ(disk.write(kBlockBytes, filled('b')), 0);
    EXPECT_EQ(content(disk), filled('b'));
    sync.join();
    EXPECT_EQ(content(disk), filled('b'));
    disk.cut(kDropAll);
    disk.restart();
    EXPECT_EQ(content(disk), filled('a'));
    EXPECT_EQ(content(disk, kBlockBytes), filled('\0'));
}

TEST(VolatileDisk, ALaterSyncSavesWhatAFailedOneDidNot) {
    VolatileDisk disk(kBytes, 1024);
    ASSERT_EQ(disk.write(0, filled('a')), 0);
    disk.fail_syncs(1);
    EXPECT_EQ(disk.sync(), EIO);
    EXPECT_EQ(disk.status().volatile_blocks, 1U);
    EXPECT_EQ(disk.sync(), 0);
    disk.cut(kDropAll);
    disk.restart();
    EXPECT_EQ(content(disk), filled('a'));
}

TEST(VolatileDisk, WritesOfPartsOfBlocks) {
    VolatileDisk disk(kBytes, 1024);
    ASSERT_EQ(disk.write(0, filled('a', 2 * kBlockBytes)), 0);
    ASSERT_EQ(disk.sync(), 0);
    ASSERT_EQ(disk.write(kBlockBytes - 512, filled('b', 1024)), 0);
    EXPECT_EQ(content(disk, kBlockBytes - 1024, 512), filled('a', 512));
    EXPECT_EQ(content(disk, kBlockBytes - 512, 1024), filled('b', 1024));
    EXPECT_EQ(content(disk, kBlockBytes + 512, 512), filled('a', 512));
    EXPECT_EQ(disk.status().volatile_blocks, 2U);
}

TEST(VolatileDisk, OneCutAtATime) {
    VolatileDisk disk(kBytes, 1024);
    ASSERT_EQ(disk.write(0, filled('a')), 0);
    const Cut first = disk.cut(kDropAll);
    EXPECT_EQ(first.dropped, 1U);
    EXPECT_EQ(disk.cut(kDropAll).time_ns, first.time_ns);
    std::vector<std::byte> octets = filled('b');
    EXPECT_EQ(disk.read(0, octets), EIO);
    EXPECT_EQ(disk.write(0, octets), EIO);
    EXPECT_EQ(disk.sync(), EIO);
}

}  // namespace
}  // namespace powercut
