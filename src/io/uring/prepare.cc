#include "io/uring/prepare.h"

#include <algorithm>

#include <fcntl.h>

#include "base/assert.h"

namespace io {
namespace {

// What the kernel takes in one call (MAX_RW_COUNT); the length field of an SQE has 32 bits. More is
// a short read or write, which callers expect.
constexpr std::uint64_t kTransferMax = 0x7ffff000;

unsigned clamped(std::uint64_t size) {
    return static_cast<unsigned>(std::min(size, kTransferMax));
}

int open_flags(const OpenMode& mode) {
    int flags = O_CLOEXEC | (mode.write ? O_RDWR : O_RDONLY);
    if (mode.create) flags |= O_CREAT;
    if (mode.exclusive) flags |= O_EXCL;
    if (mode.direct) flags |= O_DIRECT;
    if (mode.dsync) flags |= O_DSYNC;
    if (mode.directory) flags |= O_DIRECTORY;
    return flags;
}

int directory_of(const Op::Parameters& parameters) {
    return parameters.handle == kNoHandle ? AT_FDCWD : parameters.handle;
}

const char* path_of(const Op::Parameters& parameters) {
    return static_cast<const char*>(parameters.memory);
}

// The SQE has a pointer for both directions; receives and reads were given writable memory.
void* memory_of(const Op::Parameters& parameters) {
    return const_cast<void*>(parameters.memory);
}

}  // namespace

void prepare(const Op& op, SyncKind sync, io_uring_sqe& sqe, msghdr& header) {
    const Op::Parameters& p = op.parameters();
    switch (op.code()) {
        case OpCode::none:
            RP_PANIC("submitted an op that was not prepared");
        case OpCode::nop:
            return io_uring_prep_nop(&sqe);
        case OpCode::accept_multishot:
            // The peer's address is asked for when it is needed: a multishot accept has one place
            // for all its completions. No SOCK_NONBLOCK: see UringDriver::socket().
            return io_uring_prep_multishot_accept(&sqe, p.handle, nullptr, nullptr, SOCK_CLOEXEC);
        case OpCode::connect:
            return io_uring_prep_connect(&sqe, p.handle, p.address->raw(), p.address->raw_size());
        case OpCode::receive:
            return io_uring_prep_recv(&sqe, p.handle, memory_of(p), clamped(p.size), 0);
        case OpCode::receive_multishot:
            io_uring_prep_recv_multishot(&sqe, p.handle, nullptr, 0, 0);
            sqe.flags |= IOSQE_BUFFER_SELECT;
            sqe.buf_group = p.ring;
            return;
        case OpCode::send:
            // No MSG_WAITALL: the kernel would try again by itself, and a slow reader's progress
            // would be hidden from our time-outs.
            return io_uring_prep_send(&sqe, p.handle, p.memory, clamped(p.size), MSG_NOSIGNAL);
        case OpCode::send_vector:
            header = {};
            header.msg_iov = static_cast<iovec*>(memory_of(p));
            header.msg_iovlen = p.flags;
            return io_uring_prep_sendmsg(&sqe, p.handle, &header, MSG_NOSIGNAL);
        case OpCode::poll:
            return io_uring_prep_poll_add(&sqe, p.handle, p.flags);
        case OpCode::shutdown:
            return io_uring_prep_shutdown(&sqe, p.handle, static_cast<int>(p.flags));
        case OpCode::open:
            return io_uring_prep_openat(&sqe, directory_of(p), path_of(p), open_flags(p.mode),
                                        p.mode.permissions);
        case OpCode::read:
            return io_uring_prep_read(&sqe, p.handle, memory_of(p), clamped(p.size), p.offset);
        case OpCode::write:
            return io_uring_prep_write(&sqe, p.handle, p.memory, clamped(p.size), p.offset);
        case OpCode::write_vector:
            return io_uring_prep_writev(&sqe, p.handle, static_cast<const iovec*>(p.memory),
                                        p.flags, p.offset);
        case OpCode::sync:
            return io_uring_prep_fsync(&sqe, p.handle,
                                       sync == SyncKind::data ? IORING_FSYNC_DATASYNC : 0U);
        case OpCode::allocate:
            return io_uring_prep_fallocate(&sqe, p.handle, 0, static_cast<off_t>(p.offset),
                                           static_cast<off_t>(p.size));
        case OpCode::rename:
            return io_uring_prep_renameat(&sqe, directory_of(p), path_of(p), directory_of(p),
                                          p.second_path, 0);
        case OpCode::unlink:
            return io_uring_prep_unlinkat(&sqe, directory_of(p), path_of(p), 0);
        case OpCode::make_directory:
            return io_uring_prep_mkdirat(&sqe, directory_of(p), path_of(p), p.flags);
    }
    RP_PANIC("unknown op code");
}

}  // namespace io
