// Reading single records of a running log: by location, checked as at recovery.
#pragma once

#include "base/result.h"
#include "rt/task.h"
#include "store/location.h"
#include "store/read_buffer.h"
#include "store/record_reader.h"
#include "store/segment.h"

namespace store {

// Reads the batch at `location` into `buffer`, unless it holds it already, and finds the record.
// The record's payload is a view into `buffer`. Errors: EIO, or EUCLEAN where a checksum does not
// hold. `segment` must be pinned or alive until the task ends. REQUIRES: `buffer` was leased for
// this batch.
[[nodiscard]] rt::Task<base::Result<Record>> read_record(rt::Shard& shard, Segment& segment,
                                                         Location location, ReadBuffer& buffer);

// Fills the front of `into` from the file, in as many reads as it takes. ENODATA: the file ends
// before.
[[nodiscard]] rt::Task<base::Status> read_fully(rt::Shard& shard, rt::AwaitableOp& op,
                                                io::Handle file, base::MutableBytes into,
                                                std::uint64_t offset);

}  // namespace store
