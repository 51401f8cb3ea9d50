// The server's side of `ringpost queue`: control commands over a QueueView.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "app/control_server.h"
#include "app/queue_view.h"

namespace app {

// "queue list". `view` outlives the ControlServer that gets them.
void add_queue_commands(ControlCommands& commands, QueueView& view);

// A message as docs/CONTROL.md describes it; `now` is the wall clock, for ages.
[[nodiscard]] nlohmann::ordered_json queue_message_json(const QueueMessage& message,
                                                        base::WallTime now);

}  // namespace app
