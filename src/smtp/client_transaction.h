// ClientTransaction: the envelope half of one mail transaction, as a client speaks it (RFC 5321
// §3.3, RFC 2920): which commands leave next, what each reply means for each recipient.
//
// Synchronous, without time and sockets; owned by one Client and reused for each transaction, so
// that it allocates nothing once it is warm. Bad data: a reply that cannot stand where it came is a
// violation, and the connection is then to be broken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mail/dsn_parameters.h"
#include "mail/status_code.h"
#include "smtp/extensions.h"

namespace smtp {

// What one transaction asks of the next hop. All views hold until it has ended. Paths are without
// brackets; "" is the null reverse-path.
struct Request {
    std::string_view reverse_path;
    std::span<const std::string_view> recipients;
    bool smtputf8 = false;  // the sender declared SMTPUTF8
    // Nothing follows MAIL before it is answered, whatever the server offers.
    bool mail_alone = false;

    // RFC 3461, passed on where the next hop offers DSN. `dsn` is empty, or as long as
    // `recipients`.
    struct RecipientDsn {
        mail::Notify notify;
        std::string_view original_recipient;
    };
    mail::ReturnContent ret = mail::ReturnContent::unspecified;
    std::string_view envelope_id = {};
    std::span<const RecipientDsn> dsn = {};
};

enum class RecipientState : std::uint8_t {
    // Not answered. Behind a whole transaction: the server took some recipients and had too many
    // with this one (452, RFC 5321 §4.5.3.1.10), so it may go at once in another transaction.
    pending,
    delivered,
    deferred,  // to be tried later
    failed,    // for good
};

// Where a conversation is; each has its time-out and its words in the log.
enum class Stage : std::uint8_t {
    connect,
    banner,
    ehlo,
    helo,
    rset,
    mail,
    rcpt,
    data,
    content,    // sending it; or a chunk that is not the last
    final_dot,  // the reply that decides
    quit,
    none,
};

class ClientTransaction {
  public:
    // How many bytes of commands leave before their replies are read (RFC 2920 §3.1: a client must
    // not fill both directions).
    static constexpr std::size_t kWindowBytes = 16 * 1024;

    struct Parameters {
        bool pipelining = false;
        bool chunking = false;         // no DATA command; who owns this sends BDAT
        bool reset = false;            // RSET first: the last transaction was left open
        bool say_size = false;         // RFC 1870
        bool body_8bitmime = false;    // RFC 6152
        bool smtputf8 = false;         // RFC 6531
        bool dsn = false;              // RFC 3461
        std::uint64_t size_bytes = 0;  // with say_size
    };

    // All recipients become pending. `request` must hold until the transaction has ended.
    void start(const Request& request);
    // Our own refusals, before begin().
    void refuse(std::size_t recipient, const mail::FixedReply& reply);
    void refuse_rest(const mail::FixedReply& reply);
    // From here on commands are given out. Recipients that were refused take no part.
    void begin(const Parameters& parameters);

    // False: nothing may be sent before a reply came, or nothing is left to send.
    [[nodiscard]] bool wants_to_send() const;
    // Appends the commands that leave in one go. REQUIRES: wants_to_send().
    void append_commands(std::string& out);
    [[nodiscard]] bool all_sent() const { return sent_.stage == Stage::none; }
    // What the next reply answers; `none`: no reply is due, the envelope is done.
    [[nodiscard]] Stage awaited() const { return read_.stage; }
    // True when the next thing to come is a reply.
    [[nodiscard]] bool reply_due() const { return read_.stage != Stage::none && !(read_ == sent_); }

    enum class Step : std::uint8_t {
        more,       // send or read on
        violation,  // such a reply cannot be; break the connection
        closing,    // 421: the server closes; everything pending was deferred
    };
    [[nodiscard]] Step take(const mail::Reply& reply);

    // With awaited() == none:
    [[nodiscard]] std::size_t accepted() const { return accepted_; }
    // 354 was given: content, or with accepted() == 0 a lone dot, has to follow (RFC 2920 §3.1).
    [[nodiscard]] bool data_open() const { return data_open_; }
    // The server may still hold this transaction: RSET is due before the next one.
    [[nodiscard]] bool left_open() const { return left_open_; }

    // The reply that decides on all accepted recipients (to the final dot, or a chunk).
    [[nodiscard]] Step take_final(const mail::Reply& reply);
    // The connection is lost, or broken off by us: what is pending is deferred with this.
    // `possible_duplicate`: the whole message has left, perhaps ahead of its replies, and the
    // server may take it for all that it has not refused.
    void give_up(const mail::Reply& reply, bool possible_duplicate);

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] RecipientState state(std::size_t recipient) const;
    // What decided on it: the server's reply, or our own words (code 0 where there was none). Holds
    // until the next start().
    [[nodiscard]] const mail::Reply& reply(std::size_t recipient) const;
    // The reply that decides was lost: what is deferred here may have been delivered.
    [[nodiscard]] bool possible_duplicate(std::size_t recipient) const;
    // How many replies this transaction has seen.
    [[nodiscard]] std::uint32_t replies() const { return replies_; }
    // MAIL was taken or refused, and not by a 421: the server serves, and whatever breaks behind
    // that may be the fault of this message.
    [[nodiscard]] bool mail_answered() const { return mail_answered_; }

  private:
    struct Outcome {
        RecipientState state = RecipientState::pending;
        bool asked = true;       // takes part
        bool accepted = false;   // RCPT was answered 2xx
        bool overflow = false;   // 452 behind accepted ones
        bool own_reply = false;  // else shared_
        bool possible_duplicate = false;
        mail::Reply reply;
    };
    struct Cursor {
        Stage stage = Stage::none;
        std::size_t recipient = 0;
        friend bool operator==(const Cursor&, const Cursor&) = default;
    };

    [[nodiscard]] Cursor after(Cursor at) const;
    [[nodiscard]] Cursor recipient_from(std::size_t index) const;
    void append_command(std::string& out, Cursor at) const;
    void append_mail_parameters(std::string& out) const;
    void append_recipient_parameters(std::string& out, std::size_t recipient) const;
    [[nodiscard]] Step take_mail(const mail::Reply& reply);
    [[nodiscard]] Step take_recipient(const mail::Reply& reply, Outcome& outcome);
    [[nodiscard]] Step take_data(const mail::Reply& reply);
    void settle_pending(const mail::Reply& reply, RecipientState state);
    void skip_unsent();

    const Request* request_ = nullptr;
    Parameters parameters_;
    std::vector<Outcome> outcomes_;  // never shrinks, so that the texts keep their memory
    std::size_t size_ = 0;
    mail::Reply shared_;
    Cursor sent_;  // the next command to send
    Cursor read_;  // the command whose reply is read next
    std::size_t accepted_ = 0;
    std::uint32_t replies_ = 0;
    bool mail_answered_ = false;
    bool refused_ = false;  // MAIL was refused
    bool data_open_ = false;
    bool left_open_ = false;
};

}  // namespace smtp
