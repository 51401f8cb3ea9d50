// Store: the durable messages of one shard. It takes messages in (mail::MessageSink), makes them
// and the outcomes of their recipients durable by group commit, gives them back, and forgets them.
// The format is described in docs/FORMAT.md.
//
// Owned by its shard, and lives on it alone; one per shard. It owns every partition whose number
// modulo the number of shards is this shard's: new messages go to the first of them, the others
// (left over from a start with more shards) only drain.
//
// Life: construct, co_await open(), use, co_await close(), destroy. Nothing may be called before
// open() succeeded or after close() began. close() needs all transactions and readers gone.
//
// Memory: message_table.h says what a message costs. On its way in, in the cache and while it is
// read it has more; `chunk_bytes_max` bounds the first two.
//
// Failures. Fatal: a write or sync of the log failed; the process ends (Driver::fatal) and the
// next start reads the truth from the disk. Panic: misuse that the assertions name. Values: a full
// disk (SinkState::storage_full, recovers by itself), a message whose bytes cannot be read
// (SourceState::failed, Error EIO or EUCLEAN).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "base/waiter.h"
#include "mail/log_event.h"
#include "mail/message_sink.h"
#include "mail/message_source.h"
#include "mail/status_code.h"
#include "rt/shard.h"
#include "rt/task.h"
#include "store/listener.h"
#include "store/message_table.h"
#include "store/rule.h"
#include "store/spool.h"
#include "store/stored_message.h"

namespace store {

class Partition;

struct StoreOptions {
    std::string spool;       // its path, as given to open_spool()
    SpoolIdentity identity;  // what open_spool() gave
    std::uint32_t shards = 1;

    std::uint64_t segment_bytes = 64ULL << 20U;     // whole blocks, at least 64 KiB
    std::uint32_t segments_ahead = 3;               // prepared beside the active one; at least 3
    std::uint64_t chunk_bytes_max = 128ULL << 20U;  // transactions and cache of this shard
    std::uint64_t cache_bytes_max = 64ULL << 20U;   // what of that the cache may hold
    std::uint32_t transactions_max = 4096;          // begin() gives null above it
    std::uint64_t batch_bytes_max = 1ULL << 20U;
    // Of log between two checkpoints of a partition; 0: none are written.
    std::uint64_t checkpoint_bytes = 64ULL << 20U;
    // What the cleaner reads and writes at most while space is not short; 0: nothing is ever moved.
    std::uint64_t cleaner_bytes_per_s = 32ULL << 20U;

    base::Duration commit_delay = std::chrono::milliseconds(1);
    base::Duration outcome_delay = std::chrono::milliseconds(10);
    base::Duration seal_delay = std::chrono::milliseconds(100);
    base::Duration space_retry = std::chrono::seconds(1);
    base::Duration lock_wait = std::chrono::seconds(5);

    bool direct_io = true;  // false: buffered writes and a sync, as where O_DIRECT is refused
    bool salvage = false;   // start in spite of corruption, and say what was lost
};

// How one recipient fared. Views need to hold during the call only.
struct Outcome {
    std::uint32_t recipient = 0;  // index in the envelope
    RecipientStatus status = RecipientStatus::pending;
    std::uint32_t attempts = 0;   // so far, this one included
    base::WallTime at;            // when it was known
    base::WallTime next_attempt;  // deferred only
    std::uint16_t code = 0;       // the reply's code; 0 when there was no reply
    mail::EnhancedStatus dsn;
    std::string_view reply;       // its text; cut at kReplyBytesMax
    std::string_view relay;       // the next hop that was tried
    bool delay_told = false;      // the sender knows that this recipient is delayed
    base::Bytes history = {};     // earlier attempts, as AttemptHistory writes them
    std::uint32_t rules_met = 0;  // the store's own to set

    static constexpr std::size_t kReplyBytesMax = 1024;
    static constexpr std::size_t kRelayBytesMax = 256;
};

// A reading of one message: the bytes (mail::MessageSource) and all else that is stored of it.
// Let the handle go to end the reading, at any time: a waiter that next() took is then never woken.
class Reader : public mail::MessageSource {
  public:
    [[nodiscard]] virtual const StoredMessage& message() const = 0;

  private:
    friend class ReaderDeleter;
    virtual void release() = 0;
};
class ReaderDeleter {
  public:
    void operator()(Reader* reader) const { reader->release(); }
};
using ReaderHandle = std::unique_ptr<Reader, ReaderDeleter>;

// Counts since open(), for metrics and tests.
struct StoreCounters {
    std::uint64_t batches = 0;
    std::uint64_t batch_bytes = 0;
    std::uint64_t commits = 0;
    std::uint64_t outcomes = 0;
    std::uint64_t finished = 0;
    std::uint64_t rotations = 0;
    std::uint64_t segments_created = 0;
    std::uint64_t segments_recycled = 0;
    std::uint64_t checkpoints = 0;
    std::uint64_t checkpoints_begun = 0;  // ended or not, and …
    std::uint64_t checkpoints_ended = 0;  // … those that are, in place or not
    std::uint64_t checkpoint_bytes = 0;
    std::uint64_t segments_cleaned = 0;
    std::uint64_t cleanings_begun = 0;  // as of checkpoints
    std::uint64_t cleanings_ended = 0;
    std::uint64_t messages_moved = 0;
    std::uint64_t cleaner_batches = 0;
    std::uint64_t cleaner_bytes = 0;
    std::uint64_t relocations_replayed = 0;  // that the start applied
    std::uint64_t cache_hits = 0;
    std::uint64_t cache_misses = 0;
    rt::Meter checkpointing;
    rt::Meter cleaning;

