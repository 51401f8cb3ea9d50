#include "sim/relay/conversation.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "base/assert.h"

namespace sim::relay {

void Conversation::commands(std::string_view bytes) {
    while (!bytes.empty()) {
        if (chunk_left_ > 0) {
            const auto size = std::min<std::uint64_t>(chunk_left_, bytes.size());
            bytes.remove_prefix(size);
            chunk_left_ -= size;
            if (chunk_left_ == 0) {
                step_ = last_ ? Step::end : Step::envelope;
            }
            continue;
        }
        const std::size_t end = bytes.find('\n');
        command_ += bytes.substr(0, end);
        if (end == std::string_view::npos) {
            return;
        }
        bytes.remove_prefix(end + 1);
        const std::string line = std::exchange(command_, {});
        data_ ? take_content_line(line) : take_command(line);
    }
}

void Conversation::take_content_line(std::string_view line) {
    if (line == ".\r") {
        data_ = false;
        step_ = Step::end;
        ++due_;
    }
}

void Conversation::take_command(std::string_view line) {
    ++due_;
    if (line.starts_with("QUIT")) {
        step_ = Step::quit;
    } else if (line.starts_with("EHLO") || line.starts_with("HELO")) {
        step_ = Step::hello;
    } else if (line.starts_with("BDAT ")) {
        chunk_left_ = std::strtoull(std::string(line.substr(5)).c_str(), nullptr, 10);
        last_ = line.contains("LAST");
        step_ = chunk_left_ > 0 ? Step::content : last_ ? Step::end : Step::envelope;
    } else {
        step_ = Step::envelope;
    }
}

void Conversation::replies(std::string_view bytes) {
    for (const char c : bytes) {
        if (c == '\n') {
            take_reply(std::exchange(reply_, {}));
        } else {
            reply_.push_back(c);
        }
    }
}

void Conversation::take_reply(std::string_view line) {
    if (line.size() > 3 && line[3] == '-') {
        return;
    }
    due_ -= due_ > 0 ? 1 : 0;
    if (line.starts_with("354")) {
        data_ = true;
        step_ = Step::content;
    } else if (due_ == 0 && line.starts_with("250") && step_ != Step::envelope) {
        step_ = Step::rest;
    }
}

const char* Conversation::label() const {
    switch (step_) {
        case Step::hello:
            return session_ ? "in: hello" : "out: hello";
        case Step::rest:
            return session_ ? "in: commands" : "out: at rest";
        case Step::envelope:
            return session_ ? "in: commands" : "out: envelope";
        case Step::content:
            return session_ ? "in: content" : "out: content";
        case Step::end:
            return session_ ? "in: end of content" : "out: answer";
        case Step::quit:
            return session_ ? "in: quit" : "out: quit";
    }
    RP_PANIC("no such Step");
}

}  // namespace sim::relay
