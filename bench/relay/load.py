"""One pass: smtp-source sends a number of messages to a side, and what that took is measured."""

import dataclasses
import subprocess
import time

from meters import Counts, PeakMemory, busy_seconds, shares_kib
from sides import postfix_tool

SETTLE_S = 0.5  # after the last message: outcome records, and Postfix's queue files going away
STALL_S = 60  # without a message at the sink


@dataclasses.dataclass(frozen=True)
class Cell:
    size: int  # bytes of the body
    reuse: bool  # many messages per connection
    recipients: int
    sessions: int

    def name(self):
        size = f"{self.size // 1024} KB" if self.size % 1024 == 0 else f"{self.size} bytes"
        return (f"{size}, {'connections reused' if self.reuse else 'one message per connection'}, "
                f"{self.recipients} recipient{'s' if self.recipients > 1 else ''}, {self.sessions} sessions")

    def source(self, port, messages):
        # Several recipients are numbered: 1b@dst.test, 2b@dst.test …
        return postfix_tool("smtp-source", *(["-d"] if self.reuse else []), "-s", min(self.sessions, messages),
                            "-m", messages, "-l", self.size, "-r", self.recipients, "-C", 10,
                            "-f", "a@src.test", "-t", "b@dst.test", f"127.0.0.1:{port}")


class Lost(RuntimeError):
    """Messages did not arrive."""


def drive(side, cell, messages):
    """Sends them and waits until the sink has them all. Seconds to the last 250 of the relay, and to the sink's."""
    side.sink.trim()
    wanted = side.sink.messages() + messages
    start = time.monotonic()
    subprocess.run(cell.source(side.port, messages), preexec_fn=side.load.join, check=True,
                   stdout=subprocess.DEVNULL)
    accepted = time.monotonic() - start
    seen, changed = 0, time.monotonic()
    while (now := side.sink.messages()) < wanted:
        if now != seen:
            seen, changed = now, time.monotonic()
        elif time.monotonic() - changed > STALL_S:
            raise Lost(f"{side.name}: {wanted - now} of {messages} messages have not arrived")
        time.sleep(0.005)
    relayed = time.monotonic() - start
    if now > wanted:
        raise Lost(f"{side.name}: {now - wanted} messages more than were sent")
    return accepted, relayed


def timed_pass(side, cell, messages):
    load, busy, own = side.load.cpu_seconds(), busy_seconds(), time.process_time()
    relay, user = (side.group.cpu_seconds(), side.group.user_seconds()) if side.group else (0, 0)
    accepted, relayed = drive(side, cell, messages)
    time.sleep(SETTLE_S)
    load, busy, own = side.load.cpu_seconds() - load, busy_seconds() - busy, time.process_time() - own
    figures = {"messages": messages, "accepted_per_s": messages / accepted, "relayed_per_s": messages / relayed,
               "load_cpu": 1000 * load / messages}
    if side.group:
        figures["cpu"] = 1000 * (side.group.cpu_seconds() - relay) / messages
        figures["user_cpu"] = 1000 * (side.group.user_seconds() - user) / messages
        figures["kernel_cpu"] = figures["cpu"] - figures["user_cpu"]
        figures["busy_cpu"] = 1000 * (busy - load - own) / messages
    return figures


def counted_pass(side, cell, messages, hardware):
    with PeakMemory(side.group) as peak, Counts(side.group, side.disk.folder, side.disk.below, hardware) as counts:
        drive(side, cell, messages)
        time.sleep(SETTLE_S)
    counted, peak_kib = counts.counted, peak.peak_kib
    figures = {key: value / messages for key, value in counted.items()}
    share, private = shares_kib(side.group.processes())
    return figures | {"peak_mib": peak_kib / 1024, "share_mib": share / 1024, "private_mib": private / 1024}


def warm_up(side, cell, seconds, most):
    """How many messages take this side about that long. Grows until a try took a tenth of it."""
    messages = max(100, 2 * cell.sessions)
    while True:
        _, relayed = drive(side, cell, messages)
        if relayed > seconds / 10 or messages >= most:
            return max(100, min(most, int(messages / relayed * seconds)))
        messages = min(most, 4 * messages)
