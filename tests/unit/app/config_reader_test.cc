#include "app/config_reader.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/config_keys.h"

namespace app {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The contract of the first release, word for word.
constexpr const char* kWhole = R"(hostname = "relay.example.test"
spool    = "/var/spool/ringpost"
control  = "/run/ringpost/control.sock"   # default: inside the spool when not root

[[listener]]
protocol = "smtp"
address  = "127.0.0.1:2525"

[relay]
networks = ["127.0.0.0/8", "::1/128"]   # who may send anywhere (Postfix: mynetworks)
domains  = ["dst.test"]

[queue]
retry  = ["5s", "30s", "5m"]
expire = "5d"

[[route]]
hosts = ["127.0.0.1:2626"]
)";

constexpr const char* kLeast = R"(hostname = "relay.example.test"
[[listener]]
protocol = "smtp"
address = "127.0.0.1:2525"
[[route]]
hosts = ["127.0.0.1:2626"]
)";

std::vector<std::string> faults(const std::string& text) {
    const ConfigResult result = read_config(text, true);
    std::vector<std::string> lines;
    for (const Problem& problem : result.problems) {
        lines.push_back(describe("f", problem));
    }
    return lines;
}

// The one line that is wrong with kLeast and `more` behind its hostname line.
std::string fault_of(const std::string& more) {
    std::string text = kLeast;
    text.insert(text.find('\n') + 1, more + "\n");
    const std::vector<std::string> lines = faults(text);
    return lines.size() == 1
               ? lines[0]
               : std::to_string(lines.size()) + " problems: " + testing::PrintToString(lines);
}

std::string fault_behind(const std::string& more) {
    const std::vector<std::string> lines = faults(kLeast + more);
    return lines.size() == 1
               ? lines[0]
               : std::to_string(lines.size()) + " problems: " + testing::PrintToString(lines);
}

TEST(Config, ReadsTheContract) {
    const ConfigResult result = read_config(kWhole, true);
    ASSERT_TRUE(result.config) << testing::PrintToString(faults(kWhole));
    EXPECT_THAT(result.problems, IsEmpty());
    const Config& config = *result.config;
    EXPECT_EQ(config.hostname, "relay.example.test");
    EXPECT_EQ(config.spool, "/var/spool/ringpost");
    EXPECT_EQ(config.control, "/run/ringpost/control.sock");
    EXPECT_EQ(config.shards, 0U);
    ASSERT_EQ(config.listeners.size(), 1U);
    EXPECT_EQ(config.listeners[0].protocol, Protocol::smtp);
    EXPECT_EQ(config.listeners[0].address, (HostPort{"127.0.0.1", 2525}));
    EXPECT_EQ(config.listeners[0].line_endings, LineEndings::by_network);
    ASSERT_EQ(config.relay.networks.size(), 2U);
    EXPECT_EQ(to_text(config.relay.networks[0]), "127.0.0.0/8");
    EXPECT_EQ(to_text(config.relay.networks[1]), "::1/128");
    EXPECT_THAT(config.relay.domains, ElementsAre(DomainPattern{"dst.test", false}));
    EXPECT_THAT(
        config.queue.retry.waits,
        ElementsAre(std::chrono::seconds(5), std::chrono::seconds(30), std::chrono::minutes(5)));
    EXPECT_EQ(config.queue.expire, std::chrono::hours(120));
    ASSERT_EQ(config.routes.size(), 1U);
    EXPECT_THAT(config.routes[0].hosts, ElementsAre(HostPort{"127.0.0.1", 2626}));
}

