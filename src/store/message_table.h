// MessageTable: the index of one partition: every message that is alive, by its id. Message: what
// is resident of one.
//
// A message holds no address, no reply and no content: those are read when they are needed. Memory:
// 72 bytes a message, 16 a recipient beyond the first, and about 8 for the table; with the queue's
// entry a message of one recipient costs about 130 bytes, where the design allows 150 (bench/scale
// measures it).
//
// Lives on its shard, owned by its partition. No table grows or is rehashed in one step: the hash
// grows by one bucket per message (linear hashing, Litwin 1980), messages stay where they are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/slab.h"
#include "base/time.h"
#include "mail/queue_id.h"
#include "store/format.h"
#include "store/location.h"
#include "store/stored_message.h"

namespace store {

// One recipient, in the envelope's order.
struct RecipientState {
    Location outcome;              // of the last attempt; nowhere until it is durable
    base::UnixSeconds next_s = 0;  // deferred: when it is due
    std::uint16_t attempts = 0;    // so far; 65,535 stands for more
    RecipientStatus status = RecipientStatus::pending;
    bool delay_told = false;  // the sender knows of the delay, or is not to be told
};
static_assert(sizeof(RecipientState) == 16);

// What an outcome's record takes, about.
constexpr std::uint32_t kOutcomeUnits = 1;
// What a message's pieces take in segments other than that of its commit record: each segment once.
// `into` keeps its memory.
void find_other_shares(std::span<const Piece> pieces, std::uint64_t segment,
                       std::vector<format::SegmentShare>& into);
// … and what is left in that one, its commit record included.
[[nodiscard]] std::uint32_t own_units(std::uint64_t stored_bytes, std::uint64_t commit_payload,
                                      std::span<const format::SegmentShare> others);

// What a message begins with.
struct MessagePlace {
    mail::QueueId id;
    Location location;  // of its commit record
    std::int64_t arrival_ms = 0;
    std::uint32_t recipients = 1;  // at least one
    std::uint32_t units = 0;       // as format::SegmentShare, in the segment of `location`
};

class Message {
  public:
    explicit Message(const MessagePlace& place);
    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
    ~Message();

    [[nodiscard]] mail::QueueId id() const { return id_; }
    [[nodiscard]] Location location() const { return location_; }  // of its commit record
    [[nodiscard]] base::WallTime arrival() const { return base::wall_from_unix_ms(arrival_ms_); }
    [[nodiscard]] std::int64_t arrival_ms() const { return arrival_ms_; }
    [[nodiscard]] std::span<RecipientState> recipients() {
        return {count_ == 1 ? &one_ : many_, count_};
    }
    [[nodiscard]] std::span<const RecipientState> recipients() const {
        return {count_ == 1 ? &one_ : many_, count_};
    }

    // What it takes in the segment of location(), as format::SegmentShare counts.
    [[nodiscard]] std::uint32_t units() const { return units_; }

    // The listener's, for whatever it keeps of the message.
    void* owner = nullptr;
    // The newest rule that it has met: what that says of it is in its recipients.
    std::uint32_t rules_met = 0;

  private:
    friend class MessageTable;
    mail::QueueId id_;
    Location location_;
    std::int64_t arrival_ms_;
    Message* next_in_bucket_ = nullptr;
    std::uint32_t count_;
    std::uint32_t units_;
    union {
        RecipientState one_;
        RecipientState* many_;
    };
};
static_assert(sizeof(Message) == 72);

class MessageTable {
  public:
    MessageTable();
    MessageTable(const MessageTable&) = delete;
    MessageTable& operator=(const MessageTable&) = delete;
    ~MessageTable() = default;

    // nullptr when it is not here.
    [[nodiscard]] Message* find(mail::QueueId id) const;
    // It is looked for soon.
    void prefetch(mail::QueueId id) const { __builtin_prefetch(&bucket(bucket_of(id))); }
    // So many are about to come: no bucket is split for them. REQUIRES: it is empty.
    void reserve(std::size_t messages);
    void remove(Message& message);
    void clear();

    // Segments with content of the message beside that of its commit record; empty for most, and
    // Location::spans() says so.
    [[nodiscard]] std::span<const format::SegmentShare> other_segments(
        const Message& message) const;
    // REQUIRES: `others` is empty unless the location spans.
    Message& add(const MessagePlace& place, std::span<const format::SegmentShare> others);
    // It lies elsewhere now.
    void move(Message& message, Location location, std::uint32_t units,
              std::span<const format::SegmentShare> others);

    [[nodiscard]] std::size_t size() const { return slab_.size(); }
    [[nodiscard]] std::size_t bytes() const;
    // For walks: slots from 0 to slots() - 1; a message keeps its slot. nullptr where it is free.
    [[nodiscard]] std::size_t slots() const { return slab_.slots(); }
    [[nodiscard]] Message* slot(std::size_t number) const { return slab_.slot(number); }

  private:
    static constexpr std::size_t kBucketsPerPage = 4096;
    using Page = std::unique_ptr<Message*[]>;

    [[nodiscard]] Message*& bucket(std::size_t number) const {
        return pages_[number / kBucketsPerPage][number % kBucketsPerPage];
    }
    [[nodiscard]] std::size_t bucket_of(mail::QueueId id) const;
    void add_bucket();

    base::Slab<Message> slab_;
    // Few have many, so these need no memory of their own.
    class Shares {
      public:
        void assign(std::span<const format::SegmentShare> shares);
        [[nodiscard]] std::span<const format::SegmentShare> all() const {
            return many_.empty() ? std::span(few_).first(count_) : std::span(many_);
        }

      private:
        std::array<format::SegmentShare, 3> few_{};
        std::size_t count_ = 0;
        std::vector<format::SegmentShare> many_;
    };
    std::map<mail::QueueId, Shares> other_segments_;
    std::vector<Page> pages_;
    std::size_t buckets_ = 1;
    std::size_t low_mask_ = 0;  // 2^n - 1, where 2^n <= buckets_ < 2^(n+1)
};

}  // namespace store
