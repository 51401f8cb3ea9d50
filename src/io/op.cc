#include "io/op.h"

namespace io {

const char* name_of(OpCode code) {
    switch (code) {
        case OpCode::none:
            return "none";
        case OpCode::nop:
            return "nop";
        case OpCode::accept_multishot:
            return "accept_multishot";
        case OpCode::connect:
            return "connect";
        case OpCode::receive:
            return "receive";
        case OpCode::receive_multishot:
            return "receive_multishot";
        case OpCode::send:
            return "send";
        case OpCode::send_vector:
            return "send_vector";
        case OpCode::poll:
            return "poll";
        case OpCode::shutdown:
            return "shutdown";
        case OpCode::open:
            return "open";
        case OpCode::read:
            return "read";
        case OpCode::write:
            return "write";
        case OpCode::write_vector:
            return "write_vector";
        case OpCode::sync:
            return "sync";
        case OpCode::allocate:
            return "allocate";
        case OpCode::rename:
            return "rename";
        case OpCode::unlink:
            return "unlink";
        case OpCode::make_directory:
            return "make_directory";
    }
    RP_PANIC("unknown op code");
}

void Op::prepare(OpCode code, Handle handle) {
    RP_ASSERT(!in_flight_);
    code_ = code;
    parameters_ = {};
    parameters_.handle = handle;
}

void Op::prepare_nop() {
    prepare(OpCode::nop, kNoHandle);
}

void Op::prepare_accept_multishot(Handle listener) {
    prepare(OpCode::accept_multishot, listener);
}

void Op::prepare_connect(Handle socket, const SocketAddress& address) {
    prepare(OpCode::connect, socket);
    parameters_.address = &address;
}

void Op::prepare_receive(Handle socket, base::MutableBytes into) {
    prepare(OpCode::receive, socket);
    parameters_.memory = into.data();
    parameters_.size = into.size();
}

void Op::prepare_receive_multishot(Handle socket, BufferRingId ring) {
    prepare(OpCode::receive_multishot, socket);
    parameters_.ring = ring;
}

void Op::prepare_send(Handle socket, base::Bytes bytes) {
    prepare(OpCode::send, socket);
    parameters_.memory = bytes.data();
    parameters_.size = bytes.size();
}

void Op::prepare_send_vector(Handle socket, const iovec* pieces, std::uint32_t count) {
    RP_ASSERT(count >= 1 && count <= 1024);
    prepare(OpCode::send_vector, socket);
    parameters_.memory = pieces;
    parameters_.flags = count;
}

void Op::prepare_poll(Handle handle, std::uint32_t events) {
    prepare(OpCode::poll, handle);
    parameters_.flags = events;
}

void Op::prepare_shutdown(Handle socket, int how) {
    prepare(OpCode::shutdown, socket);
    parameters_.flags = static_cast<std::uint32_t>(how);
}

void Op::prepare_open(Handle directory, const char* path, OpenMode mode) {
    prepare(OpCode::open, directory);
    parameters_.memory = path;
    parameters_.mode = mode;
}

void Op::prepare_read(Handle file, base::MutableBytes into, std::uint64_t offset) {
    prepare(OpCode::read, file);
    parameters_.memory = into.data();
    parameters_.size = into.size();
    parameters_.offset = offset;
}

void Op::prepare_write(Handle file, base::Bytes bytes, std::uint64_t offset) {
    prepare(OpCode::write, file);
    parameters_.memory = bytes.data();
    parameters_.size = bytes.size();
    parameters_.offset = offset;
}

void Op::prepare_write_vector(Handle file, const iovec* pieces, std::uint32_t count,
                              std::uint64_t offset) {
    RP_ASSERT(count >= 1 && count <= 1024);
    prepare(OpCode::write_vector, file);
    parameters_.memory = pieces;
    parameters_.flags = count;
    parameters_.offset = offset;
}

void Op::prepare_sync(Handle file) {
    prepare(OpCode::sync, file);
}

void Op::prepare_allocate(Handle file, std::uint64_t offset, std::uint64_t size) {
    prepare(OpCode::allocate, file);
    parameters_.offset = offset;
    parameters_.size = size;
}

void Op::prepare_rename(Handle directory, const char* from, const char* to) {
    prepare(OpCode::rename, directory);
    parameters_.memory = from;
    parameters_.second_path = to;
}

void Op::prepare_unlink(Handle directory, const char* path) {
    prepare(OpCode::unlink, directory);
    parameters_.memory = path;
}

void Op::prepare_make_directory(Handle directory, const char* path, std::uint32_t permissions) {
    prepare(OpCode::make_directory, directory);
    parameters_.memory = path;
    parameters_.flags = permissions;
}

}  // namespace io
