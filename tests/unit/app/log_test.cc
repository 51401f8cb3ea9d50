#include "app/log.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/log_ring.h"

namespace app {
namespace {

using testing::HasSubstr;
using testing::Not;

// What the log writes, read back.
class Written {
  public:
    Written() : file_(std::tmpfile()) {}
    Written(const Written&) = delete;
    Written& operator=(const Written&) = delete;
    ~Written() { std::fclose(file_); }

    [[nodiscard]] std::FILE* file() const { return file_; }
    [[nodiscard]] std::string text() const {
        std::rewind(file_);
        std::string text(std::size_t{8} << 20U, '\0');
        text.resize(std::fread(text.data(), 1, text.size(), file_));
        return text;
    }

  private:
    std::FILE* file_;
};

mail::ReceptionEvent reception() {
    mail::ReceptionEvent event;
    event.id = mail::QueueId(0, 1, 1);
    return event;
}
mail::AttemptEvent attempt(std::string_view reply) {
    mail::AttemptEvent event;
    event.id = mail::QueueId(0, 1, 1);
    event.reply = reply;
    return event;
}
mail::RemovalEvent removal() {
    mail::RemovalEvent event;
    event.id = mail::QueueId(0, 1, 1);
    return event;
}

base::WallTime fixed_time() {
    return base::wall_from_unix_ms(1795312091123);
}

TEST(Log, WritesEventsOfShardsAndNotices) {
    const Written written;
    {
        Log log({}, 2, written.file());
        mail::EventLog& shard = log.open_shard(1, fixed_time);
        shard.reception(reception());
        shard.attempt(attempt("250 ok"));
        shard.removal(removal());
        shard.notice(mail::Severity::warning, "of the shard");
        log.notice(mail::Severity::info, "of the control plane");
        log.flush();
        const std::string text = written.text();
        EXPECT_EQ(std::ranges::count(text, '\n'), 5);
        EXPECT_THAT(text, HasSubstr("2026-11-22T01:48:11.123Z info reception shard=1 id="));
        EXPECT_THAT(text, HasSubstr(" info attempt shard=1 id="));
        EXPECT_THAT(text, HasSubstr(" info removal shard=1 id="));
        EXPECT_THAT(text, HasSubstr(" warning notice shard=1 of the shard\n"));
        EXPECT_THAT(text, HasSubstr("Z info notice of the control plane\n"));
    }
}

TEST(Log, EndsWithEverythingWritten) {
    const Written written;
    {
        Log log({.format = LogFormat::json, .level = LogLevel::info}, 1, written.file());
        mail::EventLog& shard = log.open_shard(0, fixed_time);
        for (int i = 0; i < 1000; ++i) {
            shard.removal(removal());
        }
    }
    EXPECT_EQ(std::ranges::count(written.text(), '\n'), 1000);
}

TEST(Log, LeavesOutWhatIsBelowItsLevel) {
    const Written written;
    {
        Log log({.format = LogFormat::text, .level = LogLevel::warning}, 1, written.file());
        mail::EventLog& shard = log.open_shard(0, fixed_time);
        shard.removal(removal());
        shard.notice(mail::Severity::debug, "one");
        shard.notice(mail::Severity::error, "two");
        log.notice(mail::Severity::info, "three");
        log.notice(mail::Severity::warning, "four");
    }
    EXPECT_THAT(written.text(), Not(HasSubstr("removal")));
    EXPECT_THAT(written.text(), Not(HasSubstr("one")));
    EXPECT_THAT(written.text(), HasSubstr("error notice shard=0 two"));
    EXPECT_THAT(written.text(), Not(HasSubstr("three")));
    EXPECT_THAT(written.text(), HasSubstr("warning notice four"));
}

// The ring is smaller than what is logged at once; whatever the thread manages to take, lines and
// drops add up.
TEST(Log, SaysHowManyEventsWereDropped) {
    constexpr std::uint64_t kEvents = 20'000;
    const Written written;
    {
        Log log({}, 1, written.file(), 4 * LogRing::kRecordBytesMax);
        mail::EventLog& shard = log.open_shard(0, fixed_time);
        const std::string reply(900, 'x');
        for (std::uint64_t i = 0; i < kEvents; ++i) {
            shard.attempt(attempt(reply));
        }
    }
    const std::string text = written.text();
    std::uint64_t lines = 0;
    std::uint64_t dropped = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::string line = text.substr(at, text.find('\n', at) - at);
        at += line.size() + 1;
        if (const std::size_t notice = line.find("notice shard=0 "); notice != std::string::npos) {
            EXPECT_THAT(line, HasSubstr(" log events were dropped"));
            dropped += std::stoull(line.substr(notice + 15));
        } else {
            ++lines;
        }
    }
    EXPECT_GT(dropped, 0U);
    EXPECT_EQ(lines + dropped, kEvents);
}

// As when what reads standard error hangs: the pipe is full for good.
TEST(Log, EndsThoughNobodyReads) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    std::FILE* file = ::fdopen(ends[1], "w");
    {
        Log log({}, 1, file);
        mail::EventLog& shard = log.open_shard(0, fixed_time);
        const std::string reply(900, 'x');
        for (int i = 0; i < 500; ++i) {
            shard.attempt(attempt(reply));
        }
        log.notice(mail::Severity::info, "stopped");
    }
    std::fclose(file);
    ::close(ends[0]);
}

