// Client: one connection to a next hop (RFC 5321 §3), and transactions over it one after another.
//
// Owned by one delivery, on one shard; the same object serves one connection after another and
// allocates nothing once it is warm. One task uses it at a time; only stop() may come from beside.
//
// Content is sent from the spans that the store gives, in place, in vectored sends; it passes a
// DotWriter, so nothing but CRLF ends a line on the wire. Where the source fails, the connection is
// broken off inside the content, so that a half message is never taken for a whole one.
//
// Failures are states of recipients (environment and bad data alike): nothing here is fatal.
// Limits: those of smtp::Limits for replies and waits, kWindowBytes of commands, kPieces per send.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <sys/uio.h>

#include "base/time.h"
#include "mail/eight_bit.h"
#include "mail/message_source.h"
#include "mail/status_code.h"
#include "net/shard_net.h"
#include "net/stream.h"
#include "rt/awaiters.h"
#include "rt/task.h"
#include "smtp/client_transaction.h"
#include "smtp/dot_writer.h"
#include "smtp/extensions.h"
#include "smtp/limits.h"
#include "smtp/reply_parser.h"

namespace smtp {

// One address of a next hop. `name` is for the log: "mx.example:192.0.2.1:25", "127.0.0.1:2626".
struct Target {
    std::string name;
    io::SocketAddress address;
};

class Client {
  public:
    // Whole messages up to this size leave together with their envelope where the server offers
    // PIPELINING and CHUNKING (RFC 3030 §4.2).
    static constexpr std::uint64_t kOneSendBytes = 64 * 1024;
    static constexpr std::size_t kPieces = 128;

    // `limits` and `hostname` (ours, for EHLO) are borrowed.
    Client(net::ShardNet& net, const Limits& limits, std::string_view hostname);
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    // REQUIRES: not is_open().
    ~Client() = default;

    // Connects to a target that answers with a greeting and takes EHLO (or HELO). False: it did
    // not; failure() says why, and the next one may be tried. `target` must hold until close().
    // REQUIRES: not is_open().
    [[nodiscard]] rt::Task<bool> connect(const Target& target);
    [[nodiscard]] bool is_open() const { return stream_.is_open(); }
    // Another transaction may follow on this connection.
    [[nodiscard]] bool usable() const { return usable_; }

    // One transaction; results are in transaction() until the next one. `request` and `source` must
    // hold until it ends; the source stands at its first byte. REQUIRES: usable().
    [[nodiscard]] rt::Task<void> deliver(const Request& request, mail::MessageSource& source);
    [[nodiscard]] const ClientTransaction& transaction() const { return transaction_; }

    // The connection was idle before this transaction and broke without a single reply: the server
    // had closed it. The message was not even offered, and may go over a new connection at once.
    [[nodiscard]] bool went_stale() const { return went_stale_; }
    // The message could not be read from its source: nothing that the server is to blame for.
    [[nodiscard]] bool source_failed() const { return source_failed_; }
    // Says that the connection was idle since the last transaction. That holds until the server's
    // next reply: a transaction that our own rules refuse whole says nothing to it.
    void rested() { rested_ = true; }
    // The server has ended it meanwhile. What it offered once is no reason to refuse a message: it
    // may offer something else now.
    [[nodiscard]] bool server_left() const { return stream_.ended(); }

    // connect() gave false for want of something of our own (descriptors, memory, local ports):
    // nothing that the next hop is to blame for.
    [[nodiscard]] bool short_of_means() const { return short_of_means_; }

    // Why connect() gave false, or the connection broke: code 0 where there was no reply.
    [[nodiscard]] const mail::Reply& failure() const { return failure_; }
    // The target last tried; nullptr before connect().
    [[nodiscard]] const Target* target() const { return target_; }
    [[nodiscard]] const ServerExtensions& extensions() const { return extensions_; }
    // Octets of content that had to be put right on the way out, in the last transaction: faults
    // of ours.
    [[nodiscard]] std::uint64_t repairs() const { return repairs_; }

    // Ends the connection: QUIT first where the server still listens.
    [[nodiscard]] rt::Task<void> close();

    // For a shutdown: every wait for the network ends soon, with what it serves deferred.
    void stop();

