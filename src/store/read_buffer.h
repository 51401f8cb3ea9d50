// ReadBuffer: aligned memory and an operation to fill it; and the pool of them.
//
// One pool per shard. Nothing is ever returned to the system; as many exist as were in use at once.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "rt/awaiters.h"
#include "store/chunk_pool.h"

namespace store {

struct ReadBuffer {
    static constexpr std::size_t kBytes = 65536;
    // At least that large; what was in it is lost.
    void grow(std::size_t bytes) {
        if (bytes > memory.size()) {
            memory = AlignedBuffer(base::round_up(bytes, 4096));
        }
    }
    AlignedBuffer memory{kBytes};
    rt::AwaitableOp op;
};

class ReadBufferPool {
  public:
    // Gives the buffer back at its end. Move-only.
    class Lease {
      public:
        Lease() = default;
        Lease(ReadBufferPool& pool, std::unique_ptr<ReadBuffer> buffer)
            : pool_(&pool), buffer_(std::move(buffer)) {}
        Lease(Lease&&) noexcept = default;
        Lease& operator=(Lease&&) = delete;
        ~Lease() {
            if (buffer_ != nullptr) {
                pool_->give_back(std::move(buffer_));
            }
        }
        [[nodiscard]] ReadBuffer& operator*() const { return *buffer_; }
        [[nodiscard]] ReadBuffer* operator->() const { return buffer_.get(); }

      private:
        ReadBufferPool* pool_ = nullptr;
        std::unique_ptr<ReadBuffer> buffer_;
    };

    [[nodiscard]] std::unique_ptr<ReadBuffer> take() {
        if (free_.empty()) {
            return std::make_unique<ReadBuffer>();
        }
        std::unique_ptr<ReadBuffer> buffer = std::move(free_.back());
        free_.pop_back();
        return buffer;
    }
    // One that grew beyond the ordinary goes back to the system.
    void give_back(std::unique_ptr<ReadBuffer> buffer) {
        if (buffer->memory.size() == ReadBuffer::kBytes) {
            free_.push_back(std::move(buffer));
        }
    }
    [[nodiscard]] Lease lease() { return {*this, take()}; }

  private:
    std::vector<std::unique_ptr<ReadBuffer>> free_;
};

}  // namespace store
