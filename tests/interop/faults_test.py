"""Faults that need no root: SIGTERM with a next hop that hangs, two processes on one spool, a spool of a newer version,
and too few descriptors to start. What needs disks of its own is in tests/powercut/faults_test.py."""

import resource
import signal
import smtplib
import struct
import subprocess
import threading
import unittest

from harness import RINGPOST, WAIT_S, Recorder, Relay, connects, free_port, wait_until

BODY = b"Subject: faults\r\n\r\nHello.\r\n"
BLOCK = 4096


def send(relay, recipient="b@dst.test"):
    with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=WAIT_S) as client:
        client.sendmail("a@src.test", [recipient], BODY)


class StuckHop(Recorder):
    """Takes a message to its last byte, and never answers."""

    def __init__(self, **options):
        self.asked = threading.Event()
        self.released = threading.Event()
        super().__init__(**options)

    def _take(self, *_):
        self.asked.set()
        self.released.wait(10 * WAIT_S)
        raise ConnectionError

    def close(self):
        self.released.set()
        super().close()


class Sigterm(unittest.TestCase):
    """The relay would wait ten minutes for the answer that does not come; WAIT_S is shorter by far."""

    def hang(self, relay, hop):
        relay.start()
        send(relay)
        self.assertTrue(hop.asked.wait(WAIT_S), "the next hop has not got the message")

    def delivers_after_a_start(self, relay, port):
        with Recorder(port=port) as recorder:
            relay.start()
            self.assertEqual(recorder.wait_for(1)[0].without_trace(), BODY)
            wait_until(lambda: not relay.queue(), "an empty queue")
            self.assertEqual(relay.stop(), 0)
            self.assertEqual(len(recorder.messages), 1)

    def test_a_next_hop_that_hangs_holds_no_stop_and_nothing_is_lost(self):
        with StuckHop() as hop, Relay([hop.host], shards=1) as relay:
            self.hang(relay, hop)
            idle = smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=WAIT_S)  # a session that stays
            self.assertEqual(relay.stop(), 0)
            idle.close()
            self.assertIn("notice stopping; once more to stop at once", relay.log())
            self.assertTrue(relay.log().endswith(" notice stopped\n"), relay.log()[-300:])
            port = hop.port
            hop.close()
            self.delivers_after_a_start(relay, port)

    def test_a_second_sigterm_ends_it_at_once_and_nothing_is_lost(self):
        with StuckHop() as hop, Relay([hop.host], shards=1) as relay:
            self.hang(relay, hop)
            relay.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "notice stopping" in relay.log(), "the stop")
            relay.process.send_signal(signal.SIGTERM)
            self.assertIn(relay.process.wait(WAIT_S), (-signal.SIGTERM, 0))  # 0: it was through already
            relay.process = None
            port = hop.port
            hop.close()
            self.delivers_after_a_start(relay, port)


class TwoProcesses(unittest.TestCase):
    def test_the_second_refuses_and_names_spool_and_process(self):
        with Recorder() as recorder, Relay([recorder.host], shards=1) as first:
            first.start()
            with Relay([recorder.host], shards=1, spool=first.spool) as second:
                done = subprocess.run([RINGPOST, "serve", "--config", str(second.config)],
                                      capture_output=True, text=True, timeout=WAIT_S, check=False)
                self.assertFalse(connects(second.port))
            self.assertEqual(done.returncode, 1, done.stderr)
            last = done.stderr.splitlines()[-1]
            self.assertIn(f"the spool {first.spool} is in use by another ringpost process", last)
            self.assertIn(f"(pid {first.process.pid})", last)
            send(first)  # which has noticed nothing
            self.assertEqual(recorder.wait_for(1)[0].without_trace(), BODY)
            self.assertEqual(first.stop(), 0)


def crc32c(data):
    crc = 0xFFFFFFFF
    for octet in data:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def make_newer(path):
    """The file's first block (docs/FORMAT.md: magic, version, CRC) becomes one of the next version."""
    with open(path, "r+b") as file:
        block = bytearray(file.read(BLOCK))
        version, crc = struct.unpack_from("<II", block, 8)
        struct.pack_into("<I", block, 12, 0)
        assert crc == crc32c(block), f"{path} is not as this test believes"
        struct.pack_into("<I", block, 8, version + 1)
        struct.pack_into("<I", block, 12, crc32c(block))
        file.seek(0)
        file.write(block)


def taken(relay):
    """False where the relay says that it has no room now."""
    try:
        send(relay)
    except smtplib.SMTPSenderRefused as refusal:
        if refusal.smtp_code != 452:
            raise
        return False
    return True


def image(spool):
    return {str(path.relative_to(spool)): path.read_bytes() if path.is_file() else None for path in spool.rglob("*")}


class NewerVersion(unittest.TestCase):
    def refused(self, newer):
        with Relay([f"127.0.0.1:{free_port()}"], shards=1) as relay:
            relay.start()
            send(relay)
            self.assertEqual(relay.stop(), 0)
            path = newer(relay.spool)
            make_newer(path)
            (relay.spool / "p000" / "new.tmp").write_bytes(b"of the newer version, perhaps")
            before = image(relay.spool)
            done = subprocess.run([RINGPOST, "serve", "--config", str(relay.config)],
                                  capture_output=True, text=True, timeout=WAIT_S, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(str(relay.spool), done.stderr)
            self.assertIn("was written by a newer version (format 2); start that version", done.stderr)
            self.assertEqual(image(relay.spool), before)

    def test_of_the_spool(self):
        self.refused(lambda spool: spool / "identity")

    def test_of_a_segment(self):
        self.refused(lambda spool: sorted(spool.glob("p000/*.seg"))[0])

    def test_of_what_a_close_writes(self):
        self.refused(lambda spool: spool / "p000" / "established")


class Descriptors(unittest.TestCase):
    def test_too_few_to_start_is_a_sentence(self):
        with Relay(["127.0.0.1:1"], shards=1) as relay:
            relay.launch(files_max=6)
            self.assertEqual(relay.process.wait(WAIT_S), 1)
            relay.process = None
            self.assertIn("Too many open files; raise the limit of open files (LimitNOFILE=, ulimit -n)", relay.log())

    def test_what_runs_out_in_the_middle_defers_nobody_and_ends_by_itself(self):
        with Recorder() as recorder, Relay([recorder.host], shards=1) as relay:
            relay.start()
            limits = resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE)
            with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=WAIT_S) as client:
                resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
                client.sendmail("a@src.test", ["b@dst.test"], BODY)  # who is connected is served
                wait_until(lambda: "no connection can be made" in relay.log(), "a word about the shortage")
                resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE, limits)
            self.assertEqual(recorder.wait_for(1)[0].without_trace(), BODY)
            self.assertNotIn("status=deferred", relay.log())
            wait_until(lambda: taken(relay), "mail to be taken again")
            recorder.wait_for(2)
            self.assertEqual(relay.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