// As when it reads now and then: the end is bounded as a whole, not each write.
TEST(Log, EndsThoughTheReaderIsSlow) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    std::FILE* file = ::fdopen(ends[1], "w");
    std::atomic<bool> ended = false;
    std::atomic<bool> read_all = false;
    std::thread reader([&] {
        std::vector<char> some(4096);
        std::size_t bytes = 0;
        while (!ended && bytes < 2000 * 900) {
            bytes += static_cast<std::size_t>(::read(ends[0], some.data(), some.size()));
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
        read_all = !ended;
    });
    {
        Log log({}, 1, file, std::size_t{4} << 20U);
        mail::EventLog& shard = log.open_shard(0, fixed_time);
        const std::string reply(900, 'x');
        for (int i = 0; i < 2000; ++i) {
            shard.attempt(attempt(reply));
        }
    }
    ended = true;
    std::fclose(file);
    reader.join();
    ::close(ends[0]);
    EXPECT_FALSE(read_all);
}

// As on a full disk: what was begun there ends as a line, and a warning tells of what is missing.
TEST(Log, ATornLineIsEndedAndWhatIsMissingTold) {
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    ::signal(SIGXFSZ, SIG_IGN);
    const Written written;
    {
        Log log({}, 1, written.file());
        mail::EventLog& shard = log.open_shard(0, fixed_time);
        const std::string reply(900, 'x');
        rlimit small = before;
        small.rlim_cur = 2500;
        ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
        for (int i = 0; i < 5; ++i) {
            shard.attempt(attempt(reply));
        }
        log.flush();
        ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
        log.notice(mail::Severity::info, "there is room");
        log.flush();
        log.notice(mail::Severity::info, "and more");
    }
    std::vector<std::string> lines;
    std::istringstream text(written.text());
    for (std::string line; std::getline(text, line);) {
        lines.push_back(line);
    }
    ASSERT_EQ(lines.size(), 6U) << written.text();
    EXPECT_EQ(lines[2].find("\""), lines[2].rfind("\"")) << "the third is cut off: " << lines[2];
    EXPECT_THAT(lines[3], HasSubstr("warning notice 3 lines of the log before this one could not"));
    EXPECT_THAT(lines[4], HasSubstr("info notice there is room"));
    EXPECT_THAT(lines[5], HasSubstr("info notice and more"));
}

TEST(Log, WritesShardsAndNoticesInTheOrderOfTime) {
    const Written written;
    {
        Log log({}, 2, written.file());
        std::int64_t ms = 1000;
        const auto clock = [&ms] { return base::wall_from_unix_ms(ms); };
        mail::EventLog& first = log.open_shard(0, clock);
        mail::EventLog& second = log.open_shard(1, clock);
        for (int i = 0; i < 50; ++i, ++ms) {
            (i % 3 == 0 ? first : second)
                .notice(mail::Severity::info, "event " + std::to_string(i));
        }
        log.notice(mail::Severity::info, "stopped");
        log.flush();
    }
    const std::string text = written.text();
    std::size_t at = 0;
    for (int i = 0; i < 50; ++i) {
        const std::size_t next = text.find(" event " + std::to_string(i) + "\n");
        ASSERT_NE(next, std::string::npos) << i;
        EXPECT_GE(next, at) << i;
        at = next;
    }
    EXPECT_THAT(text, testing::EndsWith(" stopped\n"));
}

TEST(Log, ManyThreadsMayFlushAndNotice) {
    const Written written;
    {
        Log log({}, 1, written.file());
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&log] {
                for (int j = 0; j < 50; ++j) {
                    log.notice(mail::Severity::info, "x");
                    log.flush();
                }
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
    }
    EXPECT_EQ(std::ranges::count(written.text(), '\n'), 200);
}

}  // namespace
}  // namespace app
