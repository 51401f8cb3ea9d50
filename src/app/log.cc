#include "app/log.h"

#include <chrono>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_sinks.h>

#include "app/log_line.h"
#include "app/log_record.h"
#include "app/log_ring.h"
#include "base/assert.h"

namespace app {
namespace {

constexpr auto kBusyWait = std::chrono::milliseconds(20);   // while there is something to write
constexpr auto kIdleWait = std::chrono::milliseconds(100);  // the longest that a line waits
constexpr std::size_t kBatchBytes = std::size_t{64} << 10U;
constexpr std::size_t kNoticesMax = 1000;  // of the control plane, waiting

mail::Severity lowest(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
            return mail::Severity::debug;
        case LogLevel::info:
            return mail::Severity::info;
        case LogLevel::warning:
            return mail::Severity::warning;
        case LogLevel::error:
            return mail::Severity::error;
    }
    RP_PANIC("no such LogLevel");
}

base::WallTime wall_now() {
    return base::WallTime(std::chrono::duration_cast<base::Duration>(
        std::chrono::system_clock::now().time_since_epoch()));
}

// A FILE* as spdlog writes to it; the lines are whole when they come here.
class StreamSink final
    : public spdlog::sinks::stdout_sink_base<spdlog::details::console_nullmutex> {
  public:
    explicit StreamSink(std::FILE* out) : stdout_sink_base(out) {
        set_formatter(
            std::make_unique<spdlog::pattern_formatter>("%v", spdlog::pattern_time_type::utc, ""));
    }
};

class ShardLog final : public mail::EventLog {
  public:
    ShardLog(mail::Severity lowest_severity, std::size_t ring_bytes)
        : lowest_(lowest_severity), ring_(ring_bytes) {}

    void set_clock(Log::Clock clock) {
        RP_ASSERT(!clock_ && clock);
        clock_ = std::move(clock);
    }
    [[nodiscard]] LogRing& ring() { return ring_; }

    void reception(const mail::ReceptionEvent& event) override {
        push(mail::Severity::info, event);
    }
    void attempt(const mail::AttemptEvent& event) override { push(mail::Severity::info, event); }
    void removal(const mail::RemovalEvent& event) override { push(mail::Severity::info, event); }
    void notice(mail::Severity severity, std::string_view text) override {
        push(severity, NoticeEvent{.severity = severity, .text = text});
    }

  private:
    template <typename Event>
    void push(mail::Severity severity, const Event& event) {
        if (severity >= lowest_) {
            LogRecordBuffer buffer;
            ring_.push(buffer.encode(clock_(), event));
        }
    }

    const mail::Severity lowest_;
    Log::Clock clock_;
    LogRing ring_;
};

}  // namespace

