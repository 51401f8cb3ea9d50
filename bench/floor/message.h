// Message: what came in one transaction, and the memory that it lies in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bench {

class Session;

inline constexpr std::size_t kBlock = 4096;
inline constexpr std::size_t kChunk = 16384;

// Pieces of content, aligned for O_DIRECT. One pool per thread; nothing goes back to the system.
class ChunkPool {
  public:
    [[nodiscard]] char* take() {
        if (free_.empty()) {
            return static_cast<char*>(std::aligned_alloc(kBlock, kChunk));
        }
        char* const chunk = free_.back();
        free_.pop_back();
        return chunk;
    }
    void give_back(char* chunk) { free_.push_back(chunk); }

  private:
    std::vector<char*> free_;
};

struct Message {
    std::string envelope;     // its lines as they came: MAIL, RCPT …, DATA
    std::size_t replies = 0;  // that the envelope gets
    std::vector<char*> chunks;
    std::size_t bytes = 0;  // of content, the final dot included
    Session* session = nullptr;
    std::int64_t waiting_since_ns = 0;

    void append(ChunkPool& pool, std::span<const char> piece);
    // Its chunks, each as long as what is in it.
    [[nodiscard]] std::size_t size_of(std::size_t chunk) const {
        return chunk + 1 < chunks.size() ? kChunk : bytes - chunk * kChunk;
    }
};

// Messages are used again, as their strings and vectors are.
class MessagePool {
  public:
    [[nodiscard]] Message* take();
    void give_back(Message* message);
    [[nodiscard]] ChunkPool& chunks() { return chunks_; }

  private:
    std::vector<std::unique_ptr<Message>> all_;
    std::vector<Message*> free_;
    ChunkPool chunks_;
};

}  // namespace bench
