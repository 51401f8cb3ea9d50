// The bytes on disk, as docs/FORMAT.md describes them: blocks, headers, record and field numbers.
// All numbers are little-endian. Nothing here may change its meaning; additions take new numbers.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/bytes.h"
#include "store/spool.h"

namespace store::format {

constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kBlock = 4096;
constexpr std::uint64_t kSegmentBytesMin = 16 * kBlock;
constexpr std::uint64_t kSegmentBytesMax = std::uint64_t{1} << 31U;

// The first block of SPOOL/identity.
struct Identity {
    static constexpr std::uint64_t kMagic = 0x5354'504f'474e'4952;  // "RINGPOST"
    std::uint64_t magic = kMagic;
    std::uint32_t version = kVersion;
    std::uint32_t crc = 0;  // of the whole block, with this field 0
    StoreId store{};
    std::uint32_t partitions = 0;
    std::uint32_t reserved = 0;
    std::int64_t created_ms = 0;
};
static_assert(sizeof(Identity) == 48 && std::is_trivially_copyable_v<Identity>);
static_assert(offsetof(Identity, crc) == 12 && offsetof(Identity, partitions) == 32);

// The first block of a segment.
struct SegmentHeader {
    static constexpr std::uint64_t kMagic = 0x544e'4d47'4553'5052;  // "RPSEGMNT"
    std::uint64_t magic = kMagic;
    std::uint32_t version = kVersion;
    std::uint32_t crc = 0;  // of the whole block, with this field 0
    StoreId store{};
    std::uint64_t segment = 0;
    std::uint32_t partition = 0;
    std::uint32_t epoch = 0;  // in which it was prepared
    std::uint64_t segment_bytes = 0;
    std::int64_t prepared_ms = 0;
    std::uint64_t watermark = 0;  // the log's, when it was prepared
};
static_assert(sizeof(SegmentHeader) == 72 && std::is_trivially_copyable_v<SegmentHeader>);
static_assert(offsetof(SegmentHeader, crc) == 12 && offsetof(SegmentHeader, segment) == 32);

// The block of the file `established`, written when a log is closed: says outside of the log how
// far it was durable, so that the loss of its end is seen.
struct Established {
    static constexpr std::uint64_t kMagic = 0x4853'4c42'5453'5052;  // "RPSTBLSH"
    std::uint64_t magic = kMagic;
    std::uint32_t version = kVersion;
    std::uint32_t crc = 0;  // of the whole block, with this field 0
    StoreId store{};
    std::uint32_t partition = 0;
    std::uint32_t zero = 0;
    std::uint64_t watermark = 0;
};
static_assert(sizeof(Established) == 48 && std::is_trivially_copyable_v<Established>);

// At the start of each batch; the records follow it at once, the content pieces in the next whole
// block after the records.
struct BatchHeader {
    static constexpr std::uint32_t kMagic = 0x3142'5052;  // "RPB1"
    // The batch is the first of its segment, and holds the segment_open record.
    static constexpr std::uint32_t kOpens = 1U << 0U;
    // The batch is no part of the log: the cleaner put it there, with a sequence of its own. A
    // segment holds such batches alone, or none.
    static constexpr std::uint32_t kMoved = 1U << 1U;

    std::uint32_t magic = kMagic;
    std::uint32_t header_crc = 0;  // of the bytes behind this field, seeded with the place
    std::uint64_t sequence = 0;    // 1, 2, 3, … over the partition's life
    std::uint64_t watermark = 0;   // all batches up to this one were durable when this was written
    std::uint64_t first_segment = 0;  // everything in older segments is dead
    std::uint64_t segment = 0;
    std::uint32_t epoch = 0;
    std::uint32_t flags = 0;
    std::uint32_t record_bytes = 0;
    std::uint32_t records_crc = 0;  // of the records, seeded with the place
    std::uint32_t record_count = 0;
    std::uint32_t data_blocks = 0;
    std::int64_t written_ms = 0;
    std::array<std::uint64_t, 3> reserved{};

