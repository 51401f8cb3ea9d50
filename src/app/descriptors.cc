#include "app/descriptors.h"

#include <algorithm>
#include <cerrno>

#include <sys/resource.h>

#include "smtp/server.h"

namespace app {
namespace {

// Standard streams, the control socket and its peers, what libraries open.
constexpr std::uint64_t kProcess = 64;
// A ring, its doorbell, folders and locks of partitions.
constexpr std::uint64_t kPerShard = 16;
// A backlog of 8 GiB in each shard. What is beyond that has to be lucky.
constexpr std::uint64_t kSegmentsPerShard = 128;
constexpr std::uint32_t kSessionsLeast = 8;

std::uint64_t reserve_of(const DescriptorNeeds& needs) {
    const std::uint64_t shard =
        kPerShard + kSegmentsPerShard + needs.listeners + smtp::Server::kRefusalsMax;
    return kProcess + needs.connections + needs.shards * shard;
}

}  // namespace

std::uint64_t raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return 1024;  // what a process has where nobody says otherwise
    }
    if (limit.rlim_cur < limit.rlim_max) {
        const rlimit raised{.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
        if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) {
            limit = raised;
        }
    }
    return limit.rlim_cur;
}

std::string describe_failed_start(const base::Error& error) {
    std::string text = error.describe();
    const bool files = error.number() == EMFILE || error.number() == ENFILE;
    if (files && !text.contains("raise ")) {
        text += "; raise the limit of open files (LimitNOFILE=, ulimit -n), then start again";
    }
    return text;
}

std::uint64_t descriptors_for(const DescriptorNeeds& needs) {
    return reserve_of(needs) + std::uint64_t{needs.shards} * needs.sessions;
}

std::uint32_t sessions_that_fit(const DescriptorNeeds& needs, std::uint64_t limit) {
    const std::uint64_t reserve = reserve_of(needs);
    const std::uint64_t fit = limit > reserve ? (limit - reserve) / needs.shards : 0;
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(needs.sessions, std::max<std::uint64_t>(fit, kSessionsLeast)));
}

}  // namespace app
