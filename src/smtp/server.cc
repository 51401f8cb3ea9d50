#include "smtp/server.h"

#include <cstring>
#include <utility>

#include "base/assert.h"

namespace smtp {

Server::Server(const SessionServices& services, std::uint32_t sessions_max)
    : services_(services),
      shard_(services.net.shard()),
      sessions_max_(sessions_max),
      scope_(shard_, "smtp sessions"),
      patience_(*this, &Server::patience_over) {}

Server::~Server() {
    RP_ASSERT(active_.empty() && active_refusals_.empty());
    while (!free_.empty()) {
        free_.pop_front();
    }
    while (!free_refusals_.empty()) {
        free_refusals_.pop_front();
    }
}

base::Result<io::SocketAddress> Server::listen(const io::SocketAddress& address,
                                               const SessionConfig& config) {
    const auto number = static_cast<std::uint32_t>(listeners_.size());
    net::Accepting& taker = *this;
    auto listening = std::make_unique<Listening>(shard_, taker, number, config);
    const base::Status opened = listening->listener.open(address);
    if (!opened) {
        return base::fail(opened.error().number(), opened.error().text());
    }
    listeners_.push_back(std::move(listening));
    return listeners_.back()->listener.address();
}

void Server::accept() {
    for (const auto& listening : listeners_) {
        listening->listener.accept();
    }
}

void Server::accepted(net::Listener& listener, io::Handle socket) {
    ++connections_;
    const SessionConfig& config = listeners_[listener.number()]->config;
    if (free_.empty() && sessions_.size() >= sessions_max_) {
        refuse(socket, config);
        return;
    }
    if (free_.empty()) {
        SessionOwner& owner = *this;
        sessions_.push_back(std::make_unique<Session>(services_, owner));
        free_.push_back(*sessions_.back());
    }
    Session& session = free_.pop_front();
    active_.push_back(session);
    ++active_count_;
    session.start(socket, config);
    scope_.spawn(session.run());
}

void Server::ended(Session& session) {
    session.unlink();
    --active_count_;
    if (sessions_.size() - active_count_ > kWarmSessions) {
        session.shrink();
        free_.push_back(session);
    } else {
        free_.push_front(session);
    }
}

void Server::accept_failed(net::Listener& listener, int error) {
    services_.log.notice(mail::Severity::warning,
                         "cannot accept connections on " + listener.address().text() + ": " +
                             std::strerror(error) +
                             "; trying again in a second. Raise the limit of open files if this "
                             "goes on");
}

// Whoever makes many connections must not make as many lines.
void Server::tell_refusals() {
    ++untold_refusals_;
    if (shard_.now() < next_refusal_notice_) {
        return;
    }
    next_refusal_notice_ = shard_.now() + kRefusalNoticePause;
    const std::uint64_t count = std::exchange(untold_refusals_, 0);
    services_.log.notice(
        mail::Severity::warning,
        std::to_string(count) + (count == 1 ? " connection was" : " connections were") +
            " refused with 421: all " + std::to_string(sessions_max_) +
            " sessions of this shard are in use. Raise limits.sessions if that is too few");
}

void Server::refuse(io::Handle socket, const SessionConfig& config) {
    tell_refusals();
    if (free_refusals_.empty() && refusals_.size() < kRefusalsMax) {
        refusals_.push_back(std::make_unique<Refusal>(services_.net));
        free_refusals_.push_back(*refusals_.back());
    }
    if (free_refusals_.empty()) {
        shard_.driver().close(socket);
        return;
    }
    Refusal& refusal = free_refusals_.pop_front();
    active_refusals_.push_back(refusal);
    refusal.stream.attach(socket);
    refusal.text.assign("421 ").append(config.hostname).append(" Too many connections\r\n");
    scope_.spawn(run_refusal(refusal));
}

rt::Task<void> Server::run_refusal(Refusal& refusal) {
    const base::MonoTime deadline = shard_.now() + kRefusalPatience;
    static_cast<void>(co_await refusal.stream.send(refusal.text, deadline));
    co_await net::close_gently(refusal.stream, kRefusalBytesMax, deadline);
    refusal.unlink();
    free_refusals_.push_front(refusal);
}

rt::Task<void> Server::stop(base::Duration patience) {
    for (const auto& listening : listeners_) {
        co_await listening->listener.stop();
    }
    for (Session* one = active_.empty() ? nullptr : &active_.front(); one != nullptr;
         one = active_.after(*one)) {
        one->stop();
    }
    shard_.session_timers().set(patience_, shard_.now() + patience);
    co_await scope_.join();
    patience_.cancel();
}

void Server::patience_over(rt::Timer& timer) {
    static_cast<Patience&>(timer).server().abort();
}

void Server::abort() {
    for (Session* one = active_.empty() ? nullptr : &active_.front(); one != nullptr;
         one = active_.after(*one)) {
        one->abort();
    }
    for (Refusal* one = active_refusals_.empty() ? nullptr : &active_refusals_.front();
         one != nullptr; one = active_refusals_.after(*one)) {
        one->stream.abort();
    }
}

}  // namespace smtp
