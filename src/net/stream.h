// Stream: one TCP connection, server's or client's side, as the SMTP engine sees it: bytes come in
// as views of the receive buffers, bytes go out, every wait has a deadline.
//
// Owned by one session or delivery, on one shard, which may use it for one connection after
// another. One task at a time may wait for input, and one (the same or another) for output. Waits
// take no memory and no allocation; an idle connection holds no receive buffer.
//
// Results of the waits are a number: positive or 0 as said at each call, or a negative errno.
// -ETIMEDOUT: the deadline passed; after an output call the connection is then of no use but to
// close. -ECANCELED: stop() or abort() was called. Other errors are those of the connection
// (ECONNRESET, …).
//
// Limits: at most kUnreadLeases receive buffers pile up unread (and what one reaping of completions
// brings on top); then receiving pauses, and the peer meets TCP's own flow control.
//
// Nothing here knows whether the bytes are encrypted on the wire; TLS will sit between input() and
// the receive buffers and behind send().
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <sys/uio.h>

#include "base/list.h"
#include "base/time.h"
#include "io/address.h"
#include "io/driver.h"
#include "io/op.h"
#include "net/shard_net.h"
#include "rt/task.h"
#include "rt/timer_wheel.h"

namespace net {

class Stream : public base::ListNode<Stream, StarvedTag>, public base::ListNode<Stream, HolderTag> {
  public:
    static constexpr std::uint32_t kUnreadLeases = 8;

    explicit Stream(ShardNet& net);
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;
    // REQUIRES: not is_open(), so no operation is in flight and no buffer is held.
    ~Stream();

    class Wait;

    // Takes a connected socket (from accept). REQUIRES: not is_open().
    void attach(io::Handle socket);
    // Makes a socket and connects it: 0, or a negative errno (then close() all the same).
    // `source`: the local address to bind, or an empty one. `to` must hold until the wait ends.
    // REQUIRES: not is_open().
    [[nodiscard]] Wait connect(const io::SocketAddress& to, const io::SocketAddress& source,
                               base::MonoTime deadline);
    [[nodiscard]] bool is_open() const { return handle_ != io::kNoHandle; }
    [[nodiscard]] io::SocketAddress peer_address() const;

    // What has arrived and is not consumed, or the first piece of it; "" when there is none. The
    // view holds until the next call of input() or receive(), and not across any other wait.
    [[nodiscard]] std::string_view input();
    // REQUIRES: count ≤ input().size() as last given. Views stay as they are.
    void consume(std::size_t count);
    // The peer has ended it, or it broke: known without a wait, as far as the kernel has told.
    [[nodiscard]] bool ended() const { return ended_ <= 0; }
    // Waits until input() has something: positive. 0: end of stream. At once when there is input.
    [[nodiscard]] Wait receive(base::MonoTime deadline);

    // Sends all of it: 0. `bytes` must hold until then.
    [[nodiscard]] Wait send(std::string_view bytes, base::MonoTime deadline);
    // Sends all pieces in order: 0. The array must hold until then, and is changed (progress is
    // kept in it). REQUIRES: 1 ≤ pieces.size() ≤ 1024, none of them empty.
    [[nodiscard]] Wait send_vector(std::span<iovec> pieces, base::MonoTime deadline);
    // Ends our direction (FIN): 0. Input still comes.
    [[nodiscard]] Wait shutdown(base::MonoTime deadline);

    // Cancels what is in flight, waits for it, drops what was not read, closes: 0. The stream can
    // then be used again. REQUIRES: no other wait is under way.
    [[nodiscard]] Wait close();

    // For a shutdown: a wait for input under way, and each later one, gives -ECANCELED. Output
    // still works, so a last reply can leave.
    void stop();
    // The same for output: every wait ends as soon as the kernel lets go, with -ECANCELED.
    void abort();

  private:
    friend class ShardNet;
    enum class Side : std::uint8_t { input, output };

