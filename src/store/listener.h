// StoreListener: what the store tells the queue. Called on the store's shard, from inside open()
// or from a completion; it must not call the store back except begin(), record_outcome() and
// finish(), and must not block.
#pragma once

#include <cstdint>
#include <span>

#include "base/time.h"
#include "mail/content.h"
#include "mail/envelope.h"
#include "store/location.h"
#include "store/stored_message.h"

namespace store {

// What recovery knows of one recipient. The reply's text is read with Store::read_outcome().
struct RecipientState {
    RecipientStatus status = RecipientStatus::pending;
    std::uint32_t attempts = 0;
    base::WallTime next_attempt;  // deferred only
    Location outcome;             // the last outcome's record; nowhere when there is none
    bool delay_told = false;      // the sender knows that this recipient is delayed
};

struct RecoveredMessage {
    MessageRef ref;
    base::WallTime arrival;
    std::uint64_t stored_bytes = 0;
    std::span<const RecipientState> recipients;  // one per recipient, in the envelope's order
};

struct CommittedMessage {
    MessageRef ref;
    base::WallTime arrival;
    const mail::ContentFacts& facts;
    const mail::Envelope& envelope;  // during the call only
};

struct DurableOutcome {
    mail::QueueId id;
    std::uint32_t recipient = 0;
    Location outcome;        // for Store::read_outcome(), while the message lives
    void* cookie = nullptr;  // as given to record_outcome()
};

class StoreListener {
  public:
    StoreListener() = default;
    StoreListener(const StoreListener&) = delete;
    StoreListener& operator=(const StoreListener&) = delete;
    virtual ~StoreListener() = default;

    // Each live message, once, in the order of ids per partition, before open() ends. A message may
    // come with all its recipients final (a crash came before finish() was durable): finish it.
    virtual void recovered(const RecoveredMessage& message) = 0;
    // Each message that has become durable, in log order, before its session is woken.
    virtual void committed(const CommittedMessage& message) = 0;
    // Each outcome that has become durable, in the order of record_outcome() per partition.
    virtual void outcome_durable(const DurableOutcome& outcome) = 0;
};

}  // namespace store
