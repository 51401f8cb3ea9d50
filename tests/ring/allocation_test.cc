// After create() the driver allocates nothing. This file replaces the program's operator new by one
// that counts; ThreadSanitizer's runtime has its own and does not let it, so that build goes
// without.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RP_OPERATOR_NEW_IS_TAKEN
#endif
#endif
#ifndef RP_OPERATOR_NEW_IS_TAKEN

#include <array>
#include <atomic>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>
#include <poll.h>

#include "io/uring/uring_driver.h"
#include "ring/conformance.h"
#include "ring/uring_world.h"

namespace {

std::atomic<long> allocations = 0;

}  // namespace

// Not inlined: g++ would otherwise see that malloc's memory goes to an operator delete.
[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocations;
    void* const memory = std::malloc(size);
    if (memory == nullptr) std::abort();
    return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
    std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

namespace ring_test {
namespace {

class QuietOp : public io::Op {
  public:
    QuietOp() : Op(&keep) {}
    io::Completion last;

  private:
    static void keep(io::Op& op, const io::Completion& completion) {
        static_cast<QuietOp&>(op).last = completion;
    }
};

void turn(io::Driver& driver) {
    for (const io::Reaped& reaped : driver.wait(driver.now() + std::chrono::minutes(1))) {
        reaped.op->finish(reaped.completion);
    }
}

TEST(Allocation, NoneAfterTheStart) {
    UringWorld world({.submissions = 8, .completions = 16});
    Bench bench(world);
    io::Driver& driver = bench.driver();
    const auto ring = driver.add_buffer_ring(8, 64);
    ASSERT_TRUE(ring.has_value());
    const Connection connection = bench.connect();
    const io::OwnedHandle file = bench.file("file", "content");
    io::Driver& other = world.driver(1);
    std::array<QuietOp, 20> nops;
    QuietOp send;
    QuietOp receive;
    QuietOp write;
    QuietOp poll;
    std::array<std::byte, 32> secret{};
    receive.prepare_receive_multishot(connection.server.get(), *ring);

    const long before = allocations;
    for (int i = 0; i < 1000; ++i) {
        for (QuietOp& nop : nops) {
            nop.prepare_nop();
            driver.submit(nop);
        }
        // The queues are so short that they overflow, which ends multishot ops now and then.
        if (!receive.in_flight()) driver.submit(receive);
        send.prepare_send(connection.client.get(), base::as_bytes("hello"));
        write.prepare_write(file.get(), base::as_bytes("other"), 0);
        poll.prepare_poll(connection.client.get(), POLLIN);
        driver.submit(send);
        driver.submit(write);
        driver.submit(poll);
        driver.cancel(poll);
        driver.random(secret);
        driver.ring_doorbell(other);
        driver.wake();
        const auto socket = driver.socket(AF_INET, {});
        driver.close(*socket);
        receive.last.buffer = -1;
        while (send.in_flight() || write.in_flight() || poll.in_flight() ||
               receive.last.buffer < 0 || nops.back().in_flight()) {
            turn(driver);
        }
        driver.return_buffer(*ring, receive.last.buffer);
    }
    const long after = allocations;
    EXPECT_EQ(after, before);

    driver.cancel(receive);
    while (receive.in_flight())
        turn(driver);
    world.end(1);
    EXPECT_GT(before, 0) << "it counts";
}

}  // namespace
}  // namespace ring_test

#endif  // RP_OPERATOR_NEW_IS_TAKEN
