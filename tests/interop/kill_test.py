"""kill -9 at random moments under load: every message that got 250 arrives at least once, unchanged.

KILL_ROUNDS says how often (default 50). What a kill -9 cannot show (the disk's own cache) is for the power-cut test.
"""

import hashlib
import os
import random
import smtplib
import threading
import time
import unittest

from harness import Recorder, Relay, wait_until

ROUNDS = int(os.environ.get("KILL_ROUNDS", "50"))
SENDERS = 8


class KillNine(unittest.TestCase):
    def test_what_was_acknowledged_arrives(self):
        rng = random.Random(int(os.environ.get("KILL_SEED", "1")))
        acknowledged = {}
        stop = threading.Event()
        lock = threading.Lock()

        def send(port, number, round_number):
            mine = random.Random(f"{round_number}-{number}")
            count = 0
            while not stop.is_set():
                try:
                    with smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
                        client.ehlo("client.test")
                        for _ in range(mine.randint(1, 10)):
                            name = f"{round_number}-{number}-{count}"
                            count += 1
                            size = mine.choice([0, 10, 1000, 5000, 70000, 300000])
                            content = (f"Subject: {name}\r\n\r\n{name}\r\n".encode()
                                       + (b"%060d\r\n" % mine.getrandbits(100)) * (size // 62))
                            digest = hashlib.sha256(content).digest()
                            client.mail("a@src.test")
                            client.rcpt("b@dst.test")
                            if client.data(content)[0] == 250:
                                with lock:
                                    acknowledged[name] = digest
                except (smtplib.SMTPException, OSError):
                    if not stop.is_set():
                        time.sleep(0.01)

        with Recorder() as recorder, Relay([recorder.host]) as relay:
            for round_number in range(ROUNDS):
                relay.start()
                stop.clear()
                senders = [threading.Thread(target=send, args=(relay.port, number, round_number))
                           for number in range(SENDERS)]
                for sender in senders:
                    sender.start()
                time.sleep(rng.uniform(0.05, 0.6))
                relay.kill()
                stop.set()
                for sender in senders:
                    sender.join()
            relay.start()
            wait_until(lambda: not relay.queue(), "an empty queue", 180)
            arrived = {}
            copies = 0
            for message in list(recorder.messages):
                content = message.without_trace()
                name = content.split(b"\r\n", 1)[0].removeprefix(b"Subject: ").decode()
                digest = hashlib.sha256(content).digest()
                copies += name in arrived
                self.assertEqual(arrived.setdefault(name, digest), digest, f"{name} arrived in two forms")
            lost = [name for name in acknowledged if name not in arrived]
            changed = [name for name, digest in acknowledged.items() if arrived.get(name, digest) != digest]
            print(f"{ROUNDS} kills, {len(acknowledged)} acknowledged, {len(arrived)} arrived, {copies} extra copies")
            self.assertEqual(lost, [])
            self.assertEqual(changed, [])
            self.assertGreater(len(acknowledged), ROUNDS)


if __name__ == "__main__":
    unittest.main(verbosity=2)
