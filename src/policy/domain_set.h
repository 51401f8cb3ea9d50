// DomainSet: domain names and patterns of them, and whether a domain is among them.
//
// Immutable once filled; shared by all shards. Names compare without case (ASCII). Looking up
// allocates nothing, and its cost depends on the labels of the name, not on the size of the set.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace policy {

class DomainSet {
  public:
    // "example.com" is that domain alone; "*.example.com" and ".example.com" are every domain below
    // it, at any depth, and not itself. REQUIRES: at most 255 octets.
    void add(std::string_view pattern);
    // An address literal ("[192.0.2.1]") matches only itself.
    [[nodiscard]] bool contains(std::string_view domain) const;
    [[nodiscard]] bool empty() const { return entries_.empty(); }

  private:
    struct Entry {
        bool itself = false;
        bool below = false;
    };
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>()(text);
        }
    };

    std::unordered_map<std::string, Entry, Hash, std::equal_to<>> entries_;
};

}  // namespace policy
