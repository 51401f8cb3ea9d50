#!/usr/bin/env python3
"""Says of every floor and goal that the relay's speed is held to whether it holds, with the figures.

  tools/dev bench floors [--rounds 5] [--counted 2] [--seconds 3] [--quick] [--json FILE]

Measures what it needs on the journaled ext4 of a loop device, and on a disk where a sync takes 2 ms. Ends with 1 when a
floor does not hold; goals are only told, and so is what helps to read them.
"""

import argparse
import json
import pathlib
import sys

import latency
from compare import BASE, add_common, progress, run_cells
from load import Cell
from sides import prepare
from tables import cell_text, heading, median, provenance

REUSE = Cell(10240, True, 1, 50)
MANY = Cell(10240, False, 50, 50)
CROWD = Cell(10240, False, 1, 200)
SMALL = Cell(1024, True, 1, 50)


class Findings:
    def __init__(self):
        self.rows = []

    def add(self, kind, text, value, limit, most):
        """most: value must not exceed limit; otherwise it must reach it. None: not measured."""
        holds = None if value is None else value <= limit if most else value >= limit
        self.rows.append({"kind": kind, "text": text, "value": value, "limit": limit, "most": most, "holds": holds})

    def tell(self, text, value):
        self.rows.append({"kind": "beside", "text": text, "value": value, "holds": None})

    def failed(self):
        return [row for row in self.rows if row["kind"] == "floor" and not row["holds"]]

    def table(self):
        lines = ["| | what | measured | asked | holds |", "| --- | --- | --- | --- | --- |"]
        for row in self.rows:
            value = "not measured" if row["value"] is None else f"{row['value']:.3g}"
            asked, holds = "", ""
            if "limit" in row:
                asked = ("at most " if row["most"] else "at least ") + f"{row['limit']:.3g}"
                holds = {True: "yes", False: "**no**", None: "?"}[row["holds"]]
            lines.append(f"| {row['kind']} | {row['text']} | {value} | {asked} | {holds} |")
        return "\n".join(lines)


class Figures:
    """Medians by cell and side."""

    def __init__(self, results):
        self.results = results

    def of(self, cell, side, key, kind="timed"):
        result = self.results.get(cell)
        return median(result[kind].get(side, []), key) if result else None

    def ratio(self, cell, key, side, other_side, other_key=None, other_cell=None, kind="timed"):
        above = self.of(cell, side, key, kind)
        below = self.of(other_cell or cell, other_side, other_key or key, kind)
        return above / below if above and below else None


def judge(figures, slow, milliseconds):
    found = Findings()
    for cell, cpu_limit in ((BASE, 1 / 10), (REUSE, 1 / 15), (MANY, 1 / 15)):
        found.add("floor", f"rate ÷ Postfix's; {cell.name()}",
                  figures.ratio(cell, "relayed_per_s", "ringpost", "postfix"), 5, False)
        found.add("floor", f"CPU ÷ Postfix's; {cell.name()}", figures.ratio(cell, "cpu", "ringpost", "postfix"),
                  cpu_limit, True)
        found.add("floor", f"CPU ÷ that of source and sink in a direct run; {cell.name()}",
                  figures.ratio(cell, "cpu", "ringpost", "direct", "load_cpu"), 1.3, True)
        # Kernel workers outside of the cgroup are in it, and whatever else the machine did.
        found.tell(f"machine busy less source and sink ÷ Postfix's; {cell.name()}",
                   figures.ratio(cell, "busy_cpu", "ringpost", "postfix"))
    found.add("floor", "durable batches per message; 50 sessions", figures.of(BASE, "ringpost", "batches", "counted"),
              0.3, True)
    found.add("floor", "durable batches per message; 50 sessions, a sync takes 2 ms",
              slow.of(BASE, "ringpost", "batches", "counted"), 0.1, True)
    found.add("floor", "rate at 200 sessions ÷ that at 50",
              figures.ratio(CROWD, "relayed_per_s", "ringpost", "ringpost", other_cell=BASE), 0.9, False)
    found.tell("the same for the bare loop", figures.ratio(CROWD, "relayed_per_s", "floor", "floor", other_cell=BASE))
    found.tell("the same for source and sink in a direct run",
               figures.ratio(CROWD, "relayed_per_s", "direct", "direct", other_cell=BASE))
    serial = milliseconds["ringpost"][50]["all"] / milliseconds["postfix"][50]["all"]
    found.add("floor", "one serial connection: p50 from final dot to 250 ÷ Postfix's", serial, 1, True)
    for cell in (BASE, REUSE):
        found.add("goal", f"CPU ÷ the bare loop's; {cell.name()}", figures.ratio(cell, "cpu", "ringpost", "floor"), 2,
                  True)
        # A loop with less to do in a turn comes round more often: not all that it costs is the kernel's least.
        for key, text in (("kernel_cpu", "CPU in the kernel"), ("enters", "io_uring_enter"), ("batches", "batches")):
            kind = "timed" if key == "kernel_cpu" else "counted"
            found.tell(f"of that, {text} ÷ the bare loop's", figures.ratio(cell, key, "ringpost", "floor", kind=kind))
    for cell, cpu_limit, direct_then in ((BASE, 0.08, 0.12), (REUSE, 0.04, 0.05)):
        found.add("goal", f"CPU s per 1,000; {cell.name()}", figures.of(cell, "ringpost", "cpu"), cpu_limit, True)
        # The machine is not always as fast; source and sink slow down with it.
        found.add("goal", f"the same ÷ that of source and sink in a direct run, {direct_then} when the goal was set",
                  figures.ratio(cell, "cpu", "ringpost", "direct", "load_cpu"), cpu_limit / direct_then, True)
    found.add("goal", f"messages/s; {SMALL.name()}", figures.of(SMALL, "ringpost", "relayed_per_s"), 20000, False)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser)
    parser.add_argument("--quick", action="store_true", help="one short round: a look, no figures to quote")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.counted, options.seconds = 1, 1, 1
    prepare()

    def serial(sides):
        progress("one serial connection")
        relays = [side for side in sides if side.name in ("ringpost", "postfix")]
        return latency.measure(relays, 10240, options.rounds, 100 if options.quick else 300)

    facts, results, milliseconds = run_cells([BASE, REUSE, MANY, CROWD, SMALL], ["ringpost", "postfix", "floor", "direct"],
                                             "loop", options, serial)
    slow_facts, slow_results, _ = run_cells([BASE], ["ringpost"], "slow", options)
    found = judge(Figures(results), Figures(slow_results), milliseconds)
    print(f"{heading(facts)}\n- slow disk: {slow_facts['file system']}\n\n{found.table()}\n")
    print(latency.table(milliseconds) + "\n")
    for result in [*results.values(), *slow_results.values()]:
        print(cell_text(result) + "\n")
    if options.json:
        everything = {"facts": facts, "floors": found.rows, "cells": list(results.values()),
                      "slow": list(slow_results.values()), "milliseconds": milliseconds}
        pathlib.Path(options.json).write_text(json.dumps(everything, indent=1))
    sys.exit(1 if found.failed() else 0)


if __name__ == "__main__":
    main()
