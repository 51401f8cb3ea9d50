// Command lines: each is taken, with its parts, where a plain reading of the grammar takes it, and
// refused with a proper reply elsewhere; what is built by the grammar is taken.
#include <algorithm>
#include <cctype>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "path_model.h"
#include "smtp/command_parser.h"

namespace {

using smtp::Verb;

const smtp::Limits kLimits;

// What a line means; views into it.
struct Meaning {
    Verb verb = Verb::unknown;
    std::string_view argument;
    std::string_view path;
    std::uint64_t size_bytes = 0;
    bool has_size = false;
    bool body_8bitmime = false;
    bool smtputf8 = false;
    std::uint64_t chunk_bytes = 0;
    bool chunk_last = false;
    std::string_view ret;  // as it stands there
    std::string_view envelope_id;
    std::string_view notify;
    std::string_view original;
};

constexpr std::pair<std::string_view, Verb> kVerbs[] = {
    {"MAIL", Verb::mail}, {"RCPT", Verb::rcpt},        {"DATA", Verb::data}, {"BDAT", Verb::bdat},
    {"RSET", Verb::rset}, {"EHLO", Verb::ehlo},        {"QUIT", Verb::quit}, {"HELO", Verb::helo},
    {"NOOP", Verb::noop}, {"AUTH", Verb::auth},        {"VRFY", Verb::vrfy}, {"EXPN", Verb::expn},
    {"HELP", Verb::help}, {"STARTTLS", Verb::starttls}};

bool any_of_words(std::string_view word, std::initializer_list<std::string_view> words) {
    return std::ranges::any_of(
        words, [word](std::string_view w) { return path_model::same_word(w, word); });
}

Verb verb_of(std::string_view word) {
    for (const auto& [text, verb] : kVerbs) {
        if (path_model::same_word(word, text)) {
            return verb;
        }
    }
    if (any_of_words(word, {"GET", "POST", "HEAD", "PUT", "CONNECT", "OPTIONS", "DELETE", "TRACE",
                            "PATCH"})) {
        return Verb::http;
    }
    return word.substr(std::min<std::size_t>(word.size(), 1)).contains(':') && word[0] != ':'
               ? Verb::header
               : Verb::unknown;
}

std::vector<std::string_view> words_of(std::string_view text) {
    std::vector<std::string_view> words;
    for (text = path_model::skip_blanks(text); !text.empty();
         text = path_model::skip_blanks(text)) {
        words.push_back(text.substr(0, text.find_first_of(" \t")));
        text.remove_prefix(words.back().size());
    }
    return words;
}

// Digits alone; nothing too, where they do not fit.
std::optional<std::uint64_t> number_of(std::string_view text, bool& digits) {
    digits = !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
    unsigned __int128 value = 0;
    for (const char c : digits ? text : std::string_view()) {
        value = std::min<unsigned __int128>(value * 10 + static_cast<unsigned>(c - '0'),
                                            static_cast<unsigned __int128>(1) << 64U);
    }
    return digits && value <= UINT64_MAX ? std::optional(static_cast<std::uint64_t>(value))
                                         : std::nullopt;
}

bool is_upper_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

// RFC 3461 §4, for printable ASCII; `utf8`: or RFC 6533 §3.
bool reads_as_xtext(std::string_view text, bool utf8) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto octet = static_cast<unsigned char>(text[i]);
        if (octet == '+') {
            if (i + 2 >= text.size() || !is_upper_hex(text[i + 1]) || !is_upper_hex(text[i + 2]) ||
                std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16) < 32 ||
                std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16) > 126) {
                return false;
            }
            i += 2;
        } else if (utf8 && octet == '\\') {
            const std::size_t end = text.find('}', i);
            const std::size_t digits = end == std::string_view::npos ? 0 : end - i;
            if (text.substr(i, 3) != "\\x{" || digits < 4 || digits > 9 ||
                !std::ranges::all_of(text.substr(i + 3, digits - 3), is_upper_hex)) {
                return false;
            }
            const int point = std::stoi(std::string(text.substr(i + 3, digits - 3)), nullptr, 16);
            if (point < 32 || (point > 126 && point < 160) || (point >= 0xd800 && point < 0xe000) ||
                point > 0x10ffff) {
                return false;
            }
            i = end;
        } else if (utf8 && octet > 127) {
            std::size_t size = 4;
            while (size > 1 && !is_utf8(text.substr(i, size))) {
                --size;
            }
            if (size == 1) {
                return false;
            }
            i += size - 1;
        } else if (octet < 33 || octet > 126 || octet == '=') {
            return false;
        }
    }
    return true;
}

