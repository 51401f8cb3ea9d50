#include "sim/disk.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

namespace {

using sim::Disk;
using sim::NameOrder;

constexpr std::uint64_t kSeeds = 200;

std::string text(char c, std::size_t size) {
    return std::string(size, c);
}

// A disk whose operations cannot fail, with one file open.
class DiskTest : public testing::Test {
  protected:
    explicit DiskTest(const Disk::Options& options = {}) : disk(options) {
        disk.put_directory("/d");
        disk.put_file("/d/f", text('o', 4096));
        file = open("/d/f");
    }
    std::shared_ptr<sim::OpenFile> open(std::string_view path, bool create = false) {
        auto opened = disk.open(Disk::kRoot, path, {.write = true, .create = create});
        EXPECT_TRUE(opened.has_value()) << path;
        return *opened;
    }
    std::uint64_t begin(const std::string& bytes, std::uint64_t offset = 0) {
        const base::Bytes all = base::as_bytes(bytes);
        return disk.begin_write(file->inode(), offset, {all.begin(), all.end()});
    }
    void write(const std::string& bytes, std::uint64_t offset = 0, bool durable = false) {
        const auto done =
            disk.finish_write(file->inode(), begin(bytes, offset), bytes.size(), durable);
        ASSERT_TRUE(done.has_value());
        EXPECT_EQ(*done, bytes.size());
    }
    void sync() { disk.finish_sync(file->inode(), disk.begin_sync()); }
    void sync_directory(std::string_view path) {
        auto opened = disk.open(Disk::kRoot, path, {.directory = true});
        ASSERT_TRUE(opened.has_value());
        disk.finish_sync((*opened)->inode(), disk.begin_sync());
    }
    // The file's content after each of many crashes of this moment.
    std::set<std::string> contents_after_crashes(const std::string& path = "/d/f") {
        std::set<std::string> contents;
        for_each_crash(
            [&](Disk& after) { contents.insert(after.content_of(path).value_or("(no file)")); });
        return contents;
    }
    template <typename Look>
    void for_each_crash(Look look) {
        for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
            base::Prng prng(seed);
            Disk after(options_of_after);
            after.restore(disk.crashed(prng));
            look(after);
        }
    }

    Disk disk;
    Disk::Options options_of_after;
    std::shared_ptr<sim::OpenFile> file;
};

TEST_F(DiskTest, AnUnsyncedSectorIsKeptOrDropped) {
    write(text('n', 512));
    EXPECT_EQ(disk.content_of("/d/f"), text('n', 512) + text('o', 3584));
    EXPECT_EQ(contents_after_crashes(), (std::set<std::string>{
                                            text('o', 4096),
                                            text('n', 512) + text('o', 3584),
                                        }));
}

TEST_F(DiskTest, ASyncedOrDsyncWriteStays) {
    write(text('n', 512));
    sync();
    write(text('m', 512), 1024, true);
    const std::string expected = text('n', 512) + text('o', 512) + text('m', 512) + text('o', 2560);
    EXPECT_EQ(contents_after_crashes(), std::set<std::string>{expected});
}

TEST_F(DiskTest, ASyncCoversOnlyWhatHadCompletedBeforeItBegan) {
    write(text('1', 512));
    const std::uint64_t flying = begin(text('2', 512), 512);
    const std::uint64_t covers = disk.begin_sync();
    ASSERT_TRUE(disk.finish_write(file->inode(), flying, 512, false).has_value());
    disk.finish_sync(file->inode(), covers);
    const std::set<std::string> contents = contents_after_crashes();
    EXPECT_EQ(contents.size(), 2U);
    for (const std::string& content : contents) {
        EXPECT_EQ(content.substr(0, 512), text('1', 512));
    }
}

TEST_F(DiskTest, EveryVersionOfASectorSinceTheSyncMayBeLeft) {
    write(text('1', 512));
    write(text('2', 512));
    std::set<char> first;
    for (const std::string& content : contents_after_crashes()) {
        first.insert(content.front());
    }
    EXPECT_EQ(first, (std::set<char>{'o', '1', '2'}));
}

TEST_F(DiskTest, ADurableWriteIsNotUndoneByAnOlderOneOfTheSameSectors) {
    write(text('1', 2048));
    write(text('2', 512), 512, true);
    for (const std::string& content : contents_after_crashes()) {
        EXPECT_EQ(content.substr(512, 512), text('2', 512));
    }
    EXPECT_GT(contents_after_crashes().size(), 2U) << "the rest of the older one is still open";
}

