// MessageSink: where a receiving session puts a message. The SMTP engine knows this interface and
// no store behind it.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/waiter.h"
#include "mail/content.h"
#include "mail/envelope.h"
#include "mail/queue_id.h"

namespace mail {

// Who sent the message, for the trace header, the log and the stored record. Views hold during
// begin() only.
struct Origin {
    std::string_view client_address;  // "192.0.2.1" or "2001:db8::1"
    std::string_view helo;            // as given; "" when none
    std::string_view protocol;        // "SMTP", "ESMTP", "UTF8SMTP", … (RFC 3848, RFC 6531)
};

enum class SinkState : std::uint8_t {
    ready,         // go on
    wait,          // the bytes were taken; call nothing more until the waiter was woken, then go on
    storage_full,  // 452 4.3.1; the transaction is to be aborted
    failed,        // 451 4.3.0; the transaction is to be aborted
};

// One message on its way in, held through an IncomingMessageHandle. Letting the handle go before
// commit() is the abort: nothing of the message is ever delivered. Between commit() and the wake
// the handle is kept. Lives on its sink's shard.
class IncomingMessage {
  public:
    IncomingMessage() = default;
    IncomingMessage(const IncomingMessage&) = delete;
    IncomingMessage& operator=(const IncomingMessage&) = delete;
    virtual ~IncomingMessage() = default;

    [[nodiscard]] virtual QueueId id() const = 0;

    // Copies `run` behind what is there (the one copy of content in user space). At most one call
    // under way: after `wait`, the next append or commit comes only after `waiter` was woken.
    [[nodiscard]] virtual SinkState append(std::string_view run, base::Waiter& waiter) = 0;

    // Makes the message durable: content as appended, `added_headers` before it (whole CRLF lines),
    // the envelope as it is now. Always wakes `waiter` later, never from inside the call; then
    // state() is `ready` (durable: 250 may leave), `storage_full` or `failed`. All references must
    // hold until then.
    virtual void commit(const Envelope& envelope, const ContentFacts& facts,
                        std::string_view added_headers, base::Waiter& waiter) = 0;
    [[nodiscard]] virtual SinkState state() const = 0;

  private:
    friend class IncomingMessageDeleter;
    virtual void release() = 0;  // back to the pool of its sink
};

class IncomingMessageDeleter {
  public:
    void operator()(IncomingMessage* message) const { message->release(); }
};
using IncomingMessageHandle = std::unique_ptr<IncomingMessage, IncomingMessageDeleter>;

// One per shard.
class MessageSink {
  public:
    MessageSink() = default;
    MessageSink(const MessageSink&) = delete;
    MessageSink& operator=(const MessageSink&) = delete;
    virtual ~MessageSink() = default;

    // Asked at MAIL: `ready`, or why no message of about `size_bytes` (0: not declared) can be
    // taken now.
    [[nodiscard]] virtual SinkState admits(std::uint64_t size_bytes) = 0;

    // Starts a message at DATA or the first BDAT. Null when the limit of transactions in memory is
    // reached (451 4.3.2).
    [[nodiscard]] virtual IncomingMessageHandle begin(const Origin& origin) = 0;
};

}  // namespace mail
