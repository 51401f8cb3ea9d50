"""kill -9 at random moments under load: every message that got 250 arrives at least once, unchanged, and again only
where the relay died before it had written down that it was taken.

In every tenth round the queue is empty when the kill comes, and what arrived before must not come again.

KILL_ROUNDS says how often (default 50). What a kill -9 cannot show (the disk's own cache) is for tests/powercut.
"""

import os
import random
import time
import unittest

from harness import ALL_ARE_TOLD, Recorder, Relay, wait_until
from load import SETTLED_S, FussyHop, Ledger, Load

ROUNDS = int(os.environ.get("KILL_ROUNDS", "50"))


class KillNine(unittest.TestCase):
    def test_what_was_acknowledged_arrives(self):
        rng = random.Random(int(os.environ.get("KILL_SEED", "1")))
        ledger = Ledger()
        with FussyHop() as hop, Relay([hop.host], extra=ALL_ARE_TOLD) as relay:

            def end():
                relay.kill()
                wait_until(lambda: hop.connections == 0, "the last bytes at the next hop")
                count_arrived()
                ledger.end_life()

            def count_arrived():
                for message in hop.take():
                    ledger.arrive(message)

            for round_number in range(ROUNDS):
                relay.start()
                load = Load(ledger, relay.port, str(round_number), fussy=True).start()
                time.sleep(rng.uniform(0.05, 0.6))
                if round_number % 10 == 9:
                    load.stop()
                    wait_until(lambda: not relay.queue(), "an empty queue", 180)
                    time.sleep(SETTLED_S)
                    count_arrived()
                    ledger.settle()
                end()
                load.stop()
            relay.start()
            wait_until(lambda: not relay.queue(), "an empty queue", 180)
            end()
            print(f"{ROUNDS} kills, {len(ledger.acknowledged)} acknowledged, {len(ledger.arrived)} deliveries, "
                  f"{ledger.told()} of them notifications, {ledger.copies()} extra copies")
            self.assertEqual(ledger.lost(), [])
            self.assertEqual(ledger.changed, set())
            self.assertEqual(ledger.twice, [])
            self.assertEqual(ledger.refused_yet_arrived(), [])
            self.assertGreater(len(ledger.acknowledged), ROUNDS)
            self.assertGreater(ledger.told(), 0)

    def test_a_start_at_once_finds_its_address(self):
        """The kernel lets go of a killed process's listeners some milliseconds behind its end."""
        with Recorder() as recorder, Relay([recorder.host]) as relay:
            for _ in range(15):
                relay.start()
                relay.kill()


if __name__ == "__main__":
    unittest.main(verbosity=2)
