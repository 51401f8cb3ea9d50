// What most tests of the queue share: one relay, and the server that is its only next hop.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "unit/queue/relay.h"
#include "unit/smtp/scripted_server.h"

namespace queue::test {

// Everything goes to one site with these addresses.
[[nodiscard]] inline Options options_for(const std::vector<const char*>& addresses,
                                         RetryPolicy retry) {
    Options options;
    options.hostname = "relay.test";
    Route route{.name = "smarthost", .targets = {}};
    for (const char* address : addresses) {
        route.targets.push_back({address, *io::SocketAddress::parse(address)});
    }
    options.routes.push_back(std::move(route));
    options.retry = std::move(retry);
    return options;
}

// The server listens; tests start the relay by themselves, when its options are as they want them.
class RelayFixture : public testing::Test {
  protected:
    explicit RelayFixture(RetryPolicy retry, std::uint64_t seed = 7,
                          const sim::Options& world = world_options())
        : world_(seed, world),
          options_(options_for({"10.0.0.1:25"}, std::move(retry))),
          server_(world_),
          relay_(world_, options_) {
        server_.listen("10.0.0.1:25");
    }
    // The scripts refer to what is local to their tests.
    void TearDown() override { server_.reply = nullptr; }

    // What is for dst.test is answered so.
    void answer_recipients(const std::string& reply) {
        server_.reply = [reply](const std::string& line) -> std::string {
            return line.starts_with("RCPT") && line.contains("@dst.test") ? reply : "";
        };
    }

    sim::World world_;
    Options options_;
    smtp::test::ScriptedServer server_;
    Relay relay_;
};

}  // namespace queue::test
