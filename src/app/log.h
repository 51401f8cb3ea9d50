// Log: takes events from the shards and writes them as lines.
//
// Made by the main thread before the shards, and destroyed after them. Each shard has an EventLog
// of its own that copies events into a bounded ring (app/log_ring.h); the log's thread collects
// them at least every 100 ms, formats, and writes whole batches. When a ring is full, events are
// dropped, and a warning line says how many. Lines of one round are in the order of time. A log
// that cannot be written (a full disk, a reader that is gone or does not read) never stops the
// mail, and holds up the end of the server for 5 s at most; what was not written by then is lost.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string_view>

#include "app/config.h"
#include "base/time.h"
#include "mail/log_event.h"

namespace app {

class Log {
  public:
    using Clock = std::function<base::WallTime()>;

    static constexpr std::size_t kRingBytes = std::size_t{1} << 20U;  // per shard

    // Starts the thread. `out` is borrowed and written by that thread only.
    Log(const LogConfig& config, std::uint32_t shards, std::FILE* out,
        std::size_t ring_bytes = kRingBytes);
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;
    // Writes what is there and ends the thread. REQUIRES: the shards no longer use their EventLogs.
    ~Log();

    // The log of one shard, which is called on that shard alone; `clock` is the shard's wall clock.
    // REQUIRES: shard < shards, and not asked for before.
    [[nodiscard]] mail::EventLog& open_shard(std::uint32_t shard, Clock clock);

    // From any thread of the control plane: a line of its own. Takes a lock.
    void notice(mail::Severity severity, std::string_view text);

    // Returns when all that was logged before by this thread is written, or after 5 s. Off the
    // shards only.
    void flush();

  private:
    class Thread;
    std::unique_ptr<Thread> thread_;
};

}  // namespace app
