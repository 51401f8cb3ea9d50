#include "app/shard_threads.h"

#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace app {
namespace {

// A killed process's ring lets go of its listeners a little behind its end: after 4 to 8 ms where
// it was measured.
constexpr auto kAddressWait = std::chrono::seconds(1);
constexpr auto kAddressLook = std::chrono::milliseconds(5);

std::vector<int> usable_cores() {
    std::vector<int> cores;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) == 0) {
        for (int core = 0; core < CPU_SETSIZE; ++core) {
            if (CPU_ISSET(static_cast<std::size_t>(core), &set)) {
                cores.push_back(core);
            }
        }
    }
    if (cores.empty()) {
        cores.push_back(0);
    }
    return cores;
}

// A shard without its core still works: the result does not matter.
void pin_to(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(core), &set);
    ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
}

bool set(int descriptor, int level, int option) {
    const int on = 1;
    return ::setsockopt(descriptor, level, option, &on, sizeof on) == 0;
}

// Without SO_REUSEPORT, so that any listener is in the way; else as the driver listens. An errno.
int bind_alone(const io::SocketAddress& address) {
    const int descriptor = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool bound =
        descriptor >= 0 && set(descriptor, SOL_SOCKET, SO_REUSEADDR) &&
        (address.family() != AF_INET6 || set(descriptor, IPPROTO_IPV6, IPV6_V6ONLY)) &&
        ::bind(descriptor, address.raw(), address.raw_size()) == 0;
    const int error = bound ? 0 : errno;
    if (descriptor >= 0) {
        ::close(descriptor);
    }
    return error;
}

}  // namespace

base::Status wait_until_free(const io::SocketAddress& address) {
    const auto until = std::chrono::steady_clock::now() + kAddressWait;
    int error = bind_alone(address);
    while (error == EADDRINUSE && std::chrono::steady_clock::now() < until) {
        std::this_thread::sleep_for(kAddressLook);
        error = bind_alone(address);
    }
    if (error != 0) {
        return base::fail(
            error, "cannot listen on " + address.text() + ": " + base::Error(error).describe());
    }
    return {};
}

base::Result<std::unique_ptr<ShardThreads>> ShardThreads::start(std::uint32_t count) {
    const std::vector<int> cores = usable_cores();
    if (count == 0) {
        count = static_cast<std::uint32_t>(cores.size());
    }
    std::unique_ptr<ShardThreads> threads(new ShardThreads());
    for (std::uint32_t number = 0; number < count; ++number) {
        auto driver = io::UringDriver::create({});
        if (!driver) {
            return std::unexpected(driver.error());
        }
        auto running = std::make_unique<Running>();
        running->driver = std::move(*driver);
        running->shard = std::make_unique<rt::Shard>(number, *running->driver);
        running->scope = std::make_unique<rt::Scope>(*running->shard, "control");
        threads->shards_.push_back(std::move(running));
    }
    for (std::uint32_t number = 0; number < count; ++number) {
        Running& running = *threads->shards_[number];
        const int core = cores[number % cores.size()];
        running.thread = std::thread([&running, core, number] {
            pin_to(core);
            ::pthread_setname_np(::pthread_self(), ("shard-" + std::to_string(number)).c_str());
            running.shard->run();
            // The frame of the last call may still wait for its turn when its result is there
            // already.
            while (running.scope->size() > 0) {
                running.shard->turn();
            }
        });
    }
    return threads;
}

ShardThreads::~ShardThreads() {
    for (const std::unique_ptr<Running>& running : shards_) {
        if (running->thread.joinable()) {
            running->shard->stop();
        }
    }
    for (const std::unique_ptr<Running>& running : shards_) {
        if (running->thread.joinable()) {
            running->thread.join();
        }
    }
    // A shard may ring another's doorbell until all have ended: only now do they go.
    for (const std::unique_ptr<Running>& running : shards_) {
        running->scope.reset();
        running->shard.reset();
    }
}

void ShardThreads::post(std::uint32_t number, rt::Letter& letter) {
    while (!shards_[number]->shard->post(letter, nullptr)) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));  // its mailbox is full
    }
}

void ShardThreads::run_now(std::uint32_t number, const std::function<void()>& work) {
    class Now final : public rt::Letter {
      public:
        explicit Now(const std::function<void()>& todo) : todo_(todo) {}
        void open() override {
            todo_();
            done_.set_value();
        }
        void wait() { done_.get_future().wait(); }

      private:
        const std::function<void()>& todo_;
        std::promise<void> done_;
    };
    Now now(work);
    post(number, now);
    now.wait();
}

}  // namespace app
