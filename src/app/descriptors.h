// Descriptors: how many files and sockets the process may have open, and what may take them.
//
// Whatever accepts connections could take all of them; then deliveries find no socket and the spool
// no segment. So the tables of sessions are made to leave a reserve.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace app {

// Raises the soft limit to the hard one; gives what holds then. The kernel refuses nothing here
// that a process could mend: what cannot be raised stays.
std::uint64_t raise_descriptor_limit();

// What is to be said of a start that failed: where descriptors ran out, with what to do.
[[nodiscard]] std::string describe_failed_start(const base::Error& error);

struct DescriptorNeeds {
    std::uint32_t shards = 1;
    std::uint32_t listeners = 1;    // each shard has a socket for each
    std::uint32_t connections = 0;  // to next hops, of all shards together
    std::uint32_t sessions = 0;     // wanted, per shard
};

// What all of it takes.
[[nodiscard]] std::uint64_t descriptors_for(const DescriptorNeeds& needs);

// Sessions per shard that `limit` has room for: as many as wanted, or fewer, never none.
[[nodiscard]] std::uint32_t sessions_that_fit(const DescriptorNeeds& needs, std::uint64_t limit);

}  // namespace app
