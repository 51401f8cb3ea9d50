// The other ends of a relay under test, in plain blocking sockets on threads of their own: a next
// hop that takes everything, and clients that send.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace cost {

// Listens on a free port of 127.0.0.1 until destroyed. Offers PIPELINING and 8BITMIME, and CHUNKING
// where it is asked to; mail then has to come by BDAT.
class NextHop {
  public:
    explicit NextHop(bool chunking);
    NextHop(const NextHop&) = delete;
    NextHop& operator=(const NextHop&) = delete;
    ~NextHop();

    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] std::uint64_t messages() const { return messages_.load(); }
    // While it holds, it says nothing.
    void hold(bool wanted);
    // Waits until that many have come, since the start.
    void wait_for(std::uint64_t messages) const;

  private:
    void accept_all();
    void serve(int socket);

    bool chunking_;
    int listener_;
    std::uint16_t port_ = 0;
    std::atomic<std::uint64_t> messages_ = 0;
    std::atomic<bool> holds_ = false;
    std::vector<int> sockets_;
    std::vector<std::thread> threads_;
    std::thread acceptor_;
};

struct Load {
    std::uint16_t port = 0;
    std::uint32_t clients = 1;
    std::uint32_t messages = 1;  // of each client
    bool reuse = false;          // one connection for all messages of a client
    bool chunks = false;         // two of BDAT in place of DATA
    std::uint32_t recipients = 1;
    std::string_view content;  // with CRLF line ends, without the final dot
};

// Sends it all and returns when every message has its 250. Fails the test otherwise.
void send_load(const Load& load);

}  // namespace cost