TEST_F(DiskTest, ATornWriteLeavesWholeSectorsOfEither) {
    write(text('n', 4096));
    std::size_t torn = 0;
    for (const std::string& content : contents_after_crashes()) {
        ASSERT_EQ(content.size(), 4096U);
        for (std::size_t at = 0; at < 4096; at += 512) {
            const std::string sector = content.substr(at, 512);
            EXPECT_TRUE(sector == text('n', 512) || sector == text('o', 512));
        }
        torn += content.find('o') != std::string::npos && content.find('n') != std::string::npos;
    }
    EXPECT_GT(torn, 10U);
}

TEST_F(DiskTest, AWriteInFlightMayBeLeftInPart) {
    (void)begin(text('n', 4096));
    EXPECT_EQ(disk.content_of("/d/f"), text('o', 4096)) << "not seen before it completes";
    EXPECT_GT(contents_after_crashes().size(), 10U);
}

TEST_F(DiskTest, AnExtensionMayLeaveZerosOrNothing) {
    write(text('n', 1024), 4096);
    bool shorter = false;
    bool zeros = false;
    for (const std::string& content : contents_after_crashes()) {
        EXPECT_EQ(content.substr(0, 4096), text('o', 4096));
        shorter = shorter || content.size() == 4096;
        zeros = zeros || (content.size() == 5120 && content.substr(4096) == text('\0', 1024));
    }
    EXPECT_TRUE(shorter);
    EXPECT_TRUE(zeros);
}

TEST_F(DiskTest, AFailedSyncDropsForGood) {
    base::Prng prng(1);
    write(text('n', 512));
    disk.fail_sync(file->inode(), disk.begin_sync(), prng);
    sync();  // says that all is well, and is wrong
    const std::set<std::string> contents = contents_after_crashes();
    EXPECT_EQ(contents.size(), 1U);
    EXPECT_EQ(contents.begin()->front(), 'o');
    write(text('m', 512));
    sync();
    EXPECT_EQ(contents_after_crashes().begin()->front(), 'm');
}

TEST_F(DiskTest, ADroppedCacheShowsWhatAFailedSyncLost) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        base::Prng prng(seed);
        write(text('n', 512));
        disk.fail_sync(file->inode(), disk.begin_sync(), prng);
        write(text('p', 512), 512);
        disk.drop_cache(file->inode());
        std::vector<std::byte> seen(1024);
        ASSERT_EQ(disk.read(file->inode(), 0, seen), seen.size());
        const std::set<std::string> contents = contents_after_crashes();
        EXPECT_EQ(std::to_integer<char>(seen.front()), contents.begin()->front());
        EXPECT_EQ(std::to_integer<char>(seen.back()), 'p');  // still to be synced
    }
}

TEST_F(DiskTest, AFailedWriteMayBeThereInPart) {
    std::set<std::string> seen;
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
        base::Prng prng(seed);
        write(text('o', 4096), 0, true);
        disk.fail_write(file->inode(), begin(text('n', 4096)), prng);
        seen.insert(*disk.content_of("/d/f"));
    }
    EXPECT_TRUE(seen.contains(text('o', 4096)));
    EXPECT_GT(seen.size(), 10U);
}

TEST_F(DiskTest, AFileIsLostWithItsNameWhateverWasSynced) {
    file = open("/d/g", true);
    write(text('n', 512), 0, true);
    sync();
    EXPECT_EQ(contents_after_crashes("/d/g"), (std::set<std::string>{text('n', 512), "(no file)"}));
    sync_directory("/d");
    EXPECT_EQ(contents_after_crashes("/d/g"), std::set<std::string>{text('n', 512)});
}

TEST_F(DiskTest, AnUnlinkedFileMayComeBack) {
    ASSERT_TRUE(disk.unlink(Disk::kRoot, "/d/f").has_value());
    file.reset();
    EXPECT_FALSE(disk.exists("/d/f"));
    EXPECT_EQ(contents_after_crashes(), (std::set<std::string>{text('o', 4096), "(no file)"}));
    sync_directory("/d");
    EXPECT_EQ(contents_after_crashes(), std::set<std::string>{"(no file)"});
    EXPECT_EQ(disk.state().files.size(), 2U) << "the root and /d";
}

TEST_F(DiskTest, ARenameOverAFileLeavesOneOrTheOther) {
    disk.put_file("/d/new", text('n', 4096));
    for (const NameOrder order : {NameOrder::prefix, NameOrder::independent}) {
        Disk::Options options;
        options.names = order;
        Disk other(options);
        other.restore(disk.state());
        ASSERT_TRUE(other.rename(Disk::kRoot, "/d/new", "/d/f").has_value());
        std::set<std::string> left;
        for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
            base::Prng prng(seed);
            Disk after(options);
            after.restore(other.crashed(prng));
            ASSERT_TRUE(after.exists("/d/f"));
            left.insert(after.content_of("/d/f")->substr(0, 1) +
                        (after.exists("/d/new") ? "+new" : ""));
        }
        EXPECT_EQ(left, (std::set<std::string>{"o+new", "n"}));
    }
}

