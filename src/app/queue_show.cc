#include "app/queue_show.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <openssl/base64.h>
#include <nlohmann/json.hpp>

#include "app/queue_control.h"
#include "app/queue_explain.h"
#include "app/relay_queue_view.h"
#include "app/request_members.h"
#include "app/timestamp.h"
#include "mail/status_code.h"

namespace app {
namespace {

using Json = nlohmann::ordered_json;

Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

Json ret_json(mail::ReturnContent ret) {
    switch (ret) {
        case mail::ReturnContent::full:
            return "FULL";
        case mail::ReturnContent::headers:
            return "HDRS";
        case mail::ReturnContent::unspecified:
            break;
    }
    return nullptr;
}

// Null where it is not known: the record with the time could not be read.
Json time_json(base::WallTime time) {
    return time == base::WallTime() ? Json(nullptr) : Json(iso8601(time));
}

Json attempts_json(const queue::DetailedAttempts& attempts) {
    Json json{{"first", time_json(attempts.first)},
              {"last", time_json(attempts.last)},
              {"attempts", attempts.count},
              {"unknown", attempts.gap},
              {"next_hop", text_or_null(attempts.relay)},
              {"code", nullptr},
              {"status", nullptr},
              {"reply", nullptr}};
    if (!attempts.gap) {
        if (attempts.reply.code != 0) {
            json["code"] = attempts.reply.code;
            std::string status;
            mail::append_status(status, attempts.reply.status);
            json["status"] = text_or_null(status);
        }
        json["reply"] =
            attempts.reply.code == 0 ? attempts.reply.text : mail::describe(attempts.reply);
    }
    return json;
}

void put_recipient(Json& json, const queue::DetailedRecipient& recipient) {
    std::string notify;
    if (recipient.notify.given()) {
        mail::append_notify(notify, recipient.notify);
    }
    json["notify"] = text_or_null(notify);
    json["original_recipient"] = text_or_null(recipient.original_recipient);
    json["delay_told"] = recipient.delay_told;
    Json history = Json::array();
    for (const queue::DetailedAttempts& attempts : recipient.attempts) {
        history.push_back(attempts_json(attempts));
    }
    json["history"] = std::move(history);
}

base::Result<mail::QueueId> id_of(const nlohmann::json& request) {
    static constexpr std::array<std::string_view, 1> kMembers = {"id"};
    if (const base::Status known = check_members(request, kMembers); !known) {
        return std::unexpected(known.error());
    }
    const auto text = request.find("id");
    const std::optional<mail::QueueId> id =
        text != request.end() && text->is_string()
            ? mail::QueueId::parse(text->get_ref<const std::string&>())
            : std::nullopt;
    if (!id) {
        return base::fail(EINVAL, "\"id\" is not a queue id");
    }
    return *id;
}

base::Status show(QueueInspector& inspector, const nlohmann::json& request, ControlReply& reply) {
    const base::Result<mail::QueueId> id = id_of(request);
    if (!id) {
        return std::unexpected(id.error());
    }
    queue::MessageDetail detail;
    const base::Result<bool> found = inspector.detail(*id, detail);
    if (!found) {
        return std::unexpected(found.error());
    }
    if (!*found) {
        return not_queued(*id);
    }
    static_cast<void>(reply.item(message_detail_json(detail, wall_now())));
    return {};
}

base::Status explain(QueueInspector& inspector, const nlohmann::json& request,
                     ControlReply& reply) {
    const base::Result<mail::QueueId> id = id_of(request);
    if (!id) {
        return std::unexpected(id.error());
    }
    queue::Explanation explanation;
    const base::Result<bool> found = inspector.explain(*id, explanation);
    if (!found) {
        return std::unexpected(found.error());
    }
    if (!*found) {
        return not_queued(*id);
    }
    static_cast<void>(reply.item(explanation_json(explanation, wall_now())));
    return {};
}

std::string base64(const std::string& bytes) {
    std::string text(bytes.size() / 3 * 4 + 8, '\0');
    text.resize(::EVP_EncodeBlock(reinterpret_cast<std::uint8_t*>(text.data()),
                                  reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                  bytes.size()));
    return text;
}

base::Status content(QueueInspector& inspector, const nlohmann::json& request,
                     ControlReply& reply) {
    const base::Result<mail::QueueId> id = id_of(request);
    if (!id) {
        return std::unexpected(id.error());
    }
    const base::Result<std::unique_ptr<QueueContent>> opened = inspector.content(*id);
    if (!opened) {
        return std::unexpected(opened.error());
    }
    if (*opened == nullptr) {
        return not_queued(*id);
    }
    while (true) {
        const base::Result<std::string> part = (*opened)->next();
        if (!part) {
            return std::unexpected(part.error());
        }
        if (part->empty() || !reply.item({{"base64", base64(*part)}})) {
            return {};  // all was given, or the peer has gone
        }
    }
}

}  // namespace

nlohmann::ordered_json message_detail_json(queue::MessageDetail& detail, base::WallTime now) {
    const std::string site = detail.listed.site;
    const bool readable = detail.listed.readable;
    Json json = queue_message_json(queue_message_of(detail.listed), now);
    Json& recipients = json["recipients"];
    for (std::size_t i = 0; i < recipients.size() && i < detail.recipients.size(); ++i) {
        put_recipient(recipients[i], detail.recipients[i]);
    }
    json["client_address"] = text_or_null(detail.client_address);
    json["helo"] = text_or_null(detail.helo);
    json["protocol"] = text_or_null(detail.protocol);
    json["body"] = detail.body_8bitmime ? Json("8BITMIME") : Json(nullptr);
    json["smtputf8"] = detail.smtputf8;
    json["declared_size_bytes"] =
        detail.declared_bytes > 0 ? Json(detail.declared_bytes) : Json(nullptr);
    json["ret"] = ret_json(detail.ret);
    json["envelope_id"] = text_or_null(detail.envelope_id);
    json["next_hop"] = site;
    put_time(json, "expires", detail.expires_at, now);
    put_time(json, "delay_notice", detail.delay_notice_at, now);
    json["headers"] = nullptr;
    if (readable && detail.header_readable) {
        json["headers"] = std::move(detail.header);
    }
    json["headers_cut"] = detail.header_cut;
    return json;
}

base::Status not_queued(mail::QueueId id) {
    return base::fail(ENOENT, "no message " + std::string(mail::view(id.text())) +
                                  " is in the queue; it may have left it, as the log will tell");
}

base::Result<std::vector<std::string>> check_queued(QueueView& view,
                                                    std::span<const mail::QueueId> ids) {
    std::vector<std::string> missing;
    store::Rule filter;
    for (const mail::QueueId id : ids) {
        filter.only = id;
        const base::Result<QueuePage> page =
            view.page(QueueCursor(), filter, {.messages_max = 1, .replies = false});
        if (!page) {
            return std::unexpected(page.error());
        }
        if (page->messages.empty()) {
            missing.emplace_back(mail::view(id.text()));
        }
    }
    if (!ids.empty() && missing.size() == ids.size()) {
        return std::unexpected(not_queued(ids.front()).error());
    }
    return missing;
}

void add_inspection_commands(ControlCommands& commands, QueueInspector& inspector) {
    commands["queue show"] = [&inspector](const nlohmann::json& request, ControlReply& reply) {
        return show(inspector, request, reply);
    };
    commands["queue content"] = [&inspector](const nlohmann::json& request, ControlReply& reply) {
        return content(inspector, request, reply);
    };
    commands["queue explain"] = [&inspector](const nlohmann::json& request, ControlReply& reply) {
        return explain(inspector, request, reply);
    };
}

}  // namespace app
