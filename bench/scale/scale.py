#!/usr/bin/env python3
"""What a long queue costs: messages of 1 KB with one recipient each, all deferred, over many domains.

  tools/dev bench scale [--messages 1000000] [--shards 2] [--rounds 5] [--json FILE]
  tools/dev bench scale --messages 10000000

fill_bench writes them with the real store; then the real relay starts on that spool: after a clean stop, after a kill,
and after a kill with as much log behind the checkpoint as there can be. Memory is resident memory less that of a relay
with an empty queue. Mail is accepted by the two in turn, round by round. Some retries come due in a relay with the long
queue, and as many in one with nothing else. The spool is removed at the end: 4.8 GB for each million.
"""

import argparse
import json
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "relay"))

from disks import BuildFolder  # noqa: E402
from relay import Relay, Sink  # noqa: E402
from sides import POSTFIX, TOP, wait_for  # noqa: E402
from tables import heading, provenance  # noqa: E402

MESSAGE_BYTES = 4700  # of the log for each message, its outcome included, and the checkpoints beside it
CHECKPOINT_LEAST = 64 << 20  # StoreOptions::checkpoint_bytes
VERIFIED_MOST = 100_000  # messages: it reads every byte
BYTES_GOAL, CLEAN_GOAL_S, KILL_GOAL_S, ANSWER_GOAL_S = 150, 5, 15, 0.1
COMMANDED = "d7.example.test"  # one of the domains


def fill(options, spool, *arguments):
    begin = time.monotonic()
    ended = subprocess.run([options.fill, str(spool), "--shards", str(options.shards), *map(str, arguments)])
    if ended.returncode not in (0, -signal.SIGKILL):
        raise SystemExit("fill_bench failed")
    return time.monotonic() - begin