    [[nodiscard]] std::uint64_t record_area_bytes() const {
        return base::round_up(sizeof(BatchHeader) + std::uint64_t{record_bytes}, kBlock);
    }
    [[nodiscard]] std::uint64_t bytes() const {
        return record_area_bytes() + std::uint64_t{data_blocks} * kBlock;
    }
};
static_assert(sizeof(BatchHeader) == 96 && std::is_trivially_copyable_v<BatchHeader>);
static_assert(offsetof(BatchHeader, sequence) == 8 && offsetof(BatchHeader, epoch) == 40 &&
              offsetof(BatchHeader, written_ms) == 64);

enum class RecordType : std::uint8_t {
    extent = 1,        // where a piece of content lies in this batch
    commit = 2,        // a message exists
    outcome = 3,       // how one recipient fared
    finish = 4,        // a message is dead
    segment_open = 5,  // where older segments end
    epoch = 6,         // a start of the log
    seal = 7,          // nothing but the header's watermark
    summary = 8,       // what a sealed segment holds; its last record
    relocation = 16,   // a message, or an outcome, has moved
    change = 17,       // what a rule did to a message
    rule = 18,         // a command of the operator's over many messages
    rule_end = 19,     // it has been carried out
    // Kept free: 32–63 mailboxes.
    // In checkpoints alone.
    checkpoint_start = 20,
    checkpoint_segment = 21,
    checkpoint_message = 22,
};

struct RecordHeader {
    // A reader that does not know the type must refuse the log instead of skipping the record.
    static constexpr std::uint8_t kCritical = 1U << 0U;
    RecordType type{};
    std::uint8_t flags = kCritical;
    std::uint16_t version = 1;
    std::uint32_t bytes = 0;  // of the payload, without the padding to a multiple of 8
};
static_assert(sizeof(RecordHeader) == 8 && std::is_trivially_copyable_v<RecordHeader>);
constexpr std::uint32_t kRecordAlign = 8;
[[nodiscard]] constexpr std::uint64_t record_bytes(std::uint64_t payload) {
    return base::round_up(sizeof(RecordHeader) + payload, kRecordAlign);
}

// Typed fields follow the fixed part of a commit or an outcome, without padding between.
struct FieldHeader {
    static constexpr std::uint16_t kCritical = 1U << 0U;  // as RecordHeader::kCritical
    std::uint16_t tag = 0;
    std::uint16_t flags = 0;
    std::uint32_t bytes = 0;
};
static_assert(sizeof(FieldHeader) == 8 && std::is_trivially_copyable_v<FieldHeader>);

struct Extent {
    std::uint64_t id = 0;
    std::uint32_t piece = 0;  // its number in the message, from 0
    std::uint32_t block = 0;  // in this segment
    std::uint32_t bytes = 0;
    std::uint32_t crc = 0;  // CRC-32C of the bytes, not seeded
};
static_assert(sizeof(Extent) == 24 && std::is_trivially_copyable_v<Extent>);

struct Commit {
    static constexpr std::uint32_t kDotStuffed = 1U << 0U;
    static constexpr std::uint32_t kHas8bit = 1U << 1U;
    static constexpr std::uint32_t kHas8bitHeader = 1U << 2U;
    static constexpr std::uint32_t kEndsInCrlf = 1U << 3U;
    static constexpr std::uint32_t kSmtpUtf8 = 1U << 0U;
    static constexpr std::uint32_t k8BitMime = 1U << 1U;

