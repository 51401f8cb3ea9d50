// The transaction half of Client: what may go to this server, and the envelope.
#include <algorithm>

#include "base/assert.h"
#include "mail/text.h"
#include "smtp/client.h"

namespace smtp {

using Verdict = mail::EightBitDowngrade::Verdict;

namespace {

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
    source_failed_ = went_stale_ = chunk_failed_ = last_sent_ = false;
    eight_bit_ = Verdict::unneeded;
    repairs_ = 0;
    transaction_.start(request);
    if (source.facts().has_8bit && !extensions_.eightbitmime) {
        const bool readable = co_await plan_downgrade(source);
        if (!readable) {
            transaction_.give_up(failure_, false);
            co_return;
        }
        eight_bit_ = downgrade_->verdict();
        if (eight_bit_ == Verdict::possible) {
            content = downgrade_.get();
        }
    }
    prepare(request, *content);
    co_await talk(*content);
    if (!usable_) {
        transaction_.give_up(failure_, last_sent_);
    }
    repairs_ = writer_.repairs();
    reset_due_ = transaction_.left_open() || chunk_failed_;
}

rt::Task<void> Client::talk(mail::MessageSource& source) {
    const bool envelope_done = co_await talk_envelope(source);
    if (!envelope_done) {
        co_return;
    }
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
    if (downgrade_) {
        downgrade_->start(source);
    } else {
        downgrade_ = std::make_unique<mail::EightBitDowngrade>(source);
    }
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
    headers_gathered_ = all_gathered_ = false;
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
        .dsn = extensions_.dsn,
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
    // The header of the message, or that of a part (RFC 6532 §3.6).
    const bool header_8bit = facts_.has_8bit_header || eight_bit_ == Verdict::header;
    const bool all_need =
        !mail::is_ascii(request.reverse_path) || (request.smtputf8 && header_8bit);
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
    if (eight_bit_ >= Verdict::header) {
        transaction_.refuse_rest(kNo8Bit);
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
        Stage stage = transaction_.awaited();
        if (transaction_.wants_to_send()) {
            const bool sent = co_await send_window(source, stage);
            if (!sent) {
                co_return false;
            }
        }
        if (last_sent_) {
            stage =
                Stage::final_dot;  // the server has it all, and may answer when it has stored it
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
        rested_ = false;  // it answers
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

}  // namespace smtp
