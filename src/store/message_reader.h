// MessageReader: gives a stored message's bytes to one delivery, out of the cache or from the disk.
// From the disk it reads stretches of up to ReadBuffer::kBytes, and checks each piece's CRC-32C
// before a byte of it leaves.
//
// Pooled by its partition; pins what it reads from until it goes. A read error or damage ends it
// for good (SourceState::failed).
#pragma once

#include <memory>
#include <vector>

#include "io/op.h"
#include "store/message_cache.h"
#include "store/read_buffer.h"
#include "store/segment.h"
#include "store/store.h"

namespace store {

class MessageReader;

class MessageReaderHome {
  public:
    MessageReaderHome() = default;
    MessageReaderHome(const MessageReaderHome&) = delete;
    MessageReaderHome& operator=(const MessageReaderHome&) = delete;
    virtual ~MessageReaderHome() = default;
    [[nodiscard]] virtual rt::Shard& shard() = 0;
    [[nodiscard]] virtual ReadBufferPool& buffers() = 0;
    virtual void unpin(CachedMessage& cached) = 0;
    virtual void unpin(Segment& segment) = 0;
    virtual void recycle(MessageReader& reader) = 0;
    // A person should look at it.
    virtual void report_damage(const StoredMessage& message, const Piece& piece, int error) = 0;
};

class MessageReader final : public Reader {
  public:
    explicit MessageReader(MessageReaderHome& home);
    ~MessageReader() override;

    // For the partition: reads from `cached`, or, where that is nullptr, from segments that
    // add_segment() gives; all are pinned already. The message is to be filled in before the first
    // next().
    void open(CachedMessage* cached);
    void add_segment(Segment& segment) { segments_.push_back(&segment); }
    [[nodiscard]] StoredMessage& stored() { return message_; }

    [[nodiscard]] const StoredMessage& message() const override { return message_; }
    [[nodiscard]] const mail::ContentFacts& facts() const override { return message_.facts; }
    [[nodiscard]] std::string_view added_headers() const override { return message_.added_headers; }
    [[nodiscard]] mail::SourceState next(std::string_view& span, base::Waiter& waiter) override;
    void rewind() override;

  private:
    class ReadOp : public io::Op {
      public:
        explicit ReadOp(MessageReader& owner);
        MessageReader& owner;
    };

    void release() override;
    void start_read();
    void read_on(std::size_t bytes);
    void on_read(std::int32_t result);
    void close();
    [[nodiscard]] bool check(std::size_t bytes);
    [[nodiscard]] Segment* segment_of(const Piece& piece) const;

    MessageReaderHome& home_;
    ReadOp op_;
    StoredMessage message_;
    CachedMessage* cached_ = nullptr;
    std::vector<Segment*> segments_;
    std::unique_ptr<ReadBuffer> buffer_;
    std::size_t next_piece_ = 0;   // not yet given
    std::size_t pieces_read_ = 0;  // from next_piece_ on, that the buffer holds or will hold
    std::size_t buffer_at_ = 0;
    std::size_t read_bytes_ = 0;  // that came of what was asked
    base::Waiter* waiter_ = nullptr;
    bool failed_ = false;
    bool released_ = false;
};

}  // namespace store
