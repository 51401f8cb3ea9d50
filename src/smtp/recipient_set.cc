#include "smtp/recipient_set.h"

#include <algorithm>

#include "base/assert.h"
#include "base/bytes.h"

namespace smtp {
namespace {

constexpr std::size_t kSlotsMin = 32;
constexpr std::size_t kSlotsKept = 4096;  // beyond, memory does not stay for the next transaction

}  // namespace

void RecipientSet::clear() {
    if (used_ == 0) {
        return;
    }
    used_ = 0;
    if (slots_.size() > kSlotsKept) {
        shrink();
    } else {
        std::ranges::fill(slots_, 0U);
    }
}

void RecipientSet::shrink() {
    RP_ASSERT(used_ == 0);
    std::vector<std::uint32_t>().swap(slots_);
}

// FNV-1a over the address in lower case, stirred so that the low bits are good.
std::size_t RecipientSet::hash(std::string_view path) const {
    std::uint64_t value = 0xcbf29ce484222325U ^ seed_;
    for (const char c : path) {
        value = (value ^ static_cast<unsigned char>(base::lower(c))) * 0x100000001b3U;
    }
    value = (value ^ (value >> 33U)) * (seed_ | 1U);
    return static_cast<std::size_t>(value ^ (value >> 29U));
}

std::size_t RecipientSet::find(const mail::Envelope& envelope, std::string_view path) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = hash(path) & mask;
    while (slots_[slot] != 0 &&
           !base::equal_ignoring_case(envelope.recipient(slots_[slot] - 1), path)) {
        slot = (slot + 1) & mask;
    }
    return slot;
}

bool RecipientSet::contains(const mail::Envelope& envelope, std::string_view path) const {
    return used_ > 0 && slots_[find(envelope, path)] != 0;
}

bool RecipientSet::add(mail::Envelope& envelope, std::string_view path) {
    RP_ASSERT(used_ == envelope.recipient_count());
    if (slots_.size() < (std::size_t{used_} + 1) * 2) {
        grow(envelope);
    }
    const std::size_t slot = find(envelope, path);
    if (slots_[slot] != 0) {
        return false;
    }
    envelope.add_recipient(path);
    slots_[slot] = ++used_;
    return true;
}

void RecipientSet::grow(const mail::Envelope& envelope) {
    const std::size_t size = std::max(kSlotsMin, slots_.size() * 2);
    slots_.assign(size, 0U);
    for (std::uint32_t index = 0; index < used_; ++index) {
        std::size_t slot = hash(envelope.recipient(index)) & (size - 1);
        while (slots_[slot] != 0) {
            slot = (slot + 1) & (size - 1);
        }
        slots_[slot] = index + 1;
    }
}

}  // namespace smtp
