#include "app/log.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>

#include "app/log_line.h"
#include "app/log_record.h"
#include "app/log_ring.h"
#include "app/signals.h"
#include "app/timestamp.h"
#include "base/assert.h"

namespace app {
namespace {

constexpr auto kBusyWait = std::chrono::milliseconds(20);   // while there is something to write
constexpr auto kIdleWait = std::chrono::milliseconds(100);  // the longest that a line waits
// How long a stop, or who flushes, waits for a reader that does not read.
constexpr auto kPatience = std::chrono::seconds(5);
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

// Where lines go, whole as they come here. Writes to the descriptor itself, and so that it never
// waits for long inside a call: who reads a pipe may have stopped to, and a server that stops must
// not wait for that.
class StreamSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
  public:
    explicit StreamSink(std::FILE* out)
        : base_sink(std::make_unique<spdlog::pattern_formatter>(
              "%v", spdlog::pattern_time_type::utc, "")),
          descriptor_(::fileno(out)) {
        struct stat status{};
        if (::fstat(descriptor_, &status) == 0) {
            is_file_ = S_ISREG(status.st_mode);
            is_socket_ = S_ISSOCK(status.st_mode);
        }
    }
    // Lines that were given up, so far. A fragment of the first of them may stand there: the next
    // line begins a line.
    [[nodiscard]] std::uint64_t lines_lost() const { return lines_lost_; }
    // What cannot be written by then is dropped. From any thread.
    void give_up_at(std::chrono::steady_clock::time_point time) {
        give_up_at_.store(time.time_since_epoch().count(), std::memory_order_relaxed);
    }

  protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t formatted;
        formatter_->format(message, formatted);
        std::string_view rest(formatted.data(), formatted.size());
        if (torn_ && write_all("\n").empty()) {
            torn_ = false;
        }
        if (!torn_) {
            rest = write_all(rest);
            torn_ = rest.size() < formatted.size() && *(rest.data() - 1) != '\n';
        }
        lines_lost_ += static_cast<std::uint64_t>(std::ranges::count(rest, '\n'));
    }
    void flush_() override {}

  private:
    static constexpr int kLookEveryMs = 100;

