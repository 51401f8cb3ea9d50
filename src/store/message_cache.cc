#include "store/message_cache.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"

namespace store {

MessageCache::MessageCache(ChunkPool& chunks, std::uint64_t bytes_max)
    : chunks_(chunks),
      chunks_max_(bytes_max / ChunkPool::kChunkBytes),
      entries_max_(std::max<std::uint64_t>(chunks_max_, 16)),
      buckets_(std::bit_ceil(entries_max_)) {}

MessageCache::~MessageCache() {
    clear();
    RP_ASSERT(free_.size() == all_.size());
}

CachedMessage** MessageCache::bucket(mail::QueueId id) {
    std::uint64_t hash = id.value() * 0x9e3779b97f4a7c15U;
    hash ^= hash >> 29U;
    return &buckets_[hash & (buckets_.size() - 1)];
}

CachedMessage* MessageCache::find(mail::QueueId id) {
    CachedMessage* entry = *bucket(id);
    while (entry != nullptr && entry->id_ != id) {
        entry = entry->next_in_bucket_;
    }
    return entry;
}

void MessageCache::add(mail::QueueId id, base::Bytes record,
                       std::vector<Transaction::Chunk>& chunks) {
    if (chunks_max_ == 0) {
        return;
    }
    if (free_.empty()) {
        all_.push_back(std::make_unique<CachedMessage>());
        free_.reserve(all_.size());
        free_.push_back(all_.back().get());
    }
    CachedMessage& entry = *free_.back();
    free_.pop_back();
    entry.id_ = id;
    entry.record_.assign(record.begin(), record.end());
    entry.chunks_.swap(chunks);
    entry.cached_ = true;
    CachedMessage** head = bucket(id);
    entry.next_in_bucket_ = *head;
    *head = &entry;
    oldest_first_.push_back(entry);
    ++entries_;
    chunks_held_ += entry.chunks_.size();
    while ((chunks_held_ > chunks_max_ || entries_ > entries_max_) && !oldest_first_.empty()) {
        take_out(oldest_first_.front());
    }
}

CachedMessage* MessageCache::pin(mail::QueueId id) {
    CachedMessage* entry = find(id);
    if (entry != nullptr) {
        ++entry->pins_;
    }
    return entry;
}

void MessageCache::unpin(CachedMessage& message) {
    RP_ASSERT(message.pins_ > 0);
    --message.pins_;
    if (message.pins_ == 0 && !message.cached_) {
        free(message);
    }
}

void MessageCache::drop(mail::QueueId id) {
    if (CachedMessage* entry = find(id); entry != nullptr) {
        take_out(*entry);
    }
}

void MessageCache::make_room() {
    while (chunks_.over_limit() && !oldest_first_.empty()) {
        take_out(oldest_first_.front());
    }
}

void MessageCache::clear() {
    while (!oldest_first_.empty()) {
        take_out(oldest_first_.front());
    }
}

void MessageCache::take_out(CachedMessage& message) {
    RP_ASSERT(message.cached_);
    CachedMessage** at = bucket(message.id_);
    while (*at != &message) {
        at = &(*at)->next_in_bucket_;
    }
    *at = message.next_in_bucket_;
    message.unlink();
    message.cached_ = false;
    --entries_;
    chunks_held_ -= message.chunks_.size();
    if (message.pins_ == 0) {
        free(message);
    }
}

void MessageCache::free(CachedMessage& message) {
    for (const Transaction::Chunk& chunk : message.chunks_) {
        chunks_.give_back(chunk.memory);
    }
    message.chunks_.clear();
    message.record_.clear();
    free_.push_back(&message);
}

}  // namespace store
