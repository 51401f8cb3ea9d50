// The content half of Client: DATA and BDAT, and what the server says to them.
#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "smtp/client.h"

namespace smtp {
namespace {

// How many chunks may be on their way without an answer.
constexpr std::uint32_t kChunksDueMax = 16;

// How long to look for a last word of a server that closed while we sent.
constexpr base::Duration kLastWordWait = std::chrono::seconds(2);

}  // namespace

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
    bool heard = co_await read_last_reply(deadline);
    while (heard && answers_envelope()) {
        const ClientTransaction::Step step = transaction_.take(parser_.reply());
        if (step == ClientTransaction::Step::closing) {
            fail_with_reply();
        }
        if (step != ClientTransaction::Step::more) {
            co_return;
        }
        heard = co_await read_last_reply(deadline);
    }
    if (!heard || parser_.reply().code < 400) {
        co_return;
    }
    // Behind DATA's 354, or a chunk, it is the answer to the content.
    const bool envelope_done = transaction_.awaited() == Stage::none;
    if (envelope_done && (transaction_.data_open() || chunks_due_ == 1)) {
        take_final();
    }
    fail_with_reply();
}

// Whether a reply that was read behind a failed send may belong to a command: MAIL may have been
// taken before what broke the connection. What comes in MAIL's place and is no 2xx is the word on
// the connection.
bool Client::answers_envelope() const {
    return transaction_.reply_due() && (parser_.reply().code < 400 || transaction_.mail_answered());
}

// False: none came.
rt::Task<bool> Client::read_last_reply(base::MonoTime deadline) {
    for (;;) {
        std::string_view input = stream_.input();
        const std::size_t before = input.size();
        const ReplyParser::Event event = parser_.next(input);
        stream_.consume(before - input.size());
        if (event != ReplyParser::Event::more) {
            co_return event == ReplyParser::Event::reply;
        }
        const std::int32_t received = co_await stream_.receive(deadline);
        if (received <= 0) {
            co_return false;
        }
    }
}

}  // namespace smtp
