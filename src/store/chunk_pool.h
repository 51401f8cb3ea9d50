// ChunkPool: aligned memory in chunks of one size, which go to the disk as they are (O_DIRECT).
// Transactions copy content into them, and the cache keeps them for the first delivery.
//
// One per shard. Its limit is soft: take() always gives a chunk, since bytes that have come must be
// put somewhere, but over_limit() tells begin() to refuse and append() to wait. What exceeds the
// limit is at most one run and one chunk per transaction. Memory is never given back to the system.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/bytes.h"

namespace store {

// Memory for O_DIRECT. Zero-filled. Move-only.
class AlignedBuffer {
  public:
    AlignedBuffer() = default;
    explicit AlignedBuffer(std::size_t bytes);  // whole blocks

    [[nodiscard]] base::MutableBytes bytes() const { return {memory_.get(), size_}; }
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    struct Free {
        void operator()(std::byte* memory) const;
    };
    std::unique_ptr<std::byte, Free> memory_;
    std::size_t size_ = 0;
};

class ChunkPool {
  public:
    static constexpr std::uint32_t kChunkBytes = 16384;
    static constexpr std::size_t kChunksPerSlab = 64;

    explicit ChunkPool(std::uint64_t bytes_max) : chunks_max_(bytes_max / kChunkBytes) {}
    ChunkPool(const ChunkPool&) = delete;
    ChunkPool& operator=(const ChunkPool&) = delete;
    // REQUIRES: every chunk is back.
    ~ChunkPool();

    [[nodiscard]] std::byte* take();
    void give_back(std::byte* chunk);

    [[nodiscard]] bool over_limit() const { return in_use_ >= chunks_max_; }
    [[nodiscard]] std::size_t in_use() const { return in_use_; }

  private:
    std::uint64_t chunks_max_;
    std::size_t in_use_ = 0;
    std::vector<std::byte*> free_;
    std::vector<AlignedBuffer> slabs_;
};

}  // namespace store
