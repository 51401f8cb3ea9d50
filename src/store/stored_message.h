// What the log gives back when it is read: a message without its content, and an outcome.
// Plain values; clear() keeps their memory for the next one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "mail/content.h"
#include "mail/envelope.h"
#include "mail/queue_id.h"
#include "mail/status_code.h"

namespace store {

// One stretch of content in one segment, at most ChunkPool::kChunkBytes long, with its own CRC-32C:
// so reading can stream, and no damaged byte leaves before it was checked.
struct Piece {
    std::uint32_t segment = 0;
    std::uint32_t block = 0;
    std::uint32_t bytes = 0;
    std::uint32_t crc = 0;
};
static_assert(sizeof(Piece) == 16);

struct StoredMessage {
    StoredMessage() = default;
    // added_headers may be a view of kept_headers.
    StoredMessage(const StoredMessage&) = delete;
    StoredMessage& operator=(const StoredMessage&) = delete;

    mail::QueueId id;
    base::WallTime arrival;
    mail::ContentFacts facts;
    mail::Envelope envelope;
    std::string client_address;
    std::string helo;
    std::string protocol;
    std::string_view added_headers;  // of the record that was decoded, until keep()
    std::string kept_headers;
    std::vector<Piece> pieces;

    void clear();
    // For when the record goes away.
    void keep();
};

// A recipient's state, as it is on disk (do not renumber).
enum class RecipientStatus : std::uint8_t {
    pending = 0,    // never tried, or tried without an outcome
    deferred = 1,   // to be tried again at next_attempt
    delivered = 2,  // final
    failed = 3,     // final: refused for good
    expired = 4,    // final: given up
    held = 5,       // not tried until it is released
    deleted = 6,    // final: by the operator, and nobody is told
};
constexpr std::uint8_t kRecipientStatusMax = 6;
[[nodiscard]] constexpr bool is_final(RecipientStatus status) {
    return status == RecipientStatus::delivered || status == RecipientStatus::failed ||
           status == RecipientStatus::expired || status == RecipientStatus::deleted;
}

struct StoredOutcome {
    mail::QueueId id;
    std::uint32_t recipient = 0;
    RecipientStatus status = RecipientStatus::pending;
    std::uint32_t attempts = 0;
    base::WallTime at;
    base::WallTime next_attempt;
    mail::Reply reply;
    std::string relay;  // the next hop that was tried; "" when none was reached
    bool delay_told = false;
    std::uint32_t rules_met = 0;  // as Message::rules_met
    std::string history;          // for AttemptHistory; bytes, as they are on the disk
};

}  // namespace store
