#include "store/spool.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "mail/queue_id.h"
#include "rt/awaiters.h"
#include "store/chunk_pool.h"
#include "store/format.h"
#include "store/log_reader.h"
#include "store/recovery.h"

namespace store {
namespace {

constexpr const char* kIdentityName = "identity";
constexpr const char* kCopyName = "identity.copy";
constexpr const char* kTemporaryName = "identity.tmp";

std::unexpected<base::Error> failed(std::int32_t result, const std::string& what) {
    return base::fail(
        -result, "cannot " + what + ": " + base::Error(-result).describe() + advice_for(-result));
}

// Everything that open_spool() needs in one place, so that its tasks share an op and a block.
struct SpoolWork {
    rt::Shard& shard;
    std::string path;
    bool salvage = false;
    std::string parent{};
    rt::AwaitableOp op{};
    rt::Sleep sleep{};
    AlignedBuffer block{format::kBlock};
    io::OwnedHandle directory{};
    io::OwnedHandle lock{};
    format::Identity identity{};
    bool from_copy = false;
    bool foreign_copy = false;
};

rt::Task<base::Status> sync_directory(SpoolWork& work, io::Handle directory) {
    work.op.prepare_sync(directory);
    const std::int32_t result = co_await work.op.submit(work.shard);
    if (result < 0) {
        co_return failed(result, "sync " + work.path);
    }
    co_return base::Status();
}

rt::Task<base::Result<io::Handle>> open_directory(SpoolWork& work, const char* path) {
    io::OpenMode mode;
    mode.directory = true;
    work.op.prepare_open(io::kNoHandle, path, mode);
    const std::int32_t result = co_await work.op.submit(work.shard);
    if (result < 0) {
        co_return failed(result, std::string("open ") + path);
    }
    co_return result;
}

rt::Task<base::Status> open_or_make(SpoolWork& work) {
    work.op.prepare_make_directory(io::kNoHandle, work.path.c_str(), 0700);
    const std::int32_t made = co_await work.op.submit(work.shard);
    if (made < 0 && made != -EEXIST) {
        co_return failed(made, "make the spool " + work.path);
    }
    const base::Result<io::Handle> directory = co_await open_directory(work, work.path.c_str());
    if (!directory.has_value()) {
        co_return std::unexpected(directory.error());
    }
    work.directory = io::OwnedHandle(work.shard.driver(), *directory);
    // Synced even when it was there: whoever made it may have been killed before it was durable.
    const std::size_t slash = work.path.find_last_of('/');
    work.parent = slash == std::string::npos ? "." : work.path.substr(0, slash + 1);
    const base::Result<io::Handle> parent = co_await open_directory(work, work.parent.c_str());
    if (!parent.has_value()) {
        // Its owner may not let us read it; then he made the spool, long ago.
        if (made == -EEXIST && parent.error().number() == EACCES) {
            co_return base::Status();
        }
        co_return std::unexpected(parent.error());
    }
    const io::OwnedHandle owned(work.shard.driver(), *parent);
    const base::Status status = co_await sync_directory(work, *parent);
    co_return status;
}

// Two processes must not make the same spool at once.
rt::Task<base::Status> take_lock(SpoolWork& work) {
    io::OpenMode mode;
    mode.write = true;
    mode.create = true;
    work.op.prepare_open(work.directory.get(), "lock", mode);
    const std::int32_t result = co_await work.op.submit(work.shard);
    if (result < 0) {
        co_return failed(result, "open " + work.path + "/lock");
    }
    work.lock = io::OwnedHandle(work.shard.driver(), result);
    const base::Status status =
        co_await lock_within(work.shard, work.sleep, result, std::chrono::seconds(5));
    if (!status.has_value() && status.error().number() != EWOULDBLOCK) {
        co_return failed(-status.error().number(), "lock " + work.path + "/lock");
    }
    if (!status.has_value()) {
        co_return base::fail(EWOULDBLOCK, "the spool " + work.path +
                                              " is being opened by another process; try again "
                                              "when that has ended");
    }
    co_return base::Status();
}

rt::Task<base::Status> write_identity_as(SpoolWork& work, const char* name) {
    format::write_block(work.block.bytes(), work.identity);
    // What an earlier try left is not written over: a failed sync may have dropped parts of it.
    work.op.prepare_unlink(work.directory.get(), kTemporaryName);
    const std::int32_t removed = co_await work.op.submit(work.shard);
    if (removed < 0 && removed != -ENOENT) {
        co_return failed(removed, "remove " + work.path + "/identity.tmp");
    }
    io::OpenMode mode;
    mode.write = true;
    mode.create = true;
    work.op.prepare_open(work.directory.get(), kTemporaryName, mode);
    const std::int32_t opened = co_await work.op.submit(work.shard);
    if (opened < 0) {
        co_return failed(opened, "make " + work.path + "/identity.tmp");
    }
    io::OwnedHandle file(work.shard.driver(), opened);
    work.op.prepare_write(opened, work.block.bytes(), 0);
    const std::int32_t written = co_await work.op.submit(work.shard);
    if (written != static_cast<std::int32_t>(format::kBlock)) {
        co_return failed(written < 0 ? written : -ENOSPC, "write " + work.path + "/identity.tmp");
    }
    work.op.prepare_sync(opened);
    std::int32_t result = co_await work.op.submit(work.shard);
    if (result < 0) {
        co_return failed(result, "sync " + work.path + "/identity.tmp");
    }
    file.reset();
    work.op.prepare_rename(work.directory.get(), kTemporaryName, name);
    result = co_await work.op.submit(work.shard);
    if (result < 0) {
        co_return failed(result, "rename " + work.path + "/identity.tmp");
    }
    const base::Status status = co_await sync_directory(work, work.directory.get());
    co_return status;
}

// The copy first: it may know of partitions that the identity does not count yet, whose folders are
// there, but never misses one.
rt::Task<base::Status> write_identity(SpoolWork& work) {
    base::Status status = co_await write_identity_as(work, kCopyName);
    if (status.has_value()) {
        status = co_await write_identity_as(work, kIdentityName);
    }
    co_return status;
}

rt::Task<base::Status> read_identity(SpoolWork& work, const char* name) {
    const std::string path = work.path + "/" + name;
    work.op.prepare_open(work.directory.get(), name, io::OpenMode());
    const std::int32_t opened = co_await work.op.submit(work.shard);
    if (opened == -ENOENT) {
        co_return base::fail(ENOENT);
    }
    if (opened < 0) {
        co_return failed(opened, "open " + path);
    }
    const io::OwnedHandle file(work.shard.driver(), opened);
    const base::Status status =
        co_await read_fully(work.shard, work.op, opened, work.block.bytes(), 0);
    if (!status.has_value() && status.error().number() != ENODATA) {
        co_return base::fail(EIO, "cannot read " + path + ": " + status.error().describe());
    }
    const format::BlockState state = status.has_value()
                                         ? format::read_block(work.block.bytes(), work.identity)
                                         : format::BlockState::damaged;
    if (state == format::BlockState::newer) {
        co_return base::fail(EPROTONOSUPPORT,
                             "the spool " + work.path + " was written by a newer version (format " +
                                 std::to_string(work.identity.version) + "); start that version");
    }
    if (state == format::BlockState::damaged) {
        co_return base::fail(EUCLEAN, path +
                                          " is damaged; put it back from a copy of the spool: "
                                          "nothing can be read without it");
    }
    co_return base::Status();
}

base::Result<std::vector<std::string>> names_in(SpoolWork& work) {
    base::Result<std::vector<std::string>> names =
        work.shard.driver().list_directory(work.directory.get());
    if (!names.has_value()) {
        return failed(-names.error().number(), "list " + work.path);
    }
    return names;
}

// How many partitions have held a log, by their witnesses.
std::uint32_t witnessed(const std::vector<std::string>& names) {
    std::uint32_t count = 0;
    for (std::uint32_t number = 0; number < mail::QueueId::kPartitionsMax; ++number) {
        if (std::ranges::find(names, format::witness_name(number)) != names.end()) {
            count = number + 1;
        }
    }
    return count;
}

// What counts fewer partitions than are known of is written anew: an older one was put back, or a
// crash came between the two. So is a copy that is missing (an earlier version made none) or
// damaged; not one of another spool, which may be the right one. Where there is no room, a later
// start does it.
rt::Task<base::Status> compare_copy(SpoolWork& work) {
    const base::Result<std::vector<std::string>> names = names_in(work);
    if (!names.has_value()) {
        co_return std::unexpected(names.error());
    }
    const format::Identity said = work.identity;
    base::Status status = co_await read_identity(work, kCopyName);
    const format::Identity copy = std::exchange(work.identity, said);
    if (!status.has_value() && status.error().number() == EPROTONOSUPPORT) {
        co_return status;
    }
    const bool read = status.has_value();
    work.foreign_copy = read && copy.store != said.store;
    if (work.foreign_copy) {
        co_return base::Status();
    }
    work.identity.partitions =
        std::max({said.partitions, read ? copy.partitions : 0, witnessed(*names)});
    status = base::Status();
    if (!read || copy.partitions != work.identity.partitions) {
        status = co_await write_identity_as(work, kCopyName);
    }
    if (status.has_value() && said.partitions != work.identity.partitions) {
        status = co_await write_identity_as(work, kIdentityName);
    }
    if (!status.has_value() &&
        (status.error().number() == ENOSPC || status.error().number() == EDQUOT)) {
        co_return base::Status();
    }
    co_return status;
}

// `why`: what reading the identity gave. `first_start`: it is missing, and so is all else, as where
// a crash came between the two.
rt::Task<base::Status> use_copy(SpoolWork& work, base::Status why, bool first_start) {
    const base::Status copy = co_await read_identity(work, kCopyName);
    if (!copy.has_value() && copy.error().number() == EPROTONOSUPPORT) {
        co_return copy;
    }
    if (!copy.has_value()) {
        co_return why;
    }
    if (!work.salvage && !first_start) {
        co_return base::fail(EUCLEAN, work.path +
                                          "/identity is damaged or missing; put it back from a "
                                          "copy of the spool, or start once with `ringpost serve "
                                          "--salvage` to take identity.copy, which is whole");
    }
    work.from_copy = !first_start;
    base::Status status = co_await write_identity_as(work, kIdentityName);
    if (status.has_value()) {
        status = co_await compare_copy(work);  // the copy may be an older one, too
    }
    co_return status;
}

// A partition's folder, or its witness.
bool is_of_partition(std::string_view name) {
    for (std::uint32_t number = 0; number < mail::QueueId::kPartitionsMax; ++number) {
        if (name == format::partition_name(number) || name == format::witness_name(number)) {
            return true;
        }
    }
    return false;
}

rt::Task<base::Status> find_or_make_identity(SpoolWork& work) {
    base::Status status = co_await read_identity(work, kIdentityName);
    if (status.has_value()) {
        status = co_await sync_directory(work, work.directory.get());  // as above
        if (status.has_value()) {
            status = co_await compare_copy(work);
        }
        co_return status;
    }
    const int error = status.error().number();
    if (error == EUCLEAN || (error == EIO && work.salvage)) {
        status = co_await use_copy(work, std::move(status), false);
        co_return status;
    }
    if (error != ENOENT) {
        co_return status;
    }
    const base::Result<std::vector<std::string>> names = names_in(work);
    if (!names.has_value()) {
        co_return std::unexpected(names.error());
    }
    const bool used = std::ranges::any_of(*names, is_of_partition);
    if (used || std::ranges::find(*names, kCopyName) != names->end()) {
        status = base::fail(EUCLEAN, work.path +
                                         "/identity is missing though the spool was used; put it "
                                         "back from a copy of the spool");
        status = co_await use_copy(work, std::move(status), !used);
        co_return status;
    }
    work.identity = format::Identity();
    work.shard.driver().random(work.identity.store);
    work.identity.created_ms = base::unix_ms(work.shard.wall_now());
    status = co_await write_identity(work);
    co_return status;
}

// For a look from outside: what is wrong with either, and the identity from whichever holds.
rt::Task<base::Status> read_either(SpoolWork& work, IdentityDamage& damage) {
    base::Status status = co_await read_identity(work, kIdentityName);
    const format::Identity said = work.identity;
    const base::Status copy = co_await read_identity(work, kCopyName);
    if (!status.has_value()) {
        const int error = status.error().number();
        if (copy.has_value() && (error == EUCLEAN || error == EIO || error == ENOENT)) {
            damage.identity = "identity is damaged or missing; what is told follows identity.copy";
            co_return base::Status();
        }
        co_return status;
    }
    const bool absent = !copy.has_value() && copy.error().number() == ENOENT;
    if (!copy.has_value() && copy.error().number() == EPROTONOSUPPORT) {
        co_return copy;
    }
    const bool same = copy.has_value() && work.identity.store == said.store;
    const std::uint32_t counted = same ? work.identity.partitions : 0;
    if (copy.has_value() && !same) {
        damage.copy = "identity and identity.copy are of different spools; put the right one back";
    } else if (!absent && (!copy.has_value() || counted < said.partitions)) {
        damage.copy = "identity.copy is damaged; the next start writes it anew";
    }
    work.identity = said;
    const base::Result<std::vector<std::string>> names = names_in(work);
    if (!names.has_value()) {
        co_return std::unexpected(names.error());
    }
    work.identity.partitions = std::max({counted, said.partitions, witnessed(*names)});
    co_return base::Status();
}

}  // namespace

std::string advice_for(int error) {
    switch (error) {
        case EROFS:
            return "; mount its file system read-write (the kernel's log may say why it is not), "
                   "then start again";
        case EINVAL:
        case ENOLCK:
        case ENOSYS:
        case EOPNOTSUPP:
            return "; this file system lacks something that a spool needs (locks, syncs of files "
                   "and folders, renames): put the spool on ext4, XFS or Btrfs";
        case ENOSPC:
        case EDQUOT:
            return "; make room, then start again";
        case EMFILE:
        case ENFILE:
            return "; raise the limit of open files (LimitNOFILE=, ulimit -n), then start again";
        case EIO:
            return "; check the disk, then start again";
        case EACCES:
        case EPERM:
            return "; the user that ringpost runs as must own the spool";
        default:
            return "";
    }
}

rt::Task<base::Result<format::Identity>> read_spool(rt::Shard& shard, std::string path,
                                                    IdentityDamage& damage) {
    SpoolWork work{.shard = shard, .path = std::move(path)};
    const base::Result<io::Handle> directory = co_await open_directory(work, work.path.c_str());
    if (!directory.has_value()) {
        co_return std::unexpected(directory.error());
    }
    work.directory = io::OwnedHandle(shard.driver(), *directory);
    const base::Status status = co_await read_either(work, damage);
    if (!status.has_value() && status.error().number() == ENOENT) {
        co_return base::fail(ENOENT, work.path + " is not a spool: it has no file `identity`");
    }
    if (!status.has_value()) {
        co_return std::unexpected(status.error());
    }
    co_return work.identity;
}

// The identity comes first, then the folders, then their number: so folders without an identity
// are never a crash's doing.
rt::Task<base::Result<SpoolIdentity>> open_spool(rt::Shard& shard, std::string path,
                                                 std::uint32_t partitions_min, bool salvage) {
    if (partitions_min > mail::QueueId::kPartitionsMax) {
        co_return base::fail(EINVAL, "a spool has at most 256 partitions");
    }
    while (path.size() > 1 && path.ends_with('/')) {
        path.pop_back();  // else its parent would be itself
    }
    SpoolWork work{.shard = shard, .path = std::move(path), .salvage = salvage};
    base::Status status = co_await open_or_make(work);
    if (status.has_value()) {
        status = co_await take_lock(work);
    }
    if (status.has_value()) {
        status = co_await find_or_make_identity(work);
    }
    if (!status.has_value()) {
        co_return std::unexpected(status.error());
    }
    if (work.identity.partitions < partitions_min && work.foreign_copy) {
        co_return base::fail(
            EUCLEAN, "identity and identity.copy in " + work.path +
                         " are of different spools, so no partitions are added; put the right "
                         "identity back, or remove identity.copy where that is the wrong one");
    }
    if (work.identity.partitions < partitions_min) {
        for (std::uint32_t number = work.identity.partitions; number < partitions_min; ++number) {
            const std::string name = format::partition_name(number);
            work.op.prepare_make_directory(work.directory.get(), name.c_str(), 0700);
            const std::int32_t result = co_await work.op.submit(shard);
            if (result < 0 && result != -EEXIST) {
                co_return failed(result, "make " + work.path + "/" + name);
            }
        }
        status = co_await sync_directory(work, work.directory.get());
        if (status.has_value()) {
            work.identity.partitions = partitions_min;
            status = co_await write_identity(work);
        }
        if (!status.has_value()) {
            co_return std::unexpected(status.error());
        }
    }
    co_return SpoolIdentity{work.identity.store, work.identity.partitions, work.from_copy,
                            work.foreign_copy};
}

}  // namespace store
