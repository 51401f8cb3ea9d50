// Mailbox: what other shards and other threads hand to a shard. Bounded, many writers, one reader,
// no lock (Vyukov's bounded queue). A letter is owned by who posts it and must hold until it was
// opened.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace rt {

// open() runs on the receiving shard, in its turn. It often posts the letter back as the answer.
class Letter {
  public:
    Letter() = default;
    Letter(const Letter&) = delete;
    Letter& operator=(const Letter&) = delete;
    virtual ~Letter() = default;
    virtual void open() = 0;
};

class Mailbox {
  public:
    // REQUIRES: `capacity` is a power of two.
    explicit Mailbox(std::size_t capacity);

    // From any thread. False when it is full: the caller keeps the letter and has an answer for
    // that.
    [[nodiscard]] bool put(Letter& letter);
    // Only on the reading shard; nullptr when it is empty.
    [[nodiscard]] Letter* take();
    [[nodiscard]] bool empty() const;

  private:
    struct Cell {
        std::atomic<std::uint64_t> turn;
        Letter* letter;
    };

    std::size_t mask_;
    std::unique_ptr<Cell[]> cells_;
    alignas(64) std::atomic<std::uint64_t> tail_{0};
    alignas(64) std::uint64_t head_ = 0;
};

}  // namespace rt
