// Recovery: reads a partition's log after a start, whatever state a crash left it in, and says what
// is alive and where the log goes on. It changes nothing on the disk, so a crash during it (or
// between it and the new epoch's first batch) leaves the same to do again.
//
//   1. the newest checkpoint that validates    the table of messages at a position of the log
//   2. open, lock and sync every segment       what is read below is on the disk, and stays so
//   3. survey: every header that validates     the highest watermark, where segments end, the epoch
//   4. replay in order of sequence numbers     an invalid batch above the watermark is a torn tail:
//                                              it is cut; below it is corruption: refused, unless
//                                              options.salvage
// 3 and 4 begin where the checkpoint ends; without one, at the log's begin.
//
// Owned by its partition for the time of open().
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "rt/awaiters.h"
#include "store/batch_walk.h"
#include "store/checkpoint.h"
#include "store/checkpoint_reader.h"
#include "store/committer.h"
#include "store/read_buffer.h"
#include "store/replay.h"
#include "store/segment.h"
#include "store/segment_pool.h"

namespace store {

// Takes the lock, trying for `wait`: a killed process's last writes hold it for a moment.
// `sleep` may be interrupted to give up early.
[[nodiscard]] rt::Task<base::Status> lock_within(rt::Shard& shard, rt::Sleep& sleep,
                                                 io::Handle file, base::Duration wait);

class Recovery {
  public:
    // `established`: the log has had a durable batch once, so finding none is a loss; up to which
    // sequence it was durable when it was last closed, 0 where that is not known.
    // `table`, `rules` and `segments` are filled, and empty before.
    Recovery(PartitionFiles& files, const StoreOptions& options, MessageTable& table,
             RuleTable& rules, SegmentTable& segments, std::optional<std::uint64_t> established);

    // Errors are sentences for the operator.
    [[nodiscard]] rt::Task<base::Status> run(const std::vector<std::string>& names);

    // After run():
    [[nodiscard]] const KeptCheckpoints& checkpoints() const { return checkpoints_; }
    // Segments that hold nothing alive, for the pool.
    [[nodiscard]] std::vector<std::unique_ptr<Segment>>& free() { return free_; }
    [[nodiscard]] const Committer::Start& start() const { return start_; }
    [[nodiscard]] std::uint64_t next_segment() const { return next_segment_; }
    // For a look from outside: what a start without salvage is refused for, in sentences.
    [[nodiscard]] const std::vector<std::string>& damages() const { return damages_; }
    [[nodiscard]] std::uint64_t unreadable() const { return walk_.unreadable(); }
    [[nodiscard]] std::uint64_t watermark() const { return watermark_; }
    [[nodiscard]] std::uint64_t relocations() const { return replay_.relocations(); }
    // Damage in batches before it was accepted by a person.
    [[nodiscard]] std::uint64_t salvaged_below() const { return salvaged_below_; }

  private:
    struct Found {
        std::unique_ptr<Segment> segment;
        bool header_good = false;
        bool foreign = false;  // the header is good, but another partition's or segment's
        std::uint64_t file_bytes = 0;
        bool any_batch = false;  // whose header validates, behind the checkpoint
        std::uint64_t known_end = 0;
        std::uint64_t surveyed_end = 0;  // no header validates behind it
        base::Status opened;
    };
    static constexpr std::size_t kOpeners = 16;
    static constexpr std::uint64_t kMessagesTold = 100;
    // What the opening of one segment needs.
    struct Opener {
        AlignedBuffer block{format::kBlock};
        std::string name;
        rt::AwaitableOp op;
    };
    // Where a header of that sequence number was found, and the oldest segment that it names.
    struct Place {
        std::size_t found = 0;
        std::uint64_t offset = 0;
        std::uint64_t first_segment = 0;
    };
    struct Newest {
        std::uint64_t sequence = 0;
        std::vector<Place> places;  // several, where an earlier recovery cut one of them
    };

    // Far more than are ever prepared.
    static constexpr std::uint64_t kStraysBelieved = 1024;

