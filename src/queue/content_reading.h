// ContentReading: the content of a queued message as it would be sent, a part at a time: the added
// headers, then what was received, without dot-stuffing.
//
// Lives on its shard. While it is open the message's bytes stay readable, whatever happens to the
// message; and the store cannot be closed.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "mail/queue_id.h"
#include "mail/wire_scanner.h"
#include "queue/scheduler.h"
#include "rt/awaiters.h"
#include "rt/task.h"
#include "store/store.h"

namespace queue {

class ContentReading {
  public:
    ContentReading() = default;
    ContentReading(const ContentReading&) = delete;
    ContentReading& operator=(const ContentReading&) = delete;
    // REQUIRES: on the shard, unless it is closed.
    ~ContentReading() = default;

    // Errors: as Store::open_source(); ENOENT where it is not queued any more.
    [[nodiscard]] rt::Task<base::Status> open(Scheduler& scheduler, mail::QueueId id);
    [[nodiscard]] bool is_open() const { return reader_ != nullptr; }
    // REQUIRES: open, as for all that follow.
    [[nodiscard]] const store::StoredMessage& message() const { return reader_->message(); }
    // Appends some of what comes next: none where all was given, else at least a byte, and little
    // more than `bytes_max`. EIO: the spool cannot be read there.
    [[nodiscard]] rt::Task<base::Status> read(std::string& into, std::size_t bytes_max);
    // REQUIRES: no read() is under way.
    void close() { reader_.reset(); }

  private:
    store::ReaderHandle reader_;
    mail::WireScanner scanner_;
    rt::Wakeup wakeup_;
    bool headers_given_ = false;
    bool ended_ = false;
};

}  // namespace queue