TEST(Config, RetryIsAListOrATable) {
    const auto queue_of = [](const std::string& text) {
        const ConfigResult result = read_config(std::string(kLeast) + text, true);
        EXPECT_TRUE(result.config) << (result.problems.empty() ? "" : result.problems[0].text);
        return result.config.value_or(Config());
    };
    const RetryConfig usual = queue_of("").queue.retry;
    EXPECT_THAT(usual.waits, IsEmpty());
    EXPECT_EQ(usual.growth.first, std::chrono::minutes(5));
    EXPECT_EQ(usual.growth.growth, 1.5);
    EXPECT_EQ(usual.growth.cap, std::chrono::hours(4));
    EXPECT_EQ(usual.growth.jitter, 0.1);
    const RetryConfig part =
        queue_of("[queue]\nretry = { first = \"1m\", growth = 2 }\n").queue.retry;
    EXPECT_EQ(part.growth.first, std::chrono::minutes(1));
    EXPECT_EQ(part.growth.growth, 2);
    EXPECT_EQ(part.growth.cap, std::chrono::hours(4));
    const Config whole = queue_of(
        "retry = [\"1m\"]\nexpire = \"1d\"\ndelay_notice = \"0s\"\n"
        "[queue]\nretry = [\"5m\", \"1h\"]\ndouble_bounce_to = \"postmaster@example.com\"\n");
    EXPECT_THAT(whole.queue.retry.waits,
                ElementsAre(std::chrono::minutes(5), std::chrono::hours(1)));
    EXPECT_EQ(whole.queue.double_bounce_to, "postmaster@example.com");
    EXPECT_THAT(whole.routes[0].retry->waits, ElementsAre(std::chrono::minutes(1)));
    EXPECT_EQ(whole.routes[0].expire, std::chrono::hours(24));
    EXPECT_EQ(whole.routes[0].delay_notice, base::Duration::zero());
    const auto fault = [](const std::string& text) {
        return faults(std::string(kLeast) + text).at(0);
    };
    EXPECT_THAT(fault("[queue]\nretry = { frist = \"1m\" }\n"),
                HasSubstr("queue.retry: unknown key \"frist\"; did you mean \"first\"?"));
    EXPECT_THAT(fault("[queue]\nretry = { growth = 0.5 }\n"),
                HasSubstr("growth is not from 1 to 100"));
    EXPECT_THAT(fault("[queue]\nretry = { jitter = \"10%\" }\n"),
                HasSubstr("jitter is text where a number such as 0.1 belongs"));
    EXPECT_THAT(fault("[queue]\nretry = { first = \"2h\", cap = \"1h\" }\n"),
                HasSubstr("the first wait (2h) is longer than the cap (1h)"));
    EXPECT_THAT(fault("[queue]\nretry = { first = \"5h\" }\n"),
                HasSubstr("the first wait (5h) is longer than the cap (4h, which is the default); "
                          "write a cap, too"));
    EXPECT_THAT(fault("retry = [\"2d\"]\nexpire = \"1d\"\n"),
                HasSubstr("route[0].expire: mail would expire (1d) before its first retry (2d)"));
    EXPECT_THAT(fault("expire = \"1m\"\n"),
                HasSubstr("route[0].expire: mail would expire (1m) before its first retry (5m)"));
    EXPECT_THAT(fault("[queue]\ndouble_bounce_to = \"postmaster\"\n"),
                HasSubstr("is not a mail address"));
    EXPECT_THAT(fault("[queue]\ndelay_notice = \"6d\"\n"),
                HasSubstr("warning: queue.delay_notice: mail expires (5d) before"));
}

TEST(Config, ReadsEveryOtherKey) {
    const ConfigResult result =
        read_config(std::string("shards = 3\n") + kLeast + R"(connections = 7
[limits]
sessions = 10
message_size = "50MB"
recipients = 2000
errors = 5
commit_delay = "3ms"
[store]
segment_size = "1MiB"
checkpoint_every = "100KB"
cleaner_rate = 0
[log]
format = "json"
level = "warning"
)",
                    true);
    ASSERT_TRUE(result.config);
    EXPECT_EQ(result.config->shards, 3U);
    EXPECT_EQ(result.config->routes[0].connections, 7U);
    EXPECT_EQ(result.config->limits.sessions, 10U);
    EXPECT_EQ(result.config->limits.message_size_bytes, 50'000'000U);
    EXPECT_EQ(result.config->limits.recipients, 2000U);
    EXPECT_EQ(result.config->limits.errors, 5U);
    EXPECT_EQ(result.config->limits.commit_delay, std::chrono::milliseconds(3));
    EXPECT_EQ(result.config->store.segment_bytes, 1U << 20U);
    EXPECT_EQ(result.config->store.cleaner_bytes_per_s, 0U);
    EXPECT_EQ(result.config->store.checkpoint_bytes, 100'000U);
    EXPECT_EQ(result.config->log.format, LogFormat::json);
    EXPECT_EQ(result.config->log.level, LogLevel::warning);
}

