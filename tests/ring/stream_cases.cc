// What takes more than one op: order, the end of a stream, buffers that run out, closing.
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <poll.h>

#include "ring/conformance.h"

namespace ring_test {
namespace {

std::string lines(std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += "line " + std::to_string(i) + "\n";
    }
    return text;
}

// Takes the leases of all completions so far, in order, and gives them back.
std::string take_all(io::Driver& driver, io::BufferRingId ring, RecordedOp& op) {
    std::string bytes;
    for (const io::Completion& completion : op.completions) {
        if (completion.buffer >= 0) {
            const io::Lease lease(driver, ring, completion);
            bytes += base::as_text(lease.bytes());
        }
    }
    op.completions.clear();
    return bytes;
}

TEST_P(Conformance, ManyOpsInOneTurnAllComplete) {
    std::vector<RecordedOp> ops(10'000);
    for (RecordedOp& op : ops) {
        op.prepare_nop();
        bench().driver().submit(op);
    }
    EXPECT_TRUE(ops.front().completions.empty());
    std::size_t done = 0;
    bench().run_until([&] {
        while (done < ops.size() && !ops[done].completions.empty())
            ++done;
        return done == ops.size();
    });
    for (const RecordedOp& op : ops) {
        ASSERT_FALSE(op.in_flight());
        ASSERT_EQ(op.completions.size(), 1U);
        ASSERT_EQ(op.result(), 0);
    }
    EXPECT_GE(bench().driver().counters().submitted, ops.size());
    EXPECT_EQ(bench().driver().counters().submitted, bench().driver().counters().completed);
}

// What waits for nothing completes in the order of submission.
TEST_P(Conformance, NopsCompleteInOrder) {
    std::array<RecordedOp, 100> ops;
    for (RecordedOp& op : ops) {
        op.prepare_nop();
        bench().driver().submit(op);
    }
    std::size_t next = 0;
    const base::MonoTime deadline = bench().driver().now() + std::chrono::minutes(1);
    while (next < ops.size() && bench().driver().now() < deadline) {
        for (const io::Reaped& reaped : world().turn(0, deadline)) {
            ASSERT_EQ(reaped.op, &ops.at(next));
            ++next;
            reaped.op->finish(reaped.completion);
        }
    }
    EXPECT_EQ(next, ops.size());
}

struct Repeated : io::Op {
    Repeated(io::Driver& on, int times) : Op(&again), driver(on), left(times) {}
    static void again(io::Op& op, const io::Completion& completion) {
        auto& self = static_cast<Repeated&>(op);
        EXPECT_EQ(completion.result, 0);
        if (--self.left > 0) {
            self.prepare_nop();
            self.driver.submit(self);
        }
    }
    io::Driver& driver;
    int left;
};

TEST_P(Conformance, ACompletionFunctionMaySubmitItsOpAgain) {
    Repeated op(bench().driver(), 5);
    op.prepare_nop();
    bench().driver().submit(op);
    bench().run_until([&] { return !op.in_flight(); });
    EXPECT_EQ(op.left, 0);
}

TEST_P(Conformance, WaitEndsAtItsDeadline) {
    const base::MonoTime deadline = bench().driver().now() + std::chrono::milliseconds(3);
    while (bench().driver().now() < deadline) {
        EXPECT_TRUE(world().turn(0, deadline).empty());
    }
    // And one that has passed does not wait.
    EXPECT_TRUE(world().turn(0, deadline).empty());
}

TEST_P(Conformance, AReceiveAtTheEndOfTheStreamGivesZero) {
    Connection connection = bench().connect();
    bench().send(connection.client.get(), "bye");
    connection.client.reset();
    EXPECT_EQ(bench().receive(connection.server.get(), 3), "bye");
    std::array<std::byte, 8> into{};
    RecordedOp op;
    op.prepare_receive(connection.server.get(), into);
    EXPECT_EQ(bench().run(op), 0);
    EXPECT_EQ(bench().run(op), 0) << "and again";
}

TEST_P(Conformance, AMultishotReceiveEndsWithTheStream) {
    const base::Result<io::BufferRingId> ring = bench().driver().add_buffer_ring(8, 64);
    ASSERT_TRUE(ring.has_value());
    Connection connection = bench().connect();
    RecordedOp op;
    op.prepare_receive_multishot(connection.server.get(), *ring);
    bench().driver().submit(op);
    const std::string sent = lines(20);
    std::string received;
    bench().send(connection.client.get(), sent);
    bench().run_until([&] {
        received += take_all(bench().driver(), *ring, op);
        return received.size() >= sent.size() || !op.in_flight();
    });
    EXPECT_EQ(received, sent);
    ASSERT_TRUE(op.in_flight());
    connection.client.reset();
    bench().run_until([&] { return !op.in_flight(); });
    ASSERT_EQ(op.completions.size(), 1U);
    EXPECT_EQ(op.completions.back().result, 0);
    EXPECT_EQ(op.completions.back().buffer, -1);
    EXPECT_FALSE(op.completions.back().more);
}

// The end uses up no buffer, so that a thousand ended connections leave the ring as it was.
TEST_P(Conformance, TheEndOfAStreamTakesNoBuffer) {
    const base::Result<io::BufferRingId> ring = bench().driver().add_buffer_ring(2, 64);
    ASSERT_TRUE(ring.has_value());
    for (int i = 0; i < 5; ++i) {
        Connection connection = bench().connect();
        RecordedOp op;
        op.prepare_receive_multishot(connection.server.get(), *ring);
        bench().send(connection.client.get(), "one");
        connection.client.reset();
        bench().driver().submit(op);
        bench().run_until([&] { return !op.in_flight(); });
        EXPECT_EQ(op.result(), 0);
        EXPECT_EQ(take_all(bench().driver(), *ring, op), "one");
    }
}

TEST_P(Conformance, ReceivesEndWithEnobufsAndGoOnWhereTheyWere) {
    const base::Result<io::BufferRingId> ring = bench().driver().add_buffer_ring(4, 64);
    ASSERT_TRUE(ring.has_value());
    const Connection connection = bench().connect();
    const std::string sent = lines(200);
    bench().send(connection.client.get(), sent);
    std::string received;
    int exhausted = 0;
    while (received.size() < sent.size() && exhausted < 1000) {
        RecordedOp op;
        op.prepare_receive_multishot(connection.server.get(), *ring);
        bench().driver().submit(op);
        bench().run_until([&] { return !op.in_flight() || op.completions.size() >= 5; });
        if (op.in_flight()) {
            bench().end(op);
            ADD_FAILURE() << "four buffers took more than four receives";
            return;
        }
        ASSERT_EQ(op.result(), -ENOBUFS);
        EXPECT_EQ(op.completions.back().buffer, -1);
        EXPECT_FALSE(op.completions.back().more);
        EXPECT_EQ(op.completions.size(), 5U) << "all four were used first";
        ++exhausted;
        received += take_all(bench().driver(), *ring, op);
        if (sent.size() - received.size() <= std::size_t{4} * 64) {
            received += bench().receive(connection.server.get(), sent.size() - received.size());
        }
    }
    EXPECT_EQ(received, sent);
    EXPECT_GT(exhausted, 1);
}

// A buffer that is out stays as it is while others come and go.
TEST_P(Conformance, ALeasedBufferIsNotWrittenTo) {
    const base::Result<io::BufferRingId> ring = bench().driver().add_buffer_ring(2, 64);
    ASSERT_TRUE(ring.has_value());
    const Connection connection = bench().connect();
    RecordedOp op;
    op.prepare_receive_multishot(connection.server.get(), *ring);
    bench().driver().submit(op);
    bench().send(connection.client.get(), "kept");
    bench().run_until([&] { return op.completions.size() == 1; });
    io::Lease kept(bench().driver(), *ring, op.completions.front());
    op.completions.clear();
    for (int i = 0; i < 10; ++i) {
        const std::string text = "passing " + std::to_string(i);
        std::string received;
        bench().send(connection.client.get(), text);
        bench().run_until([&] {
            received += take_all(bench().driver(), *ring, op);
            return received.size() >= text.size();
        });
        EXPECT_EQ(received, text);
        EXPECT_EQ(base::as_text(kept.bytes()), "kept");
    }
    kept.reset();
    bench().end(op);
}

TEST_P(Conformance, ClosingAfterCancelEndsTheStreamForThePeer) {
    Connection connection = bench().connect();
    std::array<std::byte, 8> into{};
    RecordedOp receive;
    RecordedOp poll;
    receive.prepare_receive(connection.server.get(), into);
    poll.prepare_poll(connection.server.get(), POLLIN);
    bench().driver().submit(receive);
    bench().driver().submit(poll);
    bench().settle();
    bench().end(receive);
    bench().end(poll);
    EXPECT_EQ(receive.result(), -ECANCELED);
    EXPECT_EQ(poll.result(), -ECANCELED);
    connection.server.reset();
    EXPECT_EQ(bench().receive(connection.client.get(), 1), "");
}

// Both directions at once, each much larger than what lies between the two ends.
TEST_P(Conformance, ALargeTransferArrivesWhole) {
    const Connection connection = bench().connect();
    const std::string sent = lines(100'000);
    std::string received(sent.size(), '\0');
    std::size_t sent_size = 0;
    std::size_t received_size = 0;
    RecordedOp send;
    RecordedOp receive;
    const bool whole = bench().run_until([&] {
        if (!send.in_flight() && sent_size < sent.size()) {
            if (!send.completions.empty()) {
                EXPECT_GT(send.result(), 0);
                sent_size += static_cast<std::size_t>(send.result());
            }
            if (sent_size < sent.size()) {
                send.prepare_send(connection.client.get(),
                                  base::as_bytes(std::string_view(sent).substr(sent_size)));
                bench().driver().submit(send);
            }
        }
        if (!receive.in_flight() && received_size < received.size()) {
            if (!receive.completions.empty()) {
                EXPECT_GT(receive.result(), 0);
                received_size += static_cast<std::size_t>(receive.result());
            }
            if (received_size < received.size()) {
                receive.prepare_receive(
                    connection.server.get(),
                    std::as_writable_bytes(std::span(received).subspan(received_size)));
                bench().driver().submit(receive);
            }
        }
        return received_size == received.size();
    });
    EXPECT_TRUE(whole);
    EXPECT_TRUE(received == sent);
    bench().end(send);
}

}  // namespace
}  // namespace ring_test
