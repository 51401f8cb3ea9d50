// CheckpointPageWriter, CheckpointPageReader: the pages of a checkpoint, 64 KiB each, in memory
// that the caller owns. Synchronous; the reader trusts nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "store/format.h"
#include "store/message_table.h"
#include "store/record_reader.h"
#include "store/record_writer.h"
#include "store/rule.h"

namespace store {

class CheckpointPageWriter {
  public:
    // `page` is CheckpointPage::kBytes long.
    CheckpointPageWriter(base::MutableBytes page, std::uint64_t generation, std::uint32_t number);

    // False: it does not fit any more.
    [[nodiscard]] bool put(const format::CheckpointStart& start);
    [[nodiscard]] bool put(const format::CheckpointSegment& segment);
    [[nodiscard]] bool put(const Rule& rule);
    // As many recipients as fit, from `first` on; gives their number. 0: none does.
    [[nodiscard]] std::uint32_t put(const Message& message,
                                    std::span<const format::SegmentShare> others,
                                    std::uint32_t first);
    [[nodiscard]] bool empty() const { return writer_.count() == 0; }
    // `seed` is of the generation in the place of a segment.
    void finish(const format::PlaceSeed& seed, bool last);

  private:
    [[nodiscard]] std::size_t room() const;

    base::MutableBytes page_;
    format::CheckpointPage header_;
    RecordWriter writer_;
};

struct CheckpointedMessage {
    format::CheckpointMessage fixed;
    base::Bytes others;
    base::Bytes recipients;

    [[nodiscard]] std::vector<format::SegmentShare> other_segments() const;
    [[nodiscard]] format::CheckpointRecipient recipient(std::size_t index) const;
};

// The page's header, when it is that page of that generation and validates.
[[nodiscard]] std::optional<format::CheckpointPage> checkpoint_page_at(
    base::Bytes page, const format::PlaceSeed& seed, std::uint64_t generation,
    std::uint32_t number);
// REQUIRES: the header is the page's.
[[nodiscard]] RecordReader checkpoint_records(base::Bytes page,
                                              const format::CheckpointPage& header);

// Nothing when the record is of another type, or does not add up.
[[nodiscard]] std::optional<format::CheckpointStart> decode_checkpoint_start(const Record& record);
[[nodiscard]] std::optional<format::CheckpointSegment> decode_checkpoint_segment(
    const Record& record);
[[nodiscard]] std::optional<CheckpointedMessage> decode_checkpoint_message(const Record& record);

}  // namespace store
