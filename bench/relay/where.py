#!/usr/bin/env python3
"""Where a relay's CPU goes: its functions, kernel's and its own, in microseconds per message.

  tools/dev bench where [--sides ringpost,floor] [--disk loop] [--size 10] [--reuse no] [--recipients 1]
                        [--sessions 50] [--seconds 5] [--least 0.5] [--callers FUNCTION]

Samples by the clock (perf's cpu-clock): what runs with interrupts off counts for where they come on again, so
finish_task_switch and the _raw_spin_unlock functions stand for what they end. First by what functions are for, as
their names tell, then function by function. --least: functions of less than that many microseconds per message are
summed up. --callers: who calls that function of the kernel, instead (programs are built without frame pointers).
"""

import argparse
import collections
import pathlib
import re
import signal
import subprocess
import tempfile
import time

from disks import DISKS, open_disk
from load import SETTLE_S, Cell, drive, warm_up
from sides import TOP, close_sides, open_sides, prepare
from tables import heading, provenance

FREQUENCY = 4000
ROW = re.compile(r"^\s*(\d+)\s+(\S+)\s+\[(.)\]\s+(.*?)[\s-]*$")
NAME_MAX = 90  # of a function: templates have no end

# What a function is for, by its name: the first that fits. Our own have a namespace for each part of src/.
AREAS = [(name, re.compile(pattern)) for name, pattern in (
    ("kernel: copying", r"_copy_(to|from)_iter|copy_(to|from)_user|memcpy|memmove|check_object_size"),
    ("kernel: ring", r"^_*(do_sys_|sys_)?io_|^io(?!map|v_)|^req_|llist|fget|fput"),
    ("kernel: network", r"tcp|ip_|^_*inet|skb|^_*sk_|sock|^_*net|(?<!blk)(?<!b)dev_|bbr|qdisc|loopback|nf_|fib|dst_"
                        r"|neigh|csum|datagram|ipv4|backlog|napi|eth_|rps|lock_bh|unlock_bh|softirq"),
    ("kernel: file system and disk", r"ext4|jbd2|bio|blk|iomap|dio|gup_|pin_user|loop_|virt|vfs|iov_iter|file|inode|dentry"
                                     r"|(?<!slow)path|fsync|write|folio|filemap|xa"),
    ("kernel: waiting and waking", r"task_switch|sched|wake|hrtimer|timer|ttwu|wait|queue_task|pick_|update_|ktime|tsc|clock"
                                   r"|unlock_irq|(?<!i)rq|entity|vruntime|cpu|load_avg|pelt"),
    ("kernel: memory", r"kmem|slab|malloc|kfree|page|alloc|memset|memcg|obj_cgroup|free"),
    ("kernel: the rest", r""),
)]
OWN = re.compile(r"\b(app|base|io|mail|net|policy|queue|rt|smtp|store)::")


def area_of(place, function):
    if place == "kernel":
        return next(name for name, pattern in AREAS if pattern.search(function))
    part = OWN.search(function)
    return f"{place}: {part[1]}" if part else place


def record(side, cell, messages, folder):
    """Runs a pass under perf. The file, and the CPU seconds of it."""
    path = pathlib.Path(folder) / f"{side.name}.perf"
    perf = subprocess.Popen(["perf", "record", "-q", "-a", "-e", "cpu-clock", "-G", side.group.name, "-F", str(FREQUENCY),
                             "-g", "-o", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            start_new_session=True)
    time.sleep(0.5)
    cpu = side.group.cpu_seconds()
    drive(side, cell, messages)
    time.sleep(SETTLE_S)
    cpu = side.group.cpu_seconds() - cpu
    perf.send_signal(signal.SIGINT)
    perf.wait(60)
    return path, cpu


def report(path, *options):
    return subprocess.run(["perf", "report", "-i", str(path), "--stdio", "--no-children", *options],
                          capture_output=True, text=True, check=True).stdout


def functions(path):
    """[(samples, "kernel" or the object, function)], the most first."""
    found = []
    for line in report(path, "-g", "none", "--sort", "dso,symbol", "-n", "-F", "sample,dso,symbol").splitlines():
        if row := ROW.match(line):
            found.append((int(row[1]), "kernel" if row[3] == "k" else row[2], row[4][:NAME_MAX]))
    return sorted(found, reverse=True)


def table(found, cpu, messages, least):
    total = sum(samples for samples, _, _ in found)
    by_object = collections.Counter()
    by_area = collections.Counter()
    lines = ["| µs per message | in | function |", "| --- | --- | --- |"]
    rest = collections.Counter()
    for samples, place, function in found:
        micros = samples / total * cpu / messages * 1e6
        by_object[place] += micros
        by_area[area_of(place, function)] += micros
        if micros < least:
            rest[place] += micros
        else:
            lines.append(f"| {micros:.2f} | {place} | {function} |")
    lines += [f"| {micros:.2f} | {place} | all others |" for place, micros in rest.most_common()]
    sums = ", ".join(f"{place} {micros:.1f}" for place, micros in by_object.most_common())
    areas = [f"| {micros:.2f} | {area} |" for area, micros in by_area.most_common()]
    return "\n".join([f"{cpu / messages * 1e6:.1f} µs per message; {total} samples: {sums}", "",
                      "| µs per message | for |", "| --- | --- |", *areas, "", *lines])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", default="ringpost,floor")
    parser.add_argument("--disk", choices=DISKS, default="loop")
    parser.add_argument("--size", type=int, default=10, help="KB")
    parser.add_argument("--reuse", choices=("no", "yes"), default="no")
    parser.add_argument("--recipients", type=int, default=1)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--messages", type=int, help="instead of --seconds")
    parser.add_argument("--least", type=float, default=0.5)
    parser.add_argument("--callers")
    parser.add_argument("--binary", default=str(TOP / "build/release/ringpost"))
    parser.add_argument("--floor-binary", default=str(TOP / "build/release/bench/floor/ringpost_floor"))
    options = parser.parse_args()
    prepare()
    cell = Cell(options.size * 1024, options.reuse == "yes", options.recipients, options.sessions)
    disk = open_disk(options.disk)
    sides = []
    try:
        print(f"## {cell.name()}\n\n{heading(provenance(disk))}\n")
        sides = open_sides(options.sides.split(","), disk, options)
        with tempfile.TemporaryDirectory(prefix="ringpost-profile-") as folder:
            for side in sides:
                messages = options.messages or warm_up(side, cell, options.seconds, 25000)
                drive(side, cell, min(messages, 1000))
                path, cpu = record(side, cell, messages, folder)
                print(f"### {side.name}\n")
                if options.callers:
                    print(report(path, "-g", "caller,0.5,callee", "--symbol-filter", options.callers))
                else:
                    print(table(functions(path), cpu, messages, options.least) + "\n", flush=True)
    finally:
        close_sides(sides)
        disk.close()


if __name__ == "__main__":
    main()
