#include "session_world.h"

#include <gtest/gtest.h>

#include "base/assert.h"

namespace smtp_test {

constexpr std::string_view kAddress = "10.0.0.1:25";

class RecordingSink::Message final : public mail::IncomingMessage, public rt::Timer {
  public:
    explicit Message(RecordingSink& sink)
        : rt::Timer(&Message::fired), sink_(sink), id_(1, 1, sink.begun) {
        ++sink.open;
    }
    ~Message() override {
        RP_ASSERT(waiter_ == nullptr);
        --sink_.open;
    }

    mail::QueueId id() const override { return id_; }

    mail::SinkState append(std::string_view run, base::Waiter& waiter) override {
        RP_ASSERT(waiter_ == nullptr && !run.empty());
        kept_.content.append(run);
        if (sink_.append_state != mail::SinkState::ready &&
            kept_.content.size() >= sink_.append_ready_bytes) {
            state_ = sink_.append_state;
        }
        if (sink_.append_waits) {
            wake_later(waiter);
            return mail::SinkState::wait;
        }
        return state_;
    }

    void commit(const mail::Envelope& envelope, const mail::ContentFacts& facts,
                std::string_view added_headers, base::Waiter& waiter) override {
        RP_ASSERT(waiter_ == nullptr && state_ == mail::SinkState::ready);
        state_ = sink_.commit_state;
        if (state_ == mail::SinkState::ready) {
            kept_.reverse_path = envelope.reverse_path();
            for (std::size_t i = 0; i < envelope.recipient_count(); ++i) {
                kept_.recipients.emplace_back(envelope.recipient(i));
            }
            kept_.parameters = envelope.parameters;
            kept_.facts = facts;
            kept_.added_headers = added_headers;
            sink_.messages.push_back(kept_);
        }
        wake_later(waiter);
    }
    mail::SinkState state() const override { return state_; }

  private:
    void release() override { delete this; }
    void wake_later(base::Waiter& waiter) {
        waiter_ = &waiter;
        sink_.shard_.session_timers().set(*this, sink_.shard_.now() + sink_.delay);
    }
    static void fired(rt::Timer& timer) {
        std::exchange(static_cast<Message&>(timer).waiter_, nullptr)->wake();
    }

