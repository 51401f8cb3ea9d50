// VolatileDisk: the content of a disk with a write cache. What is written stays volatile until a
// sync that began afterwards has completed. At a power cut each block not yet durable is kept,
// dropped or torn, as a seed decides; then all I/O fails until the machine restarts, and from then
// on the durable content is served.
//
// A block is 4,096 octets, eight sectors of 512. A sector is written whole or not at all, which
// disks promise and file systems rely on; a torn block has some of its sectors new and some old.
//
// Content is a layer of what is durable and, over it, one layer of blocks per sync under way, and
// one on top for what came since. Where the cache is full everything is written back, as disks do.
// Memory: what was ever written of `bytes`, and `cache_blocks_max` blocks and their index.
//
// May be called by any thread. read(), write() and sync() give 0 or an errno: EIO without power.
// Panic: a place outside the disk.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

namespace powercut {

constexpr std::size_t kBlockBytes = 4096;
constexpr std::size_t kSectorBytes = 512;

// What becomes of the blocks that are not durable.
enum class Fate : std::uint8_t {
    drop,    // every one is dropped
    mixed,   // each is kept, dropped or torn, a third each
    mostly,  // each is kept, but for one in eight, which is dropped or torn
    any,     // one of these three
};

enum class Moment : std::uint8_t {
    now,
    write,  // when a write has reached the cache, before it is answered
    sync,   // when a sync arrives, before it makes anything durable
    // As write, of one that holds …
    commit,      // a commit of ringpost's log
    checkpoint,  // a page of a checkpoint
    cleaning,    // mail that the cleaner has moved, or word in the log of that
    rotation,    // the header of a segment, new or recycled
};

// What of ringpost's spool begins with a block.
struct Holds {
    bool commit = false;
    bool checkpoint = false;
    bool cleaning = false;
    bool rotation = false;
};

struct CutOrder {
    Fate fate = Fate::any;
    std::uint64_t seed = 0;
    Moment moment = Moment::now;
    std::uint64_t count = 1;                // the how-manieth write or sync from now on
    std::chrono::milliseconds within{500};  // then at the latest, without any
    std::uint64_t behind = 0;               // so many more writes and syncs are waited for
};

struct Cut {
    std::int64_t time_ns = 0;  // CLOCK_MONOTONIC
    std::uint64_t kept = 0;
    std::uint64_t dropped = 0;
    std::uint64_t torn = 0;
    std::uint64_t syncs_in_progress = 0;
    // Blocks that were not durable, and hold such a thing; see Moment.
    std::uint64_t commits = 0;
    std::uint64_t checkpoints = 0;
    std::uint64_t cleanings = 0;
    std::uint64_t rotations = 0;
};

// Records behind the block's end are not seen.
[[nodiscard]] Holds look_at(std::span<const std::byte, kBlockBytes> block);

class VolatileDisk {
  public:
    struct Status {
        bool power = true;
        std::uint64_t writes = 0;
        std::uint64_t syncs = 0;
        std::uint64_t syncs_failed = 0;
        std::uint64_t syncs_in_progress = 0;
        std::uint64_t volatile_blocks = 0;
        std::uint64_t full_caches = 0;  // how often everything was written back for want of room
    };

    // REQUIRES: `bytes` is a number of whole blocks.
    VolatileDisk(std::uint64_t bytes, std::uint64_t cache_blocks_max);
    VolatileDisk(const VolatileDisk&) = delete;
    VolatileDisk& operator=(const VolatileDisk&) = delete;
    ~VolatileDisk();

    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

    int read(std::uint64_t offset, std::span<std::byte> to);
    int write(std::uint64_t offset, std::span<const std::byte> from);
    int sync();

    // The power fails as ordered; returns when it has. Without power already: what the last cut
    // did.
    Cut cut(const CutOrder& order);
    void restart();

    // Every sync takes so long from now on.
    void delay_syncs(std::chrono::nanoseconds delay);
    // The next `count` syncs fail with EIO. What they should have made durable stays volatile. With
    // `forget` the first of them drops it instead (reading gives what was durable before), and no
    // sync succeeds until the machine restarts: who shared the cache could not know else that his
    // writes are gone.
    void fail_syncs(std::uint64_t count, bool forget = false);
    // From now on reading a block that holds this text fails with EIO, as of a disk with bad
    // sectors; "" mends it.
    void spoil(std::string text);

    [[nodiscard]] Status status();

  private:
    using Block = std::array<std::byte, kBlockBytes>;
    struct Layer {
        std::uint64_t number = 0;
        std::unordered_map<std::uint64_t, std::unique_ptr<Block>> blocks;
    };
    struct Armed {
        CutOrder order;
        std::uint64_t left;
        std::uint64_t behind;
    };

    // All with the lock held.
    [[nodiscard]] const std::byte* newest(std::uint64_t block) const;
    std::byte* writable(std::uint64_t block, bool whole);
    [[nodiscard]] std::uint64_t seal();
    void write_back(std::uint64_t number);
    void forget(std::uint64_t number);
    void count_down(Moment moment, const Holds& holds);
    void fail_power(const CutOrder& order);

    const std::uint64_t bytes_;
    const std::uint64_t cache_blocks_max_;
    std::byte* durable_;

    std::mutex lock_;
    std::condition_variable failed_;
    std::deque<Layer> layers_;  // oldest first; the last takes the writes
    std::uint64_t life_ = 0;    // counts the cuts
    std::optional<Armed> armed_;
    Cut cut_;
    std::chrono::nanoseconds delay_{0};
    std::uint64_t fail_ = 0;
    bool forget_ = false;
    std::string spoilt_;
    Status status_;
};

}  // namespace powercut
