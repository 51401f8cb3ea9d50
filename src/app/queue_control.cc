#include "app/queue_control.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "app/queue_filter.h"
#include "app/queue_show.h"
#include "app/timestamp.h"
#include "base/assert.h"

namespace app {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kPageMessages = 200;
constexpr std::chrono::milliseconds kTellEvery{500};  // of how far a listing has come

std::string_view name_of(RecipientState state) {
    switch (state) {
        case RecipientState::pending:
            return "pending";
        case RecipientState::deferred:
            return "deferred";
        case RecipientState::held:
            return "held";
        case RecipientState::delivered:
            return "delivered";
        case RecipientState::bounced:
            return "bounced";
        case RecipientState::expired:
            return "expired";
        case RecipientState::deleted:
            return "deleted";
    }
    RP_PANIC("no such RecipientState");
}

nlohmann::ordered_json name_of(WaitsFor wait) {
    switch (wait) {
        case WaitsFor::nothing:
            return nullptr;
        case WaitsFor::time:
            return "time";
        case WaitsFor::turn:
            return "turn";
        case WaitsFor::site:
            return "site";
    }
    RP_PANIC("no such WaitsFor");
}

std::int64_t seconds(base::Duration duration) {
    return std::chrono::floor<std::chrono::seconds>(duration).count();
}

void put_next_attempt(nlohmann::ordered_json& json, const std::optional<base::WallTime>& time,
                      base::WallTime now) {
    if (time) {
        json["next_attempt"] = iso8601(*time);
        json["next_attempt_in_s"] = std::max<std::int64_t>(0, seconds(*time - now));
    } else {
        json["next_attempt"] = nullptr;
        json["next_attempt_in_s"] = nullptr;
    }
}

// The state that the message as a whole is in: what is most alive among its recipients.
RecipientState state_of(const QueueMessage& message) {
    RecipientState state = RecipientState::deleted;
    for (const QueueRecipient& recipient : message.recipients) {
        state = std::min(state, recipient.state);
    }
    return state;
}

// At most `left` messages, which are fewer then.
base::Status list(QueueView& view, const store::Rule& filter, std::uint64_t& left,
                  ControlReply& reply) {
    std::optional<QueueCursor> from = QueueCursor();
    auto tell = steady_clock::now() + kTellEvery;
    while (left > 0 && from) {
        const QueuePageWish wish{
            static_cast<std::size_t>(std::min<std::uint64_t>(left, kPageMessages))};
        const base::Result<QueuePage> page = view.page(*from, filter, wish);
        if (!page) {
            return std::unexpected(page.error());
        }
        for (const QueueMessage& message : page->messages) {
            if (!reply.item(queue_message_json(message, wall_now()))) {
                return {};  // the peer has gone
            }
        }
        left -= std::min<std::uint64_t>(left, page->messages.size());
        from = page->next;
        if (from && steady_clock::now() >= tell) {
            tell = steady_clock::now() + kTellEvery;
            if (!reply.progress({{"looked_at", from->looked_at}, {"of", from->of}}) ||
                !reply.deliver()) {
                return {};
            }
        }
    }
    return {};
}

base::Status list(QueueView& view, const nlohmann::json& request, ControlReply& reply) {
    static constexpr std::array<std::string_view, 1> kOthers = {"limit"};
    base::Result<QueueFilter> filter = filter_of(request, wall_now(), kOthers);
    if (!filter) {
        return std::unexpected(filter.error());
    }
    std::uint64_t left = std::numeric_limits<std::uint64_t>::max();
    if (const auto limit = request.find("limit"); limit != request.end()) {
        if (!limit->is_number_unsigned()) {
            return base::fail(EINVAL, "\"limit\" is not a number of messages");
        }
        if (const auto number = limit->get<std::uint64_t>(); number > 0) {
            left = number;
        }
    }
    if (filter->ids.empty()) {
        return list(view, filter->rule, left, reply);
    }
    if (const auto queued = check_queued(view, filter->ids); !queued) {
        return std::unexpected(queued.error());
    }
    for (const mail::QueueId id : filter->ids) {
        filter->rule.only = id;
        if (const base::Status done = list(view, filter->rule, left, reply); !done) {
            return done;
        }
        if (left == 0) {
            break;
        }
    }
    return {};
}

}  // namespace

nlohmann::ordered_json queue_message_json(const QueueMessage& message, base::WallTime now) {
    nlohmann::ordered_json json;
    json["id"] = std::string(mail::view(message.id.text()));
    json["arrival"] = iso8601(message.arrival);
    json["age_s"] = std::max<std::int64_t>(0, seconds(now - message.arrival));
    json["size_bytes"] = message.size_bytes;
    json["sender"] = message.sender;
    json["state"] = name_of(state_of(message));
    json["hold_reason"] = nullptr;
    if (!message.hold_reason.empty()) {
        json["hold_reason"] = message.hold_reason;
    }
    json["readable"] = message.readable;
    std::optional<base::WallTime> next;
    nlohmann::ordered_json recipients = nlohmann::ordered_json::array();
    for (const QueueRecipient& recipient : message.recipients) {
        if (recipient.next_attempt && (!next || *recipient.next_attempt < *next)) {
            next = recipient.next_attempt;
        }
        nlohmann::ordered_json one;
        one["address"] = recipient.address;
        one["state"] = name_of(recipient.state);
        one["waits_for"] = name_of(recipient.waits_for);
        put_next_attempt(one, recipient.next_attempt, now);
        one["attempts"] = recipient.attempts;
        one["in_attempt"] = recipient.in_attempt;
        one["to_be_bounced"] = recipient.to_be_bounced;
        one["last_reply"] = recipient.last_reply;
        recipients.push_back(std::move(one));
    }
    put_next_attempt(json, next, now);
    json["recipients"] = std::move(recipients);
    return json;
}

void add_queue_commands(ControlCommands& commands, QueueView& view) {
    commands["queue list"] = [&view](const nlohmann::json& request, ControlReply& reply) {
        return list(view, request, reply);
    };
}

}  // namespace app
