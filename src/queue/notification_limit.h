// NotificationLimit: how many notifications a shard sends in a minute, in all and to one domain: so
// that mail with forged senders does not make this host flood those whose names it bears
// (backscatter). What is refused is told when to come again.
//
// Lives on its shard, owned by the scheduler. Counts anew each minute. Memory: a domain's name for
// each notification of the minute, at most. No failures.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/time.h"

namespace queue {

class NotificationLimit {
  public:
    enum class Verdict : std::uint8_t {
        admitted,     // and counted
        too_many,     // in all
        domain_full,  // to that domain
    };
    // REQUIRES: both above zero.
    NotificationLimit(std::uint32_t per_minute, std::uint32_t per_domain);

    // Domains compare without case.
    [[nodiscard]] Verdict admit(std::string_view domain, base::MonoTime now);
    // For what was refused just now, so: behind this minute; and where more have been refused than
    // a minute admits, the later ones come in a later one, within an hour, so that a long queue is
    // not looked through each minute.
    [[nodiscard]] base::MonoTime come_again(Verdict refusal, std::string_view domain);
    // Of the minute that is counted.
    [[nodiscard]] base::MonoTime ends() const { return ends_; }
    // What was admitted was not sent after all.
    void give_back(std::string_view domain);
    // True once a minute, for the one that tells of what was not admitted.
    [[nodiscard]] bool first_refusal();

  private:
    struct Count {
        std::uint32_t admitted = 0;
        std::uint32_t refused = 0;  // that were told to come again
    };
    [[nodiscard]] Count& count_of(std::string_view domain);

    std::uint32_t per_minute_;
    std::uint32_t per_domain_;
    base::MonoTime ends_ = base::MonoTime::min();  // the minute
    Count count_;
    bool refusal_told_ = false;
    std::unordered_map<std::string, Count> domains_;
};

}  // namespace queue