class Log::Thread {
  public:
    Thread(const LogConfig& config, std::uint32_t shards, std::FILE* out, std::size_t ring_bytes)
        : config_(config),
          logger_("ringpost", std::make_shared<StreamSink>(out)),
          dropped_(shards) {
        for (std::uint32_t i = 0; i < shards; ++i) {
            shards_.push_back(std::make_unique<ShardLog>(lowest(config.level), ring_bytes));
        }
        sigset_t all;
        sigset_t before;
        ::sigfillset(&all);  // signals are for the main thread
        ::pthread_sigmask(SIG_SETMASK, &all, &before);
        thread_ = std::thread([this] { run(); });
        ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;
    ~Thread() {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        wake_.notify_all();
        thread_.join();
    }

    ShardLog& shard(std::uint32_t index) {
        RP_ASSERT(index < shards_.size());
        return *shards_[index];
    }

    void notice(mail::Severity severity, std::string_view text) {
        if (severity < lowest(config_.level)) {
            return;
        }
        const std::lock_guard lock(mutex_);
        if (notices_.size() < kNoticesMax) {
            notices_.push_back(
                {.time = wall_now(), .severity = severity, .text = std::string(text)});
        } else {
            ++notices_dropped_;
        }
    }

    void flush() {
        std::unique_lock lock(mutex_);
        const std::uint64_t wanted = ++flush_wanted_;
        wake_.notify_all();
        flushed_.wait(lock, [&] { return flush_done_ >= wanted; });
    }

  private:
    struct Notice {
        base::WallTime time;
        mail::Severity severity;
        std::string text;
    };

    void run() {
        bool busy = false;
        while (true) {
            std::unique_lock lock(mutex_);
            wake_.wait_for(lock, busy ? kBusyWait : kIdleWait,
                           [this] { return stop_ || flush_wanted_ > flush_done_; });
            const bool last = stop_;
            const std::uint64_t flush_up_to = flush_wanted_;
            std::vector<Notice> notices = std::exchange(notices_, {});
            const std::uint64_t notices_dropped = std::exchange(notices_dropped_, 0);
            lock.unlock();

            busy = write_round(notices, notices_dropped);

            lock.lock();
            flush_done_ = flush_up_to;
            flushed_.notify_all();
            if (last) {
                return;
            }
        }
    }

    // Writes what is there now. True when there was anything.
    bool write_round(const std::vector<Notice>& notices, std::uint64_t notices_dropped) {
        bool any = !notices.empty();
        for (const Notice& notice : notices) {
            put({.time = notice.time,
                 .event = NoticeEvent{.severity = notice.severity, .text = notice.text}},
                {});
        }
        put_dropped(notices_dropped, {});
        for (std::uint32_t i = 0; i < shards_.size(); ++i) {
            LogRing& ring = shards_[i]->ring();
            // No more than a ring holds, so that a busy shard cannot keep the others waiting.
            std::size_t taken = 0;
            for (auto bytes = ring.front(); bytes && taken < kRingBytes; bytes = ring.front()) {
                taken += bytes->size();
                put(decode_log_record(*bytes), i);
                ring.pop();
                any = true;
            }
            const std::uint64_t dropped = ring.dropped();
            put_dropped(dropped - std::exchange(dropped_[i], dropped), i);
        }
        write();
        return any;
    }

    void put(const LogRecord& record, std::optional<std::uint32_t> shard) {
        append_log_line(batch_, config_.format, record, shard);
        if (batch_.size() >= kBatchBytes) {
            write();
        }
    }

    void put_dropped(std::uint64_t count, std::optional<std::uint32_t> shard) {
        if (count > 0) {
            const std::string text =
                std::to_string(count) +
                " log events were dropped, since the log could not be written as fast as mail "
                "passed; see what reads standard error";
            put({.time = wall_now(),
                 .event = NoticeEvent{.severity = mail::Severity::warning, .text = text}},
                shard);
        }
    }

    void write() {
        if (!batch_.empty()) {
            logger_.log(spdlog::level::info, spdlog::string_view_t(batch_));
            batch_.clear();
        }
    }

    const LogConfig config_;
    spdlog::logger logger_;
    std::vector<std::unique_ptr<ShardLog>> shards_;
    std::vector<std::uint64_t> dropped_;  // of each ring, as last reported
    std::string batch_;

    std::mutex mutex_;  // guards what follows
    std::condition_variable wake_;
    std::condition_variable flushed_;
    std::vector<Notice> notices_;
    std::uint64_t notices_dropped_ = 0;
    std::uint64_t flush_wanted_ = 0;
    std::uint64_t flush_done_ = 0;
    bool stop_ = false;

    std::thread thread_;
};

Log::Log(const LogConfig& config, std::uint32_t shards, std::FILE* out, std::size_t ring_bytes)
    : thread_(std::make_unique<Thread>(config, shards, out, ring_bytes)) {}
Log::~Log() = default;

mail::EventLog& Log::open_shard(std::uint32_t shard, Clock clock) {
    ShardLog& log = thread_->shard(shard);
    log.set_clock(std::move(clock));
    return log;
}

void Log::notice(mail::Severity severity, std::string_view text) {
    thread_->notice(severity, text);
}
void Log::flush() {
    thread_->flush();
}

}  // namespace app
