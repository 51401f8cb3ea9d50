#include "net/stream.h"

#include <cerrno>

#include "base/assert.h"
#include "base/bytes.h"

namespace net {

Stream::Stream(ShardNet& net)
    : net_(net),
      input_deadline_(*this, &Stream::input_late),
      output_deadline_(*this, &Stream::output_late),
      receive_op_(*this, &Stream::received),
      output_op_(*this, &Stream::output_done) {}

Stream::~Stream() {
    RP_ASSERT(!is_open() && leases_ == 0);
    RP_ASSERT(input_.done && output_.done);
}

void Stream::attach(io::Handle socket) {
    RP_ASSERT(!is_open() && socket != io::kNoHandle);
    handle_ = socket;
}

io::SocketAddress Stream::peer_address() const {
    RP_ASSERT(is_open());
    return net_.driver().peer_address(handle_);
}

// --- waits ---

void Stream::begin(Side side, const char* what, base::MonoTime deadline) {
    Waiting& waiting = this->waiting(side);
    RP_ASSERT(waiting.done);
    waiting.done = false;
    waiting.task = nullptr;
    waiting.what = what;
    if (deadline != base::kNever) {
        net_.shard().session_timers().set(side == Side::input ? input_deadline_ : output_deadline_,
                                          deadline);
    }
}

void Stream::finish(Side side, std::int32_t result) {
    Waiting& waiting = this->waiting(side);
    if (waiting.done) {
        return;
    }
    waiting.done = true;
    waiting.result = result;
    (side == Side::input ? input_deadline_ : output_deadline_).cancel();
    if (side == Side::input && ticket_ != 0) {
        ticket_ = 0;
        base::ListNode<Stream, StarvedTag>::unlink();
    }
    if (waiting.task != nullptr) {
        reader_woken_ = reader_woken_ || side == Side::input;
        net_.shard().make_ready(*std::exchange(waiting.task, nullptr));
    }
}

Stream::Wait Stream::finished(Side side, std::int32_t result) {
    Waiting& waiting = this->waiting(side);
    RP_ASSERT(waiting.done);
    waiting.result = result;
    return {*this, side};
}

// --- input ---

std::string_view Stream::input() {
    drop_front();
    if (!held_.empty()) {
        return std::string_view(held_).substr(at_);
    }
    return first_ < 0 ? std::string_view() : net_.text(first_).substr(at_);
}

void Stream::consume(std::size_t count) {
    const std::size_t size =
        !held_.empty() ? held_.size() : (first_ < 0 ? 0 : net_.text(first_).size());
    RP_ASSERT(count <= size - at_);
    at_ += static_cast<std::uint32_t>(count);
}

// Gives the front piece back when all of it was consumed.
void Stream::drop_front() {
    if (!held_.empty()) {
        if (at_ == held_.size()) {
            std::string().swap(held_);
            at_ = 0;
        }
    } else if (first_ >= 0 && at_ == net_.text(first_).size()) {
        at_ = 0;
        pop_lease();
    }
}

void Stream::pop_lease() {
    const std::int32_t buffer = first_;
    first_ = net_.slots_[static_cast<std::size_t>(buffer)].next;
    if (first_ < 0) {
        last_ = -1;
        base::ListNode<Stream, HolderTag>::unlink();
    }
    --leases_;
    net_.give_back(buffer);
}

Stream::Wait Stream::receive(base::MonoTime deadline) {
    RP_ASSERT(is_open() && !closing_);
    drop_front();
    if (stopped_) {
        return finished(Side::input, -ECANCELED);
    }
    if (has_input()) {
        return finished(Side::input, 1);
    }
    if (ended_ <= 0) {
        return finished(Side::input, ended_);
    }
    begin(Side::input, "receive", deadline);
    if (!receive_op_.in_flight()) {
        arm();
    }
    return {*this, Side::input};
}

void Stream::arm() {
    receive_op_.prepare_receive_multishot(handle_, net_.ring_);
    net_.driver().submit(receive_op_);
}

void Stream::received(io::Op& op, const io::Completion& completion) {
    Stream& self = static_cast<StreamOp&>(op).stream();
    if (!completion.more) {
        self.pausing_ = false;
    }
    if (completion.result > 0) {
        self.take_lease(completion);
    } else if (completion.buffer >= 0) {
        self.net_.driver().return_buffer(self.net_.ring_, completion.buffer);
    }
    if (self.closing_) {
        self.closed_if_quiet();
        return;
    }
    // The end of one receive, not of the connection: cancelled for a pause, or short of buffers. In
    // a dead program (simulator) everything is cancelled, and nothing begins again.
    const bool again = (completion.result == -ECANCELED && !self.net_.driver().dead()) ||
                       completion.result == -ENOBUFS || completion.result == -EINTR ||
                       completion.result == -EAGAIN;
    if (completion.result <= 0 && !again) {
        self.ended_ = completion.result;
    }
    if (self.has_input()) {
        self.finish(Side::input, 1);
    } else if (self.ended_ <= 0) {
        self.finish(Side::input, self.ended_);
    } else if (!self.input_.done && !completion.more) {
        if (completion.result == -ENOBUFS) {
            self.net_.starved(self);
        } else {
            self.arm();
        }
    }
    const std::size_t held = self.held_.size() / self.net_.buffer_bytes_;
    if (self.input_.done && !self.reader_woken_ && self.leases_ + held >= kUnreadLeases) {
        self.pause();
    }
}

void Stream::take_lease(const io::Completion& completion) {
    if (closing_) {
        net_.driver().return_buffer(net_.ring_, completion.buffer);
        return;
    }
    net_.slots_[static_cast<std::size_t>(completion.buffer)] = {-1, completion.result};
    if (first_ < 0) {
        first_ = completion.buffer;
        net_.holders_.push_back(*this);
    } else {
        net_.slots_[static_cast<std::size_t>(last_)].next = completion.buffer;
    }
    last_ = completion.buffer;
    ++leases_;
    ++net_.leased_;
}

void Stream::pause() {
    if (receive_op_.in_flight() && !pausing_) {
        pausing_ = true;
        ++net_.counters_.paused;
        net_.driver().cancel(receive_op_);
    }
}

// Moves what is unread out of the ring's buffers, which others need now.
void Stream::copy_out() {
    if (!held_.empty()) {
        held_.erase(0, at_);
        at_ = 0;
    }
    while (first_ >= 0) {
        held_.append(net_.text(first_).substr(at_));
        at_ = 0;
        pop_lease();
    }
}

void Stream::input_late(rt::Timer& timer) {
    static_cast<Deadline&>(timer).stream().finish(Side::input, -ETIMEDOUT);
}

// --- output ---

Stream::Wait Stream::connect(const io::SocketAddress& to, const io::SocketAddress& source,
                             base::MonoTime deadline) {
    RP_ASSERT(!is_open());
    const base::Result<io::Handle> socket = net_.driver().socket(to.family(), source);
    if (!socket) {
        return finished(Side::output, -socket.error().number());
    }
    handle_ = *socket;
    begin(Side::output, "connect", deadline);
    output_op_.prepare_connect(handle_, to);
    net_.driver().submit(output_op_);
    return {*this, Side::output};
}

Stream::Wait Stream::send(std::string_view bytes, base::MonoTime deadline) {
    if (bytes.empty()) {
        return finished(Side::output, 0);
    }
    // sendmsg(2) does not write through iov_base.
    piece_ = {const_cast<char*>(bytes.data()), bytes.size()};
    return send_vector({&piece_, 1}, deadline);
}

Stream::Wait Stream::send_vector(std::span<iovec> pieces, base::MonoTime deadline) {
    RP_ASSERT(is_open() && !closing_ && !pieces.empty() && pieces.size() <= 1024);
    if (aborted_) {
        return finished(Side::output, -ECANCELED);
    }
    pieces_ = pieces.data();
    piece_count_ = static_cast<std::uint32_t>(pieces.size());
    begin(Side::output, "send", deadline);
    send_rest();
    return {*this, Side::output};
}

Stream::Wait Stream::shutdown(base::MonoTime deadline) {
    RP_ASSERT(is_open() && !closing_);
    if (aborted_) {
        return finished(Side::output, -ECANCELED);
    }
    begin(Side::output, "shutdown", deadline);
    output_op_.prepare_shutdown(handle_, SHUT_WR);
    net_.driver().submit(output_op_);
    return {*this, Side::output};
}

void Stream::send_rest() {
    if (piece_count_ == 1) {
        output_op_.prepare_send(
            handle_,
            base::as_bytes({static_cast<const char*>(pieces_->iov_base), pieces_->iov_len}));
    } else {
        output_op_.prepare_send_vector(handle_, pieces_, piece_count_);
    }
    net_.driver().submit(output_op_);
}

void Stream::advance_output(std::size_t sent) {
    while (piece_count_ > 0 && sent >= pieces_->iov_len) {
        sent -= pieces_->iov_len;
        ++pieces_;
        --piece_count_;
    }
    if (sent > 0) {
        RP_ASSERT(piece_count_ > 0);
        pieces_->iov_base = static_cast<char*>(pieces_->iov_base) + sent;
        pieces_->iov_len -= sent;
    }
}

void Stream::output_done(io::Op& op, const io::Completion& completion) {
    Stream& self = static_cast<StreamOp&>(op).stream();
    if (self.closing_) {
        self.closed_if_quiet();
        return;
    }
    const std::int32_t broken_off = self.output_late_ ? -ETIMEDOUT : -ECANCELED;
    self.output_late_ = false;
    std::int32_t result = completion.result;
    const bool sending = op.code() == io::OpCode::send || op.code() == io::OpCode::send_vector;
    if (sending && result == 0) {
        result = -EPIPE;
    }
    if (result < 0 && result != -EINTR && result != -EAGAIN) {
        self.finish(Side::output, result == -ECANCELED ? broken_off : result);
        return;
    }
    if (sending && result > 0) {
        self.advance_output(static_cast<std::size_t>(result));
    }
    if (result >= 0 && (!sending || self.piece_count_ == 0)) {
        self.finish(Side::output, 0);
    } else if (self.aborted_ || broken_off == -ETIMEDOUT || !sending) {
        self.finish(Side::output, sending ? broken_off : result);
    } else {
        self.send_rest();
    }
}

void Stream::output_late(rt::Timer& timer) {
    Stream& self = static_cast<Deadline&>(timer).stream();
    self.output_late_ = true;
    self.net_.driver().cancel(self.output_op_);
}

// --- the end ---

Stream::Wait Stream::close() {
    RP_ASSERT(input_.done && output_.done && !closing_);
    if (!is_open()) {
        return finished(Side::output, 0);
    }
    begin(Side::output, "close", base::kNever);
    closing_ = true;
    std::string().swap(held_);
    at_ = 0;
    while (first_ >= 0) {
        pop_lease();
    }
    if (receive_op_.in_flight()) {
        net_.driver().cancel(receive_op_);
    }
    if (output_op_.in_flight()) {
        net_.driver().cancel(output_op_);
    }
    closed_if_quiet();
    return {*this, Side::output};
}

void Stream::closed_if_quiet() {
    if (receive_op_.in_flight() || output_op_.in_flight()) {
        return;
    }
    net_.driver().close(std::exchange(handle_, io::kNoHandle));
    ended_ = 1;
    closing_ = stopped_ = aborted_ = pausing_ = output_late_ = reader_woken_ = false;
    finish(Side::output, 0);
}

void Stream::stop() {
    if (is_open()) {
        stopped_ = true;
        finish(Side::input, -ECANCELED);
    }
}

void Stream::abort() {
    if (!is_open() || closing_) {
        return;
    }
    stop();
    aborted_ = true;
    if (output_op_.in_flight()) {
        net_.driver().cancel(output_op_);
    }
}

rt::Task<void> close_gently(Stream& stream, std::uint64_t bytes_max, base::MonoTime deadline) {
    std::int32_t result = co_await stream.shutdown(deadline);
    std::uint64_t dropped = 0;
    while (result >= 0 && dropped <= bytes_max) {
        result = co_await stream.receive(deadline);
        if (result <= 0) {
            break;
        }
        const std::size_t size = stream.input().size();
        stream.consume(size);
        dropped += size;
    }
    static_cast<void>(co_await stream.close());
}

}  // namespace net
