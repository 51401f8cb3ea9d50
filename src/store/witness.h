// The witness of a partition: an empty file in the spool's own folder, SPOOL/established-p007, that
// says outside of the partition's folder that it has held a log. Where that folder is lost (its
// file system is not mounted, or somebody made it anew) its own mark is lost with it.
//
// Made once, when the log's first batch is durable and before anything is accepted: so no crash
// leaves it without a log. (Or by a salvage, before it makes a missing folder.) A spool from before
// there were witnesses gets them at its next start.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "rt/awaiters.h"
#include "rt/task.h"

namespace store {

// `spool` is its path, without a slash at the end; `op` must outlive the task. Errors are sentences
// for the operator.
[[nodiscard]] rt::Task<base::Result<bool>> has_witness(rt::Shard& shard, rt::AwaitableOp& op,
                                                       std::string spool, std::uint32_t partition);
// Durable when it ends.
[[nodiscard]] rt::Task<base::Status> make_witness(rt::Shard& shard, rt::AwaitableOp& op,
                                                  std::string spool, std::uint32_t partition);

}  // namespace store
