// The server's side of the commands over the queue (hold, release, retry, bounce, delete) and of
// `ringpost queue stats`: control commands over a QueueOperator and a QueueView.
#pragma once

#include "app/control_server.h"
#include "app/queue_operator.h"
#include "app/queue_view.h"

namespace app {

// "queue hold", …, "queue stats". Both outlive the ControlServer that gets them.
void add_operator_commands(ControlCommands& commands, QueueOperator& queue, QueueView& view);

}  // namespace app
