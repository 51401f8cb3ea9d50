// check_spool(): reads a whole spool from outside, tells a visitor what is there, and what is wrong
// with it. It changes nothing: no file is made, removed, locked or synced.
//
// A partition's log is judged by Recovery, as a start would judge it. Beyond that, of what is alive
// it reads what a start does not: the records before the checkpoint, the older checkpoint, the
// content of every message and the record of every outcome.
//
// A spool may be in use meanwhile. What a log holds is never written over under the same name, so
// only this may come between: a segment or a checkpoint goes, since nothing needs it any more. So
// damage counts only where the file still has its name after it was seen, and what recovery finds
// only where several readings find it.
//
// Memory: the table of one partition's messages, and some MiB. Runs as one task on any shard.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "mail/queue_id.h"
#include "rt/task.h"
#include "store/format.h"
#include "store/location.h"
#include "store/record_reader.h"
#include "store/stored_message.h"

namespace rt {
class Shard;
}

namespace store {

struct SpoolCheckOptions {
    std::string spool;
    bool in_use = false;                     // a running process has it
    std::optional<std::uint32_t> partition;  // that one alone
    // Only what is alive is read, and all of it checked; else every batch is shown, and messages
    // are not gone through.
    bool check_messages = true;
};

struct Finding {
    enum class Severity : std::uint8_t {
        note,   // worth knowing
        error,  // something is damaged or missing
    };
    Severity severity = Severity::error;
    std::optional<std::uint32_t> partition;
    std::string what;                     // a sentence without its full stop
    std::vector<mail::QueueId> messages;  // that it hits, as far as that can be told
    bool refused = false;                 // a start is refused for it, unless it is to salvage
};

struct CheckpointFacts {
    std::uint64_t generation = 0;
    std::uint64_t bytes = 0;
    std::uint64_t bad_pages = 0;
    bool valid = false;
    format::CheckpointStart start;  // where it is valid
};

struct SegmentFacts {
    std::uint64_t segment = 0;
    std::uint64_t bytes = 0;
    std::uint64_t end = 0;            // behind the last batch that counts
    std::uint64_t last_sequence = 0;  // of that batch
    std::uint64_t live = 0;           // what needs it
    bool kept = false;                // else it is free, or will be at the next start
};

struct RecordPlace {
    std::uint64_t segment = 0;
    std::uint64_t block = 0;  // of the batch
    std::uint32_t index = 0;
};

struct PartitionTotals {
    std::uint32_t partition = 0;
    std::uint64_t segments = 0;  // that hold the log; others are free
    std::uint64_t free_segments = 0;
    std::uint64_t batches = 0;
    std::uint64_t messages = 0;                                       // alive
    std::array<std::uint64_t, kRecipientStatusMax + 1> recipients{};  // of those, by their state
    std::uint64_t bytes = 0;                                          // of their content
    std::vector<std::uint64_t> checkpoints;                           // generations, ascending
    std::uint64_t watermark = 0;
};

// Called in the order of what lies there. Views hold during the call only.
class SpoolVisitor {
  public:
    SpoolVisitor() = default;
    SpoolVisitor(const SpoolVisitor&) = delete;
    SpoolVisitor& operator=(const SpoolVisitor&) = delete;
    virtual ~SpoolVisitor() = default;

    virtual void identity(const format::Identity& /*identity*/) {}
    virtual void partition(std::uint32_t /*number*/) {}
    // Behind its records.
    virtual void checkpoint(const CheckpointFacts& /*facts*/) {}
    virtual void checkpoint_record(std::uint64_t /*generation*/, std::uint32_t /*page*/,
                                   std::uint32_t /*index*/, const Record& /*record*/) {}
    virtual void segment(const SegmentFacts& /*facts*/) {}
    // `counts`: false behind the end of the segment that the log knows.
    virtual void batch(const format::BatchHeader& /*header*/, std::uint64_t /*offset*/,
                       bool /*counts*/) {}
    virtual void record(const RecordPlace& /*place*/, const Record& /*record*/) {}
    // Whether content() shall be called for the message that a commit record tells of.
    [[nodiscard]] virtual bool wants_content(mail::QueueId /*id*/) { return false; }
    // One piece of it, behind the partition's records; nothing where it is not there as it was.
    virtual void content(mail::QueueId /*id*/, std::size_t /*piece*/,
                         std::optional<base::Bytes> /*bytes*/) {}
    virtual void finding(const Finding& finding) = 0;
    virtual void totals(const PartitionTotals& /*totals*/) {}
};

// Errors are sentences: it is no spool (ENOENT, ENOTDIR), is of a newer format (EPROTONOSUPPORT),
// cannot be read, or changes faster than it can be (EAGAIN). Damage is no error but findings.
[[nodiscard]] rt::Task<base::Status> check_spool(rt::Shard& shard, SpoolCheckOptions options,
                                                 SpoolVisitor& visitor);

}  // namespace store
