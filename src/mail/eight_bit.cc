#include "mail/eight_bit.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace mail {
namespace {

constexpr std::string_view kCrlf = "\r\n";

}  // namespace

EightBitDowngrade::EightBitDowngrade(MessageSource& inner) : inner_(&inner) {
    output_.reserve(kOutputBytesMin + 5 * kLineBytesMax);
}

void EightBitDowngrade::start(MessageSource& inner) {
    inner_ = &inner;
    facts_ = {};
    verdict_ = Verdict::unneeded;
    planned_ = false;
    octets_8bit_ = 0;
    actions_.fill(0);
    begin_reading();
}

SourceState EightBitDowngrade::plan(base::Waiter& waiter) {
    LinePart part;
    for (;;) {
        while (take_part(part)) {
            look_at(part);
        }
        const SourceState state = inner_->next(input_, waiter);
        if (state == SourceState::end) {
            break;
        }
        if (state != SourceState::ready) {
            return state;
        }
    }
    if (take_rest(part)) {
        look_at(part);
    }
    facts_ = inner_->facts();
    facts_.stored_bytes = facts_.content_bytes() + 2 * octets_8bit_ + octets_8bit_ / 8 + 128;
    facts_.stuffed_dots = 0;
    facts_.dot_stuffed = facts_.has_8bit = facts_.has_8bit_header = false;
    planned_ = true;
    rewind();
    return SourceState::end;
}

SourceState EightBitDowngrade::next(std::string_view& span, base::Waiter& waiter) {
    RP_ASSERT(planned_ && verdict_ == Verdict::possible);
    if (std::exchange(given_, false)) {
        output_.clear();
    }
    LinePart part;
    while (!ended_ && output_.size() < kOutputBytesMin) {
        if (take_part(part)) {
            convert(part, part.ends);
            continue;
        }
        const SourceState state = inner_->next(input_, waiter);
        if (state == SourceState::end) {
            ended_ = true;
            if (take_rest(part)) {
                convert(part, false);
            }
        } else if (state != SourceState::ready) {
            return state;
        }
    }
    if (output_.empty()) {
        return SourceState::end;
    }
    span = output_;
    given_ = true;
    return SourceState::ready;
}

void EightBitDowngrade::rewind() {
    inner_->rewind();
    begin_reading();
}

void EightBitDowngrade::begin_reading() {
    structure_ = MimeStructure();
    quoted_ = QuotedPrintable();
    input_ = {};
    line_size_ = 0;
    begins_ = true;
    quoting_ = given_ = ended_ = false;
    output_.clear();
}

bool EightBitDowngrade::take_part(LinePart& part) {
    keep_last_octet();
    while (!input_.empty()) {
        const std::string_view room = input_.substr(0, line_.size() - line_size_);
        const std::size_t end = room.find('\n');
        const std::string_view taken =
            room.substr(0, end == std::string_view::npos ? end : end + 1);
        std::ranges::copy(taken, line_.begin() + static_cast<std::ptrdiff_t>(line_size_));
        line_size_ += taken.size();
        input_.remove_prefix(taken.size());
        std::string_view text(line_.data(), line_size_);
        if (end != std::string_view::npos) {
            text.remove_suffix(text.ends_with("\r\n") ? 2 : 1);
            line_size_ = 0;
            part = finish_part(text, true);
            return true;
        }
        if (line_size_ == line_.size()) {
            text.remove_suffix(1);  // it may be the CR of the line's end
            part = finish_part(text, false);
            return true;
        }
    }
    return false;
}

bool EightBitDowngrade::take_rest(LinePart& part) {
    keep_last_octet();
    if (line_size_ == 0) {
        return false;
    }
    part = finish_part({line_.data(), line_size_}, true);
    line_size_ = 0;
    return true;
}

// A part that filled line_ was given without its last octet, which begins the next one.
void EightBitDowngrade::keep_last_octet() {
    if (line_size_ == line_.size()) {
        line_.front() = line_.back();
        line_size_ = 1;
    }
}

LinePart EightBitDowngrade::finish_part(std::string_view text, bool ends) {
    LinePart part{text, begins_, ends};
    if (begins_ && inner_->facts().dot_stuffed && text.starts_with('.')) {
        part.text.remove_prefix(1);
    }
    begins_ = ends;
    return part;
}

