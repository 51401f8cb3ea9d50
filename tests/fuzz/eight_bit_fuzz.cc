// Conversion for hops without 8BITMIME: what comes out has seven bits, the same parts in the same
// order, and bodies that decode to what they were. The first octet says how the rest is cut, and
// whether it is dot-stuffed; and whether the rest is a message, or (above 127) what one is built
// from whose verdict and parts are known.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/prng.h"
#include "choices.h"
#include "mail/eight_bit.h"
#include "mail/mime_structure.h"
#include "mail/text.h"
#include "mail/wire_scanner.h"

namespace {

class Source final : public mail::MessageSource {
  public:
    Source(std::string_view content, std::uint8_t seed, bool dot_stuffed)
        : content_(content), seed_(seed), random_(seed) {
        facts_.stored_bytes = content.size();
        facts_.dot_stuffed = dot_stuffed;
    }
    const mail::ContentFacts& facts() const override { return facts_; }
    std::string_view added_headers() const override { return {}; }
    mail::SourceState next(std::string_view& span, base::Waiter& /*waiter*/) override {
        if (at_ == content_.size()) {
            return mail::SourceState::end;
        }
        span = content_.substr(at_, 1 + random_.below(2U << (seed_ % 12)));
        at_ += span.size();
        return mail::SourceState::ready;
    }
    void rewind() override { at_ = 0; }

  private:
    std::string_view content_;
    std::uint8_t seed_;
    base::Prng random_;
    std::size_t at_ = 0;
    mail::ContentFacts facts_;
};

// As the store holds it: no bare line end; dot-stuffed or not.
std::string sanitise(std::string_view text, mail::WireScanner::Dots dots) {
    mail::WireScanner scanner(dots);
    std::string out;
    std::string_view run;
    while (scanner.next(text, run) == mail::WireScanner::Event::run) {
        out += run;
    }
    while (scanner.finish(run)) {
        out += run;
    }
    return out;
}

struct Parts {
    std::vector<std::string> bodies;  // by entity
    std::string between;              // delimiters, preambles, epilogues
    bool long_lines = false;
};

Parts split(std::string_view text) {
    mail::MimeStructure structure;
    Parts parts;
    while (!text.empty()) {
        const std::size_t end = text.find("\r\n");
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(text.size(), line.size() + 2));
        parts.long_lines = parts.long_lines || line.size() > 1000;
        const auto place = structure.take({line, true, true});
        parts.bodies.resize(structure.entity() + 1);
        const std::string whole = std::string(line) + (end == std::string_view::npos ? "" : "\r\n");
        if (place.kind == mail::MimeStructure::Kind::body) {
            parts.bodies.back() += whole;
        } else if (place.kind == mail::MimeStructure::Kind::delimiter) {
            parts.between += whole;
        } else if (place.kind == mail::MimeStructure::Kind::outside) {
            for (const char c : whole) {
                parts.between += static_cast<unsigned char>(c) > 127 ? '?' : c;
            }
        }
    }
    return parts;
}

int hex(char c) {
    RP_ASSERT((c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'));
    return c <= '9' ? c - '0' : c - 'A' + 10;
}

std::string decode(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t end = text.find("\r\n");
        std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(text.size(), line.size() + 2));
        RP_ASSERT(line.size() <= 76 && !line.ends_with(' ') && !line.ends_with('\t'));
        const bool soft = line.ends_with('=');
        line.remove_suffix(soft ? 1 : 0);
        for (std::size_t i = 0; i < line.size(); ++i) {
            if (line[i] == '=') {
                RP_ASSERT(i + 2 < line.size());
                out += static_cast<char>(hex(line[i + 1]) * 16 + hex(line[i + 2]));
                i += 2;
            } else {
                out += line[i];
            }
        }
        out += soft || end == std::string_view::npos ? "" : "\r\n";
    }
    return out;
}

// The message converted, nothing where that cannot or need not be.
struct Converted {
    mail::EightBitDowngrade::Verdict verdict{};
    std::string text;
};

Converted convert(const std::string& plain, std::uint8_t seed) {
    const bool stuffed = (seed & 1U) != 0;
    const std::string stored = stuffed ? sanitise(plain, mail::WireScanner::Dots::add) : plain;
    Source source(stored, seed, stuffed);
    mail::EightBitDowngrade downgrade(source);
    base::Waiter waiter([](base::Waiter&) {});
    RP_ASSERT(downgrade.plan(waiter) == mail::SourceState::end);
    Converted converted{downgrade.verdict(), {}};
    if (converted.verdict != mail::EightBitDowngrade::Verdict::possible) {
        return converted;
    }
    std::string_view span;
    while (downgrade.next(span, waiter) == mail::SourceState::ready) {
        converted.text += span;
    }
    RP_ASSERT(mail::is_ascii(converted.text));
    return converted;
}

void check_body(const std::string& before, const std::string& after) {
    RP_ASSERT(mail::is_ascii(before) ? before == after : before == decode(after));
}

// Any message.
void check_input(const std::string& plain, std::uint8_t seed) {
    using Verdict = mail::EightBitDowngrade::Verdict;
    const Converted converted = convert(plain, seed);
    RP_ASSERT((converted.verdict == Verdict::unneeded) == mail::is_ascii(plain));
    const Parts before = split(plain);
    if (converted.verdict != Verdict::possible || before.long_lines) {
        return;  // long lines are cut into parts there, and whole here
    }
    const Parts after = split(converted.text);
    RP_ASSERT(before.between == after.between);
    RP_ASSERT(before.bodies.size() == after.bodies.size());
    for (std::size_t i = 0; i < before.bodies.size(); ++i) {
        check_body(before.bodies[i], after.bodies[i]);
    }
}

