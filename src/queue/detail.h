// Detail: all that `ringpost queue show` tells of one message: its envelope, every attempt at each
// recipient, and its header section.
//
// Runs on the shard, in a task of the caller's, as listing.h says.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "mail/dsn_parameters.h"
#include "mail/queue_id.h"
#include "mail/status_code.h"
#include "queue/listing.h"
#include "queue/scheduler.h"
#include "rt/task.h"

namespace queue {

// Attempts in a row that had the same answer from the same host; of a gap nothing is known but
// about when, and how many.
struct DetailedAttempts {
    base::WallTime first;
    base::WallTime last;
    std::uint32_t count = 0;
    bool gap = false;
    std::string relay;  // the next hop; "" when none was reached
    mail::Reply reply;  // cut, but for the last one
};

struct DetailedRecipient {
    mail::Notify notify;
    std::string original_recipient;  // as it came, encoded
    bool delay_told = false;
    std::vector<DetailedAttempts> attempts;  // the oldest first
};

struct MessageDetail {
    static constexpr std::size_t kHeaderBytesMax = std::size_t{64} << 10U;

    ListedMessage listed;
    // All that follows is empty where the message is not readable.
    std::vector<DetailedRecipient> recipients;  // as listed.recipients
    std::string client_address;
    std::string helo;
    std::string protocol;
    bool smtputf8 = false;
    bool body_8bitmime = false;
    std::uint64_t declared_bytes = 0;  // SIZE=; 0 where it was not given
    mail::ReturnContent ret = mail::ReturnContent::unspecified;
    std::string envelope_id;  // as it came, encoded
    std::string header;       // added headers and header section, without the empty line behind it
    bool header_cut = false;
    bool header_readable = true;

    base::WallTime expires_at;
    std::optional<base::WallTime> delay_notice_at;
};

// True when that message is queued here. `detail` and `stop` must outlive the task.
[[nodiscard]] rt::Task<bool> detail_message(Scheduler& scheduler, mail::QueueId id,
                                            const std::atomic<bool>& stop, MessageDetail& detail);

}  // namespace queue
