// Op: one operation that a Driver carries out. Intrusive: it lives in the session, delivery or log
// that needs it, so an operation costs no allocation. It must not move or end while it is in
// flight; the destructor asserts that.
//
// A completion never runs user code while the driver reaps: the driver hands back a batch of (Op,
// Completion), and the shard calls Op::finish() on each in turn.
#pragma once

#include <cstdint>

#include <sys/uio.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "io/address.h"

namespace io {

// A file or socket as the driver knows it: the kernel's descriptor, or the simulator's number.
// Negative: none.
using Handle = std::int32_t;
constexpr Handle kNoHandle = -1;

using BufferRingId = std::uint16_t;

enum class OpCode : std::uint8_t {
    none,
    nop,
    accept_multishot,   // result: a Handle per completion, until one without `more`
    connect,            // result: 0
    receive,            // into the caller's memory; result: bytes, 0 at end of stream
    receive_multishot,  // into leased buffers; result: bytes per completion, 0 at end of stream
    send,               // result: bytes sent, which may be fewer than asked
    send_vector,        // the same from several pieces
    poll,               // once; result: the ready poll(2) events
    shutdown,           // result: 0
    open,               // result: a Handle
    read,               // result: bytes, 0 at end of file
    write,              // result: bytes, which may be fewer than asked
    write_vector,       // the same from several pieces
    sync,      // the file's data and what is needed to read it again (fdatasync); or all, for a
               // directory
    allocate,  // reserve blocks (fallocate mode 0); result: 0
    rename,    // result: 0
    unlink,    // result: 0
    make_directory,  // result: 0; EEXIST when it is there
};
constexpr std::size_t kOpCodes = static_cast<std::size_t>(OpCode::make_directory) + 1;
[[nodiscard]] const char* name_of(OpCode code);

// result: what OpCode says, or a negative errno. ECANCELED: cancel() came first, nothing happened
// (a send or write that was under way may have happened in part all the same: treat the stream or
// the log as broken).
struct Completion {
    std::int32_t result = 0;
    // receive_multishot: the leased buffer's id in its ring, if, and only if, result > 0; else -1.
    std::int32_t buffer = -1;
    // The op stays in flight and completes again. A multishot op may end at any completion, a good
    // one too (the kernel's queue was full, say): submit it again then.
    bool more = false;
};

// How a file is opened. Access mode bits are those of open(2).
struct OpenMode {
    bool write = false;
    bool create = false;
    bool exclusive = false;  // with create: EEXIST when it is there
    bool direct = false;     // O_DIRECT: memory, offsets and sizes in whole 4 KiB blocks
    bool dsync = false;      // O_DSYNC: a completed write is durable
    bool directory = false;
    std::uint32_t permissions = 0600;
};

class Op {
  public:
    using Complete = void (*)(Op&, const Completion&);

    explicit Op(Complete complete) : complete_(complete) {}
    Op(const Op&) = delete;
    Op& operator=(const Op&) = delete;
    ~Op() { RP_ASSERT(!in_flight_); }

    // prepare_*: what Driver::submit() will carry out. All memory and paths named must hold until
    // the last completion. REQUIRES of each: !in_flight().
    void prepare_nop();
    void prepare_accept_multishot(Handle listener);
    void prepare_connect(Handle socket, const SocketAddress& address);
    void prepare_receive(Handle socket, base::MutableBytes into);
    void prepare_receive_multishot(Handle socket, BufferRingId ring);
    void prepare_send(Handle socket, base::Bytes bytes);
    // REQUIRES: 1 ≤ count ≤ 1024.
    void prepare_send_vector(Handle socket, const iovec* pieces, std::uint32_t count);
    void prepare_poll(Handle handle, std::uint32_t events);
    void prepare_shutdown(Handle socket, int how);
    // Paths are relative to `directory` unless absolute; kNoHandle: the working directory.
    void prepare_open(Handle directory, const char* path, OpenMode mode);
    void prepare_read(Handle file, base::MutableBytes into, std::uint64_t offset);
    void prepare_write(Handle file, base::Bytes bytes, std::uint64_t offset);
    void prepare_write_vector(Handle file, const iovec* pieces, std::uint32_t count,
                              std::uint64_t offset);
    void prepare_sync(Handle file);
    void prepare_allocate(Handle file, std::uint64_t offset, std::uint64_t size);
    void prepare_rename(Handle directory, const char* from, const char* to);
    void prepare_unlink(Handle directory, const char* path);
    void prepare_make_directory(Handle directory, const char* path, std::uint32_t permissions);

    [[nodiscard]] OpCode code() const { return code_; }
    [[nodiscard]] bool in_flight() const { return in_flight_; }

    // For drivers: submit() starts, the shard's turn finishes. finish() clears in_flight() first
    // when this was the last completion, so the function may prepare and submit the same op again.
    void start() {
        RP_ASSERT(code_ != OpCode::none && !in_flight_);
        in_flight_ = true;
    }
    void finish(const Completion& completion) {
        RP_ASSERT(in_flight_);
        in_flight_ = completion.more;
        complete_(*this, completion);
    }

    // What a driver reads. Only the fields that the code's prepare function sets have a meaning.
    struct Parameters {
        Handle handle = kNoHandle;
        std::uint32_t flags = 0;  // poll events, shutdown `how`, permissions, or iovec count
        union {
            const void* memory = nullptr;  // bytes, iovec array, or path
            const SocketAddress* address;
        };
        union {
            std::uint64_t size = 0;  // bytes
            const char* second_path;
        };
        std::uint64_t offset = 0;
        OpenMode mode;
        BufferRingId ring = 0;
    };
    [[nodiscard]] const Parameters& parameters() const { return parameters_; }

  private:
    void prepare(OpCode code, Handle handle);

    Complete complete_;
    Parameters parameters_;
    OpCode code_ = OpCode::none;
    bool in_flight_ = false;
};

}  // namespace io
