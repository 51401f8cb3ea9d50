// ShardNet: what all connections of one shard share: the ring of receive buffers, and the order in
// which connections that found it empty go on.
//
// One per shard, made at its start, outlives every Stream of the shard. Memory: buffers × size,
// taken once. A connection that finds no buffer free waits in a queue by age; buffers that were
// received but not yet read by their connection are then copied out of the ring (bounded per
// connection, see Stream), so connections that do not read cannot starve the others.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/list.h"
#include "base/result.h"
#include "io/op.h"
#include "rt/shard.h"

namespace net {

class Stream;
struct StarvedTag;
struct HolderTag;

class ShardNet {
  public:
    struct Options {
        std::uint32_t buffers = 1024;        // a power of two, at most 32768
        std::uint32_t buffer_bytes = 16384;  // of each
    };
    // Counts since the start.
    struct Counters {
        std::uint64_t starved = 0;     // receives that found no buffer
        std::uint64_t copied_out = 0;  // connections whose unread buffers were taken back
        std::uint64_t paused = 0;      // receives cancelled because the connection does not read
    };

    // Fails where the driver cannot make the ring (ENOMEM, a memlock limit).
    [[nodiscard]] static base::Result<std::unique_ptr<ShardNet>> create(rt::Shard& shard,
                                                                        const Options& options);
    ShardNet(const ShardNet&) = delete;
    ShardNet& operator=(const ShardNet&) = delete;
    // REQUIRES: every Stream of this shard is closed.
    ~ShardNet();

    [[nodiscard]] rt::Shard& shard() { return shard_; }
    [[nodiscard]] io::Driver& driver() { return shard_.driver(); }
    [[nodiscard]] const Counters& counters() const { return counters_; }
    // Buffers that were received and not yet given back.
    [[nodiscard]] std::uint32_t leased() const { return leased_; }

  private:
    friend class Stream;
    // A leased buffer's place in its connection's queue.
    struct Slot {
        std::int32_t next = -1;
        std::int32_t size = 0;
    };

    ShardNet(rt::Shard& shard, io::BufferRingId ring, const Options& options);
    void give_back(std::int32_t buffer);
    void starved(Stream& stream);
    [[nodiscard]] std::string_view text(std::int32_t buffer);

    rt::Shard& shard_;
    std::vector<Slot> slots_;
    base::List<Stream, StarvedTag> starved_;  // oldest first
    base::List<Stream, HolderTag> holders_;   // streams with leases in their queues
    Counters counters_;
    std::uint64_t tickets_ = 0;
    std::uint32_t leased_ = 0;
    std::uint32_t buffer_bytes_;
    io::BufferRingId ring_;
};

}  // namespace net
