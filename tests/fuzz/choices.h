// The octets of an input as decisions, for targets that build something valid from them: each
// decision takes one octet, and is 0 once they are used up.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

class Choices {
  public:
    explicit Choices(std::string_view octets) : left_(octets) {}

    // Below `bound`, which is at most 256.
    std::size_t below(std::size_t bound) {
        if (left_.empty()) {
            return 0;
        }
        const std::size_t value = static_cast<unsigned char>(left_.front()) % bound;
        left_.remove_prefix(1);
        return value;
    }
    bool coin() { return below(2) == 1; }

    std::string_view one_of(auto... texts) {
        const std::string_view all[] = {texts...};
        return all[below(sizeof...(texts))];
    }

    // As they are, at most `size`.
    std::string take(std::size_t size) {
        std::string text(left_.substr(0, size));
        left_.remove_prefix(text.size());
        return text;
    }

    // `least` to `most` characters of `alphabet`.
    std::string word(std::string_view alphabet, std::size_t least, std::size_t most) {
        std::string text(least + below(most - least + 1), '\0');
        for (char& c : text) {
            c = alphabet[below(alphabet.size())];
        }
        return text;
    }

    // `word` with letters in another case.
    std::string any_case(std::string_view word) {
        std::string text(word);
        for (char& c : text) {
            const bool upper = c >= 'A' && c <= 'Z';
            const bool lower = c >= 'a' && c <= 'z';
            c = (upper || lower) && coin() ? static_cast<char>(c ^ 0x20) : c;
        }
        return text;
    }

  private:
    std::string_view left_;
};
