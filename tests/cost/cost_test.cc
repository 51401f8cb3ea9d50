// What a message costs in copied bytes and in allocations: the relay as it is, two shards on the
// kernel's ring, with clients and a next hop beside it.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "app/config_reader.h"
#include "app/log.h"
#include "app/relay.h"
#include "app/relay_settings.h"
#include "app/shard_threads.h"
#include "cost/hooks.h"
#include "cost/peers.h"

namespace cost {
namespace {

constexpr std::uint32_t kShards = 2;

class Cost : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = std::filesystem::temp_directory_path() / "ringpost-cost-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        for (std::uint16_t tries = 0; !relay_ && tries < 20; ++tries) {
            start(static_cast<std::uint16_t>(20000 + (::getpid() + tries * 97) % 10000));
        }
        ASSERT_TRUE(relay_);
    }

    void TearDown() override {
        relay_.reset();
        threads_.reset();
        log_.reset();
        if (lines_ != nullptr) {
            std::fclose(lines_);
        }
        std::filesystem::remove_all(folder_);
    }

    // Messages of `bytes`, sent until what they need is there, and then `messages` more of which
    // this is the cost. Warmed up with more at once than is measured then, since what is in flight
    // together is chance.
    Counts cost_of(std::size_t bytes, std::uint32_t messages, bool reuse) {
        const std::string content = content_of(bytes);
        Load load{.port = port_, .reuse = reuse, .content = content};
        load.clients = 32;
        load.messages = 100;
        send(load);
        load.clients = 8;
        load.messages = messages / load.clients;
        const Counts before = counts();
        count(true);
        send(load);
        count(false);
        const Counts after = counts();
        return {after.allocations - before.allocations,
                after.allocated_bytes - before.allocated_bytes, after.copies - before.copies,
                after.copied_bytes - before.copied_bytes};
    }

    NextHop next_hop_;

  private:
    static std::string content_of(std::size_t bytes) {
        std::string content = "From: <sender@src.test>\r\nSubject: what it costs\r\n\r\n";
        while (content.size() + 80 <= bytes) {
            content.append(78, 'x').append("\r\n");
        }
        content.append(bytes - content.size() - 2, 'x').append("\r\n");
        return content;
    }

    void start(std::uint16_t port) {
        const std::string text =
            "hostname = \"relay.test\"\nshards = " + std::to_string(kShards) + "\nspool = \"" +
            folder_ + "/spool\"\n" +
            "[[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:" + std::to_string(port) +
            "\"\n[relay]\nnetworks = [\"127.0.0.0/8\"]\n" +
            "[[route]]\nhosts = [\"127.0.0.1:" + std::to_string(next_hop_.port()) + "\"]\n";
        config_ = app::read_config(text, true);
        ASSERT_TRUE(config_.config) << app::describe("config", config_.problems.at(0));
        if (!threads_) {
            auto threads = app::ShardThreads::start(kShards);
            ASSERT_TRUE(threads) << threads.error().describe();
            threads_ = std::move(*threads);
            lines_ = std::fopen("/dev/null", "w");
        }
        log_ = std::make_unique<app::Log>(config_.config->log, kShards, lines_);
        auto settings = app::RelaySettings::from(*config_.config, kShards);
        ASSERT_TRUE(settings) << settings.error().describe();
        settings->store.segment_bytes = 8U << 20U;  // so that segments come and go meanwhile
        settings_ = std::make_unique<app::RelaySettings>(std::move(*settings));
        auto relay = std::make_unique<app::Relay>(*threads_, *settings_, *log_);
        if (relay->start()) {
            relay_ = std::move(relay);
            port_ = port;
        }
    }

    void count(bool wanted) {
        for (std::uint32_t i = 0; i < kShards; ++i) {
            threads_->run_now(i, [wanted] { count_this_thread(wanted); });
            // For a debugger, to show whence one comes.
            if (wanted && std::getenv("RINGPOST_STOP_AT_ALLOCATION") != nullptr) {
                threads_->run_now(i, [] { stop_at_allocation(); });
            }
        }
    }

    // And waits until the relay has delivered all of it.
    void send(const Load& load) {
        sent_ += std::uint64_t{load.clients} * load.messages;
        send_load(load);
        next_hop_.wait_for(sent_);
    }

    std::string folder_;
    app::ConfigResult config_;
    std::unique_ptr<app::ShardThreads> threads_;
    std::FILE* lines_ = nullptr;
    std::unique_ptr<app::Log> log_;
    std::unique_ptr<app::RelaySettings> settings_;
    std::unique_ptr<app::Relay> relay_;
    std::uint16_t port_ = 0;
    std::uint64_t sent_ = 0;
};

void report(const char* what, const Counts& cost, std::uint32_t messages) {
    std::printf("%s: %.0f bytes copied in %.1f calls, %.2f allocations a message\n", what,
                static_cast<double>(cost.copied_bytes) / messages,
                static_cast<double>(cost.copies) / messages,
                static_cast<double>(cost.allocations) / messages);
}

TEST_F(Cost, ContentIsCopiedOnceAndNothingIsAllocated) {
    constexpr std::uint32_t kMessages = 2000;
    constexpr std::size_t kBytes = 10240;
    for (const bool reuse : {false, true}) {
        const Counts cost = cost_of(kBytes, kMessages, reuse);
        report(reuse ? "10 KiB, connections reused" : "10 KiB, a connection each", cost, kMessages);
        EXPECT_EQ(cost.allocations, 0U);
        EXPECT_GE(cost.copied_bytes, kBytes * kMessages);
        EXPECT_LE(cost.copied_bytes, kBytes * kMessages * 11 / 10);
    }
}

TEST_F(Cost, LargeContentIsCopiedOnce) {
    constexpr std::uint32_t kMessages = 200;
    constexpr std::size_t kBytes = 1'000'000;
    const Counts cost = cost_of(kBytes, kMessages, true);
    report("1 MB", cost, kMessages);
    EXPECT_LE(cost.copied_bytes, kBytes * kMessages * 11 / 10);
}

}  // namespace
}  // namespace cost
