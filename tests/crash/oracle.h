// Oracle: what a store must know, as seen by those who used it. It lives outside the simulated
// program and survives its crashes.
//
// It is told what was asked of the store and what the store answered, in the instant it happened,
// and judges what a restarted store brings back:
//  - a message that was acknowledged is there, unless its end was asked for; with the same bytes,
//    envelope and headers;
//  - a message that was never committed (aborted, refused) is not there; one whose answer was lost
//    is there whole, or not at all, and stays so;
//  - a message whose end was durable does not come back;
//  - each recipient is in a state that was recorded, not older than the last that was durable;
//  - an id that was given once is not given again.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "store/listener.h"
#include "store/stored_message.h"

namespace crash {

// One message as it is put in.
struct Letter {
    std::string sender;
    std::vector<std::string> recipients;
    std::string headers;
    std::string content;
};

// `bytes` bytes of text that differ at every offset and from message to message.
[[nodiscard]] std::string content_of(std::uint64_t number, std::size_t bytes);

struct RecipientModel {
    std::vector<store::RecipientState> asked{store::RecipientState()};  // the first: pending
    std::size_t durable = 0;  // index of the last that is known to be durable
};

struct MessageModel {
    enum class Phase : std::uint8_t { begun, committing, acknowledged, gone };
    Letter letter;
    Phase phase = Phase::begun;
    bool end_asked = false;
    bool listed = false;  // the listener heard of it
    std::vector<RecipientModel> recipients;
};

class Oracle {
  public:
    // What happens to the program while it lives.
    void begun(mail::QueueId id);
    void committing(mail::QueueId id, const Letter& letter);
    void acknowledged(mail::QueueId id);
    void refused(mail::QueueId id);
    void aborted(mail::QueueId id);
    void outcome_asked(mail::QueueId id, std::uint32_t recipient,
                       const store::RecipientState& state);
    // All that were asked up to that one (the first has number 1) since the last start.
    void outcome_durable(mail::QueueId id, std::uint32_t recipient, std::size_t number);
    void end_asked(mail::QueueId id);
    void end_durable(mail::QueueId id);
    void listener_committed(mail::QueueId id);

    // What a restarted store says: recovered() for each message, then all_recovered().
    void recovered(const store::Message& message);
    void all_recovered();
    // The others are not open: nothing is expected of them.
    void only_partitions(std::optional<std::set<std::uint32_t>> partitions) {
        only_ = std::move(partitions);
    }
    void only_partition(std::optional<std::uint32_t> partition) {
        only_.reset();
        if (partition) {
            only_ = {*partition};
        }
    }
    // What was read of a message.
    void read(const store::StoredMessage& message, const std::string& content);

    [[nodiscard]] std::vector<mail::QueueId> alive() const;
    [[nodiscard]] const MessageModel& message(mail::QueueId id) const {
        return messages_.at(id.value());
    }
    [[nodiscard]] std::size_t acknowledged_count() const { return acknowledged_; }
    // What is wrong, in sentences; empty when nothing is.
    [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }
    void fault(const std::string& what);

  private:
    [[nodiscard]] MessageModel* known(mail::QueueId id, const char* what);

    std::map<std::uint64_t, MessageModel> messages_;
    std::set<std::uint64_t> came_back_;
    std::vector<std::string> faults_;
    std::size_t acknowledged_ = 0;
    std::optional<std::set<std::uint32_t>> only_;
};

}  // namespace crash