TEST(Config, EveryExampleInTheTableReads) {
    for (const SectionSpec& section : config_sections()) {
        for (const KeySpec& key : section.keys) {
            Config config;
            ConfigReport report;
            const std::string line = std::string(key.name) + " = " + std::string(key.example);
            const auto tree = parse_toml(line);
            ASSERT_TRUE(tree) << line;
            key.read(tree->entries.at(0).value, section.enter(config), report);
            EXPECT_THAT(report.take(), IsEmpty()) << line;
            EXPECT_FALSE(key.description.empty()) << key.name;
        }
    }
}

TEST(Config, DefaultsPrintAsTheyRead) {
    for (const SectionSpec& section : config_sections()) {
        Config config;
        void* values = section.enter(config);
        for (const KeySpec& key : section.keys) {
            if (key.required || !key.default_text.empty()) {
                continue;
            }
            const Config before = config;
            const std::string line = std::string(key.name) + " = " + key.print(values);
            const auto tree = parse_toml(line);
            ASSERT_TRUE(tree) << line;
            ConfigReport report;
            key.read(tree->entries.at(0).value, values, report);
            EXPECT_THAT(report.take(), IsEmpty()) << line;
            EXPECT_EQ(config, before) << line;
        }
    }
}

TEST(Config, NamesTheNearestKey) {
    EXPECT_EQ(fault_of("spol = \"/x\""), "f:2:1: unknown key \"spol\"; did you mean \"spool\"?");
    EXPECT_EQ(fault_behind("[relay]\n  netwroks = []\n"),
              "f:8:3: relay: unknown key \"netwroks\"; did you mean \"networks\"?");
    EXPECT_EQ(fault_behind("[rellay]\nnetworks = []\n"),
              "f:7:2: unknown key \"rellay\"; did you mean [relay]?");
}

TEST(Config, SendsAKeyToItsSection) {
    EXPECT_THAT(fault_of("networks = []"),
                HasSubstr("f:2:1: unknown key \"networks\"; it belongs into [relay]"));
    EXPECT_THAT(fault_behind("[log]\nspool = \"/x\"\n"), HasSubstr("at the top of the file"));
    EXPECT_THAT(fault_behind("[relay]\nhosts = []\n"), HasSubstr("it belongs into [[route]]"));
    EXPECT_THAT(fault_behind("[relay]\nspol = \"/s\"\n"),
                HasSubstr("did you mean \"spool\", which belongs at the top of the file"));
    EXPECT_THAT(fault_behind("[relay]\nexpires = \"5d\"\n"),
                HasSubstr("did you mean \"expire\", which belongs into [queue]?"));
}

TEST(Config, ListsTheKeysWhenNoneIsNear) {
    EXPECT_THAT(fault_behind("[log]\nzzzzzzzzzz = 1\n"), HasSubstr("there are format and level"));
}

TEST(Config, RefusesWrongTypes) {
    EXPECT_EQ(fault_of("spool = 5"), "f:2:9: spool: is a number where text in quotes belongs");
    EXPECT_THAT(fault_of("shards = \"4\""),
                HasSubstr("f:2:10: shards: is \"4\"; write \"auto\", or a number"));
    EXPECT_THAT(fault_of("shards = 0"), HasSubstr("not from 1 to 256"));
    EXPECT_THAT(fault_of("shards = 257"), HasSubstr("not from 1 to 256"));
    EXPECT_THAT(fault_of("shards = 1.5"), HasSubstr("a number with a fraction"));
    EXPECT_THAT(fault_behind("[queue]\nexpire = 5\n"), HasSubstr("did you mean \"5s\"?"));
    EXPECT_THAT(fault_behind("[queue]\nretry = \"5m\"\n"), HasSubstr("is text where a list"));
    EXPECT_THAT(fault_behind("[queue]\nexpire = 2026-01-01\n"), HasSubstr("is a date or time"));
    EXPECT_THAT(fault_behind("[log]\nformat = \"jsn\"\n"), HasSubstr("did you mean \"json\"?"));
    EXPECT_THAT(fault_behind("[log]\nformat = true\n"), HasSubstr("true or false"));
    EXPECT_THAT(fault_behind("[limits]\nmessage_size = -1\n"),
                HasSubstr("is not from 64KiB to 2GiB"));
    EXPECT_THAT(fault_behind("[limits]\nmessage_size = \"1KB\"\n"),
                HasSubstr("is not from 64KiB to 2GiB"));
}

