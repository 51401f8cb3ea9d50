#!/usr/bin/env python3
"""Power cuts under load: every message that got 250 arrives at least once, unchanged, and again only where the power
failed before it was written down that it was taken.

    tests/powercut/powercut_test.py [--kind KIND] [--rounds 50] [--relay ringpost|postfix] [--seed N] [--rate N]
                                    [--expect-losses]

Each round: a relay whose spool is on a VolatileDisk takes mail from many senders and delivers it, to a next hop that
defers some recipients once and refuses others, whose senders must be told; the power fails; the relay is killed, the disk
restarted (ext4 replays its journal), and the relay started again. What the next hop took after the cut does not count:
the wire would be dead too. At the end the queue drains, and the ledger is held against what arrived.

--rounds: so many in which what the kind says was under way. The others come on top.

commit      The default. A sender waited for the answer to its final dot, and a block that holds a commit was written and
            not durable. Of every five rounds one is calm: the queue is empty when the power fails, and what arrived before
            must not come again. In one a sync fails first (but with --no-failed-syncs), and the relay has to end by itself
            and say why. After one the power fails once more while the relay starts.
checkpoint  A page of one was written and not durable, or had not got its name yet.
cleaning    Mail that was moved, or word of that in the log, was written and not durable.
rotation    A segment's header was written and not durable, or it had not got its name yet.
failed-sync A sync failed. In half of them all that it should have saved is gone, and no sync succeeds any more.
full        The disk was full before the power failed (at any of these moments), so that mail was refused with 452.

But for commit, the spool is small-grained, the next hop defers some mail for rounds on end, so that there is something to
be moved, one round in ten is calm, and after one in five the power fails again while the relay starts.

--relay postfix: the same with a stock Postfix (tools/dev peer postfix), to compare the extra copies; --plain is ringpost
with the same load, of one recipient each that the next hop takes. Of Postfix a block of any kind counts, and the power
fails at any write or sync. With a kind but commit it has the same load as ringpost, and tries again as soon.
--expect-losses: with a program that syncs too little (ringpost_without_dsync), fails if nothing is lost.
$RINGPOST: the program. Ends with 77 where it cannot run.
"""

import argparse
import errno
import os
import pathlib
import random
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path.insert(0, str(TOP / "tests/interop"))

from disk import VolatileDisk, ends_on_sigterm, own_mounts, why_not
from harness import wait_until
from load import SETTLED_S, FussyHop, Ledger, Load
from relays import FATAL_EXIT, Postfix, Ringpost
from spool_files import temporary_files

SENDERS = 16
SIZES = [0, 10, 1000, 5000, 20000, 70000, 70000, 300000]
DRAIN_S = 300
STUCK_ROUNDS = 4  # so long some mail is deferred
MOMENT_S = 5  # the longest wait for one
FULL_S = 20  # … for mail that finds no room, since what is delivered makes some
KINDS = ("commit", "checkpoint", "cleaning", "rotation", "failed-sync", "full")
# What a cut counts of it, among the blocks that are not durable.
COUNTS = {"commit": "commits", "checkpoint": "checkpoints", "cleaning": "cleanings", "rotation": "rotations"}


