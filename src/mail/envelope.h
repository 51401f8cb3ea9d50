// The envelope of a message: reverse-path, forward-paths, and their ESMTP parameters (RFC 5321
// §2.3.1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/assert.h"
#include "mail/dsn_parameters.h"

namespace mail {

// Paths are kept as text without angle brackets and without a source route: "local@domain", or ""
// for the null reverse-path. Quoting of the local part is kept as it came. All text lives in one
// arena that clear() keeps for the next transaction, so a session allocates nothing per message
// once it is warm.
//
// Owned by one session or one delivery; not shared between shards.
class Envelope {
  public:
    struct Parameters {
        bool smtputf8 = false;         // RFC 6531: SMTPUTF8 was given on MAIL
        bool body_8bitmime = false;    // RFC 6152: BODY=8BITMIME was given on MAIL
        std::uint64_t size_bytes = 0;  // RFC 1870: SIZE as declared, 0 when absent
        ReturnContent ret = ReturnContent::unspecified;  // RFC 3461: RET
    };

    void clear();
    void set_reverse_path(std::string_view path);
    void add_recipient(std::string_view path);
    // RFC 3461, as they came, still encoded: ENVID, and NOTIFY and ORCPT of a recipient. "" and no
    // bits: not given. REQUIRES: recipient < recipient_count().
    void set_envelope_id(std::string_view xtext);
    void set_notify(std::size_t recipient, Notify notify);
    void set_original_recipient(std::size_t recipient, std::string_view typed_address);

    [[nodiscard]] std::string_view reverse_path() const { return slice(reverse_path_); }
    [[nodiscard]] std::size_t recipient_count() const { return recipients_.size(); }
    // REQUIRES: index < recipient_count(). Views hold until the next change of this envelope.
    [[nodiscard]] std::string_view recipient(std::size_t index) const {
        RP_ASSERT(index < recipients_.size());
        return slice(recipients_[index].path);
    }
    [[nodiscard]] std::string_view envelope_id() const { return slice(envelope_id_); }
    [[nodiscard]] Notify notify(std::size_t recipient) const {
        RP_ASSERT(recipient < recipients_.size());
        return recipients_[recipient].notify;
    }
    [[nodiscard]] std::string_view original_recipient(std::size_t recipient) const {
        RP_ASSERT(recipient < recipients_.size());
        return slice(recipients_[recipient].original);
    }
    // Some parameter of RFC 3461 was given.
    [[nodiscard]] bool has_dsn() const;

    Parameters parameters;

  private:
    struct Slice {
        std::uint32_t offset = 0;
        std::uint32_t size = 0;
    };
    struct Recipient {
        Slice path;
        Slice original;
        Notify notify;
    };
    [[nodiscard]] std::string_view slice(Slice s) const {
        return std::string_view(arena_).substr(s.offset, s.size);
    }
    Slice keep(std::string_view text);

    std::string arena_;
    Slice reverse_path_;
    Slice envelope_id_;
    std::vector<Recipient> recipients_;
};

// The part after the last '@', as it stands; "" when there is none (null path, or postmaster
// alone).
[[nodiscard]] std::string_view domain_of(std::string_view path);

}  // namespace mail
