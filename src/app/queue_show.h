// The server's side of `ringpost queue show` and `queue explain`: control commands over a
// QueueInspector.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "app/control_server.h"
#include "app/queue_inspector.h"

namespace app {

// "queue show", "queue content" and "queue explain". `inspector` outlives the ControlServer that
// gets them.
void add_inspection_commands(ControlCommands& commands, QueueInspector& inspector);

// The sentence for an id of which no message is queued.
[[nodiscard]] base::Status not_queued(mail::QueueId id);

// A message as docs/CONTROL.md describes it; `now` is the wall clock. Texts are moved from.
[[nodiscard]] nlohmann::ordered_json message_detail_json(queue::MessageDetail& detail,
                                                         base::WallTime now);

}  // namespace app
