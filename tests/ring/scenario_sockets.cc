#include <cerrno>

#include <poll.h>
#include <sys/socket.h>

#include "ring/scenario.h"

namespace ring_test {
namespace {

using io::OpCode;

constexpr std::string_view kHello = "hello";

// Bytes of which no two runs look alike, so that a lost or moved piece shows.
std::string pattern(std::size_t size) {
    std::string bytes(size, '\0');
    std::uint32_t state = 1;
    for (char& byte : bytes) {
        state = state * 1664525 + 1013904223;
        byte = static_cast<char>(state >> 24);
    }
    return bytes;
}

class Accept : public Scenario {
  public:
    explicit Accept(Bench& on) : Scenario(on) { std::tie(listener_, address_) = on.listen(); }

    void prepare(RecordedOp& op) override {
        connect_one();
        op.prepare_accept_multishot(listener_.get());
    }
    void check(RecordedOp& op) override {
        check_last(op);
        connect_one();
        bench().run_until([&] { return op.completions.size() == 2; });
        check_last(op);
    }
    bool prepare_waiting(RecordedOp& op) override {
        op.prepare_accept_multishot(listener_.get());
        return true;
    }
    void run_error() override {
        const io::OwnedHandle socket = bench().socket();
        RecordedOp op;
        op.prepare_accept_multishot(socket.get());
        EXPECT_EQ(bench().run(op), -EINVAL) << "it does not listen";
        EXPECT_FALSE(op.completions.back().more);
    }

  private:
    void connect_one() {
        client_ = bench().socket();
        RecordedOp op;
        op.prepare_connect(client_.get(), address_);
        ASSERT_EQ(bench().run(op), 0);
    }
    void check_last(RecordedOp& op) {
        ASSERT_GE(op.result(), 0);
        EXPECT_TRUE(op.completions.back().more);
        EXPECT_EQ(op.completions.back().buffer, -1);
        const io::OwnedHandle accepted = bench().own(op.result());
        EXPECT_EQ(driver().peer_address(accepted.get()).text(),
                  driver().local_address(client_.get()).text());
        EXPECT_EQ(driver().local_address(accepted.get()).text(), address_.text());
    }

    io::OwnedHandle listener_;
    io::SocketAddress address_;
    io::OwnedHandle client_;
};

class Connect : public Scenario {
  public:
    explicit Connect(Bench& on) : Scenario(on) { std::tie(listener_, address_) = on.listen(); }

    void prepare(RecordedOp& op) override {
        socket_ = bench().socket();
        op.prepare_connect(socket_.get(), address_);
    }
    void check(RecordedOp& op) override {
        EXPECT_EQ(op.result(), 0);
        EXPECT_EQ(driver().peer_address(socket_.get()).text(), address_.text());
    }
    void run_error() override {
        listener_.reset();
        bench().settle();
        RecordedOp op;
        prepare(op);
        EXPECT_EQ(bench().run(op), -ECONNREFUSED);
    }

  private:
    io::OwnedHandle listener_;
    io::SocketAddress address_;
    io::OwnedHandle socket_;
};

class Receive : public Scenario {
  public:
    using Scenario::Scenario;

    void prepare(RecordedOp& op) override {
        connection_ = bench().connect();
        bench().send(connection_.client.get(), kHello);
        into_.assign(kHello.size(), std::byte{});
        op.prepare_receive(connection_.server.get(), into_);
    }
    void check(RecordedOp& op) override {
        ASSERT_EQ(op.result(), static_cast<std::int32_t>(kHello.size()));
        EXPECT_EQ(base::as_text(into_), kHello);
    }
    bool prepare_waiting(RecordedOp& op) override {
        connection_ = bench().connect();
        op.prepare_receive(connection_.server.get(), into_);
        return true;
    }
    void run_short() override {
        RecordedOp op;
        prepare(op);
        into_.assign(100, std::byte{});
        op.prepare_receive(connection_.server.get(), into_);
        ASSERT_EQ(bench().run(op), static_cast<std::int32_t>(kHello.size()));
        EXPECT_EQ(base::as_text(into_).substr(0, kHello.size()), kHello);
        EXPECT_EQ(into_[kHello.size()], std::byte{});
    }
    void run_error() override {
        const io::OwnedHandle socket = bench().socket();
        RecordedOp op;
        op.prepare_receive(socket.get(), into_);
        EXPECT_EQ(bench().run(op), -ENOTCONN);
    }

