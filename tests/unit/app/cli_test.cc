#include "app/cli.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/config_reader.h"
#include "app/digest.h"
#include "app/spool_place.h"
#include "app/timestamp.h"
#include "app/version.h"

namespace app {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

// What the last command line led to.
std::string called;

struct Outcome {
    int code;
    std::string called;
    std::string out;
    std::string err;
};

Outcome run(std::vector<const char*> arguments) {
    constexpr Commands kCommands{
        .serve =
            [](const ServeOptions& options) {
                called = "serve " +
                         (options.use_default ? "default " + options.default_spool
                                              : options.config_path) +
                         (options.salvage ? " salvage" : "");
                return 3;
            },
        .sink =
            [](const SinkOptions& options) {
                called = "sink " + options.listen;
                return 4;
            },
        .check =
            [](const CheckOptions& options) {
                called = "check " + options.config_path;
                return 5;
            },
        .queue_list =
            [](const QueueListOptions& options) {
                called = "list " + options.server.control + "|" + options.server.spool + "|" +
                         options.server.config_path + (options.json ? " json " : " ") +
                         std::to_string(options.limit);
                return 6;
            },
        .queue_rule =
            [](const QueueRuleOptions& options) {
                called = "rule " + options.action + (options.wait ? " wait" : "") +
                         (options.filter.all ? " all" : "") + " " + options.filter.sender + "|" +
                         options.filter.domain + "|" + options.filter.older_than + "|" +
                         options.reason;
                for (const std::string& id : options.filter.ids) {
                    called += " " + id;
                }
                return 13;
            },
        .queue_stats =
            [](const QueueStatsOptions& options) {
                called = "stats " + options.by + (options.json ? " json" : "");
                return 14;
            },
        .queue_show =
            [](const QueueShowOptions& options) {
                called = "show " + options.id + (options.json ? " json" : "") +
                         (options.content ? " content" : "");
                return 7;
            },
        .queue_explain =
            [](const QueueExplainOptions& options) {
                called = "explain " + options.id + (options.json ? " json" : "");
                return 12;
            },
        .spool_verify =
            [](const SpoolVerifyOptions& options) {
                called = "verify " + options.path + (options.json ? " json" : "");
                return 8;
            },
        .spool_dump =
            [](const SpoolDumpOptions& options) {
                called = "dump " + options.path + "|" +
                         (options.partition ? std::to_string(*options.partition) : "") + "|" +
                         options.segment + "|" + options.message + (options.content ? "+" : "") +
                         (options.json ? " json" : "");
                return 9;
            },
        .spool_add =
            [](const SpoolAddOptions& options) {
                called = "add " + options.path + " " + std::to_string(options.count);
                return 10;
            },
    };
    called.clear();
    arguments.insert(arguments.begin(), "ringpost");
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code =
        run_command_line(static_cast<int>(arguments.size()), arguments.data(), kCommands);
    std::fflush(stdout);
    return {code, called, testing::internal::GetCapturedStdout(),
            testing::internal::GetCapturedStderr()};
}

TEST(CommandLine, RunsTheCommandsOverTheQueue) {
    EXPECT_EQ(run({"queue", "hold", "--domain", "dst.test", "--wait"}).called,
              "rule hold wait |dst.test||");
    EXPECT_EQ(run({"queue", "flush", "--all"}).called, "rule retry all |||");
    EXPECT_EQ(run({"queue", "delete", "000002000000G", "000002000000H"}).called,
              "rule delete ||| 000002000000G 000002000000H");
    EXPECT_EQ(
        run({"queue", "bounce", "--sender", "<>", "--older-than", "2d", "--reason", "x"}).called,
        "rule bounce <>||2d|x");
    EXPECT_EQ(run({"queue", "stats", "--by", "domain", "--json"}).called, "stats domain json");
    EXPECT_EQ(run({"queue", "stats", "--by", "age"}).code, 2);
    EXPECT_EQ(run({"queue", "hold", "nonsense"}).code, 2);
}

// A script's variable that is not set would else widen a command to everything.
TEST(CommandLine, RefusesAnEmptyFilter) {
    for (const char* option :
         {"--sender", "--recipient", "--domain", "--tenant", "--state", "--older-than",
          "--newer-than", "--reason", "--spool", "--control"}) {
        const Outcome outcome = run({"queue", "bounce", option, "", "--domain", "x.test"});
        EXPECT_EQ(outcome.code, 2) << option;
        EXPECT_EQ(outcome.called, "") << option;
        EXPECT_THAT(outcome.err, HasSubstr(option));
        const std::string assigned = std::string(option) + "=";
        EXPECT_EQ(run({"queue", "bounce", assigned.c_str(), "x.test"}).code, 2) << option;
    }
    EXPECT_EQ(run({"queue", "hold", "", "--domain", "x.test"}).code, 2);
    EXPECT_EQ(run({"queue", "list", "--domain", ""}).code, 2);
    EXPECT_EQ(run({"queue", "stats", "--tenant", ""}).code, 2);
}

TEST(CommandLine, RefusesWhatNoMessageCanMatch) {
    const auto fault = [](const char* option, const char* value) {
        const Outcome outcome = run({"queue", "hold", option, value});
        EXPECT_EQ(outcome.code, 2) << value;
        return outcome.err;
    };
    EXPECT_THAT(fault("--sender", "@"), HasSubstr("\"@\" names no domain"));
    EXPECT_THAT(fault("--domain", "*"), HasSubstr("leave domain away"));
    EXPECT_THAT(fault("--state", "lost"), HasSubstr("lost"));
    EXPECT_THAT(fault("--older-than", "soon"), HasSubstr("soon"));
    EXPECT_THAT(run({"queue", "bounce", "--all", "--reason", std::string(513, 'x').c_str()}).err,
                HasSubstr("longer than 512 octets"));
    EXPECT_THAT(run({"queue", "show", "XYZ"}).err, HasSubstr("\"XYZ\" is not a queue id"));
    EXPECT_THAT(run({"queue", "hold", "000002000000G", "XYZ"}).err,
                HasSubstr("\"XYZ\" is not a queue id"));
}

TEST(CommandLine, RunsEachCommand) {
    EXPECT_EQ(run({"serve"}).called, "serve /etc/ringpost/ringpost.toml");
    EXPECT_EQ(run({"serve"}).code, 3);
    EXPECT_EQ(run({"serve", "--config", "x.toml"}).called, "serve x.toml");
    EXPECT_EQ(run({"serve", "--default"}).called, "serve default ./ringpost-spool");
    EXPECT_EQ(run({"serve", "--default", "--spool", "/s"}).called, "serve default /s");
    EXPECT_EQ(run({"serve", "--config", "x.toml", "--salvage"}).called, "serve x.toml salvage");
    EXPECT_EQ(run({"check"}).called, "check /etc/ringpost/ringpost.toml");
    EXPECT_EQ(run({"check", "-c", "x"}).code, 5);
    EXPECT_EQ(run({"queue", "list"}).called, "list ||/etc/ringpost/ringpost.toml 0");
    EXPECT_EQ(run({"queue", "list", "--json", "--limit", "5", "--control", "/c"}).called,
              "list /c||/etc/ringpost/ringpost.toml json 5");
    EXPECT_THAT(run({"queue", "list", "--default"}).called, StartsWith("list |./ringpost-spool|"));
    EXPECT_THAT(run({"queue", "list", "--default", "--spool", "/s"}).called,
                StartsWith("list |/s|"));
    EXPECT_THAT(run({"queue", "list", "--spool", "/s", "--default"}).called,
                StartsWith("list |/s|"));
    EXPECT_EQ(run({"queue", "show", "000002000000g"}).called, "show 000002000000g");
    EXPECT_EQ(run({"queue", "show", "000002000000G", "--json"}).code, 7);
    EXPECT_EQ(run({"queue", "show", "000002000000G", "--content"}).called,
              "show 000002000000G content");
    EXPECT_EQ(run({"queue", "explain", "000002000000G", "--json"}).called,
              "explain 000002000000G json");
    EXPECT_EQ(run({"spool", "verify", "/s"}).called, "verify /s");
    EXPECT_EQ(run({"spool", "verify", "--json", "/s"}).code, 8);
    EXPECT_EQ(run({"spool", "dump", "/s"}).called, "dump /s|||");
    EXPECT_EQ(run({"spool", "dump", "/s", "--partition", "3", "--segment", "2a", "--message",
                   "000002000000G", "--content", "--json"})
                  .called,
              "dump /s|3|2a|000002000000G+ json");
    EXPECT_EQ(run({"spool", "dump", "--segment", "0000002a.seg", "/s"}).called,
              "dump /s||0000002a.seg|");
    EXPECT_EQ(run({"spool", "add-partitions", "/s", "2"}).called, "add /s 2");
    EXPECT_EQ(run({"sink", "--listen", "[::1]:2626"}).called, "sink [::1]:2626");
    EXPECT_EQ(run({"sink"}).code, 4);
}

TEST(CommandLine, RefusesBadUsageWithTwo) {
    for (const std::vector<const char*>& arguments : std::vector<std::vector<const char*>>{
             {},
             {"dance"},
             {"serve", "--confg", "x"},
             {"serve", "--config"},
             {"serve", "--spool", "/s"},
             {"serve", "--default", "--config", "x"},
             {"queue"},
             {"queue", "show"},
             {"queue", "show", "nonsense"},
             {"queue", "show", "000002000000G", "--content", "--json"},
             {"queue", "explain"},
             {"queue", "explain", "nonsense"},
             {"spool"},
             {"spool", "verify"},
             {"spool", "dump", "/s", "--content"},
             {"spool", "dump", "/s", "--segment", "xyz"},
             {"spool", "dump", "/s", "--partition", "256"},
             {"spool", "dump", "/s", "--message", "nonsense"},
             {"spool", "add-partitions", "/s"},
             {"spool", "add-partitions", "/s", "0"},
             {"queue", "list", "--limit", "-1"},
             {"queue", "list", "--control", "/c", "--spool", "/s"},
             {"sink", "--listen", "localhost:25"},
             {"config"}}) {
        const Outcome outcome = run(arguments);
        EXPECT_EQ(outcome.code, kExitUsage) << testing::PrintToString(arguments);
        EXPECT_EQ(outcome.called, "") << testing::PrintToString(arguments);
        EXPECT_NE(outcome.err, "") << testing::PrintToString(arguments);
    }
    EXPECT_THAT(run({"chekc"}).err, HasSubstr("\"chekc\" is no command; did you mean \"check\"?"));
    EXPECT_THAT(run({"bogus"}).err, HasSubstr("\"bogus\" is no command"));
    EXPECT_THAT(run({"queue", "lits"}).err,
                HasSubstr("\"lits\" is no command of queue; did you mean \"list\"?"));
    EXPECT_THAT(run({"queue", "list", "--limit", "-1"}).err,
                HasSubstr("\"-1\" is not a number of messages"));
    EXPECT_LT(run({"queue", "list", "--limit", "-1"}).err.size(), 200U);
    EXPECT_THAT(run({"queue", "show", "nonsense"}).err, HasSubstr("is not a queue id"));
    EXPECT_THAT(run({"sink", "--listen", "127.0.0.1"}).err, HasSubstr("lacks a port"));
}

TEST(CommandLine, HelpsAtEveryLevel) {
    EXPECT_EQ(run({"--help"}).code, 0);
    EXPECT_THAT(run({"--help"}).out, HasSubstr("Exit codes: 0"));
    for (const char* command : {"serve", "check", "sink", "queue", "config"}) {
        EXPECT_THAT(run({"--help"}).out, HasSubstr(std::string("\n  ") + command + " ")) << command;
    }
    EXPECT_THAT(run({"serve", "--help"}).out, HasSubstr("ringpost serve --config ringpost.toml"));
    EXPECT_THAT(run({"check", "--help"}).out, HasSubstr("/etc/ringpost/ringpost.toml"));
    EXPECT_THAT(run({"queue", "--help"}).out, HasSubstr("list"));
    EXPECT_THAT(run({"queue", "list", "--help"}).out, HasSubstr("--json"));
    EXPECT_THAT(run({"queue", "show", "--help"}).out, HasSubstr("ID"));
    EXPECT_THAT(run({"sink", "--help"}).out, HasSubstr("ringpost sink --listen 127.0.0.1:2626"));
    EXPECT_EQ(run({"sink", "--help"}).code, 0);
    EXPECT_EQ(run({"sink", "--help"}).called, "");
}

TEST(CommandLine, PrintsVersionReferenceAndDefault) {
    EXPECT_EQ(run({"--version"}).code, 0);
    EXPECT_EQ(run({"--version"}).out, version_text() + "\n");
    EXPECT_EQ(run({"config", "doc"}).out, config_reference());
    EXPECT_EQ(run({"config", "default", "--spool", "/s"}).out, default_config_text("/s"));
}

TEST(Version, NamesTheLibraries) {
    EXPECT_THAT(version_text(), StartsWith("ringpost " + std::string(version()) + "\n"));
    EXPECT_THAT(std::string(version()), MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
    EXPECT_THAT(version_text(), HasSubstr("\nliburing 2."));
    EXPECT_THAT(version_text(), HasSubstr("\nBoringSSL API "));
    EXPECT_THAT(version_text(), HasSubstr("\nc-ares 1."));
    EXPECT_THAT(version_text(), HasSubstr("\nmimalloc"));
}

// FIPS 180-4's examples.
TEST(Digest, IsSha256) {
    EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(sha256_hex("abc"),
              "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Spool, APlaceInMemoryOrOpenToOthersIsDoubtful) {
    std::string pattern = testing::TempDir() + "ringpost-spool-XXXXXX";
    const std::string folder = ::mkdtemp(pattern.data());
    const std::size_t usual = doubts_about_spool(folder).size();  // where tests run may be a tmpfs
    EXPECT_LE(usual, 1U);
    ASSERT_EQ(::chmod(folder.c_str(), 0770), 0);
    const std::vector<std::string> doubts = doubts_about_spool(folder);
    ASSERT_EQ(doubts.size(), usual + 1);
    EXPECT_THAT(doubts.back(), HasSubstr("may be changed by others (mode 0770)"));
    ::rmdir(folder.c_str());
    struct statfs system{};
    if (::statfs("/dev/shm", &system) == 0 && system.f_type == TMPFS_MAGIC) {
        EXPECT_THAT(doubts_about_spool("/dev/shm").front(), HasSubstr("is in memory (tmpfs)"));
    }
}

TEST(Spool, IsSeenToBeLocked) {
    std::string pattern = testing::TempDir() + "ringpost-spool-XXXXXX";
    const std::string folder = ::mkdtemp(pattern.data());
    EXPECT_FALSE(spool_is_locked(folder));
    ASSERT_EQ(::mkdir((folder + "/p000").c_str(), 0700), 0);
    for (const char* name : {"/lock", "/p000/lock"}) {
        const int holder = ::open((folder + name).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        ASSERT_GE(holder, 0);
        EXPECT_FALSE(spool_is_locked(folder));
        EXPECT_EQ(::flock(holder, LOCK_EX | LOCK_NB), 0);  // looking took nothing
        EXPECT_TRUE(spool_is_locked(folder));
        ::close(holder);
        EXPECT_FALSE(spool_is_locked(folder));
    }
    std::filesystem::remove_all(folder);
}

TEST(Timestamp, IsIso8601) {
    EXPECT_EQ(iso8601(base::wall_from_unix_ms(0)), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(iso8601(base::wall_from_unix_ms(951782399999)), "2000-02-28T23:59:59.999Z");
    EXPECT_EQ(iso8601(base::wall_from_unix_ms(951782400000)), "2000-02-29T00:00:00.000Z");
    EXPECT_EQ(iso8601(base::wall_from_unix_ms(-1)), "1969-12-31T23:59:59.999Z");

    Timestamps timestamps;
    std::string text;
    for (const std::int64_t ms : {999, 1000, 1001, 999}) {
        timestamps.append(text, base::wall_from_unix_ms(ms));
    }
    EXPECT_EQ(text,
              "1970-01-01T00:00:00.999Z1970-01-01T00:00:01.000Z"
              "1970-01-01T00:00:01.001Z1970-01-01T00:00:00.999Z");
}

TEST(Timestamp, PrintsAges) {
    EXPECT_EQ(print_age(-5), "0s");
    EXPECT_EQ(print_age(59), "59s");
    EXPECT_EQ(print_age(60), "1m00s");
    EXPECT_EQ(print_age(3599), "59m59s");
    EXPECT_EQ(print_age(3600), "1h00m");
    EXPECT_EQ(print_age(86399), "23h59m");
    EXPECT_EQ(print_age(86400), "1d00h");
}

TEST(Check, PrintsProblemsOrASummary) {
    const auto run_on = [](const std::string& path) {
        std::FILE* out = std::tmpfile();
        std::FILE* err = std::tmpfile();
        const int code = run_check({.config_path = path}, out, err);
        std::array<std::string, 2> texts;
        std::array<std::FILE*, 2> files = {out, err};
        for (std::size_t i = 0; i < files.size(); ++i) {
            std::rewind(files[i]);
            texts[i].resize(4096);
            texts[i].resize(std::fread(texts[i].data(), 1, texts[i].size(), files[i]));
            std::fclose(files[i]);
        }
        return Outcome{code, "", texts[0], texts[1]};
    };
    const std::string path = testing::TempDir() + "ringpost-check-test.toml";
    const auto write = [&path](const std::string& text) {
        std::FILE* file = std::fopen(path.c_str(), "w");
        ASSERT_NE(file, nullptr);
        std::fwrite(text.data(), 1, text.size(), file);
        std::fclose(file);
    };
    write(default_config_text("/s"));
    const Outcome good = run_on(path);
    EXPECT_EQ(good.code, 0);
    EXPECT_THAT(good.out, StartsWith(path + ": ok\n"));
    EXPECT_THAT(good.out, HasSubstr("127.0.0.1:2525 (smtp)"));
    EXPECT_THAT(good.out,
                HasSubstr("retry     5s, 30s, 5m; expires after 5d; senders are told of a "
                          "delay after 4h\n"));
    EXPECT_EQ(good.err, "");
    write(default_config_text("/s") + "retry = [\"1m\"]\nexpire = \"1d\"\ndelay_notice = \"0s\"\n");
    EXPECT_THAT(run_on(path).out,
                HasSubstr("retry     1m; expires after 1d; senders are not told of a delay\n"));
    write("hostnme = \"x\"\n");
    const Outcome bad = run_on(path);
    EXPECT_EQ(bad.code, 1);
    EXPECT_EQ(bad.out, "");
    EXPECT_THAT(bad.err,
                HasSubstr(path + ":1:1: unknown key \"hostnme\"; did you mean \"hostname\"?\n"));
    EXPECT_EQ(run_on("/nonexistent").code, 1);
    std::remove(path.c_str());
}

}  // namespace
}  // namespace app
