#include "net/shard_net.h"

#include <utility>

#include "base/assert.h"
#include "base/bytes.h"
#include "net/stream.h"

namespace net {

base::Result<std::unique_ptr<ShardNet>> ShardNet::create(rt::Shard& shard, const Options& options) {
    const base::Result<io::BufferRingId> ring =
        shard.driver().add_buffer_ring(options.buffers, options.buffer_bytes);
    if (!ring) {
        return base::fail(ring.error().number(),
                          "cannot make the ring of receive buffers: " + ring.error().describe());
    }
    return std::unique_ptr<ShardNet>(new ShardNet(shard, *ring, options));
}

ShardNet::ShardNet(rt::Shard& shard, io::BufferRingId ring, const Options& options)
    : shard_(shard), slots_(options.buffers), buffer_bytes_(options.buffer_bytes), ring_(ring) {}

ShardNet::~ShardNet() {
    RP_ASSERT(leased_ == 0 && starved_.empty() && holders_.empty());
}

std::string_view ShardNet::text(std::int32_t buffer) {
    return base::as_text(shard_.driver().buffer(ring_, buffer))
        .substr(0, static_cast<std::size_t>(slots_[static_cast<std::size_t>(buffer)].size));
}

// Each buffer that comes back lets one waiting connection, the oldest, receive again.
void ShardNet::give_back(std::int32_t buffer) {
    RP_ASSERT(leased_ > 0);
    --leased_;
    shard_.driver().return_buffer(ring_, buffer);
    if (!starved_.empty()) {
        starved_.pop_front().arm();
    }
}

// `stream` found no buffer, and its task waits. It queues by the age of its need: one that was
// armed again and met an empty ring once more keeps its place before those that came later.
void ShardNet::starved(Stream& stream) {
    ++counters_.starved;
    if (stream.ticket_ == 0) {
        stream.ticket_ = ++tickets_;
    }
    Stream* place = starved_.empty() ? nullptr : &starved_.front();
    while (place != nullptr && place->ticket_ < stream.ticket_) {
        place = starved_.after(*place);
    }
    if (place == nullptr) {
        starved_.push_back(stream);
    } else {
        starved_.insert(*place, stream);
    }
    // Connections that do not read give back what they hold; those whose task was woken read in
    // this turn and give theirs back by that.
    for (Stream* holder = holders_.empty() ? nullptr : &holders_.front(); holder != nullptr;) {
        Stream* const next = holders_.after(*holder);
        if (!holder->reader_woken_) {
            ++counters_.copied_out;
            holder->copy_out();
        }
        holder = next;
    }
    // Buffers that came back before this was known, or whose completions are still to be seen.
    for (std::size_t free = slots_.size() - leased_; free > 0 && !starved_.empty(); --free) {
        starved_.pop_front().arm();
    }
}

}  // namespace net
