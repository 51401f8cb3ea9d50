// Committer: the append point of one partition's log. It gathers what waits (pieces of content,
// commits, outcomes) into batches, and writes one batch after another: one write in flight, the
// next batch gathering meanwhile. Whoever waits is woken in batch order, when the batch is durable.
//
// When it writes, decided at the end of each turn:
//   a commit waits and no session of the shard is in its data phase         at once
//   as much waits as a batch may hold, or a large message streams           at once
//   the oldest commit has waited `commit_delay`                             then
//   only outcomes wait                                                      after `outcome_delay`
//   nothing waits, but the last batch's watermark is on no disk yet         after `seal_delay`
// Behind a batch that had several commits in it, the next commits wait for company: a quarter of
// the time that it took, at the most `commit_delay`; but what else is written meanwhile takes them
// along.
//
// Owned by its partition. Fatal: a write or sync that failed or came short; nothing of it is
// believed any more, and the next start reads what is on the disk.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/time.h"
#include "base/waiter.h"
#include "io/op.h"
#include "store/batch.h"
#include "store/listener.h"
#include "store/message_cache.h"
#include "store/outcome_buffer.h"
#include "store/record_reader.h"
#include "store/segment.h"
#include "store/segment_pool.h"
#include "store/store.h"
#include "store/transaction.h"

namespace store {

// What a committer asks of its partition, and tells it.
class LiveMessages {
  public:
    LiveMessages() = default;
    LiveMessages(const LiveMessages&) = delete;
    LiveMessages& operator=(const LiveMessages&) = delete;
    virtual ~LiveMessages() = default;

    // Durable: the message exists. It takes over what the transaction holds.
    virtual void committed(Transaction& transaction, Location location) = 0;
    virtual void outcome_durable(Message& message, std::uint32_t recipient, Location location) = 0;
    // Durable, in a record of that segment: the message is dead.
    virtual void finished(Message& message, std::uint64_t segment) = 0;
    // Durable, in a record of that segment: the message, or the outcome, is elsewhere, unless it
    // has ended or moved on meanwhile.
    virtual void relocated(const StoredRelocation& relocation, std::uint64_t segment) = 0;
    // Durable, in a record of that segment: what rules made of a message, a rule, or the end of
    // one.
    virtual void changed(const Record& record, std::uint64_t segment) = 0;
    // Segments may have become free: what the log says durably is dead, and no one reads.
    virtual void free_segments() = 0;
};

class Committer {
  public:
    struct Links {
        PartitionFiles& files;
        SegmentTable& segments;
        SegmentPool& pool;
        MessageCache& cache;
        LiveMessages& live;
        StoreCounters& counters;
        const StoreOptions& options;
    };
    // Where recovery left the log.
    struct Start {
        std::uint32_t epoch = 0;
        std::uint64_t next_sequence = 0;
        std::uint64_t salvaged_below = 0;
        std::vector<format::SegmentEnd> ends;  // of segments whose end no record tells yet
    };

    // A place in the log: the next batch has that sequence number, and lies there or, where there
    // is no room, at the start of the next segment.
    struct Position {
        std::uint64_t segment = 0;
        std::uint64_t offset = 0;
        std::uint64_t sequence = 0;
    };

    explicit Committer(const Links& links);
    Committer(const Committer&) = delete;
    Committer& operator=(const Committer&) = delete;
    ~Committer();

    // Begins the epoch in a prepared segment; `started` is woken when that is durable. Nothing may
    // be committed before. REQUIRES: the pool has a prepared segment.
    void start(const Start& start, base::Waiter& started);
    [[nodiscard]] bool started() const { return running_ && !new_epoch_; }
    // Every batch up to this one is durable.
    [[nodiscard]] std::uint64_t durable_sequence() const { return durable_sequence_; }
    // Everything in older segments is dead, as the durable log says.
    [[nodiscard]] std::uint64_t durable_first() const { return durable_first_; }
    // Behind the last durable batch. REQUIRES: started.
    [[nodiscard]] Position position() const;
    [[nodiscard]] const Start& epoch() const { return start_; }
    // Of durable batches, in this epoch.
    [[nodiscard]] std::uint64_t durable_bytes() const { return durable_bytes_; }

    // From transactions.
    void stream(Transaction& transaction);
    void commit(Transaction& transaction);
    void abandon(Transaction& transaction);
    void fail_later(Transaction& transaction);