    std::uint64_t id = 0;
    std::int64_t arrival_ms = 0;
    std::uint64_t stored_bytes = 0;
    std::uint64_t stuffed_dots = 0;
    std::uint64_t declared_bytes = 0;  // SIZE=
    std::uint32_t recipients = 0;
    std::uint32_t pieces = 0;
    std::uint32_t content_flags = 0;
    std::uint32_t parameter_flags = 0;
    std::uint32_t oldest_segment = 0;  // of the pieces; this one when there is none
    std::uint32_t reserved = 0;
};
static_assert(sizeof(Commit) == 64 && std::is_trivially_copyable_v<Commit>);

enum class CommitField : std::uint16_t {
    reverse_path = 1,
    recipients = 2,  // each: length (2 bytes), then the path
    client_address = 3,
    helo = 4,
    protocol = 5,
    added_headers = 6,
    pieces = 7,  // store::Piece, 16 bytes each
    // Kept free: 8 tenant, 9 user, 11 TLS, 12 priority.
    dsn = 10,  // Dsn, the ENVID; then for each recipient that has some: DsnRecipient, the ORCPT
};

// RFC 3461's parameters, as they came.
struct Dsn {
    std::uint8_t ret = 0;  // mail::ReturnContent
    std::uint8_t reserved = 0;
    std::uint16_t envelope_id_bytes = 0;
};
struct DsnRecipient {
    std::uint32_t recipient = 0;
    std::uint8_t notify = 0;  // mail::Notify
    std::uint8_t reserved = 0;
    std::uint16_t original_bytes = 0;
};
static_assert(sizeof(Dsn) == 4 && sizeof(DsnRecipient) == 8);

struct OutcomeFixed {
    std::uint64_t id = 0;
    std::int64_t at_ms = 0;
    std::int64_t next_attempt_ms = 0;
    std::uint32_t recipient = 0;
    std::uint32_t attempts = 0;
    std::uint16_t code = 0;
    std::uint8_t status = 0;  // store::RecipientStatus
    std::uint8_t dsn_class = 0;
    std::uint16_t dsn_subject = 0;
    std::uint16_t dsn_detail = 0;
};
static_assert(sizeof(OutcomeFixed) == 40 && std::is_trivially_copyable_v<OutcomeFixed>);

enum class OutcomeField : std::uint16_t {
    reply = 1,
    relay = 2,
    told = 3,     // one byte of flags, absent where it would be 0
    history = 4,  // HistoryRun, its relay and reply, again and again, the oldest first
    // 4 bytes: the newest rule that the message had met, absent where it would be 0.
    rules_met = 5,
};
// The sender has been told that this recipient is delayed.
constexpr std::uint8_t kDelayTold = 1U << 0U;

// Earlier attempts in a row that had the same answer from the same host.
struct HistoryRun {
    static constexpr std::uint8_t kGap = 1U << 0U;  // nothing is known but times and count

