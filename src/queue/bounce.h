// Bounce: tells the sender of a message how recipients fared: gathers that during an attempt, and
// stores one notification (RFC 3464) of each kind for all of them, as a new message.
//
// Owned by a delivery, reused. Who is told of what:
//   failed    who did not forbid it by NOTIFY (RFC 3461 §4.1). Of mail from the null reverse-path,
//             which gets no answer (RFC 5321 §4.5.5), the operator's double_bounce_to is told
//             instead, once: of mail to that address nobody is. Where none is configured, a line in
//             the log is all.
//   delayed, relayed   whom the delivery adds.
// RET=FULL brings the whole message back, where it is small enough and every next hop will take it;
// else its header comes (RFC 3461 §4.3).
//
// Limits: NotificationLimit. Word of a failure that is above it waits, word of a delay or hand-over
// is dropped, either with a notice. A notification that cannot be stored (disk full, memory), or
// has to wait, is a value: its recipients stay in the queue and are tried again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "mail/dsn.h"
#include "mail/eight_bit.h"
#include "mail/envelope.h"
#include "mail/status_code.h"
#include "queue/notification_limit.h"
#include "queue/options.h"
#include "rt/awaiters.h"
#include "rt/task.h"
#include "store/store.h"
#include "store/stored_message.h"

namespace queue {

class Scheduler;

class Bounce {
  public:
    struct Fate {
        std::uint32_t recipient = 0;
        store::RecipientStatus status = store::RecipientStatus::failed;
        mail::Reply reply;  // the server's, or our own words (code 0); the last one where expired
        std::string relay;  // who said it; "" when nobody was reached
        bool by_rule = false;  // the operator's will, not an attempt
        bool tried = true;     // `at` is when it was tried last, as far as is known
        // For the record of it: when the attempt was, and the attempts before it. The delivery's.
        base::WallTime at;
        std::vector<std::byte> history;
    };

    // Both are borrowed.
    Bounce(Scheduler& scheduler, const RetryPolicy& retry);

    void clear();
    // Its history is empty, for the delivery to fill.
    Fate& add(mail::DsnKind kind, std::uint32_t recipient, store::RecipientStatus status,
              const mail::Reply& reply, std::string_view relay, bool by_rule = false);
    [[nodiscard]] std::span<const Fate> fates(mail::DsnKind kind) const {
        const List& list = list_of(kind);
        return std::span(list.fates).first(list.count);
    }

    enum class Sent : std::uint8_t {
        yes,         // it is durable, or none is due
        no_room,     // in the store
        over_limit,  // kind `failed` alone: not before come_again()
    };
    // Makes the notification of that kind durable. `reader` reads the message; it is left anywhere.
    [[nodiscard]] rt::Task<Sent> send(mail::DsnKind kind, store::Reader& reader);
    [[nodiscard]] base::MonoTime come_again() const { return come_again_; }

  private:
    struct List {
        std::vector<Fate> fates;  // never shrinks, so that the texts keep their memory
        std::size_t count = 0;
    };
    enum class Stored : std::uint8_t { yes, no_room, unreadable };
    [[nodiscard]] const List& list_of(mail::DsnKind kind) const {
        return lists_[static_cast<std::size_t>(kind)];
    }

    using Verdict = NotificationLimit::Verdict;

    void choose(mail::DsnKind kind, const store::StoredMessage& message);
    [[nodiscard]] bool admitted(mail::DsnKind kind, const store::StoredMessage& message);
    void tell_of_refusal(Verdict verdict, const store::StoredMessage& message);
    [[nodiscard]] bool may_come_whole(mail::DsnKind kind,
                                      const store::StoredMessage& message) const;
    [[nodiscard]] rt::Task<bool> can_be_converted(store::Reader& reader);
    [[nodiscard]] rt::Task<void> read_header(store::Reader& reader);
    void compose(mail::DsnKind kind, const store::StoredMessage& message, mail::QueueId id);
    void describe(mail::DsnKind kind, const store::StoredMessage& message, std::size_t index);
    [[nodiscard]] rt::Task<Stored> store_notification(mail::DsnKind kind, store::Reader& reader);
    [[nodiscard]] rt::Task<bool> store_text();
    [[nodiscard]] rt::Task<Stored> store_original(store::Reader& reader);
    void add_plain(std::string_view span, bool dot_stuffed);

    Scheduler& scheduler_;
    const Options& options_;
    const RetryPolicy& retry_;
    std::array<List, 3> lists_;  // by DsnKind
    rt::Wakeup wakeup_;

    // The notification under way.
    std::vector<const Fate*> chosen_;
    std::string_view to_;
    bool to_postmaster_ = false;
    base::MonoTime come_again_{};
    bool whole_ = false;
    bool line_begins_ = true;
    mail::Dsn dsn_;
    std::vector<std::string> replies_;
    std::vector<mail::DsnRecipient> recipients_;
    std::string header_;  // of the message
    std::string text_;    // what goes into the store next
    mail::ContentFacts facts_;
    mail::Envelope envelope_;
    mail::IncomingMessageHandle incoming_;
    // Made when it is first needed, and kept.
    std::unique_ptr<mail::EightBitDowngrade> downgrade_;
};

}  // namespace queue
