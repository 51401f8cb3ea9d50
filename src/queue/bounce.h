// Bounce: tells the sender of a message that recipients have failed: gathers them during an
// attempt, and stores one notification (RFC 3464) for all of them as a new message.
//
// Owned by a delivery, reused. The null reverse-path gets no answer (RFC 5321 §4.5.5): such
// failures end with their line in the log. A notification that cannot be stored (disk full, memory)
// is a value: its recipients stay in the queue and are tried again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "mail/envelope.h"
#include "mail/status_code.h"
#include "queue/options.h"
#include "rt/awaiters.h"
#include "rt/task.h"
#include "store/store.h"
#include "store/stored_message.h"

namespace queue {

class Bounce {
  public:
    struct Failure {
        std::uint32_t recipient = 0;
        // failed or expired
        store::RecipientStatus status = store::RecipientStatus::failed;
        mail::Reply reply;  // the server's, or our own words (code 0); the last one where expired
        std::string relay;  // who said it; "" when nobody was reached
    };

    // Both are borrowed.
    Bounce(store::Store& store, const Options& options);

    void clear() { count_ = 0; }
    void add(std::uint32_t recipient, store::RecipientStatus status, const mail::Reply& reply,
             std::string_view relay);
    [[nodiscard]] std::span<const Failure> failures() const {
        return std::span(failures_).first(count_);
    }

    // Makes the notification durable; true when it is, or when none is due. `reader` reads the
    // message, which failed at `now`; it is left anywhere.
    [[nodiscard]] rt::Task<bool> send(store::Reader& reader, base::WallTime now);

  private:
    [[nodiscard]] rt::Task<void> read_header(store::Reader& reader);
    [[nodiscard]] rt::Task<bool> store_text();
    void compose(const store::StoredMessage& message, mail::QueueId id, base::WallTime now);

    store::Store& store_;
    const Options& options_;
    std::vector<Failure> failures_;  // never shrinks, so that the texts keep their memory
    std::size_t count_ = 0;
    rt::Wakeup wakeup_;
    std::string header_;  // of the message
    std::string text_;    // of the notification
    mail::ContentFacts facts_;
    mail::Envelope envelope_;
    mail::IncomingMessageHandle incoming_;
};

}  // namespace queue
