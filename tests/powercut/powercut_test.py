#!/usr/bin/env python3
"""Power cuts under load: every message that got 250 arrives at least once, unchanged, and again only where the power
failed before it was written down that it was taken.

    tests/powercut/powercut_test.py [--rounds 50] [--relay ringpost|postfix] [--seed N] [--rate N] [--expect-losses]

Each round: a relay whose spool is on a VolatileDisk takes mail from many senders and delivers it, to a next hop that
defers some recipients once and refuses others, whose senders must be told; the power fails; the relay is killed, the disk
restarted (ext4 replays its journal), and the relay started again. What the next hop took after the cut does not count:
the wire would be dead too. At the end the queue drains, and the ledger is held against what arrived.

Of every five rounds one is calm: the queue is empty when the power fails, and what arrived before must not come again.
In one a sync fails first (but with --no-failed-syncs), and the relay has to end by itself and say why. After one the
power fails once more while the relay starts. --rounds: so many in which a commit was in flight: a sender waited for the
answer to its final dot, and a block that holds a commit was written and not durable. The others come on top.

--relay postfix: the same with a stock Postfix (tools/dev peer postfix), to compare the extra copies; --plain is ringpost
with the same load, of one recipient each that the next hop takes. Of Postfix a block of any kind counts as a commit.
--expect-losses: with a program that syncs too little (ringpost_without_dsync), fails if nothing is lost.
$RINGPOST: the program. Ends with 77 where it cannot run.
"""

import argparse
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(TOP / "tests/interop"))

from disk import VolatileDisk, dies_with_parent, ends_on_sigterm, own_mounts, why_not
from harness import ALL_ARE_TOLD, Relay, connects, free_port, wait_until
from load import SETTLED_S, FussyHop, Ledger, Load

SENDERS = 16
SIZES = [0, 10, 1000, 5000, 20000, 70000, 70000, 300000]
DRAIN_S = 300
FATAL_EXIT = 75  # src/io/uring/fatal.cc
FATAL = re.compile(r"^ringpost: fatal: cannot (write the log|sync the log|write moved mail|prepare a segment) in .*; check the disk, ", re.M)


class Ringpost(Relay):
    ends_when_a_sync_fails = True
    commits = "commits"  # what a cut counts of its commits

    def __init__(self, spool, recorder):
        super().__init__([recorder.host], extra=ALL_ARE_TOLD, spool=spool / "spool")
        self.options = []
        self.log_read = 0

    def launch(self):
        super().launch(*self.options)

    def start(self):
        self.launch()
        wait_until(self._up, "the relay's port")

    def ended(self):
        return self.process.poll() is not None

    def kill(self):
        """It may have ended by itself, for want of a disk: as one does who says so, and not otherwise."""
        code = super().kill()
        said = FATAL.search(self.log(), self.log_read)
        self.log_read = len(self.log())
        if code not in (-signal.SIGKILL, FATAL_EXIT) or (code == FATAL_EXIT and not said and not self.options):
            raise AssertionError(f"the relay ended with {code}, and said {said and said[0]}")
        return code

    def queue(self):
        """Without what can never leave, since it cannot be read: the ledger calls that lost."""
        return [message for message in super().queue() if message["state"] != "held"]


