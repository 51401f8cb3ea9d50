#include "crash/oracle.h"

#include <algorithm>

namespace crash {
namespace {

bool same(const store::RecipientState& a, const store::RecipientState& b) {
    return a.status == b.status && a.attempts == b.attempts && a.next_s == b.next_s;
}

std::string name(mail::QueueId id) {
    return std::string(mail::view(id.text()));
}

}  // namespace

std::string content_of(std::uint64_t number, std::size_t bytes) {
    std::string content;
    content.reserve(bytes + 64);
    std::uint64_t line = 0;
    while (content.size() < bytes) {
        content += "message " + std::to_string(number) + " line " + std::to_string(line++) +
                   " at " + std::to_string(content.size()) + "\r\n";
    }
    content.resize(bytes);
    return content;
}

void Oracle::fault(const std::string& what) {
    faults_.push_back(what);
}

MessageModel* Oracle::known(mail::QueueId id, const char* what) {
    const auto at = messages_.find(id.value());
    if (at == messages_.end()) {
        fault(std::string(what) + ": unknown message " + name(id));
        return nullptr;
    }
    return &at->second;
}

void Oracle::begun(mail::QueueId id) {
    if (!messages_.emplace(id.value(), MessageModel()).second) {
        fault("the id " + name(id) + " was given twice");
    }
}

void Oracle::committing(mail::QueueId id, const Letter& letter) {
    MessageModel& message = messages_.at(id.value());
    message.letter = letter;
    message.phase = MessageModel::Phase::committing;
    message.recipients.assign(letter.recipients.size(), RecipientModel());
}

void Oracle::acknowledged(mail::QueueId id) {
    MessageModel& message = messages_.at(id.value());
    if (!message.listed) {
        fault("acknowledged before the listener heard of it: " + name(id));
    }
    message.phase = MessageModel::Phase::acknowledged;
    ++acknowledged_;
}

void Oracle::refused(mail::QueueId id) {
    messages_.at(id.value()).phase = MessageModel::Phase::gone;
}

void Oracle::aborted(mail::QueueId id) {
    messages_.at(id.value()).phase = MessageModel::Phase::gone;
}

void Oracle::outcome_asked(mail::QueueId id, std::uint32_t recipient,
                           const store::RecipientState& state) {
    messages_.at(id.value()).recipients.at(recipient).asked.push_back(state);
}

void Oracle::outcome_durable(mail::QueueId id, std::uint32_t recipient, std::size_t number) {
    RecipientModel& model = messages_.at(id.value()).recipients.at(recipient);
    if (number >= model.asked.size() || number < model.durable) {
        fault("an outcome of " + name(id) + " became durable out of order");
        return;
    }
    model.durable = number;
}

void Oracle::end_asked(mail::QueueId id) {
    messages_.at(id.value()).end_asked = true;
}

void Oracle::end_durable(mail::QueueId id) {
    messages_.at(id.value()).phase = MessageModel::Phase::gone;
}

void Oracle::listener_committed(mail::QueueId id) {
    MessageModel* message = known(id, "committed");
    if (message != nullptr) {
        message->listed = true;
    }
}

void Oracle::recovered(const store::Message& found) {
    MessageModel* message = known(found.id(), "recovered");
    if (message == nullptr) {
        return;
    }
    if (!came_back_.insert(found.id().value()).second) {
        fault("recovered twice: " + name(found.id()));
    }
    if (message->phase == MessageModel::Phase::begun) {
        fault("came back though never committed: " + name(found.id()));
        return;
    }
    if (message->phase == MessageModel::Phase::gone) {
        fault("came back though it was gone: " + name(found.id()));
        return;
    }
    if (found.recipients().size() != message->recipients.size()) {
        fault("came back with another size: " + name(found.id()));
        return;
    }
    for (std::size_t i = 0; i < found.recipients().size(); ++i) {
        RecipientModel& recipient = message->recipients[i];
        const auto first = recipient.asked.begin() + static_cast<std::ptrdiff_t>(recipient.durable);
        const auto at = std::find_if(first, recipient.asked.end(), [&](const auto& state) {
            return same(state, found.recipients()[i]);
        });
        if (at == recipient.asked.end()) {
            fault("a recipient of " + name(found.id()) +
                  " came back in a state older than the last durable one");
            continue;
        }
        recipient.asked = {found.recipients()[i]};
        recipient.durable = 0;
    }
    message->listed = true;
    message->phase = MessageModel::Phase::acknowledged;
    message->end_asked = false;
}

void Oracle::all_recovered() {
    for (auto& [id, message] : messages_) {
        if (came_back_.contains(id) || (only_ && !only_->contains(mail::QueueId(id).partition()))) {
            continue;
        }
        if (message.phase == MessageModel::Phase::acknowledged && !message.end_asked) {
            fault("lost, though it was acknowledged: " + name(mail::QueueId(id)));
        }
        message.phase = MessageModel::Phase::gone;
    }
    came_back_.clear();
}

void Oracle::read(const store::StoredMessage& stored, const std::string& content) {
    MessageModel* message = known(stored.id, "read");
    if (message == nullptr) {
        return;
    }
    const Letter& letter = message->letter;
    if (content != letter.content) {
        fault("its content differs: " + name(stored.id));
    }
    if (stored.added_headers != letter.headers || stored.envelope.reverse_path() != letter.sender ||
        stored.envelope.recipient_count() != letter.recipients.size()) {
        fault("its envelope differs: " + name(stored.id));
        return;
    }
    for (std::size_t i = 0; i < letter.recipients.size(); ++i) {
        if (stored.envelope.recipient(i) != letter.recipients[i]) {
            fault("a recipient differs: " + name(stored.id));
        }
    }
}

std::vector<mail::QueueId> Oracle::alive() const {
    std::vector<mail::QueueId> ids;
    for (const auto& [id, message] : messages_) {
        const bool open = !only_ || only_->contains(mail::QueueId(id).partition());
        if (open && message.phase == MessageModel::Phase::acknowledged && !message.end_asked) {
            ids.emplace_back(id);
        }
    }
    return ids;
}

}  // namespace crash
