// Disk: a file system with the durability that POSIX promises, and no more. It knows no time and no
// operations in flight but writes and syncs, which begin and finish; Host and SimDriver add delay
// and faults.
//
// What is durable:
//  - content: an O_DSYNC write when it has completed; any other write when a sync of its file has
//    completed that began after the write had completed. Until then each sector of it is kept or
//    dropped by itself at a crash, as is each sector of a write in flight;
//  - a file's size and its allocation: like the content of the write that changed it;
//  - a name (create, rename, unlink, mkdir): when a sync of its directory has completed that began
//    after the change. A file whose name is lost is lost, whatever was synced of it.
// A failed sync drops what it should have made durable: reads may go on to see it, no later sync
// saves it (as Linux does, which marks the pages clean).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/prng.h"
#include "base/result.h"
#include "io/op.h"
#include "sim/file_content.h"

namespace sim {

class Disk;

// What survives of directory changes that were never synced.
enum class NameOrder : std::uint8_t {
    prefix,       // all changes up to some moment, on the whole disk (a journal, as ext4)
    independent,  // each by itself, but for changes of the same name or file, which keep their
                  // order
};

// An open file description: what a handle stands for, and what an operation of the kernel's keeps
// alive after the process is gone. Holds the lock, if any, until it ends.
class OpenFile {
  public:
    OpenFile(Disk& disk, std::uint64_t inode, const io::OpenMode& mode);
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;
    ~OpenFile();

    [[nodiscard]] std::uint64_t inode() const { return inode_; }
    [[nodiscard]] const io::OpenMode& mode() const { return mode_; }
    [[nodiscard]] bool is_directory() const { return directory_; }
    // True while the disk is the one it was opened on: no crash came between.
    [[nodiscard]] bool current() const;

  private:
    Disk& disk_;
    std::uint64_t inode_;
    std::uint64_t epoch_;
    io::OpenMode mode_;
    bool directory_;
};

class Disk {
  public:
    using Inode = std::uint64_t;
    static constexpr Inode kRoot = 1;
    static constexpr std::uint64_t kBlock = 4096;  // O_DIRECT alignment, allocation

    struct Options {
        std::uint32_t sector_bytes = 512;  // what the device writes whole; 512 or 4096
        std::uint64_t capacity_bytes = std::uint64_t{1} << 40U;
        NameOrder names = NameOrder::prefix;
        bool tear_inside_sectors = false;  // a crash may leave the first bytes of a sector new, the
                                           // rest old
    };
    struct CrashCounts {
        std::uint64_t writes_lost = 0;   // wholly
        std::uint64_t writes_torn = 0;   // in part
        std::uint64_t writes_kept = 0;   // wholly, though nothing had promised it
        std::uint64_t changes_lost = 0;  // of names
        std::uint64_t changes_kept = 0;
    };
    struct File {
        FileContent content;
        bool directory = false;
        Inode parent = kRoot;                          // of a directory
        std::map<std::string, Inode> entries;          // as the running system sees them
        std::map<std::string, Inode> durable_entries;  // as a crash leaves them
    };
    struct NameChange {
        enum class Kind : std::uint8_t { create, rename, unlink };
        Kind kind;
        std::uint64_t sequence;
        Inode directory;
        std::string name;
        Inode inode;
        Inode to_directory = 0;  // rename
        std::string to_name;
    };
    // All there is on the disk, durable or not. A value: copy it to look at many crashes of one
    // moment.
    struct State {
        std::map<Inode, File> files;
        std::vector<NameChange> changes;  // not durable yet, in order
        Inode next_inode = kRoot + 1;
        std::uint64_t sequence = 0;  // of completed writes and name changes
    };

    Disk() : Disk(Options()) {}
    explicit Disk(const Options& options);
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;

    // For tests: at once, durable, by absolute path. Panics where an operation would fail.
    void put_directory(std::string_view path);
    void put_file(std::string_view path, std::string_view content);
    [[nodiscard]] std::optional<std::string> content_of(std::string_view path) const;
    [[nodiscard]] bool exists(std::string_view path) const;
    [[nodiscard]] std::vector<std::string> names_in(std::string_view path) const;
    // Changes durable bytes behind the file system's back: a disk that rots.
    void overwrite(std::string_view path, std::uint64_t offset, base::Bytes bytes);

