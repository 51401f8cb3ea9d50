#include "store/log_check.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "store/checkpoint_reader.h"
#include "store/log_reader.h"
#include "store/witness.h"

namespace store {

LogCheck::LogCheck(rt::Shard& shard, const SpoolCheckOptions& options,
                   const format::Identity& identity, std::uint32_t partition, SpoolVisitor& visitor)
    : shard_(shard),
      options_(options),
      visitor_(visitor),
      files_{.shard = shard,
             .log = *this,
             .path = options.spool + "/" + format::partition_name(partition),
             .store = identity.store,
             .partition = partition,
             .read_only = true},
      buffer_(kReadBytes),
      walk_(shard, true) {
    store_options_.spool = options.spool;
    // So that it goes on behind the first damage, and tells of all.
    store_options_.salvage = true;
    totals_.partition = partition;
}

// Recovery's. What it says of damage is taken from damages(), and of checkpoints they are checked
// here.
void LogCheck::notice(mail::Severity severity, std::string_view text) {
    if (severity == mail::Severity::info) {
        if (text.starts_with(files_.path + ": ")) {
            text.remove_prefix(files_.path.size() + 2);
        }
        notices_.emplace_back(text);
    }
}

void LogCheck::tell(Finding finding) {
    finding.partition = files_.partition;
    visitor_.finding(finding);
}

void LogCheck::note(std::string what) {
    Finding finding;
    finding.severity = Finding::Severity::note;
    finding.what = std::move(what);
    tell(std::move(finding));
}

void LogCheck::error(std::string what, std::vector<mail::QueueId> messages) {
    Finding finding;
    finding.refused = refusals_.erase(what) > 0;
    finding.what = std::move(what);
    finding.messages = std::move(messages);
    tell(std::move(finding));
}

rt::Task<base::Status> LogCheck::run() {
    io::OpenMode mode;
    mode.directory = true;
    op_.prepare_open(io::kNoHandle, files_.path.c_str(), mode);
    const std::int32_t opened = co_await op_.submit(shard_);
    visitor_.partition(files_.partition);
    if (opened == -ENOENT) {
        Finding finding;
        finding.what = "the folder " + files_.path + " is missing";
        finding.refused = true;
        tell(std::move(finding));
        co_return base::Status();
    }
    if (opened < 0) {
        co_return base::fail(-opened,
                             "cannot open " + files_.path + ": " + base::Error(-opened).describe());
    }
    directory_ = io::OwnedHandle(shard_.driver(), opened);
    files_.directory = opened;
    base::Status status = list();
    if (!status.has_value()) {
        co_return status;
    }
    note_leftovers();
    co_await check_checkpoints();
    status = co_await recover();
    if (!status.has_value()) {
        co_return status;
    }
    co_await walk_segments();
    tell_damages();
    if (options_.check_messages) {
        co_await check_messages();
    }
    totals_.messages = table_.size();
    visitor_.totals(totals_);
    co_return base::Status();
}

base::Status LogCheck::list() {
    base::Result<std::vector<std::string>> names = shard_.driver().list_directory(directory_.get());
    if (!names.has_value()) {
        return base::fail(names.error().number(),
                          "cannot list " + files_.path + ": " + names.error().describe());
    }
    names_ = std::move(*names);
    std::ranges::sort(names_);
    return {};
}

void LogCheck::note_leftovers() {
    for (const std::string& name : names_) {
        if (name.ends_with(".damaged")) {
            note(name + " was put aside by a salvage; nothing reads it");
        } else if (name.ends_with(".tmp") && !options_.in_use) {
            note(name + " was being prepared when the process ended; the next start removes it");
        }
    }
}

// As Partition::read_established(): 0 where it says nothing.
rt::Task<base::Result<std::optional<std::uint64_t>>> LogCheck::read_established() {
    if (std::ranges::find(names_, "established") == names_.end()) {
        const base::Result<bool> witness =
            co_await has_witness(shard_, op_, options_.spool, files_.partition);
        if (!witness.has_value()) {
            co_return std::unexpected(witness.error());
        }
        co_return *witness ? std::optional<std::uint64_t>(0) : std::nullopt;
    }
    op_.prepare_open(directory_.get(), "established", io::OpenMode());
    const std::int32_t opened = co_await op_.submit(shard_);
    if (opened < 0) {
        error("cannot open established: " + base::Error(-opened).describe());
        co_return 0;
    }
    const io::OwnedHandle file(shard_.driver(), opened);
    const base::MutableBytes block = buffer_.bytes().first(format::kBlock);
    const base::Status status = co_await read_fully(shard_, op_, opened, block, 0);
    if (!status.has_value()) {
        if (status.error().number() != ENODATA) {
            error("cannot read established: " + status.error().describe());
        }
        co_return 0;
    }
    format::Established said;
    const format::BlockState state = format::read_block(block, said);
    if (state == format::BlockState::newer) {
        co_return base::fail(EPROTONOSUPPORT, files_.path +
                                                  "/established was written by a newer version "
                                                  "(format " +
                                                  std::to_string(said.version) +
                                                  "); start that version");
    }
    const bool good = state == format::BlockState::good && said.store == files_.store &&
                      said.partition == files_.partition;
    if (!good && !options_.in_use) {
        note(
            "established does not validate, so the loss of the log's end would not be seen; the "
            "next orderly stop writes it anew");
    }
    co_return good ? said.watermark : 0;
}

// While the spool is in use a file may go between its listing and its opening, or while it is read:
// then all is read once more. What is damaged shows in each reading, in the same words.
rt::Task<base::Status> LogCheck::recover() {
    base::Status status;
    bool settled = false;
    int whole = 0;  // readings
    for (int reading = 0; reading < kReadingsMax && !settled; ++reading) {
        status = co_await read_log();
        const bool gone = !status.has_value() && status.error().number() == ENOENT;
        if (!status.has_value() && !(gone && options_.in_use)) {
            co_return status;
        }
        if (gone) {
            continue;
        }
        const std::set<std::string> damages(recovery_->damages().begin(),
                                            recovery_->damages().end());
        if (whole++ == 0) {
            refusals_ = damages;
        } else {
            std::erase_if(refusals_, [&](const auto& what) { return !damages.contains(what); });
        }
        settled = !options_.in_use || damages.empty() ||
                  (whole >= kReadingsToBelieve && refusals_ == damages);
    }
    if (!settled) {
        co_return base::fail(EAGAIN, files_.path +
                                         " changes faster than it can be read; look again when "
                                         "its server has less to do");
    }
    totals_.watermark = recovery_->watermark();
    for (std::string& notice : notices_) {
        note(std::move(notice));
    }
    if (recovery_->unreadable() > 0) {
        Finding finding;
        finding.what = "blocks of the log cannot be read (input/output error)";
        finding.refused = true;
        tell(std::move(finding));
    }
    co_return base::Status();
}

// Those that the walk has not told of in the same words.
void LogCheck::tell_damages() {
    for (const std::string& damage : recovery_->damages()) {
        if (refusals_.contains(damage)) {
            error(damage);
        }
    }
}

rt::Task<base::Status> LogCheck::read_log() {
    recovery_.reset();
    table_.clear();
    segments_ = SegmentTable();
    notices_.clear();
    base::Status status = list();
    if (!status.has_value()) {
        co_return status;
    }
    const base::Result<std::optional<std::uint64_t>> established = co_await read_established();
    if (!established.has_value()) {
        co_return std::unexpected(established.error());
    }
    recovery_ =
        std::make_unique<Recovery>(files_, store_options_, table_, rules_, segments_, *established);
    status = co_await recovery_->run(names_);
    co_return status;
}

rt::Task<bool> LogCheck::still_there(std::string name) {
    if (!options_.in_use) {
        co_return true;
    }
    name_ = std::move(name);
    op_.prepare_open(directory_.get(), name_.c_str(), io::OpenMode());
    const std::int32_t opened = co_await op_.submit(shard_);
    if (opened >= 0) {
        shard_.driver().close(opened);
    }
    co_return opened != -ENOENT;
}

Segment* LogCheck::find(std::uint64_t segment) {
    if (Segment* kept = segments_.find(segment)) {
        return kept;
    }
    const auto free =
        std::ranges::find(recovery_->free(), segment, [](const auto& one) { return one->id; });
    return free == recovery_->free().end() ? nullptr : free->get();
}

}  // namespace store
