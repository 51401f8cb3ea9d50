// QueueId: the name of a message inside one spool, in logs, replies, trace headers and the queue
// listing.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>

namespace mail {

// 64 bits: partition (8), epoch (20: starts of this partition's log), sequence (36: acceptances in
// that epoch). The epoch is durable before the first id of it is used, so an id never recurs,
// whatever was lost in a crash. Ids of one partition compare in the order of acceptance.
class QueueId {
  public:
    static constexpr std::uint32_t kPartitionsMax = 1U << 8U;
    static constexpr std::uint32_t kEpochMax = (1U << 20U) - 1;
    static constexpr std::uint64_t kSequenceMax = (1ULL << 36U) - 1;
    static constexpr std::size_t kTextSize = 13;
    // 13 characters of RFC 4648's base32hex alphabet: sorts like the number, and case does not
    // matter.
    using Text = std::array<char, kTextSize>;

    constexpr QueueId() = default;
    constexpr explicit QueueId(std::uint64_t value) : value_(value) {}
    constexpr QueueId(std::uint32_t partition, std::uint32_t epoch, std::uint64_t sequence)
        : value_(std::uint64_t{partition} << 56U | std::uint64_t{epoch} << 36U | sequence) {}

    [[nodiscard]] constexpr std::uint64_t value() const { return value_; }
    [[nodiscard]] constexpr std::uint32_t partition() const {
        return static_cast<std::uint32_t>(value_ >> 56U);
    }
    [[nodiscard]] constexpr std::uint32_t epoch() const {
        return static_cast<std::uint32_t>(value_ >> 36U) & kEpochMax;
    }
    [[nodiscard]] constexpr std::uint64_t sequence() const { return value_ & kSequenceMax; }

    [[nodiscard]] Text text() const;
    // Nothing when `text` is not an id that text() could have given (either case is taken), or is
    // that of QueueId(), which no message has, and which stands for "any" elsewhere.
    [[nodiscard]] static std::optional<QueueId> parse(std::string_view text);

    friend constexpr auto operator<=>(QueueId, QueueId) = default;

  private:
    std::uint64_t value_ = 0;
};

// For logs and replies: std::string_view over the text, without allocation.
[[nodiscard]] inline std::string_view view(const QueueId::Text& text) {
    return {text.data(), text.size()};
}

}  // namespace mail