    // A direction's wait.
    struct Waiting {
        rt::Promise* task = nullptr;
        const char* what = "";
        std::int32_t result = 0;
        bool done = true;
    };
    class StreamOp : public io::Op {
      public:
        StreamOp(Stream& stream, Complete complete) : io::Op(complete), stream_(stream) {}
        [[nodiscard]] Stream& stream() { return stream_; }

      private:
        Stream& stream_;
    };
    class Deadline : public rt::Timer {
      public:
        Deadline(Stream& stream, Fire fire) : rt::Timer(fire), stream_(stream) {}
        [[nodiscard]] Stream& stream() { return stream_; }

      private:
        Stream& stream_;
    };

    [[nodiscard]] Waiting& waiting(Side side) { return side == Side::input ? input_ : output_; }
    void begin(Side side, const char* what, base::MonoTime deadline);
    void finish(Side side, std::int32_t result);
    [[nodiscard]] Wait finished(Side side, std::int32_t result);

    static void received(io::Op& op, const io::Completion& completion);
    static void output_done(io::Op& op, const io::Completion& completion);
    static void input_late(rt::Timer& timer);
    static void output_late(rt::Timer& timer);
    void take_lease(const io::Completion& completion);
    void send_rest();
    void advance_output(std::size_t sent);
    void arm();
    void pause();
    void copy_out();
    void drop_front();
    void pop_lease();
    void closed_if_quiet();

    [[nodiscard]] bool has_input() const { return first_ >= 0 || !held_.empty(); }

    ShardNet& net_;
    io::Handle handle_ = io::kNoHandle;
    std::int32_t ended_ = 1;  // 0: end of stream came; negative: the error that ended receiving
    // The queue of leased buffers, linked in ShardNet's table; the front one is read from at_.
    std::int32_t first_ = -1;
    std::int32_t last_ = -1;
    std::uint32_t leases_ = 0;
    std::uint32_t at_ = 0;      // consumed of held_, else of the first lease
    std::string held_;          // what was copied out of the leases, read before them
    std::uint64_t ticket_ = 0;  // since when this connection waits for a buffer; 0: it does not
    iovec* pieces_ = nullptr;   // what is left to send
    std::uint32_t piece_count_ = 0;
    iovec piece_{};              // of send()
    bool reader_woken_ = false;  // the task that waited for input runs later in this turn
    bool pausing_ = false;
    bool stopped_ = false;
    bool aborted_ = false;
    bool output_late_ = false;
    bool closing_ = false;
    Waiting input_;
    Waiting output_;
    Deadline input_deadline_;
    Deadline output_deadline_;
    StreamOp receive_op_;
    StreamOp output_op_;
};

// What each call above gives: co_await it at once; the result is the number described there.
class Stream::Wait {
  public:
    [[nodiscard]] bool await_ready() const noexcept { return stream_.waiting(side_).done; }
    template <typename P>
    void await_suspend(std::coroutine_handle<P> handle) const {
        Waiting& waiting = stream_.waiting(side_);
        waiting.task = &handle.promise();
        waiting.task->set_waits_for(waiting.what);
    }
    [[nodiscard]] std::int32_t await_resume() const {
        if (side_ == Side::input) {
            stream_.reader_woken_ = false;
        }
        return stream_.waiting(side_).result;
    }

  private:
    friend class Stream;
    Wait(Stream& stream, Side side) : stream_(stream), side_(side) {}

    Stream& stream_;
    Side side_;
};

// Ends a connection so that the peer surely gets what was sent: FIN, then input is read and dropped
// until the peer closes, `bytes_max` came or `deadline` passed; then close(). A plain close() with
// input unread resets the connection, and the peer may lose our last reply.
[[nodiscard]] rt::Task<void> close_gently(Stream& stream, std::uint64_t bytes_max,
                                          base::MonoTime deadline);

}  // namespace net