  private:
    [[nodiscard]] rt::Task<bool> open(const Target& target);
    void begin(const Target& target);
    [[nodiscard]] rt::Task<bool> greet();

    [[nodiscard]] rt::Task<bool> read_reply(Stage stage);
    [[nodiscard]] rt::Task<bool> send_commands(Stage stage);
    [[nodiscard]] rt::Task<bool> send_pieces(Stage stage);
    [[nodiscard]] rt::Task<void> hear_last_word();
    [[nodiscard]] bool answers_envelope() const;
    [[nodiscard]] rt::Task<bool> read_last_reply(base::MonoTime deadline);
    [[nodiscard]] base::Duration timeout_of(Stage stage) const;
    [[nodiscard]] base::MonoTime deadline_of(Stage stage) const;
    void lost(Stage stage, std::int32_t error);
    void violated(Stage stage, std::string_view why);
    void fail_with_reply();

    [[nodiscard]] rt::Task<void> talk(mail::MessageSource& source);
    [[nodiscard]] rt::Task<bool> plan_downgrade(mail::MessageSource& source);
    void prepare(const Request& request, const mail::MessageSource& source);
    [[nodiscard]] bool refuse_what_cannot_go(const Request& request);
    [[nodiscard]] std::uint64_t message_bytes() const;
    [[nodiscard]] rt::Task<bool> talk_envelope(mail::MessageSource& source);
    [[nodiscard]] rt::Task<bool> send_window(mail::MessageSource& source, Stage stage);
    void take_final();

    [[nodiscard]] rt::Task<bool> next_span(mail::MessageSource& source);
    [[nodiscard]] bool take_span(mail::SourceState state, std::string_view span);
    void unreadable();
    void add_piece(std::string_view piece);
    void gather();
    [[nodiscard]] rt::Task<void> send_data(mail::MessageSource& source);
    [[nodiscard]] rt::Task<void> send_empty_data();
    [[nodiscard]] rt::Task<void> send_chunks(mail::MessageSource& source);
    [[nodiscard]] rt::Task<bool> send_next_chunk(mail::MessageSource& source);
    [[nodiscard]] bool gather_chunk();
    [[nodiscard]] rt::Task<bool> read_chunk_replies(std::uint32_t left);

    net::ShardNet& net_;
    const Limits& limits_;
    std::string_view hostname_;
    net::Stream stream_;
    ReplyParser parser_;
    ServerExtensions extensions_;
    ClientTransaction transaction_;
    DotWriter writer_;
    rt::Wakeup wakeup_;
    const Target* target_ = nullptr;
    const io::SocketAddress source_;  // none: the kernel chooses
    mail::Reply failure_;
    std::string out_;  // commands that leave next

    // Content under way.
    mail::ContentFacts facts_;
    std::string_view added_headers_;
    std::string_view span_;    // what is left of the source's last span
    std::uint64_t given_ = 0;  // stored bytes that the source gave
    std::uint64_t repairs_ = 0;
    // Made when it is first needed, and kept.
    std::unique_ptr<mail::EightBitDowngrade> downgrade_;
    // What it found of the message under way; `unneeded` where it was not asked.
    mail::EightBitDowngrade::Verdict eight_bit_ = mail::EightBitDowngrade::Verdict::unneeded;
    std::uint32_t chunks_due_ = 0;  // replies to BDAT not yet read
    std::array<iovec, kPieces> pieces_;
    std::size_t piece_count_ = 0;
    std::size_t piece_bytes_ = 0;
    std::array<char, 40> chunk_line_;  // "BDAT 18446744073709551615 LAST"

    bool usable_ = false;
    bool stopped_ = false;
    bool rested_ = false;
    bool went_stale_ = false;
    bool reset_due_ = false;
    bool sizes_are_exact_ = true;  // facts_; so the last span is known to be the last
    bool source_ended_ = false;
    bool source_failed_ = false;
    bool short_of_means_ = false;
    bool headers_gathered_ = false;
    bool all_gathered_ = false;  // the last piece of content is in pieces_
    bool last_sent_ = false;     // … or on its way: the server may have the whole message
    bool chunk_failed_ = false;
};

}  // namespace smtp
