// EightBitDowngrade: a message for a next hop without 8BITMIME (RFC 6152 §3, second way): the
// bodies that have octets above 127 are sent as quoted-printable, everything else as it is.
//
// A MessageSource over another one, read twice: plan() goes through the message and says whether it
// can be done, next() then gives the converted bytes. Owned by one delivery, on its shard, and used
// for one message after another; the inner source is used until the next start(). Memory: about 25
// KiB, whatever comes. What the inner source fails with is handed on; a message that cannot be
// converted is a verdict (bad data).
//
// By the RFCs: multiparts and messages are never encoded, their leaves are (RFC 2045 §6.4); nothing
// inside multipart/signed or multipart/encrypted is touched (RFC 1847 §2.1); header sections cannot
// be converted at all (RFC 6531 §3.6 has no downgrade). A signature by DKIM over a converted body
// no longer fits, which RFC 6376 §5.3 leaves to the signer. A message without MIME fields, as old
// software sends it, becomes text/plain in charset unknown-8bit (RFC 1428); so does one that lies
// in another. In preambles and epilogues, which nobody is shown, they become '?'.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "mail/message_source.h"
#include "mail/mime_structure.h"
#include "mail/quoted_printable.h"

namespace mail {

class EightBitDowngrade final : public MessageSource {
  public:
    enum class Verdict : std::uint8_t {
        unneeded,  // no octet above 127: the inner source can be sent as it is
        possible,
        header,      // octets above 127 in a header section: bounces with 5.6.7 (RFC 6531) or 5.6.3
        impossible,  // in something that may not be encoded: bounces with 5.6.3
    };

    explicit EightBitDowngrade(MessageSource& inner);
    // Another message; `inner` stands at its first byte.
    void start(MessageSource& inner);

    // Reads the whole message: `wait` as next() does, `end` when the verdict stands, `failed`.
    // Never `ready`.
    [[nodiscard]] SourceState plan(base::Waiter& waiter);
    [[nodiscard]] Verdict verdict() const { return verdict_; }

    // REQUIRES: plan() gave `end` with the verdict `possible`. Sizes in facts() are an estimate,
    // good for SIZE= (RFC 1870 §5); the content is plain (not dot-stuffed).
    [[nodiscard]] const ContentFacts& facts() const override { return facts_; }
    [[nodiscard]] std::string_view added_headers() const override {
        return inner_->added_headers();
    }
    [[nodiscard]] SourceState next(std::string_view& span, base::Waiter& waiter) override;
    void rewind() override;

    static constexpr std::uint32_t kEntitiesMax =
        4096;  // that can be changed; what lies behind is kept or impossible

  private:
    // What becomes of an entity. `inside`: of a message, that something in it is changed, so that
    // it has to be a message by MIME.
    enum class Action : std::uint8_t { keep, inside, label_7bit, quote };
    static constexpr std::size_t kLineBytesMax = 1024;    // longer ones are handled in parts
    static constexpr std::size_t kOutputBytesMin = 8192;  // gathered before they are given

    // The next part of a line, from `input_`; false when that needs more input. The last one comes
    // out of take_rest().
    [[nodiscard]] bool take_part(LinePart& part);
    [[nodiscard]] bool take_rest(LinePart& part);
    void keep_last_octet();
    [[nodiscard]] LinePart finish_part(std::string_view text, bool ends);
    void look_at(const LinePart& part);
    void judge(Verdict verdict);
    void begin_reading();
    void convert(const LinePart& part, bool line_end);
    void add_fields();
    void add_outside(std::string_view text);

    [[nodiscard]] Action action(std::uint32_t entity) const;
    void set_action(Action action);
    void mark(std::uint32_t entity, Action action);

    MessageSource* inner_;
    ContentFacts facts_;
    Verdict verdict_ = Verdict::unneeded;
    bool planned_ = false;
    std::uint64_t octets_8bit_ = 0;
    std::array<std::uint8_t, kEntitiesMax / 4> actions_{};  // two bits each

    // Of the reading under way.
    MimeStructure structure_;
    QuotedPrintable quoted_;
    std::string_view input_;  // rest of the inner source's span
    std::array<char, kLineBytesMax> line_;
    std::size_t line_size_ = 0;  // held in line_
    bool begins_ = true;
    bool quoting_ = false;  // the body under way
    bool given_ = false;    // output_ was given by next()
    bool ended_ = false;
    std::string output_;
};

}  // namespace mail
