// The server's side of `ringpost queue show` and `queue explain`: control commands over a
// QueueInspector.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "app/control_server.h"
#include "app/queue_inspector.h"
#include "app/queue_view.h"

namespace app {

// "queue show", "queue content" and "queue explain". `inspector` outlives the ControlServer that
// gets them.
void add_inspection_commands(ControlCommands& commands, QueueInspector& inspector);

// The sentence for an id of which no message is queued.
[[nodiscard]] base::Status not_queued(mail::QueueId id);

// Those of the ids of which no message is in the queue; an error where that is all of them: an id
// that is misspelt, or of a message that has left, is not a success over nothing.
[[nodiscard]] base::Result<std::vector<std::string>> check_queued(
    QueueView& view, std::span<const mail::QueueId> ids);

// A message as docs/CONTROL.md describes it; `now` is the wall clock. Texts are moved from.
[[nodiscard]] nlohmann::ordered_json message_detail_json(queue::MessageDetail& detail,
                                                         base::WallTime now);

}  // namespace app
