// ringpost_floor PORT NEXT_HOP_PORT FOLDER: a bare loop that receives mail on 127.0.0.1:PORT, makes
// it durable in FOLDER and sends it on to 127.0.0.1:NEXT_HOP_PORT, with the least code: what the
// kernel alone costs of a relay. It understands smtp-source and smtp-sink, forgets all at its end,
// and ends by a signal. One thread per core, as ringpost.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <sched.h>

#include "shard.h"

namespace {

constexpr std::size_t kDeliveries = 20;  // of all threads; ringpost's default for a route

sockaddr_in local(std::string_view port) {
    std::uint16_t number = 0;
    const auto read = std::from_chars(port.data(), port.data() + port.size(), number);
    if (read.ec != std::errc() || number == 0) {
        bench::die("a port is a number from 1 to 65535", EINVAL);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(number);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

std::vector<int> usable_cores() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) {
        bench::die("sched_getaffinity", errno);
    }
    std::vector<int> cores;
    for (int core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(static_cast<std::size_t>(core), &set)) {
            cores.push_back(core);
        }
    }
    return cores;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fputs("usage: ringpost_floor PORT NEXT_HOP_PORT FOLDER\n", stderr);
        return 2;
    }
    const std::vector<int> cores = usable_cores();
    std::vector<std::thread> threads;
    for (const int core : cores) {
        bench::Shard::Options options;
        options.core = core;
        options.address = local(argv[1]);
        options.next_hop = local(argv[2]);
        options.log = std::string(argv[3]) + "/log-" + std::to_string(core);
        options.deliveries = std::max<std::size_t>(1, kDeliveries / cores.size());
        // A ring belongs to the thread that made it.
        threads.emplace_back([options] { std::make_unique<bench::Shard>(options)->run(); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}