    StoreCounters& operator+=(const StoreCounters& other);
};

class Store final : public mail::MessageSink, private rt::TurnHook {
  public:
    // `listener` and `log` are borrowed for the store's life.
    Store(rt::Shard& shard, StoreListener& listener, mail::EventLog& log, StoreOptions options);
    // REQUIRES: closed, or never opened, or the driver is dead.
    ~Store() override;

    // Recovers every partition of this shard, and gives each live message to the listener. Errors
    // are sentences: the spool is locked by another process, corrupt, or cannot be read or written.
    [[nodiscard]] rt::Task<base::Status> open();
    // The halves of open(), for a spool of several shards: what one of them refuses is refused
    // before any of them has changed anything. look() takes the locks and reads; resume() writes.
    [[nodiscard]] rt::Task<base::Status> look();
    // REQUIRES: look() succeeded.
    [[nodiscard]] rt::Task<base::Status> resume();
    // Makes pending outcomes durable, seals the logs and lets go of the files.
    [[nodiscard]] rt::Task<void> close();

    // mail::MessageSink.
    [[nodiscard]] mail::SinkState admits(std::uint64_t size_bytes) override;
    [[nodiscard]] mail::IncomingMessageHandle begin(const mail::Origin& origin) override;

    // The live message of that id; nullptr when there is none.
    [[nodiscard]] Message* find(mail::QueueId id);

    // Takes an outcome down: the recipient's state is that at once. It rides along with the next
    // batch, or starts one after outcome_delay. `durable` is woken when it is on disk (or the
    // process is going down), never inside the call.
    void record_outcome(Message& message, const Outcome& outcome, base::Waiter* durable = nullptr);
    // Takes down what a rule, or several, made of a message, up to number `rules_met`: its
    // recipients are that at once, and become it durably together.
    void record_changes(Message& message, std::span<const RecipientChange> changes,
                        std::uint32_t rules_met);
    // Every recipient is final: the message is dead once this is durable, and never comes back
    // after. Until then a crash brings it back with its recorded outcomes. REQUIRES: once per
    // message, after every record_outcome() of it; the message is the store's alone then.
    void finish(Message& message, base::Waiter* durable = nullptr);
    // False while so many outcomes wait to be written (a slow or full disk) that no more should be
    // made; they are taken all the same.
    [[nodiscard]] bool takes_outcomes() const;
    // Also false where what a full disk has left is for the outcomes of attempts under way: then
    // no new attempt should start.
    [[nodiscard]] bool takes_attempts() const;
    // Bytes of outcomes and the like that are not durable yet, about.
    [[nodiscard]] std::size_t outcomes_waiting() const;
    // Wakes `durable` when what was recorded in one of the partitions is durable; false when there
    // is nothing.
    [[nodiscard]] bool wait_for_outcomes(base::Waiter& durable);

    // Envelope, facts and added headers; content is not read. Errors: EIO, EUCLEAN (damaged),
    // ENOENT (there is no such message any more). `into` must outlive the task.
    [[nodiscard]] rt::Task<base::Status> read_message(mail::QueueId id, StoredMessage& into);
    // The record of the recipient's last outcome; ENODATA where none is durable. Else as
    // read_message().
    [[nodiscard]] rt::Task<base::Status> read_outcome(mail::QueueId id, std::uint32_t recipient,
                                                      StoredOutcome& into);
    // Begins a reading of the message. Its bytes stay readable until the reader goes, whatever
    // happens to the message. Errors as with read_message().
    [[nodiscard]] rt::Task<base::Result<ReaderHandle>> open_source(mail::QueueId id);

    // Rules over many messages, of the operator's: kept until they are ended, and what each message
    // has met of them. The newest number that was ever seen here; 0 where there was none.
    [[nodiscard]] std::uint32_t newest_rule() const;
    // Those that are not ended, of one partition, ascending. Views hold until the next of these
    // calls.
    [[nodiscard]] std::span<const Rule> rules(std::uint32_t partition) const;
    // In force at once, over what each partition has accepted so far; the listener hears when they
    // are durable. REQUIRES: the numbers ascend, above newest_rule().
    void add_rules(std::span<const Rule> rules);
    // That one, and all before it, in every partition.
    [[nodiscard]] bool rule_durable(std::uint32_t number) const;
    void end_rule(std::uint32_t number);

    // Of the segments that are in use, and what of them something needs, about.
    [[nodiscard]] std::uint64_t spool_bytes() const;
    [[nodiscard]] std::uint64_t live_bytes() const;
    [[nodiscard]] StoreCounters counters() const;

  private:
    class Shared;

    [[nodiscard]] base::MonoTime end_of_turn(base::MonoTime now) override;
    [[nodiscard]] Partition& partition(std::uint32_t number);

    rt::Shard& shard_;
    std::unique_ptr<Shared> shared_;  // pools and cache; outlives the partitions
    std::vector<std::unique_ptr<Partition>> partitions_;
};

}  // namespace store
