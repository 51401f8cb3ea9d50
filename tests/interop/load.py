"""Senders that load a relay and remember what they were told, and the ledger that is held against what arrived.

Each message has a name of its own in its subject. A Ledger knows of each what was sent, to whom, whether it was
acknowledged, and how often it arrived: nothing acknowledged may be lost, nothing may arrive changed, and nothing may
arrive twice but where a relay died between taking it to the next hop and knowing so.
"""

import collections
import hashlib
import random
import re
import smtplib
import threading
import time

from harness import Recorder

# What was delivered is written down within milliseconds, or with the next mail; nothing that old may be forgotten.
SETTLED_S = 2
SIZES = [0, 10, 1000, 5000, 70000, 300000]
AHEAD = 50
# All that a relay would add where it is missing.
HEADERS = """Subject: {name}\r
From: a@src.test\r
To: b@dst.test\r
Date: Sat, 1 Nov 2025 12:00:00 +0000\r
Message-ID: <{name}@src.test>\r
\r
"""


class FussyHop(Recorder):
    """A next hop that defers each recipient later-… once, each stuck-ROUND-… until let_go(), and refuses each no-…."""

    def __init__(self):
        super().__init__()
        self.seen = set()
        self.free_below = 0

    def let_go(self, below):
        """Takes what is stuck of the loads whose names begin with a lower number."""
        self.free_below = below

    def _recipient(self, path):
        if path.startswith(b"<no-"):
            return b"550 5.1.1 Nobody of that name"
        if path.startswith(b"<stuck-"):
            free = int(path.split(b"-")[1]) < self.free_below
            return super()._recipient(path) if free else b"450 4.2.1 Much later"
        with self.lock:
            first = path not in self.seen
            self.seen.add(path)
        return b"450 4.2.1 Later" if first and path.startswith(b"<later-") else super()._recipient(path)


class Ledger:
    """Arrivals are (name, path), and (name, "told") for a notification of the refused recipient. A life is the time from
    a relay's start to its end."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent = {}  # name → digest of the content
        self.expected = {}  # name → what has to arrive
        self.acknowledged = set()  # 250 to the final dot
        self.refused = set()  # any other reply to it
        self.bounced = []  # whom no next hop refuses, and whose sender was told of
        self.no_room = 0  # replies of 452 to MAIL
        self.waits = {}  # name → [final dot sent, reply or None], time.monotonic_ns()
        self.arrived = collections.Counter()
        self.changed = set()
        self.this_life = set()  # arrivals
        self.settled = set()  # arrivals that no end of a relay can have forgotten
        self.twice = []  # copies for which there is no reason

    def waiting_at(self, time_ns, since_ns):
        """How many messages had their final dot sent by then, since `since_ns`, and no reply yet."""
        with self.lock:
            return sum(since_ns <= asked <= time_ns and (replied is None or replied > time_ns)
                       for asked, replied in self.waits.values())

    def arrive(self, message):
        """`message`: of a Recorder."""
        if message.sender.startswith(b"<>"):
            for path in re.findall(rb"^Final-Recipient: *rfc822; *(\S+)\r$", message.content, re.MULTILINE):
                if path.startswith(b"no-"):
                    self._count(path.decode().removeprefix("no-").partition("@")[0], "told")
                else:
                    self.bounced.append(path.decode())
            return
        content = message.without_trace()
        name = content.split(b"\r\n", 1)[0].removeprefix(b"Subject: ").decode(errors="replace")
        if self.sent.get(name) != hashlib.sha256(content).digest():
            self.changed.add(name)
        for path in message.recipients:
            self._count(name, path.decode())

    def _count(self, name, what):
        arrival = (name, what)
        self.arrived[arrival] += 1
        if what not in self.expected.get(name, ()):
            self.changed.add(name)
        # A relay that died may have made a second notification, while the first was still on its way.
        if arrival in self.this_life and what != "told":
            self.twice.append(f"{arrival} in one life")
        if arrival in self.settled:
            self.twice.append(f"{arrival} long after it was settled")
        self.this_life.add(arrival)

    def end_life(self):
        self.this_life.clear()

    def settle(self):
        """All that arrived so far is known for good to the relay, or has to be."""
        self.settled.update(self.arrived)

    def lost(self):
        return sorted((name, what) for name in self.acknowledged for what in self.expected[name]
                      if (name, what) not in self.arrived)

    def refused_yet_arrived(self):
        return sorted(self.refused & {name for name, _ in self.arrived})

    def copies(self):
        return self.arrived.total() - len(self.arrived)

    def told(self):
        """How many senders were notified."""
        return sum(what == "told" for _, what in self.arrived)


class Load:
    """Sessions of 1 to 10 messages, `senders` at a time, from start() to stop(). `name` begins the messages' names.
    `rate`: at most so many messages a second, at random times; None: as fast as it goes. `fussy`: one in four messages
    has a recipient that a FussyHop defers, and one in eight one that it refuses. `stuck`: one in twelve has one that it
    defers for long; `name` is a number then. `hop`: waits once the relay got AHEAD messages more than this Recorder."""

    def __init__(self, ledger, port, name, senders=8, sizes=None, rate=None, fussy=False, stuck=False, hop=None):
        self.ledger = ledger
        self.port = port
        self.fussy = fussy
        self.stuck = stuck
        self.sizes = sizes or SIZES
        self.rate_each = rate and rate / senders
        self.hop = hop
        self.acknowledged = 0
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
                        if self.hop and self._ahead():
                            break
                        self._message(client, f"{prefix}-{count}", rng)
                        count += 1
            except (smtplib.SMTPException, OSError):
                count += 1  # the name is used up
                if not self.stopping.is_set():
                    time.sleep(0.01)

    def _ahead(self):
        """Waits while the relay has too much; whether it is to stop."""
        while self.acknowledged > len(self.hop.messages) + AHEAD:
            if self.stopping.wait(0.005):
                return True
        return False

    def _message(self, client, name, rng):
        content = (HEADERS.format(name=name).encode()
                   + (b"%060d\r\n" % rng.getrandbits(100)) * (rng.choice(self.sizes) // 62))
        ledger = self.ledger
        accepted, refused = ["b@dst.test"], []
        if self.fussy and rng.randrange(4) == 0:
            accepted.append(f"later-{name}@dst.test")
        if self.fussy and rng.randrange(8) == 0:
            refused.append(f"no-{name}@dst.test")
        if self.stuck and rng.randrange(12) == 0:
            accepted.append(f"stuck-{name}@dst.test")
        if client.mail("a@src.test")[0] == 452:
            ledger.no_room += 1
            self.stopping.wait(0.05)
            return
        for recipient in accepted + refused:
            client.rcpt(recipient)
        if client.docmd("DATA")[0] != 354:
            return
        with ledger.lock:
            ledger.sent[name] = hashlib.sha256(content).digest()
            ledger.expected[name] = [f"<{recipient}>" for recipient in accepted] + ["told"] * len(refused)
        client.send(content + b".\r\n")  # no line of it begins with a dot
        with ledger.lock:
            ledger.waits[name] = [time.monotonic_ns(), None]
        code = client.getreply()[0]
        with ledger.lock:
            ledger.waits[name][1] = time.monotonic_ns()
            self.acknowledged += code == 250
            (ledger.acknowledged if code == 250 else ledger.refused).add(name)