TEST_F(DiskTest, ContentGoesWithARenameAndStaleBytesStay) {
    ASSERT_TRUE(disk.rename(Disk::kRoot, "/d/f", "/d/recycled").has_value());
    write(text('n', 512), 0, true);
    EXPECT_EQ(disk.content_of("/d/recycled"), text('n', 512) + text('o', 3584));
}

class NamesTest : public DiskTest {
  protected:
    // The sets of names that crashes leave after five files were made.
    std::set<std::vector<std::string>> left_after(NameOrder order) {
        Disk::Options options;
        options.names = order;
        Disk made(options);
        for (const char* name : {"a", "b", "c", "d", "e"}) {
            EXPECT_TRUE(made.open(Disk::kRoot, name, {.write = true, .create = true}).has_value());
        }
        std::set<std::vector<std::string>> left;
        for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
            base::Prng prng(seed);
            Disk after(options);
            after.restore(made.crashed(prng));
            left.insert(after.names_in("/"));
        }
        return left;
    }
};

TEST_F(NamesTest, OfAJournalAPrefixIsLeft) {
    EXPECT_EQ(left_after(NameOrder::prefix).size(), 6U);
}

TEST_F(NamesTest, IndependentChangesAreLeftInAnyCombination) {
    EXPECT_EQ(left_after(NameOrder::independent).size(), 32U);
}

// Changes of one name keep their order: no file is lost between two renames.
TEST_F(NamesTest, ARotationNeverLosesTheOldFile) {
    Disk::Options options;
    options.names = NameOrder::independent;
    Disk made(options);
    made.put_file("/current", "old");
    made.put_file("/new", "new");
    ASSERT_TRUE(made.rename(Disk::kRoot, "/current", "/previous").has_value());
    ASSERT_TRUE(made.rename(Disk::kRoot, "/new", "/current").has_value());
    std::set<std::string> left;
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
        base::Prng prng(seed);
        Disk after(options);
        after.restore(made.crashed(prng));
        left.insert(after.content_of("/current").value_or("-") + "," +
                    after.content_of("/previous").value_or("-") + "," +
                    after.content_of("/new").value_or("-"));
    }
    EXPECT_EQ(left, (std::set<std::string>{"old,-,new", "-,old,new", "new,old,-"}));
}

TEST_F(NamesTest, ALostDirectoryTakesItsNamesAlong) {
    Disk::Options options;
    options.names = NameOrder::independent;
    Disk made(options);
    ASSERT_TRUE(made.make_directory(Disk::kRoot, "/p").has_value());
    ASSERT_TRUE(made.open(Disk::kRoot, "/p/x", {.write = true, .create = true}).has_value());
    const auto p = made.open(Disk::kRoot, "/p", {.directory = true});
    made.finish_sync((*p)->inode(), made.begin_sync());
    std::set<std::string> left;
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
        base::Prng prng(seed);
        Disk after(options);
        after.restore(made.crashed(prng));
        left.insert(after.exists("/p") ? (after.exists("/p/x") ? "both" : "p") : "none");
    }
    EXPECT_EQ(left, (std::set<std::string>{"none", "both"}));
}

TEST_F(DiskTest, AllocatedBytesReadAsZerosAndCountAsUsed) {
    const std::uint64_t before = disk.used_bytes();
    file = open("/d/g", true);
    ASSERT_TRUE(disk.allocate(file->inode(), 0, 65536).has_value());
    EXPECT_EQ(disk.content_of("/d/g"), text('\0', 65536));
    EXPECT_EQ(disk.used_bytes(), before + 65536);
    disk.set_capacity_bytes(before + 65536 + 4096);
    EXPECT_EQ(disk.allocate(file->inode(), 0, 65536 + 8192).error().number(), ENOSPC);
    const std::uint64_t wide = begin(text('x', 16384), 65536 - 4096);
    EXPECT_EQ(disk.finish_write(file->inode(), wide, 16384, false).value(), 8192U)
        << "a short write up to the end of the room";
    const std::uint64_t beyond = begin("x", 65536 + 4096);
    EXPECT_EQ(disk.finish_write(file->inode(), beyond, 1, false).error().number(), ENOSPC);
    EXPECT_TRUE(disk.unlink(Disk::kRoot, "/d/g").has_value());
    EXPECT_EQ(disk.used_bytes(), before + 65536 + 4096) << "it is open";
    file.reset();
    EXPECT_EQ(disk.used_bytes(), before);
}