    // Returns what could not be written: the disk is full, the reader is gone, or it is late. The
    // mail goes on.
    [[nodiscard]] std::string_view write_all(std::string_view bytes) const {
        while (!bytes.empty() && !late()) {
            pollfd polled{.fd = descriptor_, .events = POLLOUT, .revents = 0};
            const int ready = ::poll(&polled, 1, kLookEveryMs);
            if (ready == 0 || (ready < 0 && errno == EINTR)) {
                continue;
            }
            const ssize_t written = write(bytes);
            if (written >= 0) {
                bytes.remove_prefix(static_cast<std::size_t>(written));
            } else if (errno != EINTR && errno != EAGAIN) {
                break;
            }
        }
        return bytes;
    }
    [[nodiscard]] bool late() const {
        return std::chrono::steady_clock::now().time_since_epoch().count() >=
               give_up_at_.load(std::memory_order_relaxed);
    }
    // A pipe that poll() calls writable takes a page without waiting.
    [[nodiscard]] ssize_t write(std::string_view bytes) const {
        if (is_socket_) {
            return ::send(descriptor_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        }
        if (!is_file_ && bytes.size() > PIPE_BUF) {
            const std::size_t line_end = bytes.rfind('\n', PIPE_BUF - 1);
            bytes = bytes.substr(0, line_end == bytes.npos ? PIPE_BUF : line_end + 1);
        }
        return ::write(descriptor_, bytes.data(), bytes.size());
    }

    const int descriptor_;
    bool is_file_ = false;
    bool is_socket_ = false;
    bool torn_ = false;  // what was written last is no whole line
    std::uint64_t lines_lost_ = 0;
    std::atomic<std::int64_t> give_up_at_ = std::numeric_limits<std::int64_t>::max();
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
    void notification(const mail::NotificationEvent& event) override {
        push(mail::Severity::info, event);
    }
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
        : level_(config.level),
          sink_(std::make_shared<StreamSink>(out)),
          logger_("ringpost", sink_),
          lines_(config.format),
          sources_(shards) {
        for (std::uint32_t i = 0; i < shards; ++i) {
            shards_.push_back(std::make_unique<ShardLog>(lowest(config.level), ring_bytes));
        }
        const SignalsBlocked blocked;
        thread_ = std::thread([this] { run(); });
    }
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;
    ~Thread() {
        {
            const std::lock_guard lock(mutex_);
            stop_ = true;
        }
        sink_->give_up_at(std::chrono::steady_clock::now() + kPatience);
        wake_.notify_all();
        thread_.join();
    }

    ShardLog& shard(std::uint32_t index) {
        RP_ASSERT(index < shards_.size());
        return *shards_[index];
    }

    void notice(mail::Severity severity, std::string_view text) {
        if (severity < lowest(level_)) {
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
        flushed_.wait_for(lock, kPatience, [&] { return flush_done_ >= wanted; });
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

    // The oldest record of a ring that is not written yet, and how much of the ring this round
    // took.
    struct Source {
        std::optional<LogRecord> record;
        std::size_t taken = 0;
        std::uint64_t dropped = 0;  // as last reported
    };

    // Writes what is there now, all sources in the order of time. True when there was anything.
    bool write_round(const std::vector<Notice>& notices, std::uint64_t notices_dropped) {
        bool any = !notices.empty();
        for (std::uint32_t i = 0; i < shards_.size(); ++i) {
            sources_[i].taken = 0;
            look(i);
        }
        for (const Notice& notice : notices) {
            any = write_shards(notice.time) || any;
            put({.time = notice.time,
                 .event = NoticeEvent{.severity = notice.severity, .text = notice.text}},
                {});
        }
        any = write_shards(base::WallTime::max()) || any;
        put_dropped(notices_dropped, {});
        for (std::uint32_t i = 0; i < shards_.size(); ++i) {
            const std::uint64_t dropped = shards_[i]->ring().dropped();
            put_dropped(dropped - std::exchange(sources_[i].dropped, dropped), i);
        }
        write();
        return any;
    }

    // Records of shards up to `time`.
    bool write_shards(base::WallTime time) {
        bool any = false;
        for (;;) {
            const LogRecord* oldest = nullptr;
            std::uint32_t shard = 0;
            for (std::uint32_t i = 0; i < sources_.size(); ++i) {
                const std::optional<LogRecord>& record = sources_[i].record;
                if (record && record->time <= time &&
                    (oldest == nullptr || record->time < oldest->time)) {
                    oldest = &*record;
                    shard = i;
                }
            }
            if (oldest == nullptr) {
                return any;
            }
            put(*oldest, shard);
            shards_[shard]->ring().pop();
            look(shard);
            any = true;
        }
    }

    // In one round no more than a ring holds, so that a busy shard does not make it endless.
    void look(std::uint32_t shard) {
        Source& source = sources_[shard];
        source.record.reset();
        const std::optional<base::Bytes> bytes = shards_[shard]->ring().front();
        if (bytes && source.taken < kRingBytes) {
            source.taken += bytes->size();
            source.record = decode_log_record(*bytes);
        }
    }

    void put(const LogRecord& record, std::optional<std::uint32_t> shard) {
        lines_.append(batch_, record, shard);
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
        if (batch_.empty()) {
            return;
        }
        const std::uint64_t lost = sink_->lines_lost();
        if (lost > lost_told_) {
            const std::string text =
                std::to_string(lost - lost_told_) +
                " lines of the log before this one could not be written; see what takes standard "
                "error, and whether its disk has room";
            notice_.clear();
            lines_.append(notice_,
                          {.time = wall_now(),
                           .event = NoticeEvent{.severity = mail::Severity::warning, .text = text}},
                          {});
            notice_.append(batch_);
            batch_.swap(notice_);
        }
        logger_.log(spdlog::level::info, spdlog::string_view_t(batch_));
        if (sink_->lines_lost() == lost) {
            lost_told_ = lost;
        }
        batch_.clear();
    }

    const LogLevel level_;
    const std::shared_ptr<StreamSink> sink_;
    spdlog::logger logger_;
    LogLines lines_;
    std::vector<std::unique_ptr<ShardLog>> shards_;
    std::vector<Source> sources_;  // as shards_
    std::string batch_;
    std::string notice_;           // what is put before a batch
    std::uint64_t lost_told_ = 0;  // lines lost that a warning has told of

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
