// Partition: one log with its segments, committer and readers. It ties the parts together and keeps
// the counts of what is alive where.
//
// Owned by its shard's store. Memory per message: message_table.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rt/scope.h"
#include "store/checkpoint.h"
#include "store/cleaner.h"
#include "store/committer.h"
#include "store/message_reader.h"
#include "store/message_table.h"
#include "store/recovery.h"
#include "store/segment_pool.h"
#include "store/store.h"

namespace store {

// What the partitions of a shard share.
struct PartitionLinks {
    rt::Shard& shard;
    StoreListener& listener;
    mail::EventLog& log;
    MessageCache& cache;
    ReadBufferPool& buffers;
    StoreCounters& counters;
    const StoreOptions& options;
};

class Partition final : private LiveMessages, private MessageReaderHome {
  public:
    Partition(const PartitionLinks& links, std::uint32_t number);
    ~Partition() override;

    // Opening has two halves: look() reads, and changes nothing in the log; resume() writes. So
    // whatever is refused is so before anything is changed.
    [[nodiscard]] rt::Task<base::Status> look();
    // REQUIRES: look() succeeded.
    [[nodiscard]] rt::Task<base::Status> resume();
    [[nodiscard]] rt::Task<void> close();

    [[nodiscard]] std::uint32_t number() const { return files_.partition; }
    [[nodiscard]] Committer& committer() { return committer_; }
    [[nodiscard]] const SegmentPool& pool() const { return pool_; }
    // Of the epoch; no id is left when it is used up, which takes centuries.
    [[nodiscard]] mail::QueueId next_id();
    [[nodiscard]] base::MonoTime end_of_turn(base::MonoTime now, std::uint32_t others);

    [[nodiscard]] Message* find(mail::QueueId id) const { return table_.find(id); }
    [[nodiscard]] const MessageTable& table() const { return table_; }
    [[nodiscard]] const RuleTable& rules() const { return rules_; }
    [[nodiscard]] const SegmentTable& segments() const { return segments_; }
    void record_changes(Message& message, std::span<const RecipientChange> changes,
                        std::uint32_t rules_met);
    void add_rule(Rule rule);
    void end_rule(std::uint32_t number);
    [[nodiscard]] rt::Task<base::Status> read_message(mail::QueueId id, StoredMessage& into);
    [[nodiscard]] rt::Task<base::Status> read_outcome(mail::QueueId id, std::uint32_t recipient,
                                                      StoredOutcome& into);
    [[nodiscard]] rt::Task<base::Result<ReaderHandle>> open_source(mail::QueueId id);

  private:
    // LiveMessages.
    void committed(Transaction& transaction, Location location) override;
    void outcome_durable(Message& message, std::uint32_t recipient, Location location) override;
    void finished(Message& message, std::uint64_t segment) override;
    void relocated(const StoredRelocation& relocation, std::uint64_t segment) override;
    void changed(const Record& record, std::uint64_t segment) override;
    void free_segments() override;

    // MessageReaderHome.
    [[nodiscard]] rt::Shard& shard() override { return links_.shard; }
    [[nodiscard]] ReadBufferPool& buffers() override { return links_.buffers; }
    void unpin(CachedMessage& cached) override { links_.cache.unpin(cached); }
    void unpin(Segment& segment) override;
    void recycle(MessageReader& reader) override;
    void report_damage(const StoredMessage& message, const Piece& piece, int error) override;

    [[nodiscard]] rt::Task<base::Status> open_directory();
    // For salvage, where it is missing.
    [[nodiscard]] rt::Task<base::Status> make_directory();
    [[nodiscard]] rt::Task<base::Status> take_lock();
    [[nodiscard]] rt::Task<base::Status> remove_temporaries();
    [[nodiscard]] rt::Task<base::Status> start_epoch(Recovery& recovery);
    [[nodiscard]] rt::Task<base::Status> establish();
    [[nodiscard]] rt::Task<base::Result<std::uint64_t>> read_established();
    [[nodiscard]] rt::Task<void> write_established();
    void announce();
    void relocate(Message& message, const StoredRelocation& relocation);
    // The log alone, without that segment, would not tell all.
    void keep_until_covered(std::uint64_t segment);
    [[nodiscard]] Segment& pin(std::uint64_t segment);
    // added_headers is a view of `cached` then.
    void decode(const CachedMessage& cached, StoredMessage& into);
    // REQUIRES: the location's segment is pinned.
    [[nodiscard]] rt::Task<base::Status> read_commit(Segment& segment, Location location,
                                                     mail::QueueId id, StoredMessage& into);

    PartitionLinks links_;
    PartitionFiles files_;
    io::OwnedHandle directory_;
    // Between look() and resume().
    std::vector<std::string> names_;
    bool witnessed_ = false;
    std::unique_ptr<Recovery> recovery_;
    io::OwnedHandle lock_;
    MessageTable table_;
    RuleTable rules_;
    SegmentTable segments_;
    SegmentPool pool_;
    Committer committer_;
    Checkpointer checkpointer_;
    Cleaner cleaner_;
    rt::Scope checkpointing_;
    rt::Scope cleaning_;
    rt::Scope scope_;
    rt::AwaitableOp op_;
    rt::Wakeup wakeup_;
    std::uint32_t epoch_ = 0;
    std::vector<format::SegmentShare> shares_;  // of the message at hand
    std::uint64_t next_id_ = 1;
    std::uint64_t freed_below_ = 0;  // all older ones are dead, when they were last looked through
    std::vector<std::unique_ptr<MessageReader>> readers_;
    std::vector<MessageReader*> free_readers_;
};

}  // namespace store
