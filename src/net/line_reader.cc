#include "net/line_reader.h"

#include <algorithm>

namespace net {

LineReader::Event LineReader::next(std::string_view& line, std::size_t bytes_max) {
    if (given_) {
        given_ = false;
        straddle_.clear();
    }
    for (std::string_view input = stream_.input(); !input.empty(); input = stream_.input()) {
        const std::size_t end = input.find('\n');
        const bool whole = end != std::string_view::npos;
        const std::string_view part = whole ? input.substr(0, end + 1) : input;
        stream_.consume(part.size());
        if (skipping_ || straddle_.size() + part.size() > bytes_max) {
            straddle_.resize(std::min(straddle_.size(), kHeadBytes));
            straddle_.append(part.substr(0, kHeadBytes - straddle_.size()));
            skipping_ = !whole;
            if (whole) {
                line = straddle_;
                given_ = true;
                return Event::too_long;
            }
            continue;
        }
        if (!whole) {
            straddle_.append(part);
            continue;
        }
        line = part;
        if (!straddle_.empty()) {
            straddle_.append(part);
            line = straddle_;
            given_ = true;
        }
        line.remove_suffix(1);
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        return Event::line;
    }
    return Event::more;
}

void LineReader::clear() {
    straddle_.clear();
    given_ = skipping_ = false;
}

void LineReader::shrink() {
    if (given_) {
        clear();
    }
    straddle_.shrink_to_fit();
}

}  // namespace net