TEST(Config, TellsSingleFromDoubleBrackets) {
    EXPECT_THAT(fault_behind("[[queue]]\nexpire = \"5d\"\n"),
                HasSubstr("once, with single brackets"));
    const std::vector<std::string> lines = faults(
        "hostname = \"a.b\"\n[listener]\nprotocol = \"smtp\"\n[[route]]\n"
        "hosts = [\"127.0.0.1:26\"]\n");
    EXPECT_THAT(
        lines,
        ElementsAre(HasSubstr("f:2:2: listener: is a table; begin each with a line [[listener]]")));
}

TEST(Config, CollectsAllProblemsInOrder) {
    EXPECT_THAT(
        faults(R"(hostnam = "x"
[[listener]]
protocol = "imap"
adress = "127.0.0.1:25"
[relay]
networks = ["10.0.0.1/8", "nonsense", "10.0.0.0/8"]
[queue]
retry = ["5s", "5"]
[[route]]
hosts = []
)"),
        ElementsAre("f: hostname is missing; write for example hostname = \"relay.example.com\"",
                    "f:1:1: unknown key \"hostnam\"; did you mean \"hostname\"?",
                    HasSubstr("f:2:1: listener[0]: address is missing"),
                    "f:3:12: listener[0].protocol: is \"imap\"; only \"smtp\" belongs here",
                    "f:4:1: listener[0]: unknown key \"adress\"; did you mean \"address\"?",
                    HasSubstr("f:6:13: relay.networks: \"10.0.0.1/8\" has bits behind its prefix"),
                    HasSubstr("f:6:27: relay.networks: \"nonsense\" is not an IP network"),
                    HasSubstr("f:8:16: queue.retry: \"5\" has no unit"),
                    HasSubstr("f:10:1: route[0].hosts: is empty")));
}

TEST(Config, SyntaxErrorsHaveAPlace) {
    EXPECT_THAT(faults("hostname = \"a.b\"\nspool = \n"), ElementsAre(HasSubstr("f:2:")));
    EXPECT_THAT(faults("a = 1\na = 2\n"), ElementsAre(HasSubstr("f:2:")));
    EXPECT_THAT(faults("\xff"), ElementsAre(HasSubstr("f:1:1: ")));
}

// Both ended the program inside the TOML library, or let the compiler assume them away.
TEST(Config, SurvivesTheFaultsOfItsTomlLibrary) {
    EXPECT_THAT(faults("[=x]\n"), ElementsAre(HasSubstr("f:1:")));
    EXPECT_THAT(faults("gr\u00f6\u00dfe = 1\n"), ElementsAre(HasSubstr("f:1:")));
    EXPECT_THAT(faults(std::string("# gr\u00f6\u00dfe, \u0434\u0430\n") + kLeast), IsEmpty());
    EXPECT_THAT(faults("e\"\n\" = 0\n"), ElementsAre(HasSubstr("f:1:")));
}

TEST(Config, NeedsListenerAndRoute) {
    EXPECT_THAT(
        faults("hostname = \"a.b\"\n"),
        ElementsAre(HasSubstr("f: no listener"), HasSubstr("f: no route: mail cannot leave")));
}

