#include "net/listener.h"

#include <cerrno>
#include <utility>

#include "base/assert.h"

namespace net {

Listener::Listener(rt::Shard& shard, Accepting& taker, std::uint32_t number)
    : shard_(shard),
      taker_(taker),
      number_(number),
      op_(*this, &Listener::completed),
      pause_(*this, &Listener::pause_over) {}

Listener::~Listener() {
    RP_ASSERT(!op_.in_flight());
    if (handle_ != io::kNoHandle) {
        shard_.driver().close(handle_);
    }
}

base::Status Listener::open(const io::SocketAddress& address) {
    RP_ASSERT(handle_ == io::kNoHandle);
    const io::ListenOptions options;
    const base::Result<io::Handle> socket = shard_.driver().listen(address, options);
    if (!socket) {
        return std::unexpected(socket.error());
    }
    handle_ = *socket;
    address_ = shard_.driver().local_address(handle_);
    stopping_ = false;
    return {};
}

void Listener::accept() {
    RP_ASSERT(handle_ != io::kNoHandle && !op_.in_flight());
    op_.prepare_accept_multishot(handle_);
    shard_.driver().submit(op_);
}

void Listener::completed(io::Op& op, const io::Completion& completion) {
    Listener& self = static_cast<AcceptOp&>(op).listener();
    if (completion.result >= 0) {
        if (self.stopping_) {
            self.shard_.driver().close(completion.result);
        } else {
            self.taker_.accepted(self, completion.result);
        }
    }
    if (completion.more) {
        return;
    }
    if (self.stopping_) {
        self.close();
        return;
    }
    switch (completion.result < 0 ? -completion.result : 0) {
        case 0:  // the driver ended the series
        case ECANCELED:
        case EINTR:
        case EAGAIN:
        case ECONNABORTED:  // these and the rest: accept(2) hands on the new connection's own fault
        case EPROTO:
        case EPERM:
        case ENETDOWN:
        case ENETUNREACH:
        case EHOSTUNREACH:
            self.accept();
            break;
        default:  // EMFILE, ENFILE, ENOBUFS, ENOMEM
            self.taker_.accept_failed(self, -completion.result);
            self.shard_.session_timers().set(self.pause_, self.shard_.now() + kPause);
    }
}

void Listener::pause_over(rt::Timer& timer) {
    static_cast<Pause&>(timer).listener().accept();
}

Listener::Stopped Listener::stop() {
    if (handle_ != io::kNoHandle && !stopping_) {
        stopping_ = true;
        pause_.cancel();
        if (op_.in_flight()) {
            shard_.driver().cancel(op_);
        } else {
            close();
        }
    }
    return Stopped(*this);
}

void Listener::close() {
    shard_.driver().close(std::exchange(handle_, io::kNoHandle));
    if (stopper_ != nullptr) {
        shard_.make_ready(*std::exchange(stopper_, nullptr));
    }
}

}  // namespace net
