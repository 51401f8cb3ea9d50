#include "delivery.h"

#include <cerrno>
#include <string_view>
#include <utility>

#include <netinet/tcp.h>
#include <sys/socket.h>

#include "shard.h"

namespace bench {

Delivery::Delivery(Shard& shard) : Connection(shard.ring()), shard_(shard) {}

void Delivery::deliver(Message& message) {
    message_ = &message;
    if (stage_ == Stage::idle) {
        send_envelope();
        return;
    }
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (socket_ < 0 || ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) {
        die("socket", errno);
    }
    stage_ = Stage::connecting;
    io_uring_prep_connect(&shard_.ring().entry(&connector_), socket_,
                          reinterpret_cast<const sockaddr*>(&shard_.next_hop()),
                          sizeof(sockaddr_in));
}

void Delivery::connected(int result) {
    if (result < 0) die("connecting to the sink", -result);
    stage_ = Stage::banner;
    open(socket_);
}

void Delivery::send_envelope() {
    stage_ = Stage::envelope;
    replies_left_ = message_->replies;
    say(message_->envelope);
    flush();
}

void Delivery::send_content() {
    stage_ = Stage::content;
    pieces_.clear();
    for (std::size_t i = 0; i < message_->chunks.size(); ++i) {
        pieces_.push_back({message_->chunks[i], message_->size_of(i)});
    }
    send(pieces_);
}

std::size_t Delivery::take(std::span<const char> input) {
    std::size_t used = 0;
    const std::string_view reply = line(input, used);
    if (reply.size() > 3 && reply[3] != '-') {
        replied(reply.front());
    }
    return used;
}

void Delivery::replied(char klass) {
    if (klass != '2' && klass != '3') die("the sink refused", EPROTO);
    switch (stage_) {
        case Stage::banner:
            stage_ = Stage::ehlo;
            say("EHLO floor.test\r\n");
            flush();
            break;
        case Stage::ehlo:
            send_envelope();
            break;
        case Stage::envelope:
            if (--replies_left_ == 0) send_content();
            break;
        case Stage::content:
            stage_ = Stage::idle;
            shard_.delivered(*this, *std::exchange(message_, nullptr));
            break;
        default:
            die("the sink spoke unasked", EPROTO);
    }
}

// The sink leaves connections that rested; any other end would be a loss.
void Delivery::ended() {
    if (message_ != nullptr) die("the sink closed a connection in use", EPIPE);
    stage_ = Stage::closed;
}

}  // namespace bench