TEST(Config, RefusesOverlappingListeners) {
    const std::string second = "[[listener]]\nprotocol = \"smtp\"\naddress = ";
    EXPECT_EQ(
        fault_behind(second + "\"127.0.0.1:2525\"\n"),
        "f:9:1: listener[1].address: \"127.0.0.1:2525\" is already taken by listener[0].address");
    EXPECT_THAT(fault_behind(second + "\"0.0.0.0:2525\"\n"),
                HasSubstr("taken by listener[0].address = \"127.0.0.1:2525\""));
    EXPECT_THAT(faults(kLeast + second + "\"127.0.0.2:2525\"\n"), IsEmpty());
    EXPECT_THAT(faults(kLeast + second + "\"[::]:2525\"\n"), IsEmpty());
}

TEST(Config, BoundsTheNumberOfListeners) {
    std::string text = "hostname = \"a.b\"\n[[route]]\nhosts = [\"127.0.0.1:26\"]\n";
    for (int port = 1; port <= 65; ++port) {
        text += "[[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:" +
                std::to_string(1000 + port) + "\"\n";
    }
    EXPECT_THAT(faults(text), ElementsAre(HasSubstr("listener[64]: is one too many")));
}

TEST(Config, ChecksTheQueue) {
    EXPECT_THAT(fault_behind("[queue]\nretry = []\n"), HasSubstr("f:8:9: queue.retry: is empty"));
    EXPECT_THAT(
        fault_behind("[queue]\nretry = [\"1h\"]\nexpire = \"5m\"\n"),
        HasSubstr("f:9:1: queue.expire: mail would expire (5m) before its first retry (1h)"));
    EXPECT_THAT(fault_behind("[queue]\nretry = [\"6d\"]\n"),
                HasSubstr("f:8:1: queue.retry: mail would expire"));
    EXPECT_THAT(fault_behind("[queue]\nretry = [\"5m\", \"1m\"]\n"),
                HasSubstr("f:8:16: warning: queue.retry[1]: \"1m\" is shorter"));
}

TEST(Config, ChecksRoutes) {
    EXPECT_THAT(fault_behind("[[route]]\nhosts = [\"127.0.0.1:27\"]\n"),
                HasSubstr("f:7:1: route[1]: is never used"));
    std::string text = kLeast;
    text.replace(text.find("[\"127.0.0.1:2626\"]"), 18, "[\"127.0.0.1:2525\", \"h:1\", \"h:1\"]");
    EXPECT_THAT(
        faults(text),
        ElementsAre(HasSubstr("f:6:10: route[0].hosts[0]: \"127.0.0.1:2525\" is this server's own"),
                    HasSubstr("f:6:35: route[0].hosts[2]: \"h:1\" is listed twice")));
}

TEST(Config, RefusesARouteThatLeadsBack) {
    const auto with = [](const std::string& listener, const std::string& host) {
        return faults("hostname = \"relay.test\"\n[[listener]]\nprotocol = \"smtp\"\naddress = \"" +
                      listener + "\"\n[[route]]\nhosts = [\"" + host + "\"]\n");
    };
    for (const char* host : {"127.0.0.1:25", "127.9.9.9:25", "[::1]:25", "localhost:25",
                             "0.0.0.0:25", "relay.test:25"}) {
        EXPECT_THAT(with("0.0.0.0:25", host), ElementsAre(HasSubstr("this server's own listener")))
            << host;
    }
    EXPECT_THAT(with("127.0.0.1:25", "localhost:25"), ElementsAre(HasSubstr("own listener")));
    EXPECT_THAT(with("0.0.0.0:25", "192.0.2.1:25"), IsEmpty());
    EXPECT_THAT(with("0.0.0.0:25", "127.0.0.1:26"), IsEmpty());
    EXPECT_THAT(with("192.0.2.1:25", "127.0.0.1:25"), IsEmpty());
}

TEST(Config, TellsEachProblemOfAHostOnce) {
    const std::string listener = "[[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:25\"\n";
    EXPECT_THAT(faults("hostname = \"relay.test\"\n" + listener + listener +
                       "[[route]]\nhosts = [\"localhost:25\", \"h:1\", \"h:1\", \"h:1\"]\n"),
                ElementsAre(HasSubstr("listener[1].address: \"127.0.0.1:25\" is already taken"),
                            HasSubstr("hosts[0]: \"localhost:25\" is this server's own listener"),
                            HasSubstr("hosts[2]: \"h:1\" is listed twice"),
                            HasSubstr("hosts[3]: \"h:1\" is listed twice")));
}

