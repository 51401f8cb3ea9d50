#include "session.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "shard.h"

namespace bench {
namespace {

constexpr std::string_view kFinalDot = "\r\n.\r\n";
constexpr std::size_t kTail = kFinalDot.size() - 1;

}  // namespace

Session::Session(Shard& shard) : Connection(shard.ring()), shard_(shard) {}

void Session::start(int socket) {
    in_content_ = waits_ = left_ = false;
    open(socket);
    say("220 floor ESMTP\r\n");
    flush();
}

std::size_t Session::take(std::span<const char> input) {
    return in_content_ ? take_content(input) : take_command(input);
}

std::size_t Session::take_command(std::span<const char> input) {
    std::size_t used = 0;
    const std::string_view command = line(input, used);
    if (command.empty()) {
        return used;
    }
    switch (command.front() | 0x20) {
        case 'm':
            if (message_ == nullptr) message_ = shard_.messages().take();
            message_->envelope.clear();
            message_->replies = 0;
            [[fallthrough]];
        case 'r':
            if (message_ != nullptr) {
                message_->envelope += command;
                ++message_->replies;
            }
            say("250 2.0.0 Ok\r\n");
            break;
        case 'd':
            if (message_ != nullptr) begin_content();
            say("354 End data with <CR><LF>.<CR><LF>\r\n");
            break;
        case 'q':
            say("221 2.0.0 Bye\r\n");
            break;
        default:
            say("250 floor\r\n");
    }
    return used;
}

void Session::begin_content() {
    message_->envelope += "DATA\r\n";
    ++message_->replies;
    in_content_ = true;
    std::memcpy(tail_, "XX\r\n", kTail);  // a dot may come at once
    shard_.content_begins();
}

// Up to the final dot, wherever the buffers part.
std::size_t Session::take_content(std::span<const char> input) {
    std::size_t size = input.size();
    bool over = false;
    char edge[2 * kTail];
    const std::size_t head = std::min(kTail, input.size());
    std::memcpy(edge, tail_, kTail);
    std::memcpy(edge + kTail, input.data(), head);
    const std::size_t at = std::string_view(edge, kTail + head).find(kFinalDot);
    if (at != std::string_view::npos) {
        size = at + kFinalDot.size() - kTail;
        over = true;
    } else if (const void* const dot =
                   ::memmem(input.data(), input.size(), kFinalDot.data(), kFinalDot.size())) {
        size = static_cast<std::size_t>(static_cast<const char*>(dot) - input.data()) +
               kFinalDot.size();
        over = true;
    }
    message_->append(shard_.messages().chunks(), input.first(size));
    if (!over) {
        std::memmove(tail_, edge + head, kTail);
        if (input.size() >= kTail) std::memcpy(tail_, input.data() + input.size() - kTail, kTail);
        return size;
    }
    in_content_ = false;
    waits_ = true;
    message_->session = this;
    shard_.content_ends(*std::exchange(message_, nullptr));
    return size;
}

void Session::durable() {
    waits_ = false;
    if (left_) {
        shard_.session_over(*this);
        return;
    }
    say("250 2.0.0 Ok\r\n");
    flush();
}

void Session::ended() {
    if (in_content_) shard_.content_breaks_off();
    in_content_ = false;
    if (message_ != nullptr) shard_.messages().give_back(std::exchange(message_, nullptr));
    left_ = true;
    if (!waits_) shard_.session_over(*this);
}

}  // namespace bench
