// Replies: what the model reads, whole and in pieces. The first octet says how the rest is cut.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/prng.h"
#include "path_model.h"
#include "smtp/reply_parser.h"
#include "utf8.h"

namespace {

struct Read {
    std::vector<mail::Reply> replies;
    std::vector<smtp::ServerExtensions> extensions;
    bool broken = false;
};

Read parse(std::string_view wire, std::uint8_t seed) {
    smtp::ReplyParser parser;
    base::Prng random(seed);
    Read read;
    while (!wire.empty()) {
        const std::size_t size =
            seed == 0 ? wire.size() : std::min(wire.size(), 1 + random.below(2U << (seed % 8)));
        std::string_view input = wire.substr(0, size);
        wire.remove_prefix(size);
        for (;;) {
            const smtp::ReplyParser::Event event = parser.next(input);
            if (event == smtp::ReplyParser::Event::more) {
                RP_ASSERT(input.empty());
                break;
            }
            if (event == smtp::ReplyParser::Event::broken) {
                RP_ASSERT(!parser.broken_reason().empty());
                read.broken = true;
                return read;
            }
            read.replies.push_back(parser.reply());
            read.extensions.push_back(parser.extensions());
        }
    }
    return read;
}

// RFC 3463 §2: "5.1.1" as the first word, with the blanks behind it.
mail::EnhancedStatus take_status(std::string_view& text) {
    const std::string_view word = text.substr(0, text.find_first_of(" \t"));
    std::vector<std::string> numbers(1);
    for (const char c : word) {
        if (c == '.') {
            numbers.emplace_back();
        } else if (path_model::among(static_cast<unsigned char>(c), path_model::kDigits)) {
            numbers.back() += c;
        } else {
            return {};
        }
    }
    if (numbers.size() != 3 || (numbers[0] != "2" && numbers[0] != "4" && numbers[0] != "5") ||
        std::ranges::any_of(numbers, [](const auto& n) { return n.empty() || n.size() > 3; })) {
        return {};
    }
    text = path_model::skip_blanks(text.substr(word.size()));
    return {static_cast<std::uint8_t>(std::stoi(numbers[0])),
            static_cast<std::uint16_t>(std::stoi(numbers[1])),
            static_cast<std::uint16_t>(std::stoi(numbers[2]))};
}

// What of a text may be shown, as far as it fits.
void add_shown(std::string& out, std::string_view text, std::size_t most) {
    while (!text.empty()) {
        const Character character = first_character(text);
        const std::size_t size = std::max<std::size_t>(character.size, 1);
        const bool control = character.code < 32 || (character.code >= 127 && character.code < 160);
        const std::string shown = character.size == 1 && character.code == '\t' ? " "
                                  : character.size == 0 || control
                                      ? "?"
                                      : std::string(text.substr(0, size));
        if (out.size() + shown.size() > most) {
            return;
        }
        out += shown;
        text.remove_prefix(size);
    }
}

void add_extension(smtp::ServerExtensions& extensions, std::string_view line) {
    std::vector<std::string_view> words;
    for (line = path_model::skip_blanks(line); !line.empty();
         line = path_model::skip_blanks(line)) {
        words.push_back(line.substr(0, line.find_first_of(" \t")));
        line.remove_prefix(words.back().size());
    }
    if (words.empty()) {
        return;
    }
    const auto is = [&](std::string_view name) { return path_model::same_word(words[0], name); };
    extensions.pipelining |= is("PIPELINING");
    extensions.eightbitmime |= is("8BITMIME");
    extensions.smtputf8 |= is("SMTPUTF8");
    extensions.chunking |= is("CHUNKING");
    extensions.enhanced_status |= is("ENHANCEDSTATUSCODES");
    extensions.dsn |= is("DSN");
    extensions.starttls |= is("STARTTLS");
    if (is("SIZE")) {
        extensions.size = true;
        const std::string digits(words.size() > 1 ? words[1] : "");
        const bool number = digits.find_first_not_of("0123456789") == std::string::npos;
        unsigned __int128 value = 0;
        for (const char c : number ? digits : std::string()) {
            value = std::min<unsigned __int128>(value * 10 + static_cast<unsigned>(c - '0'),
                                                static_cast<unsigned __int128>(1) << 64U);
        }
        extensions.size_bytes_max = value <= UINT64_MAX ? static_cast<std::uint64_t>(value) : 0;
    }
    const std::size_t equals = words[0].find('=');
    if (path_model::same_word(words[0].substr(0, equals), "AUTH")) {
        words[0] = equals == std::string_view::npos ? "" : words[0].substr(equals + 1);
        // "AUTH= PLAIN" names none.
        const bool named = equals == std::string_view::npos || !words[0].empty();
        for (const std::string_view word : named ? words : std::vector<std::string_view>()) {
            extensions.auth_plain |= path_model::same_word(word, "PLAIN");
            extensions.auth_login |= path_model::same_word(word, "LOGIN");
        }
    }
}

// A line of a reply into `reply`. False: it is none.
bool take_line(std::string_view line, std::uint32_t number, mail::Reply& reply,
               smtp::ServerExtensions& extensions, bool& last) {
    const std::string code(line.substr(0, 3));
    const std::string_view rest = line.substr(code.size());
    if (code.size() != 3 || code < "200" || code > "599" ||
        code.find_first_not_of("0123456789") != std::string::npos ||
        !(rest.empty() || rest[0] == ' ' || rest[0] == '-' || rest[0] == '\t') ||
        (number > 0 && code != std::to_string(reply.code)) || number >= 128) {
        return false;
    }
    last = !rest.starts_with('-');
    if (number == 0) {
        reply = {};
        reply.code = static_cast<std::uint16_t>(std::stoi(code));
        extensions = {};
    }
    std::string_view text = rest.substr(std::min<std::size_t>(rest.size(), 1));
    if (number > 0 && reply.code == 250) {
        add_extension(extensions, text);
    }
    std::string_view behind = text;
    const mail::EnhancedStatus status = take_status(behind);
    if (status.present() && status.klass == code[0] - '0' &&
        (number == 0 || status == reply.status)) {
        reply.status = status;
        text = behind;
    }
    if (number > 0 && reply.text.size() < smtp::Limits::reply_text_bytes_max) {
        reply.text += '\n';
    }
    add_shown(reply.text, text, smtp::Limits::reply_text_bytes_max);
    return true;
}

Read model_of(std::string_view wire) {
    Read read;
    mail::Reply reply;
    smtp::ServerExtensions extensions;
    std::uint32_t number = 0;
    while (!wire.empty()) {
        const std::size_t end = wire.find('\n');
        std::string_view line = wire.substr(0, end);
        if (line.size() > smtp::Limits::reply_line_bytes_max) {
            read.broken = true;
            break;
        }
        if (end == std::string_view::npos) {
            break;
        }
        wire.remove_prefix(end + 1);
        line.remove_suffix(line.ends_with('\r') ? 1 : 0);
        bool last = false;
        if (!take_line(line, number, reply, extensions, last)) {
            read.broken = true;
            break;
        }
        number = last ? 0 : number + 1;
        if (last) {
            read.replies.push_back(reply);
            read.extensions.push_back(extensions);
        }
    }
    return read;
}

// Replies of lines that servers send.
std::string build(Choices choices) {
    std::string wire;
    for (std::size_t replies = 1 + choices.below(3); replies > 0; --replies) {
        const std::string code(choices.one_of("250", "250", "220", "354", "421", "550", "599"));
        for (std::size_t lines = 1 + choices.below(choices.coin() ? 6 : 130); lines > 0; --lines) {
            wire += code + (lines > 1 ? "-" : " ");
            wire += choices.any_case(choices.one_of(
                "PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "CHUNKING", "ENHANCEDSTATUSCODES",
                "DSN", "STARTTLS", "AUTH", "AUTH=PLAIN", "2.0.0", "5.1.1", "5.1.1000", "HELP"));
            wire += choices.one_of("", " 1000", " 18446744073709551615", " 18446744073709551616",
                                   " PLAIN", "\tlogin XOAUTH", " 5.1.1 no", "\xc3\xa9\xc2\x9b\xff");
            wire += choices.one_of("\r\n", "\n");
        }
    }
    return wire;
}

void check(std::string_view wire, std::uint8_t seed) {
    const Read model = model_of(wire);
    for (const std::uint8_t cut : {std::uint8_t{0}, seed}) {
        const Read read = parse(wire, cut);
        RP_ASSERT(read.broken == model.broken && read.replies.size() == model.replies.size());
        RP_ASSERT(read.extensions == model.extensions);
        for (std::size_t i = 0; i < read.replies.size(); ++i) {
            const mail::Reply& reply = read.replies[i];
            RP_ASSERT(reply.code == model.replies[i].code);
            RP_ASSERT(reply.status == model.replies[i].status);
            RP_ASSERT(reply.text == model.replies[i].text);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::string_view wire(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    check(wire, bytes[0]);
    check(build(Choices(wire)), bytes[0]);
    return 0;
}
