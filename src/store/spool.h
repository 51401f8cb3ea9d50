// The spool directory as a whole: its identity file and its partitions' folders.
//
//   SPOOL/identity        store id, format version, number of partitions (one block, see FORMAT.md)
//   SPOOL/identity.copy   the same, for when that is damaged
//   SPOOL/p000/ …         one folder per partition: lock, established, NNNNNNNN.seg
//
// Called once, on any one shard, before the shards open their stores. Failures are sentences for
// the operator.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"
#include "rt/task.h"

namespace rt {
class Shard;
}

namespace store {

namespace format {
struct Identity;
}

using StoreId = std::array<std::byte, 16>;

struct SpoolIdentity {
    StoreId id{};
    std::uint32_t partitions = 0;
    bool from_copy = false;     // salvage has taken it from there, and written it anew
    bool foreign_copy = false;  // identity.copy is another spool's
};

// Sentences without their full stop; "" where nothing is wrong.
struct IdentityDamage {
    std::string identity;  // its copy was taken instead
    std::string copy;
};

// What the operator can do about an errno that a start met in the spool; "" where nothing is known,
// else with "; " in front.
[[nodiscard]] std::string advice_for(int error);

// Makes the spool where there is none (its parent must exist), adds partitions up to
// `partitions_min`, and gives its identity. A spool of a newer format is refused (EPROTONOSUPPORT),
// a damaged identity too (EUCLEAN), unless `salvage` may take its copy. Idempotent: a crash at any
// moment leaves a spool that opens.
[[nodiscard]] rt::Task<base::Result<SpoolIdentity>> open_spool(rt::Shard& shard, std::string path,
                                                               std::uint32_t partitions_min,
                                                               bool salvage = false);

// What its identity says, without changing anything; a damaged one is replaced by its copy, and
// both are judged. `damage` is borrowed until the task ends. Errors: ENOENT where there is no
// spool, else as open_spool().
[[nodiscard]] rt::Task<base::Result<format::Identity>> read_spool(rt::Shard& shard,
                                                                  std::string path,
                                                                  IdentityDamage& damage);

}  // namespace store
