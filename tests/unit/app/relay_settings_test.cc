// What the configuration becomes: shares of the shards, and of the descriptors.
#include "app/relay_settings.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "app/config_reader.h"
#include "app/descriptors.h"

namespace app {
namespace {

TEST(RelaySettings, DividesConnectionsAmongTheShards) {
    Config config;
    config.hostname = "relay.test";
    config.routes.push_back({.hosts = {{.host = "192.0.2.1", .port = 25}}, .connections = 10});
    const auto settings = RelaySettings::from(config, 4);
    ASSERT_TRUE(settings) << settings.error().describe();
    std::uint32_t all = 0;
    for (std::uint32_t shard = 0; shard < 4; ++shard) {
        const queue::Options options = settings->queue_of(shard);
        const std::uint32_t share = options.routes.at(0).connections_max;
        EXPECT_EQ(share, shard < 2 ? 3U : 2U) << shard;
        all += share;
    }
    EXPECT_EQ(all, 10U);
}

TEST(RelaySettings, EveryShardMayConnect) {
    Config config;
    config.hostname = "relay.test";
    config.routes.push_back({.hosts = {{.host = "192.0.2.1", .port = 25}}, .connections = 2});
    const auto settings = RelaySettings::from(config, 3);
    ASSERT_TRUE(settings) << settings.error().describe();
    for (std::uint32_t shard = 0; shard < 3; ++shard) {
        EXPECT_EQ(settings->queue_of(shard).routes.at(0).connections_max, 1U) << shard;
    }
}

TEST(RelaySettings, SegmentsAreWholeBlocks) {
    Config config;
    config.hostname = "relay.test";
    config.routes.push_back({.hosts = {{.host = "192.0.2.1", .port = 25}}});
    const store::StoreOptions defaults;
    auto settings = RelaySettings::from(config, 1);
    ASSERT_TRUE(settings) << settings.error().describe();
    EXPECT_EQ(settings->store.segment_bytes, defaults.segment_bytes);
    EXPECT_EQ(settings->store.checkpoint_bytes, defaults.checkpoint_bytes);
    config.store = {.segment_bytes = 100'000, .checkpoint_bytes = 70'000};
    settings = RelaySettings::from(config, 1);
    ASSERT_TRUE(settings) << settings.error().describe();
    EXPECT_EQ(settings->store.segment_bytes, 102'400U);
    EXPECT_EQ(settings->store.checkpoint_bytes, 70'000U);
}

TEST(Descriptors, SessionsLeaveAReserve) {
    const DescriptorNeeds needs{.shards = 2, .listeners = 1, .connections = 20, .sessions = 1000};
    const std::uint64_t all = descriptors_for(needs);
    EXPECT_EQ(sessions_that_fit(needs, all), 1000U);
    EXPECT_EQ(sessions_that_fit(needs, all - 1), 999U);
    EXPECT_EQ(sessions_that_fit(needs, all - 2 * 900), 100U);
    EXPECT_EQ(sessions_that_fit(needs, 0), 8U);
    EXPECT_EQ(sessions_that_fit({.sessions = 3}, 0), 3U);
}

TEST(Descriptors, AStartThatLacksThemSaysWhatToDo) {
    EXPECT_EQ(describe_failed_start(base::Error(EMFILE, "cannot list x: Too many open files")),
              "cannot list x: Too many open files; raise the limit of open files (LimitNOFILE=, "
              "ulimit -n), then start again");
    EXPECT_EQ(describe_failed_start(base::Error(EMFILE, "no ring: raise the limit")),
              "no ring: raise the limit");
    EXPECT_EQ(describe_failed_start(base::Error(ENOENT, "no such folder")), "no such folder");
}

TEST(Descriptors, TheSoftLimitIsRaisedToTheHardOne) {
    rlimit limit{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
    const rlimit low{.rlim_cur = 100, .rlim_max = limit.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
    EXPECT_EQ(raise_descriptor_limit(), limit.rlim_max);
    rlimit now{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &now), 0);
    EXPECT_EQ(now.rlim_cur, limit.rlim_max);
}

}  // namespace
}  // namespace app