TEST_F(DiskTest, TheLockLivesAsLongAsTheOpenFile) {
    auto second = open("/d/f");
    EXPECT_TRUE(disk.try_lock(*file));
    EXPECT_TRUE(disk.try_lock(*file));
    EXPECT_FALSE(disk.try_lock(*second));
    std::shared_ptr<sim::OpenFile> of_the_kernel = std::move(file);
    EXPECT_FALSE(disk.try_lock(*second));
    of_the_kernel.reset();
    EXPECT_TRUE(disk.try_lock(*second));
}

TEST_F(DiskTest, PathsAreWalked) {
    EXPECT_EQ(disk.open(Disk::kRoot, "/d/x", {}).error().number(), ENOENT);
    EXPECT_EQ(disk.open(Disk::kRoot, "/x/f", {}).error().number(), ENOENT);
    EXPECT_EQ(disk.open(Disk::kRoot, "/d/f/g", {}).error().number(), ENOTDIR);
    EXPECT_EQ(disk.open(Disk::kRoot, "/d", {.write = true}).error().number(), EISDIR);
    EXPECT_EQ(disk.open(Disk::kRoot, "/d/f", {.directory = true}).error().number(), ENOTDIR);
    EXPECT_TRUE(disk.open(Disk::kRoot, "./d/../d//f", {}).has_value());
    EXPECT_EQ(disk.make_directory(Disk::kRoot, "/d").error().number(), EEXIST);
    EXPECT_EQ(disk.rename(Disk::kRoot, "/d/x", "/d/y").error().number(), ENOENT);
    EXPECT_EQ(disk.rename(Disk::kRoot, "/d/f", "/d").error().number(), EISDIR);
    EXPECT_EQ(disk.rename(Disk::kRoot, "/d", "/d/sub").error().number(), EINVAL);
    EXPECT_EQ(disk.unlink(Disk::kRoot, "/d").error().number(), EISDIR);
}

class SmallTearTest : public DiskTest {
  protected:
    SmallTearTest() : DiskTest({.tear_inside_sectors = true}) {}
};

TEST_F(SmallTearTest, ASectorMayBeTornInside) {
    write(text('n', 512));
    const std::set<std::string> contents = contents_after_crashes();
    EXPECT_TRUE(std::ranges::any_of(contents, [](const std::string& content) {
        return content.front() == 'n' && content[511] == 'o';
    }));
}

class BigSectorTest : public DiskTest {
  protected:
    BigSectorTest() : DiskTest({.sector_bytes = 4096}) {}
};

TEST_F(BigSectorTest, ASectorOf4KiBIsWrittenWhole) {
    write(text('n', 4096));
    EXPECT_EQ(contents_after_crashes(), (std::set<std::string>{text('o', 4096), text('n', 4096)}));
}

// Whatever was done before: once all is synced, a crash changes nothing.
// What every crash leaves, and nothing of what one may lose.
TEST_F(DiskTest, DurableBytesAreWhatTheWorstCrashLeaves) {
    const std::string before = disk.durable_bytes();
    EXPECT_EQ(before, text('o', 4096));
    write(text('n', 512));
    const std::shared_ptr<sim::OpenFile> nameless = open("/d/g", true);
    EXPECT_EQ(disk.durable_bytes(), before);
    sync();
    EXPECT_EQ(disk.durable_bytes(), text('n', 512) + text('o', 4096 - 512));
    write(text('d', 512), 512, true);
    EXPECT_EQ(disk.durable_bytes(), text('n', 512) + text('d', 512) + text('o', 4096 - 1024));
}

TEST_F(DiskTest, AfterSyncsOfEverythingACrashChangesNothing) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        base::Prng prng(seed);
        for (int i = 0; i < 40; ++i) {
            const std::string bytes =
                text(static_cast<char>('a' + prng.below(26)), 1 + prng.below(3000));
            write(bytes, prng.below(10'000), prng.chance(1, 3));
            if (prng.chance(1, 10)) {
                disk.fail_sync(file->inode(), disk.begin_sync(), prng);
            }
        }
        sync();
        // What a failed sync dropped may still be seen; the medium is what a second look gives.
        const std::set<std::string> contents = contents_after_crashes();
        ASSERT_EQ(contents.size(), 1U);
        write(*contents.begin());
        sync();
    }
}

}  // namespace
