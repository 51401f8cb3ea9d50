// The start of a partition: lock and recovery, which change nothing; then the new epoch.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/assert.h"
#include "store/log_reader.h"
#include "store/partition.h"
#include "store/witness.h"

namespace store {
namespace {

constexpr const char* kLockName = "lock";
constexpr const char* kEstablishedName = "established";

bool contains(const std::vector<std::string>& names, std::string_view name) {
    return std::ranges::find(names, name) != names.end();
}

// Some recipient is to be tried again later, and none is to be tried for the first time.
bool waits_for_its_time(const Message& message) {
    bool deferred = false;
    for (const RecipientState& recipient : message.recipients()) {
        if (recipient.status == RecipientStatus::pending) {
            return false;
        }
        deferred = deferred || recipient.status == RecipientStatus::deferred;
    }
    return deferred;
}

}  // namespace

rt::Task<base::Status> Partition::look() {
    base::Status status = co_await open_directory();
    if (status.has_value()) {
        status = co_await take_lock();
    }
    if (!status.has_value()) {
        co_return status;
    }
    base::Result<std::vector<std::string>> names =
        links_.shard.driver().list_directory(directory_.get());
    if (!names.has_value()) {
        co_return base::fail(names.error().number(),
                             "cannot list " + files_.path + ": " + names.error().describe());
    }
    names_ = std::move(*names);
    const base::Result<bool> witness =
        co_await has_witness(links_.shard, op_, links_.options.spool, files_.partition);
    if (!witness.has_value()) {
        co_return std::unexpected(witness.error());
    }
    witnessed_ = *witness;
    std::optional<std::uint64_t> established;
    if (contains(names_, kEstablishedName)) {
        const base::Result<std::uint64_t> watermark = co_await read_established();
        if (!watermark.has_value()) {
            co_return std::unexpected(watermark.error());
        }
        established = *watermark;
    } else if (witnessed_) {
        established = 0;
    }
    recovery_ =
        std::make_unique<Recovery>(files_, links_.options, table_, rules_, segments_, established);
    status = co_await recovery_->run(names_);
    co_return status;
}

rt::Task<base::Status> Partition::resume() {
    RP_ASSERT(recovery_ != nullptr);
    base::Status status = co_await remove_temporaries();
    if (status.has_value()) {
        status = co_await start_epoch(*recovery_);
    }
    if (status.has_value() && !contains(names_, kEstablishedName)) {
        status = co_await establish();
    }
    if (status.has_value() && !witnessed_) {
        status = co_await make_witness(links_.shard, op_, links_.options.spool, files_.partition);
    }
    if (!status.has_value()) {
        co_return status;
    }
    checkpointer_.set_kept(recovery_->checkpoints());
    links_.counters.relocations_replayed += recovery_->relocations();
    recovery_.reset();
    names_.clear();
    announce();
    scope_.spawn(pool_.run());
    checkpointing_.spawn(checkpointer_.run());
    cleaning_.spawn(cleaner_.run());
    co_return status;
}

rt::Task<base::Status> Partition::open_directory() {
    io::OpenMode mode;
    mode.directory = true;
    op_.prepare_open(io::kNoHandle, files_.path.c_str(), mode);
    std::int32_t result = co_await op_.submit(links_.shard);
    if (result == -ENOENT && links_.options.salvage) {
        const base::Status made = co_await make_directory();
        if (!made.has_value()) {
            co_return made;
        }
        op_.prepare_open(io::kNoHandle, files_.path.c_str(), mode);
        result = co_await op_.submit(links_.shard);
    }
    if (result == -ENOENT) {
        co_return base::fail(
            ENOENT, "the folder " + files_.path +
                        " is missing; perhaps its file system is not mounted. Put it back, or "
                        "start once with `ringpost serve --salvage` to go on without what it held");
    }
    if (result < 0) {
        co_return base::fail(-result, "cannot open " + files_.path + ": " +
                                          base::Error(-result).describe() + advice_for(-result));
    }
    directory_ = io::OwnedHandle(links_.shard.driver(), result);
    files_.directory = result;
    co_return base::Status();
}

// The witness first: where this start ends before there is a log, the next one must see the loss.
rt::Task<base::Status> Partition::make_directory() {
    const base::Status witness =
        co_await make_witness(links_.shard, op_, links_.options.spool, files_.partition);
    if (!witness.has_value()) {
        co_return witness;
    }
    op_.prepare_make_directory(io::kNoHandle, files_.path.c_str(), 0700);
    std::int32_t result = co_await op_.submit(links_.shard);
    if (result >= 0) {
        io::OpenMode mode;
        mode.directory = true;
        op_.prepare_open(io::kNoHandle, links_.options.spool.c_str(), mode);
        result = co_await op_.submit(links_.shard);
    }
    if (result >= 0) {
        const io::OwnedHandle spool(links_.shard.driver(), result);
        op_.prepare_sync(spool.get());
        result = co_await op_.submit(links_.shard);
    }
    if (result < 0) {
        co_return base::fail(-result, "cannot make " + files_.path + ": " +
                                          base::Error(-result).describe() + advice_for(-result));
    }
    links_.log.notice(mail::Severity::error,
                      files_.path + ": salvage made the folder anew, since it was missing");
    co_return base::Status();
}

rt::Task<base::Status> Partition::take_lock() {
    io::OpenMode mode;
    mode.write = true;
    mode.create = true;
    op_.prepare_open(directory_.get(), kLockName, mode);
    const std::int32_t result = co_await op_.submit(links_.shard);
    if (result < 0) {
        co_return base::fail(-result, "cannot open " + files_.path + "/lock: " +
                                          base::Error(-result).describe() + advice_for(-result));
    }
    lock_ = io::OwnedHandle(links_.shard.driver(), result);
    const base::Status status =
        co_await lock_within(links_.shard, files_.sleep, result, links_.options.lock_wait);
    if (!status.has_value() && status.error().number() != EWOULDBLOCK) {
        co_return base::fail(status.error().number(), "cannot lock " + files_.path +
                                                          "/lock: " + status.error().describe() +
                                                          advice_for(status.error().number()));
    }
    if (!status.has_value()) {
        co_return base::fail(status.error().number(),
                             "the spool " + links_.options.spool +
                                 " is in use by another ringpost process (" + files_.path +
                                 "/lock); stop that one, or give this one a spool of its own");
    }
    co_return base::Status();
}

rt::Task<base::Status> Partition::remove_temporaries() {
    for (const std::string& name : names_) {
        if (!name.ends_with(".tmp")) {
            continue;
        }
        op_.prepare_unlink(directory_.get(), name.c_str());
        const std::int32_t result = co_await op_.submit(links_.shard);
        if (result < 0 && result != -ENOENT) {
            co_return base::fail(-result, "cannot remove " + files_.path + "/" + name + ": " +
                                              base::Error(-result).describe() +
                                              advice_for(-result));
        }
    }
    op_.prepare_sync(directory_.get());
    const std::int32_t result = co_await op_.submit(links_.shard);
    if (result < 0) {
        co_return base::fail(-result, "cannot sync " + files_.path + ": " +
                                          base::Error(-result).describe() + advice_for(-result));
    }
    co_return base::Status();
}

rt::Task<base::Status> Partition::start_epoch(Recovery& recovery) {
    epoch_ = recovery.start().epoch;
    pool_.set_epoch(epoch_);
    pool_.set_next(recovery.next_segment());
    for (std::unique_ptr<Segment>& segment : recovery.free()) {
        pool_.give_back(std::move(segment));
    }
    const base::Status prepared = co_await pool_.prepare();
    if (!prepared.has_value()) {
        co_return base::fail(prepared.error().number(),
                             "cannot prepare a segment in " + files_.path + ": " +
                                 prepared.error().describe() + "; make room for one of " +
                                 std::to_string(pool_.small_bytes() >> 10U) +
                                 " KiB, then start again");
    }
    committer_.start(recovery.start(), wakeup_);
    co_await wakeup_.woken("the first batch of the epoch");
    if (!committer_.started()) {
        co_return base::fail(ECANCELED);
    }
    co_return base::Status();
}

// From here on an empty log is a loss.
rt::Task<base::Status> Partition::establish() {
    io::OpenMode mode;
    mode.write = true;
    mode.create = true;
    op_.prepare_open(directory_.get(), kEstablishedName, mode);
    const std::int32_t opened = co_await op_.submit(links_.shard);
    std::int32_t result = opened;
    if (opened >= 0) {
        links_.shard.driver().close(opened);
        op_.prepare_sync(directory_.get());
        result = co_await op_.submit(links_.shard);
    }
    if (result < 0) {
        co_return base::fail(-result, "cannot make " + files_.path +
                                          "/established: " + base::Error(-result).describe());
    }
    co_return base::Status();
}

// 0 where it says nothing: it was never closed, or a crash tore what a close wrote there.
rt::Task<base::Result<std::uint64_t>> Partition::read_established() {
    op_.prepare_open(directory_.get(), kEstablishedName, io::OpenMode());
    const std::int32_t opened = co_await op_.submit(links_.shard);
    base::Status status;
    AlignedBuffer block(format::kBlock);
    if (opened >= 0) {
        const io::OwnedHandle file(links_.shard.driver(), opened);
        status = co_await read_fully(links_.shard, op_, opened, block.bytes(), 0);
    } else {
        status = base::fail(-opened);
    }
    if (!status.has_value() && status.error().number() == ENODATA) {
        co_return 0;
    }
    if (!status.has_value()) {
        const std::string what =
            "cannot read " + files_.path + "/established: " + status.error().describe();
        if (!links_.options.salvage || links_.shard.driver().dead()) {
            co_return base::fail(status.error().number(),
                                 what + advice_for(status.error().number()));
        }
        links_.log.notice(mail::Severity::error,
                          what +
                              "; salvage goes on without it, and cannot tell whether the log's "
                              "end is lost");
        co_return 0;
    }
    format::Established said;
    const format::BlockState state = format::read_block(block.bytes(), said);
    if (state == format::BlockState::newer) {
        co_return base::fail(EPROTONOSUPPORT, files_.path +
                                                  "/established was written by a newer version "
                                                  "(format " +
                                                  std::to_string(said.version) +
                                                  "); start that version");
    }
    const bool good = state == format::BlockState::good && said.store == files_.store &&
                      said.partition == files_.partition;
    co_return good ? said.watermark : 0;
}

// It only helps the next start to see a loss, so a failure is no more than a notice.
rt::Task<void> Partition::write_established() {
    format::Established said;
    said.store = files_.store;
    said.partition = files_.partition;
    said.watermark = committer_.durable_sequence();
    AlignedBuffer block(format::kBlock);
    format::write_block(block.bytes(), said);
    io::OpenMode mode;
    mode.write = true;
    op_.prepare_open(directory_.get(), kEstablishedName, mode);
    std::int32_t result = co_await op_.submit(links_.shard);
    if (result >= 0) {
        const io::OwnedHandle file(links_.shard.driver(), result);
        op_.prepare_write(file.get(), block.bytes(), 0);
        result = co_await op_.submit(links_.shard);
        if (result >= 0) {
            op_.prepare_sync(file.get());
            result = co_await op_.submit(links_.shard);
        }
    }
    if (result < 0 && !links_.shard.driver().dead()) {
        links_.log.notice(
            mail::Severity::warning,
            "cannot write " + files_.path + "/established: " + base::Error(-result).describe() +
                "; should the end of the log be lost, the next start will not see it");
    }
}

// What waits for its time has that to be ordered by; only what does not is sorted by age.
void Partition::announce() {
    std::vector<std::pair<mail::QueueId, Message*>> others;
    for (std::size_t i = 0; i < table_.slots(); ++i) {
        Message* const message = table_.slot(i);
        if (message == nullptr) {
            continue;
        }
        if (waits_for_its_time(*message)) {
            links_.listener.recovered(*message);
        } else {
            others.emplace_back(message->id(), message);
        }
    }
    std::ranges::sort(others);
    for (const auto& [id, message] : others) {
        links_.listener.recovered(*message);
    }
}

}  // namespace store
