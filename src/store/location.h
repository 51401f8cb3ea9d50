// Where a record lies in its partition's log, in 8 bytes.
#pragma once

#include <compare>
#include <cstdint>

#include "base/assert.h"

namespace store {

// Segment (32 bits), block of the batch in it (19), record in the batch (12), and whether the
// message has content in other segments, too (1). 0 is "nowhere": block 0 of a segment is its
// header.
class Location {
  public:
    static constexpr std::uint64_t kSegmentMax = (1ULL << 32U) - 1;
    static constexpr std::uint32_t kBlockMax = (1U << 19U) - 1;
    static constexpr std::uint32_t kIndexMax = (1U << 12U) - 1;

    constexpr Location() = default;
    constexpr explicit Location(std::uint64_t value) : value_(value) {}
    Location(std::uint64_t segment, std::uint32_t block, std::uint32_t index, bool spans)
        : value_(segment << 32U | std::uint64_t{block} << 13U | std::uint64_t{index} << 1U |
                 (spans ? 1U : 0U)) {
        RP_ASSERT(segment <= kSegmentMax && block <= kBlockMax && index <= kIndexMax);
    }

    [[nodiscard]] constexpr bool nowhere() const { return value_ == 0; }
    [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
    [[nodiscard]] constexpr std::uint64_t segment() const { return value_ >> 32U; }
    [[nodiscard]] constexpr std::uint32_t block() const {
        return static_cast<std::uint32_t>(value_ >> 13U) & kBlockMax;
    }
    [[nodiscard]] constexpr std::uint32_t index() const {
        return static_cast<std::uint32_t>(value_ >> 1U) & kIndexMax;
    }
    [[nodiscard]] constexpr bool spans() const { return (value_ & 1U) != 0; }

    friend constexpr auto operator<=>(Location, Location) = default;
    // The flag aside.
    friend constexpr bool same_record(Location a, Location b) {
        return a.value_ >> 1U == b.value_ >> 1U;
    }

  private:
    std::uint64_t value_ = 0;
};

}  // namespace store