  private:
    Connection connection_;
    std::vector<std::byte> into_ = std::vector<std::byte>(kHello.size());
};

class ReceiveMultishot : public Scenario {
  public:
    explicit ReceiveMultishot(Bench& on) : Scenario(on) {
        const base::Result<io::BufferRingId> ring = on.driver().add_buffer_ring(8, 4096);
        EXPECT_TRUE(ring.has_value());
        ring_ = ring.value_or(0);
    }

    void prepare(RecordedOp& op) override {
        connection_ = bench().connect();
        bench().send(connection_.client.get(), kHello);
        op.prepare_receive_multishot(connection_.server.get(), ring_);
    }
    void check(RecordedOp& op) override {
        check_hello(op.completions.back());
        bench().send(connection_.client.get(), kHello);
        bench().run_until([&] { return op.completions.size() == 2; });
        check_hello(op.completions.back());
    }
    bool prepare_waiting(RecordedOp& op) override {
        connection_ = bench().connect();
        op.prepare_receive_multishot(connection_.server.get(), ring_);
        return true;
    }
    // Less than the buffer holds comes at once all the same; nothing waits for it to be full.
    void run_short() override {
        RecordedOp op;
        prepare(op);
        driver().submit(op);
        bench().run_until([&] { return !op.completions.empty(); });
        check_hello(op.completions.front());
        bench().end(op);
    }
    void run_error() override {
        const io::OwnedHandle socket = bench().socket();
        RecordedOp op;
        op.prepare_receive_multishot(socket.get(), ring_);
        EXPECT_EQ(bench().run(op), -ENOTCONN);
        EXPECT_FALSE(op.completions.back().more);
        EXPECT_EQ(op.completions.back().buffer, -1);
    }

  private:
    void check_hello(const io::Completion& completion) {
        ASSERT_EQ(completion.result, static_cast<std::int32_t>(kHello.size()));
        ASSERT_GE(completion.buffer, 0);
        EXPECT_TRUE(completion.more);
        EXPECT_EQ(driver().buffer(ring_, completion.buffer).size(), 4096U);
        const io::Lease lease(driver(), ring_, completion);
        EXPECT_EQ(base::as_text(lease.bytes()), kHello);
    }

    io::BufferRingId ring_ = 0;
    Connection connection_;
};

// send, and send_vector with the same bytes in three pieces.
class Send : public Scenario {
  public:
    Send(Bench& on, bool vector) : Scenario(on), vector_(vector) {}

    void prepare(RecordedOp& op) override {
        connection_ = bench().connect();
        bytes_ = pattern(300);
        prepare_for(op, connection_.client.get());
    }
    void check(RecordedOp& op) override {
        ASSERT_EQ(op.result(), static_cast<std::int32_t>(bytes_.size()));
        EXPECT_EQ(bench().receive(connection_.server.get(), bytes_.size()), bytes_);
    }
    // The peer reads nothing, and everything between is full.
    bool prepare_waiting(RecordedOp& op) override {
        connection_ = bench().connect();
        const std::string mebibyte = pattern(1U << 20);
        RecordedOp filler;
        while (!filler.in_flight()) {
            filler.prepare_send(connection_.client.get(), base::as_bytes(mebibyte));
            driver().submit(filler);
            bench().settle();
        }
        bench().end(filler);
        bytes_ = pattern(300);
        prepare_for(op, connection_.client.get());
        return true;
    }
    // What was sent last may still be on its way into the peer's buffer, on a busy machine for any
    // time, and leaves room here when it gets there.
    [[nodiscard]] bool waiting_is_certain() const override { return false; }
    // More than any buffers between here and the peer can hold.
    void run_short() override {
        connection_ = bench().connect();
        bytes_ = pattern(std::size_t{64} << 20);
        RecordedOp op;
        prepare_for(op, connection_.client.get());
        const std::int32_t sent = bench().run(op);
        ASSERT_GT(sent, 0);
        ASSERT_LT(sent, static_cast<std::int32_t>(bytes_.size()));
        const auto size = static_cast<std::size_t>(sent);
        EXPECT_TRUE(bench().receive(connection_.server.get(), size) == bytes_.substr(0, size));
    }
    // The process must not get a SIGPIPE for it.
    void run_error() override {
        connection_ = bench().connect();
        bytes_ = pattern(300);
        RecordedOp op;
        op.prepare_shutdown(connection_.client.get(), SHUT_WR);
        ASSERT_EQ(bench().run(op), 0);
        prepare_for(op, connection_.client.get());
        EXPECT_EQ(bench().run(op), -EPIPE);
    }

