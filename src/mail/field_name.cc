#include "mail/field_name.h"

#include <algorithm>

#include "base/bytes.h"

namespace mail {
namespace {

constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

}  // namespace

std::string_view field_name(std::string_view line) {
    std::string_view name = line.substr(0, line.find(':'));
    if (name.size() == line.size()) {
        return {};
    }
    while (!name.empty() && is_blank(name.back())) {
        name.remove_suffix(1);
    }
    const bool good = std::ranges::all_of(name, [](char c) { return c > 32 && c < 127; });
    return good ? name : std::string_view();
}

bool is_mbox_line(std::string_view line) {
    constexpr std::string_view kFrom = "From";
    const std::string_view rest = line.substr(line.starts_with('>') ? 1 : 0);
    return rest.size() > kFrom.size() && is_blank(rest[kFrom.size()]) &&
           base::equal_ignoring_case(rest.substr(0, kFrom.size()), kFrom) &&
           field_name(line).empty();
}

}  // namespace mail
