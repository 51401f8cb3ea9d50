// Op → SQE: the one switch that knows how each operation is said to the kernel.
#pragma once

#include <liburing.h>
#include <sys/socket.h>

#include "io/op.h"

namespace io {

// How a file synced by `Op::prepare_sync` is to be synced.
enum class SyncKind : std::uint8_t {
    data,  // fdatasync
    all,   // fsync
};

// Fills in `sqe`, which is cleared, but for user_data. `header` is scratch that holds until the
// kernel took the SQE.
void prepare(const Op& op, SyncKind sync, io_uring_sqe& sqe, msghdr& header);

}  // namespace io
