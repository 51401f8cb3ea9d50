#include "mail/mime_structure.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "mail/field_name.h"
#include "mail/mime_field.h"

namespace mail {
namespace {

using base::equal_ignoring_case;

constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

std::string_view trim_end(std::string_view text) {
    while (!text.empty() && is_blank(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

}  // namespace

MimeStructure::Place MimeStructure::take(const LinePart& part) {
    Place place;
    if (std::exchange(message_follows_, false)) {
        begin_entity(false);
        message_ = entity_;
    }
    if (part.begins && part.ends && depth_ > 0 && take_delimiter(part.text)) {
        place.kind = Kind::delimiter;
        return place;
    }
    if (mode_ == Kind::header) {
        if (take_header(part, place)) {
            return place;
        }
        place.header_broken_off = true;
    }
    place.kind = mode_;
    return place;
}

// True when `line` is a delimiter of a multipart that is open: "--", its boundary, "--" if it is
// the last one, blanks (RFC 2046 §5.1.1). The innermost one counts where several fit.
bool MimeStructure::take_delimiter(std::string_view line) {
    if (!line.starts_with("--")) {
        return false;
    }
    const std::string_view text = trim_end(line.substr(2));
    for (std::size_t i = depth_; i > 0; --i) {
        const Level& level = levels_[i - 1];
        const std::string_view boundary(level.boundary.data(), level.boundary_size);
        if (!text.starts_with(boundary)) {
            continue;
        }
        const std::string_view rest = text.substr(boundary.size());
        if (rest == "--") {
            depth_ = i - 1;
            mode_ = Kind::outside;
            return true;
        }
        if (rest.empty()) {
            depth_ = i;
            message_ = level.message;
            begin_entity(level.digest);
            return true;
        }
    }
    return false;
}

// False when the line is none of the header section, which is then over without an empty line.
bool MimeStructure::take_header(const LinePart& part, Place& place) {
    place.kind = Kind::header;
    if (part.begins) {
        const bool continuation = in_field_ && !part.text.empty() && is_blank(part.text.front());
        if (!continuation) {
            end_field();
            if (part.text.empty() && part.ends) {
                place.kind = Kind::header_end;
                end_header(false);
                return true;
            }
            const bool first = std::exchange(header_begins_, false);
            if (!field_name(part.text).empty()) {
                begin_field(part.text);
            } else if (!(first && is_message() && is_mbox_line(part.text))) {
                end_header(true);
                return false;
            }
        }
    }
    place.transfer_encoding_field = field_kind_ == Field::transfer_encoding;
    if (field_kind_ != Field::none) {
        const std::string_view rest = part.text.substr(0, field_.size() - field_size_);
        overlong_ = overlong_ || rest.size() < part.text.size();
        std::ranges::copy(rest, field_.begin() + static_cast<std::ptrdiff_t>(field_size_));
        field_size_ += rest.size();
    }
    return true;
}

void MimeStructure::begin_entity(bool message_by_default) {
    ++entity_;
    mode_ = Kind::header;
    header_begins_ = true;
    message_by_default_ = message_by_default;
    content_types_ = transfer_encodings_ = 0;
    transfer_encoding_ = TransferEncoding::seven_bit;
    overlong_ = encodable_ = sealed_ = in_field_ = has_mime_version_ = false;
    field_kind_ = Field::none;
    field_size_ = content_type_size_ = 0;
}

void MimeStructure::begin_field(std::string_view line) {
    const std::string_view name = field_name(line);
    in_field_ = true;
    field_size_ = 0;
    field_kind_ = Field::none;
    if (equal_ignoring_case(name, "Content-Type")) {
        field_kind_ = Field::content_type;
        ++content_types_;
    } else if (equal_ignoring_case(name, "Content-Transfer-Encoding")) {
        field_kind_ = Field::transfer_encoding;
        ++transfer_encodings_;
    } else if (equal_ignoring_case(name, "MIME-Version")) {
        has_mime_version_ = true;
    }
}

void MimeStructure::end_field() {
    const std::string_view text(field_.data(), field_size_);
    const std::string_view value = text.substr(std::min(text.find(':'), text.size() - 1) + 1);
    if (field_kind_ == Field::content_type && content_types_ == 1) {
        std::ranges::copy(value, content_type_.begin());
        content_type_size_ = value.size();
    } else if (field_kind_ == Field::transfer_encoding) {
        const std::string_view token = parse_token(value);
        transfer_encoding_ = equal_ignoring_case(token, "7bit")     ? TransferEncoding::seven_bit
                             : equal_ignoring_case(token, "8bit")   ? TransferEncoding::eight_bit
                             : equal_ignoring_case(token, "binary") ? TransferEncoding::binary
                                                                    : TransferEncoding::other;
    }
    field_kind_ = Field::none;
    in_field_ = false;
}

void MimeStructure::end_header(bool broke_off) {
    sealed_ = depth_ > 0 && levels_[depth_ - 1].sealed;
    std::array<char, kBoundaryBytesMax> space;
    const ContentType type = parse_content_type({content_type_.data(), content_type_size_}, space);
    const bool clear = !overlong_ && content_types_ <= 1 && transfer_encodings_ <= 1;
    const bool identity = transfer_encoding_ != TransferEncoding::other;
    // Where the header of a composite breaks off, readers disagree about what its first line is.
    const bool whole = clear && identity && !broke_off;
    mode_ = Kind::body;
    encodable_ = false;
    if (equal_ignoring_case(type.type, "multipart")) {
        if (whole && !type.boundary.empty() && depth_ < levels_.size()) {
            enter_multipart(type.subtype, trim_end(type.boundary));
        }
    } else if (equal_ignoring_case(type.type, "message") ||
               (content_types_ == 0 && message_by_default_)) {
        // A message in an encoding is against the rules (RFC 2046 §5.2.1) and to be left alone, as
        // message/partial and the like are.
        if (whole && (type.type.empty() || equal_ignoring_case(type.subtype, "rfc822"))) {
            message_follows_ = true;
        }
    } else {
        // A Content-Type that does not parse is a leaf to some readers and a multipart to others.
        const bool known = content_types_ == 0 || !type.type.empty();
        encodable_ = clear && identity && known && !sealed_;
    }
}

void MimeStructure::enter_multipart(std::string_view subtype, std::string_view boundary) {
    if (boundary.empty()) {
        return;
    }
    Level& level = levels_[depth_++];
    std::ranges::copy(boundary, level.boundary.begin());
    level.boundary_size = static_cast<std::uint8_t>(boundary.size());
    level.message = message_;
    level.digest = equal_ignoring_case(subtype, "digest");
    level.sealed = sealed_ || equal_ignoring_case(subtype, "signed") ||
                   equal_ignoring_case(subtype, "encrypted");
    mode_ = Kind::outside;
}

}  // namespace mail
