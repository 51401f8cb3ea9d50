#include "smtp/dot_writer.h"

namespace smtp {

using mail::WireScanner;

void DotWriter::start_data(const mail::ContentFacts& facts) {
    scanner_ = WireScanner(facts.dot_stuffed ? WireScanner::Dots::keep : WireScanner::Dots::add);
    data_ = true;
    closed_ = false;
}

void DotWriter::start_chunks(const mail::ContentFacts& facts) {
    const bool stuffed = facts.dot_stuffed && facts.stuffed_dots > 0;
    scanner_ = WireScanner(stuffed ? WireScanner::Dots::remove : WireScanner::Dots::ignore);
    data_ = false;
    closed_ = false;
}

bool DotWriter::next(std::string_view& input, std::string_view& run) {
    return scanner_.next(input, run) == WireScanner::Event::run;
}

bool DotWriter::finish(std::string_view& run) {
    if (scanner_.finish(run)) {
        return true;
    }
    if (!data_ || closed_) {
        return false;
    }
    closed_ = true;
    run = scanner_.at_line_start() ? ".\r\n" : "\r\n.\r\n";
    return true;
}

}  // namespace smtp
