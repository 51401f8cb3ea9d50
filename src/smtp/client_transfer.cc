// The transaction half of Client: envelope, content, and what the server says to them.
#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "mail/text.h"
#include "smtp/client.h"

namespace smtp {
namespace {

// How many chunks may be on their way without an answer.
constexpr std::uint32_t kChunksDueMax = 16;

// How long to look for a last word of a server that closed while we sent.
constexpr base::Duration kLastWordWait = std::chrono::seconds(2);

constexpr mail::FixedReply kTooBig{552, {5, 3, 4}, "Message is larger than the next hop takes"};
constexpr mail::FixedReply kNoSmtpUtf8{
    553, {5, 6, 7}, "Message needs SMTPUTF8, which the next hop does not offer"};
constexpr mail::FixedReply kNo8Bit{
    554, {5, 6, 3}, "Message has 8-bit content, which the next hop does not take"};
constexpr mail::FixedReply kBadSender{553, {5, 1, 7}, "Sender address cannot be sent on"};
constexpr mail::FixedReply kBadRecipient{553, {5, 1, 3}, "Recipient address cannot be sent on"};

// What could end the command, or the path in it. Paths were checked when they came in; nothing of
// the kind leaves even so.
bool safe_path(std::string_view path) {
    return std::ranges::none_of(path, [](char c) {
        const auto octet = static_cast<unsigned char>(c);
        return octet < 0x20 || octet == 0x7f;
    });
}

}  // namespace

// --- one transaction ---

rt::Task<void> Client::deliver(const Request& request, mail::MessageSource& source) {
    RP_ASSERT(usable_);
    mail::MessageSource* content = &source;
    source_failed_ = false;
    transaction_.start(request);
    if (source.facts().has_8bit && !extensions_.eightbitmime) {
        const bool readable = co_await plan_downgrade(source);
        if (!readable) {
            transaction_.give_up(failure_, false);
            co_return;
        }
        if (downgrade_->verdict() == mail::EightBitDowngrade::Verdict::possible) {
            content = downgrade_.get();
        }
    }
    prepare(request, *content);
    co_await talk(*content);
    if (!usable_) {
        transaction_.give_up(failure_, last_sent_);
    }
    repairs_ += writer_.repairs();
    reset_due_ = transaction_.left_open() || chunk_failed_;
    rested_ = false;
    downgrade_.reset();
}

rt::Task<void> Client::talk(mail::MessageSource& source) {
    const bool envelope_done = co_await talk_envelope(source);
    if (!envelope_done) {
        co_return;
    }
    rested_ = false;
    if (extensions_.chunking) {
        co_await send_chunks(source);
    } else if (transaction_.data_open() && transaction_.accepted() == 0) {
        co_await send_empty_data();
    } else if (transaction_.data_open()) {
        co_await send_data(source);
    }
}

// Reads the message to see whether it can go without 8BITMIME. False: it cannot be read; the
// connection is as good as before.
rt::Task<bool> Client::plan_downgrade(mail::MessageSource& source) {
    downgrade_ = std::make_unique<mail::EightBitDowngrade>(source);
    mail::SourceState state = downgrade_->plan(wakeup_);
    while (state == mail::SourceState::wait) {
        co_await wakeup_.woken("read content");
        state = downgrade_->plan(wakeup_);
    }
    if (state == mail::SourceState::failed) {
        unreadable();
    }
    co_return state != mail::SourceState::failed;
}

void Client::prepare(const Request& request, const mail::MessageSource& source) {
    facts_ = source.facts();
    sizes_are_exact_ = downgrade_.get() != &source;
    added_headers_ = source.added_headers();
    span_ = {};
    given_ = 0;
    piece_count_ = piece_bytes_ = 0;
    chunks_due_ = 0;
    went_stale_ = chunk_failed_ = headers_gathered_ = all_gathered_ = last_sent_ = false;
    source_ended_ = sizes_are_exact_ && facts_.stored_bytes == 0;
    if (extensions_.chunking) {
        writer_.start_chunks(facts_);
    } else {
        writer_.start_data(facts_);
    }
    const bool smtputf8 = refuse_what_cannot_go(request);
    transaction_.begin({
        .pipelining = extensions_.pipelining,
        .chunking = extensions_.chunking,
        .reset = reset_due_,
        .say_size = extensions_.size,
        .body_8bitmime = extensions_.eightbitmime && facts_.has_8bit,
        .smtputf8 = smtputf8,
        .size_bytes = message_bytes(),
    });
}

// True when the transaction needs SMTPUTF8 (RFC 6531 §3.4), and may go since it is offered. Headers
// with 8-bit octets whose sender did not ask for SMTPUTF8 go as the 8-bit content that they are.
bool Client::refuse_what_cannot_go(const Request& request) {
    if (!safe_path(request.reverse_path)) {
        transaction_.refuse_rest(kBadSender);
        return false;
    }
    if (extensions_.size_bytes_max > 0 && message_bytes() > extensions_.size_bytes_max) {
        transaction_.refuse_rest(kTooBig);
        return false;
    }
    if (downgrade_ && downgrade_->verdict() >= mail::EightBitDowngrade::Verdict::header) {
        transaction_.refuse_rest(kNo8Bit);
        return false;
    }
    const bool all_need =
        !mail::is_ascii(request.reverse_path) || (request.smtputf8 && facts_.has_8bit_header);
    bool some_need = all_need;
    if (all_need && !extensions_.smtputf8) {
        transaction_.refuse_rest(kNoSmtpUtf8);
        return false;
    }
    for (std::size_t i = 0; i < request.recipients.size(); ++i) {
        if (!safe_path(request.recipients[i])) {
            transaction_.refuse(i, kBadRecipient);
        } else if (!mail::is_ascii(request.recipients[i])) {
            if (extensions_.smtputf8) {
                some_need = true;
            } else {
                transaction_.refuse(i, kNoSmtpUtf8);
            }
        }
    }
    return some_need && extensions_.smtputf8;
}

// What RFC 1870 counts: as the receiver sees it, without stuffing and the final dot.
std::uint64_t Client::message_bytes() const {
    return added_headers_.size() + facts_.content_bytes();
}

// Commands and replies up to the last one of the envelope. False: the connection is of no use, and
// failure_ says why.
rt::Task<bool> Client::talk_envelope(mail::MessageSource& source) {
    while (transaction_.awaited() != Stage::none) {
        const Stage stage = transaction_.awaited();
        if (transaction_.wants_to_send()) {
            const bool sent = co_await send_window(source, stage);
            if (!sent) {
                co_return false;
            }
        }
        const bool replied = co_await read_reply(stage);
        if (!replied) {
            went_stale_ = rested_ && transaction_.replies() == 0 && !stopped_;
            co_return false;
        }
        const ClientTransaction::Step step = transaction_.take(parser_.reply());
        if (step == ClientTransaction::Step::violation) {
            violated(stage, "unexpected reply");
            co_return false;
        }
        if (step == ClientTransaction::Step::closing) {
            went_stale_ = rested_ && transaction_.replies() == 1;
            fail_with_reply();
            co_return false;
        }
    }
    co_return true;
}

// The next commands; with a small message behind them where the server lets them go together. Not
// so on a connection that was idle: it may be closed by now, and then it must be sure that the
// server did not take the message.
rt::Task<bool> Client::send_window(mail::MessageSource& source, Stage stage) {
    out_.clear();
    transaction_.append_commands(out_);
    const bool with_content = extensions_.chunking && extensions_.pipelining &&
                              transaction_.all_sent() && !rested_ &&
                              message_bytes() <= kOneSendBytes;
    bool sent = false;
    if (with_content) {
        sent = co_await send_next_chunk(source);
        co_return sent;
    }
    sent = co_await send_commands(stage);
    if (!sent) {
        co_await hear_last_word();
        went_stale_ = rested_ && transaction_.replies() == 0 && !stopped_;
    }
    co_return sent;
}

// --- content ---

// The next span, or the end (then span_ stays empty). False: the source failed, and with it the
// connection, so that nobody takes the part for the whole.
rt::Task<bool> Client::next_span(mail::MessageSource& source) {
    for (;;) {
        std::string_view span;
        const mail::SourceState state = source.next(span, wakeup_);
        if (state == mail::SourceState::wait) {
            co_await wakeup_.woken("read content");
            continue;
        }
        if (!take_span(state, span)) {
            usable_ = false;
            unreadable();
            co_return false;
        }
        if (!span_.empty() || source_ended_) {
            co_return true;
        }
    }
}

bool Client::take_span(mail::SourceState state, std::string_view span) {
    if (state == mail::SourceState::ready) {
        given_ += span.size();
        span_ = span;
        source_ended_ = sizes_are_exact_ && given_ == facts_.stored_bytes;
        return !sizes_are_exact_ || given_ <= facts_.stored_bytes;
    }
    source_ended_ = true;
    return state == mail::SourceState::end && !sizes_are_exact_;
}

void Client::unreadable() {
    source_failed_ = true;
    failure_.code = 0;
    failure_.status = {4, 3, 0};
    failure_.text.assign("the message cannot be read from the spool");
}

void Client::add_piece(std::string_view piece) {
    if (!piece.empty()) {
        // sendmsg(2) does not write through iov_base.
        pieces_[piece_count_++] = {const_cast<char*>(piece.data()), piece.size()};
        piece_bytes_ += piece.size();
    }
}

// Fills pieces_ from the added headers and the span at hand.
void Client::gather() {
    if (!headers_gathered_) {
        headers_gathered_ = true;
        add_piece(added_headers_);
    }
    std::string_view run;
    while (piece_count_ < kPieces) {
        if (writer_.next(span_, run)) {
            add_piece(run);
        } else if (!source_ended_) {
            return;
        } else if (writer_.finish(run)) {
            add_piece(run);
        } else {
            all_gathered_ = true;
            return;
        }
    }
}

rt::Task<void> Client::send_data(mail::MessageSource& source) {
    while (!all_gathered_) {
        if (span_.empty() && !source_ended_) {
            const bool read = co_await next_span(source);
            if (!read) {
                co_return;
            }
        }
        gather();
        if (piece_count_ == 0) {
            continue;
        }
        last_sent_ = all_gathered_;
        const bool sent = co_await send_pieces(Stage::content);
        if (!sent) {
            co_await hear_last_word();
            co_return;
        }
    }
    const bool replied = co_await read_reply(Stage::final_dot);
    if (replied) {
        take_final();
    }
}

// Nobody was accepted, but the server wants content: an empty message, which it refuses (RFC 2920
// §3.1).
rt::Task<void> Client::send_empty_data() {
    out_.assign(".\r\n");
    const bool sent = co_await send_commands(Stage::final_dot);
    if (!sent) {
        co_return;
    }
    const bool replied = co_await read_reply(Stage::final_dot);
    if (replied) {
        take_final();
    }
}

rt::Task<void> Client::send_chunks(mail::MessageSource& source) {
    out_.clear();
    const std::uint32_t due_max = extensions_.pipelining ? kChunksDueMax : 1;
    while (transaction_.accepted() > 0 && !all_gathered_ && !chunk_failed_) {
        const bool sent = co_await send_next_chunk(source);
        if (!sent) {
            co_return;
        }
        out_.clear();
        const bool good = co_await read_chunk_replies(all_gathered_ ? 0 : due_max - 1);
        if (!good) {
            co_return;
        }
    }
    co_await read_chunk_replies(0);
}

// out_, then one BDAT with what the next span gives; the size said is that of what follows, to the
// octet.
rt::Task<bool> Client::send_next_chunk(mail::MessageSource& source) {
    for (;;) {
        if (span_.empty() && !source_ended_) {
            const bool read = co_await next_span(source);
            if (!read) {
                co_return false;
            }
        }
        if (gather_chunk()) {
            break;
        }
    }
    last_sent_ = all_gathered_;
    ++chunks_due_;
    const bool sent = co_await send_pieces(Stage::content);
    if (!sent) {
        co_await hear_last_word();
    }
    co_return sent;
}

// False: the span gave nothing to send.
bool Client::gather_chunk() {
    piece_count_ = piece_bytes_ = 0;
    add_piece(out_);
    const std::size_t line_at = piece_count_++;
    const std::size_t before = piece_bytes_;
    gather();
    const std::size_t size = piece_bytes_ - before;
    if (size == 0 && !all_gathered_) {
        return false;
    }
    char* end = std::copy_n("BDAT ", 5, chunk_line_.data());
    end = std::to_chars(end, chunk_line_.data() + chunk_line_.size(), size).ptr;
    const std::string_view rest = all_gathered_ ? " LAST\r\n" : "\r\n";
    end = std::ranges::copy(rest, end).out;
    pieces_[line_at] = {chunk_line_.data(), static_cast<std::size_t>(end - chunk_line_.data())};
    return true;
}

// Reads until at most `left` chunks wait for their reply. False: the connection is of no use.
rt::Task<bool> Client::read_chunk_replies(std::uint32_t left) {
    while (chunks_due_ > left) {
        const bool last = last_sent_ && chunks_due_ == 1;
        const bool replied = co_await read_reply(last ? Stage::final_dot : Stage::content);
        if (!replied) {
            co_return false;
        }
        --chunks_due_;
        if (chunk_failed_) {
            continue;  // what follows a refused chunk is refused with it
        }
        const bool good = parser_.reply().code / 100 == 2;
        chunk_failed_ = !good;
        if (last || !good) {
            take_final();
        }
        if (!usable_) {
            co_return false;
        }
    }
    co_return true;
}

void Client::take_final() {
    switch (transaction_.take_final(parser_.reply())) {
        case ClientTransaction::Step::more:
            return;
        case ClientTransaction::Step::violation:
            violated(Stage::final_dot, "unexpected reply");
            return;
        case ClientTransaction::Step::closing:
            fail_with_reply();
            return;
    }
}

// A send failed: perhaps the server said why before it closed.
rt::Task<void> Client::hear_last_word() {
    if (stopped_) {
        co_return;
    }
    const base::MonoTime deadline = net_.shard().now() + kLastWordWait;
    for (;;) {
        std::string_view input = stream_.input();
        const std::size_t before = input.size();
        const ReplyParser::Event event = parser_.next(input);
        stream_.consume(before - input.size());
        if (event == ReplyParser::Event::broken) {
            co_return;
        }
        if (event == ReplyParser::Event::reply) {
            break;
        }
        const std::int32_t received = co_await stream_.receive(deadline);
        if (received <= 0) {
            co_return;
        }
    }
    if (parser_.reply().code < 400) {
        co_return;
    }
    // Behind DATA's 354, or a chunk, it is the answer to the content.
    const bool envelope_done = transaction_.awaited() == Stage::none;
    if (envelope_done && (transaction_.data_open() || chunks_due_ == 1)) {
        take_final();
    }
    fail_with_reply();
}

}  // namespace smtp
