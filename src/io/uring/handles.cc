// The calls of UringDriver that act at once, by ordinary system calls.
#include <cerrno>
#include <cstring>

#include <dirent.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/assert.h"
#include "io/uring/uring_driver.h"

namespace io {
namespace {

bool set(int descriptor, int level, int option, int value = 1) {
    return ::setsockopt(descriptor, level, option, &value, sizeof value) == 0;
}

// The descriptor stays open when `options` or what follows fails; the caller closes it.
bool set_up_listener(int descriptor, const SocketAddress& address, const ListenOptions& options) {
    if (address.family() != AF_UNIX) {
        // A restart must not wait for the last process's connections to leave TIME_WAIT.
        if (!set(descriptor, SOL_SOCKET, SO_REUSEADDR)) return false;
        if (options.reuse_port && !set(descriptor, SOL_SOCKET, SO_REUSEPORT)) return false;
        // Accepted sockets inherit it, which spares a call for each.
        if (!set(descriptor, IPPROTO_TCP, TCP_NODELAY)) return false;
    }
    // "[::]:25" beside "0.0.0.0:25" in one configuration are two listeners.
    if (address.family() == AF_INET6 && !set(descriptor, IPPROTO_IPV6, IPV6_V6ONLY)) return false;
    return ::bind(descriptor, address.raw(), address.raw_size()) == 0 &&
           ::listen(descriptor, static_cast<int>(options.backlog)) == 0;
}

using NameFunction = int (*)(int, sockaddr*, socklen_t*) noexcept;

SocketAddress name_of_socket(NameFunction function, int descriptor) {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (function(descriptor, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
        return {};
    }
    return SocketAddress::from_kernel(storage, size);
}

}  // namespace

base::Result<Handle> UringDriver::listen(const SocketAddress& address,
                                         const ListenOptions& options) {
    const int descriptor = ::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0 || !set_up_listener(descriptor, address, options)) {
        const int error = errno;
        if (descriptor >= 0) {
            ::close(descriptor);
        }
        return base::fail(
            error, "cannot listen on " + address.text() + ": " + base::Error(error).describe());
    }
    return descriptor;
}

// Sockets block, by their flag, and so no caller: the ring asks without blocking and polls by
// itself. With O_NONBLOCK set some kernels give EAGAIN to the op instead of polling.
base::Result<Handle> UringDriver::socket(int family, const SocketAddress& source) {
    const int descriptor = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return base::fail(errno);
    }
    bool good = family == AF_UNIX || set(descriptor, IPPROTO_TCP, TCP_NODELAY);
    if (good && !source.empty()) {
        if (family != AF_UNIX && source.port() == 0) {
            // The port is chosen at connect(2), when the peer is known: then two connections to
            // different peers may share one, and a source address is not limited to 28,000.
            good = set(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
        }
        good = good && ::bind(descriptor, source.raw(), source.raw_size()) == 0;
    }
    if (!good) {
        const int error = errno;
        ::close(descriptor);
        return base::fail(error);
    }
    return descriptor;
}

SocketAddress UringDriver::local_address(Handle socket) {
    return name_of_socket(::getsockname, socket);
}

SocketAddress UringDriver::peer_address(Handle socket) {
    return name_of_socket(::getpeername, socket);
}

base::Result<std::vector<std::string>> UringDriver::list_directory(Handle directory) {
    // A descriptor of its own: reading moves a position that all copies of one share.
    const int descriptor = ::openat(directory == kNoHandle ? AT_FDCWD : directory, ".",
                                    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) {
        return base::fail(errno);
    }
    DIR* const stream = ::fdopendir(descriptor);
    if (stream == nullptr) {
        const int error = errno;
        ::close(descriptor);
        return base::fail(error);
    }
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(stream)) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            names.emplace_back(name);
        }
        errno = 0;
    }
    const int error = errno;
    ::closedir(stream);
    if (error != 0) {
        return base::fail(error);
    }
    return names;
}

base::Result<std::uint64_t> UringDriver::file_size(Handle file) {
    struct stat status{};
    if (::fstat(file, &status) != 0) {
        return base::fail(errno);
    }
    return static_cast<std::uint64_t>(status.st_size);
}

// Advice only, but the kernel drops every clean page that no one else has pinned.
void UringDriver::drop_cache(Handle file) {
    static_cast<void>(::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED));
}

// flock(2), not fcntl(2): the lock belongs to the open file, which writes of a killed process that
// are under way in the ring keep open.
base::Status UringDriver::try_lock(Handle file) {
    while (::flock(file, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EINTR) {
            return base::fail(errno);
        }
    }
    return {};
}

base::Result<SpaceInfo> UringDriver::space(Handle directory) {
    struct statvfs status{};
    if (::fstatvfs(directory, &status) != 0) {
        return base::fail(errno);
    }
    return SpaceInfo{std::uint64_t{status.f_bavail} * status.f_frsize,
                     std::uint64_t{status.f_blocks} * status.f_frsize};
}

}  // namespace io
