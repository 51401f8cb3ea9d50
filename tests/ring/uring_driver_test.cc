// What only the production driver has: queues that fill up, descriptors, signals, threads.
#include "io/uring/uring_driver.h"

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "ring/conformance.h"
#include "ring/uring_world.h"

namespace ring_test {
namespace {

class UringDriver : public testing::Test {
  protected:
    // Small enough that everything overflows.
    void use(const io::UringOptions& options) {
        bench_.reset();
        world_ = std::make_unique<UringWorld>(options);
        bench_ = std::make_unique<Bench>(*world_);
    }
    Bench& bench() {
        if (!bench_) use({});
        return *bench_;
    }
    io::Driver& driver() { return bench().driver(); }
    World& world() { return *world_; }

  private:
    std::unique_ptr<UringWorld> world_;
    std::unique_ptr<Bench> bench_;
};

// Made for a test, and gone with it; its path is short enough for a socket in it.
class ShortFolder {
  public:
    ShortFolder() { RP_ASSERT(::mkdtemp(path_.data()) != nullptr); }
    ShortFolder(const ShortFolder&) = delete;
    ShortFolder& operator=(const ShortFolder&) = delete;
    ~ShortFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::string& path() const { return path_; }

  private:
    std::string path_ = "/tmp/ringpost-XXXXXX";
};

int open_descriptors() {
    int count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
        ++count;
    return count;
}

int option(io::Handle socket, int level, int name) {
    int value = -1;
    socklen_t size = sizeof value;
    EXPECT_EQ(::getsockopt(socket, level, name, &value, &size), 0);
    return value;
}

TEST_F(UringDriver, FullQueuesLoseNothingAndKeepTheOrder) {
    use({.submissions = 4, .completions = 8, .reaped_max = 5});
    std::vector<RecordedOp> ops(3000);
    for (RecordedOp& op : ops) {
        op.prepare_nop();
        driver().submit(op);
    }
    std::size_t next = 0;
    while (next < ops.size()) {
        const auto reaped = driver().wait(driver().now() + std::chrono::minutes(1));
        ASSERT_FALSE(reaped.empty());
        ASSERT_LE(reaped.size(), 5U);
        for (const io::Reaped& one : reaped) {
            ASSERT_EQ(one.op, &ops[next++]);
            one.op->finish(one.completion);
        }
    }
}

// A full completion queue ends the poll behind wake(), as it ends every multishot op.
TEST_F(UringDriver, WakesAreHeardAfterAnOverflow) {
    use({.submissions = 4, .completions = 8});
    for (int i = 0; i < 20; ++i) {
        std::vector<RecordedOp> ops(100);
        for (RecordedOp& op : ops) {
            op.prepare_nop();
            driver().submit(op);
        }
        driver().wake();
        bench().run_until([&] { return !ops.back().in_flight(); });
        bench().settle();
        driver().wake();
        const base::MonoTime bound = driver().now() + std::chrono::minutes(1);
        EXPECT_TRUE(driver().wait(bound).empty());
        ASSERT_LT(driver().now(), bound);
    }
}

// The kernel takes a msghdr when it takes the entry, so each place of the queue has one.
// The first bell left when the queue was full, in the middle of the turn; the other has slept
// since.
TEST_F(UringDriver, ADoorbellIsRungAgainBehindAFullQueue) {
    use({.submissions = 4});
    io::Driver& other = world().driver(1);
    EXPECT_TRUE(world().turn(1, other.now()).empty());
    std::vector<RecordedOp> ops(10);
    driver().ring_doorbell(other);
    for (RecordedOp& op : ops) {
        op.prepare_nop();
        driver().submit(op);
    }
    for (int bell = 0; bell < 2; ++bell) {
        const base::MonoTime bound = other.now() + std::chrono::seconds(30);
        EXPECT_TRUE(world().turn(1, bound).empty());
        EXPECT_LT(other.now(), bound);
        driver().ring_doorbell(other);
        bench().turn(base::Duration::zero());
    }
    bench().settle();
    world().end(1);
}

TEST_F(UringDriver, VectorSendsBeyondTheQueueEachSendTheirOwn) {
    use({.submissions = 4, .completions = 8});
    constexpr std::size_t kSends = 50;
    const Connection connection = bench().connect();
    std::vector<std::string> texts;
    std::vector<iovec> pieces(kSends);
    std::vector<RecordedOp> ops(kSends);
    std::string all;
    for (std::size_t i = 0; i < kSends; ++i) {
        texts.push_back("message " + std::to_string(i) + ";");
        all += texts.back();
    }
    for (std::size_t i = 0; i < kSends; ++i) {
        pieces[i] = {texts[i].data(), texts[i].size()};
        ops[i].prepare_send_vector(connection.client.get(), &pieces[i], 1);
        driver().submit(ops[i]);
    }
    bench().run_until([&] { return !ops.back().in_flight(); });
    EXPECT_EQ(bench().receive(connection.server.get(), all.size()), all);
}

TEST_F(UringDriver, SocketsHaveTheirOptions) {
    const auto [listener, address] = bench().listen();
    const Connection connection = bench().connect();
    for (const io::Handle socket :
         {listener.get(), connection.client.get(), connection.server.get()}) {
        EXPECT_NE(option(socket, IPPROTO_TCP, TCP_NODELAY), 0);
        EXPECT_EQ(::fcntl(socket, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    }
    const io::OwnedHandle file = bench().file("file", "");
    EXPECT_EQ(::fcntl(file.get(), F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}

TEST_F(UringDriver, LeavesNoDescriptorBehind) {
    const int before = open_descriptors();
    {
        UringWorld world;
        Bench on(world);
        const Connection connection = on.connect();
        static_cast<void>(on.file("file", "content"));
        static_cast<void>(on.driver().list_directory(on.directory()));
        // Closed, but the kernel is not told before the end.
    }
    EXPECT_EQ(open_descriptors(), before);
}

TEST_F(UringDriver, AClosedDescriptorIsFreeAfterTheTurn) {
    io::OwnedHandle socket = bench().socket();
    const int descriptor = socket.get();
    socket.reset();
    bench().turn(base::Duration::zero());
    EXPECT_EQ(::fcntl(descriptor, F_GETFD), -1);
}

TEST_F(UringDriver, AcceptEndsWhenDescriptorsRunOutAndCanBeRenewed) {
    const auto [listener, address] = bench().listen();
    const io::OwnedHandle client = bench().socket();
    RecordedOp connect;
    connect.prepare_connect(client.get(), address);
    ASSERT_EQ(bench().run(connect), 0);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    rlimit none = before;
    none.rlim_cur = 0;
    RecordedOp accept;
    accept.prepare_accept_multishot(listener.get());
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    const std::int32_t refused = bench().run(accept);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(refused, -EMFILE);
    EXPECT_FALSE(accept.completions.back().more);
    driver().submit(accept);
    bench().run_until([&] { return accept.completions.size() == 2; });
    const io::OwnedHandle server = bench().own(accept.result());
    EXPECT_TRUE(server);
    bench().end(accept);
}

TEST_F(UringDriver, WakesFromManyThreadsAreNotLost) {
    io::Driver& woken = driver();
    constexpr int kThreads = 3;
    constexpr int kWakes = 2000;
    std::atomic<int> told = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            for (int j = 0; j < kWakes; ++j) {
                const int before = told.fetch_add(1);
                woken.wake();
                // Every so often it lets the other side catch up, so that it sleeps in between.
                if (before % 16 == 0) std::this_thread::yield();
            }
        });
    }
    bool overslept = false;
    while (told.load() < kThreads * kWakes && !overslept) {
        const base::MonoTime bound = woken.now() + std::chrono::minutes(1);
        EXPECT_TRUE(world().turn(0, bound).empty());
        overslept = woken.now() >= bound;
    }
    EXPECT_FALSE(overslept);
    for (std::thread& thread : threads)
        thread.join();
}

TEST_F(UringDriver, UnixSocketsWork) {
    // The build folder's path may be longer than a socket's may be.
    const ShortFolder folder;
    const std::string path = folder.path() + "/socket";
    const auto address = io::SocketAddress::parse("unix:" + path);
    ASSERT_TRUE(address.has_value()) << address.error().describe();
    const auto listener = driver().listen(*address, {});
    ASSERT_TRUE(listener.has_value()) << listener.error().describe();
    const io::OwnedHandle owned = bench().own(*listener);
    const auto second = driver().listen(*address, {});
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().number(), EADDRINUSE);
    const auto client = driver().socket(AF_UNIX, {});
    ASSERT_TRUE(client.has_value());
    const io::OwnedHandle owned_client = bench().own(*client);
    RecordedOp accept;
    RecordedOp connect;
    accept.prepare_accept_multishot(*listener);
    connect.prepare_connect(*client, *address);
    driver().submit(accept);
    EXPECT_EQ(bench().run(connect), 0);
    bench().run_until([&] { return !accept.completions.empty(); });
    const io::OwnedHandle server = bench().own(accept.result());
    EXPECT_EQ(driver().local_address(server.get()).text(), "unix:" + path);
    EXPECT_EQ(driver().peer_address(server.get()).text(), "unix:");
    bench().send(*client, "hello");
    EXPECT_EQ(bench().receive(server.get(), 5), "hello");
    bench().end(accept);
}

// The peer closes with something unread.
TEST_F(UringDriver, AResetIsAnErrorOfTheReceive) {
    Connection connection = bench().connect();
    bench().send(connection.client.get(), "never read");
    std::array<std::byte, 8> into{};
    RecordedOp receive;
    receive.prepare_receive(connection.client.get(), into);
    driver().submit(receive);
    bench().settle();
    connection.server.reset();
    bench().run_until([&] { return !receive.in_flight(); });
    EXPECT_EQ(receive.result(), -ECONNRESET);
}

int worker_threads() {
    int count = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
        std::string name;
        std::ifstream(task.path() / "comm") >> name;
        count += name.starts_with("iou-wrk") ? 1 : 0;
    }
    return count;
}

// Opening a FIFO blocks until it has a writer (with `create`, which the kernel always leaves to a
// worker). A few of these block the workers there may be, the others wait, and all can be
// cancelled.
TEST_F(UringDriver, BlockedWorkIsLimitedAndCanBeCancelled) {
    use({.workers_of_files = 3, .workers_of_sockets = 2});
    const std::string path = bench().world().directory() + "/fifo";
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    std::vector<RecordedOp> ops(20);
    for (RecordedOp& op : ops) {
        op.prepare_open(io::kNoHandle, path.c_str(), {.create = true});
        driver().submit(op);
    }
    bench().settle();
    // One worker wakes the next when it blocks; the rest of the ops must have to wait.
    while (worker_threads() < 3)
        bench().settle();
    bench().settle();
    EXPECT_EQ(worker_threads(), 3);
    for (RecordedOp& op : ops) {
        EXPECT_TRUE(op.in_flight());
        driver().cancel(op);
    }
    for (RecordedOp& op : ops) {
        bench().run_until([&] { return !op.in_flight(); });
        EXPECT_EQ(op.result(), -ECANCELED);
        EXPECT_EQ(op.completions.size(), 1U);
    }
}

volatile std::sig_atomic_t alarms = 0;

TEST_F(UringDriver, SignalsOnlyEndAWaitEarly) {
    struct sigaction action{};
    struct sigaction before{};
    action.sa_handler = [](int) { alarms = alarms + 1; };
    ASSERT_EQ(::sigaction(SIGALRM, &action, &before), 0);
    const Connection connection = bench().connect();
    std::array<std::byte, 8> into{};
    RecordedOp receive;
    receive.prepare_receive(connection.server.get(), into);
    driver().submit(receive);
    const itimerval every_ms{{0, 1000}, {0, 1000}};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &every_ms, nullptr), 0);
    bench().run_until([] { return alarms >= 5; });
    const itimerval off{};
    ASSERT_EQ(::setitimer(ITIMER_REAL, &off, nullptr), 0);
    EXPECT_TRUE(receive.in_flight()) << receive.result();
    bench().send(connection.client.get(), "still");
    bench().run_until([&] { return !receive.in_flight(); });
    EXPECT_EQ(receive.result(), 5);
    ::sigaction(SIGALRM, &before, nullptr);
}

