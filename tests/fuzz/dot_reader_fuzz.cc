// Content inwards and outwards again. The first octet says how it comes, how much is taken, and how
// it is cut.
//
// Inwards: end, verdict, facts and what is kept are those of a model that goes octet by octet.
// Outwards, by DATA and by BDAT: what a server would read is what was meant.
#include <algorithm>
#include <cstdint>
#include <string>

#include "base/assert.h"
#include "base/prng.h"
#include "header_model.h"
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

Message read(std::string_view wire, bool chunks, const smtp::DotReader::Options& options,
             std::uint8_t seed) {
    smtp::DotReader reader;
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

// RFC 5321 §4.5.2, and of bare line ends what mail/wire_scanner.h says: a line end is CRLF; any
// other CR or LF becomes one, and counts; no dot behind it was stuffed by the sender.
struct Model {
    std::string plain;   // the content as it is meant
    std::string stored;  // … and as it is kept
    std::string left;
    bool ended = false;
    std::uint64_t stuffed_dots = 0;
    std::uint64_t bare = 0;
    std::uint64_t nuls = 0;
    bool has_8bit = false;
};

Model model_of(std::string_view wire, bool chunks) {
    Model model;
    bool line_start = true;    // behind CRLF as the sender sent it, or where content begins
    bool stored_start = true;  // behind any line end
    for (std::size_t i = 0; i < wire.size(); ++i) {
        const char c = wire[i];
        const std::string_view next = wire.substr(i + 1);
        const bool crlf = c == '\r' && next.starts_with('\n');
        if (!chunks && line_start && c == '.' && next.starts_with("\r\n")) {
            model.ended = true;
            model.left = next.substr(2);
            return model;
        }
        if (c == '\r' || c == '\n') {
            model.plain += "\r\n";
            model.stored += "\r\n";
            model.bare += crlf ? 0 : 1;
            i += crlf ? 1 : 0;
            line_start = crlf;
            stored_start = true;
            continue;
        }
        const bool dot = !chunks && stored_start && c == '.';
        const bool stuffed =
            dot && line_start && !next.starts_with('\r') && !next.starts_with('\n');
        model.stored += dot && !stuffed ? ".." : std::string(1, c);
        model.plain += stuffed ? "" : std::string(1, c);
        model.stuffed_dots += dot ? 1 : 0;
        model.nuls += c == '\0' ? 1 : 0;
        model.has_8bit = model.has_8bit || static_cast<unsigned char>(c) > 127;
        line_start = stored_start = false;
    }
    return model;
}

smtp::ContentVerdict verdict_of(const Model& model, const smtp::DotReader::Options& options) {
    using Verdict = smtp::ContentVerdict;
    if (model.bare > 0 && options.line_endings == smtp::LineEndings::refuse) {
        return Verdict::bare_line_end;
    }
    if (model.nuls > 0) {
        return Verdict::nul;
    }
    if (model_headers(model.stored).received >= options.hops_max) {
        return Verdict::loop;
    }
    return options.message_bytes_max > 0 && model.plain.size() > options.message_bytes_max
               ? Verdict::too_big
               : Verdict::good;
}

void check_kept(const Message& message, const Model& model,
                const smtp::DotReader::Options& options) {
    RP_ASSERT(message.verdict == verdict_of(model, options));
    if (message.verdict != smtp::ContentVerdict::good) {
        RP_ASSERT(model.stored.starts_with(message.stored));
        return;
    }
    RP_ASSERT(message.stored == model.stored);
    const mail::ContentFacts& facts = message.facts;
    RP_ASSERT(facts.stored_bytes == model.stored.size());
    RP_ASSERT(facts.stuffed_dots == model.stuffed_dots);
    RP_ASSERT(facts.content_bytes() == model.plain.size());
    RP_ASSERT(facts.has_8bit == model.has_8bit);
    RP_ASSERT(facts.has_8bit_header == model_headers(model.stored).has_8bit);
    RP_ASSERT(facts.ends_in_crlf == (model.plain.empty() || model.plain.ends_with("\r\n")));
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

// What a server reads by DATA is the content, with a CRLF at its end; by BDAT the content itself.
void check_outwards(const Message& message, const std::string& plain, std::uint8_t seed) {
    RP_ASSERT(write(message, true, seed) == plain);
    const std::string data = write(message, false, seed);
    const Model read = model_of(data, false);
    RP_ASSERT(read.ended && read.left.empty() && read.bare == 0);
    RP_ASSERT(read.plain == plain + (plain.empty() || plain.ends_with("\r\n") ? "" : "\r\n"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const std::uint8_t seed = bytes[0];
    const bool chunks = (seed & 1U) != 0;
    std::string wire(reinterpret_cast<const char*>(bytes) + 1, size - 1);
    if (!chunks && (seed & 32U) != 0) {
        wire += "\r\n.\r\n";
    }
    const Model model = model_of(wire, chunks);
    const std::uint64_t most = (seed & 64U) == 0    ? 2000
                               : (seed & 128U) == 0 ? model.plain.size()
                                                    : model.plain.size() - 1;
    const smtp::DotReader::Options options{
        (seed & 2U) != 0 ? smtp::LineEndings::refuse : smtp::LineEndings::normalise, most, 5};
    for (const std::uint8_t cut : {std::uint8_t{0}, seed}) {
        const Message message = read(wire, chunks, options, cut);
        RP_ASSERT(message.ended == model.ended && message.left == model.left);
        if (message.ended || chunks) {
            check_kept(message, model, options);
            if (message.verdict == smtp::ContentVerdict::good) {
                check_outwards(message, model.plain, seed);
            }
        }
    }
    return 0;
}
