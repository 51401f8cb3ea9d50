#include "cost/hooks.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>

extern "C" {
// glibc's own, below the names that are taken here.
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* memory);
}

namespace cost {
namespace {

thread_local bool counts_calls = false;
thread_local bool stops = false;

std::atomic<std::uint64_t> allocations;
std::atomic<std::uint64_t> allocated_bytes;
std::atomic<std::uint64_t> copies;
std::atomic<std::uint64_t> copied_bytes;

void allocation(std::size_t size) {
    if (counts_calls) {
        allocations.fetch_add(1, std::memory_order_relaxed);
        allocated_bytes.fetch_add(size, std::memory_order_relaxed);
        if (stops) {
            std::raise(SIGTRAP);
        }
    }
}

void copy(std::size_t size) {
    if (counts_calls && size >= kCountedFrom) {
        copies.fetch_add(1, std::memory_order_relaxed);
        copied_bytes.fetch_add(size, std::memory_order_relaxed);
    }
}

}  // namespace

void count_this_thread(bool wanted) {
    counts_calls = wanted;
}

void stop_at_allocation() {
    stops = true;
}

Counts counts() {
    return {allocations.load(), allocated_bytes.load(), copies.load(), copied_bytes.load()};
}

}  // namespace cost

extern "C" {

void* malloc(std::size_t size) {
    cost::allocation(size);
    return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) {
    cost::allocation(count * size);
    return __libc_calloc(count, size);
}

void* realloc(void* old, std::size_t size) {
    cost::allocation(size);
    return __libc_realloc(old, size);
}

void* memalign(std::size_t alignment, std::size_t size) {
    cost::allocation(size);
    return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) {
    cost::allocation(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t size) {
    cost::allocation(size);
    void* const given = __libc_memalign(alignment, size);
    if (given == nullptr) {
        return ENOMEM;
    }
    *memory = given;
    return 0;
}

void free(void* memory) {
    __libc_free(memory);
}

void* memcpy(void* __restrict to, const void* __restrict from, std::size_t size) {
    cost::copy(size);
    auto* out = static_cast<unsigned char*>(to);
    const auto* in = static_cast<const unsigned char*>(from);
    for (std::size_t i = 0; i < size; ++i) {
        out[i] = in[i];
    }
    return to;
}

void* memmove(void* to, const void* from, std::size_t size) {
    cost::copy(size);
    auto* out = static_cast<unsigned char*>(to);
    const auto* in = static_cast<const unsigned char*>(from);
    if (out < in) {
        for (std::size_t i = 0; i < size; ++i) {
            out[i] = in[i];
        }
    } else {
        for (std::size_t i = size; i > 0; --i) {
            out[i - 1] = in[i - 1];
        }
    }
    return to;
}

// What memcpy and memmove are called where _FORTIFY_SOURCE knows the size of the target.
void* __memcpy_chk(void* to, const void* from, std::size_t size, std::size_t room) {
    if (size > room) {
        std::abort();
    }
    return memcpy(to, from, size);
}

void* __memmove_chk(void* to, const void* from, std::size_t size, std::size_t room) {
    if (size > room) {
        std::abort();
    }
    return memmove(to, from, size);
}
}
