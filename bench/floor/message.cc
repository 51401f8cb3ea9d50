#include "message.h"

#include <algorithm>
#include <cstring>

namespace bench {

void Message::append(ChunkPool& pool, std::span<const char> piece) {
    while (!piece.empty()) {
        const std::size_t at = bytes % kChunk;
        if (at == 0) {
            chunks.push_back(pool.take());
        }
        const std::size_t size = std::min(piece.size(), kChunk - at);
        std::memcpy(chunks.back() + at, piece.data(), size);
        bytes += size;
        piece = piece.subspan(size);
    }
}

Message* MessagePool::take() {
    if (free_.empty()) {
        all_.push_back(std::make_unique<Message>());
        return all_.back().get();
    }
    Message* const message = free_.back();
    free_.pop_back();
    return message;
}

void MessagePool::give_back(Message* message) {
    for (char* const chunk : message->chunks) {
        chunks_.give_back(chunk);
    }
    message->chunks.clear();
    message->envelope.clear();
    message->bytes = message->replies = 0;
    message->session = nullptr;
    free_.push_back(message);
}

}  // namespace bench
