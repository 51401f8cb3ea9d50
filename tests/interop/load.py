"""Senders that load a relay and remember what they were told, and the ledger that is held against what arrived.

Each message has a name of its own in its subject. A Ledger knows of each what was sent, whether it was acknowledged, and
how often it arrived: nothing acknowledged may be lost, nothing may arrive changed, and extra copies are counted.
"""

import collections
import hashlib
import random
import smtplib
import threading
import time

SIZES = [0, 10, 1000, 5000, 70000, 300000]
# All that a relay would add where it is missing.
HEADERS = """Subject: {name}\r
From: a@src.test\r
To: b@dst.test\r
Date: Sat, 1 Nov 2025 12:00:00 +0000\r
Message-ID: <{name}@src.test>\r
\r
"""


class Ledger:
    def __init__(self):
        self.lock = threading.Lock()
        self.sent = {}  # name → digest of the content
        self.acknowledged = set()  # 250 to the final dot
        self.refused = set()  # any other reply to it
        self.waits = {}  # name → [final dot sent, reply or None], time.monotonic_ns()
        self.arrived = collections.Counter()
        self.changed = set()

    def waiting_at(self, time_ns, since_ns):
        """How many messages had their final dot sent by then, since `since_ns`, and no reply yet."""
        with self.lock:
            return sum(since_ns <= asked <= time_ns and (replied is None or replied > time_ns)
                       for asked, replied in self.waits.values())

    def arrive(self, message):
        """`message`: of a Recorder."""
        content = message.without_trace()
        name = content.split(b"\r\n", 1)[0].removeprefix(b"Subject: ").decode(errors="replace")
        self.arrived[name] += 1
        if self.sent.get(name) != hashlib.sha256(content).digest():
            self.changed.add(name)

    def lost(self):
        return sorted(self.acknowledged - self.arrived.keys())

    def refused_yet_arrived(self):
        return sorted(self.refused & self.arrived.keys())

    def copies(self):
        return self.arrived.total() - len(self.arrived)


class Load:
    """Sessions of 1 to 10 messages, `senders` at a time, from start() to stop(). `name` begins the messages' names.
    `rate`: at most so many messages a second, at random times; None: as fast as it goes."""

    def __init__(self, ledger, port, name, senders=8, sizes=None, rate=None):
        self.ledger = ledger
        self.port = port
        self.sizes = sizes or SIZES
        self.rate_each = rate and rate / senders
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._send, args=(f"{name}-{number}",), daemon=True)
                        for number in range(senders)]

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        """After the relay's end; else it takes as long as the messages under way."""
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def _send(self, prefix):
        rng = random.Random(prefix)
        count = 0
        while not self.stopping.is_set():
            try:
                with smtplib.SMTP("127.0.0.1", self.port, timeout=10) as client:
                    client.ehlo("client.test")
                    for _ in range(rng.randint(1, 10)):
                        if self.rate_each and self.stopping.wait(rng.expovariate(self.rate_each)):
                            break
                        self._message(client, f"{prefix}-{count}", rng)
                        count += 1
            except (smtplib.SMTPException, OSError):
                count += 1  # the name is used up
                if not self.stopping.is_set():
                    time.sleep(0.01)

    def _message(self, client, name, rng):
        content = (HEADERS.format(name=name).encode()
                   + (b"%060d\r\n" % rng.getrandbits(100)) * (rng.choice(self.sizes) // 62))
        ledger = self.ledger
        client.mail("a@src.test")
        client.rcpt("b@dst.test")
        if client.docmd("DATA")[0] != 354:
            return
        with ledger.lock:
            ledger.sent[name] = hashlib.sha256(content).digest()
        client.send(content + b".\r\n")  # no line of it begins with a dot
        with ledger.lock:
            ledger.waits[name] = [time.monotonic_ns(), None]
        code = client.getreply()[0]
        with ledger.lock:
            ledger.waits[name][1] = time.monotonic_ns()
            (ledger.acknowledged if code == 250 else ledger.refused).add(name)
