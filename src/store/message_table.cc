#include "store/message_table.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/assert.h"

namespace store {
namespace {

constexpr unsigned kNeighbourBits = 3;

// Ids count up, and a bucket is chosen by the low bits: all bits must have a say in those
// (MurmurHash3's finalizer).
std::uint64_t mixed(std::uint64_t value) {
    value ^= value >> 33U;
    value *= 0xff51'afd7'ed55'8ccdULL;
    value ^= value >> 33U;
    value *= 0xc4ce'b9fe'1a85'ec53ULL;
    return value ^ value >> 33U;
}

}  // namespace

void find_other_shares(std::span<const Piece> pieces, std::uint64_t segment,
                       std::vector<format::SegmentShare>& into) {
    std::vector<format::SegmentShare>& shares = into;
    shares.clear();
    for (const Piece& piece : pieces) {
        if (piece.segment == segment) {
            continue;
        }
        if (shares.empty() || shares.back().segment != piece.segment) {
            shares.push_back({piece.segment, 0});
        }
        shares.back().units += static_cast<std::uint32_t>(
            base::round_up(piece.bytes, format::kBlock) / format::SegmentShare::kUnit);
    }
}

void MessageTable::Shares::assign(std::span<const format::SegmentShare> shares) {
    count_ = shares.size();
    many_.clear();
    if (count_ > few_.size()) {
        many_.assign(shares.begin(), shares.end());
    } else {
        std::ranges::copy(shares, few_.begin());
    }
}

std::uint32_t own_units(std::uint64_t stored_bytes, std::uint64_t commit_payload,
                        std::span<const format::SegmentShare> others) {
    const std::uint64_t bytes =
        base::round_up(stored_bytes, format::kBlock) + format::record_bytes(commit_payload);
    std::uint64_t units = (bytes + format::SegmentShare::kUnit - 1) / format::SegmentShare::kUnit;
    for (const format::SegmentShare& other : others) {
        units -= std::min<std::uint64_t>(units - 1, other.units);
    }
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(units, UINT32_MAX));
}

Message::Message(const MessagePlace& place)
    : id_(place.id),
      location_(place.location),
      arrival_ms_(place.arrival_ms),
      count_(place.recipients),
      units_(place.units) {
    RP_ASSERT(count_ > 0);
    if (count_ == 1) {
        one_ = {};
    } else {
        many_ = new RecipientState[count_];
    }
}

Message::~Message() {
    if (count_ > 1) {
        delete[] many_;
    }
}

MessageTable::MessageTable() {
    pages_.push_back(std::make_unique<Message*[]>(kBucketsPerPage));
}

std::size_t MessageTable::bucket_of(mail::QueueId id) const {
    // Ids that follow each other lie in one cache line: so do those that a start reads one behind
    // the other.
    const std::uint64_t hash = mixed(id.value() >> kNeighbourBits) << kNeighbourBits |
                               (id.value() & ((1U << kNeighbourBits) - 1));
    const std::size_t wide = hash & (low_mask_ << 1U | 1U);
    return wide < buckets_ ? wide : hash & low_mask_;
}

Message* MessageTable::find(mail::QueueId id) const {
    Message* message = bucket(bucket_of(id));
    while (message != nullptr && message->id_ != id) {
        message = message->next_in_bucket_;
    }
    return message;
}

Message& MessageTable::add(const MessagePlace& place,
                           std::span<const format::SegmentShare> others) {
    RP_ASSERT(find(place.id) == nullptr && place.location.spans() != others.empty());
    Message& message = slab_.take(place);
    if (!others.empty()) {
        other_segments_[place.id].assign(others);
    }
    if (slab_.size() > buckets_) {
        add_bucket();
    }
    Message*& head = bucket(bucket_of(place.id));
    message.next_in_bucket_ = head;
    head = &message;
    return message;
}

void MessageTable::remove(Message& message) {
    Message** at = &bucket(bucket_of(message.id_));
    while (*at != &message) {
        RP_ASSERT(*at != nullptr);
        at = &(*at)->next_in_bucket_;
    }
    *at = message.next_in_bucket_;
    if (message.location_.spans()) {
        other_segments_.erase(message.id_);
    }
    slab_.give_back(message);
}

void MessageTable::clear() {
    for (std::size_t i = 0; i < slab_.slots(); ++i) {
        if (Message* message = slab_.slot(i)) {
            remove(*message);
        }
    }
}

std::span<const format::SegmentShare> MessageTable::other_segments(const Message& message) const {
    if (!message.location_.spans()) {
        return {};
    }
    const auto at = other_segments_.find(message.id_);
    RP_ASSERT(at != other_segments_.end());
    return at->second.all();
}

void MessageTable::move(Message& message, Location location, std::uint32_t units,
                        std::span<const format::SegmentShare> others) {
    RP_ASSERT(location.spans() != others.empty());
    if (message.location_.spans()) {
        other_segments_.erase(message.id_);
    }
    message.location_ = location;
    message.units_ = units;
    if (!others.empty()) {
        other_segments_[message.id_].assign(others);
    }
}

std::size_t MessageTable::bytes() const {
    return slab_.bytes() + pages_.size() * kBucketsPerPage * sizeof(Message*);
}

void MessageTable::reserve(std::size_t messages) {
    RP_ASSERT(size() == 0);
    pages_.reserve(messages / kBucketsPerPage + 1);
    while (buckets_ < messages) {
        add_bucket();
    }
}

// The new bucket takes from the one whose messages it shares a hash with.
void MessageTable::add_bucket() {
    if (buckets_ % kBucketsPerPage == 0) {
        pages_.push_back(std::make_unique<Message*[]>(kBucketsPerPage));
    }
    const std::size_t added = buckets_;
    const std::size_t old = added & low_mask_;
    ++buckets_;
    if (std::has_single_bit(buckets_)) {
        low_mask_ = buckets_ - 1;
    }
    Message* message = bucket(old);
    bucket(old) = nullptr;
    bucket(added) = nullptr;
    while (message != nullptr) {
        Message* const next = message->next_in_bucket_;
        Message*& head = bucket(bucket_of(message->id_));
        message->next_in_bucket_ = head;
        head = message;
        message = next;
    }
}

}  // namespace store
