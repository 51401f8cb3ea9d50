#include "smtp/reply_parser.h"

#include <algorithm>

#include "mail/text.h"

namespace smtp {
namespace {

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// The code at the front of a line, 0 when there is none that a server may send.
std::uint16_t code_of(std::string_view line) {
    if (line.size() < 3 || line[0] < '2' || line[0] > '5' || !is_digit(line[1]) ||
        !is_digit(line[2])) {
        return 0;
    }
    return static_cast<std::uint16_t>((line[0] - '0') * 100 + (line[1] - '0') * 10 +
                                      (line[2] - '0'));
}

}  // namespace

ReplyParser::ReplyParser() {
    reply_.text.reserve(Limits::reply_text_bytes_max);
}

ReplyParser::Event ReplyParser::next(std::string_view& input) {
    while (broken_.empty() && !input.empty()) {
        const std::size_t end = input.find('\n');
        const std::string_view part = input.substr(0, end);
        if (line_size_ + part.size() > line_.size()) {
            return give_up("line too long");
        }
        std::string_view line = part;
        if (line_size_ > 0 || end == std::string_view::npos) {
            std::ranges::copy(part, line_.begin() + line_size_);
            line_size_ += static_cast<std::uint32_t>(part.size());
            line = {line_.data(), line_size_};
        }
        if (end == std::string_view::npos) {
            input = {};
            break;
        }
        input.remove_prefix(end + 1);
        line_size_ = 0;
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        const Event event = take_line(line);
        if (event != Event::more) {
            return event;
        }
    }
    return broken_.empty() ? Event::more : Event::broken;
}

ReplyParser::Event ReplyParser::take_line(std::string_view line) {
    const std::uint16_t code = code_of(line);
    if (code == 0) {
        return give_up("line without a reply code");
    }
    const char separator = line.size() > 3 ? line[3] : ' ';
    if (separator != ' ' && separator != '-' && separator != '\t') {
        return give_up("no blank behind the reply code");
    }
    if (lines_ == 0) {
        reply_.code = code;
        reply_.status = {};
        reply_.text.clear();
        extensions_ = {};
    } else if (code != reply_.code) {
        return give_up("reply code changes within a reply");
    } else if (lines_ == Limits::reply_lines_max) {
        return give_up("too many lines in a reply");
    }
    const std::string_view text = line.substr(std::min<std::size_t>(line.size(), 4));
    if (lines_ > 0 && code == 250) {
        extensions_.add(text);
    }
    take_text(text);
    ++lines_;
    if (separator == '-') {
        return Event::more;
    }
    lines_ = 0;
    return Event::reply;
}

void ReplyParser::take_text(std::string_view text) {
    const mail::EnhancedStatus before = reply_.status;
    std::string_view rest = text;
    const mail::EnhancedStatus status = mail::take_enhanced_status(rest);
    if (status.present() && status.klass == reply_.code / 100 &&
        (lines_ == 0 || status == before)) {
        reply_.status = status;
        text = rest;
    }
    constexpr std::size_t kBytesMax = Limits::reply_text_bytes_max;
    if (lines_ > 0 && reply_.text.size() < kBytesMax) {
        reply_.text.push_back('\n');
    }
    mail::append_printable(reply_.text, text, kBytesMax - reply_.text.size());
}

ReplyParser::Event ReplyParser::give_up(std::string_view why) {
    broken_ = why;
    lines_ = 0;
    line_size_ = 0;
    reply_ = {};
    extensions_ = {};
    return Event::broken;
}

}  // namespace smtp