    [[nodiscard]] rt::Task<base::Status> load_checkpoint(const std::vector<std::string>& names);
    // What the checkpoint says of the segments that its log began with.
    void use_checkpoint();
    [[nodiscard]] bool read_before(std::uint64_t segment) const {
        return checkpointed_ && segment < checkpoint_.start().segment;
    }
    // Where the records of the segment begin that are not in the checkpoint.
    [[nodiscard]] std::uint64_t log_offset(std::uint64_t segment) const;
    // Several at a time; found_ is filled in the order of ids.
    [[nodiscard]] rt::Task<base::Status> open_segments(const std::vector<std::uint64_t>& ids);
    [[nodiscard]] rt::Task<void> open_next();
    [[nodiscard]] rt::Task<base::Status> open_segment(Found& found, Opener& opener);
    [[nodiscard]] rt::Task<base::Status> lock_and_sync(Found& found);
    [[nodiscard]] rt::Task<base::Status> read_header(Found& found, Opener& opener);
    [[nodiscard]] rt::Task<base::Status> survey(Found& found);
    void note(const format::BatchHeader& header, const Place& place);
    void note_opening(std::uint64_t segment);
    [[nodiscard]] Found* find(std::uint64_t segment);
    [[nodiscard]] rt::Task<base::Status> choose_base();
    void use_base();
    [[nodiscard]] rt::Task<base::Status> replay_segment(Found& found);
    [[nodiscard]] rt::Task<base::Status> replay_batch(Found& found);
    void apply_records(Found& found);
    // For salvage without a checkpoint: messages that were moved are taken from where they are now.
    // What the log behind says of their end still counts.
    [[nodiscard]] rt::Task<base::Status> take_moved();
    [[nodiscard]] base::Status check_moved();
    // Everything resident came from before the last salvage: a crash came before a checkpoint did.
    [[nodiscard]] bool from_before_salvage() const {
        return checkpointed_ && checkpoint_.start().sequence <= salvaged_below_;
    }
    // For salvage: drops the messages whose commit record or content is known to be gone, and
    // forgets outcomes that are; what only cannot be read now may come back.
    [[nodiscard]] rt::Task<void> drop_unreadable();
    [[nodiscard]] rt::Task<base::Status> read_commit(const Message& message);
    [[nodiscard]] rt::Task<bool> outcome_gone(const Message& message, std::uint32_t recipient);
    // The first segment whose file ends before the content of stored_ does.
    [[nodiscard]] std::optional<std::uint64_t> short_segment();
    // `sequence`: as damage().
    void lose(Message& message, std::uint64_t sequence, const std::string& why);
    void tell_salvage(bool lost_all);
    void note_torn(const Found& found);
    void damage(Segment* segment, std::uint64_t sequence, const std::string& what);
    void judge_file(Found& found);
    // Drops messages whose bytes are gone, and counts what each segment holds.
    void check_messages();
    [[nodiscard]] bool whole(const Message& message) const;
    // The first segment of the message whose file is not there.
    [[nodiscard]] std::optional<std::uint64_t> missing_file(const Message& message);
    void count(Message& message);
    [[nodiscard]] Segment* kept(std::uint64_t segment) const;
    [[nodiscard]] base::Status verdict();
    void settle();
    [[nodiscard]] base::Status refuse(int error, const std::string& what) const;

    PartitionFiles& files_;
    const StoreOptions& options_;
    bool established_;
    std::uint64_t watermark_;
    BatchWalk walk_;
    rt::AwaitableOp op_;
    std::string name_;
    std::vector<Found> found_;
    std::size_t next_opened_ = 0;  // in found_
    struct End {
        std::uint64_t end = 0;
        std::uint64_t told_by = 0;  // the segment whose opening says so
    };
    std::map<std::uint64_t, End> ends_;

    std::uint32_t epoch_ = 0;
    std::uint32_t salvage_epoch_ = 0;
    std::uint64_t salvaged_below_ = 0;
    Newest top_;     // of the highest sequence number
    Newest second_;  // of the highest below it
    std::uint64_t base_ = 0;
    std::uint64_t expected_ = 0;  // the next sequence number
    std::uint64_t valid_batches_ = 0;
    std::vector<std::string> damages_;
    std::uint64_t lost_batches_ = 0;
    std::uint64_t lost_messages_ = 0;  // that were known
    std::uint64_t lost_outcomes_ = 0;
    std::uint64_t doubtful_messages_ = 0;  // that cannot be read now
    StoredMessage stored_;
    ReadBufferPool buffers_;

    MessageTable& table_;
    RuleTable& rules_;
    SegmentTable& segments_;
    CheckpointReader checkpoint_;
    bool checkpointed_ = false;
    bool unread_ = false;  // a checkpoint could not be read
    KeptCheckpoints checkpoints_;
    Replay replay_;
    std::vector<Segment*> by_id_;  // those that are kept, from base_ on
    std::vector<std::unique_ptr<Segment>> free_;
    Committer::Start start_;
    std::uint64_t next_segment_ = 1;
};

}  // namespace store
