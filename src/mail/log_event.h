// EventLog: what the message path tells the log. The engines (smtp, queue) know this interface and
// no log behind it.
//
// One per shard, called on that shard only. A call copies what it needs into a bounded queue and
// returns: it takes no lock, allocates nothing, never waits and never fails. When the queue is full
// the event is counted as dropped, and that count is logged later. Each event becomes one line; the
// implementation stamps it with the shard's wall clock, replaces control characters and cuts
// over-long fields, so callers pass what they have, peers' text included. Views need to hold during
// the call only. What is secret (credentials, AUTH exchanges) is never passed here.
//
// docs/LOGGING.md has the lines and their fields.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "mail/queue_id.h"
#include "mail/status_code.h"

namespace mail {

// How one message, or one recipient of a transaction, was answered on the way in. One line per
// message accepted, and one per MAIL, RCPT or end of data that was refused.
struct ReceptionEvent {
    enum class Status : std::uint8_t {
        accepted,  // durable, and 250 is on its way
        refused,   // answered 4xx or 5xx; nothing is kept
        lost,      // the client went away (or timed out) inside the transaction; nothing is kept
    };

    Status status = Status::accepted;
    QueueId id;  // 0 when there is none yet (refused at MAIL or RCPT): logged as NOQUEUE
    std::string_view client;    // address and port as text: "192.0.2.1:4711", "[2001:db8::1]:4711"
    std::string_view helo;      // as given; "" when none
    std::string_view protocol;  // "ESMTP", … (RFC 3848); "" when none
    std::string_view from;      // reverse-path without brackets; "" is the null path
    std::string_view to;  // a refused RCPT's, as given; else the only recipient, "" when not one
    std::uint32_t recipients = 0;  // accepted recipients
    std::uint64_t size_bytes = 0;  // content as received so far
    // Line ends in it that were a CR or LF alone: made CRLF where it was accepted.
    std::uint64_t bare_line_ends = 0;
    base::Duration delay{};  // since MAIL
    EnhancedStatus dsn;      // of our reply
    std::uint16_t code = 0;  // of our reply; 0 when none was sent
    std::string_view reply;  // its text, without codes
    std::string_view tls;    // "TLSv1.3"; "" in the clear
};

// How one recipient fared in one attempt. One line per recipient and attempt.
struct AttemptEvent {
    enum class Status : std::uint8_t {
        sent,      // 2xx from the next hop; Postfix's word
        deferred,  // will be tried again
        delayed,   // waits, and its sender has been told so; no attempt of its own
        bounced,   // 5xx, or refused by our own rules; a DSN follows where the sender wants one
        expired,   // given up at the end of its time in the queue; a DSN follows likewise
    };

    Status status = Status::sent;
    QueueId id;
    std::string_view from;  // "" is the null path
    std::string_view to;    // forward-path without brackets
    std::string_view
        relay;  // "mx.example:192.0.2.1:25", "127.0.0.1:2626"; "" when none was reached
    base::Duration delay{};  // since the message arrived
    std::uint64_t size_bytes = 0;
    std::uint32_t attempts = 0;     // this one included
    EnhancedStatus dsn;             // the next hop's, or ours where it gave none
    std::uint16_t code = 0;         // the next hop's reply code; 0 when there was no reply
    std::string_view reply;         // its text, or what went wrong in words
    std::string_view tls;           // "TLSv1.3"; "" in the clear
    base::Duration next_attempt{};  // from now, where one is planned; else zero
    bool possible_duplicate =
        false;  // the reply to the final dot was lost (RFC 5321 §4.5.3.2.6, RFC 1047)
};

// The message has left the queue: every recipient was delivered, has failed, or was deleted.
struct RemovalEvent {
    QueueId id;
    bool known = true;  // from and size_bytes are; not of one that was deleted unread
    std::string_view from = {};
    std::uint64_t size_bytes = 0;
    base::Duration delay{};       // since the message arrived
    std::uint32_t delivered = 0;  // recipients
    std::uint32_t failed = 0;     // recipients; bounced or expired
    std::uint32_t deleted = 0;    // recipients; by the operator
};

// A notification (DSN) about a message was stored, as a message of its own.
struct NotificationEvent {
    enum class Kind : std::uint8_t {
        failed,
        delayed,
        relayed,
        double_bounce,  // to the postmaster: the message has no sender to tell
    };

    Kind kind = Kind::failed;
    QueueId id;                    // of the message that it is about
    QueueId notification;          // its own
    std::string_view to;           // who is told
    std::uint32_t recipients = 0;  // that it names
};

enum class Severity : std::uint8_t { debug, info, warning, error };

class EventLog {
  public:
    EventLog() = default;
    EventLog(const EventLog&) = delete;
    EventLog& operator=(const EventLog&) = delete;
    virtual ~EventLog() = default;

    virtual void reception(const ReceptionEvent& event) = 0;
    virtual void attempt(const AttemptEvent& event) = 0;
    virtual void removal(const RemovalEvent& event) = 0;
    virtual void notification(const NotificationEvent& event) = 0;
    // Anything else, as a sentence for the operator: what happened, to what, and what to do.
    virtual void notice(Severity severity, std::string_view text) = 0;
};

}  // namespace mail
