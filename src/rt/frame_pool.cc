#include "rt/frame_pool.h"

#include <new>

#include "base/assert.h"
#include "base/bytes.h"

namespace rt {
namespace {

// The one thread_local of the program; FramePool::Use sets it for each turn of the loop.
thread_local FramePool* current_pool = nullptr;

// In front of each frame. 16 bytes, so that the frame keeps the alignment that operator new
// promises.
struct alignas(16) BlockHead {
    FramePool* pool;
};
static_assert(sizeof(BlockHead) == 16);

// Under a sanitizer every frame is an allocation of its own, so that a use after free is seen.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kPooled = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool kPooled = false;
#else
constexpr bool kPooled = true;
#endif
#else
constexpr bool kPooled = true;
#endif

}  // namespace

bool FramePool::reuses_frames() {
    return kPooled;
}

FramePool::~FramePool() {
    RP_ASSERT(in_use_ == 0);
}

void* FramePool::allocate(std::size_t size) {
    const std::size_t block_size = base::round_up(size + sizeof(BlockHead), kStep);
    FramePool* pool = current_pool;
    void* block = nullptr;
    if (pool != nullptr) {
        ++pool->in_use_;
        block = kPooled && block_size <= kFrameMax ? pool->take(block_size)
                                                   : ::operator new(block_size);
    } else {
        block = ::operator new(block_size);
    }
    static_cast<BlockHead*>(block)->pool = pool;
    return static_cast<std::byte*>(block) + sizeof(BlockHead);
}

void FramePool::free(void* frame, std::size_t size) {
    void* block = static_cast<std::byte*>(frame) - sizeof(BlockHead);
    FramePool* pool = static_cast<BlockHead*>(block)->pool;
    if (pool != nullptr) {
        --pool->in_use_;
        if constexpr (kPooled) {
            const std::size_t block_size = base::round_up(size + sizeof(BlockHead), kStep);
            if (block_size <= kFrameMax) {
                pool->give_back(block, block_size);
                return;
            }
        }
    }
    ::operator delete(block);
}

void* FramePool::take(std::size_t block_size) {
    FreeBlock*& head = free_[block_size / kStep];
    if (head != nullptr) {
        FreeBlock* block = head;
        head = block->next;
        return block;
    }
    if (chunk_left_ <
        block_size) {  // what is left of the old chunk is lost: at most one frame's worth
        chunks_.push_back(std::make_unique<std::byte[]>(kChunkSize));
        chunk_at_ = chunks_.back().get();
        chunk_left_ = kChunkSize;
    }
    std::byte* block = chunk_at_;
    chunk_at_ += block_size;
    chunk_left_ -= block_size;
    return block;
}

void FramePool::give_back(void* block, std::size_t block_size) {
    FreeBlock*& head = free_[block_size / kStep];
    head = new (block) FreeBlock{head};
}

FramePool::Use::Use(FramePool& pool) : before_(current_pool) {
    current_pool = &pool;
}

FramePool::Use::~Use() {
    current_pool = before_;
}

}  // namespace rt