class Rounds:
    def __init__(self, options, disk, relay, recorder):
        self.options = options
        self.kind = options.kind
        self.rng = random.Random(options.seed)
        self.disk = disk
        self.relay = relay
        self.recorder = recorder
        self.ledger = Ledger()
        self.cuts = []
        self.under_way = 0
        self.refused_starts = 0

    def one(self, number):
        self.disk.delay_syncs(self.rng.choice([0, 0.5, 2, 5] if self.kind == "commit" else [0, 0.5, 2, 5, 20]))
        what = self.before_the_cut(number)
        self.recorder.let_go(number + 1 if what == "calm" else number - STUCK_ROUNDS)
        self.start()
        begin_ns = time.monotonic_ns()
        load = Load(self.ledger, self.relay.port, str(number), SENDERS, SIZES, self.options.rate,
                    fussy=not self.options.plain, stuck=self.kind != "commit" and not self.options.plain,
                    hop=self.recorder if self.kind == "cleaning" else None).start()
        before = len(self.ledger.acknowledged) + self.ledger.no_room
        wait_until(lambda: len(self.ledger.acknowledged) + self.ledger.no_room > before, "mail that is taken")
        no_room = self.ledger.no_room
        time.sleep(self.rng.uniform(0.1, 1.0))
        moment, count, behind = self.draw_moment()
        if what:
            moment, count, behind = "now", 0, 0
        if what == "calm":
            load.stop()
            self.leave_room(None)  # deliveries whose outcomes have none wait for it
            self.settle()
        elif what == "a sync failed":
            self.fail_a_sync(number)
        if self.kind == "full" and not what:
            self.leave_room(self.rng.uniform(0, 0.5))
            end = time.monotonic() + FULL_S
            while self.ledger.no_room == no_room and not self.relay.ended() and time.monotonic() < end:
                time.sleep(0.02)
        cut, code = self.cut(moment, count, behind)
        load.stop()
        if what == "a sync failed" and self.relay.ends_when_a_sync_fails and code != FATAL_EXIT:
            raise AssertionError(f"a relay whose sync failed ended with {code}")
        waiting = self.ledger.waiting_at(cut["time_ns"], begin_ns)
        unsynced = cut["kept"] + cut["dropped"] + cut["torn"]
        self.under_way += self.was_under_way(what, cut, waiting, unsynced, self.ledger.no_room - no_room)
        print(f"round {number + 1}: {what and what + ', then '}cut at {moment} {count}+{behind}, "
              f"syncs of {self.disk.sync_delay_ms} ms; {waiting} senders waiting, {unsynced} blocks not durable "
              f"(commits {cut['commits']}, checkpoints {cut['checkpoints']}, cleaning {cut['cleanings']}, "
              f"rotation {cut['rotations']}; {len(cut['temporary'])} files without their name): "
              f"{cut['kept']} kept, {cut['dropped']} dropped, {cut['torn']} torn; "
              f"{self.ledger.no_room} without room, {len(self.ledger.acknowledged)} acknowledged, "
              f"{self.ledger.copies()} extra copies, {self.under_way} under way so far", flush=True)
        if number % 5 == 2:
            self.relay.launch()
            self.cut(self.rng.choice(["write", "sync"]), self.rng.randint(1, 20 if self.kind == "commit" else 60),
                     starting=True)

    def before_the_cut(self, number):
        """What happens to the relay first: it is "calm", "a sync failed", or ""."""
        if self.kind == "commit":
            return {1: "calm", 4: "" if self.options.no_failed_syncs else "a sync failed"}.get(number % 5, "")
        if number % 10 == 1:
            return "calm"
        return "a sync failed" if self.kind == "failed-sync" else ""

    def draw_moment(self):
        """When the power fails: at the how-manieth of what, and how many writes and syncs behind that."""
        rng = self.rng
        if self.kind == "commit":
            return rng.choice(["now", "write", "sync", "commit", "commit", "commit"]), rng.randint(1, 8), 0
        if not self.relay.disk_knows_it:
            return rng.choice(["write", "sync"]), rng.randint(1, 8), 0
        moment = self.kind if self.kind in COUNTS else rng.choice(list(COUNTS))
        return moment, rng.randint(1, 4), rng.choice([0, 0, 0, 1, 1, 2, 3, 4, 6, 8])

    def was_under_way(self, what, cut, waiting, unsynced, no_room):
        if self.kind == "failed-sync":
            return what == "a sync failed"
        if self.kind == "full":
            return not what and no_room > 0
        if what or not self.relay.disk_knows_it:
            return not what and waiting > 0 and unsynced > 0
        if self.kind == "commit":
            return waiting > 0 and cut["commits"] > 0
        return cut[COUNTS[self.kind]] > 0 or len(cut["temporary"]) > 0

    def fail_a_sync(self, number):
        """Of any file: where it is a checkpoint's, the relay goes on without, and another fails."""
        forget = self.kind == "failed-sync" and self.rng.randrange(2) == 0
        for _ in range(20):
            self.disk.fail_syncs(1, forget)
            if not self.relay.ends_when_a_sync_fails:
                time.sleep(0.1)
                return
            end = time.monotonic() + 3
            while time.monotonic() < end:
                if self.relay.ended():
                    return
                time.sleep(0.01)
        raise AssertionError(f"the relay goes on though syncs fail, in round {number + 1}")

    def leave_room(self, mib):
        """A file takes the rest of the disk; None: it goes."""
        ballast = self.disk.folder / "ballast"
        if mib is None:
            ballast.unlink(missing_ok=True)
            return
        try:
            with open(ballast, "ab") as file:
                system = os.statvfs(self.disk.folder)
                bytes_more = system.f_bavail * system.f_frsize - int(mib * (1 << 20))
                if bytes_more > 0:
                    os.posix_fallocate(file.fileno(), file.tell(), bytes_more)
        except OSError as error:  # the relay was faster
            if error.errno != errno.ENOSPC:
                raise

    def start(self):
        """On a full disk it may have no room to start, and must say so; then somebody makes some."""
        if self.kind == "full" and self.rng.randrange(3) == 0:
            self.leave_room(None)
        try:
            self.relay.start()
        except AssertionError:
            if self.kind != "full" or "make room for one of" not in self.relay.log():
                raise
            self.refused_starts += 1
            self.relay.process = None
            self.leave_room(None)
            self.relay.start()

    def settle(self):
        wait_until(lambda: not self.relay.queue(), "an empty queue", DRAIN_S)
        time.sleep(SETTLED_S)
        self.count_arrived(time.monotonic_ns())
        if self.relay.ends_when_a_sync_fails:
            self.ledger.settle()

    def cut(self, moment, count, behind=0, starting=False):
        """Gives what the disk did, which is on again when this returns, and the relay's exit code."""
        within_ms = 500 if self.kind == "commit" else MOMENT_S * 1000
        cut = self.disk.cut(self.rng.getrandbits(60), "any", moment, count, within_ms, behind)
        cut["temporary"] = self.temporary_files()
        code = self.relay.kill(starting)
        wait_until(lambda: self.recorder.connections == 0, "the last bytes at the next hop")
        self.count_arrived(cut["time_ns"])
        self.ledger.end_life()
        self.cuts.append(cut)
        self.disk.restart()
        return cut, code

    def temporary_files(self):
        """As the file system saw them when its disk went."""
        try:
            return temporary_files(self.relay.spool, self.kind)
        except OSError:
            return []

    def count_arrived(self, until_ns):
        for message in self.recorder.take():
            if message.time_ns <= until_ns:
                self.ledger.arrive(message)

    def drain(self, rounds):
        self.disk.delay_syncs(0)
        self.recorder.let_go(rounds)
        self.leave_room(None)
        self.relay.start()
        wait_until(lambda: not self.relay.queue(), "an empty queue", DRAIN_S)
        self.relay.kill()
        wait_until(lambda: self.recorder.connections == 0, "the last bytes at the next hop")
        self.count_arrived(time.monotonic_ns())

    def verdict(self, rounds):
        ledger = self.ledger
        lost, copies = ledger.lost(), ledger.copies()
        total = {key: sum(cut[key] for cut in self.cuts) for key in ("kept", "dropped", "torn")}
        said = {"commit": "a commit in flight", "failed-sync": "a failed sync", "full": "a full disk"}
        what = said.get(self.kind, f"{self.kind} under way") if self.relay.disk_knows_it else "something not durable"
        print(f"{self.options.relay}: {rounds} rounds, {self.under_way} with {what}, "
              f"{len(self.cuts)} power cuts; not durable: "
              f"{total['kept']} blocks kept, {total['dropped']} dropped, {total['torn']} torn; "
              f"{len(ledger.acknowledged)} acknowledged, {len(ledger.arrived)} deliveries, "
              f"{ledger.told()} of them notifications, "
              f"{copies} extra copies ({100 * copies / max(1, len(ledger.arrived)):.2f} %), "
              f"{len(lost)} lost, {len(ledger.changed)} changed, "
              f"{len(ledger.refused_yet_arrived())} refused yet arrived, {ledger.no_room} without room, "
              f"{self.refused_starts} starts refused for want of it")
        if self.options.expect_losses:
            return [] if lost else ["nothing was lost, so this test could not find a missing sync"]
        faults = []
        if lost:
            faults.append(f"acknowledged and lost: {lost[:20]}")
        if ledger.changed:
            faults.append(f"changed: {sorted(ledger.changed)[:20]}")
        if ledger.bounced:
            faults.append(f"bounced: {ledger.bounced[:20]}")
        if ledger.twice:
            faults.append(f"arrived again: {ledger.twice[:20]}")
        if self.relay.ends_when_a_sync_fails and ledger.refused_yet_arrived():
            faults.append(f"refused, yet arrived: {ledger.refused_yet_arrived()[:20]}")
        if len(ledger.acknowledged) < len(self.cuts):
            faults.append("too few acknowledged to say anything")
        if self.under_way < self.options.least:
            faults.append(f"it was under way at {self.under_way} cuts only")
        return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=KINDS, default="commit", help="what is under way when the power fails")
    parser.add_argument("--rounds", type=int, default=50, help="in which it is")
    parser.add_argument("--least", type=int, help="of them with what is asked for under way (default: all); more follow until then")
    parser.add_argument("--relay", choices=("ringpost", "postfix"), default="ringpost")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, help="messages per second, to load two relays alike (default: all they take)")
    parser.add_argument("--no-failed-syncs", action="store_true", help="leave them out")
    parser.add_argument("--plain", action="store_true", help="one recipient each, which the next hop takes")
    parser.add_argument("--expect-losses", action="store_true")
    parser.add_argument("--size-mib", type=int, help="of the disk; memory is used for what is written")
    options = parser.parse_args()
    options.least = options.least or options.rounds
    if missing := why_not():
        print(f"skipped: {missing}")
        return 77
    ends_on_sigterm()
    own_mounts()
    if options.size_mib is None:
        options.size_mib = 256 if options.kind == "full" else 3072
    if options.relay == "postfix":
        options.plain = options.plain or options.kind == "commit"  # as it comes it tries again after minutes
        subprocess.run([str(TOP / "tools/dev"), "peer", "postfix"], check=True, stdout=subprocess.DEVNULL)
    kind = {"ringpost": Ringpost, "postfix": Postfix}[options.relay]
    with VolatileDisk(options.size_mib) as disk, FussyHop() as recorder, kind(disk.folder, recorder, options.kind) as relay:
        if options.expect_losses:
            relay.options = ["--salvage"]  # it sees that something is missing, and must go on
            relay.ends_when_a_sync_fails = False
        rounds = Rounds(options, disk, relay, recorder)
        number = 0
        while (number < options.rounds or rounds.under_way < options.least) and number < 12 * options.rounds:
            rounds.one(number)
            number += 1
        rounds.drain(number)
        faults = rounds.verdict(number)
    for fault in faults:
        print(f"FAULT: {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
