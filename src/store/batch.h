// Batch: what one write of the log carries. First it is planned, which settles the sizes; then laid
// out, which settles the places and writes the records; then submitted as one vector.
//
// Owned by a committer, used again for each batch. Its record area grows to the largest that was
// needed; nothing is allocated otherwise.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <sys/uio.h>

#include "base/list.h"
#include "store/chunk_pool.h"
#include "store/format.h"
#include "store/location.h"
#include "store/outcome_buffer.h"
#include "store/record_writer.h"
#include "store/transaction.h"

namespace store {

class Batch {
  public:
    static constexpr std::uint32_t kPiecesMax = 1000;  // of the vector; the kernel takes 1,024
    static constexpr std::uint32_t kRecordsMax = Location::kIndexMax;

    // A transaction's part: `chunks` of its placeable ones, and its commit record when `commit`.
    struct Part {
        Transaction* transaction = nullptr;
        std::uint32_t chunks = 0;
        bool commit = false;
        Location location;            // of the commit record, once laid out
        std::uint32_t record_at = 0;  // where its payload begins in the area, and its size
        std::uint32_t record_bytes = 0;
    };

    Batch();

    // Planning. `room_bytes` is what the segment has left; `bytes_max` is where a batch ends, but
    // for the first item of content, which may be larger.
    void start(std::uint64_t room_bytes, std::uint64_t bytes_max);
    // A record of the committer's own; these come first. False: it does not fit.
    [[nodiscard]] bool plan_record(std::uint64_t payload);
    // Outcomes fill no more than half of a batch, so that content is not kept waiting by a flood.
    [[nodiscard]] bool plan_outcome(OutcomeBuffer& outcomes);
    // Takes of it what fits. False: not all that waits did.
    [[nodiscard]] bool plan_transaction(Transaction& transaction);
    [[nodiscard]] bool has_content() const { return !parts_.empty(); }

    // Laying out at that place: the caller puts its own records first, in the order it planned
    // them, then put_rest() puts outcomes, extents and commits, and finish() signs.
    [[nodiscard]] RecordWriter& open(std::uint64_t segment, std::uint64_t offset);
    void put_rest(const OutcomeBuffer& outcomes);
    void finish(format::BatchHeader& header, const format::PlaceSeed& seed);

    [[nodiscard]] std::span<const iovec> pieces() const { return vector_; }
    [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
    [[nodiscard]] std::span<Part> parts() { return parts_; }
    [[nodiscard]] Location outcome_location(std::size_t index) const;
    [[nodiscard]] base::Bytes area() const { return area_.bytes(); }
    [[nodiscard]] std::uint64_t content_bytes() const { return content_bytes_; }

  private:
    struct Need {
        std::uint64_t record_bytes = 0;
        std::uint32_t blocks = 0;
        std::uint32_t pieces = 0;
    };
    // Takes one record, with what it describes, unless the batch then has more than `bytes_max`.
    [[nodiscard]] bool reserve(const Need& need, std::uint64_t bytes_max);
    [[nodiscard]] bool reserve_content(const Need& need);
    void put_part(Part& part, std::uint32_t& block);

    AlignedBuffer area_;
    std::vector<Part> parts_;
    std::vector<iovec> vector_;
    RecordWriter writer_{{}};
    std::uint64_t room_bytes_ = 0;
    std::uint64_t bytes_max_ = 0;
    std::uint64_t record_bytes_ = 0;
    std::uint32_t records_ = 0;
    std::uint32_t blocks_ = 0;
    std::uint32_t pieces_ = 0;
    std::uint64_t segment_ = 0;
    std::uint64_t offset_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t content_bytes_ = 0;
    std::uint32_t first_outcome_ = 0;
    bool first_content_ = true;
};

}  // namespace store