def accept_rounds(options, empty, queued):
    """Ratios of rounds that lie side by side; which goes first changes from round to round."""
    rows = {"empty": [], "queued": []}
    empty.accept(options.load // 4)
    queued.accept(options.load // 4)
    before = queued.checkpoints()["generations"]
    for number in range(options.rounds):
        sides = [("empty", empty), ("queued", queued)]
        for name, side in sides if number % 2 == 0 else reversed(sides):
            rows[name].append(side.accept(options.load))
    ratios = {key: statistics.median(q[key] / e[key] for q, e in zip(rows["queued"], rows["empty"]))
              for key in ("accepted_per_s", "cpu_ms_each")}
    return {"rows": rows, "ratio": ratios, "checkpoints": queued.checkpoints()["generations"] - before}


def wakes(options, relay, wait_s, *more):
    """CPU of a relay for each retry, of those that come due together `wait_s` after they were written."""
    count = options.wakes
    fill(options, relay.spool, "--outcomes", count, "--from", wait_s, "--to", wait_s + 10, *more)
    due = time.monotonic() + wait_s - 5
    relay.start(cold=False)
    if time.monotonic() > due:
        raise SystemExit(f"the start took too long for retries in {wait_s} s")
    # What else there is of its own accord, in as long as the retries take.
    cpu, begin = relay.cpu_s(), time.monotonic()
    time.sleep(min(10.0, max(1.0, due - time.monotonic())))
    idle = (relay.cpu_s() - cpu) / (time.monotonic() - begin)
    if relay.removed() > 0:
        raise SystemExit("retries came early")
    cpu, begin = relay.cpu_s(), time.monotonic()
    wait_for(lambda: relay.removed() >= count, "the retries to be through", wait_s + 120)
    time.sleep(0.5)
    used = relay.cpu_s() - cpu - idle * (time.monotonic() - begin)
    return {"cpu_ms_each": 1000 * used / count, "idle_cpu": idle} | relay.stop()


def measure(options, folder, sink, relays):
    spool = folder / "queued"
    figures = {"fill_s": fill(options, spool, "--messages", options.messages, "--domains", options.domains)}
    empty = Relay("empty", options.binary, folder / "empty", sink, options.shards)
    relays.append(empty)
    queued = Relay("queued", options.binary, spool, sink, options.shards)
    relays.append(queued)
    empty.start()
    figures["clean"] = queued.start()
    # A few connections each, so that what is taken once is there.
    if options.load:
        empty.accept(options.load // 4)
        queued.accept(options.load // 4)
    figures["empty_bytes"], figures["queued_bytes"] = empty.resident(), queued.resident()
    figures["bytes_each"] = (figures["queued_bytes"] - figures["empty_bytes"]) / options.messages
    if options.load:
        figures["accept"] = accept_rounds(options, empty, queued)
    figures["store"] = queued.store()
    empty.stop()
    figures["stop"] = queued.stop()
    figures["checkpoint_bytes"] = queued.checkpoints()["bytes"]
    figures["clean_again"] = queued.start()
    queued.kill()
    figures["killed"] = queued.start()
    queued.stop()
    # As long as the log behind a checkpoint gets: twice that, each partition by itself.
    most = max(CHECKPOINT_LEAST, 2 * queued.checkpoints()["bytes"] // options.shards)
    fill(options, spool, "--log-bytes", most * 95 // 100, "--kill")
    figures["log_behind_bytes"] = most * 95 // 100 * options.shards
    figures["killed_late"] = queued.start()
    queued.stop()
    # The fill's own start and stop come before the relay's.
    if options.messages <= VERIFIED_MOST:
        verify(options, spool)
    if options.commands:
        figures["commands"] = commands(queued)
    if not options.wakes:
        return figures
    figures["wakes"] = wakes(options, queued, int(20 + 4 * figures["killed_late"]["start_s"]))
    few = Relay("few", options.binary, folder / "few", sink, options.shards)
    relays.append(few)
    fill(options, few.spool, "--messages", options.wakes, "--domains", options.domains)
    figures["wakes_few"] = wakes(options, few, int(20 + 4 * figures["killed_late"]["start_s"]))
    return figures


def commands(relay):
    """Over the whole queue, and nothing of it changed in the end but what `retry` does: all of it lies far ahead."""
    relay.start()
    figures = {" ".join(words): relay.command(*words)
               for words in (("stats",), ("hold", "--domain", COMMANDED), ("release", "--domain", "nobody.test"),
                             ("hold", "--all"), ("stats", "--state", "held"))}
    # Not those of the sink: what is held stays so.
    figures["turn"] = relay.stop()["longest_turn_s"]
    return figures


def verify(options, spool):
    """After all of that the spool is whole, and what was filled in is there."""
    told = subprocess.run([options.binary, "spool", "verify", str(spool)], capture_output=True, text=True)
    live = sum(int(one) for one in re.findall(r"^p\d+: .* (\d+) messages? live", told.stdout, re.MULTILINE))
    if told.returncode != 0 or live != options.messages:
        raise SystemExit(f"scale: {live} of {options.messages} messages are in the spool: {told.stdout}{told.stderr}")


def seconds(figure):
    return f"{figure['start_s']:.2f} (CPU {figure['start_cpu_s']:.2f})"


def goal(value, most):
    return f"at most {most}: {'holds' if value <= most else '**missed**'}"


def text(options, figures):
    scaled = options.messages / 10_000_000
    rows = [("bytes of memory for each queued recipient", f"{figures['bytes_each']:.1f}",
             goal(figures["bytes_each"], BYTES_GOAL)),
            ("resident with them / with none, MiB",
             f"{figures['queued_bytes'] / 2**20:.0f} / {figures['empty_bytes'] / 2**20:.0f}", ""),
            ("start after a clean stop, s", seconds(figures["clean"]), goal(figures["clean"]["start_s"], CLEAN_GOAL_S)),
            ("… after mail was accepted, s", seconds(figures["clean_again"]),
             goal(figures["clean_again"]["start_s"], CLEAN_GOAL_S)),
            ("start after kill -9, s", seconds(figures["killed"]), goal(figures["killed"]["start_s"], KILL_GOAL_S)),
            (f"… with {figures['log_behind_bytes'] / 2**20:.0f} MiB of outcomes behind the checkpoints, s",
             seconds(figures["killed_late"]), goal(figures["killed_late"]["start_s"], KILL_GOAL_S)),
            ("clean stop, s", f"{figures['stop']['stop_s']:.2f}", ""),
            ("checkpoints, MiB in all partitions", f"{figures['checkpoint_bytes'] / 2**20:.0f}", ""),
            ("longest turn of a shard up to there, s", f"{figures['stop']['longest_turn_s']:.3f}", ""),
            ("fill, s", f"{figures['fill_s']:.0f}", "")]
    if (store := figures["store"])["checkpoints"]:
        rows.append(("checkpoints while mail was accepted: s of a core (ms at a time at most)",
                     f"{store['checkpoint_busy_s']:.3f} ({1000 * store['checkpoint_longest_s']:.2f})",
                     f"{store['checkpoints']}, {store['checkpoint_bytes'] / 2**20:.0f} MiB"))
    if many := figures.get("wakes"):
        few = figures["wakes_few"]
        rows += [(f"CPU of a retry that comes due, ms ({options.wakes}; in a queue of no more)",
                  f"{many['cpu_ms_each']:.3f} ({few['cpu_ms_each']:.3f})", ""),
                 ("longest turn of a shard while they come due, s (in a queue of no more)",
                  f"{many['longest_turn_s']:.3f} ({few['longest_turn_s']:.3f})", ""),
                 ("CPU at rest, share of a core (in a queue of no more)",
                  f"{many['idle_cpu']:.4f} ({few['idle_cpu']:.4f})", "")]
    if told := figures.get("commands"):
        rows += [(f"`queue {words}`: answer, s (carried out, s)", f"{one['answer_s']:.3f} ({one['done_s']:.1f})",
                  goal(one["answer_s"], ANSWER_GOAL_S) if "--state" not in words else "looks at each")
                 for words, one in told.items() if words != "turn"]
        rows += [("longest turn of a shard meanwhile, s", f"{told['turn']:.3f}", "")]
    if accept := figures.get("accept"):
        rows[6:6] = [("accepted with them / with none, by rounds", f"{accept['ratio']['accepted_per_s']:.3f}",
                      f"{options.rounds} rounds of {options.load}; {accept['checkpoints']} checkpoints meanwhile"),
                     ("CPU of a message with them / with none, by rounds", f"{accept['ratio']['cpu_ms_each']:.3f}",
                      "ms: " + " / ".join(f"{statistics.median(one['cpu_ms_each'] for one in rows_of):.3f}"
                                          for rows_of in (accept["rows"]["queued"], accept["rows"]["empty"])))]
    lines = [f"| {options.messages:,} queued, {options.shards} shards | | |", "| --- | --- | --- |"]
    if scaled < 1:
        lines[0] = lines[0].replace(" | | |", " | | goal for 10,000,000 |")
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--domains", type=int, default=100_000)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--load", type=int, default=20_000, help="messages of a round; 0: none are sent")
    parser.add_argument("--wakes", type=int, default=20_000, help="retries that come due; 0: none")
    parser.add_argument("--commands", action="store_true", help="hold all of it, and count; no retries come due then")
    parser.add_argument("--binary", default=str(TOP / "build/release/ringpost"))
    parser.add_argument("--fill", default=str(TOP / "build/release/bench/scale/fill_bench"))
    parser.add_argument("--json")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    options.wakes = 0 if options.commands else min(options.wakes, options.messages)
    if options.load and not POSTFIX.is_dir():
        subprocess.run([str(TOP / "tools/dev"), "peer", "postfix"], check=True, stdout=subprocess.DEVNULL)
    wanted = options.messages * MESSAGE_BYTES * 11 // 10 + (4 << 30)
    disk = BuildFolder(None)
    sink, relays = None, []
    try:
        if (free := shutil.disk_usage(disk.folder).free) < wanted:
            raise SystemExit(f"scale: {disk.folder} has {free >> 30} GiB free, and {wanted >> 30} GiB are wanted")
        facts = provenance(disk)
        sink = Sink(options.binary)
        figures = measure(options, disk.folder, sink, relays)
    finally:
        for relay in relays:
            relay.close()
        if sink:
            sink.close()
        disk.close()
    print(f"{heading(facts)}\n\n{text(options, figures)}")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"facts": facts, "figures": figures}, indent=1))
    faults = []
    if options.messages >= 1_000_000 and figures["bytes_each"] > BYTES_GOAL:
        faults.append(f"each queued recipient takes more than {BYTES_GOAL} bytes")
    starts = (("clean", CLEAN_GOAL_S), ("clean_again", CLEAN_GOAL_S), ("killed", KILL_GOAL_S),
              ("killed_late", KILL_GOAL_S))
    for key, most in starts if options.messages >= 1_000_000 else ():
        if figures[key]["start_s"] > most:
            faults.append(f"a start ({key}) took more than {most} s")
    for fault in faults:
        print(f"scale: {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
