#!/usr/bin/env python3
"""Relays compared in one run: smtp-source → relay → smtp-sink; sides, and cells, take turns round by round.

  tools/dev bench relay [--disk loop] [--size 1,10,100] [--reuse no,yes] [--recipients 1,10,50] [--sessions 50,200]
                        [--plan main] [--rounds 5] [--counted 2] [--seconds 3] [--json FILE]

Sides: ringpost; postfix, stock out of its Debian package; floor, the bare loop of bench/floor; direct, source to sink
with no relay; other, another build of ringpost (--other-binary; the same build against itself tells how much of a
difference is noise). Each side gets as many messages a pass as take it about --seconds; sides take turns in each round.
After the timed rounds come counted ones, with perf beside (bench/relay/meters.py says what each figure counts).

Cells are all combinations of the options, or those of a plan: `main` changes one thing at a time from 10 KB, one message
per connection, one recipient, 50 sessions. Needs root, Debian's linux-perf, and a calm machine.
"""

import argparse
import itertools
import json
import pathlib
import sys
import traceback

from disks import DISKS, open_disk
from load import Cell, counted_pass, timed_pass, warm_up
from meters import has_hardware_counters
from sides import TOP, close_sides, open_sides, prepare
from tables import cell_text, heading, provenance

BASE = Cell(size=10240, reuse=False, recipients=1, sessions=50)
PLANS = {
    "main": [BASE, Cell(10240, True, 1, 50), Cell(1024, False, 1, 50), Cell(1024, True, 1, 50),
             Cell(102400, False, 1, 50), Cell(10240, False, 10, 50), Cell(10240, False, 50, 50),
             Cell(10240, False, 1, 200)],
}
MESSAGES_MAX = 25000  # a pass with one connection each must not run out of local ports


def progress(text):
    print(text, file=sys.stderr, flush=True)


class Run:
    """All cells over all sides of one disk, round by round, so that what the machine does meanwhile meets them all. A
    cell that fails is said and left out; the rest goes on."""

    def __init__(self, cells, sides, options):
        self.sides = sides
        self.options = options
        self.hardware = has_hardware_counters()
        self.messages = {}
        self.results = {cell: {"cell": vars(cell), "name": cell.name(), "timed": {side.name: [] for side in sides},
                               "counted": {side.name: [] for side in sides}} for cell in cells}

    def run(self):
        """{cell: {"cell", "name", "timed": {side: [figures]}, "counted": …}}"""
        self._each_cell(self._warm_up)
        for number in range(self.options.rounds):
            self._each_cell(lambda cell, at=number: self._timed_round(cell, at))
        for _ in range(self.options.counted):
            self._each_cell(self._counted_round)
        return self.results

    def _each_cell(self, work):
        for cell in list(self.results):
            try:
                work(cell)
            except Exception:  # the other cells are worth having
                traceback.print_exc()
                del self.results[cell]

    def _warm_up(self, cell):
        for side in self.sides:
            messages = warm_up(side, cell, self.options.seconds, MESSAGES_MAX)
            self.messages[cell, side.name] = self.options.messages or messages

    def _timed_round(self, cell, number):
        at = number % len(self.sides)
        for side in self.sides[at:] + self.sides[:at]:
            figures = timed_pass(side, cell, self.messages[cell, side.name])
            self.results[cell]["timed"][side.name].append(figures)
            progress(f"{cell.name()}; round {number + 1}, {side.name}: " +
                     ", ".join(f"{key} {value:.4g}" for key, value in figures.items()))

    def _counted_round(self, cell):
        for side in self.sides:
            if side.group:
                figures = counted_pass(side, cell, self.messages[cell, side.name], self.hardware)
                self.results[cell]["counted"][side.name].append(figures)


def run_cells(cells, names, disk_name, options, also=None):
    """All cells on one disk, and what `also` does with the sides. Gives where it was, {cell: result}, and what `also`
    gave."""
    disk = open_disk(disk_name)
    sides = []
    try:
        facts = provenance(disk)
        facts["rounds"] = f"{options.rounds} timed, {options.counted} counted; medians (least–most)"
        sides = open_sides(names, disk, options)
        run = Run(cells, sides, options)
        if not run.hardware:
            facts["not there"] = "instructions and cycles: this machine gives no hardware counters"
        return facts, run.run(), also(sides) if also else None
    finally:
        close_sides(sides)
        disk.close()


def numbers(text):
    return [int(part) for part in text.split(",")]


def add_common(parser):
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds")
    parser.add_argument("--counted", type=int, default=2, help="rounds with counters")
    parser.add_argument("--seconds", type=float, default=3, help="about how long a pass takes")
    parser.add_argument("--messages", type=int, help="messages a pass, the same for all sides, instead of --seconds")
    parser.add_argument("--binary", default=str(TOP / "build/release/ringpost"))
    parser.add_argument("--floor-binary", default=str(TOP / "build/release/bench/floor/ringpost_floor"))
    parser.add_argument("--json", help="write all figures of all rounds there")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser)
    parser.add_argument("--disk", default="loop", help=f"several with commas: {', '.join(DISKS)}")
    parser.add_argument("--sides", default="ringpost,postfix,floor,direct", help="the first is compared with the others")
    parser.add_argument("--other-binary", help="another build of ringpost: the side `other`")
    parser.add_argument("--plan", choices=PLANS)
    parser.add_argument("--size", type=numbers, default=[10], help="KB")
    parser.add_argument("--reuse", default="no", help="no, yes or no,yes: many messages per connection")
    parser.add_argument("--recipients", type=numbers, default=[1])
    parser.add_argument("--sessions", type=numbers, default=[50])
    options = parser.parse_args()
    cells = PLANS[options.plan] if options.plan else [
        Cell(size * 1024, reuse == "yes", recipients, sessions)
        for size, reuse, recipients, sessions in itertools.product(
            options.size, options.reuse.split(","), options.recipients, options.sessions)]
    prepare()
    everything = []
    for disk in options.disk.split(","):
        facts, results, _ = run_cells(cells, options.sides.split(","), disk, options)
        everything.append({"facts": facts, "cells": list(results.values())})
        print(f"## {facts['file system']}\n\n{heading(facts)}\n")
        for result in results.values():
            print(cell_text(result) + "\n")
        sys.stdout.flush()
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
