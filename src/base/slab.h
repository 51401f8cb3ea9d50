// Slab: objects of one type in chunks that are never moved, with slots that can be walked.
//
// Owned by one thread. Taking one costs an allocation only when every chunk is full; chunks are
// kept until the slab goes. A chunk knows the slab's owner, so that an object finds it without a
// pointer of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace base {

template <typename T>
class Slab {
  public:
    static constexpr std::size_t kChunkBytes = 64 * 1024;

    // `owner` is what owner_of() gives.
    explicit Slab(void* owner = nullptr) : owner_(owner) {}
    Slab(const Slab&) = delete;
    Slab& operator=(const Slab&) = delete;
    ~Slab() {
        for (Chunk* chunk : chunks_) {
            for (std::size_t i = 0; i < kPerChunk; ++i) {
                if (chunk->used(i)) {
                    chunk->at(i)->~T();
                }
            }
            ::operator delete(chunk, std::align_val_t{kChunkBytes});
        }
    }

    template <typename... Args>
    [[nodiscard]] T& take(Args&&... args) {
        if (free_ == nullptr) {
            add_chunk();
        }
        Free* slot = std::exchange(free_, free_->next);
        slot->~Free();
        T* object = new (slot) T(std::forward<Args>(args)...);
        chunk_of(*object)->flip(index_of(*object));
        ++size_;
        return *object;
    }
    // Destroys it. Its slot is the next that is taken, so that those in use stay near each other.
    void give_back(T& object) {
        Chunk* chunk = chunk_of(object);
        const std::size_t index = index_of(object);
        RP_ASSERT(size_ > 0 && chunk->used(index));
        chunk->flip(index);
        object.~T();
        free_ = new (&object) Free{free_};
        --size_;
    }

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] std::size_t bytes() const { return chunks_.size() * kChunkBytes; }
    // Slots are numbered from 0 to slots() - 1, in no order of time; an object keeps its slot.
    [[nodiscard]] std::size_t slots() const { return chunks_.size() * kPerChunk; }
    // nullptr where it is free.
    [[nodiscard]] T* slot(std::size_t number) const {
        RP_ASSERT(number < slots());
        Chunk* chunk = chunks_[number / kPerChunk];
        const std::size_t index = number % kPerChunk;
        return chunk->used(index) ? chunk->at(index) : nullptr;
    }

    [[nodiscard]] static void* owner_of(const T& object) { return chunk_of(object)->owner; }

  private:
    struct Free {
        Free* next;
    };
    static_assert(sizeof(T) >= sizeof(Free) && alignof(T) <= alignof(std::max_align_t));
    // The header is made for as many slots as would fit without it, which is a few too many.
    static constexpr std::size_t kWords = (kChunkBytes / sizeof(T) + 63) / 64;
    struct Chunk {
        void* owner;
        std::uint64_t in_use[kWords];

        [[nodiscard]] std::byte* place(std::size_t index) {
            return reinterpret_cast<std::byte*>(this) + kHeaderBytes + index * sizeof(T);
        }
        [[nodiscard]] T* at(std::size_t index) {
            return std::launder(reinterpret_cast<T*>(place(index)));
        }
        [[nodiscard]] bool used(std::size_t index) const {
            return (in_use[index / 64] >> (index % 64) & 1U) != 0;
        }
        void flip(std::size_t index) { in_use[index / 64] ^= std::uint64_t{1} << (index % 64); }
    };
    static constexpr std::size_t kHeaderBytes =
        (sizeof(void*) + kWords * sizeof(std::uint64_t) + alignof(std::max_align_t) - 1) /
        alignof(std::max_align_t) * alignof(std::max_align_t);
    static constexpr std::size_t kPerChunk = (kChunkBytes - kHeaderBytes) / sizeof(T);

    [[nodiscard]] static Chunk* chunk_of(const T& object) {
        const auto address = reinterpret_cast<std::uintptr_t>(&object);
        return reinterpret_cast<Chunk*>(address - address % kChunkBytes);
    }
    [[nodiscard]] static std::size_t index_of(const T& object) {
        const auto address = reinterpret_cast<std::uintptr_t>(&object);
        return (address % kChunkBytes - kHeaderBytes) / sizeof(T);
    }

    void add_chunk() {
        void* memory = ::operator new(kChunkBytes, std::align_val_t{kChunkBytes});
        auto* chunk = static_cast<Chunk*>(memory);
        chunk->owner = owner_;
        for (std::uint64_t& word : chunk->in_use) {
            word = 0;
        }
        chunks_.push_back(chunk);
        for (std::size_t i = kPerChunk; i > 0; --i) {
            free_ = new (chunk->place(i - 1)) Free{free_};
        }
    }

    void* owner_;
    std::vector<Chunk*> chunks_;
    Free* free_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace base
