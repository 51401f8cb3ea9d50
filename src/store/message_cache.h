// MessageCache: messages that were committed lately, whole (commit record and content), so that the
// first delivery needs no disk. Oldest out first; limited in bytes; gives way to transactions.
//
// One per shard. An entry that someone reads is pinned: it leaves the cache, but its memory holds
// until the last pin goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/list.h"
#include "mail/queue_id.h"
#include "store/chunk_pool.h"
#include "store/transaction.h"

namespace store {

class CachedMessage : public base::ListNode<CachedMessage> {
  public:
    // The commit record's payload.
    [[nodiscard]] base::Bytes record() const { return record_; }
    [[nodiscard]] const std::vector<Transaction::Chunk>& chunks() const { return chunks_; }

  private:
    friend class MessageCache;
    mail::QueueId id_;
    std::uint32_t pins_ = 0;
    bool cached_ = false;  // in the table; else it only waits for its last pin to go
    std::vector<std::byte> record_;
    std::vector<Transaction::Chunk> chunks_;
    CachedMessage* next_in_bucket_ = nullptr;
};

class MessageCache {
  public:
    MessageCache(ChunkPool& chunks, std::uint64_t bytes_max);
    MessageCache(const MessageCache&) = delete;
    MessageCache& operator=(const MessageCache&) = delete;
    // REQUIRES: nothing is pinned.
    ~MessageCache();

    // Takes the chunks over (the vector is left empty, with the memory of another).
    void add(mail::QueueId id, base::Bytes record, std::vector<Transaction::Chunk>& chunks);
    // Pins it; nullptr when it is not here.
    [[nodiscard]] CachedMessage* pin(mail::QueueId id);
    void unpin(CachedMessage& message);
    // It is dead; no one will ask for it again.
    void drop(mail::QueueId id);
    // Lets the oldest go while the pool of chunks is over its limit.
    void make_room();
    void clear();

  private:
    void take_out(CachedMessage& message);
    void free(CachedMessage& message);
    [[nodiscard]] CachedMessage** bucket(mail::QueueId id);
    [[nodiscard]] CachedMessage* find(mail::QueueId id);

    ChunkPool& chunks_;
    std::uint64_t chunks_max_;
    std::uint64_t chunks_held_ = 0;
    std::uint64_t entries_max_;
    std::uint64_t entries_ = 0;
    std::vector<CachedMessage*> buckets_;  // never grows
    base::List<CachedMessage> oldest_first_;
    std::vector<CachedMessage*> free_;
    std::vector<std::unique_ptr<CachedMessage>> all_;
};

}  // namespace store
