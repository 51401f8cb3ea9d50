// LogCheck: reads one partition from outside, for check_spool(); spool_check.h says what it does.
//
//   log_check.cc              the folder, and what recovery makes of the log
//   log_check_checkpoints.cc  every page of the checkpoints
//   log_check_walk.cc         every batch and record of the segments
//   log_check_messages.cc     what messages need: commit records, content, outcomes
//
// Owned by check_spool(), for one run().
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "mail/log_event.h"
#include "rt/awaiters.h"
#include "store/batch_walk.h"
#include "store/read_buffer.h"
#include "store/recovery.h"
#include "store/spool_check.h"

namespace store {

class LogCheck final : private mail::EventLog {
  public:
    // Both are borrowed.
    LogCheck(rt::Shard& shard, const SpoolCheckOptions& options, const format::Identity& identity,
             std::uint32_t partition, SpoolVisitor& visitor);

    // Errors as check_spool().
    [[nodiscard]] rt::Task<base::Status> run();

  private:
    static constexpr std::size_t kReadBytes = 256U << 10U;
    // Of a log in use: until nothing came between, or the same damage showed often enough.
    static constexpr int kReadingsMax = 20;
    static constexpr int kReadingsToBelieve = 3;
    static constexpr std::size_t kMessagesTold = 20;

    // Where one commit record says that the content lies.
    struct Content {
        std::uint64_t sequence = 0;  // of the record's batch
        mail::QueueId id;
        std::vector<Piece> pieces;
    };

    void reception(const mail::ReceptionEvent&) override {}
    void attempt(const mail::AttemptEvent&) override {}
    void removal(const mail::RemovalEvent&) override {}
    void notification(const mail::NotificationEvent&) override {}
    void notice(mail::Severity severity, std::string_view text) override;

    void tell(Finding finding);
    void note(std::string what);
    void error(std::string what, std::vector<mail::QueueId> messages = {});

    [[nodiscard]] base::Status list();
    void note_leftovers();
    [[nodiscard]] rt::Task<base::Result<std::optional<std::uint64_t>>> read_established();
    [[nodiscard]] rt::Task<base::Status> recover();
    [[nodiscard]] rt::Task<base::Status> read_log();
    void tell_damages();
    // While the spool is in use: whether the name is not gone yet.
    [[nodiscard]] rt::Task<bool> still_there(std::string name);
    [[nodiscard]] Segment* find(std::uint64_t segment);

    [[nodiscard]] rt::Task<void> check_checkpoints();
    [[nodiscard]] rt::Task<void> check_checkpoint(std::uint64_t generation);
    [[nodiscard]] rt::Task<std::string> read_pages(io::Handle file, CheckpointFacts& facts);
    void show_page(base::Bytes page, const format::CheckpointPage& header,
                   std::uint64_t generation);

    [[nodiscard]] rt::Task<void> walk_segments();
    [[nodiscard]] rt::Task<void> walk_segment(Segment& segment, bool kept);
    [[nodiscard]] rt::Task<void> tell_hole(Segment& segment, std::uint64_t from, std::uint64_t to,
                                           std::uint64_t sequence);
    [[nodiscard]] rt::Task<void> tell_bad_batch(Segment& segment, std::string what,
                                                std::uint64_t offset, std::uint64_t sequence);
    // Of the records in a batch that does not validate, as far as they can be made out.
    [[nodiscard]] rt::Task<std::vector<mail::QueueId>> ids_at(Segment& segment,
                                                              std::uint64_t offset);
    void show_records(Segment& segment, bool counts);
    [[nodiscard]] bool understood(const Record& record);
    void note_commit(const Segment& segment, const Record& record, std::uint32_t index);
    void note_content(const Record& record);
    // Of the message that the visitor wants, behind all records.
    [[nodiscard]] rt::Task<void> show_content();

    [[nodiscard]] rt::Task<void> check_messages();
    // Into stored_.
    [[nodiscard]] rt::Task<bool> read_commit(const Message& message);
    [[nodiscard]] rt::Task<void> check_content();
    // Of stored_: those that are not there as they were.
    [[nodiscard]] rt::Task<std::vector<std::size_t>> bad_pieces();
    [[nodiscard]] rt::Task<void> check_outcome(const Message& message, std::uint32_t recipient);
    // Reads as many pieces of stored_ from `first` on as lie one behind the other, into buffer_.
    // Gives their number; 0 where the first one cannot be read.
    [[nodiscard]] rt::Task<std::size_t> read_pieces(std::size_t first);
    // The piece's bytes out of buffer_, where they hold.
    [[nodiscard]] std::optional<base::Bytes> piece_at(std::size_t at, const Piece& piece) const;
    [[nodiscard]] static std::size_t padded(const Piece& piece) {
        return base::round_up(piece.bytes, format::kBlock);
    }

    rt::Shard& shard_;
    const SpoolCheckOptions& options_;
    SpoolVisitor& visitor_;
    PartitionFiles files_;
    StoreOptions store_options_;
    io::OwnedHandle directory_;
    rt::AwaitableOp op_;
    AlignedBuffer buffer_;
    std::string name_;

    std::vector<std::string> names_;
    MessageTable table_;
    RuleTable rules_;
    SegmentTable segments_;
    std::unique_ptr<Recovery> recovery_;
    std::vector<std::string> notices_;
    std::set<std::string> refusals_;  // what recovery saw and was not told yet
    BatchWalk walk_;
    ReadBufferPool buffers_;
    StoredMessage stored_;
    std::vector<Content> contents_;
    PartitionTotals totals_;
};

}  // namespace store
