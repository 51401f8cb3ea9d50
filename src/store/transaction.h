// Transaction: one message on its way into the log. It copies content into chunks of its own, and
// hands them to the committer: all at once at commit(), or earlier where the message is large.
//
// Pooled by the store; lives on its shard. Memory: append() says `wait` when more than
// kHeldChunksMax chunks wait to be written, or the shard's chunks are used up.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/list.h"
#include "base/time.h"
#include "mail/message_sink.h"
#include "store/chunk_pool.h"
#include "store/record_writer.h"
#include "store/stored_message.h"

namespace store {

class Committer;
class Transaction;

// What transactions of a shard share.
class TransactionHome {
  public:
    TransactionHome() = default;
    TransactionHome(const TransactionHome&) = delete;
    TransactionHome& operator=(const TransactionHome&) = delete;
    virtual ~TransactionHome() = default;

    [[nodiscard]] virtual ChunkPool& chunks() = 0;
    // Still, after the cache has given way.
    [[nodiscard]] virtual bool short_of_memory() = 0;
    // Left its data phase: committing, or gone.
    virtual void data_phase_over() = 0;
    virtual void recycle(Transaction& transaction) = 0;
};

struct WorkTag;
struct BatchTag;

class Transaction final : public mail::IncomingMessage,
                          public base::ListNode<Transaction, WorkTag>,
                          public base::ListNode<Transaction, BatchTag> {
  public:
    using WorkNode = base::ListNode<Transaction, WorkTag>;
    using BatchNode = base::ListNode<Transaction, BatchTag>;

    static constexpr std::size_t kStreamChunks = 8;      // full ones are written from here on
    static constexpr std::size_t kHeldChunksMax = 16;    // append() waits above it
    static constexpr std::size_t kCachedChunksMax = 16;  // larger messages are not cached

    // A stretch of content in memory; all but the last are full.
    struct Chunk {
        std::byte* memory = nullptr;
        std::uint32_t bytes = 0;
        std::uint32_t crc = 0;
    };

    explicit Transaction(TransactionHome& home);
    ~Transaction() override;

    void begin(Committer& committer, mail::QueueId id, base::WallTime arrival,
               const mail::Origin& origin);

    [[nodiscard]] mail::QueueId id() const override { return id_; }
    [[nodiscard]] mail::SinkState append(std::string_view run, base::Waiter& waiter) override;
    void commit(const mail::Envelope& envelope, const mail::ContentFacts& facts,
                std::string_view added_headers, base::Waiter& waiter) override;
    // Panics while something is waited for: 250 must never rest on a stray wake.
    [[nodiscard]] mail::SinkState state() const override;

    // For the committer.
    [[nodiscard]] bool committing() const { return phase_ == Phase::committing; }
    [[nodiscard]] bool abandoned() const { return phase_ == Phase::abandoned; }
    [[nodiscard]] base::MonoTime waiting_since() const { return waiting_since_; }
    void set_waiting_since(base::MonoTime now) { waiting_since_ = now; }
    // Chunks that may go into the next batch.
    [[nodiscard]] std::span<Chunk> placeable();
    [[nodiscard]] std::uint64_t commit_payload() const { return commit_payload_; }
    // What it adds to the batch, as counted when it was queued.
    void set_queued_bytes() { queued_bytes_ = unwritten_bytes(); }
    [[nodiscard]] std::uint64_t queued_bytes() const { return queued_bytes_; }
    // The first of placeable() goes into the batch, there.
    void place_next(std::uint64_t segment, std::uint32_t block);
    [[nodiscard]] std::uint32_t placed_pieces() const {
        return static_cast<std::uint32_t>(pieces_.size());
    }
    // Segments that hold, or are about to hold, something of it: in order, each once. The committer
    // sees to it that they are counted as alive; the message inherits that.
    [[nodiscard]] std::vector<std::uint32_t>& held_segments() { return held_segments_; }
    [[nodiscard]] std::uint64_t oldest_segment() const {
        return held_segments_.empty() ? 0 : held_segments_.front();
    }
    [[nodiscard]] CommitParts parts() const;
    [[nodiscard]] const mail::Envelope& envelope() const { return *envelope_; }
    [[nodiscard]] const mail::ContentFacts& facts() const { return *facts_; }
    [[nodiscard]] base::WallTime arrival() const { return arrival_; }
    // The placed chunks are durable, and the commit record with them when `committed`.
    void written(bool committed);
    // It cannot be: wakes who waits, with that state.
    void fail(mail::SinkState state);
    // True when all content is still in memory, so that the cache may take it.
    [[nodiscard]] bool cacheable() const;
    [[nodiscard]] std::vector<Chunk>& chunk_list() { return chunks_; }
    // Back to the pool. REQUIRES: in no list of the committer's.
    void recycle();

  private:
    enum class Phase : std::uint8_t { idle, open, committing, over, abandoned };

    void release() override;
    [[nodiscard]] std::uint64_t unwritten_bytes() const;
    void transition(Phase to);
    void copy(std::string_view run);
    void drop_chunks(std::size_t count);
    void wake(mail::SinkState state);

    TransactionHome& home_;
    Committer* committer_ = nullptr;
    mail::QueueId id_;
    base::WallTime arrival_;
    base::MonoTime waiting_since_;
    std::string client_address_;
    std::string helo_;
    std::string protocol_;
    std::vector<Chunk> chunks_;
    std::vector<Piece> pieces_;
    std::vector<std::uint32_t> held_segments_;
    std::size_t placed_ = 0;  // chunks at the front that the batch in flight carries
    std::uint64_t bytes_ = 0;
    std::uint64_t commit_payload_ = 0;
    std::uint64_t queued_bytes_ = 0;
    const mail::Envelope* envelope_ = nullptr;
    const mail::ContentFacts* facts_ = nullptr;
    std::string_view added_headers_;
    base::Waiter* waiter_ = nullptr;
    Phase phase_ = Phase::idle;
    mail::SinkState result_ = mail::SinkState::ready;
};

}  // namespace store
