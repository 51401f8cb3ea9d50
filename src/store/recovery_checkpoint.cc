// The part of recovery that a checkpoint makes short.
#include <algorithm>
#include <cerrno>

#include "base/assert.h"
#include "store/recovery.h"

namespace store {

// The newest that validates; those that do not are told. A log that no segment was freed out of but
// from its old end is read whole where none does, and gives the same.
rt::Task<base::Status> Recovery::load_checkpoint(const std::vector<std::string>& names) {
    std::vector<std::uint64_t> generations;
    for (const std::string& name : names) {
        if (const auto generation = format::parse_checkpoint_name(name)) {
            generations.push_back(*generation);
        }
    }
    std::ranges::sort(generations, std::greater());
    checkpoints_.highest = generations.empty() ? 0 : generations.front();
    for (std::size_t i = 0; i < generations.size() && !checkpointed_; ++i) {
        checkpointed_ = co_await checkpoint_.read(generations[i]);
        if (checkpointed_) {
            checkpoints_.newer = generations[i];
            checkpoints_.newer_start = checkpoint_.start().segment;
            checkpoints_.newer_bytes = checkpoint_.bytes();
            checkpoints_.older = i + 1 < generations.size() ? generations[i + 1] : 0;
            for (const std::uint64_t generation : generations) {
                if (generation != checkpoints_.newer && generation != checkpoints_.older) {
                    checkpoints_.stale.push_back(generation);
                }
            }
        } else if (!options_.salvage &&
                   (checkpoint_.open_error() == EACCES || checkpoint_.open_error() == EPERM)) {
            co_return refuse(checkpoint_.open_error(),
                             "cannot open " + format::checkpoint_name(generations[i]) + ": " +
                                 base::Error(checkpoint_.open_error()).describe());
        } else if (!files_.shard.driver().dead()) {
            unread_ = unread_ || checkpoint_.unread();
            files_.log.notice(
                mail::Severity::error,
                files_.path + "/" + format::checkpoint_name(generations[i]) +
                    " is void: " + checkpoint_.fault() + "; the start goes on with " +
                    (i + 1 < generations.size() ? "the one before it" : "the log alone"));
        }
    }
    co_return base::Status();
}

std::uint64_t Recovery::log_offset(std::uint64_t segment) const {
    return checkpointed_ && segment == checkpoint_.start().segment
               ? std::max<std::uint64_t>(checkpoint_.start().offset, format::kBlock)
               : format::kBlock;
}

void Recovery::use_checkpoint() {
    if (!checkpointed_) {
        return;
    }
    const format::CheckpointStart& start = checkpoint_.start();
    watermark_ = std::max(watermark_, start.sequence - 1);
    epoch_ = std::max(epoch_, start.epoch);
    if (start.epoch > salvage_epoch_) {
        salvage_epoch_ = start.epoch;
        salvaged_below_ = start.salvaged_below;
    }
    for (const format::CheckpointSegment& listed : checkpoint_.segments()) {
        Found* found = find(listed.segment);
        if (found == nullptr) {
            continue;  // freed since
        }
        found->segment->end = std::max(found->segment->end, listed.end);
        found->segment->last_sequence =
            std::max(found->segment->last_sequence, listed.last_sequence);
        if ((listed.flags & format::CheckpointSegment::kMoved) != 0) {
            found->segment->moved = true;
            // The first of what was moved there may have come behind that list.
            found->segment->last_sequence =
                std::max<std::uint64_t>(found->segment->last_sequence, 1);
            continue;
        }
        // Its end is told anew when the log behind does not tell it.
        found->any_batch =
            found->any_batch || (listed.segment == start.segment && listed.last_sequence > 0);
    }
}

rt::Task<base::Status> Recovery::take_moved() {
    for (Found& found : found_) {
        if (!found.segment->moved) {
            continue;
        }
        walk_.start(*found.segment, format::kBlock, found.segment->bytes);
        while (true) {
            base::Result<bool> more = co_await walk_.next();
            if (more.has_value() && *more) {
                more = co_await walk_.read_records();
            } else if (more.has_value()) {
                break;
            }
            if (!more.has_value()) {
                co_return refuse(more.error().number(),
                                 "cannot read " + format::segment_name(found.segment->id) + ": " +
                                     more.error().describe());
            }
            if (*more) {
                apply_records(found);
            }
        }
    }
    co_return base::Status();
}

// A log out of which messages were moved says nothing of those, once their segments are freed: the
// cleaner does nothing before there are two checkpoints.
base::Status Recovery::check_moved() {
    const bool moved =
        std::ranges::any_of(found_, [](const Found& found) { return found.segment->moved; });
    if (!moved || checkpointed_) {
        return {};
    }
    if (unread_ && !options_.salvage) {
        return refuse(EIO, "no checkpoint can be read, and they tell where mail was moved");
    }
    damage(nullptr, expected_, "no checkpoint is left of those that tell where mail was moved");
    return {};
}

}  // namespace store
