// What a completion belongs to: user_data is a pointer with a Tag in its low bits.
#pragma once

#include <cstdint>

#include "base/assert.h"

namespace io {

enum class Tag : std::uint8_t {
    op,            // an Op; the only one that leaves the driver
    doorbell,      // another driver's MSG_RING arrived here; no pointer
    doorbell_out,  // our MSG_RING failed; the UringDriver that it was for
    wake,          // the poll on the eventfd; no pointer
    cancel,        // an ASYNC_CANCEL found nothing; no pointer
    close,         // a CLOSE failed; no pointer
};
constexpr std::uint64_t kTagMask = 7;

[[nodiscard]] inline std::uint64_t tagged(Tag tag, const void* pointer = nullptr) {
    const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pointer));
    RP_ASSERT((address & kTagMask) == 0);
    return address | static_cast<std::uint64_t>(tag);
}
[[nodiscard]] inline Tag tag_of(std::uint64_t user_data) {
    return static_cast<Tag>(user_data & kTagMask);
}
template <typename T>
[[nodiscard]] T* pointer_of(std::uint64_t user_data) {
    // The kernel gives back 64 bits. NOLINTNEXTLINE(performance-no-int-to-ptr)
    return reinterpret_cast<T*>(static_cast<std::uintptr_t>(user_data & ~kTagMask));
}

}  // namespace io
