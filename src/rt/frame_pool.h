// FramePool: where coroutine frames live. One per shard; freed frames are kept by size class, so
// after warm-up a task costs no call of the allocator.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace rt {

class FramePool {
  public:
    static constexpr std::size_t kStep = 64;        // size classes: whole multiples of this, bytes
    static constexpr std::size_t kFrameMax = 4096;  // larger frames come from the allocator
    static constexpr std::size_t kChunkSize =
        65536;  // what the pool takes from the allocator at once

    FramePool() = default;
    FramePool(const FramePool&) = delete;
    FramePool& operator=(const FramePool&) = delete;
    // REQUIRES: every frame was given back.
    ~FramePool();

    // A frame of the pool that is current on this thread; the block remembers its pool, so free()
    // works from anywhere on the same shard. Without a current pool (tests, start-up) it comes from
    // the allocator.
    [[nodiscard]] static void* allocate(std::size_t size);
    static void free(void* frame, std::size_t size);

    [[nodiscard]] std::size_t frames_in_use() const { return in_use_; }

    // False where every frame is an allocation of its own, so that a sanitizer sees its end.
    [[nodiscard]] static bool reuses_frames();

    // Makes a pool current on this thread while it lives. The loop holds one for each turn, so that
    // in the simulator all shards can share a thread.
    class Use {
      public:
        explicit Use(FramePool& pool);
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
        ~Use();

      private:
        FramePool* before_;
    };

  private:
    struct FreeBlock {
        FreeBlock* next;
    };
    void* take(std::size_t block_size);
    void give_back(void* block, std::size_t block_size);

    std::array<FreeBlock*, kFrameMax / kStep + 1> free_{};
    std::vector<std::unique_ptr<std::byte[]>> chunks_;
    std::byte* chunk_at_ = nullptr;
    std::size_t chunk_left_ = 0;
    std::size_t in_use_ = 0;
};

}  // namespace rt