bool take_rcpt_parameter(std::string_view word, Meaning& meaning) {
    const std::string_view keyword = word.substr(0, word.find('='));
    std::string_view value = word.substr(std::min(word.size(), keyword.size() + 1));
    if (path_model::same_word(keyword, "NOTIFY")) {
        const bool once = std::exchange(meaning.notify, value).empty();
        if (path_model::same_word(value, "NEVER")) {
            return once;
        }
        for (bool more = true; more;) {
            const std::string_view one = value.substr(0, value.find(','));
            if (!any_of_words(one, {"SUCCESS", "FAILURE", "DELAY"})) {
                return false;
            }
            more = one.size() < value.size();
            value.remove_prefix(more ? one.size() + 1 : one.size());
        }
        return once;
    }
    const std::size_t type = value.find(';');
    const bool once = std::exchange(meaning.original, value).empty();
    return path_model::same_word(keyword, "ORCPT") && once && type != 0 && value.size() <= 500 &&
           type < value.size() - 1 &&
           std::ranges::all_of(
               value.substr(0, type),
               [](char c) {
                   return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' ||
                          c == '.' || c == '_';
               }) &&
           reads_as_xtext(value.substr(type + 1),
                          path_model::same_word(value.substr(0, type), "utf-8"));
}

bool take_parameter(std::string_view word, Meaning& meaning, bool& body) {
    const std::string_view keyword = word.substr(0, word.find('='));
    const std::string_view value = word.substr(std::min(word.size(), keyword.size() + 1));
    if (path_model::same_word(keyword, "SIZE")) {
        bool digits = false;
        meaning.size_bytes = number_of(value, digits).value_or(UINT64_MAX);
        return digits && value.size() <= 20 && !std::exchange(meaning.has_size, true);
    }
    if (path_model::same_word(keyword, "BODY")) {
        meaning.body_8bitmime = path_model::same_word(value, "8BITMIME");
        return any_of_words(value, {"8BITMIME", "7BIT"}) && !std::exchange(body, true);
    }
    if (path_model::same_word(keyword, "RET")) {
        return any_of_words(value, {"FULL", "HDRS"}) && std::exchange(meaning.ret, value).empty();
    }
    if (path_model::same_word(keyword, "ENVID")) {
        return !value.empty() && value.size() <= 100 && reads_as_xtext(value, false) &&
               std::exchange(meaning.envelope_id, value).empty();
    }
    return path_model::same_word(word, "SMTPUTF8") && !std::exchange(meaning.smtputf8, true);
}

bool read_mail(std::string_view rest, Meaning& meaning) {
    if (!path_model::same_word(rest.substr(0, 5), "FROM:")) {
        return false;
    }
    const auto taken = path_model::take_path(rest.substr(5));
    if (!taken || path_model::same_word(taken->mailbox, "postmaster")) {
        return false;
    }
    meaning.path = taken->mailbox;
    bool body = false;
    for (const std::string_view word : words_of(taken->rest)) {
        if (!take_parameter(word, meaning, body)) {
            return false;
        }
    }
    return meaning.smtputf8 ||
           std::ranges::none_of(meaning.path, [](char c) { return (c & 0x80) != 0; });
}

bool read_rcpt(std::string_view rest, Meaning& meaning) {
    if (!path_model::same_word(rest.substr(0, 3), "TO:")) {
        return false;
    }
    const auto taken = path_model::take_path(rest.substr(3));
    meaning.path = taken ? taken->mailbox : "";
    return !meaning.path.empty() &&
           std::ranges::all_of(words_of(taken->rest), [&](std::string_view word) {
               return take_rcpt_parameter(word, meaning);
           });
}

bool read_bdat(const std::vector<std::string_view>& words, Meaning& meaning) {
    bool digits = false;
    const auto bytes = number_of(words.empty() ? "" : words[0], digits);
    meaning.chunk_bytes = bytes.value_or(0);
    meaning.chunk_last = words.size() == 2;
    return bytes && *bytes != UINT64_MAX &&
           (words.size() == 1 || (words.size() == 2 && path_model::same_word(words[1], "LAST")));
}

