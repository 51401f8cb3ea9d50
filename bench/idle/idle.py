#!/usr/bin/env python3
"""What 10,000 idle connections cost: memory of ringpost for each, a newcomer's greeting, and 421 over the limit.

  tools/dev bench idle [--connections 10000] [--shards 2] [--maps] [--json FILE]

Memory is user-space memory: private resident pages of the process before and behind, after EHLO on each connection,
divided by their number. A few hundred connections come and go before, so that what is taken once is not counted. The
newcomers are later clients, one at a time, while all the others rest. --maps tells which mappings grew.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "relay"))

from clients import connect, reply  # noqa: E402
from disks import open_disk  # noqa: E402
from meters import private_kib, resident_kib  # noqa: E402
from sides import TOP, Ringpost, close_sides, prepare  # noqa: E402
from tables import heading, provenance  # noqa: E402

FLOOR_KIB = 4
NEWCOMERS = 200


def private_by_mapping(process):
    """{"name permissions": KiB}, over all mappings of that name."""
    sizes, name = {}, None
    for line in pathlib.Path(f"/proc/{process}/smaps").read_text().splitlines():
        if head := re.match(r"[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \S+\s*(.*)", line):
            name = f"{head[2] or '(anonymous)'} {head[1]}"
        elif line.startswith(("Private_Clean:", "Private_Dirty:")):
            sizes[name] = sizes.get(name, 0) + int(line.split()[1])
    return sizes


def greeting_s(port):
    start = time.perf_counter()
    client = connect(port, 0)
    text = reply(client)
    took = time.perf_counter() - start
    client.sendall(b"QUIT\r\n")
    reply(client)
    client.close()
    if not text.startswith(b"220"):
        raise SystemExit(f"a newcomer was greeted with {text!r}")
    return took


def kernel_kib():
    """Slabs of the whole machine, and what sockets hold for TCP: what the kernel has for the connections."""
    slab = int(re.search(r"Slab:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])
    return slab


class Clients:
    def __init__(self, port, count, over):
        self.process = subprocess.Popen([sys.executable, str(HERE / "clients.py"), str(port), str(count), str(over)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the clients ended early")
        return json.loads(line)

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def close(self):
        self.process.kill()
        self.process.wait()


def settle(group):
    """Private memory, once it rests."""
    last = -1
    while (now := private_kib(group.processes())) != last:
        last = now
        time.sleep(0.5)
    return now


def measure(side, options, over):
    process = side.process.pid
    for _ in range(300):
        greeting_s(side.port)  # warm-up
    alone = sorted(greeting_s(side.port) for _ in range(NEWCOMERS))
    figures = {"before_kib": settle(side.group), "resident_before_kib": resident_kib(side.group.processes())}
    maps, slab = private_by_mapping(process), kernel_kib()
    clients = Clients(side.port, options.connections, over)
    try:
        held = clients.answer()
        figures |= {"connections": held["held"], "refused_on_the_way": held["refused"],
                    "behind_kib": settle(side.group), "resident_behind_kib": resident_kib(side.group.processes())}
        figures["each_kib"] = (figures["behind_kib"] - figures["before_kib"]) / held["held"]
        figures["kernel_each_kib"] = (kernel_kib() - slab) / held["held"]
        grown = {name: size - maps.get(name, 0) for name, size in private_by_mapping(process).items()}
        figures["grown_kib"] = dict(sorted(((n, s) for n, s in grown.items() if s), key=lambda one: -one[1])[:12])
        crowded = sorted(greeting_s(side.port) for _ in range(NEWCOMERS))
        figures["greeting_ms"] = {"alone": [1000 * one for one in alone], "crowded": [1000 * one for one in crowded]}
        clients.go_on()
        last = clients.answer()
        figures |= {"refusal_ms": sorted(1000 * one for one in last["refusals_s"]), "taken_before_full": last["taken"],
                    "other_greetings": last["others"]}
    finally:
        clients.close()
    time.sleep(2)
    figures["after_kib"] = private_kib(side.group.processes())
    return figures


def p(values, percent):
    return values[min(len(values) - 1, int(len(values) * percent / 100))] if values else float("nan")


def text(figures):
    rows = [("idle connections, each after EHLO", f"{figures['connections']}"),
            ("private memory before, MiB", f"{figures['before_kib'] / 1024:.1f}"),
            ("private memory with them, MiB", f"{figures['behind_kib'] / 1024:.1f}"),
            ("**user-space memory of each, KiB**", f"**{figures['each_kib']:.2f}** (asked: at most {FLOOR_KIB})"),
            ("kernel memory (slab) of each, client's end included, KiB", f"{figures['kernel_each_kib']:.2f}"),
            ("private memory 2 s after they left, MiB", f"{figures['after_kib'] / 1024:.1f}")]
    for name, words in (("alone", "on an idle server"), ("crowded", "beside them")):
        times = figures["greeting_ms"][name]
        rows.append((f"a newcomer's greeting {words}, p50 / p99 / most, ms",
                     f"{p(times, 50):.3f} / {p(times, 99):.3f} / {times[-1]:.3f}"))
    refusals = figures["refusal_ms"]
    rows.append((f"421 over the limit: {len(refusals)} clients, p50 / p99 / most, ms",
                 f"{p(refusals, 50):.3f} / {p(refusals, 99):.3f} / {refusals[-1]:.3f}" if refusals else "none"))
    return "\n".join(["| | |", "| --- | --- |"] + [f"| {name} | {value} |" for name, value in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10000)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--maps", action="store_true")
    parser.add_argument("--binary", default=str(TOP / "build/release/ringpost"))
    parser.add_argument("--json")
    options = parser.parse_args()
    prepare()
    # The kernel spreads connections by a hash, so each shard's limit is a little above its even share.
    limit = options.connections // options.shards * 102 // 100 + 100 // options.shards
    disk = open_disk("root")
    sides = []
    try:
        facts = provenance(disk)
        facts["limits.sessions"] = f"{limit}, {options.shards} shards"
        side = Ringpost(disk, options.binary, f"[limits]\nsessions = {limit}\n", f"shards = {options.shards}\n")
        sides.append(side)
        side.start()
        figures = measure(side, options, 2 * (limit * options.shards - options.connections) + 200)
    finally:
        close_sides(sides)
        disk.close()
    print(f"{heading(facts)}\n\n{text(figures)}")
    if options.maps:
        print("\n| mapping | grew by, KiB |\n| --- | --- |")
        for name, size in figures["grown_kib"].items():
            print(f"| {name} | {size} |")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"facts": facts, "figures": figures}, indent=1))
    faults = []
    if figures["connections"] < options.connections:
        faults.append(f"only {figures['connections']} connections were taken")
    if figures["each_kib"] > FLOOR_KIB:
        faults.append(f"each takes more than {FLOOR_KIB} KiB")
    if not figures["refusal_ms"] or figures["other_greetings"]:
        faults.append(f"over the limit not all got 421: {figures['other_greetings'][:3]}")
    for fault in faults:
        print(f"idle: {fault}", file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
