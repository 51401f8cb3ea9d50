#include "smtp/extensions.h"

#include <charconv>

#include "base/bytes.h"

namespace smtp {
namespace {

using base::equal_ignoring_case;

// The next word off the front; "" at the end.
std::string_view take_word(std::string_view& text) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) {
        text = {};
        return {};
    }
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(" \t"));
    text.remove_prefix(word.size());
    return word;
}

}  // namespace

void ServerExtensions::add(std::string_view line) {
    const std::string_view keyword = take_word(line);
    constexpr std::string_view kOldAuth = "AUTH=";
    if (equal_ignoring_case(keyword, "PIPELINING")) {
        pipelining = true;
    } else if (equal_ignoring_case(keyword, "8BITMIME")) {
        eightbitmime = true;
    } else if (equal_ignoring_case(keyword, "SMTPUTF8")) {
        smtputf8 = true;
    } else if (equal_ignoring_case(keyword, "CHUNKING")) {
        chunking = true;
    } else if (equal_ignoring_case(keyword, "ENHANCEDSTATUSCODES")) {
        enhanced_status = true;
    } else if (equal_ignoring_case(keyword, "DSN")) {
        dsn = true;
    } else if (equal_ignoring_case(keyword, "STARTTLS")) {
        starttls = true;
    } else if (equal_ignoring_case(keyword, "SIZE")) {
        size = true;
        const std::string_view digits = take_word(line);
        std::uint64_t value = 0;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), value);
        // A number that does not parse or fit is as good as none.
        const bool whole = error == std::errc() && end == digits.data() + digits.size();
        size_bytes_max = whole ? value : 0;
    } else if (equal_ignoring_case(keyword, "AUTH") ||
               equal_ignoring_case(keyword.substr(0, kOldAuth.size()), kOldAuth)) {
        const std::size_t value = keyword.find('=');
        std::string_view mechanism =
            value == std::string_view::npos ? take_word(line) : keyword.substr(value + 1);
        for (; !mechanism.empty(); mechanism = take_word(line)) {
            auth_plain = auth_plain || equal_ignoring_case(mechanism, "PLAIN");
            auth_login = auth_login || equal_ignoring_case(mechanism, "LOGIN");
        }
    }
}

}  // namespace smtp
