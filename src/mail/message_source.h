// MessageSource: where a delivery reads a message from. The SMTP client knows this interface and no
// store behind it.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/waiter.h"
#include "mail/content.h"

namespace mail {

enum class SourceState : std::uint8_t {
    ready,   // `span` was set to the next bytes; they hold until the next call
    wait,    // the waiter will be woken; then ask again
    end,     // all content was given
    failed,  // the medium failed or the bytes do not match their checksum; the delivery is to be
             // broken off, never ended
};

// One reading of one message, for one delivery; lives on its store's shard. While it exists, the
// message's bytes stay readable, whatever happens to the message.
class MessageSource {
  public:
    MessageSource() = default;
    MessageSource(const MessageSource&) = delete;
    MessageSource& operator=(const MessageSource&) = delete;
    virtual ~MessageSource() = default;

    [[nodiscard]] virtual const ContentFacts& facts() const = 0;
    // Header lines that we add before the content, whole CRLF lines, never dot-stuffed (none begins
    // with a dot).
    [[nodiscard]] virtual std::string_view added_headers() const = 0;
    // The next stored bytes, in wire form (see ContentFacts::dot_stuffed).
    [[nodiscard]] virtual SourceState next(std::string_view& span, base::Waiter& waiter) = 0;
    // Starts again at the first byte of content.
    virtual void rewind() = 0;
};

}  // namespace mail
