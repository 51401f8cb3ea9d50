#include "powercut/control.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace powercut {
namespace {

std::optional<Fate> fate_of(std::string_view word) {
    if (word == "drop") return Fate::drop;
    if (word == "mixed") return Fate::mixed;
    if (word == "mostly") return Fate::mostly;
    if (word == "any") return Fate::any;
    return std::nullopt;
}

std::optional<Moment> moment_of(std::string_view word) {
    if (word == "now") return Moment::now;
    if (word == "write") return Moment::write;
    if (word == "sync") return Moment::sync;
    if (word == "commit") return Moment::commit;
    if (word == "checkpoint") return Moment::checkpoint;
    if (word == "cleaning") return Moment::cleaning;
    if (word == "rotation") return Moment::rotation;
    return std::nullopt;
}

std::optional<CutOrder> cut_order(std::istringstream& words) {
    std::string fate;
    CutOrder order;
    if (!(words >> fate >> order.seed) || !fate_of(fate)) return std::nullopt;
    order.fate = *fate_of(fate);
    std::string moment;
    if (words >> moment) {
        std::uint32_t within_ms = 0;
        if (!(words >> order.count >> within_ms) || !moment_of(moment)) return std::nullopt;
        order.moment = *moment_of(moment);
        order.within = std::chrono::milliseconds(within_ms);
        if (!(words >> order.behind)) order.behind = 0;
    }
    return order;
}

std::string json(const VolatileDisk::Status& status) {
    return fmt::format(
        R"({{"power": {}, "writes": {}, "syncs": {}, "syncs_failed": {}, "syncs_in_progress": {}, )"
        R"("volatile_blocks": {}, "full_caches": {}}})",
        status.power, status.writes, status.syncs, status.syncs_failed, status.syncs_in_progress,
        status.volatile_blocks, status.full_caches);
}

std::string json(const Cut& cut) {
    return fmt::format(
        R"({{"time_ns": {}, "kept": {}, "dropped": {}, "torn": {}, "syncs_in_progress": {}, )"
        R"("commits": {}, "checkpoints": {}, "cleanings": {}, "rotations": {}}})",
        cut.time_ns, cut.kept, cut.dropped, cut.torn, cut.syncs_in_progress, cut.commits,
        cut.checkpoints, cut.cleanings, cut.rotations);
}

[[noreturn]] void give_up(const std::string& path) {
    fmt::print(stderr, "no control socket at {}: {}\n", path, std::strerror(errno));
    std::exit(1);
}

}  // namespace

Control::Control(VolatileDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        give_up(path_);
    }
    path_.copy(address.sun_path, path_.size());
    ::unlink(path_.c_str());
    socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (socket_ < 0 ||
        ::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0 ||
        ::listen(socket_, 8) < 0) {
        give_up(path_);
    }
    thread_ = std::thread([this] { serve(); });
}

Control::~Control() {
    ::shutdown(socket_, SHUT_RDWR);  // ends accept()
    thread_.join();
    ::close(socket_);
    ::unlink(path_.c_str());
}

void Control::serve() {
    for (;;) {
        const int connection = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
        if (connection < 0) return;
        std::string line;
        std::array<char, 256> piece{};
        while (line.find('\n') == std::string::npos && line.size() < piece.size()) {
            const ssize_t size = ::read(connection, piece.data(), piece.size());
            if (size <= 0) break;
            line.append(piece.data(), static_cast<std::size_t>(size));
        }
        const std::string reply = answer(line) + "\n";
        // Who asked may be gone; then nobody misses the answer.
        static_cast<void>(::send(connection, reply.data(), reply.size(), MSG_NOSIGNAL));
        ::close(connection);
    }
}

std::string Control::answer(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    double delay_ms = 0;
    std::uint64_t count = 0;
    if (verb == "cut") {
        if (const std::optional<CutOrder> order = cut_order(words)) return json(disk_.cut(*order));
    } else if (verb == "restart") {
        disk_.restart();
        return json(disk_.status());
    } else if (verb == "delay" && words >> delay_ms && delay_ms >= 0) {
        disk_.delay_syncs(std::chrono::nanoseconds(static_cast<std::int64_t>(delay_ms * 1e6)));
        return json(disk_.status());
    } else if (verb == "fail" && words >> count) {
        std::string forget;
        words >> forget;
        disk_.fail_syncs(count, forget == "forget");
        return json(disk_.status());
    } else if (verb == "spoil") {
        std::string text;
        words >> text;
        disk_.spoil(std::move(text));
        return json(disk_.status());
    } else if (verb == "status") {
        return json(disk_.status());
    }
    return R"({"error": "not understood; see tests/powercut/control.h"})";
}

}  // namespace powercut