// A message of known parts: leaves, multiparts and messages in each other.
struct Entity {
    std::string boundary;  // of a multipart
    bool message = false;  // a message/rfc822
    std::vector<Entity> parts;
    std::string body;  // of a leaf
};

struct Build {
    explicit Build(std::string_view octets) : choices(octets) {}
    Choices choices;
    std::string text;
    int boundaries = 0;
    // What decides the verdict.
    bool convertible = false;  // 8-bit octets in leaves that may be encoded
    bool header = false;       // … in headers
    bool fixed = false;        // … in what may not
};

Entity build(Build& into, int depth, bool sealed, bool in_multipart) {
    Entity entity;
    Choices& choices = into.choices;
    if (choices.below(16) == 15) {
        into.text += "Subject: \xc3\xa9\r\n";
        into.header = true;
    } else if (choices.coin() || !in_multipart) {
        into.text += "Subject: e\r\n";
    }
    const std::size_t kind = depth == 0 ? 0 : choices.below(4);
    if (kind == 1 || kind == 2) {
        entity.boundary = "=_" + std::to_string(++into.boundaries) + "=";
        const std::string_view subtype =
            choices.one_of("mixed", "mixed", "alternative", "related", "signed", "encrypted");
        const bool seals = subtype == "signed" || subtype == "encrypted";
        into.text += choices.any_case("Content-Type") + ": multipart/" + std::string(subtype) +
                     ";\r\n boundary=\"" + entity.boundary + "\"\r\n\r\n";
        for (std::size_t parts = 1 + choices.below(3); parts > 0; --parts) {
            into.text += "--" + entity.boundary + "\r\n";
            entity.parts.push_back(build(into, depth - 1, sealed || seals, true));
            into.text += "\r\n";
        }
        into.text += "--" + entity.boundary + "--";
        return entity;
    }
    if (kind == 3) {
        into.text += "Content-Type: message/rfc822\r\n\r\n";
        entity.message = true;
        entity.parts.push_back(build(into, depth - 1, sealed, false));
        return entity;
    }
    const std::string_view encoding =
        choices.one_of("", "", "8bit", "BINARY", "7bit", "base64", "x-other");
    into.text +=
        encoding.empty() ? "" : "Content-Transfer-Encoding: " + std::string(encoding) + "\r\n";
    into.text += choices.one_of("", "", "Content-Type: text/plain; charset=utf-8\r\n");
    const std::string body =
        sanitise(choices.take(choices.below(200)), mail::WireScanner::Dots::ignore);
    entity.body = "x" + body;  // no delimiter, and no empty line where a header would begin
    for (std::size_t at = 0; (at = entity.body.find("\r\n--=_", at)) != std::string::npos;) {
        entity.body[at + 2] = '+';
    }
    into.text += "\r\n" + entity.body;
    const bool encoded = encoding == "base64" || encoding == "x-other";
    if (!mail::is_ascii(entity.body)) {
        (sealed || encoded ? into.fixed : into.convertible) = true;
    }
    return entity;
}

// Takes `text`, which is a whole entity, apart by what is known of it.
void check_entity(const Entity& entity, std::string_view text) {
    const std::size_t end = text.find("\r\n\r\n");
    RP_ASSERT(end != std::string_view::npos || text.starts_with("\r\n"));
    const std::size_t empty_line = text.starts_with("\r\n") ? 0 : end + 2;
    const std::string_view header = text.substr(0, empty_line);
    text.remove_prefix(empty_line + 2);
    if (entity.message) {
        check_entity(entity.parts[0], text);
        return;
    }
    if (entity.boundary.empty()) {
        RP_ASSERT(header.contains("quoted-printable") == !mail::is_ascii(entity.body));
        check_body(entity.body, std::string(text));
        return;
    }
    const std::string delimiter = "\r\n--" + entity.boundary;
    std::string framed = "\r\n" + std::string(text);
    for (const Entity& part : entity.parts) {
        RP_ASSERT(framed.starts_with(delimiter + "\r\n"));
        framed.erase(0, delimiter.size() + 2);
        const std::size_t next = framed.find(delimiter);
        RP_ASSERT(next != std::string::npos);
        check_entity(part, std::string_view(framed).substr(0, next));
        framed.erase(0, next);
    }
    RP_ASSERT(framed == delimiter + "--");
}

void check_built(std::string_view octets, std::uint8_t seed) {
    using Verdict = mail::EightBitDowngrade::Verdict;
    Build built(octets);
    const Entity entity = build(built, 3, false, false);
    const Converted converted = convert(built.text, seed);
    RP_ASSERT(converted.verdict == (built.fixed         ? Verdict::impossible
                                    : built.header      ? Verdict::header
                                    : built.convertible ? Verdict::possible
                                                        : Verdict::unneeded));
    if (converted.verdict == Verdict::possible) {
        check_entity(entity, converted.text);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::string_view input(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    if (bytes[0] > 127) {
        check_built(input, bytes[0]);
    } else {
        check_input(sanitise(input, mail::WireScanner::Dots::ignore), bytes[0]);
    }
    return 0;
}