// Planning: what this part of a line asks of its entity.
void EightBitDowngrade::look_at(const LinePart& part) {
    const MimeStructure::Place place = structure_.take(part);
    const auto octets = std::ranges::count_if(
        part.text, [](char c) { return static_cast<unsigned char>(c) > 127; });
    octets_8bit_ += static_cast<std::uint64_t>(octets);
    if (place.kind == MimeStructure::Kind::header_end) {
        const TransferEncoding label = structure_.transfer_encoding();
        const bool above_7bit =
            label == TransferEncoding::eight_bit || label == TransferEncoding::binary;
        if (above_7bit && !structure_.sealed()) {
            set_action(Action::label_7bit);
        }
    }
    if (octets == 0) {
        return;
    }
    if (place.kind == MimeStructure::Kind::header) {
        judge(Verdict::header);
    } else if (place.kind == MimeStructure::Kind::body && structure_.encodable()) {
        judge(Verdict::possible);
        set_action(Action::quote);
    } else if (place.kind == MimeStructure::Kind::outside && !structure_.outside_sealed()) {
        judge(Verdict::possible);
    } else {
        judge(Verdict::impossible);
    }
}

void EightBitDowngrade::judge(Verdict verdict) {
    verdict_ = std::max(verdict_, verdict);
}

EightBitDowngrade::Action EightBitDowngrade::action(std::uint32_t entity) const {
    if (entity >= kEntitiesMax) {
        return Action::keep;
    }
    return static_cast<Action>(actions_[entity / 4] >> (entity % 4 * 2) & 3U);
}

// Of the current entity. The message that it lies in is marked as well, and so is the outermost:
// their headers may lack MIME-Version, which was not needed so far.
void EightBitDowngrade::set_action(Action action) {
    const std::uint32_t entity = structure_.entity();
    if (entity >= kEntitiesMax) {
        if (action == Action::quote) {
            judge(Verdict::impossible);
        }
        return;
    }
    mark(entity, action);
    mark(structure_.message(), Action::inside);
    mark(0, Action::inside);
}

// REQUIRES: entity < kEntitiesMax.
void EightBitDowngrade::mark(std::uint32_t entity, Action what) {
    const Action marked = std::max(action(entity), what);
    const std::uint32_t shift = entity % 4 * 2;
    const auto others = actions_[entity / 4] & ~(3U << shift);
    actions_[entity / 4] =
        static_cast<std::uint8_t>(others | static_cast<std::uint32_t>(marked) << shift);
}

// `line_end`: a CRLF belongs behind the part.
void EightBitDowngrade::convert(const LinePart& part, bool line_end) {
    using Kind = MimeStructure::Kind;
    const MimeStructure::Place place = structure_.take(part);
    if (place.kind == Kind::header) {
        if (place.transfer_encoding_field && action(structure_.entity()) >= Action::label_7bit) {
            return;
        }
    } else if (place.kind == Kind::header_end || place.header_broken_off) {
        const std::size_t before = output_.size();
        add_fields();
        if (place.header_broken_off && output_.size() > before) {
            output_.append(kCrlf);
        }
        quoting_ = action(structure_.entity()) == Action::quote;
    }
    if (place.kind == Kind::outside) {
        add_outside(part.text);
        output_.append(line_end ? kCrlf : "");
        return;
    }
    if (place.kind != Kind::body || !quoting_) {
        output_.append(part.text);
        output_.append(line_end ? kCrlf : "");
        return;
    }
    quoted_.append(output_, part.text);
    if (line_end) {
        quoted_.end_line(output_);
    } else if (part.ends) {
        quoted_.end_text(output_);
    }
}

// Of a preamble or epilogue, which nobody is shown (RFC 2046 §5.1.1) and no encoding is for.
void EightBitDowngrade::add_outside(std::string_view text) {
    const std::size_t begin = output_.size();
    output_.append(text);
    const auto is_8bit = [](char c) { return static_cast<unsigned char>(c) > 127; };
    std::replace_if(output_.begin() + static_cast<std::ptrdiff_t>(begin), output_.end(), is_8bit,
                    '?');
}

// Behind the header fields of the current entity.
void EightBitDowngrade::add_fields() {
    const Action what = action(structure_.entity());
    if (structure_.is_message() && what != Action::keep && !structure_.has_mime_version()) {
        output_.append("MIME-Version: 1.0\r\n");
    }
    switch (what) {
        case Action::keep:
        case Action::inside:
            break;
        case Action::label_7bit:
            output_.append("Content-Transfer-Encoding: 7bit\r\n");
            break;
        case Action::quote:
            if (!structure_.has_content_type()) {
                output_.append("Content-Type: text/plain; charset=unknown-8bit\r\n");
            }
            output_.append("Content-Transfer-Encoding: quoted-printable\r\n");
            break;
    }
}

}  // namespace mail
