#include "store/chunk_pool.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/assert.h"
#include "store/format.h"

namespace store {

AlignedBuffer::AlignedBuffer(std::size_t bytes) : size_(bytes) {
    RP_ASSERT(bytes % format::kBlock == 0 && bytes > 0);
    void* memory = std::aligned_alloc(format::kBlock, bytes);
    RP_ASSERT(memory != nullptr);
    std::memset(memory, 0, bytes);
    memory_.reset(static_cast<std::byte*>(memory));
}

void AlignedBuffer::Free::operator()(std::byte* memory) const {
    std::free(memory);
}

ChunkPool::~ChunkPool() {
    RP_ASSERT(in_use_ == 0);
}

std::byte* ChunkPool::take() {
    if (free_.empty()) {
        const AlignedBuffer& slab = slabs_.emplace_back(std::size_t{kChunkBytes} * kChunksPerSlab);
        free_.reserve(slabs_.size() * kChunksPerSlab);
        for (std::size_t i = kChunksPerSlab; i > 0; --i) {
            free_.push_back(slab.bytes().data() + (i - 1) * kChunkBytes);
        }
    }
    std::byte* chunk = free_.back();
    free_.pop_back();
    ++in_use_;
    return chunk;
}

void ChunkPool::give_back(std::byte* chunk) {
    RP_ASSERT(in_use_ > 0);
    --in_use_;
    free_.push_back(chunk);
}

}  // namespace store
