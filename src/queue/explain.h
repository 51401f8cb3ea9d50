// Explain: why a message is not delivered yet, for `ringpost queue explain`: where its recipients
// are, and the state of all that they may wait for.
//
// Runs on the shard, in a task of the caller's, as listing.h says. What is resident is taken at the
// end, at one moment.
#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "base/time.h"
#include "mail/queue_id.h"
#include "queue/listing.h"
#include "queue/scheduler.h"
#include "queue/site_state.h"
#include "rt/task.h"

namespace queue {

struct Explanation {
    ListedMessage listed;
    std::vector<bool> delay_told;  // of each recipient
    SiteState site;
    bool store_takes_attempts = true;
    bool stopping = false;
    PutOff put_off = PutOff::no;
    base::WallTime expires_at;
    std::optional<base::WallTime> delay_notice_at;  // absent: nobody is told
};

// True when that message is queued here. `explanation` and `stop` must outlive the task.
[[nodiscard]] rt::Task<bool> explain_message(Scheduler& scheduler, mail::QueueId id,
                                             const std::atomic<bool>& stop,
                                             Explanation& explanation);

}  // namespace queue
