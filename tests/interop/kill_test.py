"""kill -9 at random moments under load: every message that got 250 arrives at least once, unchanged.

KILL_ROUNDS says how often (default 50). What a kill -9 cannot show (the disk's own cache) is for tests/powercut.
"""

import os
import random
import time
import unittest

from harness import Recorder, Relay, wait_until
from load import Ledger, Load

ROUNDS = int(os.environ.get("KILL_ROUNDS", "50"))


class KillNine(unittest.TestCase):
    def test_what_was_acknowledged_arrives(self):
        rng = random.Random(int(os.environ.get("KILL_SEED", "1")))
        ledger = Ledger()
        with Recorder() as recorder, Relay([recorder.host]) as relay:
            for round_number in range(ROUNDS):
                relay.start()
                load = Load(ledger, relay.port, str(round_number)).start()
                time.sleep(rng.uniform(0.05, 0.6))
                relay.kill()
                load.stop()
            relay.start()
            wait_until(lambda: not relay.queue(), "an empty queue", 180)
            for message in recorder.take():
                ledger.arrive(message)
            print(f"{ROUNDS} kills, {len(ledger.acknowledged)} acknowledged, {len(ledger.arrived)} arrived, "
                  f"{ledger.copies()} extra copies")
            self.assertEqual(ledger.lost(), [])
            self.assertEqual(ledger.changed, set())
            self.assertEqual(ledger.refused_yet_arrived(), [])
            self.assertGreater(len(ledger.acknowledged), ROUNDS)

    def test_a_start_at_once_finds_its_address(self):
        """The kernel lets go of a killed process's listeners some milliseconds behind its end."""
        with Recorder() as recorder, Relay([recorder.host]) as relay:
            for _ in range(15):
                relay.start()
                relay.kill()


if __name__ == "__main__":
    unittest.main(verbosity=2)
