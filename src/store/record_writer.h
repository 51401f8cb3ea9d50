// RecordWriter: puts records, one behind another, into memory that the caller has sized.
// Synchronous; no failures: a record that does not fit is a Panic.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "store/format.h"
#include "store/stored_message.h"

namespace store {

class RecordWriter {
  public:
    explicit RecordWriter(base::MutableBytes into) : into_(into) {}

    // begin(), then any put*(), then end(). REQUIRES: `payload` bytes are put between.
    void begin(format::RecordType type, std::uint64_t payload);
    void end();

    template <typename T>
    void put(const T& value) {
        put_bytes(std::as_bytes(std::span<const T, 1>(&value, 1)));
    }
    void put_bytes(base::Bytes bytes);
    void put_field(std::uint16_t tag, std::string_view text);
    // The header of a field whose `bytes` bytes are put afterwards.
    void begin_field(std::uint16_t tag, std::uint64_t bytes);

    // A record that is one fixed structure.
    template <typename T>
    void put_record(format::RecordType type, const T& value) {
        begin(type, sizeof value);
        put(value);
        end();
    }

    // `count` whole records that were written elsewhere.
    void put_records(base::Bytes records, std::uint32_t count) {
        put_bytes(records);
        count_ += count;
    }

    [[nodiscard]] std::size_t size() const { return at_; }
    [[nodiscard]] std::uint32_t count() const { return count_; }

  private:
    base::MutableBytes into_;
    std::size_t at_ = 0;
    std::size_t end_ = 0;  // of the record under way
    std::uint32_t count_ = 0;
};

// The parts of a commit record; all borrowed.
struct CommitParts {
    mail::QueueId id;
    base::WallTime arrival;
    const mail::ContentFacts& facts;
    const mail::Envelope& envelope;
    std::string_view client_address;
    std::string_view helo;
    std::string_view protocol;
    std::string_view added_headers;
    std::span<const Piece> pieces;
    std::uint64_t oldest_segment = 0;
};

// The payload's size, which depends on the pieces by their number alone. Paths are cut off at
// 65,535 octets; the protocol allows 256.
[[nodiscard]] std::uint64_t commit_payload_bytes(const CommitParts& parts, std::size_t pieces);
void put_commit(RecordWriter& writer, const CommitParts& parts);

// Puts other pieces of the same number and sizes into a commit record's payload. `segment` is where
// the record will lie.
void replace_pieces(std::vector<std::byte>& payload, std::span<const Piece> pieces,
                    std::uint64_t segment);

struct Outcome;
[[nodiscard]] std::uint64_t outcome_payload_bytes(const Outcome& outcome);
void put_outcome(RecordWriter& writer, mail::QueueId id, const Outcome& outcome);

}  // namespace store
