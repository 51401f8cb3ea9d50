#include "sim/relay/letter.h"

#include <algorithm>
#include <charconv>

namespace sim::relay {
namespace {

std::string number_text(std::uint64_t number) {
    return std::to_string(number);
}

void append_line(std::string& content, std::uint64_t number, std::size_t line, bool eight_bit,
                 base::Prng& prng) {
    switch (prng.below(8)) {
        case 0:
            content += ".";  // to be stuffed
            break;
        case 1:
            content += "\r\n";
            break;
        case 2:
            content += std::string(prng.below(3), '.');
            break;
        default:
            break;
    }
    content += "letter " + number_text(number) + " line " + number_text(line) + " at " +
               number_text(content.size());
    if (eight_bit) {
        content +=
            " gr\xc3\xbc\xc3\x9f"
            "e = caf\xc3\xa9";
    }
    if (prng.chance(1, 16)) {
        const std::uint64_t size = 1 + prng.below(900);
        content += std::string(size, static_cast<char>('a' + prng.below(26)));
    }
    content += "\r\n";
    if (prng.chance(1, 12)) {
        content += ".\r\n";  // to be stuffed too
    }
}

void ask(Letter& letter, base::Prng& prng) {
    using mail::Notify;
    constexpr std::uint8_t kChoices[] = {
        0,
        Notify::kNever,
        Notify::kSuccess,
        Notify::kFailure,
        Notify::kDelay,
        Notify::kSuccess | Notify::kFailure,
        Notify::kFailure | Notify::kDelay,
        Notify::kSuccess | Notify::kFailure | Notify::kDelay,
    };
    const std::uint64_t ret = prng.below(3);
    letter.ret = static_cast<mail::ReturnContent>(ret);
    if (prng.chance(1, 2)) {
        letter.envelope_id = "envelope+2B" + number_text(letter.number);
    }
    for (std::size_t i = 0; i < letter.recipients.size(); ++i) {
        letter.notify[i].bits = kChoices[prng.below(std::size(kChoices))];
        if (prng.chance(1, 2)) {
            letter.original[i] = "rfc822;before+2B" + letter.recipients[i];
        }
    }
}

int value_of(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

Letter make_letter(const LetterShape& shape, base::Prng& prng) {
    const std::string number = number_text(shape.number);
    Letter letter;
    letter.number = shape.number;
    if (!shape.null_path) {
        letter.reverse_path = "s" + number + "@src.test";
    }
    for (std::size_t i = 0; i < shape.recipients; ++i) {
        letter.recipients.push_back("r" + number_text(i) + "." + number + "@dst.test");
    }
    letter.notify.resize(shape.recipients);
    letter.original.resize(shape.recipients);
    if (shape.dsn) {
        ask(letter, prng);
    }
    if (shape.bytes == 0 && !shape.eight_bit) {
        return letter;
    }
    letter.content = "From: <" + letter.reverse_path + ">\r\nSubject: letter " + number + "\r\n";
    if (shape.eight_bit) {
        letter.content +=
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 8bit\r\n";
    }
    letter.content += "\r\n";
    for (std::size_t line = 0; letter.content.size() < shape.bytes; ++line) {
        append_line(letter.content, shape.number, line, shape.eight_bit, prng);
    }
    letter.eight_bit = std::ranges::any_of(
        letter.content, [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
    return letter;
}

std::string Letter::mail_parameters() const {
    std::string text;
    if (ret != mail::ReturnContent::unspecified) {
        text += ret == mail::ReturnContent::full ? " RET=FULL" : " RET=HDRS";
    }
    return envelope_id.empty() ? text : text + " ENVID=" + envelope_id;
}

std::string Letter::recipient_parameters(std::size_t recipient) const {
    std::string text;
    if (notify[recipient].given()) {
        text += " NOTIFY=";
        mail::append_notify(text, notify[recipient]);
    }
    return original[recipient].empty() ? text : text + " ORCPT=" + original[recipient];
}

std::size_t Letter::index_of(std::string_view path) const {
    return static_cast<std::size_t>(std::ranges::find(recipients, path) - recipients.begin());
}

std::optional<std::uint64_t> letter_of(std::string_view path) {
    const std::size_t at = path.find('@');
    const std::size_t dot = path.find('.');
    std::size_t begin = 0;
    if (path.starts_with('s') && path.substr(at + 1) == "src.test") {
        begin = 1;
    } else if (path.starts_with('r') && dot < at && path.substr(at + 1) == "dst.test") {
        begin = dot + 1;
    } else {
        return std::nullopt;
    }
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(path.data() + begin, path.data() + at, number);
    if (error != std::errc() || end != path.data() + at) {
        return std::nullopt;
    }
    return number;
}

bool is_sender(std::string_view path) {
    return path.ends_with("@src.test");
}

std::string stuffed(std::string_view content) {
    std::string wire;
    bool line_begins = true;
    for (const char c : content) {
        if (line_begins && c == '.') {
            wire.push_back('.');
        }
        wire.push_back(c);
        line_begins = c == '\n';
    }
    return wire;
}

std::string quoted_printable_decoded(std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '=' || i + 2 >= text.size()) {
            plain.push_back(text[i]);
            continue;
        }
        if (text[i + 1] != '\r') {
            plain.push_back(static_cast<char>(value_of(text[i + 1]) * 16 + value_of(text[i + 2])));
        }
        i += 2;
    }
    return plain;
}

}  // namespace sim::relay
