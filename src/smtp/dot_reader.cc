#include "smtp/dot_reader.h"

#include "base/assert.h"

namespace smtp {

mail::FixedReply reply_for(ContentVerdict verdict) {
    switch (verdict) {
        case ContentVerdict::bare_line_end:
            return {550, {5, 5, 2}, "Bare CR or LF in content, lines end in CRLF"};
        case ContentVerdict::nul:
            return {550, {5, 6, 0}, "NUL octet in content"};
        case ContentVerdict::too_big:
            return {552, {5, 3, 4}, "Message size exceeds limit"};
        case ContentVerdict::loop:
            return {554, {5, 4, 6}, "Too many hops, this message loops"};
        case ContentVerdict::good:
            break;
    }
    RP_PANIC("good content has no reply");
}

void DotReader::start_data(const Options& options) {
    start(mail::WireScanner::Dots::until_final, options);
}

void DotReader::start_chunks(const Options& options) {
    start(mail::WireScanner::Dots::ignore, options);
}

void DotReader::start(mail::WireScanner::Dots dots, const Options& options) {
    scanner_ = mail::WireScanner(dots, mail::WireScanner::Nul::report);
    headers_.clear();
    facts_ = {};
    facts_.dot_stuffed = dots == mail::WireScanner::Dots::until_final;
    options_ = options;
    verdict_ = ContentVerdict::good;
}

DotReader::Event DotReader::next(std::string_view& input, std::string_view& run) {
    for (;;) {
        const mail::WireScanner::Event event = scanner_.next(input, run);
        if (event == mail::WireScanner::Event::run) {
            if (keep(run)) {
                return Event::run;
            }
            continue;
        }
        judge();
        return event == mail::WireScanner::Event::end ? Event::end : Event::more;
    }
}

bool DotReader::finish(std::string_view& run) {
    RP_ASSERT(!facts_.dot_stuffed);
    while (scanner_.finish(run)) {
        if (keep(run)) {
            return true;
        }
    }
    judge();
    facts_.ends_in_crlf = scanner_.at_line_start();
    return false;
}

// True when `run` is to be kept. A run that the verdict falls on is not, nor any behind it.
bool DotReader::keep(std::string_view run) {
    facts_.stored_bytes += run.size();
    if (!headers_.ended()) {
        headers_.feed(run);
    }
    judge();
    return verdict_ == ContentVerdict::good;
}

void DotReader::judge() {
    facts_.stuffed_dots = facts_.dot_stuffed ? scanner_.stuffed_dots() : 0;
    facts_.has_8bit = scanner_.has_8bit();
    facts_.has_8bit_header = headers_.has_8bit();
    if (scanner_.bare_line_ends() > 0 && options_.line_endings == LineEndings::refuse) {
        verdict_ = ContentVerdict::bare_line_end;
    } else if (scanner_.nuls() > 0) {
        verdict_ = ContentVerdict::nul;
    } else if (headers_.received_count() >= options_.hops_max) {
        verdict_ = ContentVerdict::loop;
    } else if (options_.message_bytes_max > 0 && facts_.stored_bytes > facts_.stuffed_dots &&
               facts_.content_bytes() > options_.message_bytes_max) {
        verdict_ = ContentVerdict::too_big;
    }
}

}  // namespace smtp
