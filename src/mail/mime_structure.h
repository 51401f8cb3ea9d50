// MimeStructure: which line of a message is header, body, delimiter or neither (RFC 2045, RFC
// 2046), as lines stream by.
//
// Synchronous; owned by one conversion. Memory: its own few KiB, whatever comes; what goes beyond a
// bound (nesting, length of a boundary or of a Content-Type) makes the entity opaque: its lines are
// still told apart from its neighbours', but it says that nothing inside may be changed. No
// failures.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace mail {

// A line, or a part of one that is longer than who cuts them holds. Without its CRLF.
struct LinePart {
    std::string_view text;
    bool begins = true;  // the line begins with it
    bool ends = true;    // the line ends with it, by CRLF or by the end of the message
};

enum class TransferEncoding : std::uint8_t { seven_bit, eight_bit, binary, other };

class MimeStructure {
  public:
    static constexpr std::size_t kDepthMax = 24;
    static constexpr std::size_t kBoundaryBytesMax = 128;  // RFC 2046 §5.1.1 has 70
    static constexpr std::size_t kFieldBytesMax = 1024;    // of Content-Type, unfolded

    enum class Kind : std::uint8_t {
        header,      // of the current entity; also an mbox line ("From …") before its first field
        header_end,  // the empty line behind it
        body,        // of the current entity, which is a leaf
        delimiter,   // of a multipart
        outside,     // preamble or epilogue of a multipart
    };

    struct Place {
        Kind kind = Kind::body;
        // The line is of a Content-Transfer-Encoding field of the current entity.
        bool transfer_encoding_field = false;
        // The first line of a body without an empty line before it: the header section broke off.
        bool header_broken_off = false;
    };
    [[nodiscard]] Place take(const LinePart& part);

    // Of the current entity: the message is 0, and each header section that follows is one more.
    [[nodiscard]] std::uint32_t entity() const { return entity_; }

    // The following hold from header_end, or a header that broke off, until the next header section
    // begins.
    [[nodiscard]] bool has_content_type() const { return content_types_ > 0; }
    [[nodiscard]] TransferEncoding transfer_encoding() const { return transfer_encoding_; }
    // A leaf whose body may be encoded anew (RFC 6152 §3, RFC 2045 §6.4): not inside
    // multipart/signed or encrypted, no message/* of any kind, no multipart without a usable
    // boundary, nothing said twice.
    [[nodiscard]] bool encodable() const { return encodable_; }
    // The entity is part of what is signed, and so is its label.
    [[nodiscard]] bool sealed() const { return sealed_; }
    // … and a line outside of all parts, at any time.
    [[nodiscard]] bool outside_sealed() const { return depth_ > 0 && levels_[depth_ - 1].sealed; }
    // It is a message, the outermost or one inside a message/rfc822, and no part of a multipart.
    [[nodiscard]] bool is_message() const { return message_ == entity_; }
    // It has a MIME-Version field, which messages need and parts do not (RFC 2045 §4).
    [[nodiscard]] bool has_mime_version() const { return has_mime_version_; }
    // The innermost message that the current entity is, or lies in.
    [[nodiscard]] std::uint32_t message() const { return message_; }

  private:
    enum class Field : std::uint8_t { none, content_type, transfer_encoding };
    struct Level {
        std::array<char, kBoundaryBytesMax> boundary;
        std::uint8_t boundary_size = 0;
        std::uint32_t message = 0;  // that it lies in
        bool digest = false;        // RFC 2046 §5.1.5: parts without Content-Type are messages
        bool sealed = false;
    };

    [[nodiscard]] bool take_delimiter(std::string_view line);
    [[nodiscard]] bool take_header(const LinePart& part, Place& place);
    void begin_entity(bool message_by_default);
    void begin_field(std::string_view line);
    void end_field();
    void end_header(bool broke_off);
    void enter_multipart(std::string_view subtype, std::string_view boundary);

    std::array<Level, kDepthMax> levels_;
    std::size_t depth_ = 0;
    std::array<char, kFieldBytesMax> field_;  // the value of the field of interest under way
    std::size_t field_size_ = 0;
    Field field_kind_ = Field::none;
    Kind mode_ = Kind::header;
    std::uint32_t entity_ = 0;
    std::uint32_t message_ = 0;

    // Of the current entity.
    std::uint32_t content_types_ = 0;
    std::uint32_t transfer_encodings_ = 0;
    TransferEncoding transfer_encoding_ = TransferEncoding::seven_bit;
    bool message_by_default_ = false;
    bool overlong_ = false;
    bool encodable_ = false;
    bool sealed_ = false;
    bool has_mime_version_ = false;
    bool header_begins_ = true;  // no line of the header section yet
    bool in_field_ = false;
    bool message_follows_ = false;  // the next line begins the header section of a message inside
    std::array<char, kFieldBytesMax> content_type_;
    std::size_t content_type_size_ = 0;
};

}  // namespace mail
