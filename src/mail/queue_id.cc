#include "mail/queue_id.h"

namespace mail {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

int value_of(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'A' && c <= 'V') {
        return c - 'A' + 10;
    }
    if (c >= 'a' && c <= 'v') {
        return c - 'a' + 10;
    }
    return -1;
}

}  // namespace

QueueId::Text QueueId::text() const {
    Text text;
    std::uint64_t rest = value_;
    for (std::size_t i = kTextSize; i > 0; --i) {
        text[i - 1] = kAlphabet[rest & 31U];
        rest >>= 5U;
    }
    return text;
}

std::optional<QueueId> QueueId::parse(std::string_view text) {
    if (text.size() != kTextSize || value_of(text[0]) >= 16) {  // 13 × 5 bits is one more than 64
        return std::nullopt;
    }
    std::uint64_t value = 0;
    for (const char c : text) {
        const int digit = value_of(c);
        if (digit < 0) {
            return std::nullopt;
        }
        value = value << 5U | static_cast<std::uint64_t>(digit);
    }
    return value == 0 ? std::nullopt : std::optional(QueueId(value));
}

}  // namespace mail