    std::int64_t first_ms = 0;
    std::int64_t last_ms = 0;
    std::uint32_t count = 0;
    std::uint16_t code = 0;
    std::uint8_t flags = 0;
    std::uint8_t dsn_class = 0;
    std::uint16_t dsn_subject = 0;
    std::uint16_t dsn_detail = 0;
    std::uint8_t relay_bytes = 0;
    std::uint8_t reply_bytes = 0;
    std::uint16_t reserved = 0;
};
static_assert(sizeof(HistoryRun) == 32 && std::is_trivially_copyable_v<HistoryRun>);
static_assert(offsetof(HistoryRun, count) == 16 && offsetof(HistoryRun, relay_bytes) == 28);

struct Finish {
    std::uint64_t id = 0;
    std::uint64_t commit = 0;  // Location of the commit record
};
static_assert(sizeof(Finish) == 16);

// `count` ChangedRecipients follow. With kMore in it, they take effect with those of the message's
// next record of this type, or, where that is not there, never.
struct Change {
    static constexpr std::uint32_t kMore = 1U << 31U;
    std::uint64_t id = 0;
    std::uint32_t rules_met = 0;  // as OutcomeField::rules_met
    std::uint32_t count = 0;
};
struct ChangedRecipient {
    std::uint32_t recipient = 0;
    std::uint32_t next_s = 0;  // deferred: when it is due, in Unix seconds
    std::uint8_t status = 0;   // store::RecipientStatus
    std::array<std::uint8_t, 3> reserved{};
};
static_assert(sizeof(Change) == 16 && sizeof(ChangedRecipient) == 12);

// Then fields. It means messages that were accepted before it: whose id is no newer than `newest`,
// and whose commit record comes before it in the log.
struct Rule {
    std::uint32_t number = 0;
    std::uint8_t action = 0;    // store::RuleAction
    std::uint8_t statuses = 0;  // a bit for each store::RecipientStatus; 0: any
    std::uint16_t reserved = 0;
    std::int64_t at_ms = 0;
    std::uint64_t newest = 0;
    std::uint64_t only = 0;  // this message; 0: any
    std::int64_t arrived_from_ms = 0;
    std::int64_t arrived_until_ms = 0;
};
static_assert(sizeof(Rule) == 48);
enum class RuleField : std::uint16_t {
    sender = 1,
    recipient = 2,
    domain = 3,
    tenant = 4,
    words = 5
};

struct RuleEnd {
    std::uint32_t number = 0;
    std::uint32_t reserved = 0;
};
static_assert(sizeof(RuleEnd) == 8);

struct SegmentOpen {
    std::uint32_t count = 0;  // SegmentEnd entries that follow
    std::uint32_t reserved = 0;
};
struct SegmentEnd {
    std::uint64_t segment = 0;
    std::uint64_t end = 0;            // offset behind its last valid batch; bytes there are void
    std::uint64_t last_sequence = 0;  // of its last valid batch; 0 when there is none
};
static_assert(sizeof(SegmentOpen) == 8 && sizeof(SegmentEnd) == 24);

struct Epoch {
    std::uint32_t epoch = 0;
    std::uint32_t reserved = 0;
    std::uint64_t salvaged_below = 0;  // damage in batches before this one was accepted by a person
    std::int64_t started_ms = 0;
};
static_assert(sizeof(Epoch) == 24);

struct Summary {
    std::uint64_t first_sequence = 0;
    std::uint64_t last_sequence = 0;  // of the batch before the summary's own
    std::uint64_t commits = 0;
    std::uint64_t outcomes = 0;
    std::uint64_t finishes = 0;
    std::uint64_t content_bytes = 0;
};
static_assert(sizeof(Summary) == 48);

// A checkpoint is a file of pages, each with this header and then records.
struct CheckpointPage {
    static constexpr std::uint64_t kMagic = 0x544e'504b'4843'5052;  // "RPCHKPNT"
    static constexpr std::uint32_t kBytes = 65536;
    static constexpr std::uint32_t kLast = 1U << 0U;

    std::uint64_t magic = kMagic;
    std::uint32_t version = kVersion;
    std::uint32_t crc = 0;  // of the bytes behind this field, seeded with generation and offset
    std::uint64_t generation = 0;
    std::uint32_t number = 0;  // of the page, from 0
    std::uint32_t flags = 0;
    std::uint32_t record_bytes = 0;
    std::uint32_t record_count = 0;
    std::uint64_t reserved = 0;
};
static_assert(sizeof(CheckpointPage) == 48 && std::is_trivially_copyable_v<CheckpointPage>);
static_assert(offsetof(CheckpointPage, generation) == 16);

// The first record of a checkpoint: where the log behind it begins.
struct CheckpointStart {
    std::uint64_t sequence = 0;  // of the first batch that it does not include
    std::uint64_t segment = 0;   // where that is, or the segment before it where it has no room
    std::uint64_t offset = 0;
    std::uint64_t first_segment = 0;  // as in BatchHeader
    std::uint64_t salvaged_below = 0;
    std::uint32_t epoch = 0;
    std::uint32_t segments = 0;  // checkpoint_segment records that follow
    std::int64_t written_ms = 0;
    std::uint32_t rules = 0;        // rule records that follow those
    std::uint32_t newest_rule = 0;  // of all that the log had before `sequence`
};
static_assert(sizeof(CheckpointStart) == 64);

// A segment that holds batches from before the start.
struct CheckpointSegment {
    static constexpr std::uint32_t kMoved = 1U << 0U;  // as BatchHeader::kMoved

