#include "app/log_ring.h"

#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "base/prng.h"

namespace app {
namespace {

constexpr std::size_t kCapacity = 4 * LogRing::kRecordBytesMax;

TEST(LogRing, GivesRecordsInOrder) {
    LogRing ring(kCapacity);
    EXPECT_FALSE(ring.front());
    ring.push(base::as_bytes("one"));
    ring.push(base::as_bytes("three"));
    EXPECT_EQ(base::as_text(*ring.front()), "one");
    EXPECT_EQ(base::as_text(*ring.front()), "one");
    ring.pop();
    EXPECT_EQ(base::as_text(*ring.front()), "three");
    ring.pop();
    EXPECT_FALSE(ring.front());
}

TEST(LogRing, DropsAndCountsWhenFull) {
    LogRing ring(kCapacity);
    const std::string record(1000, 'x');
    const std::size_t fits = kCapacity / 1008;
    for (std::size_t i = 0; i < fits + 3; ++i) {
        ring.push(base::as_bytes(record));
    }
    EXPECT_EQ(ring.dropped(), 3U);
    for (std::size_t i = 0; i < fits; ++i) {
        ASSERT_TRUE(ring.front());
        ring.pop();
    }
    EXPECT_FALSE(ring.front());
    ring.push(base::as_bytes("again"));
    EXPECT_EQ(base::as_text(*ring.front()), "again");
    EXPECT_EQ(ring.dropped(), 3U);
}

TEST(LogRing, HoldsExactlyItsCapacity) {
    LogRing ring(kCapacity);
    const std::string record(LogRing::kRecordBytesMax - 8, 'x');
    for (int i = 0; i < 4; ++i) {
        ring.push(base::as_bytes(record));
    }
    EXPECT_EQ(ring.dropped(), 0U);
    ring.push(base::as_bytes("y"));
    EXPECT_EQ(ring.dropped(), 1U);
}

// Every size, at every place of the end of the ring, between two threads.
TEST(LogRing, KeepsBytesAcrossThreadsAndTheEnd) {
    LogRing ring(kCapacity);
    constexpr std::uint64_t kRecords = 50'000;
    std::thread producer([&ring] {
        base::Prng sizes(1);
        std::string record;
        for (std::uint64_t i = 0; i < kRecords;) {
            const std::uint64_t before = ring.dropped();
            record.assign(8 + sizes.below(300), static_cast<char>('a' + i % 26));
            record.replace(0, 8, reinterpret_cast<const char*>(&i), 8);
            ring.push(base::as_bytes(record));
            if (ring.dropped() == before) {
                ++i;
            } else {
                std::this_thread::yield();
            }
        }
    });
    std::uint64_t bad = 0;
    for (std::uint64_t i = 0; i < kRecords;) {
        const auto bytes = ring.front();
        if (!bytes) {
            std::this_thread::yield();
            continue;
        }
        const std::string_view text = base::as_text(*bytes);
        bad += base::load_le<std::uint64_t>(bytes->data()) != i ||
                       text.find_first_not_of(static_cast<char>('a' + i % 26), 8) !=
                           std::string_view::npos
                   ? 1
                   : 0;
        ring.pop();
        ++i;
    }
    producer.join();
    EXPECT_EQ(bad, 0U);
    EXPECT_FALSE(ring.front());
}

}  // namespace
}  // namespace app