class Postfix:
    """Out of its Debian package, in a process namespace of its own, so that all of it dies at once."""

    ends_when_a_sync_fails = False
    commits = None

    def __init__(self, spool, recorder):
        self.port = free_port()
        self.next_hop = recorder.port
        self.spool = spool / "postfix"
        self.spool.mkdir()
        subprocess.run(["sync", "--file-system", str(self.spool)], check=True)  # as its installation would
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="powercut-postfix-"))
        self.process = None

    def start(self):
        self.launch()
        wait_until(self._up, "Postfix's port")

    def launch(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--pid", "--fork", "--kill-child", str(TOP / "bench/relay/postfix_in_overlay.sh"),
                 str(TOP / "build/peers/postfix"), str(self.spool), str(self.folder / "root"), str(self.port),
                 str(self.next_hop), "maillog_file="],  # what is said before its own logger runs has nowhere to go
                stdout=log, stderr=log, preexec_fn=dies_with_parent)

    def _up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"Postfix ended with {self.process.returncode}:\n{self.log()}")
        return connects(self.port)

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def kill(self):
        if self.process.poll() is None:
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            for child in children.split():
                os.kill(int(child), signal.SIGKILL)  # the namespace's init: all others go before it is gone
            self.process.wait()

    def queue(self):
        """The files of whole messages."""
        return [path for name in ("maildrop", "incoming", "active", "deferred")
                for path in (self.spool / name).rglob("*") if self._whole(path)]

    @staticmethod
    def _whole(path):
        """Where writing was cut off it is not executable, or has a dot in its name."""
        try:
            return path.is_file() and "." not in path.name and path.stat().st_mode & 0o100
        except FileNotFoundError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(f"--- log of Postfix\n{self.log()[-8000:]}\n---", file=sys.stderr)
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.folder)


