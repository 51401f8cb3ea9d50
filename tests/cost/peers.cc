#include "cost/peers.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

namespace cost {
namespace {

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

// Lines in, text out.
class Connection {
  public:
    explicit Connection(int socket) : socket_(socket) {
        const int on = 1;
        ::setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }

    // A line without its end; "" at the end of the stream.
    std::string_view line() {
        begin_ = end_;
        for (;;) {
            const std::size_t found = buffer_.find("\r\n", begin_);
            if (found != std::string::npos) {
                end_ = found + 2;
                return std::string_view(buffer_).substr(begin_, found - begin_);
            }
            if (!more()) {
                return {};
            }
        }
    }

    // Reads past the final dot.
    bool content() {
        for (;;) {
            const std::size_t found = buffer_.find("\r\n.\r\n", end_);
            if (found != std::string::npos) {
                end_ = found + 5;
                return true;
            }
            // All but what the end may have begun with is of no use any more.
            if (buffer_.size() - end_ > 4) {
                end_ = buffer_.size() - 4;
            }
            if (!more()) {
                return false;
            }
        }
    }

    // Reads past so many octets.
    bool skip(std::size_t bytes) {
        while (buffer_.size() - end_ < bytes) {
            bytes -= buffer_.size() - end_;
            end_ = buffer_.size();
            if (!more()) {
                return false;
            }
        }
        end_ += bytes;
        return true;
    }

    // Whether no whole line is left.
    [[nodiscard]] bool drained() const { return buffer_.find("\r\n", end_) == std::string::npos; }

    bool send(std::string_view text) const {
        while (!text.empty()) {
            const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
            if (sent <= 0) {
                return false;
            }
            text.remove_prefix(static_cast<std::size_t>(sent));
        }
        return true;
    }

  private:
    bool more() {
        buffer_.erase(0, end_);
        begin_ = end_ = 0;
        char bytes[16384];
        const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
        if (got <= 0) {
            return false;
        }
        buffer_.append(bytes, static_cast<std::size_t>(got));
        return true;
    }

    int socket_;
    std::string buffer_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

void send_messages(const Load& load) {
    const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in address = loopback(load.port);
    ASSERT_EQ(::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    Connection peer(socket);
    const auto expect = [&peer](std::string_view code) {
        std::string_view line = peer.line();
        while (line.size() > 3 && line[3] == '-') {
            line = peer.line();
        }
        ASSERT_EQ(line.substr(0, 3), code);
    };
    expect("220");
    ASSERT_TRUE(peer.send("EHLO client.test\r\n"));
    expect("250");
    for (std::uint32_t i = 0; i < (load.reuse ? load.messages : 1); ++i) {
        ASSERT_TRUE(peer.send("MAIL FROM:<sender@src.test>\r\n"));
        expect("250");
        for (std::uint32_t to = 0; to < load.recipients; ++to) {
            ASSERT_TRUE(peer.send("RCPT TO:<r" + std::to_string(to) + "@dst.test>\r\n"));
            expect("250");
        }
        if (load.chunks) {
            const std::size_t half = load.content.size() / 2;
            ASSERT_TRUE(peer.send("BDAT " + std::to_string(half) + "\r\n"));
            ASSERT_TRUE(peer.send(load.content.substr(0, half)));
            expect("250");
            ASSERT_TRUE(
                peer.send("BDAT " + std::to_string(load.content.size() - half) + " LAST\r\n"));
            ASSERT_TRUE(peer.send(load.content.substr(half)));
        } else {
            ASSERT_TRUE(peer.send("DATA\r\n"));
            expect("354");
            ASSERT_TRUE(peer.send(load.content));
            ASSERT_TRUE(peer.send(".\r\n"));
        }
        expect("250");
    }
    ASSERT_TRUE(peer.send("QUIT\r\n"));
    expect("221");
    ::close(socket);
}

}  // namespace

NextHop::NextHop(bool chunking)
    : chunking_(chunking), listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    EXPECT_EQ(::listen(listener_, 256), 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
}

NextHop::~NextHop() {
    hold(false);
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (const int socket : sockets_) {
        ::shutdown(socket, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) {
        thread.join();
    }
    for (const int socket : sockets_) {
        ::close(socket);
    }
    ::close(listener_);
}

void NextHop::accept_all() {
    for (;;) {
        const int socket = ::accept(listener_, nullptr, nullptr);
        if (socket < 0) {
            return;
        }
        sockets_.push_back(socket);
        threads_.emplace_back([this, socket] { serve(socket); });
    }
}

void NextHop::serve(int socket) {
    Connection peer(socket);
    std::string replies = "220 sink.test\r\n";
    for (;;) {
        if (!replies.empty() && peer.drained()) {
            holds_.wait(true);
            if (!peer.send(replies)) {
                return;
            }
            replies.clear();
        }
        const std::string line(peer.line());
        const std::string_view verb = std::string_view(line).substr(0, 4);
        if (verb.empty()) {
            return;
        }
        if (verb == "EHLO") {
            replies += "250-sink.test\r\n250-PIPELINING\r\n";
            replies += chunking_ ? "250-CHUNKING\r\n" : "";
            replies += "250 8BITMIME\r\n";
        } else if (verb == "BDAT" && chunking_) {
            if (!peer.skip(std::stoul(line.substr(5)))) {
                return;
            }
            if (line.ends_with(" LAST")) {
                ++messages_;
                messages_.notify_all();
            }
            replies += "250 ok\r\n";
        } else if (verb == "DATA" && !chunking_) {
            replies += "354 go on\r\n";
            if (!peer.send(replies) || !peer.content()) {
                return;
            }
            ++messages_;
            messages_.notify_all();
            replies = "250 ok\r\n";
        } else {
            replies += verb == "QUIT"                     ? "221 bye\r\n"
                       : verb == "DATA" || verb == "BDAT" ? "503 not so\r\n"
                                                          : "250 ok\r\n";
        }
    }
}

void NextHop::hold(bool wanted) {
    holds_ = wanted;
    holds_.notify_all();
}

void NextHop::wait_for(std::uint64_t messages) const {
    for (std::uint64_t now = messages_.load(); now < messages; now = messages_.load()) {
        messages_.wait(now);
    }
}

void send_load(const Load& load) {
    std::vector<std::thread> clients;
    clients.reserve(load.clients);
    for (std::uint32_t i = 0; i < load.clients; ++i) {
        clients.emplace_back([&load] {
            for (std::uint32_t sent = 0; sent < load.messages; ++sent) {
                send_messages(load);
                if (load.reuse || ::testing::Test::HasFatalFailure()) {
                    return;
                }
            }
        });
    }
    for (std::thread& client : clients) {
        client.join();
    }
}

}  // namespace cost
