#include "policy/domain_set.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "base/bytes.h"

namespace policy {
namespace {

constexpr std::size_t kDomainBytesMax = 255;  // RFC 5321 §4.5.3.1.2

}  // namespace

void DomainSet::add(std::string_view pattern) {
    const bool below = pattern.starts_with("*.") || pattern.starts_with('.');
    if (below) {
        pattern.remove_prefix(pattern.find('.') + 1);
    }
    RP_ASSERT(!pattern.empty() && pattern.size() <= kDomainBytesMax);
    std::string name(pattern);
    std::ranges::transform(name, name.begin(), base::lower);
    Entry& entry = entries_[name];
    (below ? entry.below : entry.itself) = true;
}

bool DomainSet::contains(std::string_view domain) const {
    std::array<char, kDomainBytesMax> lowered;
    if (domain.empty() || domain.size() > lowered.size()) {
        return false;
    }
    std::ranges::transform(domain, lowered.begin(), base::lower);
    std::string_view name(lowered.data(), domain.size());
    if (const auto found = entries_.find(name); found != entries_.end() && found->second.itself) {
        return true;
    }
    if (name.front() == '[') {
        return false;
    }
    for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
        name.remove_prefix(dot + 1);
        if (const auto found = entries_.find(name);
            found != entries_.end() && found->second.below) {
            return true;
        }
    }
    return false;
}

}  // namespace policy
