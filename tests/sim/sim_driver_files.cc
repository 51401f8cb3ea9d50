// What SimDriver does with files and directories: delay, faults, and the Disk's own rules.
#include <algorithm>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/uio.h>

#include "base/assert.h"
#include "sim/sim_driver.h"

namespace sim {

namespace {

constexpr std::uint64_t kBlock = Disk::kBlock;

std::vector<base::Bytes> pieces_of(io::OpCode code, const io::Op::Parameters& parameters) {
    if (code == io::OpCode::read || code == io::OpCode::write) {
        return {{static_cast<const std::byte*>(parameters.memory), parameters.size}};
    }
    std::vector<base::Bytes> pieces;
    const auto* vector = static_cast<const iovec*>(parameters.memory);
    for (std::uint32_t i = 0; i < parameters.flags; ++i) {
        pieces.emplace_back(static_cast<const std::byte*>(vector[i].iov_base), vector[i].iov_len);
    }
    return pieces;
}

std::vector<std::byte> gathered(const std::vector<base::Bytes>& pieces) {
    std::vector<std::byte> bytes;
    for (const base::Bytes piece : pieces) {
        bytes.insert(bytes.end(), piece.begin(), piece.end());
    }
    return bytes;
}

// O_DIRECT: memory, offset and size in whole blocks.
bool aligned(const std::vector<base::Bytes>& pieces, std::uint64_t offset) {
    return offset % kBlock == 0 && std::ranges::all_of(pieces, [](base::Bytes piece) {
               return reinterpret_cast<std::uintptr_t>(piece.data()) % kBlock == 0 &&
                      piece.size() % kBlock == 0;
           });
}

std::int32_t result_of(const base::Status& status) {
    return status ? 0 : -status.error().number();
}

}  // namespace

base::Duration SimDriver::disk_delay(io::OpCode code, const std::optional<Injection>& injection) {
    base::Duration delay = world_.draw(world_.options().disk_latency);
    if (injection && injection->delay) {
        return *injection->delay;
    }
    if (world_.fault(Fault::slow_disk, io::name_of(code))) {
        delay += world_.draw(world_.options().slow_disk_time);
    }
    return delay;
}

void SimDriver::in_a_while(FlightId id, Flight& flight, base::Duration delay, const char* label,
                           std::function<std::int32_t()> effect) {
    flight.event = world_.after(delay, label,
                                [&host = host_, generation = process_.generation, index = index_,
                                 id, epoch = host_.disk().epoch(), effect = std::move(effect)] {
                                    if (host.disk().epoch() != epoch) {
                                        return;  // the power failed; Disk::crash() has decided
                                    }
                                    const std::int32_t result = effect();
                                    if (SimDriver* driver = host.driver_of(generation, index)) {
                                        driver->complete(id, result);
                                    }
                                });
}

void SimDriver::start_file(FlightId id, Flight& flight) {
    const io::Handle handle = flight.parameters.handle;
    switch (flight.code) {
        case io::OpCode::open:
        case io::OpCode::rename:
        case io::OpCode::unlink:
        case io::OpCode::make_directory:
            start_names(id, flight);
            return;
        default:
            break;
    }
    const Process::Entry* in_table = entry(handle);
    if (in_table == nullptr || in_table->file == nullptr) {
        complete_soon(id, in_table == nullptr ? -EBADF : -EINVAL);
        return;
    }
    flight.file = in_table->file;
    switch (flight.code) {
        case io::OpCode::read:
            start_read(id, flight);
            return;
        case io::OpCode::write:
        case io::OpCode::write_vector:
            start_write(id, flight);
            return;
        case io::OpCode::sync:
            start_sync(id, flight);
            return;
        case io::OpCode::allocate:
            start_allocate(id, flight);
            return;
        default:
            RP_PANIC("an operation that the simulator does not know");
    }
}

void SimDriver::start_read(FlightId id, Flight& flight) {
    const bool direct = flight.file->mode().direct;
    const std::uint64_t offset = flight.parameters.offset;
    const std::vector<base::Bytes> pieces = pieces_of(flight.code, flight.parameters);
    if (flight.file->is_directory() || (direct && !aligned(pieces, offset))) {
        complete_soon(id, flight.file->is_directory() ? -EISDIR : -EINVAL);
        return;
    }
    const base::MutableBytes into(const_cast<std::byte*>(pieces.front().data()),
                                  pieces.front().size());
    const std::optional<Injection> injection = host_.injection_for(flight.code);
    const auto effect = [file = flight.file, generation = process_.generation, into, offset, direct,
                         injection, &host = host_, &world = world_,
                         index = index_]() -> std::int32_t {
        if (host.driver_of(generation, index) == nullptr) {
            return 0;  // the memory went with its program
        }
        if (injection && injection->error != 0) {
            return -injection->error;
        }
        if (world.fault(Fault::read_error, "read")) {
            return -EIO;
        }
        std::uint64_t size = into.size();
        if (injection && injection->bytes) {
            size = std::min(size, *injection->bytes);
        }
        const std::uint64_t unit = direct ? kBlock : 1;
        if (size > unit && world.fault(Fault::short_read, "read")) {
            size = (1 + world.prng().below(size / unit)) * unit;
        }
        const std::size_t n = host.disk().read(file->inode(), offset, into.first(size));
        world.trace_bytes("disk.read", into.first(n));
        return static_cast<std::int32_t>(n);
    };
    in_a_while(id, flight, disk_delay(flight.code, injection), "disk.read", effect);
}

void SimDriver::start_write(FlightId id, Flight& flight) {
    const std::shared_ptr<OpenFile> file = flight.file;
    const std::uint64_t offset = flight.parameters.offset;
    const std::vector<base::Bytes> pieces = pieces_of(flight.code, flight.parameters);
    if (!file->mode().write || (file->mode().direct && !aligned(pieces, offset))) {
        complete_soon(id, file->mode().write ? -EINVAL : -EBADF);
        return;
    }
    std::vector<std::byte> bytes = gathered(pieces);
    world_.trace_bytes("disk.write", bytes);
    const std::optional<Injection> injection = host_.injection_for(flight.code);
    flight.write = host_.disk().begin_write(file->inode(), offset, bytes);
    const auto effect = [file, offset, pieces, bytes = std::move(bytes), injection,
                         write = flight.write, code = flight.code, generation = process_.generation,
                         index = index_, &host = host_, &world = world_]() -> std::int32_t {
        if (host.driver_of(generation, index) != nullptr) {
            // The kernel may read the memory at any moment until the completion.
            RP_ASSERT(gathered(pieces) == bytes);
        }
        Disk& disk = host.disk();
        const char* name = io::name_of(code);
        if ((injection && injection->error != 0) || world.fault(Fault::write_error, name)) {
            disk.fail_write(file->inode(), write, world.prng());
            return injection && injection->error != 0 ? -injection->error : -EIO;
        }
        if (disk.needs_room(file->inode(), offset, bytes.size()) &&
            world.fault(Fault::no_space, name)) {
            disk.cancel_write(file->inode(), write);
            return -ENOSPC;
        }
        std::uint64_t size = bytes.size();
        if (injection && injection->bytes) {
            size = std::min(size, *injection->bytes);
        }
        const std::uint64_t unit = file->mode().direct ? kBlock : 1;
        if (size > unit && world.fault(Fault::short_write, name)) {
            size = (1 + world.prng().below(size / unit)) * unit;
        }
        const auto done = disk.finish_write(file->inode(), write, size, file->mode().dsync);
        return done ? static_cast<std::int32_t>(*done) : -done.error().number();
    };
    in_a_while(id, flight, disk_delay(flight.code, injection), "disk.written", effect);
}

void SimDriver::start_sync(FlightId id, Flight& flight) {
    const std::optional<Injection> injection = host_.injection_for(flight.code);
    const auto effect = [file = flight.file, covers = host_.disk().begin_sync(), injection,
                         &host = host_, &world = world_]() -> std::int32_t {
        const bool injected = injection && injection->error != 0;
        if (injected || world.fault(Fault::sync_error, "sync")) {
            host.disk().fail_sync(file->inode(), covers, world.prng());
            return injected ? -injection->error : -EIO;
        }
        host.disk().finish_sync(file->inode(), covers);
        return 0;
    };
    in_a_while(id, flight, disk_delay(flight.code, injection), "disk.synced", effect);
}

void SimDriver::start_allocate(FlightId id, Flight& flight) {
    const io::Op::Parameters& parameters = flight.parameters;
    if (!flight.file->mode().write || parameters.size == 0) {
        complete_soon(id, parameters.size == 0 ? -EINVAL : -EBADF);
        return;
    }
    const std::optional<Injection> injection = host_.injection_for(flight.code);
    const auto effect = [file = flight.file, offset = parameters.offset, size = parameters.size,
                         injection, &host = host_, &world = world_]() -> std::int32_t {
        if (injection && injection->error != 0) {
            return -injection->error;
        }
        if (host.disk().needs_room(file->inode(), offset, size) &&
            world.fault(Fault::no_space, "allocate")) {
            return -ENOSPC;
        }
        return result_of(host.disk().allocate(file->inode(), offset, size));
    };
    in_a_while(id, flight, disk_delay(flight.code, injection), "disk.allocated", effect);
}

void SimDriver::start_names(FlightId id, Flight& flight) {
    const io::Op::Parameters& parameters = flight.parameters;
    const std::string path = static_cast<const char*>(parameters.memory);
    Disk::Inode directory = Disk::kRoot;
    const bool second_absolute =
        flight.code != io::OpCode::rename || parameters.second_path[0] == '/';
    const bool absolute = path.starts_with('/') && second_absolute;
    if (parameters.handle != io::kNoHandle && !absolute) {
        const Process::Entry* in_table = entry(parameters.handle);
        if (in_table == nullptr || in_table->file == nullptr || !in_table->file->is_directory()) {
            complete_soon(id, in_table == nullptr ? -EBADF : -ENOTDIR);
            return;
        }
        flight.file = in_table->file;
        directory = flight.file->inode();
    }
    if (flight.code == io::OpCode::open) {
        start_open(id, flight, directory);
        return;
    }
    const std::string second =
        flight.code == io::OpCode::rename ? parameters.second_path : std::string();
    const std::optional<Injection> injection = host_.injection_for(flight.code);
    world_.trace_bytes("disk.name", base::as_bytes(path));
    const auto effect = [directory, path, second, injection, code = flight.code, &host = host_,
                         held = flight.file, worker = process_.left_open]() -> std::int32_t {
        if (injection && injection->error != 0) {
            return -injection->error;
        }
        Disk& disk = host.disk();
        if (code == io::OpCode::rename) {
            return result_of(disk.rename(directory, path, second));
        }
        return result_of(code == io::OpCode::unlink ? disk.unlink(directory, path)
                                                    : disk.make_directory(directory, path));
    };
    in_a_while(id, flight, disk_delay(flight.code, injection), "disk.named", effect);
}

void SimDriver::start_open(FlightId id, Flight& flight, Disk::Inode directory) {
    const std::string path = static_cast<const char*>(flight.parameters.memory);
    const std::optional<Injection> injection = host_.injection_for(flight.code);
    world_.trace_bytes("disk.open", base::as_bytes(path));
    const auto effect = [directory, path, mode = flight.parameters.mode, injection, &host = host_,
                         generation = process_.generation, index = index_,
                         held = flight.file]() -> std::int32_t {
        SimDriver* driver = host.driver_of(generation, index);
        if (injection && injection->error != 0) {
            return -injection->error;
        }
        if (driver == nullptr) {
            return -ECANCELED;
        }
        auto file = host.disk().open(directory, path, mode);
        if (!file) {
            return -file.error().number();
        }
        const base::Result<io::Handle> handle = driver->add_entry({std::move(*file)});
        return handle ? *handle : -handle.error().number();
    };
    in_a_while(id, flight, disk_delay(flight.code, injection), "disk.opened", effect);
}

// By chance it was still waiting for a worker, or it is already under way and goes on.
void SimDriver::cancel_file(FlightId id, Flight& flight) {
    if (flight.no_cancel || world_.prng().chance(1, 2)) {
        return;
    }
    world_.take_back(flight.event);
    if (flight.write != 0 && world_.prng().chance(1, 2)) {
        host_.disk().fail_write(flight.file->inode(), flight.write, world_.prng());
    } else if (flight.write != 0) {
        host_.disk().cancel_write(flight.file->inode(), flight.write);
    }
    complete(id, -ECANCELED);
}

base::Result<std::vector<std::string>> SimDriver::list_directory(io::Handle directory) {
    const Process::Entry* in_table = entry(directory);
    if (in_table == nullptr || in_table->file == nullptr) {
        return base::fail(in_table == nullptr ? EBADF : ENOTDIR);
    }
    auto names = host_.disk().list(in_table->file->inode());
    for (std::size_t i = names ? names->size() : 0; i > 1; --i) {
        std::swap((*names)[i - 1], (*names)[world_.prng().below(i)]);  // "in no order"
    }
    return names;
}

base::Result<std::uint64_t> SimDriver::file_size(io::Handle file) {
    const Process::Entry* in_table = entry(file);
    if (in_table == nullptr || in_table->file == nullptr) {
        return base::fail(in_table == nullptr ? EBADF : EINVAL);
    }
    return host_.disk().size(in_table->file->inode());
}

void SimDriver::drop_cache(io::Handle file) {
    const Process::Entry* in_table = entry(file);
    if (in_table != nullptr && in_table->file != nullptr) {
        host_.disk().drop_cache(in_table->file->inode());
    }
}

base::Status SimDriver::try_lock(io::Handle file) {
    const Process::Entry* in_table = entry(file);
    if (in_table == nullptr || in_table->file == nullptr) {
        return base::fail(in_table == nullptr ? EBADF : EINVAL);
    }
    if (!host_.disk().try_lock(*in_table->file)) {
        return base::fail(EWOULDBLOCK);
    }
    return {};
}

base::Result<io::SpaceInfo> SimDriver::space(io::Handle directory) {
    const Process::Entry* in_table = entry(directory);
    if (in_table == nullptr || in_table->file == nullptr) {
        return base::fail(in_table == nullptr ? EBADF : EINVAL);
    }
    const std::uint64_t capacity = host_.disk().capacity_bytes();
    const std::uint64_t used = std::min(capacity, host_.disk().used_bytes());
    return io::SpaceInfo{capacity - used, capacity};
}

}  // namespace sim
