#include "store/segment_pool.h"

#include <algorithm>
#include <cerrno>

namespace store {
namespace {

constexpr const char* kNewName = "new.tmp";
constexpr const char* kRecycleName = "recycle.tmp";

// What passes when someone frees space, raises a quota or closes files.
bool passes(int error) {
    return error == ENOSPC || error == EDQUOT || error == EMFILE || error == ENFILE ||
           error == ENOMEM;
}

base::Status status_of(std::int32_t result) {
    if (result < 0) {
        return base::fail(-result);
    }
    return {};
}

}  // namespace

io::OpenMode append_mode(const PartitionFiles& files) {
    io::OpenMode mode;
    mode.write = !files.read_only;
    mode.direct = files.direct;
    mode.dsync = files.direct && !files.read_only;
    return mode;
}

SegmentPool::SegmentPool(PartitionFiles& files, const Options& options)
    : files_(files), options_(options), header_(format::kBlock) {}

bool SegmentPool::dead() {
    return files_.shard.driver().dead();
}

std::unique_ptr<Segment> SegmentPool::take() {
    RP_ASSERT(!prepared_.empty());
    std::unique_ptr<Segment> segment = std::move(prepared_.front());
    prepared_.pop_front();
    wakeup_.wake();
    return segment;
}

void SegmentPool::give_back(std::unique_ptr<Segment> segment) {
    RP_ASSERT(segment->live == 0 && segment->pins == 0);
    if (!segment->damaged && segment->bytes == small_bytes() && reserve_.size() < kReserve) {
        reserve_.push_back(std::move(segment));
    } else {
        free_.push_back(std::move(segment));
    }
    sleep_.interrupt();
    wakeup_.wake();
}

void SegmentPool::want_all() {
    if (wanted_ < options_.ahead) {
        wanted_ = options_.ahead;
        wakeup_.wake();
    }
}

void SegmentPool::try_anew() {
    failures_ = 0;
    sleep_.interrupt();
}

void SegmentPool::stop() {
    if (!stopping_) {
        stopping_ = true;
        sleep_.interrupt();
        wakeup_.wake();
    }
}

rt::Task<void> SegmentPool::run() {
    while (!stopping_ && !dead()) {
        base::Status status;
        const bool reserve_first = !prepared_.empty() && !starved_;
        if (reserve_first && reserve_.size() < kReserve) {
            base::Result<std::unique_ptr<Segment>> made = co_await create(small_bytes());
            if (made.has_value()) {
                reserve_.push_back(std::move(*made));
            } else {
                status = base::fail(made.error().number());
            }
        } else if (!reserve_first || prepared_.size() < wanted_) {
            status = co_await prepare();
        } else if (free_.size() > kFreeKept) {
            std::unique_ptr<Segment> segment = std::move(free_.front());
            free_.pop_front();
            status = co_await remove(std::move(segment));
        } else {
            co_await wakeup_.woken("work for the segment pool");
            continue;
        }
        if (dead()) {
            break;
        }
        if (status.has_value()) {
            continue;
        }
        if (!passes(status.error().number())) {
            files_.shard.driver().fatal("cannot prepare a segment in " + files_.path + ": " +
                                        status.error().describe() +
                                        "; check the disk, then start again");
            break;
        }
        note_starved(status.error());
        const base::MonoTime again = files_.shard.now() + options_.space_retry;
        if (!stopping_) {
            co_await sleep_.until(again);
        }
    }
}

void SegmentPool::note_starved(const base::Error& error) {
    if (!starved_) {
        starved_ = true;
        const bool files = error.number() == EMFILE || error.number() == ENFILE;
        files_.log.notice(mail::Severity::error,
                          "cannot prepare a segment in " + files_.path + ": " + error.describe() +
                              "; no new mail is taken until there is room" +
                              (files ? " for open files (LimitNOFILE=, ulimit -n)" : "") +
                              ", what is queued goes on");
    }
}

rt::Task<base::Status> SegmentPool::prepare() {
    base::Status status;
    while (!free_.empty()) {
        std::unique_ptr<Segment> segment = std::move(free_.front());
        free_.pop_front();
        if (!segment->damaged && segment->bytes == options_.segment_bytes) {
            status = co_await recycle(std::move(segment));
            if (status.has_value()) {
                end_starvation();
            }
            co_return status;
        }
        status = co_await remove(std::move(segment));
        if (!status.has_value()) {
            co_return status;
        }
    }
    base::Result<std::unique_ptr<Segment>> made = co_await create(options_.segment_bytes);
    if (made.has_value()) {
        prepared_.push_back(std::move(*made));
        end_starvation();
        co_return base::Status();
    }
    status = std::unexpected(made.error());
    if (passes(status.error().number()) && prepared_.size() < kSmallPrepared) {
        note_starved(status.error());
        status = co_await prepare_small();
        failures_ = status.has_value() ? 0 : std::min(failures_ + 1, kFailuresMost);
    }
    co_return status;
}

// Content is not to be cut into small segments when there is room for whole ones.
void SegmentPool::end_starvation() {
    if (!starved_) {
        return;
    }
    starved_ = false;
    failures_ = 0;
    for (std::size_t i = 0; i < prepared_.size();) {
        if (prepared_[i]->bytes == options_.segment_bytes) {
            ++i;
            continue;
        }
        std::unique_ptr<Segment> small = std::move(prepared_[i]);
        prepared_.erase(prepared_.begin() + static_cast<std::ptrdiff_t>(i));
        give_back(std::move(small));
    }
}

rt::Task<base::Status> SegmentPool::prepare_small() {
    if (!reserve_.empty()) {
        std::unique_ptr<Segment> segment = std::move(reserve_.front());
        reserve_.pop_front();
        const base::Status status = co_await recycle(std::move(segment));
        co_return status;
    }
    base::Result<std::unique_ptr<Segment>> made = co_await create(small_bytes());
    if (!made.has_value()) {
        co_return std::unexpected(made.error());
    }
    prepared_.push_back(std::move(*made));
    co_return base::Status();
}

rt::Task<base::Result<std::unique_ptr<Segment>>> SegmentPool::create(std::uint64_t bytes) {
    io::OpenMode mode;
    mode.write = true;
    mode.create = true;
    mode.direct = files_.direct;
    op_.prepare_open(files_.directory, kNewName, mode);
    std::int32_t result = co_await op_.submit(files_.shard);
    if (result == -EINVAL && files_.direct) {
        files_.direct = false;
        files_.log.notice(mail::Severity::info,
                          files_.path +
                              ": the file system has no direct I/O; writing buffered, "
                              "with a sync per batch");
        mode.direct = false;
        op_.prepare_open(files_.directory, kNewName, mode);
        result = co_await op_.submit(files_.shard);
    }
    if (result < 0) {
        co_return base::fail(-result);
    }
    io::OwnedHandle file(files_.shard.driver(), result);
    base::Status status = co_await fill(file.get(), bytes);
    file.reset();
    if (status.has_value()) {
        // Opened anew under the temporary name, so that nothing can fail once the name is in place.
        op_.prepare_open(files_.directory, kNewName, append_mode(files_));
        result = co_await op_.submit(files_.shard);
        status = status_of(result);
    }
    if (!status.has_value()) {
        op_.prepare_unlink(files_.directory, kNewName);
        const std::int32_t ignored = co_await op_.submit(files_.shard);
        static_cast<void>(ignored);  // recovery removes it otherwise
        co_return std::unexpected(status.error());
    }
    auto segment = std::make_unique<Segment>();
    segment->bytes = bytes;
    segment->handle = io::OwnedHandle(files_.shard.driver(), result);
    status = files_.shard.driver().try_lock(segment->handle.get());
    if (status.has_value()) {
        status = co_await put_in_place(kNewName, next_);
    }
    if (!status.has_value()) {
        co_return std::unexpected(status.error());
    }
    ++created_;
    number(*segment);
    co_return std::move(segment);
}

std::uint64_t SegmentPool::bytes() const {
    std::uint64_t bytes = 0;
    for (const auto* segments : {&prepared_, &free_, &reserve_}) {
        for (const std::unique_ptr<Segment>& segment : *segments) {
            bytes += segment->bytes;
        }
    }
    return bytes;
}

void SegmentPool::number(Segment& segment) {
    segment.id = next_++;
    segment.seed = format::PlaceSeed(files_.store, files_.partition, segment.id);
    segment.end = format::kBlock;
    segment.last_sequence = 0;
    segment.moved = false;
    segment.cleaning = false;
    segment.until_covered = false;
}

rt::Task<base::Status> SegmentPool::fill(io::Handle file, std::uint64_t bytes) {
    base::Status status = co_await write_zeros(file, bytes);
    if (status.has_value()) {
        status = co_await write_header(file, bytes);
    }
    co_return status;
}

rt::Task<base::Status> SegmentPool::write_zeros(io::Handle file, std::uint64_t bytes) {
    op_.prepare_allocate(file, 0, bytes);
    std::int32_t result = co_await op_.submit(files_.shard);
    if (result < 0 && result != -EOPNOTSUPP) {
        co_return base::fail(-result);
    }
    if (zeros_.size() == 0) {
        zeros_ = AlignedBuffer(std::min<std::uint64_t>(kZerosBytes, options_.segment_bytes));
    }
    std::uint64_t offset = 0;
    while (offset < bytes) {
        const std::uint64_t size = std::min<std::uint64_t>(zeros_.size(), bytes - offset);
        op_.prepare_write(file, zeros_.bytes().first(size), offset);
        result = co_await op_.submit(files_.shard);
        if (result < 0) {
            co_return base::fail(-result);
        }
        // A short write is followed by its cause; in whole blocks, so that it can be.
        offset += static_cast<std::uint64_t>(result) / format::kBlock * format::kBlock;
        if (result < static_cast<std::int32_t>(format::kBlock)) {
            co_return base::fail(ENOSPC);
        }
    }
    co_return base::Status();
}

rt::Task<base::Status> SegmentPool::write_header(io::Handle file, std::uint64_t bytes) {
    format::SegmentHeader header;
    header.store = files_.store;
    header.segment = next_;
    header.partition = files_.partition;
    header.epoch = epoch_;
    header.segment_bytes = bytes;
    header.prepared_ms = base::unix_ms(files_.shard.wall_now());
    header.watermark = watermark_;
    format::write_block(header_.bytes(), header);
    op_.prepare_write(file, header_.bytes(), 0);
    std::int32_t result = co_await op_.submit(files_.shard);
    if (result != static_cast<std::int32_t>(format::kBlock)) {
        co_return base::fail(result < 0 ? -result : EIO);
    }
    op_.prepare_sync(file);
    result = co_await op_.submit(files_.shard);
    co_return status_of(result);
}

rt::Task<base::Status> SegmentPool::put_in_place(const char* temporary, std::uint64_t id) {
    name_ = format::segment_name(id);
    op_.prepare_rename(files_.directory, temporary, name_.c_str());
    std::int32_t result = co_await op_.submit(files_.shard);
    if (result < 0) {
        co_return base::fail(-result);
    }
    op_.prepare_sync(files_.directory);
    result = co_await op_.submit(files_.shard);
    co_return status_of(result);
}

// The old name must be durably gone before the header changes: else a crash could leave the old
// name over the new header, which reads as damage.
rt::Task<base::Status> SegmentPool::recycle(std::unique_ptr<Segment> segment) {
    name_ = format::segment_name(segment->id);
    op_.prepare_rename(files_.directory, name_.c_str(), kRecycleName);
    std::int32_t result = co_await op_.submit(files_.shard);
    if (result < 0) {
        give_back(std::move(segment));
        co_return base::fail(-result);
    }
    op_.prepare_sync(files_.directory);
    result = co_await op_.submit(files_.shard);
    base::Status status = status_of(result);
    if (status.has_value()) {
        status = co_await write_header(segment->handle.get(), segment->bytes);
    }
    if (status.has_value()) {
        status = co_await put_in_place(kRecycleName, next_);
    }
    if (!status.has_value()) {
        // Half-way: neither the old segment nor the new. Whatever the cause, a restart clears it.
        co_return base::fail(EIO, status.error().describe());
    }
    ++recycled_;
    number(*segment);
    prepared_.push_back(std::move(segment));
    co_return status;
}

// No sync: a name that comes back after a crash is older than what the log holds alive.
rt::Task<base::Status> SegmentPool::remove(std::unique_ptr<Segment> segment) {
    name_ = format::segment_name(segment->id);
    if (segment->damaged) {
        other_name_ = name_ + ".damaged";
        op_.prepare_rename(files_.directory, name_.c_str(), other_name_.c_str());
    } else {
        op_.prepare_unlink(files_.directory, name_.c_str());
    }
    const std::int32_t result = co_await op_.submit(files_.shard);
    co_return status_of(result);
}

}  // namespace store