std::optional<Meaning> read(std::string_view line) {
    Meaning meaning;
    const std::string_view word = line.substr(0, line.find_first_of(" \t"));
    meaning.verb = verb_of(word);
    if (meaning.verb == Verb::http || meaning.verb == Verb::header) {
        return meaning;
    }
    const std::size_t most = meaning.verb == Verb::mail   ? 681
                             : meaning.verb == Verb::rcpt ? 1048
                                                          : 512;
    const bool control = std::ranges::any_of(
        line, [](char c) { return (static_cast<unsigned char>(c) < 32 && c != '\t') || c == 127; });
    if (line.size() + 2 > most || control) {
        return std::nullopt;
    }
    const std::string_view rest = path_model::skip_blanks(line.substr(word.size()));
    meaning.argument = rest.substr(0, rest.find_last_not_of(" \t") + 1);
    bool good = true;
    switch (meaning.verb) {
        case Verb::mail:
            good = read_mail(rest, meaning);
            break;
        case Verb::rcpt:
            good = read_rcpt(rest, meaning);
            break;
        case Verb::bdat:
            good = read_bdat(words_of(rest), meaning);
            break;
        case Verb::data:
        case Verb::rset:
        case Verb::quit:
        case Verb::starttls:
            good = rest.empty();
            break;
        case Verb::helo:
        case Verb::ehlo:
        case Verb::vrfy:
        case Verb::expn:
        case Verb::auth:
            good = !rest.empty();
            break;
        default:
            break;
    }
    return good ? std::optional(meaning) : std::nullopt;
}

bool has_argument(Verb verb) {
    return verb == Verb::helo || verb == Verb::ehlo || verb == Verb::vrfy || verb == Verb::expn ||
           verb == Verb::auth || verb == Verb::noop || verb == Verb::help;
}

void check(std::string_view line) {
    const auto parsed = smtp::parse_command(line, kLimits);
    const std::optional<Meaning> meaning = read(line);
    const std::string_view given = smtp::given_path(line);
    RP_ASSERT(given.empty() || line.find(given) != std::string_view::npos);
    RP_ASSERT(parsed.has_value() == meaning.has_value());
    if (!parsed) {
        const mail::FixedReply& reply = parsed.error().reply;
        const Verb verb = parsed.error().verb;
        const bool hello = verb == Verb::ehlo || verb == Verb::helo;
        RP_ASSERT(verb == verb_of(line.substr(0, line.find_first_of(" \t"))));
        RP_ASSERT(reply.code >= 500 && reply.code < 600 && reply.status.klass == (hello ? 0 : 5));
        RP_ASSERT(!reply.text.empty());
        RP_ASSERT(parsed.error().loses_sync == (verb == Verb::bdat));
        return;
    }
    const smtp::Command& command = *parsed;
    RP_ASSERT(command.verb == meaning->verb);
    RP_ASSERT(!has_argument(command.verb) || command.argument == meaning->argument);
    RP_ASSERT(command.path.text == meaning->path);
    RP_ASSERT(command.has_size == meaning->has_size && command.size_bytes == meaning->size_bytes);
    RP_ASSERT(command.body_8bitmime == meaning->body_8bitmime);
    RP_ASSERT(command.smtputf8 == meaning->smtputf8);
    RP_ASSERT(command.chunk_bytes == meaning->chunk_bytes);
    RP_ASSERT((command.ret != mail::ReturnContent::unspecified) == !meaning->ret.empty());
    RP_ASSERT(command.ret != mail::ReturnContent::full || (meaning->ret[0] | 32) == 'f');
    RP_ASSERT(command.envelope_id == meaning->envelope_id);
    RP_ASSERT(command.notify.given() == !meaning->notify.empty());
    RP_ASSERT(command.original_recipient == meaning->original);
    RP_ASSERT(command.chunk_last == meaning->chunk_last);
}

std::string blanks(Choices& choices) {
    return std::string(choices.one_of(" ", "  ", "\t", " \t "));
}