  private:
    void prepare_for(RecordedOp& op, io::Handle socket) {
        if (!vector_) {
            op.prepare_send(socket, base::as_bytes(bytes_));
            return;
        }
        const std::size_t part = bytes_.size() / 3;
        pieces_[0] = {bytes_.data(), part};
        pieces_[1] = {bytes_.data() + part, 1};
        pieces_[2] = {bytes_.data() + part + 1, bytes_.size() - part - 1};
        op.prepare_send_vector(socket, pieces_, 3);
    }

    bool vector_;
    Connection connection_;
    std::string bytes_;
    iovec pieces_[3] = {};
};

class Poll : public Scenario {
  public:
    using Scenario::Scenario;

    void prepare(RecordedOp& op) override {
        connection_ = bench().connect();
        bench().send(connection_.client.get(), kHello);
        op.prepare_poll(connection_.server.get(), POLLIN);
    }
    void check(RecordedOp& op) override {
        ASSERT_GT(op.result(), 0);
        EXPECT_NE(op.result() & POLLIN, 0);
        EXPECT_EQ(op.result() & POLLOUT, 0) << "not asked for";
        EXPECT_FALSE(op.completions.back().more);
    }
    bool prepare_waiting(RecordedOp& op) override {
        connection_ = bench().connect();
        op.prepare_poll(connection_.server.get(), POLLIN);
        return true;
    }

  private:
    Connection connection_;
};

class Shutdown : public Scenario {
  public:
    using Scenario::Scenario;

    void prepare(RecordedOp& op) override {
        connection_ = bench().connect();
        op.prepare_shutdown(connection_.client.get(), SHUT_WR);
    }
    void check(RecordedOp& op) override {
        EXPECT_EQ(op.result(), 0);
        EXPECT_EQ(bench().receive(connection_.server.get(), 1), "") << "the peer sees the end";
        // The other direction lives.
        bench().send(connection_.server.get(), kHello);
        EXPECT_EQ(bench().receive(connection_.client.get(), kHello.size()), kHello);
    }
    void run_error() override {
        const io::OwnedHandle socket = bench().socket();
        RecordedOp op;
        op.prepare_shutdown(socket.get(), SHUT_WR);
        EXPECT_EQ(bench().run(op), -ENOTCONN);
    }

  private:
    Connection connection_;
};

}  // namespace

std::unique_ptr<Scenario> make_socket_scenario(OpCode code, Bench& bench) {
    switch (code) {
        case OpCode::accept_multishot:
            return std::make_unique<Accept>(bench);
        case OpCode::connect:
            return std::make_unique<Connect>(bench);
        case OpCode::receive:
            return std::make_unique<Receive>(bench);
        case OpCode::receive_multishot:
            return std::make_unique<ReceiveMultishot>(bench);
        case OpCode::send:
            return std::make_unique<Send>(bench, false);
        case OpCode::send_vector:
            return std::make_unique<Send>(bench, true);
        case OpCode::poll:
            return std::make_unique<Poll>(bench);
        case OpCode::shutdown:
            return std::make_unique<Shutdown>(bench);
        default:
            return nullptr;
    }
}

}  // namespace ring_test
