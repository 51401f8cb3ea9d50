// What is not a control character, and yet is not seen, or changes the order of what is: bidi and
// other format controls of Unicode. It makes an address look like another one.
#pragma once

#include <string>
#include <string_view>

namespace mail {

[[nodiscard]] bool is_hidden(char32_t code);

// As append_printable(), for people: what is hidden stands as "\x{202E}".
void append_visible(std::string& out, std::string_view text);

}  // namespace mail