class Rounds:
    def __init__(self, options, disk, relay, recorder):
        self.options = options
        self.rng = random.Random(options.seed)
        self.disk = disk
        self.relay = relay
        self.recorder = recorder
        self.ledger = Ledger()
        self.cuts = []
        self.in_flight = 0

    def one(self, number):
        rng = self.rng
        self.disk.delay_syncs(rng.choice([0, 0.5, 2, 5]))
        self.relay.start()
        begin_ns = time.monotonic_ns()
        load = Load(self.ledger, self.relay.port, str(number), SENDERS, SIZES, self.options.rate,
                    fussy=not self.options.plain).start()
        before = len(self.ledger.acknowledged)
        wait_until(lambda: len(self.ledger.acknowledged) > before, "mail that is taken")
        time.sleep(rng.uniform(0.1, 1.0))
        moment, count = rng.choice(["now", "write", "sync", "commit", "commit", "commit"]), rng.randint(1, 8)
        what = {1: "calm", 4: "" if self.options.no_failed_syncs else "a sync failed"}.get(number % 5, "")
        if what:
            moment, count = "now", 0
        if what == "calm":
            load.stop()
            self.settle()
        elif what:
            self.disk.fail_syncs(1)
            if self.relay.ends_when_a_sync_fails:
                wait_until(self.relay.ended, "the end of a relay whose sync failed")
            else:
                time.sleep(0.1)
        cut, code = self.cut(moment, count)
        load.stop()
        if what == "a sync failed" and self.relay.ends_when_a_sync_fails and code != FATAL_EXIT:
            raise AssertionError(f"a relay whose sync failed ended with {code}")
        waiting = self.ledger.waiting_at(cut["time_ns"], begin_ns)
        unsynced = cut["kept"] + cut["dropped"] + cut["torn"]
        commits = cut[self.relay.commits] if self.relay.commits else unsynced
        self.in_flight += not what and waiting > 0 and commits > 0
        print(f"round {number + 1}: {what and what + ', then '}cut at {moment} {count}, "
              f"syncs of {self.disk.sync_delay_ms} ms; {waiting} senders waiting, {unsynced} blocks not durable "
              f"({cut['commits']} with commits): "
              f"{cut['kept']} kept, {cut['dropped']} dropped, {cut['torn']} torn; "
              f"{len(self.ledger.acknowledged)} acknowledged, {self.ledger.copies()} extra copies so far", flush=True)
        if number % 5 == 2:
            self.relay.launch()
            self.cut(rng.choice(["write", "sync"]), rng.randint(1, 20))

    def settle(self):
        wait_until(lambda: not self.relay.queue(), "an empty queue", DRAIN_S)
        time.sleep(SETTLED_S)
        self.count_arrived(time.monotonic_ns())
        if self.relay.ends_when_a_sync_fails:
            self.ledger.settle()

    def cut(self, moment, count):
        """Gives what the disk did, which is on again when this returns, and the relay's exit code."""
        cut = self.disk.cut(self.rng.getrandbits(60), "any", moment, count)
        code = self.relay.kill()
        wait_until(lambda: self.recorder.connections == 0, "the last bytes at the next hop")
        self.count_arrived(cut["time_ns"])
        self.ledger.end_life()
        self.cuts.append(cut)
        self.disk.restart()
        return cut, code

    def count_arrived(self, until_ns):
        for message in self.recorder.take():
            if message.time_ns <= until_ns:
                self.ledger.arrive(message)

    def drain(self):
        self.disk.delay_syncs(0)
        self.relay.start()
        wait_until(lambda: not self.relay.queue(), "an empty queue", DRAIN_S)
        self.relay.kill()
        wait_until(lambda: self.recorder.connections == 0, "the last bytes at the next hop")
        self.count_arrived(time.monotonic_ns())

    def verdict(self, rounds):
        ledger = self.ledger
        lost, copies = ledger.lost(), ledger.copies()
        total = {key: sum(cut[key] for cut in self.cuts) for key in ("kept", "dropped", "torn")}
        print(f"{self.options.relay}: {rounds} rounds, {self.in_flight} with a commit in flight, "
              f"{len(self.cuts)} power cuts; not durable: "
              f"{total['kept']} blocks kept, {total['dropped']} dropped, {total['torn']} torn; "
              f"{len(ledger.acknowledged)} acknowledged, {len(ledger.arrived)} deliveries, "
              f"{ledger.told()} of them notifications, "
              f"{copies} extra copies ({100 * copies / max(1, len(ledger.arrived)):.2f} %), "
              f"{len(lost)} lost, {len(ledger.changed)} changed, "
              f"{len(ledger.refused_yet_arrived())} refused yet arrived")
        if self.options.expect_losses:
            return [] if lost else ["nothing was lost, so this test could not find a missing sync"]
        faults = []
        if lost:
            faults.append(f"acknowledged and lost: {lost[:20]}")
        if ledger.changed:
            faults.append(f"changed: {sorted(ledger.changed)[:20]}")
        if ledger.twice:
            faults.append(f"arrived again: {ledger.twice[:20]}")
        if self.relay.ends_when_a_sync_fails and ledger.refused_yet_arrived():
            faults.append(f"refused, yet arrived: {ledger.refused_yet_arrived()[:20]}")
        if len(ledger.acknowledged) < len(self.cuts):
            faults.append("too few acknowledged to say anything")
        if self.in_flight < self.options.rounds:
            faults.append(f"a commit was in flight at {self.in_flight} cuts only")
        return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50, help="with a commit in flight")
    parser.add_argument("--relay", choices=("ringpost", "postfix"), default="ringpost")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, help="messages per second, to load two relays alike (default: all they take)")
    parser.add_argument("--no-failed-syncs", action="store_true", help="leave them out")
    parser.add_argument("--plain", action="store_true", help="one recipient each, which the next hop takes")
    parser.add_argument("--expect-losses", action="store_true")
    parser.add_argument("--size-mib", type=int, default=3072, help="of the disk; memory is used for what is written")
    options = parser.parse_args()
    if missing := why_not():
        print(f"skipped: {missing}")
        return 77
    ends_on_sigterm()
    own_mounts()
    if options.relay == "postfix":
        options.plain = True  # as it comes it tries again after minutes
        subprocess.run([str(TOP / "tools/dev"), "peer", "postfix"], check=True, stdout=subprocess.DEVNULL)
    kind = {"ringpost": Ringpost, "postfix": Postfix}[options.relay]
    with VolatileDisk(options.size_mib) as disk, FussyHop() as recorder, kind(disk.folder, recorder) as relay:
        if options.expect_losses:
            relay.options = ["--salvage"]  # it sees that something is missing, and must go on
            relay.ends_when_a_sync_fails = False
        rounds = Rounds(options, disk, relay, recorder)
        number = 0
        while rounds.in_flight < options.rounds and number < 4 * options.rounds:
            rounds.one(number)
            number += 1
        rounds.drain()
        faults = rounds.verdict(number)
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