    void record_outcome(Message& message, const Outcome& outcome, base::Waiter* durable);
    void finish(Message& message, base::Waiter* durable);
    // What it speaks of is durable in both places.
    void relocate(const format::Relocation& fixed, std::span<const format::SegmentShare> others);
    // `more`: of the same message, at once; they take effect together.
    void record_changes(mail::QueueId id, std::span<const RecipientChange> changes,
                        std::uint32_t rules_met, bool more);
    void add_rule(const Rule& rule);
    void end_rule(std::uint32_t number);
    // How many of these there were, and how many of them, in that order, are durable.
    [[nodiscard]] std::uint64_t records_taken() const { return records_taken_; }
    [[nodiscard]] std::uint64_t records_durable() const { return records_durable_; }
    // Wakes `durable` when all that was recorded is durable; false when it is.
    [[nodiscard]] bool wait_for_outcomes(base::Waiter& durable);
    // Not while those that wait have no room on the disk either: who goes on delivering then would
    // deliver again after a kill.
    [[nodiscard]] bool takes_outcomes() const {
        return gathering_.bytes() < kOutcomeBytesMax && !(outcomes_stuck() && outcomes_wait());
    }
    // What is left of the reserve is for the outcomes of attempts that are under way.
    [[nodiscard]] bool takes_attempts() const { return takes_outcomes() && !scarce(); }
    // The disk is so full that not even the reserve has room for them.
    [[nodiscard]] bool outcomes_stuck() const { return closed_ && links_.pool.barren(); }
    [[nodiscard]] std::size_t outcomes_waiting() const {
        return gathering_.bytes() + flying_.bytes();
    }
    [[nodiscard]] bool admits(std::uint64_t size_bytes) const;

    // `others`: sessions of the shard that are in their data phase.
    [[nodiscard]] base::MonoTime end_of_turn(base::MonoTime now, std::uint32_t others);
    // Wakes `drained` once nothing waits and the log is sealed; or when the disk is so full that
    // the reserve for outcomes is used up, and stays so for a few tries: then what waits is given
    // up, with a notice.
    void drain(base::Waiter& drained);

  private:
    static constexpr std::size_t kOutcomeBytesMax = 1U << 20U;
    // How many segments must be prepared for one to be taken while no more can be: content leaves
    // one to outcomes, and those leave one to the next start, which cannot do without.
    static constexpr std::size_t kNeededByContent = 3;
    static constexpr std::size_t kNeededByOutcomes = 2;
    // Where a batch has let several go, they come back soon: the next one gathers for this part of
    // the time that it took.
    static constexpr int kGather = 4;

    enum class Write : std::uint8_t { batch, summary };
    class WriteOp : public io::Op {
      public:
        explicit WriteOp(Committer& owner);
        Committer& owner;
    };

    // What waits for company, in a batch of outcomes alone. One record is to be added.
    [[nodiscard]] OutcomeBuffer& gather();
    [[nodiscard]] bool anything_waits() const;
    void drained();
    [[nodiscard]] bool outcomes_wait() const { return !gathering_.empty() || !flying_.empty(); }
    [[nodiscard]] bool seal_due() const;
    [[nodiscard]] bool scarce() const;
    [[nodiscard]] base::MonoTime due(base::MonoTime now, std::uint32_t others);
    void try_write();
    [[nodiscard]] bool take_segment();
    // False: something waits, and nothing of it fits into the active segment.
    [[nodiscard]] bool plan(bool with_content);
    void plan_opening();
    void write_batch(bool seal);
    void write_summary();
    void submit(format::BatchHeader& header, Write what);
    void put_opening(RecordWriter& writer);
    void fail_work(mail::SinkState state);
    void fail_all();
    void take_off(Transaction& transaction);
    void hold(Transaction& transaction);
    void unhold(Transaction& transaction);

    static void completed(io::Op& op, const io::Completion& completion);
    void on_completion(std::int32_t result);
    void on_durable();
    void apply_outcomes();
    void apply_transactions();
    void on_commit(const Batch::Part& part);
    [[nodiscard]] bool content_allowed() const;
    [[nodiscard]] std::uint64_t room() const;

    Links links_;
    rt::Shard& shard_;
    WriteOp op_;
    Batch batch_;
    Write writing_ = Write::batch;
    bool syncing_ = false;
    format::BatchHeader header_;  // of the batch in flight

    Segment* active_ = nullptr;
    bool closed_ = false;     // the active segment has its summary
    bool opening_ = false;    // the next batch is the first of the active segment
    bool new_epoch_ = false;  // … and of the epoch
    Start start_;
    std::vector<format::SegmentEnd> ends_;
    format::Summary summary_;
    std::uint64_t next_sequence_ = 1;
    std::uint64_t durable_sequence_ = 0;
    std::uint64_t durable_first_ = 0;  // oldest segment, as the durable log says
    std::uint64_t durable_bytes_ = 0;
    bool sealed_ = true;
    bool running_ = false;

    base::List<Transaction, WorkTag> work_;
    base::List<Transaction, BatchTag> in_batch_;
    base::List<Transaction, WorkTag> failed_;
    std::uint64_t waiting_bytes_ = 0;
    std::uint32_t commits_waiting_ = 0;
    std::uint32_t streams_waiting_ = 0;
    OutcomeBuffer gathering_;
    OutcomeBuffer flying_;
    std::uint64_t records_taken_ = 0;
    std::uint64_t records_durable_ = 0;
    base::MonoTime outcomes_since_ = base::kNever;
    base::MonoTime submitted_at_{};
    base::MonoTime durable_at_{};
    base::MonoTime gathers_until_{};
    std::uint32_t commits_in_batch_ = 0;  // in flight, or the last one
    base::Waiter* starter_ = nullptr;
    base::Waiter* drainer_ = nullptr;
};

}  // namespace store
