// CheckpointReader: reads a checkpoint at a start, and fills the tables of messages and rules from
// it.
//
// Used by recovery and by offline tools. Whatever does not validate makes the whole checkpoint
// void: the one before it is used then, or none.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/result.h"
#include "rt/awaiters.h"
#include "rt/task.h"
#include "store/checkpoint_page.h"
#include "store/chunk_pool.h"
#include "store/message_table.h"
#include "store/rule.h"
#include "store/segment_pool.h"

namespace store {

// What a checkpoint's checksums begin with.
[[nodiscard]] format::PlaceSeed checkpoint_seed(const PartitionFiles& files,
                                                std::uint64_t generation);

class CheckpointReader {
  public:
    // All are borrowed.
    CheckpointReader(PartitionFiles& files, MessageTable& table, RuleTable& rules);

    // False: it is void, and the tables are empty. Errors: none but of a dead driver.
    [[nodiscard]] rt::Task<bool> read(std::uint64_t generation);

    // After a read() that gave true:
    [[nodiscard]] const format::CheckpointStart& start() const { return start_; }
    [[nodiscard]] const std::vector<format::CheckpointSegment>& segments() const {
        return segments_;
    }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    // Why the last one was void.
    [[nodiscard]] const std::string& fault() const { return fault_; }
    // … and that the disk, or want of memory or descriptors, kept it from being read; whether it is
    // whole is not known.
    [[nodiscard]] bool unread() const { return unread_; }
    // The errno of its opening; 0 where it was opened.
    [[nodiscard]] int open_error() const { return open_error_; }

  private:
    static constexpr std::size_t kPagesPerRead = 16;
    // A larger file has more, but no memory is taken for them before they are seen.
    static constexpr std::uint64_t kReservedMost = 16U << 20U;
    static constexpr std::size_t kRecordsAhead = 16;  // whose place in the table is fetched

    [[nodiscard]] rt::Task<bool> read_pages(io::Handle file, std::uint64_t generation);
    [[nodiscard]] bool take_page(base::Bytes page, const format::PlaceSeed& seed,
                                 std::uint64_t generation, std::uint32_t number, bool& last);
    void prefetch(const std::optional<Record>& record) const;
    [[nodiscard]] bool take_record(const Record& record, bool first);
    [[nodiscard]] bool take_message(const CheckpointedMessage& stored);

    PartitionFiles& files_;
    MessageTable& table_;
    RuleTable& rules_;
    // Two, in turn: one is read while the other is taken in.
    struct Piece {
        AlignedBuffer memory{kPagesPerRead * format::CheckpointPage::kBytes};
        std::uint64_t pages = 0;
        base::Status status;
        rt::AwaitableOp op;
    };
    [[nodiscard]] rt::Task<base::Result<io::Handle>> open_file();
    // Up to `pages` from page `number` on; its status says how that went.
    [[nodiscard]] rt::Task<void> read_piece(Piece& piece, io::Handle file, std::uint64_t number,
                                            std::uint64_t pages);
    [[nodiscard]] bool take_piece(const Piece& piece, std::uint64_t generation,
                                  std::uint64_t number, bool& last);

    std::array<Piece, 2> pieces_;
    rt::AwaitableOp op_;
    format::CheckpointStart start_;
    std::vector<format::CheckpointSegment> segments_;
    std::uint64_t bytes_ = 0;
    std::string name_;
    std::string fault_;
    bool unread_ = false;
    int open_error_ = 0;
};

}  // namespace store