    // The operations, each in the instant it takes effect. `directory`: what a relative path starts
    // at.
    [[nodiscard]] base::Result<std::shared_ptr<OpenFile>> open(Inode directory,
                                                               std::string_view path,
                                                               const io::OpenMode& mode);
    [[nodiscard]] base::Status rename(Inode directory, std::string_view from, std::string_view to);
    [[nodiscard]] base::Status unlink(Inode directory, std::string_view path);
    [[nodiscard]] base::Status make_directory(Inode directory, std::string_view path);
    [[nodiscard]] base::Result<std::vector<std::string>> list(Inode directory) const;
    [[nodiscard]] std::uint64_t size(Inode inode) const;
    // Reads see the medium from now on, but for what is still to be synced.
    void drop_cache(Inode inode) { file(inode).content.drop_cache(); }
    // ENOSPC; extends the file when the range lies beyond its end.
    [[nodiscard]] base::Status allocate(Inode inode, std::uint64_t offset, std::uint64_t bytes);
    // Gives the bytes read: fewer than asked only at the end of the file.
    [[nodiscard]] std::size_t read(Inode inode, std::uint64_t offset,
                                   base::MutableBytes into) const;

    // Whether a write there takes blocks that the file does not have yet.
    [[nodiscard]] bool needs_room(Inode inode, std::uint64_t offset, std::uint64_t bytes) const {
        return file(inode).content.missing_bytes(offset, bytes) != 0;
    }
    // A write in flight: until it finishes, a crash may leave any part of it on the disk.
    [[nodiscard]] std::uint64_t begin_write(Inode inode, std::uint64_t offset,
                                            std::vector<std::byte> bytes);
    // The first `bytes` bytes take effect, or as many of them as there is room for, which it gives;
    // `durable` as of O_DSYNC. ENOSPC, EFBIG: nothing happened.
    [[nodiscard]] base::Result<std::size_t> finish_write(Inode inode, std::uint64_t write,
                                                         std::size_t bytes, bool durable);
    // It failed: any sectors of it may have taken effect, not durably.
    void fail_write(Inode inode, std::uint64_t write, base::Prng& prng);
    void cancel_write(Inode inode, std::uint64_t write);
    // What had completed when the sync began is what it covers.
    [[nodiscard]] std::uint64_t begin_sync() const { return state_.sequence; }
    void finish_sync(Inode inode, std::uint64_t covers);
    void fail_sync(Inode inode, std::uint64_t covers, base::Prng& prng);

    // False when another open of the file holds the lock.
    [[nodiscard]] bool try_lock(const OpenFile& file);

    [[nodiscard]] std::uint64_t capacity_bytes() const { return options_.capacity_bytes; }
    void set_capacity_bytes(std::uint64_t bytes) { options_.capacity_bytes = bytes; }
    [[nodiscard]] std::uint64_t used_bytes() const;
    // As RLIMIT_FSIZE.
    void set_file_bytes_max(std::uint64_t bytes) { file_bytes_max_ = bytes; }

    // The power fails: what was not durable is kept, dropped or torn as `prng` says. Whatever was
    // open, locked or in flight is gone.
    CrashCounts crash(base::Prng& prng);
    // The same, as another disk's state; this one stays as it is.
    [[nodiscard]] State crashed(base::Prng& prng, CrashCounts* counts = nullptr) const;
    [[nodiscard]] const State& state() const { return state_; }
    // What even the worst power cut leaves: the bytes of all files whose names are durable, one
    // behind another, without the parts that are zero.
    [[nodiscard]] std::string durable_bytes() const;
    // REQUIRES: nothing is open.
    void restore(State state);

    // Changes with each crash.
    [[nodiscard]] std::uint64_t epoch() const { return epoch_; }

  private:
    friend class OpenFile;
    struct Place {
        Inode directory;  // that holds the last component
        std::string name;
        Inode inode;  // 0: no such name
    };

    [[nodiscard]] base::Result<Place> find(Inode directory, std::string_view path) const;
    [[nodiscard]] File& file(Inode inode);
    [[nodiscard]] const File& file(Inode inode) const;
    void add_change(NameChange change);
    void commit_names(Inode directory, std::uint64_t covers);
    void forget_unreachable(State& state) const;
    void release(const OpenFile& file);
    [[nodiscard]] bool has_room(std::uint64_t more_bytes) const;
    [[nodiscard]] base::Result<std::size_t> room_for(const FileContent& content,
                                                     std::uint64_t offset,
                                                     std::uint64_t bytes) const;

    Options options_;
    State state_;
    std::map<Inode, std::uint32_t> opens_;
    std::map<Inode, const OpenFile*> locks_;
    std::uint64_t file_bytes_max_ = std::uint64_t{1} << 44U;
    std::uint64_t next_write_ = 1;
    std::uint64_t epoch_ = 0;
};

}  // namespace sim