// A MAIL or RCPT of the grammar is taken; with a parameter twice, one that is not known, or a
// control character anywhere, it is not.
void check_built(Choices choices) {
    const bool is_mail = choices.coin();
    const bool utf8 = choices.below(4) == 0;
    const std::string mailbox = path_model::build_mailbox(choices, !is_mail || !utf8);
    std::string line = choices.any_case(is_mail ? "MAIL" : "RCPT") + blanks(choices) +
                       choices.any_case(is_mail ? "FROM:" : "TO:") +
                       path_model::build_path(choices, mailbox);
    // Blanks behind it up to the limit, and one more.
    for (const std::size_t most : {510U, 679U, 1046U}) {
        const std::size_t whole = most + choices.below(2);
        check(line + std::string(whole - std::min(whole, line.size()), ' '));
    }
    const bool fits = mailbox.rfind('@') <= 64 && mailbox.size() <= 254;
    const std::size_t size = 256 * choices.below(256) + choices.below(256);
    const bool has_size = is_mail && choices.coin();
    const bool eight = is_mail && choices.coin();
    if (has_size) {
        line += blanks(choices) + choices.any_case("SIZE=") + std::to_string(size);
    }
    if (eight) {
        line += blanks(choices) + choices.any_case("BODY=8BITMIME");
    }
    if (is_mail && utf8) {
        line += blanks(choices) + choices.any_case("SMTPUTF8");
    }
    const std::string value = std::string(choices.one_of("a+2Bb", "x", "QQ314159+20", "~!;"));
    std::string notify(choices.one_of("NEVER", "SUCCESS", "FAILURE,DELAY", "delay,Success"));
    const bool asks = choices.coin();
    if (asks && is_mail) {
        line += blanks(choices) + choices.any_case("ENVID=") + value + blanks(choices) +
                choices.any_case(choices.coin() ? "RET=FULL" : "RET=HDRS");
    } else if (asks) {
        line += blanks(choices) + choices.any_case("NOTIFY=") + notify + blanks(choices) +
                choices.any_case("ORCPT=") +
                std::string(choices.one_of("rfc822;", "utf-8;jos\\x{E9}", "utf-8;\xc3\xa9")) +
                value;
    }
    check(line);
    const auto parsed = smtp::parse_command(line, kLimits);
    RP_ASSERT(parsed.has_value() == (fits && line.size() + 2 <= (is_mail ? 681U : 1048U)));
    if (!parsed) {
        return;
    }
    RP_ASSERT(parsed->path.text == mailbox && parsed->has_size == has_size);
    RP_ASSERT(parsed->size_bytes == (has_size ? size : 0) && parsed->body_8bitmime == eight);
    RP_ASSERT(parsed->has_dsn() == asks);
    std::string control = line;
    control.insert(choices.below(256) % line.size(), 1, choices.one_of("\r", "\n", "\x7f")[0]);
    const std::string again = line.substr(line.find_last_of(" \t"));
    for (const std::string& wrong :
         {control, line + " X=1", line + " SIZE=", line + " BODY=9BIT",
          asks || (is_mail && (has_size || eight || utf8)) ? line + again : line + " \xff"}) {
        RP_ASSERT(!smtp::parse_command(wrong, kLimits));
    }
}

// What a mutation hardly meets.
void check_edges(Choices choices) {
    check(choices.any_case("BDAT") + blanks(choices) +
          std::string(choices.one_of("0", "7", "18446744073709551614", "18446744073709551615",
                                     "18446744073709551616", "+1", "-1", "1x", "")) +
          std::string(choices.one_of("", " LAST", "\tlast ", " FIRST", " LAST LAST")));
    check(
        std::string(choices.one_of("MAIL FROM:", "RCPT TO:")) +
        std::string(choices.one_of("<>", "<Postmaster>", "postmaster", "<postmastr>")) +
        std::string(choices.one_of("", " SIZE=18446744073709551616", " SIZE=000000000000000000001",
                                   " BODY=7bit", " SMTPUTF8=", " SMTPUTF8 smtputf8")));
    for (const auto& [word, verb] : kVerbs) {
        check(choices.any_case(word) + std::string(choices.one_of("", " ", " x", " x y \t")));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view line(reinterpret_cast<const char*>(bytes), size);
    check(line);
    check_built(Choices(line));
    check_edges(Choices(line));
    return 0;
}
