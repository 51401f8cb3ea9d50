#include "log.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <unistd.h>

namespace bench {
namespace {

constexpr std::size_t kFileBytes = 64U << 20U;
constexpr std::size_t kAreaBytes = 1U << 20U;
constexpr std::size_t kBatchBytes = 1U << 20U;
constexpr std::size_t kPiecesMax = 1000;
constexpr std::size_t kRecordBytes = 64;  // an outcome, or the head of an envelope
constexpr std::size_t kOutcomesMax = kAreaBytes / 2 / kRecordBytes;
constexpr std::int64_t kCommitDelayNs = 1'000'000;
constexpr std::int64_t kOutcomeDelayNs = 10'000'000;
constexpr std::int64_t kNever = INT64_MAX;

std::size_t whole_blocks(std::size_t bytes) {
    return (bytes + kBlock - 1) / kBlock * kBlock;
}

}  // namespace

std::int64_t now_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Log::Log(Ring& ring, DurableMessages& owner, const char* path)
    : ring_(ring),
      owner_(owner),
      area_(static_cast<char*>(std::aligned_alloc(kBlock, kAreaBytes))) {
    std::memset(area_, 0, kAreaBytes);
    file_ = ::open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
    if (file_ < 0) die("the log", errno);
    for (std::size_t at = 0; at < kFileBytes; at += kAreaBytes) {
        if (::pwrite(file_, area_, kAreaBytes, static_cast<off_t>(at)) !=
            static_cast<ssize_t>(kAreaBytes)) {
            die("the log", errno);
        }
    }
    if (::fsync(file_) != 0) die("the log", errno);
    ::close(file_);
    file_ = ::open(path, O_RDWR | O_DIRECT | O_DSYNC | O_CLOEXEC);
    if (file_ < 0) die("the log", errno);
}

Log::~Log() {
    std::free(area_);
    ::close(file_);
}

void Log::commit(Message& message) {
    message.waiting_since_ns = now_ns();
    waiting_.push_back(&message);
    waiting_bytes_ += message.bytes;
}

void Log::outcomes(std::size_t recipients) {
    if (outcomes_ == 0) {
        outcomes_since_ns_ = now_ns();
    }
    outcomes_ += recipients;
}

std::int64_t Log::due_ns(std::size_t sessions_in_content) const {
    std::int64_t at = kNever;
    if (!waiting_.empty()) {
        if (sessions_in_content == 0 || waiting_bytes_ >= kBatchBytes) {
            return 0;
        }
        at = waiting_.front()->waiting_since_ns + kCommitDelayNs;
    }
    return outcomes_ > 0 ? std::min(at, outcomes_since_ns_ + kOutcomeDelayNs) : at;
}

std::int64_t Log::end_of_turn(std::size_t sessions_in_content) {
    if (in_flight_) {
        return -1;
    }
    const std::int64_t due = due_ns(sessions_in_content);
    if (due == kNever) {
        return -1;
    }
    const std::int64_t left = due - now_ns();
    if (left > 0) {
        return left;
    }
    write();
    return -1;
}

// Records first, then content, all in whole blocks: one write.
void Log::write() {
    vector_.assign(1, {});
    flying_bytes_ = 0;
    put_outcomes();
    while (!waiting_.empty() && fits(*waiting_.front())) {
        put(*waiting_.front());
        waiting_.pop_front();
    }
    vector_.front() = {area_, std::max(kBlock, whole_blocks(area_used_))};
    flying_bytes_ += vector_.front().iov_len;
    if (position_ + flying_bytes_ > kFileBytes) {
        position_ = 0;
    }
    io_uring_sqe& sqe = ring_.entry(this);
    io_uring_prep_writev(&sqe, file_, vector_.data(), static_cast<unsigned>(vector_.size()),
                         position_);
    in_flight_ = true;
}

void Log::put_outcomes() {
    const std::size_t taken = std::min(outcomes_, kOutcomesMax);
    area_used_ = taken * kRecordBytes;
    std::memset(area_, 1, area_used_);
    outcomes_ -= taken;
}

bool Log::fits(const Message& message) const {
    return flying_.empty() || (area_used_ + kRecordBytes + message.envelope.size() <= kAreaBytes &&
                               flying_bytes_ + message.bytes <= kBatchBytes &&
                               vector_.size() + message.chunks.size() <= kPiecesMax);
}

void Log::put(Message& message) {
    const std::size_t end = area_used_ + kRecordBytes + message.envelope.size();
    if (end > kAreaBytes) die("an envelope", EMSGSIZE);
    std::memset(area_ + area_used_, 2, kRecordBytes);
    std::memcpy(area_ + area_used_ + kRecordBytes, message.envelope.data(),
                message.envelope.size());
    area_used_ = end;
    for (std::size_t i = 0; i < message.chunks.size(); ++i) {
        vector_.push_back({message.chunks[i], whole_blocks(message.size_of(i))});
        flying_bytes_ += vector_.back().iov_len;
    }
    waiting_bytes_ -= message.bytes;
    flying_.push_back(&message);
}

void Log::done(const io_uring_cqe& cqe) {
    if (cqe.res != static_cast<int>(flying_bytes_)) {
        die("a write of the log", cqe.res < 0 ? -cqe.res : EIO);
    }
    position_ += flying_bytes_;
    in_flight_ = false;
    for (Message* const message : flying_) {
        owner_.durable(*message);
    }
    flying_.clear();
}

}  // namespace bench