    std::uint64_t segment = 0;
    std::uint64_t end = 0;
    std::uint64_t last_sequence = 0;
    std::uint32_t flags = 0;
    std::uint32_t reserved = 0;
};
static_assert(sizeof(CheckpointSegment) == 32);

// How much of a segment something takes, about: for the choice of what to clean.
struct SegmentShare {
    static constexpr std::uint32_t kUnit = 256;
    std::uint32_t segment = 0;
    std::uint32_t units = 0;
};
static_assert(sizeof(SegmentShare) == 8);

// Applied only where the message, or the recipient's last outcome, is at `from`; `others`
// SegmentShares follow, for a message.
struct Relocation {
    static constexpr std::uint32_t kMessage = ~std::uint32_t{0};
    std::uint64_t id = 0;
    std::uint64_t from = 0;  // Location of the record
    std::uint64_t to = 0;
    std::uint32_t recipient = kMessage;
    std::uint32_t units = 0;  // in the segment of `to`
    std::uint32_t others = 0;
    std::uint32_t reserved = 0;
};
static_assert(sizeof(Relocation) == 40);

// `others` SegmentShares follow, then `count` recipients from number `first` on.
struct CheckpointMessage {
    std::uint64_t id = 0;
    std::uint64_t location = 0;
    std::int64_t arrival_ms = 0;
    std::uint32_t recipients = 0;  // of the message
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    std::uint32_t others = 0;
    std::uint32_t units = 0;      // in the segment of `location`
    std::uint32_t rules_met = 0;  // as OutcomeField::rules_met
};
static_assert(sizeof(CheckpointMessage) == 48);

struct CheckpointRecipient {
    static constexpr std::uint8_t kDelayTold = 1U << 0U;

    std::uint64_t outcome = 0;
    std::uint32_t next_s = 0;
    std::uint16_t attempts = 0;
    std::uint8_t status = 0;
    std::uint8_t flags = 0;
};
static_assert(sizeof(CheckpointRecipient) == 16);

// What a batch's checksums begin with: no bytes that were written for another store, partition,
// segment or offset ever validate here.
class PlaceSeed {
  public:
    PlaceSeed() = default;
    PlaceSeed(const StoreId& store, std::uint32_t partition, std::uint64_t segment);
    [[nodiscard]] std::uint32_t at(std::uint64_t offset) const;

  private:
    std::uint32_t segment_ = 0;
};

// Fills in both checksums. REQUIRES: `area` is header and records, records_bytes long behind it.
void sign_batch(base::MutableBytes area, BatchHeader& header, const PlaceSeed& seed,
                std::uint64_t offset);
// The batch header at `offset` of its segment when one is there that validates; its size is then
// known to fit into the segment. REQUIRES: a block at `block`.
[[nodiscard]] std::optional<BatchHeader> batch_header_at(base::Bytes block, const PlaceSeed& seed,
                                                         std::uint64_t segment,
                                                         std::uint64_t offset,
                                                         std::uint64_t segment_bytes);
[[nodiscard]] bool records_valid(const BatchHeader& header, base::Bytes records,
                                 const PlaceSeed& seed, std::uint64_t offset);

// Whole blocks with a checksum in the header, for Identity, SegmentHeader and Established.
template <typename Header>
void write_block(base::MutableBytes block, Header header);
enum class BlockState : std::uint8_t { good, damaged, newer };
template <typename Header>
[[nodiscard]] BlockState read_block(base::Bytes block, Header& header);
extern template void write_block(base::MutableBytes, Identity);
extern template void write_block(base::MutableBytes, SegmentHeader);
extern template void write_block(base::MutableBytes, Established);
extern template BlockState read_block(base::Bytes, Identity&);
extern template BlockState read_block(base::Bytes, SegmentHeader&);
extern template BlockState read_block(base::Bytes, Established&);

// "0000002a.seg".
[[nodiscard]] std::string segment_name(std::uint64_t segment);
[[nodiscard]] std::optional<std::uint64_t> parse_segment_name(std::string_view name);
// "0000002a.ckpt".
[[nodiscard]] std::string checkpoint_name(std::uint64_t generation);
[[nodiscard]] std::optional<std::uint64_t> parse_checkpoint_name(std::string_view name);
// "p007".
[[nodiscard]] std::string partition_name(std::uint32_t partition);
// "established-p007"; witness.h.
[[nodiscard]] std::string witness_name(std::uint32_t partition);

}  // namespace store::format