    RecordingSink& sink_;
    mail::QueueId id_;
    KeptMessage kept_;
    mail::SinkState state_ = mail::SinkState::ready;
    base::Waiter* waiter_ = nullptr;
};

mail::IncomingMessageHandle RecordingSink::begin(const mail::Origin& origin) {
    if (!takes_more) {
        return nullptr;
    }
    ++begun;
    last_origin.assign(origin.client_address).append(" ").append(origin.helo);
    last_origin.append(" ").append(origin.protocol);
    return mail::IncomingMessageHandle(new Message(*this));
}

void RecordingLog::reception(const mail::ReceptionEvent& event) {
    static constexpr const char* kStatus[] = {"accepted", "refused", "lost"};
    std::string line = kStatus[static_cast<std::size_t>(event.status)];
    line.append(" from=<").append(event.from).append("> to=<").append(event.to).append("> ");
    line.append(std::to_string(event.recipients)).append(" ");
    line.append(std::to_string(event.code)).append(" ");
    mail::append_status(line, event.dsn);
    line.append(" ").append(event.reply);
    if (event.bare_line_ends > 0) {
        line.append(", bare line ends: ").append(std::to_string(event.bare_line_ends));
    }
    receptions.push_back(line);
}

SessionWorld::SessionWorld(const WorldOptions& options)
    : world(options.seed,
            [&options] {
                sim::Options sim;
                sim.faults = options.faults;
                sim.handles_max = options.handles_max;
                return sim;
            }()),
      host(world.add_host("relay")),
      driver(host.add_driver()),
      shard(std::make_unique<rt::Shard>(0, driver)),
      sessions_max_(options.sessions_max) {
    net = std::move(*net::ShardNet::create(
        *shard, {.buffers = options.buffers, .buffer_bytes = options.buffer_bytes}));
    sink = std::make_unique<RecordingSink>(*shard);
    config.hostname = "relay.example.test";
    config.relay_networks.add(*net::Network::parse("10.0.0.0/8"));
    policy::DomainSet domains;
    domains.add("dst.test");
    access = std::make_unique<policy::Access>(config.hostname, std::move(domains));
    scope_ = std::make_unique<rt::Scope>(*shard, "test");
}

void SessionWorld::start() {
    const smtp::SessionServices services{*net, *sink, log, *access};
    server = std::make_unique<smtp::Server>(services, sessions_max_);
    const auto bound = server->listen(*io::SocketAddress::parse(kAddress), config);
    RP_ASSERT(bound.has_value());
    server->accept();
    driver.set_turn([this] { shard->turn(); });
    started_ = true;
}

rt::Task<void> SessionWorld::run_stop(base::Duration patience) {
    co_await server->stop(patience);
    stopped_ = true;
}

void SessionWorld::begin_stop(base::Duration patience) {
    stopping_ = true;
    scope_->spawn(run_stop(patience));
    driver.wake();
}

void SessionWorld::stop(base::Duration patience) {
    if (!started_) {
        return;
    }
    started_ = false;
    if (!stopping_) {
        begin_stop(patience);
    }
    EXPECT_TRUE(world.run_until([this] { return stopped_; }, std::chrono::hours(1)));
    EXPECT_EQ(server->sessions(), 0U);
    EXPECT_EQ(sink->open, 0U);
    EXPECT_EQ(net->leased(), 0U);
    EXPECT_EQ(driver.leases_out(), 0U);
    EXPECT_EQ(host.operations_in_flight(), 0U);
    EXPECT_EQ(host.open_handles(), 0U);
    server.reset();
}

SessionWorld::~SessionWorld() {
    stop();
}

Client::Client(SessionWorld& world, std::string_view source) : world_(world), peer_(world.world) {
    static unsigned port = 0;
    const std::string from = std::string(source.substr(0, source.rfind(':') + 1)) +
                             std::to_string(10000 + ++port % 50000);
    peer_.on_bytes = [this](sim::Connection&, std::string_view bytes) { received_ += bytes; };
    peer_.on_close = [this](sim::Connection&, int error) {
        ended_ = true;
        error_ = error;
    };
    id_ = peer_.connect(kAddress, from).id();
}

void Client::send(std::string_view bytes) {
    if (sim::Connection* const one = connection(); one != nullptr) {
        one->send(bytes);
    }
}

std::string Client::take(std::size_t bytes, base::Duration longest) {
    world_.world.run_until([&] { return received_.size() >= bytes || ended_; }, longest);
    greeted_ = true;
    std::string taken = received_.substr(0, bytes);
    received_.erase(0, taken.size());
    return taken;
}

std::string Client::reply() {
    std::size_t size = 0;
    const auto whole = [&] {
        for (std::size_t begin = 0;;) {
            const std::size_t end = received_.find("\r\n", begin);
            if (end == std::string::npos) {
                return ended_;
            }
            size = end + 2;
            if (end < begin + 4 || received_[begin + 3] != '-') {
                return true;
            }
            begin = size;
        }
    };
    world_.world.run_until(whole, std::chrono::minutes(20));
    return take(size);
}

std::string Client::ask(std::string_view line) {
    send(std::string(line) + "\r\n");
    return reply();
}

std::string Client::rest() {
    std::size_t before;
    do {
        before = received_.size();
        world_.world.run_for(std::chrono::seconds(1));
    } while (received_.size() != before);
    return take(before);
}

void Client::hello() {
    if (!greeted_) {
        static_cast<void>(reply());
    }
    static_cast<void>(ask("EHLO client.test"));
}

bool Client::ends(base::Duration longest) {
    return world_.world.run_until([this] { return ended_; }, longest);
}

void Client::finish() {
    if (sim::Connection* const one = connection(); one != nullptr) {
        one->finish();
    }
}

void Client::reset() {
    if (sim::Connection* const one = connection(); one != nullptr) {
        one->reset();
        ended_ = true;
    }
}

void Client::pause() {
    if (sim::Connection* const one = connection(); one != nullptr) {
        one->pause();
    }
}

}  // namespace smtp_test
