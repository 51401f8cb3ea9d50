#!/usr/bin/env python3
"""What the cleaner costs who waits for 250, and what space it keeps: of all mail some stays for days, the rest goes.

  tools/dev bench churn [--disk root] [--size 10] [--rounds 8] [--messages 20000] [--stuck 5] [--json FILE]

Two relays with segments of 16 MiB, one with the cleaner and one without (`store.cleaner_rate = 0`), in turn; behind each
a `ringpost sink` that puts off so many of a hundred messages, which are tried again in two days. One serial client sends,
and takes the time from the final dot to 250. Behind each round the relay that was used is left to rest, and then asked for
its space and its counters.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import time

from disks import DISKS, open_disk
from latency import Client, content_of, quantile
from sides import TOP, Ringpost, answers, close_sides, prepare, wait_for
from tables import heading, provenance

QUANTILES = (50, 90, 99, 99.9, 100)
SEGMENT_BYTES = 16 << 20
SEGMENTS_BESIDE = 5  # for each partition, beyond twice what is alive


class Sink:
    """Puts some off; as sides.Sink for who starts and closes it."""

    def __init__(self, binary, port, group, stuck):
        self.port = port
        self.process = subprocess.Popen(
            [binary, "sink", "--listen", f"127.0.0.1:{port}", "--defer", str(stuck)], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, preexec_fn=group.join)

    def wait(self):
        wait_for(lambda: answers(self.port), "the sink")

    def close(self):
        self.process.kill()
        self.process.wait()


class Churned(Ringpost):
    def __init__(self, name, disk, options, cleaner):
        self.stuck = options.stuck
        super().__init__(disk, options.binary, name=name, sections=f"""[queue]
retry = ["48h"]
delay_notice = "0s"
[store]
segment_size = {SEGMENT_BYTES}
checkpoint_every = {SEGMENT_BYTES}
{"" if cleaner else "cleaner_rate = 0"}
""")

    def make_sink(self):
        return Sink(self.binary, self.sink_port, self.load, self.stuck)

    def totals(self):
        told = subprocess.run([self.binary, "queue", "stats", "--json", "--config", f"{self.scratch.name}/ringpost.toml"],
                              check=True, capture_output=True, text=True)
        return json.loads(told.stdout)

    def at_rest(self):
        """What its counters say once nothing is left to be tried, and nothing to be moved."""
        last = None
        while True:
            now = self.totals()
            state = (now["ready"], now["in_delivery"], now["spool_bytes"], now["store"]["cleaner_bytes"])
            if state == last and now["ready"] + now["in_delivery"] == 0:
                return now
            last = state
            time.sleep(1)


def one_round(side, content, messages):
    cpu = side.group.cpu_seconds()
    client = Client(side.port)
    times = [client.message(content) for _ in range(messages)]
    client.close()
    totals = side.at_rest()
    used = side.group.cpu_seconds() - cpu
    return {"ms": {percent: 1000 * quantile(times, percent) for percent in QUANTILES},
            "cpu_ms_each": 1000 * used / messages, "totals": totals}


def measure(sides, size, rounds, messages):
    content = content_of(size)
    rows = {side.name: [] for side in sides}
    for number in range(rounds):
        at = number % len(sides)
        for side in sides[at:] + sides[:at]:
            rows[side.name].append(one_round(side, content, messages))
    return rows


def share(rows, name):
    """Of one core, and the longest stretch, since the start."""
    store, up = rows[-1]["totals"]["store"], rows[-1]["totals"]["up_s"]
    return f"{100 * store[name + '_busy_s'] / up:.2f} % of a core, {1000 * store[name + '_longest_s']:.2f} ms at a time at most"


def space(totals, shards):
    most = 2 * totals["live_bytes"] + SEGMENTS_BESIDE * shards * SEGMENT_BYTES
    return (f"{totals['spool_bytes'] / 2**20:.0f} of {totals['live_bytes'] / 2**20:.0f} alive"
            f" ({'within' if totals['spool_bytes'] <= most else '**beyond**'} the bound of {most / 2**20:.0f})")


def text(result, shards):
    cleaned, kept = result.values()
    lines = ["| | " + " | ".join(result) + " | ratio of the rounds' medians |", "| --- | --- | --- | --- |"]

    def row(what, value, form):
        sums = [statistics.median(value(one) for one in rows) for rows in (cleaned, kept)]
        ends = [f"{form.format(middle)} ({form.format(min(map(value, rows)))}–{form.format(max(map(value, rows)))})"
                for middle, rows in zip(sums, (cleaned, kept))]
        lines.append(f"| {what} | {ends[0]} | {ends[1]} | {sums[0] / sums[1]:.3f} |")

    for percent in QUANTILES:
        row(f"p{percent:g} of 250, ms" if percent < 100 else "longest of 250, ms",
            lambda one, of=percent: one["ms"][of], "{:.3f}")
    row("CPU of a message, ms", lambda one: one["cpu_ms_each"], "{:.4f}")
    lines.append("| MiB of spool | " + " | ".join(space(rows[-1]["totals"], shards) for rows in (cleaned, kept)) + " | |")
    moved = [rows[-1]["totals"]["store"] for rows in (cleaned, kept)]
    lines.append("| moved: messages, MiB; of log written, MiB | " + " | ".join(
        f"{one['messages_moved']:,}, {one['cleaner_bytes'] / 2**20:.0f}; {one['log_bytes'] / 2**20:.0f}" for one in moved) + " | |")
    for name, words in (("cleaner", "cleaner"), ("checkpoint", "checkpoints")):
        lines.append(f"| {words} | " + " | ".join(share(rows, name) for rows in (cleaned, kept)) + " | |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--disk", choices=DISKS, default="root")
    parser.add_argument("--size", type=int, default=10, help="KB")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--messages", type=int, default=20_000, help="of each round")
    parser.add_argument("--stuck", type=int, default=5, help="of a hundred")
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--binary", default=str(TOP / "build/release/ringpost"))
    parser.add_argument("--json")
    options = parser.parse_args()
    prepare()
    disk = open_disk(options.disk)
    sides = []
    try:
        facts = provenance(disk)
        facts["messages"] = (f"{options.rounds} rounds of {options.messages}, {options.size} KB, one at a time on one "
                             f"connection, {options.stuck} of a hundred stuck; medians of the rounds (least–most)")
        for name, cleaner in (("with the cleaner", True), ("without", False)):
            sides.append(Churned(name, disk, options, cleaner))
            sides[-1].top = f"shards = {options.shards}\n"
            sides[-1].start()
        result = measure(sides, options.size * 1024, options.rounds, options.messages)
    finally:
        close_sides(sides)
        disk.close()
    print(f"{heading(facts)}\n\n{text(result, options.shards)}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"facts": facts, "rounds": result}, indent=1))


if __name__ == "__main__":
    main()
