"""kill -9 under load: every message that got 250 arrives at least once, unchanged, and again only where the relay died
before it had written down that it was taken.

    tests/interop/kill_test.py [--kind KIND [--rounds N] [--seed N]]

Kinds: "any" moment (25 rounds), or while a "checkpoint" is written, mail is moved by the "cleaning", or a segment is made
or recycled for the "rotation" (a few rounds; N in which it was really under way). For these the spool is small-grained,
and the next hop defers some mail for rounds on end, so that the cleaner finds work.

In every tenth round the queue is empty when the kill comes, and what arrived before must not come again.
What a kill -9 cannot show (the disk's own cache) is for tests/powercut.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import time
import unittest

from harness import ALL_ARE_TOLD, SMALL_SPOOL, STUCK_RETRY, Recorder, Relay, wait_until
from load import SETTLED_S, FussyHop, Ledger, Load
from spool_files import temporary_files, untold_moves

KILLER = pathlib.Path(__file__).resolve().parent / "kill_at.py"
STUCK_ROUNDS = 4  # so long
DRAIN_S = 180


class Kills:
    def __init__(self, kind, seed):
        self.kind = kind
        self.rng = random.Random(seed)
        self.ledger = Ledger()
        self.hop = FussyHop()
        small = kind != "any"
        self.relay = Relay([self.hop.host], extra=ALL_ARE_TOLD + (SMALL_SPOOL if small else ""),
                           queue=STUCK_RETRY if small else None)
        self.stuck = small
        self.rounds = 0
        self.under_way = 0
        self.untold = set()

    def __enter__(self):
        self.relay.__enter__()
        return self

    def __exit__(self, *error):
        self.relay.__exit__(*error)
        self.hop.close()

    def one(self):
        number, rng = self.rounds, self.rng
        self.rounds += 1
        calm = number % 10 == 9
        self.hop.let_go(number + 1 if calm else number - STUCK_ROUNDS)
        self.relay.start()
        load = Load(self.ledger, self.relay.port, str(number), fussy=True, stuck=self.stuck,
                    hop=self.hop).start()
        time.sleep(rng.uniform(0.05, 0.6))
        if calm:
            load.stop()
            wait_until(lambda: not self.relay.queue(), "an empty queue", DRAIN_S)
            time.sleep(SETTLED_S)
            self.count_arrived()
            self.ledger.settle()
        elif self.kind != "any":
            self.kill_at()
        self.end()
        load.stop()
        if self.kind != "any":
            self.look(calm)

    def kill_at(self):
        """Mostly at once: what was moved is told of within milliseconds."""
        delay_ms = self.rng.choice([0, 0, 0, self.rng.uniform(0, 2), self.rng.uniform(0, 20)])
        with subprocess.Popen(
                [sys.executable, "-B", str(KILLER), str(self.relay.process.pid), self.kind, str(self.relay.spool),
                 str(self.rng.randint(0, 3)), str(delay_ms)], start_new_session=True) as killer:
            killer.wait()

    def look(self, calm):
        """Was it under way when the relay died?"""
        if self.kind == "cleaning":
            untold = untold_moves(self.relay.spool)
            found = untold - self.untold
            self.untold = untold
        else:
            found = temporary_files(self.relay.spool, self.kind)
        self.under_way += bool(found) and not calm

    def drain(self):
        self.hop.let_go(self.rounds)
        self.relay.start()
        wait_until(lambda: not self.relay.queue(), "an empty queue", DRAIN_S)
        self.end()

    def end(self):
        self.relay.kill()
        wait_until(lambda: self.hop.connections == 0, "the last bytes at the next hop")
        self.count_arrived()
        self.ledger.end_life()

    def count_arrived(self):
        for message in self.hop.take():
            self.ledger.arrive(message)

    def text(self):
        ledger = self.ledger
        copies = ledger.copies()
        return (f"{self.kind}: {self.rounds} kills, {self.under_way} with it under way, "
                f"{len(ledger.acknowledged)} acknowledged, "
                f"{len(ledger.arrived)} deliveries, {ledger.told()} of them notifications, {copies} extra copies "
                f"({100 * copies / max(1, len(ledger.arrived)):.2f} %), {len(ledger.lost())} lost, "
                f"{len(ledger.changed)} changed")


class KillNine(unittest.TestCase):
    seed = 1

    def run_kills(self, kind, rounds, least):
        """`least`: in so many it must have been under way; more rounds follow until then."""
        with Kills(kind, self.seed) as kills:
            while kills.rounds < rounds or (kind != "any" and kills.under_way < least and kills.rounds < 12 * rounds):
                kills.one()
                if kills.rounds % 20 == 0:
                    print(kills.text(), flush=True)
            kills.drain()
            print(kills.text(), flush=True)
            ledger = kills.ledger
            self.assertEqual(ledger.lost(), [])
            self.assertEqual(ledger.changed, set())
            self.assertEqual(ledger.bounced, [])
            self.assertEqual(ledger.twice, [])
            self.assertEqual(ledger.refused_yet_arrived(), [])
            self.assertGreater(len(ledger.acknowledged), rounds)
            self.assertGreater(ledger.told(), 0)
            if kind != "any":
                self.assertGreaterEqual(kills.under_way, least, "it was under way too seldom")

    def test_what_was_acknowledged_arrives(self):
        self.run_kills("any", 25, 0)

    def test_a_start_at_once_finds_its_address(self):
        """The kernel lets go of a killed process's listeners some milliseconds behind its end."""
        with Recorder() as recorder, Relay([recorder.host]) as relay:
            for _ in range(15):
                relay.start()
                relay.kill()


def one_kind():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=("any", "checkpoint", "cleaning", "rotation"), required=True)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--least", type=int, help="of them with it under way (default: all); more follow until then")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    KillNine.seed = options.seed
    KillNine.test_one_kind = lambda self: self.run_kills(options.kind, options.rounds, options.least or options.rounds)
    unittest.main(argv=[sys.argv[0], "KillNine.test_one_kind"], verbosity=2)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one_kind()
    unittest.main(verbosity=2)
