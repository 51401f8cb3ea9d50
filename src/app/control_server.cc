#include "app/control_server.h"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <list>
#include <system_error>
#include <thread>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "app/signals.h"

namespace app {
namespace {

constexpr std::size_t kPeersMax = 16;
constexpr std::size_t kFlushBytes = std::size_t{32} << 10U;
constexpr int kBacklog = 16;
constexpr timeval kProbeTimeout{.tv_sec = 5, .tv_usec = 0};
constexpr timeval kSendTimeout{.tv_sec = 600, .tv_usec = 0};

class Descriptor {
  public:
    explicit Descriptor(int fd = -1) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        std::swap(fd_, other.fd_);
        return *this;
    }
    ~Descriptor() {
        if (fd_ >= 0) {
            ::close(fd_);
        }
    }
    [[nodiscard]] int get() const { return fd_; }

  private:
    int fd_;
};

std::unexpected<base::Error> failed(const std::string& path, const std::string& what) {
    const int number = errno;
    return base::fail(number,
                      "control socket " + path + ": " + what + ": " + std::strerror(number));
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(static_cast<char*>(address.sun_path), path.data(), path.size());
    return address;
}

enum class Place : std::uint8_t { empty, stale };

// What is at the path of a server that is to start: nothing, or a socket that nobody answers, which
// is what a killed server left behind. Anything else is an error.
base::Result<Place> look_at(const std::string& path) {
    if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) {
        return base::fail(
            ENAMETOOLONG,
            "control socket " + path + ": a Unix socket's name has 1 to 107 bytes; set `control`");
    }
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) {
        if (errno == ENOENT) {
            return Place::empty;
        }
        return failed(path, "cannot be looked at");
    }
    if (!S_ISSOCK(status.st_mode)) {
        return base::fail(EEXIST,
                          "control socket " + path +
                              ": a file that is no socket is in its place; remove it, or set "
                              "`control` to another path");
    }
    const Descriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (probe.get() < 0) {
        return failed(path, "no socket");
    }
    // Bounds the wait for a server that accepts nothing.
    ::setsockopt(probe.get(), SOL_SOCKET, SO_SNDTIMEO, &kProbeTimeout, sizeof kProbeTimeout);
    const sockaddr_un address = address_of(path);
    if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
        return base::fail(EADDRINUSE,
                          "control socket " + path +
                              ": another ringpost answers there; stop it, or set `control` "
                              "to another path");
    }
    if (errno != ECONNREFUSED) {
        return failed(path, "is taken and does not answer");
    }
    return Place::stale;
}

base::Result<Descriptor> listen_at(const std::string& path) {
    const base::Result<Place> place = look_at(path);
    if (!place) {
        return std::unexpected(place.error());
    }
    if (*place == Place::stale && ::unlink(path.c_str()) != 0) {
        return failed(path, "the old one cannot be removed");
    }
    if (const std::size_t slash = path.rfind('/'); slash != std::string::npos && slash > 0) {
        const std::string directory =
            path.substr(0, slash);  // /run/ringpost is gone after each boot
        if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) {
            return failed(path, "its directory cannot be made");
        }
    }
    const sockaddr_un address = address_of(path);
    Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    // The mode before bind(), so that there is no moment in which others could connect.
    if (socket.get() < 0 || ::fchmod(socket.get(), 0600) != 0) {
        return failed(path, "no socket");
    }
    if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return failed(path, "cannot be made");
    }
    if (::listen(socket.get(), kBacklog) != 0) {
        return failed(path, "cannot listen");
    }
    return socket;
}

}  // namespace

bool ControlReply::item(const nlohmann::ordered_json& value) {
    nlohmann::ordered_json whole;
    whole["item"] = value;
    return line(whole);
}

bool ControlReply::progress(const nlohmann::ordered_json& value) {
    nlohmann::ordered_json whole;
    whole["progress"] = value;
    return line(whole);
}

