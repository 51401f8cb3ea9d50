#include "powercut/volatile_disk.h"

#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "store/format.h"

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

TEST(VolatileDisk, AFailedSyncMayForgetWhatItShouldHaveSaved) {
    VolatileDisk disk(kBytes, 1024);
    ASSERT_EQ(disk.write(0, filled('a')), 0);
    ASSERT_EQ(disk.sync(), 0);
    ASSERT_EQ(disk.write(0, filled('b')), 0);
    disk.fail_syncs(1, true);
    EXPECT_EQ(disk.sync(), EIO);
    EXPECT_EQ(content(disk), filled('a'));
    EXPECT_EQ(disk.status().volatile_blocks, 0U);
    EXPECT_EQ(disk.sync(), EIO);
    disk.cut(kDropAll);
    disk.restart();
    ASSERT_EQ(disk.write(kBlockBytes, filled('c')), 0);
    EXPECT_EQ(disk.sync(), 0);
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

// A batch of the log with one record of that type behind an extent.
std::vector<std::byte> batch(store::format::RecordType type) {
    namespace format = store::format;
    std::vector<std::byte> block = filled('\0');
    format::BatchHeader header;
    header.record_count = 2;
    header.record_bytes = 2 * format::record_bytes(sizeof(format::Extent));
    format::RecordHeader record;
    record.type = format::RecordType::extent;
    record.bytes = sizeof(format::Extent);
    std::memcpy(block.data(), &header, sizeof header);
    std::memcpy(block.data() + sizeof header, &record, sizeof record);
    record.type = type;
    std::memcpy(block.data() + sizeof header + format::record_bytes(record.bytes), &record,
                sizeof record);
    return block;
}

TEST(VolatileDisk, ACommitThatIsNotDurableIsSeen) {
    VolatileDisk disk(kBytes, 1024);
    ASSERT_EQ(disk.write(0, batch(store::format::RecordType::commit)), 0);
    ASSERT_EQ(disk.sync(), 0);
    ASSERT_EQ(disk.write(kBlockBytes, batch(store::format::RecordType::outcome)), 0);
    ASSERT_EQ(disk.write(2 * kBlockBytes, filled('\0')), 0);
    EXPECT_EQ(disk.cut(kDropAll).commits, 0U);
    disk.restart();

    Cut cut;
    std::thread cutter([&] { cut = disk.cut({Fate::drop, 1, Moment::commit, 1, 10s}); });
    while (disk.write(kBlockBytes, batch(store::format::RecordType::outcome)) == 0 &&
           disk.write(0, batch(store::format::RecordType::commit)) == 0) {
        std::this_thread::yield();  // the cut may not have been ordered yet
    }
    cutter.join();
    EXPECT_EQ(cut.commits, 1U);
}

TEST(VolatileDisk, WhatIsUnderWayAtACutIsSeen) {
    namespace format = store::format;
    std::vector<std::byte> page = filled('\0');
    std::memcpy(page.data(), &format::CheckpointPage::kMagic, sizeof(std::uint64_t));
    std::vector<std::byte> header = filled('\0');
    std::memcpy(header.data(), &format::SegmentHeader::kMagic, sizeof(std::uint64_t));
    std::vector<std::byte> moved = batch(format::RecordType::commit);
    const std::uint32_t flags = format::BatchHeader::kMoved;
    std::memcpy(moved.data() + offsetof(format::BatchHeader, flags), &flags, sizeof flags);
    const std::vector<std::byte> word = batch(format::RecordType::relocation);

    VolatileDisk disk(kBytes, 1024);
    std::uint64_t offset = 0;
    for (const std::vector<std::byte>& block : {page, header, moved, word, word}) {
        ASSERT_EQ(disk.write(offset, block), 0);
        offset += kBlockBytes;
    }
    const Cut cut = disk.cut(kDropAll);
    EXPECT_EQ(cut.commits, 0U);
    EXPECT_EQ(cut.checkpoints, 1U);
    EXPECT_EQ(cut.rotations, 1U);
    EXPECT_EQ(cut.cleanings, 3U);
}

// The page itself, a write, and a sync: that one is cut off.
TEST(VolatileDisk, ACutMayComeSomewhatBehindItsMoment) {
    std::vector<std::byte> page = filled('\0');
    std::memcpy(page.data(), &store::format::CheckpointPage::kMagic, sizeof(std::uint64_t));
    VolatileDisk disk(kBytes, 1024);
    Cut cut;
    std::thread cutter([&] { cut = disk.cut({Fate::drop, 1, Moment::checkpoint, 1, 10s, 2}); });
    std::uint64_t rounds = 0;
    while (disk.write(0, page) == 0 && disk.write(kBlockBytes, filled('a')) == 0 &&
           disk.sync() == 0) {
        ++rounds;  // the cut may not have been ordered yet
    }
    cutter.join();
    EXPECT_EQ(cut.syncs_in_progress, 1U) << rounds;
    EXPECT_EQ(cut.checkpoints, 1U);
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
