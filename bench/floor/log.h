// Log: makes messages durable in batches, by ringpost's rule: at once when no session is inside its
// content or a megabyte waits, else when the oldest has waited 1 ms; outcomes ride along, and go
// alone after 10 ms. One O_DIRECT | O_DSYNC write at a time, onto blocks that were written with
// zeros, round and round in one file. Nothing is ever read back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include <sys/uio.h>

#include "message.h"
#include "ring.h"

namespace bench {

[[nodiscard]] std::int64_t now_ns();

class DurableMessages {
  public:
    DurableMessages() = default;
    DurableMessages(const DurableMessages&) = delete;
    DurableMessages& operator=(const DurableMessages&) = delete;
    virtual ~DurableMessages() = default;
    virtual void durable(Message& message) = 0;
};

class Log final : private Op {
  public:
    Log(Ring& ring, DurableMessages& owner, const char* path);
    ~Log() override;

    void commit(Message& message);
    void outcomes(std::size_t recipients);
    // At the end of a turn. How long the thread may wait, negative for ever.
    [[nodiscard]] std::int64_t end_of_turn(std::size_t sessions_in_content);

  private:
    void done(const io_uring_cqe& cqe) override;
    [[nodiscard]] std::int64_t due_ns(std::size_t sessions_in_content) const;
    void write();
    void put_outcomes();
    [[nodiscard]] bool fits(const Message& message) const;
    void put(Message& message);

    Ring& ring_;
    DurableMessages& owner_;
    int file_ = -1;
    std::size_t position_ = 0;
    char* area_ = nullptr;  // outcomes and envelopes of the batch
    std::size_t area_used_ = 0;
    std::deque<Message*> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::size_t outcomes_ = 0;
    std::int64_t outcomes_since_ns_ = 0;
    std::vector<iovec> vector_;
    std::vector<Message*> flying_;
    std::size_t flying_bytes_ = 0;
    bool in_flight_ = false;
};

}  // namespace bench