bool ControlReply::line(const nlohmann::ordered_json& value) {
    // Replaces what is not UTF-8 instead of throwing.
    buffer_ += value.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
    buffer_ += '\n';
    return buffer_.size() < kFlushBytes ? !broken_ : flush();
}

bool ControlReply::flush() {
    std::string_view rest = buffer_;
    while (!rest.empty() && !broken_) {
        const ssize_t sent = ::send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent >= 0) {
            rest.remove_prefix(static_cast<std::size_t>(sent));
        } else if (errno != EINTR) {
            broken_ = true;
        }
    }
    buffer_.clear();
    return !broken_;
}

// One connection, on its own thread.
class ControlPeer {
  public:
    ControlPeer(Descriptor socket, const ControlCommands& commands,
                std::chrono::milliseconds request_time)
        : socket_(std::move(socket)),
          commands_(commands),
          request_time_(request_time),
          thread_([this] { run(); }) {}
    ControlPeer(const ControlPeer&) = delete;
    ControlPeer& operator=(const ControlPeer&) = delete;
    ~ControlPeer() {
        ::shutdown(socket_.get(), SHUT_RDWR);
        thread_.join();
    }
    [[nodiscard]] bool finished() const { return finished_.load(std::memory_order_acquire); }

  private:
    void run() {
        ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout, sizeof kSendTimeout);
        std::string input;
        while (read_line(input)) {
            const std::size_t end = input.find('\n');
            ControlReply reply(socket_.get());
            answer(std::string_view(input).substr(0, end), reply);
            if (!reply.flush()) {
                break;
            }
            input.erase(0, end + 1);
        }
        if (too_long(input)) {
            ControlReply reply(socket_.get());
            refuse(reply, "a request has at most 64 KiB");
            static_cast<void>(reply.flush());
        }
        ::shutdown(socket_.get(),
                   SHUT_RDWR);  // the peer sees the end now, not when the thread is collected
        finished_.store(true, std::memory_order_release);
    }

    static bool too_long(const std::string& input) {
        return input.size() >= ControlServer::kRequestBytesMax && !input.contains('\n');
    }
    static void refuse(ControlReply& reply, const std::string& text) {
        nlohmann::ordered_json last;
        last["error"] = text;
        reply.line(last);
    }

    // Until `input` holds a whole line. All of it has to come in time, however it drips.
    bool read_line(std::string& input) {
        const auto deadline = std::chrono::steady_clock::now() + request_time_;
        while (!input.contains('\n')) {
            if (too_long(input) || !readable_before(deadline)) {
                return false;
            }
            char buffer[4096];
            const ssize_t got = ::recv(socket_.get(), buffer, sizeof buffer, 0);
            if (got > 0) {
                input.append(buffer, static_cast<std::size_t>(got));
            } else if (got == 0 || errno != EINTR) {
                return false;
            }
        }
        return true;
    }

    [[nodiscard]] bool readable_before(std::chrono::steady_clock::time_point deadline) const {
        for (;;) {
            const auto left = std::chrono::ceil<std::chrono::milliseconds>(
                deadline - std::chrono::steady_clock::now());
            if (left <= std::chrono::milliseconds::zero()) {
                return false;
            }
            pollfd polled{.fd = socket_.get(), .events = POLLIN, .revents = 0};
            const int ready = ::poll(&polled, 1, static_cast<int>(left.count()));
            if (ready > 0 || (ready < 0 && errno != EINTR)) {
                return ready > 0;
            }
        }
    }

    void answer(std::string_view line, ControlReply& reply) {
        const nlohmann::json request = nlohmann::json::parse(line, nullptr, false);
        const auto name = request.is_object() ? request.find("command") : request.end();
        if (!request.is_object() || name == request.end() || !name->is_string()) {
            refuse(reply, "a request is a JSON object on one line, with a text \"command\"");
            return;
        }
        const auto command = commands_.find(name->get_ref<const std::string&>());
        if (command == commands_.end()) {
            refuse(reply, "unknown command; this server may be of another version than the client");
            return;
        }
        if (const base::Status done = command->second(request, reply); !done) {
            refuse(reply, done.error().describe());
            return;
        }
        nlohmann::ordered_json last;
        last["done"] = true;
        reply.line(last);
    }

    Descriptor socket_;
    const ControlCommands& commands_;
    const std::chrono::milliseconds request_time_;
    std::atomic<bool> finished_ = false;
    std::thread thread_;  // last: starts when all else is there
};

