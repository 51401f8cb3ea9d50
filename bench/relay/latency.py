#!/usr/bin/env python3
"""How long one serial client waits for 250: from the final dot to the reply, one connection, relays in turn.

  tools/dev bench latency [--disk loop] [--size 10] [--rounds 5] [--messages 300] [--sides ringpost,postfix] [--json FILE]

The client is the same for all: it sends the content, then the final dot by itself, and takes the time from there.
"""

import argparse
import json
import pathlib
import socket
import statistics
import time

from disks import DISKS, open_disk
from sides import TOP, close_sides, open_sides, prepare, wait_for
from tables import heading, provenance

QUANTILES = (50, 90, 99, 99.9)


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("rb")
        self.expect(b"220")
        self.ask(b"EHLO client.test\r\n", b"250")

    def expect(self, code):
        line = self.replies.readline()
        while line[3:4] == b"-":
            line = self.replies.readline()
        if not line.startswith(code):
            raise SystemExit(f"the relay said {line!r}, not {code.decode()}")

    def ask(self, command, code):
        self.socket.sendall(command)
        self.expect(code)

    def message(self, content):
        """Seconds from the final dot to 250."""
        self.ask(b"MAIL FROM:<a@src.test>\r\n", b"250")
        self.ask(b"RCPT TO:<b@dst.test>\r\n", b"250")
        self.ask(b"DATA\r\n", b"354")
        self.socket.sendall(content)
        start = time.perf_counter()
        self.ask(b".\r\n", b"250")
        return time.perf_counter() - start

    def close(self):
        self.ask(b"QUIT\r\n", b"221")
        self.replies.close()
        self.socket.close()


def content_of(size):
    line = b"X" * 78 + b"\r\n"
    return b"Subject: latency\r\n\r\n" + line * max(1, size // len(line))


def one_round(side, content, messages):
    wanted = side.sink.messages() + messages
    client = Client(side.port)
    times = [client.message(content) for _ in range(messages)]
    client.close()
    wait_for(lambda: side.sink.messages() >= wanted, f"{side.name}: delivery")
    return times


def quantile(values, percent):
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def measure(sides, size, rounds, messages):
    """{side: {quantile: [milliseconds of each round]}}, and the same over all messages."""
    content = content_of(size)
    times = {side.name: [] for side in sides}
    for side in sides:
        one_round(side, content, min(messages, 50))  # warm-up
    for number in range(rounds):
        at = number % len(sides)
        for side in sides[at:] + sides[:at]:
            times[side.name].append(one_round(side, content, messages))
    return {name: {percent: {"rounds": [1000 * quantile(some, percent) for some in rows],
                             "all": 1000 * quantile([one for some in rows for one in some], percent)}
                   for percent in QUANTILES} for name, rows in times.items()}


def table(result):
    names = list(result)
    lines = ["| milliseconds | " + " | ".join(names) + " | " +
             " | ".join(f"{names[0]} ÷ {name}" for name in names[1:]) + " |",
             "| --- " * (2 * len(names)) + "|"]
    for percent in QUANTILES:
        cells = [f"{one[percent]['all']:.3g} ({min(one[percent]['rounds']):.3g}–{max(one[percent]['rounds']):.3g})"
                 for one in result.values()]
        first = statistics.median(result[names[0]][percent]["rounds"])
        ratios = [f"{first / statistics.median(result[name][percent]['rounds']):.3g}" for name in names[1:]]
        lines.append(f"| p{percent:g} | " + " | ".join(cells + ratios) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disk", choices=DISKS, default="loop")
    parser.add_argument("--size", type=int, default=10, help="KB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=300, help="of each round")
    parser.add_argument("--sides", default="ringpost,postfix")
    parser.add_argument("--binary", default=str(TOP / "build/release/ringpost"))
    parser.add_argument("--floor-binary", default=str(TOP / "build/release/bench/floor/ringpost_floor"))
    parser.add_argument("--json")
    options = parser.parse_args()
    prepare()
    disk = open_disk(options.disk)
    sides = []
    try:
        facts = provenance(disk)
        facts["messages"] = (f"{options.rounds} rounds of {options.messages}, {options.size} KB, one at a time on one "
                             "connection; over all messages (least–most of the rounds), ratios of the rounds' medians")
        sides = open_sides(options.sides.split(","), disk, options)
        result = measure(sides, options.size * 1024, options.rounds, options.messages)
    finally:
        close_sides(sides)
        disk.close()
    print(f"{heading(facts)}\n\n{table(result)}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"facts": facts, "milliseconds": result}, indent=1))


if __name__ == "__main__":
    main()
