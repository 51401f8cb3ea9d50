// ReadBuffer: aligned memory and an operation to fill it; and the pool of them.
//
// One pool per shard. As many buffers exist as were in use at once, and beside them some that keep
// the records of batches that were read lately, so that outcomes of one batch, read one after
// another, cost one read of it. What a batch holds never changes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "rt/awaiters.h"
#include "store/chunk_pool.h"
#include "store/location.h"

namespace store {

// Where a batch lies, among all partitions of the shard.
struct BatchPlace {
    BatchPlace() = default;
    BatchPlace(std::uint32_t of_partition, Location record)
        : partition(of_partition), segment(record.segment()), block(record.block()) {}
    std::uint32_t partition = 0;
    std::uint64_t segment = 0;
    std::uint32_t block = 0;
    friend bool operator==(const BatchPlace&, const BatchPlace&) = default;
};

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
    BatchPlace place;    // of the lease
    bool holds = false;  // the record area of that batch is in front, and was checked
};

class ReadBufferPool {
  public:
    // Bounds of what is kept of batches. Deliveries that expire at once have one each.
    static constexpr std::size_t kKeptMax = 32;
    static constexpr std::size_t kKeptBytesMax = std::size_t{8} << 20U;

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

    ReadBufferPool() { kept_.reserve(kKeptMax + 1); }

    // One that holds nothing.
    [[nodiscard]] std::unique_ptr<ReadBuffer> take() {
        if (free_.empty()) {
            return std::make_unique<ReadBuffer>();
        }
        std::unique_ptr<ReadBuffer> buffer = std::move(free_.back());
        free_.pop_back();
        return buffer;
    }
    // One that grew beyond the ordinary goes back to the system, unless it holds a batch.
    void give_back(std::unique_ptr<ReadBuffer> buffer) {
        if (buffer->holds) {
            kept_bytes_ += buffer->memory.size();
            kept_.push_back(std::move(buffer));
            while (kept_.size() > kKeptMax || kept_bytes_ > kKeptBytesMax) {
                free(take_kept(kept_.begin()));
            }
        } else {
            free(std::move(buffer));
        }
    }
    // For records of that batch; it may hold them already.
    [[nodiscard]] Lease lease(const BatchPlace& place) {
        const auto kept =
            std::ranges::find_if(kept_, [&](const auto& one) { return one->place == place; });
        std::unique_ptr<ReadBuffer> buffer = kept != kept_.end() ? take_kept(kept) : take();
        buffer->place = place;
        return {*this, std::move(buffer)};
    }

  private:
    using Buffers = std::vector<std::unique_ptr<ReadBuffer>>;

    std::unique_ptr<ReadBuffer> take_kept(Buffers::iterator one) {
        std::unique_ptr<ReadBuffer> buffer = std::move(*one);
        kept_.erase(one);
        kept_bytes_ -= buffer->memory.size();
        return buffer;
    }
    void free(std::unique_ptr<ReadBuffer> buffer) {
        buffer->holds = false;
        if (buffer->memory.size() == ReadBuffer::kBytes) {
            free_.push_back(std::move(buffer));
        }
    }

    Buffers free_;
    Buffers kept_;  // the one that was used longest ago is first
    std::size_t kept_bytes_ = 0;
};

}  // namespace store
