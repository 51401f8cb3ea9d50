// Opening the segments, the survey, and what follows from both; the replay is in
// recovery_replay.cc.
#include "store/recovery.h"

#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "rt/scope.h"
#include "store/log_reader.h"
#include "store/spool.h"

namespace store {

rt::Task<base::Status> lock_within(rt::Shard& shard, rt::Sleep& sleep, io::Handle file,
                                   base::Duration wait) {
    const base::MonoTime until = shard.now() + wait;
    base::Status status = shard.driver().try_lock(file);
    while (!status.has_value() && status.error().number() == EWOULDBLOCK && shard.now() < until &&
           !shard.driver().dead()) {
        const base::MonoTime again = shard.now() + std::chrono::milliseconds(100);
        co_await sleep.until(again);
        status = shard.driver().try_lock(file);
    }
    co_return status;
}

Recovery::Recovery(PartitionFiles& files, const StoreOptions& options, MessageTable& table,
                   RuleTable& rules, SegmentTable& segments,
                   std::optional<std::uint64_t> established)
    : files_(files),
      options_(options),
      established_(established.has_value()),
      watermark_(established.value_or(0)),
      walk_(files.shard, options.salvage),
      table_(table),
      rules_(rules),
      segments_(segments),
      checkpoint_(files, table, rules),
      replay_(table, rules) {}

base::Status Recovery::refuse(int error, const std::string& what) const {
    std::string sentence = files_.path + ": " + what;
    if (error == EIO) {
        sentence +=
            ". Nothing was changed. Check the disk; put the files back from a copy, or start once "
            "with `ringpost serve --salvage` to go on with what can be read";
    } else {
        sentence += advice_for(error);
    }
    return base::fail(error, sentence);
}

rt::Task<base::Status> Recovery::run(const std::vector<std::string>& names) {
    std::vector<std::uint64_t> ids;
    for (const std::string& name : names) {
        if (const auto id = format::parse_segment_name(name)) {
            ids.push_back(*id);
        }
    }
    std::ranges::sort(ids);
    base::Status status = co_await load_checkpoint(names);
    if (status.has_value()) {
        status = co_await open_segments(ids);
    }
    for (Found& found : found_) {
        if (status.has_value() && !read_before(found.segment->id)) {
            status = co_await survey(found);
        }
    }
    if (!status.has_value()) {
        co_return status;
    }
    use_checkpoint();
    status = co_await choose_base();
    if (!status.has_value()) {
        co_return status;
    }
    if (options_.salvage && !checkpointed_) {
        status = co_await take_moved();
        if (!status.has_value()) {
            co_return status;
        }
    }
    for (Found& found : found_) {
        if (found.segment->id < base_) {
            continue;
        }
        if (read_before(found.segment->id) || found.segment->moved) {
            name_ = format::segment_name(found.segment->id);
            judge_file(found);
        } else {
            status = co_await replay_segment(found);
            if (!status.has_value()) {
                co_return status;
            }
        }
    }
    status = check_moved();
    if (!status.has_value()) {
        co_return status;
    }
    if ((options_.salvage || from_before_salvage()) && !files_.read_only) {
        co_await drop_unreadable();
    }
    check_messages();
    status = verdict();
    if (status.has_value()) {
        settle();
    }
    co_return status;
}

rt::Task<base::Status> Recovery::open_segments(const std::vector<std::uint64_t>& ids) {
    found_.resize(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
        found_[i].segment = std::make_unique<Segment>();
        found_[i].segment->id = ids[i];
    }
    rt::Scope openers(files_.shard, "recovery");
    for (std::size_t i = 0; i < std::min(kOpeners, ids.size()); ++i) {
        openers.spawn(open_next());
    }
    co_await openers.join();
    for (Found& found : found_) {
        base::Status status = found.opened;
        if (status.has_value() && !files_.read_only) {
            status = co_await lock_and_sync(found);
        }
        if (!status.has_value()) {
            co_return status;
        }
    }
    co_return base::Status();
}

rt::Task<void> Recovery::open_next() {
    Opener opener;
    while (next_opened_ < found_.size()) {
        Found& found = found_[next_opened_++];
        found.opened = co_await open_segment(found, opener);
    }
}

rt::Task<base::Status> Recovery::open_segment(Found& found, Opener& opener) {
    Segment& segment = *found.segment;
    opener.name = format::segment_name(segment.id);
    io::OpenMode mode = append_mode(files_);
    opener.op.prepare_open(files_.directory, opener.name.c_str(), mode);
    std::int32_t result = co_await opener.op.submit(files_.shard);
    if (result == -EINVAL && mode.direct) {
        files_.direct = false;
        mode = append_mode(files_);
        opener.op.prepare_open(files_.directory, opener.name.c_str(), mode);
        result = co_await opener.op.submit(files_.shard);
    }
    if (result < 0) {
        co_return refuse(-result,
                         "cannot open " + opener.name + ": " + base::Error(-result).describe());
    }
    segment.handle = io::OwnedHandle(files_.shard.driver(), result);
    segment.seed = format::PlaceSeed(files_.store, files_.partition, segment.id);
    segment.end = format::kBlock;
    const base::Status status = co_await read_header(found, opener);
    co_return status;
}

// What was written before the newest checkpoint began was durable by then, and is not synced anew.
rt::Task<base::Status> Recovery::lock_and_sync(Found& found) {
    const io::Handle file = found.segment->handle.get();
    name_ = format::segment_name(found.segment->id);
    const base::Status locked =
        co_await lock_within(files_.shard, files_.sleep, file, options_.lock_wait);
    if (!locked.has_value() && locked.error().number() != EWOULDBLOCK) {
        co_return refuse(locked.error().number(),
                         "cannot lock " + name_ + ": " + locked.error().describe());
    }
    if (!locked.has_value()) {
        co_return refuse(locked.error().number(),
                         "another process has " + name_ + " open; stop it, then start again");
    }
    if (!read_before(found.segment->id)) {
        op_.prepare_sync(file);
        const std::int32_t synced = co_await op_.submit(files_.shard);
        if (synced < 0) {
            co_return refuse(-synced,
                             "cannot sync " + name_ + ": " + base::Error(-synced).describe());
        }
    }
    if (!files_.direct) {
        // The sync that ended the last process may have left pages here that are on no disk.
        files_.shard.driver().drop_cache(file);
    }
    co_return base::Status();
}

rt::Task<base::Status> Recovery::read_header(Found& found, Opener& opener) {
    Segment& segment = *found.segment;
    const base::Result<std::uint64_t> size = files_.shard.driver().file_size(segment.handle.get());
    found.file_bytes = size.value_or(0);
    segment.bytes = found.file_bytes / format::kBlock * format::kBlock;
    segment.bytes = std::min<std::uint64_t>(segment.bytes, format::kSegmentBytesMax);
    if (segment.bytes < format::kBlock) {
        segment.bytes = format::kBlock;
        co_return base::Status();
    }
    const base::Status status =
        co_await read_fully(files_.shard, opener.op, segment.handle.get(), opener.block.bytes(), 0);
    if (!status.has_value()) {
        if (options_.salvage && !files_.shard.driver().dead()) {
            co_return base::Status();
        }
        co_return refuse(status.error().number(),
                         "cannot read " + opener.name + ": " + status.error().describe());
    }
    format::SegmentHeader header;
    const format::BlockState state = format::read_block(opener.block.bytes(), header);
    if (state == format::BlockState::newer) {
        co_return refuse(EPROTONOSUPPORT, opener.name + " was written by a newer version (format " +
                                              std::to_string(header.version) +
                                              "); start that version");
    }
    found.foreign = state == format::BlockState::good &&
                    (header.store != files_.store || header.partition != files_.partition ||
                     header.segment != segment.id);
    found.header_good = state == format::BlockState::good && !found.foreign &&
                        header.segment_bytes % format::kBlock == 0 &&
                        header.segment_bytes <= format::kSegmentBytesMax;
    if (found.header_good) {
        segment.bytes = header.segment_bytes;
        epoch_ = std::max(epoch_, header.epoch);
        watermark_ = std::max(watermark_, header.watermark);
    }
    co_return base::Status();
}

rt::Task<base::Status> Recovery::survey(Found& found) {
    name_ = format::segment_name(found.segment->id);
    found.surveyed_end = log_offset(found.segment->id);
    walk_.start(*found.segment, found.surveyed_end, found.segment->bytes);
    checkpoints_.searched_bytes += found.segment->bytes - found.surveyed_end;
    while (true) {
        const base::Result<bool> more = co_await walk_.next();
        if (!more.has_value()) {
            co_return refuse(more.error().number(),
                             "cannot read " + name_ + ": " + more.error().describe());
        }
        if (!*more) {
            break;
        }
        found.surveyed_end = walk_.end();
        if ((walk_.header().flags & format::BatchHeader::kMoved) != 0) {
            found.segment->moved = true;
            found.segment->end = walk_.end();
            found.segment->last_sequence = walk_.header().sequence;
            epoch_ = std::max(epoch_, walk_.header().epoch);
            continue;
        }
        found.any_batch = true;
        note(walk_.header(), {static_cast<std::size_t>(&found - found_.data()), walk_.offset(),
                              walk_.header().first_segment});
        if ((walk_.header().flags & format::BatchHeader::kOpens) != 0) {
            const base::Result<bool> valid = co_await walk_.read_records();
            if (!valid.has_value()) {
                co_return refuse(valid.error().number(),
                                 "cannot read " + name_ + ": " + valid.error().describe());
            }
            if (*valid) {
                note_opening(found.segment->id);
            }
        }
    }
    co_return base::Status();
}

void Recovery::note(const format::BatchHeader& header, const Place& place) {
    watermark_ = std::max(watermark_, header.watermark);
    epoch_ = std::max(epoch_, header.epoch);
    if (header.sequence > top_.sequence) {
        second_ = std::move(top_);
        top_ = {header.sequence, {place}};
    } else if (header.sequence == top_.sequence) {
        top_.places.push_back(place);
    } else if (header.sequence > second_.sequence) {
        second_ = {header.sequence, {place}};
    }
}

void Recovery::note_opening(std::uint64_t segment) {
    RecordReader records = walk_.reader();
    std::vector<format::SegmentEnd> ends;
    while (const auto record = records.next()) {
        if (record->type == format::RecordType::segment_open) {
            ends.clear();
            if (decode_segment_open(*record, ends)) {
                for (const format::SegmentEnd& end : ends) {
                    ends_[end.segment] = {end.end, segment};
                }
            }
        }
        if (const auto epoch = decode_epoch(*record); epoch && epoch->epoch > salvage_epoch_) {
            salvage_epoch_ = epoch->epoch;
            salvaged_below_ = epoch->salvaged_below;
        }
    }
}

Recovery::Found* Recovery::find(std::uint64_t segment) {
    const auto at = std::ranges::lower_bound(found_, segment, {},
                                             [](const Found& found) { return found.segment->id; });
    return at == found_.end() || at->segment->id != segment ? nullptr : &*at;
}

// The oldest segment is what the newest durable batch says. When no later one vouches for the
// newest batch that was found, it counts only if it is whole: a torn one may name a segment as the
// oldest that would have become so with it. When it is whole it must count: what it freed is gone.
rt::Task<base::Status> Recovery::choose_base() {
    if (!second_.places.empty()) {
        base_ = second_.places.back().first_segment;
    }
    for (std::size_t i = top_.places.size(); i > 0; --i) {
        const Place& place = top_.places[i - 1];
        Segment& segment = *found_[place.found].segment;
        name_ = format::segment_name(segment.id);
        walk_.start(segment, place.offset, segment.bytes);
        base::Result<bool> valid = co_await walk_.next();
        if (valid.has_value() && *valid) {
            valid = co_await walk_.read_records();
        }
        if (valid.has_value() && *valid && top_.sequence > watermark_) {
            valid = co_await walk_.content_valid();
        }
        if (!valid.has_value()) {
            co_return refuse(valid.error().number(),
                             "cannot read " + name_ + ": " + valid.error().describe());
        }
        if (*valid) {
            base_ = place.first_segment;
            break;
        }
    }
    use_base();
    co_return base::Status();
}

void Recovery::use_base() {
    for (Found& found : found_) {
        if (const auto end = ends_.find(found.segment->id); end != ends_.end()) {
            found.known_end = end->second.end;
        }
    }
    // With a checkpoint, what it says of older segments that are gone is dead.
    if (checkpointed_ && base_ <= checkpoint_.start().segment) {
        base_ = std::max(base_, checkpoint_.start().first_segment);
        expected_ = checkpoint_.start().sequence;
        // It is not freed while its checkpoint is the newest, or the one before that; but one that
        // held nothing yet may have been recycled.
        if (checkpoint_.start().offset > format::kBlock &&
            find(checkpoint_.start().segment) == nullptr) {
            damage(nullptr, checkpoint_.start().sequence,
                   format::segment_name(checkpoint_.start().segment) +
                       ", in which the log behind the newest checkpoint begins, is missing; what "
                       "it held is not known");
        }
    } else if (base_ == 0) {
        expected_ = 1;
    } else if (find(base_) == nullptr) {
        damage(nullptr, salvaged_below_,
               format::segment_name(base_) + ", the oldest segment, is missing");
    }
}

// Where the log goes on, and what is left of the old one. What is alive was counted before.
void Recovery::settle() {
    for (const Found& found : found_) {
        // An end that only a void batch tells is told anew: that batch will be overwritten.
        const auto end = ends_.find(found.segment->id);
        const Found* teller = end == ends_.end() ? nullptr : find(end->second.told_by);
        const bool told = teller != nullptr && teller->segment->last_sequence > 0;
        if (found.segment->id >= base_ && found.any_batch && !told) {
            start_.ends.push_back(
                {found.segment->id, found.segment->end, found.segment->last_sequence});
        }
    }
    start_.epoch = epoch_ + 1;
    start_.next_sequence = expected_;
    start_.salvaged_below = salvaged_below_;
    if (!damages_.empty()) {
        start_.next_sequence = std::max({expected_, top_.sequence + 1, watermark_ + 1});
        start_.salvaged_below = start_.next_sequence;
        checkpoints_.searched_bytes = UINT64_MAX / 2;  // one is due now, of what is left
    }
    for (Found& found : found_) {
        std::unique_ptr<Segment>& segment = found.segment;
        // The name alone of a file that holds nothing is believed where it is near the others.
        if (found.header_good || segment->last_sequence > 0 ||
            segment->id <= next_segment_ + kStraysBelieved) {
            next_segment_ = std::max(next_segment_, segment->id + 1);
        }
        // Damaged before the checkpoint, and nothing in it is alive: later checkpoints will not
        // vouch for it, so it is put aside now.
        const bool spent = segment->damaged && segment->live == 0 && read_before(segment->id);
        if (segment->id >= base_ && segment->last_sequence > 0 && !spent) {
            segments_.push_back(std::move(segment));
        } else {
            free_.push_back(std::move(segment));
        }
    }
    if (checkpointed_) {  // whatever became of those files
        next_segment_ = std::max(next_segment_, checkpoint_.start().segment + 1);
        for (const format::CheckpointSegment& listed : checkpoint_.segments()) {
            next_segment_ = std::max(next_segment_, listed.segment + 1);
        }
    }
    // What is to be put aside goes first, before a new epoch can make anyone believe it was.
    std::ranges::partition(free_, [](const auto& segment) { return segment->damaged; });
    for (const auto& [id, end] : ends_) {
        next_segment_ = std::max(next_segment_, id + 1);
    }
}

}  // namespace store
