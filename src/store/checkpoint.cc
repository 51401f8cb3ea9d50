#include "store/checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "store/checkpoint_reader.h"

namespace store {
namespace {

constexpr const char* kTemporary = "checkpoint.tmp";

}  // namespace

Checkpointer::Checkpointer(const Links& links)
    : links_(links), memory_(format::CheckpointPage::kBytes) {
    segments_.reserve(kSegmentsUsual);
}

bool Checkpointer::due() const {
    if (links_.bytes == 0 || !links_.committer.started()) {
        return false;
    }
    const std::uint64_t limit = std::max(links_.bytes, 2 * kept_.newer_bytes);
    return (requested_ && behind() > 0) || behind() >= limit ||
           kept_.searched_bytes >= kSearchedMost * limit;
}

std::uint64_t Checkpointer::behind() const {
    return kept_.behind_bytes + links_.committer.durable_bytes() - log_bytes_;
}

void Checkpointer::poll() {
    if (!writing_ && due()) {
        wakeup_.wake();
    }
    if (waits_for_log_ && !must_wait_for_log()) {
        waits_for_log_ = false;
        wakeup_.wake();
    }
}

void Checkpointer::stop() {
    stopping_ = true;
    wakeup_.wake();
}

rt::Task<void> Checkpointer::run() {
    while (!stopping_ && !dead()) {
        if (due()) {
            co_await write();
        } else {
            co_await wakeup_.woken("a checkpoint to be due");
        }
    }
}

rt::Task<void> Checkpointer::write_last() {
    stopping_ = false;
    if (links_.bytes > 0 && !dead() && behind() > 0) {
        co_await write();
    }
}

rt::Task<void> Checkpointer::write() {
    writing_ = true;
    requested_ = false;
    ++links_.counters.checkpoints_begun;
    log_bytes_ = links_.committer.durable_bytes();
    kept_.behind_bytes = 0;
    kept_.searched_bytes = 0;
    start_ = links_.committer.position();
    rules_.assign(links_.rules.durable().begin(), links_.rules.durable().end());
    newest_rule_ = links_.rules.newest_durable();
    ++kept_.highest;
    seed_ = checkpoint_seed(links_.files, kept_.highest);
    base::Status written = co_await write_file(false);
    const bool full = !written.has_value() &&
                      (written.error().number() == ENOSPC || written.error().number() == EDQUOT);
    if (full && kept_.older != 0 && !dead()) {
        written = co_await write_file(true);
    }
    file_ = io::OwnedHandle();
    page_.reset();
    if (written.has_value()) {
        co_await remove_old();
        covered_below_ = kept_.newer_start;
        kept_.older = kept_.newer;
        kept_.newer = kept_.highest;
        kept_.newer_start = start_.segment;
        kept_.newer_bytes = std::uint64_t{page_number_} * format::CheckpointPage::kBytes;
        ++links_.counters.checkpoints;
        links_.counters.checkpoint_bytes += kept_.newer_bytes;
    } else if (!dead() && written.error().number() != ECANCELED) {
        links_.files.log.notice(mail::Severity::warning,
                                "cannot write a checkpoint in " + links_.files.path + ": " +
                                    written.error().describe() +
                                    "; the next start takes longer, and space is given back later");
    }
    ++links_.counters.checkpoints_ended;
    writing_ = false;
}

rt::Task<base::Status> Checkpointer::open_file(bool over_older) {
    // What a failed one left, with its old bytes.
    op_.prepare_unlink(links_.files.directory, kTemporary);
    static_cast<void>(co_await op_.submit(links_.files.shard));
    if (over_older) {
        name_ = format::checkpoint_name(std::exchange(kept_.older, 0));
        op_.prepare_rename(links_.files.directory, name_.c_str(), kTemporary);
        std::int32_t result = co_await op_.submit(links_.files.shard);
        if (result >= 0) {
            // Else the name could come back, after a crash, with what was written over.
            op_.prepare_sync(links_.files.directory);
            result = co_await op_.submit(links_.files.shard);
        }
        if (result < 0) {
            co_return base::fail(-result);
        }
    }
    io::OpenMode mode;
    mode.write = true;
    mode.create = true;
    mode.direct = links_.files.direct;
    op_.prepare_open(links_.files.directory, kTemporary, mode);
    const std::int32_t opened = co_await op_.submit(links_.files.shard);
    if (opened < 0) {
        co_return base::fail(-opened);
    }
    file_ = io::OwnedHandle(links_.files.shard.driver(), opened);
    co_return base::Status();
}

rt::Task<base::Status> Checkpointer::write_file(bool over_older) {
    page_number_ = 0;
    next_slot_ = 0;
    next_recipient_ = 0;
    partial_ = {};
    const base::Status opened = co_await open_file(over_older);
    if (!opened.has_value()) {
        co_return opened;
    }
    base::Status status = co_await write_start();
    if (status.has_value()) {
        status = co_await write_pages();
    }
    if (status.has_value()) {
        status = co_await wait_for_log();
    }
    if (status.has_value()) {
        op_.prepare_sync(file_.get());
        const std::int32_t synced = co_await op_.submit(links_.files.shard);
        if (synced < 0) {
            status = base::fail(-synced);
        }
    }
    if (status.has_value()) {
        status = co_await put_in_place();
    }
    co_return status;
}

void Checkpointer::begin_page() {
    page_.emplace(memory_.bytes(), kept_.highest, page_number_);
}

template <typename T>
rt::Task<base::Status> Checkpointer::put_all(std::span<const T> items) {
    for (const T& item : items) {
        if (page_->put(item)) {
            continue;
        }
        const base::Status status = co_await write_page(false);
        if (!status.has_value()) {
            co_return status;
        }
        const bool put = page_->put(item);
        RP_ASSERT(put);
    }
    co_return base::Status();
}

// Where the log goes on, and the segments and rules before that.
rt::Task<base::Status> Checkpointer::write_start() {
    segments_.clear();
    for (std::size_t i = 0; i < links_.segments.size(); ++i) {
        const Segment& segment = links_.segments.at(i);
        segments_.push_back({segment.id, segment.end, segment.last_sequence,
                             segment.moved ? format::CheckpointSegment::kMoved : 0U, 0});
    }
    format::CheckpointStart start;
    start.sequence = start_.sequence;
    start.segment = start_.segment;
    start.offset = start_.offset;
    start.first_segment = links_.committer.durable_first();
    start.salvaged_below = links_.committer.epoch().salvaged_below;
    start.epoch = links_.committer.epoch().epoch;
    start.segments = static_cast<std::uint32_t>(segments_.size());
    start.written_ms = base::unix_ms(links_.files.shard.wall_now());
    start.rules = static_cast<std::uint32_t>(rules_.size());
    start.newest_rule = newest_rule_;
    begin_page();
    const bool fits = page_->put(start);
    RP_ASSERT(fits);
    base::Status status = co_await put_all(std::span<const format::CheckpointSegment>(segments_));
    if (status.has_value()) {
        status = co_await put_all(std::span<const Rule>(rules_));
    }
    co_return status;
}

rt::Task<base::Status> Checkpointer::write_pages() {
    while (true) {
        const Filled filled = fill_page();
        if (filled == Filled::more) {
            co_await rt::NextTurn();
        } else {
            const bool last = filled == Filled::all;
            const base::Status status = co_await write_page(last);
            if (last || !status.has_value()) {
                co_return status;
            }
        }
        if (dead() || stopping_) {
            co_return base::fail(ECANCELED);
        }
    }
}

Checkpointer::Filled Checkpointer::fill_page() {
    for (std::size_t looked = 0; looked < kSlotsPerTurn; ++looked) {
        if (next_slot_ == links_.table.slots()) {
            return Filled::all;
        }
        const Message* message = links_.table.slot(next_slot_);
        if (message == nullptr) {
            ++next_slot_;
            next_recipient_ = 0;
            continue;
        }
        if (message->id() != partial_) {  // another one lives there by now
            partial_ = message->id();
            next_recipient_ = 0;
        }
        next_recipient_ +=
            page_->put(*message, links_.table.other_segments(*message), next_recipient_);
        if (next_recipient_ < message->recipients().size()) {
            return Filled::full;
        }
        ++next_slot_;
        next_recipient_ = 0;
    }
    return Filled::more;
}

rt::Task<base::Status> Checkpointer::write_page(bool last) {
    page_->finish(seed_, last);
    op_.prepare_write(file_.get(), memory_.bytes(), std::uint64_t{page_number_} * memory_.size());
    const std::int32_t result = co_await op_.submit(links_.files.shard);
    ++page_number_;
    begin_page();
    if (result < 0) {
        co_return base::fail(-result);
    }
    if (static_cast<std::size_t>(result) != memory_.size()) {
        co_return base::fail(ENOSPC);
    }
    co_return base::Status();
}

// Not where the log has no room: then it is the checkpoint that gives it some.
bool Checkpointer::must_wait_for_log() const {
    return links_.committer.records_durable() < table_records_ &&
           !links_.committer.outcomes_stuck() && !stopping_ && !dead();
}

rt::Task<base::Status> Checkpointer::wait_for_log() {
    table_records_ = links_.committer.records_taken();
    while (must_wait_for_log()) {
        waits_for_log_ = true;
        co_await wakeup_.woken("the log to have what a checkpoint has");
    }
    waits_for_log_ = false;
    co_return stopping_ || dead() ? base::fail(ECANCELED) : base::Status();
}

rt::Task<base::Status> Checkpointer::put_in_place() {
    name_ = format::checkpoint_name(kept_.highest);
    op_.prepare_rename(links_.files.directory, kTemporary, name_.c_str());
    std::int32_t result = co_await op_.submit(links_.files.shard);
    if (result >= 0) {
        op_.prepare_sync(links_.files.directory);
        result = co_await op_.submit(links_.files.shard);
    }
    co_return result < 0 ? base::fail(-result) : base::Status();
}

// All but the new one and the one before it. A name that comes back after a crash does no harm: a
// start takes the newest.
rt::Task<void> Checkpointer::remove_old() {
    if (kept_.older != 0) {
        kept_.stale.push_back(kept_.older);
    }
    while (!kept_.stale.empty()) {
        name_ = format::checkpoint_name(kept_.stale.back());
        kept_.stale.pop_back();
        op_.prepare_unlink(links_.files.directory, name_.c_str());
        static_cast<void>(co_await op_.submit(links_.files.shard));
    }
}

}  // namespace store
