// Helping someone who mistyped: the nearest known word, and their own text shown safely.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace app {

// The candidate that is nearest to `text` by edits (insert, delete, change, swap of neighbours), or
// "" when none is near enough to be worth a question.
[[nodiscard]] std::string_view nearest(std::string_view text,
                                       std::span<const std::string_view> candidates);

// For showing what someone wrote: quoted, control characters replaced, at most 60 characters.
[[nodiscard]] std::string shown(std::string_view text);

}  // namespace app