class ControlServer::Acceptor {
  public:
    Acceptor(std::string path, Descriptor listener, Descriptor stop, ControlCommands commands,
             std::chrono::milliseconds request_time)
        : path_(std::move(path)),
          listener_(std::move(listener)),
          stop_(std::move(stop)),
          commands_(std::move(commands)),
          request_time_(request_time),
          thread_([this] { run(); }) {}
    Acceptor(const Acceptor&) = delete;
    Acceptor& operator=(const Acceptor&) = delete;
    ~Acceptor() {
        ::unlink(path_.c_str());
        const std::uint64_t one = 1;
        while (::write(stop_.get(), &one, sizeof one) < 0 && errno == EINTR) {
        }
        thread_.join();
    }

  private:
    void run() {
        pollfd polled[2] = {{.fd = listener_.get(), .events = POLLIN, .revents = 0},
                            {.fd = stop_.get(), .events = POLLIN, .revents = 0}};
        while (polled[1].revents == 0) {
            constexpr int kCollectEveryMs = 1000;
            if (::poll(static_cast<pollfd*>(polled), 2, kCollectEveryMs) < 0) {
                polled[0].revents = polled[1].revents = 0;  // EINTR; there is no other
            }
            peers_.remove_if([](const ControlPeer& peer) { return peer.finished(); });
            if (polled[0].revents != 0) {
                accept();
            }
        }
        peers_.clear();
    }

    void accept() {
        Descriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (socket.get() < 0) {
            // Out of descriptors: the connection stays in the backlog; do not spin on it.
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
            return;
        }
        if (peers_.size() >= kPeersMax) {
            constexpr std::string_view kBusy =
                "{\"error\":\"too many control connections at once; try again later\"}\n";
            ::send(socket.get(), kBusy.data(), kBusy.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
            return;
        }
        try {
            peers_.emplace_back(std::move(socket), commands_, request_time_);
        } catch (const std::system_error&) {
            return;  // no thread to be had: this peer sees its connection closed
        }
    }

    std::string path_;
    Descriptor listener_;
    Descriptor stop_;
    ControlCommands commands_;
    const std::chrono::milliseconds request_time_;
    std::list<ControlPeer> peers_;  // touched by thread_ only
    std::thread thread_;            // last: starts when all else is there
};

base::Status ControlServer::may_start(const std::string& path) {
    const base::Result<Place> place = look_at(path);
    return place ? base::Status() : std::unexpected(place.error());
}

base::Result<std::unique_ptr<ControlServer>> ControlServer::start(
    std::string path, ControlCommands commands, std::chrono::milliseconds request_time) {
    base::Result<Descriptor> listener = listen_at(path);
    if (!listener) {
        return std::unexpected(listener.error());
    }
    Descriptor stop(::eventfd(0, EFD_CLOEXEC));
    if (stop.get() < 0) {
        return failed(path, "no eventfd");
    }
    const SignalsBlocked blocked;
    auto acceptor = std::make_unique<Acceptor>(std::move(path), std::move(*listener),
                                               std::move(stop), std::move(commands), request_time);
    return std::unique_ptr<ControlServer>(new ControlServer(std::move(acceptor)));
}

ControlServer::ControlServer(std::unique_ptr<Acceptor> acceptor) : acceptor_(std::move(acceptor)) {}
ControlServer::~ControlServer() = default;

}  // namespace app