TEST(Config, WarnsOfAnOpenRelay) {
    const ConfigResult result =
        read_config(std::string(kLeast) + "[relay]\nnetworks = [\"0.0.0.0/0\"]\n", true);
    EXPECT_TRUE(result.config);
    ASSERT_EQ(result.problems.size(), 1U);
    EXPECT_THAT(describe("f", result.problems[0]),
                HasSubstr("f:8:13: warning: relay.networks[0]: \"0.0.0.0/0\""));
}

TEST(Config, BoundsTheControlPath) {
    const std::string fits(107, 'x');
    EXPECT_TRUE(read_config("control = \"" + fits + "\"\n" + kLeast, true).config);
    EXPECT_THAT(fault_of("control = \"" + fits + "x\""), HasSubstr("f:2:1: control: "));
    EXPECT_THAT(fault_of("control = \"" + fits + "x\""), HasSubstr("is 108 bytes long"));
    const ConfigResult in_spool =
        read_config("spool = \"/" + std::string(99, 'x') + "\"\n" + kLeast, false);
    EXPECT_FALSE(in_spool.config);
    EXPECT_TRUE(read_config("spool = \"/" + std::string(99, 'x') + "\"\n" + kLeast, true).config);
}

TEST(Config, ControlIsInTheSpoolForOthersThanRoot) {
    Config config;
    config.spool = "/s";
    EXPECT_EQ(config.control_path(true), "/run/ringpost/control.sock");
    EXPECT_EQ(config.control_path(false), "/s/control.sock");
    config.control = "/c";
    EXPECT_EQ(config.control_path(false), "/c");
}

TEST(Config, DefaultIsWhatItsDocumentationSays) {
    const ConfigResult result =
        read_config(default_config_text("/tmp/a \"quoted\" \\ spool"), true);
    ASSERT_TRUE(result.config);
    EXPECT_THAT(result.problems, IsEmpty());
    EXPECT_EQ(result.config->spool, "/tmp/a \"quoted\" \\ spool");
    EXPECT_EQ(result.config->control_path(true), "/tmp/a \"quoted\" \\ spool/control.sock");
    EXPECT_EQ(result.config->listeners.at(0).address, (HostPort{"127.0.0.1", 2525}));
    EXPECT_EQ(result.config->routes.at(0).hosts.at(0), (HostPort{"127.0.0.1", 2626}));
    EXPECT_EQ(result.config->relay, RelayConfig());
}

TEST(Config, LoadsTheDefaultWithAWholePath) {
    const LoadedConfig loaded = load_default_config("./here");
    ASSERT_TRUE(loaded.result.config);
    EXPECT_EQ(loaded.result.config->spool, std::filesystem::current_path().string() + "/here");
}

TEST(Config, ReportsAFileThatCannotBeRead) {
    const LoadedConfig missing = load_config_file("/nonexistent/ringpost.toml");
    ASSERT_EQ(missing.result.problems.size(), 1U);
    EXPECT_EQ(describe(missing.name, missing.result.problems[0]),
              "/nonexistent/ringpost.toml: cannot be read: No such file or directory; name another "
              "file with "
              "--config FILE");
    const LoadedConfig directory = load_config_file("/");
    ASSERT_EQ(directory.result.problems.size(), 1U);
    EXPECT_THAT(directory.result.problems[0].text, HasSubstr("Is a directory"));
}

TEST(Config, ReferenceInDocsIsCurrent) {
    std::ifstream file(RINGPOST_SOURCE_DIR "/docs/CONFIG.md");
    std::ostringstream text;
    text << file.rdbuf();
    EXPECT_EQ(text.str(), config_reference())
        << "write it anew: ringpost config doc > docs/CONFIG.md";
}

TEST(Config, DeepNestingIsAProblemNotACrash) {
    EXPECT_THAT(faults("a = " + std::string(100000, '[')), testing::SizeIs(1));
}

}  // namespace
}  // namespace app
