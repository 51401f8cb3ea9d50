#include "app/control_client.h"

#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "app/control_server.h"
#include "base/assert.h"

namespace app {
namespace {

constexpr std::size_t kLineBytesMax = std::size_t{256}
                                      << 20U;  // a message with very many recipients

int connect_to(const std::string& path) {
    sockaddr_un address{};
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    address.sun_family = AF_UNIX;
    std::memcpy(static_cast<char*>(address.sun_path), path.data(), path.size());
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // Bounds the wait for a server that accepts nothing (EAGAIN then).
    const timeval patience{.tv_sec = 5, .tv_usec = 0};
    if (fd >= 0) {
        ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    }
    if (fd >= 0 &&
        ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int number = errno;
        ::close(fd);
        errno = number;
        return -1;
    }
    return fd;
}

}  // namespace

base::Result<ControlClient> ControlClient::connect(std::span<const std::string> paths) {
    RP_ASSERT(!paths.empty());
    std::string text = "no ringpost answers";
    int number = 0;
    for (std::size_t i = 0; i < paths.size(); ++i) {
        const int fd = connect_to(paths[i]);
        if (fd >= 0) {
            return ControlClient(fd, paths[i]);
        }
        number = errno;
        text.append(i == 0 ? " at " : ", nor at ")
            .append(paths[i])
            .append(": ")
            .append(std::strerror(number));
    }
    text += number == EACCES || number == EPERM
                ? "; run this as the server's user, or as root"
                : "; is it running? --control or --spool says where else to look";
    return base::fail(number, std::move(text));
}

ControlClient::ControlClient(int socket, std::string path)
    : socket_(socket), path_(std::move(path)) {}

ControlClient::ControlClient(ControlClient&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      path_(std::move(other.path_)),
      input_(std::move(other.input_)),
      consumed_(other.consumed_) {}

ControlClient::~ControlClient() {
    if (socket_ >= 0) {
        ::close(socket_);
    }
}

base::Status ControlClient::request(
    const nlohmann::json& request, const std::function<bool(const nlohmann::ordered_json&)>& item,
    const std::function<void(const nlohmann::ordered_json&)>& progress) {
    const std::string line =
        request.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    if (line.size() > ControlServer::kRequestBytesMax) {
        return base::fail(E2BIG, "this takes a request of " + std::to_string(line.size()) +
                                     " bytes, and the server takes " +
                                     std::to_string(ControlServer::kRequestBytesMax) +
                                     " at most: give fewer or shorter words");
    }
    std::string_view rest = line;
    while (!rest.empty()) {
        const ssize_t sent = ::send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL);
        if (sent >= 0) {
            rest.remove_prefix(static_cast<std::size_t>(sent));
        } else if (errno == EPIPE || errno == ECONNRESET) {
            break;  // it may have said why
        } else if (errno != EINTR) {
            return base::fail(
                errno, "the server at " + path_ + " cannot be asked: " + std::strerror(errno));
        }
    }
    while (true) {
        const base::Result<std::string> answer = read_line();
        if (!answer) {
            return std::unexpected(answer.error());
        }
        const nlohmann::ordered_json json = nlohmann::ordered_json::parse(*answer, nullptr, false);
        if (json.is_object() && json.contains("item")) {
            if (!item(json["item"])) {
                return {};
            }
        } else if (json.is_object() && json.contains("progress")) {
            if (progress) {
                progress(json["progress"]);
            }
        } else if (json.is_object() && json.contains("done")) {
            return {};
        } else if (json.is_object() && json.contains("error") && json["error"].is_string()) {
            return base::fail(EREMOTEIO, json["error"].get<std::string>());
        } else {
            return base::fail(EPROTO,
                              "what answers at " + path_ + " does not speak as ringpost does");
        }
    }
}

base::Result<std::string> ControlClient::read_line() {
    std::size_t searched = consumed_;
    while (true) {
        if (const std::size_t end = input_.find('\n', searched); end != std::string::npos) {
            std::string line = input_.substr(consumed_, end - consumed_);
            consumed_ = end + 1;
            return line;
        }
        input_.erase(0, std::exchange(consumed_, 0));
        searched = input_.size();
        if (input_.size() > kLineBytesMax) {
            return base::fail(EPROTO, "the server at " + path_ + " sends a line without an end");
        }
        char buffer[16384];
        const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
        if (got > 0) {
            input_.append(buffer, static_cast<std::size_t>(got));
        } else if (got == 0 || errno != EINTR) {
            return base::fail(got == 0 ? ECONNRESET : errno,
                              "the server at " + path_ + " went away before the end of its answer");
        }
    }
}

}  // namespace app
