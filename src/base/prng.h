// xoshiro256**: fast, seeded, replayable. For jitter, random choice among equals, and the
// simulator. Never for secrets: those come from Driver::random().
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/assert.h"

namespace base {

class Prng {
    __extension__ using Wide = unsigned __int128;

  public:
    explicit Prng(std::uint64_t seed) {
        for (std::uint64_t& word :
             state_) {  // splitmix64 spreads a small seed over the whole state
            seed += 0x9e3779b97f4a7c15U;
            std::uint64_t z = seed;
            z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
            z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
            word = z ^ (z >> 31U);
        }
    }

    std::uint64_t next() {
        const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t t = state_[1] << 17U;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

    // Uniform in [0, limit). REQUIRES: limit > 0.
    std::uint64_t below(std::uint64_t limit) {
        RP_ASSERT(limit > 0);
        return static_cast<std::uint64_t>((static_cast<Wide>(next()) * limit) >> 64U);
    }

    // True with probability numerator/denominator.
    bool chance(std::uint64_t numerator, std::uint64_t denominator) {
        return below(denominator) < numerator;
    }

  private:
    std::array<std::uint64_t, 4> state_;
};

}  // namespace base
