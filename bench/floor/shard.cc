#include "shard.h"

#include <cerrno>
#include <utility>

#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>

namespace bench {
namespace {

constexpr int kBacklog = 4096;

}  // namespace

Shard::Shard(const Options& options) : options_(options), log_(ring_, *this, options_.log.c_str()) {
    for (std::size_t i = 0; i < options_.deliveries; ++i) {
        deliveries_.push_back(std::make_unique<Delivery>(*this));
        free_deliveries_.push_back(deliveries_.back().get());
    }
}

void Shard::run() {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(options_.core), &set);
    ::sched_setaffinity(0, sizeof set, &set);
    listen();
    accept();
    for (;;) {
        const std::int64_t wait_ns = log_.end_of_turn(in_content_);
        ring_.turn(wait_ns);
    }
}

void Shard::listen() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    if (listener_ < 0 || ::setsockopt(listener_, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0 ||
        ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        ::bind(listener_, reinterpret_cast<const sockaddr*>(&options_.address),
               sizeof options_.address) != 0 ||
        ::listen(listener_, kBacklog) != 0) {
        die("listening", errno);
    }
}

void Shard::accept() {
    io_uring_prep_multishot_accept(&ring_.entry(&acceptor_), listener_, nullptr, nullptr,
                                   SOCK_CLOEXEC);
}

void Shard::Acceptor::done(const io_uring_cqe& cqe) {
    if (cqe.res >= 0) {
        shard_.accepted(cqe.res);
    }
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) {
        shard_.accept();
    }
}

void Shard::accepted(int socket) {
    if (free_sessions_.empty()) {
        sessions_.push_back(std::make_unique<Session>(*this));
        free_sessions_.push_back(sessions_.back().get());
    }
    Session* const session = free_sessions_.back();
    free_sessions_.pop_back();
    session->start(socket);
}

void Shard::content_ends(Message& message) {
    --in_content_;
    log_.commit(message);
}

void Shard::durable(Message& message) {
    std::exchange(message.session, nullptr)->durable();
    ready_.push_back(&message);
    pump();
}

void Shard::delivered(Delivery& delivery, Message& message) {
    // MAIL and DATA are answered, too.
    log_.outcomes(message.replies - 2);
    messages_.give_back(&message);
    free_deliveries_.push_back(&delivery);
    pump();
}

void Shard::pump() {
    while (!ready_.empty() && !free_deliveries_.empty()) {
        Delivery* const delivery = free_deliveries_.back();
        free_deliveries_.pop_back();
        Message* const message = ready_.front();
        ready_.pop_front();
        delivery->deliver(*message);
    }
}

}  // namespace bench
