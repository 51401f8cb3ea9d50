#include "store/spool_check.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include "rt/awaiters.h"
#include "store/log_check.h"
#include "store/spool.h"

namespace store {
namespace {

struct Folder {
    Folder(rt::Shard& on, std::string of) : shard(on), path(std::move(of)) {}
    rt::Shard& shard;
    std::string path;
    rt::AwaitableOp op;
};

rt::Task<base::Result<std::vector<std::string>>> names_in(Folder& folder) {
    io::OpenMode mode;
    mode.directory = true;
    folder.op.prepare_open(io::kNoHandle, folder.path.c_str(), mode);
    const std::int32_t opened = co_await folder.op.submit(folder.shard);
    if (opened < 0) {
        co_return base::fail(-opened,
                             "cannot open " + folder.path + ": " + base::Error(-opened).describe());
    }
    const io::OwnedHandle directory(folder.shard.driver(), opened);
    co_return folder.shard.driver().list_directory(opened);
}

// A folder behind the last partition: a crash leaves an empty one, when partitions were to be
// added; what lies in one is read by nobody.
rt::Task<base::Status> look_behind(rt::Shard& shard, const SpoolCheckOptions& options,
                                   std::uint32_t partitions, SpoolVisitor& visitor) {
    const auto folder = std::make_unique<Folder>(shard, options.spool);
    const base::Result<std::vector<std::string>> names = co_await names_in(*folder);
    if (!names.has_value()) {
        co_return std::unexpected(names.error());
    }
    for (std::uint32_t number = partitions; number < mail::QueueId::kPartitionsMax; ++number) {
        const std::string name = format::partition_name(number);
        if (std::ranges::find(*names, name) == names->end()) {
            continue;
        }
        folder->path = options.spool + "/" + name;
        const base::Result<std::vector<std::string>> inside = co_await names_in(*folder);
        Finding finding;
        finding.partition = number;
        if (inside.has_value() && inside->empty()) {
            finding.severity = Finding::Severity::note;
            finding.what =
                "the folder is there though the identity does not count it; partitions that are "
                "added take it";
        } else {
            finding.what = "the identity counts " + std::to_string(partitions) +
                           " partitions, so no start reads this one";
        }
        visitor.finding(finding);
    }
    co_return base::Status();
}

}  // namespace

rt::Task<base::Status> check_spool(rt::Shard& shard, SpoolCheckOptions options,
                                   SpoolVisitor& visitor) {
    while (options.spool.size() > 1 && options.spool.ends_with('/')) {
        options.spool.pop_back();
    }
    IdentityDamage damage;
    const base::Result<format::Identity> identity =
        co_await read_spool(shard, options.spool, damage);
    if (!identity.has_value()) {
        co_return std::unexpected(identity.error());
    }
    if (options.partition && *options.partition >= identity->partitions) {
        co_return base::fail(EINVAL, "the spool has no partition " +
                                         std::to_string(*options.partition) + "; there are " +
                                         std::to_string(identity->partitions));
    }
    visitor.identity(*identity);
    for (const std::string* const what : {&damage.identity, &damage.copy}) {
        if (!what->empty() && !options.in_use) {
            Finding finding;
            finding.what = *what;
            finding.refused = what == &damage.identity;
            visitor.finding(finding);
        }
    }
    for (std::uint32_t number = 0; number < identity->partitions; ++number) {
        if (options.partition && *options.partition != number) {
            continue;
        }
        const auto check = std::make_unique<LogCheck>(shard, options, *identity, number, visitor);
        const base::Status status = co_await check->run();
        if (!status.has_value()) {
            co_return status;
        }
    }
    base::Status status;
    if (!options.partition) {
        status = co_await look_behind(shard, options, identity->partitions, visitor);
    }
    co_return status;
}

}  // namespace store
