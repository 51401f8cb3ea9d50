// RecordReader: takes a batch's records apart. It trusts nothing: whatever the bytes are, it reads
// none outside them, and says malformed where they do not add up. Synchronous; views into the
// bytes given.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "store/format.h"
#include "store/stored_message.h"

namespace store {

struct Record {
    format::RecordType type{};
    std::uint8_t flags = 0;
    std::uint16_t version = 0;
    base::Bytes payload;
};

class RecordReader {
  public:
    // `records`: the records area of one batch, `count` what its header says.
    RecordReader(base::Bytes records, std::uint32_t count) : left_(records), count_(count) {}

    // Nothing at the end, or where the bytes are malformed.
    [[nodiscard]] std::optional<Record> next();
    // True once next() gave nothing although bytes or records are left.
    [[nodiscard]] bool malformed() const { return malformed_; }
    // Of the record that next() gave last.
    [[nodiscard]] std::uint32_t index() const { return given_ - 1; }

  private:
    base::Bytes left_;
    std::uint32_t count_;
    std::uint32_t given_ = 0;
    bool malformed_ = false;
};

// The typed fields behind a fixed part.
class FieldReader {
  public:
    explicit FieldReader(base::Bytes fields) : left_(fields) {}
    struct Field {
        std::uint16_t tag = 0;
        bool critical = false;
        base::Bytes value;
    };
    [[nodiscard]] std::optional<Field> next();
    [[nodiscard]] bool malformed() const { return malformed_; }

  private:
    base::Bytes left_;
    bool malformed_ = false;
};

// Each gives nothing (or false) when the payload is malformed, or is critical and not known.
[[nodiscard]] std::optional<format::Extent> decode_extent(const Record& record);
// The fixed part alone, with its counts checked against the payload's size.
[[nodiscard]] std::optional<format::Commit> decode_commit_fixed(const Record& record);
[[nodiscard]] bool decode_commit(const Record& record, StoredMessage& into);
[[nodiscard]] std::optional<format::OutcomeFixed> decode_outcome_fixed(const Record& record);
// That field alone, for the replay. REQUIRES: decode_outcome_fixed() gave something.
[[nodiscard]] bool decode_delay_told(const Record& record);
[[nodiscard]] std::uint32_t decode_rules_met(const Record& record);
[[nodiscard]] bool decode_outcome(const Record& record, StoredOutcome& into);
[[nodiscard]] std::optional<format::Finish> decode_finish(const Record& record);
struct StoredRelocation {
    format::Relocation fixed;
    std::vector<format::SegmentShare> others;
};
[[nodiscard]] std::optional<StoredRelocation> decode_relocation(const Record& record);
[[nodiscard]] std::optional<format::Epoch> decode_epoch(const Record& record);
[[nodiscard]] std::optional<format::Summary> decode_summary(const Record& record);
// Appends to `ends`.
[[nodiscard]] bool decode_segment_open(const Record& record, std::vector<format::SegmentEnd>& ends);

// Times as far as the clock's type goes, whatever was on the disk.
[[nodiscard]] base::WallTime clamped_wall_time(std::int64_t ms);

// True for a record that may be skipped: of a type this version does not know, and not critical.
[[nodiscard]] bool is_known(format::RecordType type);
[[nodiscard]] inline bool may_skip(const Record& record) {
    return !is_known(record.type) && (record.flags & format::RecordHeader::kCritical) == 0;
}

}  // namespace store
