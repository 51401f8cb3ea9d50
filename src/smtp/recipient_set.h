// RecipientSet: finds the recipients that a client gives twice in one transaction. Like Postfix
// (duplicate_filter_limit) we accept each RCPT and deliver once; addresses compare without case.
//
// Beside one Envelope, which holds the addresses; owned by one session. Allocates only while it
// grows beyond what earlier transactions needed.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "mail/envelope.h"

namespace smtp {

class RecipientSet {
  public:
    // `seed` keeps clients from choosing addresses that collide.
    explicit RecipientSet(std::uint64_t seed) : seed_(seed) {}

    void clear();
    // Adds `path` to `envelope` unless it is there; true when it was added. REQUIRES: all
    // recipients of `envelope` were added through here since clear().
    bool add(mail::Envelope& envelope, std::string_view path);
    [[nodiscard]] bool contains(const mail::Envelope& envelope, std::string_view path) const;
    // Gives memory back. REQUIRES: cleared.
    void shrink();

  private:
    [[nodiscard]] std::size_t hash(std::string_view path) const;
    // Where `path` is, or the free slot where it would be. REQUIRES: there are slots.
    [[nodiscard]] std::size_t find(const mail::Envelope& envelope, std::string_view path) const;
    void grow(const mail::Envelope& envelope);

    std::uint64_t seed_;
    std::vector<std::uint32_t> slots_;  // index + 1; 0: free. A power of two, at most half full.
    std::uint32_t used_ = 0;
};

}  // namespace smtp
