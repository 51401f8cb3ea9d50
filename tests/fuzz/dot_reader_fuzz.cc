// Content inwards and outwards again. The first octet says how it comes and how it is cut.
//
// Inwards: the end is where the octets CRLF.CRLF are, however they are cut; what is kept has no
// bare line end and no end inside. Outwards, by DATA and by BDAT: what a server would read is what
// was meant.
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "base/prng.h"
#include "smtp/dot_reader.h"
#include "smtp/dot_writer.h"

namespace {

struct Message {
    std::string stored;
    std::string left;
    bool ended = false;
    smtp::ContentVerdict verdict = smtp::ContentVerdict::good;
    mail::ContentFacts facts;
};

Message read(std::string_view wire, bool chunks, smtp::LineEndings line_endings,
             std::uint8_t seed) {
    smtp::DotReader reader;
    const smtp::DotReader::Options options{line_endings, 2000, 5};
    chunks ? reader.start_chunks(options) : reader.start_data(options);
    base::Prng random(seed);
    Message message;
    std::string_view run;
    while (!wire.empty() && !message.ended) {
        const std::size_t size =
            seed == 0 ? wire.size() : std::min(wire.size(), 1 + random.below(2U << (seed % 8)));
        std::string_view input = wire.substr(0, size);
        wire.remove_prefix(size);
        smtp::DotReader::Event event = reader.next(input, run);
        for (; event == smtp::DotReader::Event::run; event = reader.next(input, run)) {
            RP_ASSERT(!run.empty());
            message.stored += run;
        }
        message.ended = event == smtp::DotReader::Event::end;
        if (message.ended) {
            message.left = std::string(input) + std::string(wire);
        }
    }
    while (chunks && reader.finish(run)) {
        message.stored += run;
    }
    message.verdict = reader.verdict();
    message.facts = reader.facts();
    return message;
}

std::string write(const Message& message, bool chunks, std::uint8_t seed) {
    smtp::DotWriter writer;
    chunks ? writer.start_chunks(message.facts) : writer.start_data(message.facts);
    base::Prng random(seed);
    std::string wire;
    std::string_view run;
    std::string_view stored = message.stored;
    while (!stored.empty()) {
        const std::size_t size = std::min(stored.size(), 1 + random.below(64));
        std::string_view input = stored.substr(0, size);
        stored.remove_prefix(size);
        while (writer.next(input, run)) {
            wire += run;
        }
    }
    while (writer.finish(run)) {
        wire += run;
    }
    RP_ASSERT(writer.repairs() == 0);
    return wire;
}

void check_clean(std::string_view text) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        RP_ASSERT(text[i] != '\0');
        RP_ASSERT(text[i] != '\n' || (i > 0 && text[i - 1] == '\r'));
        RP_ASSERT(text[i] != '\r' || (i + 1 < text.size() && text[i + 1] == '\n'));
    }
}

// What a server keeps of content by DATA.
std::string unstuff(std::string_view wire) {
    std::string out;
    for (std::size_t i = 0; i < wire.size(); ++i) {
        const bool line_start = i == 0 || (wire[i - 1] == '\n' && i > 1 && wire[i - 2] == '\r');
        if (!(line_start && wire[i] == '.')) {
            out += wire[i];
        }
    }
    return out;
}

void check_outwards(const Message& message, std::uint8_t seed) {
    const std::string plain = message.facts.dot_stuffed ? unstuff(message.stored) : message.stored;
    RP_ASSERT(plain.size() == message.facts.content_bytes());
    RP_ASSERT(write(message, true, seed) == plain);
    const std::string data = write(message, false, seed);
    const std::string framed = "\r\n" + data;
    RP_ASSERT(framed.find("\r\n.\r\n") == framed.size() - 5);
    const bool open = !plain.empty() && !plain.ends_with("\r\n");
    RP_ASSERT(message.facts.ends_in_crlf == !open);
    RP_ASSERT(unstuff(data.substr(0, data.size() - 3)) == plain + (open ? "\r\n" : ""));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::uint8_t seed = bytes[0];
    const bool chunks = (seed & 1U) != 0;
    const auto policy = (seed & 2U) != 0 ? smtp::LineEndings::refuse : smtp::LineEndings::normalise;
    const std::string_view wire(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    const Message whole = read(wire, chunks, policy, 0);
    const Message pieces = read(wire, chunks, policy, seed);
    RP_ASSERT(whole.verdict == pieces.verdict && whole.ended == pieces.ended);
    RP_ASSERT(whole.left == pieces.left);
    if (!chunks) {
        const std::string framed = "\r\n" + std::string(wire);
        const std::size_t end = framed.find("\r\n.\r\n");
        RP_ASSERT(whole.ended == (end != std::string::npos));
        RP_ASSERT(!whole.ended || whole.left == framed.substr(end + 5));
    }
    if (whole.verdict != smtp::ContentVerdict::good) {
        return 0;
    }
    RP_ASSERT(whole.stored == pieces.stored && whole.stored.size() == whole.facts.stored_bytes);
    RP_ASSERT(whole.facts.stuffed_dots == pieces.facts.stuffed_dots);
    RP_ASSERT(whole.facts.has_8bit == pieces.facts.has_8bit);
    RP_ASSERT(whole.facts.has_8bit_header == pieces.facts.has_8bit_header);
    RP_ASSERT(whole.facts.ends_in_crlf == pieces.facts.ends_in_crlf);
    if (whole.ended || chunks) {
        check_clean(whole.stored);
        check_outwards(whole, seed);
    }
    return 0;
}
