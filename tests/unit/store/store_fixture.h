// What the tests of the store share: one simulated machine, and looks at its files.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "crash/store_program.h"
#include "store/format.h"

namespace crash {

[[nodiscard]] inline Letter letter_of(std::uint64_t number, std::size_t bytes) {
    Letter made;
    made.sender = "s" + std::to_string(number) + "@src.test";
    made.recipients = {"r@dst.test"};
    made.headers = "Received: number " + std::to_string(number) + "\r\n";
    made.content = content_of(number, bytes);
    return made;
}

class StoreFixture : public testing::Test {
  protected:
    static constexpr const char* kPartition = "/spool/p000";

    StoreFixture() { options_.store = small_store(); }

    StoreWorld& world() {
        if (world_ == nullptr) {
            world_ = std::make_unique<StoreWorld>(options_);
        }
        return *world_;
    }
    sim::Disk& disk() { return world().host().disk(); }

    // Runs it to its end without a fault.
    void run(StoreProgram::Script script) {
        ASSERT_EQ(world().run_once(script), "");
        EXPECT_EQ(faults(), "");
    }
    // Runs it until it kills its program; the next start is another run.
    void run_until_killed(StoreProgram::Script script) {
        world().host().set_restart(false);
        ASSERT_EQ(world().run_once(script), "it does not end");
        ASSERT_TRUE(world().host().drivers().empty());
        world().host().set_restart(true);
        EXPECT_EQ(faults(), "");
    }
    std::string faults() {
        std::string all = world().host().fatal_sentence();
        for (const std::string& fault : world().oracle().faults()) {
            all += fault + "\n";
        }
        return all;
    }
    [[nodiscard]] bool logged(std::string_view text) {
        for (const std::string& line : world().log()) {
            if (line.find(text) != std::string::npos) {
                return true;
            }
        }
        return false;
    }

    // Ids of the partition's segments, ascending.
    [[nodiscard]] std::vector<std::uint64_t> segments() {
        std::vector<std::uint64_t> ids;
        for (const std::string& name : disk().names_in(kPartition)) {
            if (const auto id = store::format::parse_segment_name(name)) {
                ids.push_back(*id);
            }
        }
        std::sort(ids.begin(), ids.end());
        return ids;
    }
    [[nodiscard]] static std::string path_of(std::uint64_t segment) {
        return std::string(kPartition) + "/" + store::format::segment_name(segment);
    }

    // A batch as it lies in a segment's file.
    struct Batch {
        std::uint64_t offset = 0;
        store::format::BatchHeader header;
    };
    [[nodiscard]] std::vector<Batch> batches(std::uint64_t segment) {
        const std::string content = disk().content_of(path_of(segment)).value_or("");
        std::vector<Batch> found;
        for (std::size_t at = store::format::kBlock; at < content.size();
             at += store::format::kBlock) {
            Batch batch{at, {}};
            std::memcpy(&batch.header, content.data() + at, sizeof batch.header);
            if (batch.header.magic == store::format::BatchHeader::kMagic &&
                batch.header.segment == segment) {
                found.push_back(batch);
            }
        }
        return found;
    }
    void damage(std::uint64_t segment, std::uint64_t offset) {
        const std::string content = disk().content_of(path_of(segment)).value_or("");
        const std::byte changed{static_cast<unsigned char>(content.at(offset) ^ 0x40)};
        disk().overwrite(path_of(segment), offset, base::Bytes(&changed, 1));
    }
    void damage_file(const std::string& path, std::uint64_t offset) {
        const std::string content = disk().content_of(path).value_or("");
        const std::byte changed{static_cast<unsigned char>(content.at(offset) ^ 1)};
        disk().overwrite(path, offset, base::Bytes(&changed, 1));
    }
    // Paths of the partition's checkpoints, the oldest first.
    [[nodiscard]] std::vector<std::string> checkpoints() {
        std::vector<std::string> found;
        for (const std::string& name : disk().names_in(kPartition)) {
            if (store::format::parse_checkpoint_name(name)) {
                found.push_back(std::string(kPartition) + "/" + name);
            }
        }
        std::ranges::sort(found);
        return found;
    }
    void remove(const std::string& path) {
        ASSERT_TRUE(disk().unlink(sim::Disk::kRoot, path).has_value());
    }

    StoreWorldOptions options_;
    std::unique_ptr<StoreWorld> world_;
};

inline rt::Task<void> three_letters(StoreProgram& program) {
    for (std::uint64_t i = 1; i <= 3; ++i) {
        co_await program.put(letter_of(i, 3'000), 3'000);
    }
}

inline rt::Task<void> several_segments(StoreProgram& program) {
    for (std::uint64_t i = 1; i <= 10; ++i) {
        co_await program.put(letter_of(i, 20'000), 20'000);
    }
}

// Two messages stay, and are deferred by turns while fewer than `deferred_until` were put; a
// hundred others come and end.
inline rt::Task<void> two_stay(StoreProgram& program, std::uint64_t deferred_until) {
    co_await program.put(letter_of(1, 1'000), 1'000);
    co_await program.put(letter_of(2, 150'000), 30'000);
    const std::vector<mail::QueueId> staying = program.oracle().alive();
    for (std::uint64_t i = 3; i <= 100; ++i) {
        co_await program.put(letter_of(i, 20'000), 20'000);
        if (program.dead() || staying.empty()) {
            co_return;
        }
        const std::vector<mail::QueueId> alive = program.oracle().alive();
        for (const mail::QueueId message : alive) {
            if (std::ranges::find(staying, message) == staying.end()) {
                co_await program.finish(message);
            }
        }
        if (i < deferred_until) {
            program.record(staying[i % staying.size()], 0, store::RecipientStatus::deferred);
        }
    }
    co_await program.pause(std::chrono::milliseconds(300));
}

// One more message; gives its id.
inline rt::Task<mail::QueueId> put_one(StoreProgram& program, std::size_t bytes) {
    const std::uint64_t number = program.oracle().acknowledged_count() + 1;
    co_await program.put(letter_of(number, bytes), 25'000);
    co_return program.oracle().alive().back();
}

inline rt::Task<void> put_and_finish(StoreProgram& program) {
    const mail::QueueId id = co_await put_one(program, 20'000);
    co_await program.finish(id);
}

// What follows is in another segment of the log.
inline rt::Task<void> fill_segment(StoreProgram& program) {
    const std::uint64_t before = program.store().counters().rotations;
    while (program.store().counters().rotations == before) {
        co_await put_and_finish(program);
    }
}

inline rt::Task<void> nothing(StoreProgram&) {
    co_return;
}

}  // namespace crash