// As the program does it: made by the main thread, used by the shard's, gone with the main one's.
TEST_F(UringDriver, BelongsToTheThreadThatWaitsFirst) {
    UringWorld world;
    io::Driver& made_here = world.driver(0);
    const auto ring = made_here.add_buffer_ring(8, 64);
    ASSERT_TRUE(ring.has_value());
    std::thread shard([&] {
        Bench on(world);
        const Connection connection = on.connect();
        on.send(connection.client.get(), "hello");
        RecordedOp receive;
        receive.prepare_receive_multishot(connection.server.get(), *ring);
        on.driver().submit(receive);
        on.run_until([&] { return !receive.completions.empty(); });
        EXPECT_EQ(receive.result(), 5);
        on.driver().return_buffer(*ring, receive.completions.front().buffer);
        on.end(receive);
    });
    shard.join();
    world.end(0);
}

using UringDriverDeathTest = UringDriver;

TEST_F(UringDriverDeathTest, ASecondThreadIsAPanic) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            static_cast<void>(driver().wait(driver().now()));
            std::thread([&] { static_cast<void>(driver().wait(driver().now())); }).join();
        },
        "panic: .*thread_");
}

TEST_F(UringDriverDeathTest, AnOpInFlightAtTheEndIsAPanic) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            auto* op = new RecordedOp;
            op->prepare_nop();
            UringWorld world;
            world.driver(0).submit(*op);
            world.end(0);
        },
        "panic: .*in_flight_ == 0");
}

TEST_F(UringDriverDeathTest, ClosingWhatIsNotOpenIsAPanic) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            driver().close(987654);
            bench().settle();
        },
        "panic: .*EBADF");
}

TEST_F(UringDriverDeathTest, ABufferComesBackOnce) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(
        {
            const auto ring = driver().add_buffer_ring(4, 64);
            driver().return_buffer(*ring, 0);
        },
        "panic: .*out_");
}

TEST_F(UringDriverDeathTest, FatalEndsTheProcessWithOneLine) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(driver().fatal("the disk failed"), testing::ExitedWithCode(75),
                "^ringpost: fatal: the disk failed\n$");
    EXPECT_EXIT(driver().fatal(std::string(5000, 'x')), testing::ExitedWithCode(75),
                "^ringpost: fatal: xxx");
}

}  // namespace
}  // namespace ring_test
