// Conversion for hops without 8BITMIME: what comes out has seven bits, the same parts in the same
// order, and bodies that decode to what they were. The first octet says how the rest is cut, and
// whether it is dot-stuffed.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/prng.h"
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    using Dots = mail::WireScanner::Dots;
    const bool stuffed = (bytes[0] & 1U) != 0;
    const std::string_view input(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    const std::string plain = sanitise(input, Dots::ignore);
    const std::string stored = stuffed ? sanitise(plain, Dots::add) : plain;
    Source source(stored, bytes[0], stuffed);
    mail::EightBitDowngrade downgrade(source);
    base::Waiter waiter([](base::Waiter&) {});
    RP_ASSERT(downgrade.plan(waiter) == mail::SourceState::end);
    RP_ASSERT((downgrade.verdict() == mail::EightBitDowngrade::Verdict::unneeded) ==
              mail::is_ascii(plain));
    if (downgrade.verdict() != mail::EightBitDowngrade::Verdict::possible) {
        return 0;
    }
    std::string out;
    std::string_view span;
    while (downgrade.next(span, waiter) == mail::SourceState::ready) {
        out += span;
    }
    RP_ASSERT(mail::is_ascii(out));
    const Parts before = split(plain);
    const Parts after = split(out);
    if (before.long_lines) {
        return 0;  // cut into parts there, whole lines here
    }
    RP_ASSERT(before.between == after.between);
    RP_ASSERT(before.bodies.size() == after.bodies.size());
    for (std::size_t i = 0; i < before.bodies.size(); ++i) {
        if (mail::is_ascii(before.bodies[i])) {
            RP_ASSERT(before.bodies[i] == after.bodies[i]);
        } else {
            RP_ASSERT(before.bodies[i] == decode(after.bodies[i]));
        }
    }
    return 0;
}
