#include "connection.h"

#include <cerrno>
#include <cstring>

namespace bench {

void Connection::open(int socket) {
    socket_ = socket;
    out_.clear();
    part_.clear();
    part_done_ = false;
    receiving_ = true;
    ring_.receive(socket, *this);
}

void Connection::flush() {
    if (sending_ || out_.empty()) {
        return;
    }
    leaving_.swap(out_);
    out_.clear();
    sending_ = true;
    io_uring_prep_send(&ring_.entry(&sender_), socket_, leaving_.data(), leaving_.size(),
                       MSG_NOSIGNAL | MSG_WAITALL);
}

void Connection::send(std::vector<iovec>& pieces) {
    sending_ = true;
    header_ = {};
    header_.msg_iov = pieces.data();
    header_.msg_iovlen = pieces.size();
    io_uring_prep_sendmsg(&ring_.entry(&sender_), socket_, &header_, MSG_NOSIGNAL | MSG_WAITALL);
}

void Connection::Sender::done(const io_uring_cqe& cqe) {
    static_cast<void>(cqe);  // a failed send shows at the receive, too
    connection_.sending_ = false;
    connection_.flush();
    connection_.close_if_over();
}

void Connection::done(const io_uring_cqe& cqe) {
    std::span<const char> input = ring_.received(cqe);
    while (!input.empty()) {
        input = input.subspan(take(input));
    }
    ring_.give_back(cqe);
    if ((cqe.flags & IORING_CQE_F_MORE) == 0) {
        if (cqe.res > 0 || cqe.res == -ENOBUFS) {
            ring_.receive(socket_, *this);
        } else {
            receiving_ = false;
        }
    }
    flush();
    close_if_over();
}

void Connection::close_if_over() {
    if (!receiving_ && !sending_ && socket_ >= 0) {
        ring_.close(socket_);
        socket_ = -1;
        ended();
    }
}

std::string_view Connection::line(std::span<const char> input, std::size_t& used) {
    if (part_done_) {
        part_.clear();
        part_done_ = false;
    }
    const void* const end = std::memchr(input.data(), '\n', input.size());
    used = end == nullptr
               ? input.size()
               : static_cast<std::size_t>(static_cast<const char*>(end) - input.data()) + 1;
    const std::string_view piece(input.data(), used);
    if (end != nullptr && part_.empty()) {
        return piece;
    }
    part_ += piece;
    part_done_ = end != nullptr;
    return part_done_ ? std::string_view(part_) : std::string_view();
}

}  // namespace bench
