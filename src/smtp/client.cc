#include "smtp/client.h"

#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "base/assert.h"

namespace smtp {
namespace {

// Words for the log and for the queue listing, by where the conversation was (Postfix's phrases).
const char* words_for(Stage stage) {
    switch (stage) {
        case Stage::connect:
            return "connecting";
        case Stage::banner:
            return "receiving the initial server greeting";
        case Stage::ehlo:
            return "performing the EHLO handshake";
        case Stage::helo:
            return "performing the HELO handshake";
        case Stage::rset:
            return "sending RSET";
        case Stage::mail:
            return "sending MAIL FROM";
        case Stage::rcpt:
            return "sending RCPT TO";
        case Stage::data:
            return "sending DATA command";
        case Stage::content:
            return "sending message body";
        case Stage::final_dot:
            return "sending end of data -- message may be sent more than once";
        case Stage::quit:
            return "sending QUIT";
        case Stage::none:
            break;
    }
    return "waiting";
}

// Whether a connect failed for want of something of ours. For IPv6, EADDRNOTAVAIL is what a host
// without the protocol gives, and then the next target may be better.
bool is_ours(std::int32_t error, const io::SocketAddress& to) {
    switch (-error) {
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            return true;
        case EADDRNOTAVAIL:
            return to.family() == AF_INET;
        default:
            return false;
    }
}

}  // namespace

Client::Client(net::ShardNet& net, const Limits& limits, std::string_view hostname)
    : net_(net), limits_(limits), hostname_(hostname), stream_(net) {}

// --- connecting ---

rt::Task<bool> Client::connect(const Target& target) {
    RP_ASSERT(!is_open() && !stopped_);
    short_of_means_ = false;
    usable_ = co_await open(target);
    if (!usable_) {
        static_cast<void>(co_await stream_.close());
    }
    co_return usable_;
}

rt::Task<bool> Client::open(const Target& target) {
    begin(target);
    const std::int32_t connected =
        co_await stream_.connect(target.address, source_, deadline_of(Stage::connect));
    if (connected < 0) {
        lost(Stage::connect, connected);
        co_return false;
    }
    const bool greeted = co_await greet();
    co_return greeted;
}

void Client::begin(const Target& target) {
    target_ = &target;
    parser_ = ReplyParser();
    extensions_ = {};
    usable_ = rested_ = reset_due_ = went_stale_ = false;
}

rt::Task<bool> Client::greet() {
    bool replied = co_await read_reply(Stage::banner);
    if (!replied) {
        co_return false;
    }
    if (parser_.reply().code != 220) {
        fail_with_reply();
        co_return false;
    }
    for (const Stage stage : {Stage::ehlo, Stage::helo}) {
        out_.assign(stage == Stage::ehlo ? "EHLO " : "HELO ").append(hostname_).append("\r\n");
        const bool sent = co_await send_commands(stage);
        if (sent) {
            replied = co_await read_reply(stage);
        }
        if (!sent || !replied) {
            co_return false;
        }
        const mail::Reply& reply = parser_.reply();
        if (reply.code == 250) {
            if (stage == Stage::ehlo) {
                extensions_ = parser_.extensions();
            }
            co_return true;
        }
        if (!reply.permanent()) {
            break;
        }
    }
    fail_with_reply();
    co_return false;
}

rt::Task<void> Client::close() {
    if (usable_ && !stopped_) {
        out_.assign("QUIT\r\n");
        const bool sent = co_await send_commands(Stage::quit);
        if (sent) {
            co_await read_reply(Stage::quit);
        }
    }
    usable_ = false;
    if (stream_.is_open()) {
        static_cast<void>(co_await stream_.close());
    }
}

void Client::stop() {
    stopped_ = true;
    stream_.abort();
}

// --- waiting ---

base::Duration Client::timeout_of(Stage stage) const {
    switch (stage) {
        case Stage::connect:
            return limits_.connect_timeout;
        case Stage::banner:
            return limits_.banner_timeout;
        case Stage::ehlo:
        case Stage::helo:
            return limits_.helo_timeout;
        case Stage::rset:
        case Stage::mail:
            return limits_.mail_timeout;
        case Stage::rcpt:
            return limits_.rcpt_timeout;
        case Stage::data:
            return limits_.data_timeout;
        case Stage::content:
            return limits_.block_timeout;
        case Stage::final_dot:
            return limits_.final_dot_timeout;
        case Stage::quit:
        case Stage::none:
            break;
    }
    return limits_.quit_timeout;
}

base::MonoTime Client::deadline_of(Stage stage) const {
    return net_.shard().now() + timeout_of(stage);
}

// One whole reply into parser_. The time-out is for all of it: a server that drips does not hold
// us.
rt::Task<bool> Client::read_reply(Stage stage) {
    const base::MonoTime deadline = deadline_of(stage);
    for (;;) {
        std::string_view input = stream_.input();
        if (!input.empty()) {
            const std::size_t before = input.size();
            const ReplyParser::Event event = parser_.next(input);
            stream_.consume(before - input.size());
            if (event == ReplyParser::Event::reply) {
                co_return true;
            }
            if (event == ReplyParser::Event::broken) {
                violated(stage, parser_.broken_reason());
                co_return false;
            }
            continue;
        }
        const std::int32_t received = co_await stream_.receive(deadline);
        if (received <= 0) {
            lost(stage, received);
            co_return false;
        }
    }
}

// All of out_.
rt::Task<bool> Client::send_commands(Stage stage) {
    const std::int32_t sent = co_await stream_.send(out_, deadline_of(stage));
    if (sent < 0) {
        lost(stage, sent);
    }
    co_return sent >= 0;
}

rt::Task<bool> Client::send_pieces(Stage stage) {
    const std::span<iovec> pieces = std::span(pieces_).first(piece_count_);
    const std::int32_t sent = co_await stream_.send_vector(pieces, deadline_of(stage));
    piece_count_ = piece_bytes_ = 0;
    if (sent < 0) {
        lost(stage, sent);
    }
    co_return sent >= 0;
}

// --- failures ---

void Client::lost(Stage stage, std::int32_t error) {
    usable_ = false;
    failure_.code = 0;
    failure_.status = {4, 4, 2};
    std::string& text = failure_.text;
    if (stopped_) {
        text.assign("delivery was broken off by a shutdown while ");
    } else if (stage == Stage::connect) {
        failure_.status = {4, 4, 1};
        short_of_means_ = is_ours(error, target_->address);
        text.assign("connect to ").append(target_->name).append(": ");
        char buffer[128];
        text.append(error == -ETIMEDOUT ? "Connection timed out"
                                        : ::strerror_r(-error, buffer, sizeof buffer));
        return;
    } else if (error == -ETIMEDOUT) {
        text.assign("conversation with ").append(target_->name).append(" timed out while ");
    } else {
        text.assign("lost connection with ").append(target_->name).append(" while ");
    }
    text.append(words_for(stage));
}

void Client::violated(Stage stage, std::string_view why) {
    usable_ = false;
    failure_.code = 0;
    failure_.status = {4, 5, 0};
    failure_.text.assign(target_->name).append(" broke the protocol (").append(why);
    failure_.text.append(") while ").append(words_for(stage));
}

// The server's own words end the conversation.
void Client::fail_with_reply() {
    const mail::Reply& reply = parser_.reply();
    usable_ = false;
    failure_.code = reply.code;
    failure_.status = reply.status;
    failure_.text.assign(reply.text);
}

}  // namespace smtp
