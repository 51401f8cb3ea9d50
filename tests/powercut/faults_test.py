"""The real binary on disks of its own that fail it: full, read-only, unsupported, with blocks that cannot be read.

Each test has a small ext4 on the volatile disk (disk.py). Needs root, FUSE and loop devices, as the power cuts do."""

import os
import pathlib
import re
import smtplib
import socket
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))

from disk import VolatileDisk, ends_on_sigterm, own_mounts, run, why_not
from harness import RINGPOST, WAIT_S, Recorder, Relay, free_port, wait_until

LARGE = "Subject: large\r\n\r\n" + ("x" * 70 + "\r\n") * 14000
FULL = b"4.3.1 Insufficient system storage"


def send(relay, name, body=None, recipients=None, sender="a@src.test"):
    """None, or the code and text of the reply that refused it."""
    body = body or f"Subject: {name}\r\n\r\n{name}\r\n"
    try:
        with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=WAIT_S) as client:
            client.sendmail(sender, recipients or [f"{name}@dst.test"], body)
    except smtplib.SMTPResponseException as refusal:
        return refusal.smtp_code, refusal.smtp_error
    return None


def serve_in_vain(relay):
    """A start that is refused; its words."""
    done = subprocess.run([RINGPOST, "serve", "--config", str(relay.config)],
                          capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 1, (done.returncode, done.stderr)
    return done.stderr


class OnADisk(unittest.TestCase):
    size_mib = 256

    def setUp(self):
        self.disk = VolatileDisk(size_mib=self.size_mib)
        self.addCleanup(self.disk.close)
        self.disk.start()
        self.port = free_port()  # of a next hop that comes later
        self.relay = Relay([f"127.0.0.1:{self.port}"], shards=1, spool=self.disk.folder / "spool")
        self.addCleanup(self.relay.close)


class FullDisk(OnADisk):
    """The oldest message is one that the next hop defers: so no segment can be freed before it, and the disk stays full
    however much is delivered."""

    def leave_room(self, mib):
        """A file that takes the rest."""
        system = os.statvfs(self.disk.folder)
        with open(self.disk.folder / "ballast", "wb") as file:
            os.posix_fallocate(file.fileno(), 0, system.f_bavail * system.f_frsize - (mib << 20))
            os.fsync(file.fileno())

    def fill(self, names):
        """Sends until there is no room; adds the names of what was acknowledged."""
        while len(names) < 1000:
            refusal = send(self.relay, f"n{len(names)}", LARGE)
            if refusal is not None:
                self.assertEqual(refusal[0], 452, refusal)
                self.assertIn(FULL, refusal[1])
                return
            names.append(f"n{len(names)}")
        self.fail("the disk does not fill")

    def test_acceptance_stops_all_else_goes_on_and_room_mends_it(self):
        self.leave_room(150)  # for two segments, and the reserve
        self.relay.start()
        names = ["never"]
        self.assertIsNone(send(self.relay, "never"))
        self.fill(names)
        wait_until(lambda: "no new mail is taken until there is room" in self.relay.log(), "a word about it")
        with Recorder(port=self.port, refuse={b"<never@dst.test>": b"450 4.2.1 not now"}) as hop:
            # What is queued is delivered, though nothing is freed by it.
            hop.wait_for(len(names) - 1)
            wait_until(lambda: len(self.relay.queue()) == 1, "all but the deferred one to leave the queue")
            wait_until(lambda: b"RCPT TO:<never@dst.test>" in hop.commands, "the deferred one to be tried")
            held = self.relay.queue()[0]["recipients"][0]
            self.assertEqual((held["address"], held["state"]), ("never@dst.test", "deferred"))
            self.fill(names)
            wait_until(lambda: len(self.relay.queue()) == 1, "all but the deferred one to leave the queue")

            # A stop and a start on the full disk: the outcomes are in the reserve.
            self.assertEqual(self.relay.stop(), 0)
            self.assertNotIn("have no room on the disk", self.relay.log())
            self.relay.start()
            self.assertEqual(len(self.relay.queue()), 1)
            tried = hop.commands.count(b"RCPT TO:<never@dst.test>")
            wait_until(lambda: hop.commands.count(b"RCPT TO:<never@dst.test>") > tried, "another try of the deferred one")

            # Room comes back, and all else by itself.
            (self.disk.folder / "ballast").unlink()
            wait_until(lambda: send(self.relay, "late", LARGE) is None, "mail to be taken again")
            hop.refuse[b"<never@dst.test>"] = b"550 5.1.1 no such user"
            wait_until(lambda: not self.relay.queue(), "an empty queue")
            delivered = {f"<{name}@dst.test>".encode() for name in names[1:]}
            hop.wait_for(len(delivered) + 2)
            arrived = [recipient for message in hop.messages for recipient in message.recipients]
            self.assertEqual(sorted(arrived), sorted(delivered | {b"<late@dst.test>", b"<a@src.test>"}))
            self.assertIn(b"no such user", hop.messages[-1].content + hop.messages[-2].content)
        self.assertEqual(self.relay.stop(), 0)


class Unreadable(OnADisk):
    """Bad blocks: reading them gives EIO."""

    def setUp(self):
        super().setUp()
        self.relay.start()
        for name in ("first", "second", "third"):
            self.assertIsNone(send(self.relay, name, f"Subject: {name}\r\n\r\nCONTENT-OF-{name}\r\n"))
        wait_until(lambda: len(self.relay.queue()) == 3, "three messages in the queue")
        self.relay.kill()  # an orderly stop writes a checkpoint, and a start reads the log behind that

    def held(self):
        return [message for message in self.relay.queue() if message["state"] == "held"]

    def test_content_that_cannot_be_read_is_held_and_others_go_on(self):
        self.disk.spoil("CONTENT-OF-second")
        with Recorder(port=self.port) as hop:
            for _ in range(2):  # a start reads it again
                self.relay.start()
                wait_until(self.held, "a message that is held")
                hop.wait_for(2)
                wait_until(lambda: len(self.relay.queue()) == 1, "the others to leave the queue")
                message = self.held()[0]
                self.assertEqual(message["recipients"][0]["address"], "second@dst.test")
                self.assertEqual(message["recipients"][0]["state"], "held")
                self.assertIn("its content cannot be read from the spool", message["hold_reason"])
                shown = subprocess.run([RINGPOST, "queue", "list", "--config", str(self.relay.config)],
                                       capture_output=True, text=True, timeout=WAIT_S, check=True).stdout
                self.assertIn("    held: its content cannot be read from the spool", shown)
                self.assertIn("    held       second@dst.test", shown)
                self.assertRegex(self.relay.log(), rf" error .*message {message['id']} is held: its content cannot be read")
                self.assertRegex(self.relay.log(), r" error .*cannot be read at block .*Input/output error; check the disk")
                self.assertIsNone(send(self.relay, "fresh"))  # nobody else notices
                wait_until(lambda: len(self.relay.queue()) == 1, "the fresh one to leave the queue")
                self.assertEqual(self.relay.stop(), 0)
            self.disk.spoil()
            self.relay.start()
            wait_until(lambda: not self.relay.queue(), "an empty queue")
            self.assertEqual(sorted(recipient for message in hop.messages for recipient in message.recipients),
                             [b"<first@dst.test>", b"<fresh@dst.test>", b"<fresh@dst.test>", b"<second@dst.test>",
                              b"<third@dst.test>"])
            self.assertEqual(self.relay.stop(), 0)

    def test_a_log_that_cannot_be_read_refuses_the_start_and_salvage_goes_on(self):
        self.disk.spoil("second@dst.test")
        for _ in range(2):
            words = serve_in_vain(self.relay)
            self.assertIn(f"{self.relay.spool}/p000: cannot read ", words)
            self.assertIn("Input/output error. Nothing was changed. Check the disk", words)
            self.assertIn("`ringpost serve --salvage`", words)
        with Recorder(port=self.port) as hop:
            self.relay.start("--salvage")
            hop.wait_for(2)
            wait_until(lambda: not self.relay.queue(), "an empty queue")
            self.assertIn(" error ", self.relay.log())
            self.assertIn("unreadable blocks", self.relay.log())
            self.assertEqual(self.relay.stop(), 0)


class FailedSync(OnADisk):
    """The power cuts do this at random, under load; here is the plain form."""

    def test_it_ends_the_process_and_the_next_start_is_clean(self):
        self.relay.start()
        self.assertIsNone(send(self.relay, "first"))
        self.disk.fail_syncs(1)
        with self.assertRaises(smtplib.SMTPServerDisconnected):
            send(self.relay, "second")
        self.assertEqual(self.relay.process.wait(WAIT_S), 75)
        self.relay.process = None
        self.assertRegex(self.relay.log(), r"(?m)^ringpost: fatal: cannot (write|sync) the log in .*; nothing was "
                         r"acknowledged that is not on the disk; check the disk, then start again$")
        self.disk.cut(seed=1, fate="drop")  # ext4 has given up by then: the machine is started again
        self.disk.restart()
        with Recorder(port=self.port) as hop:
            self.relay.start()
            self.assertEqual(hop.wait_for(1)[0].recipients, [b"<first@dst.test>"])
            wait_until(lambda: not self.relay.queue(), "an empty queue")
            self.assertEqual(self.relay.stop(), 0)
            self.assertEqual(len(hop.messages), 1)


class Memory(OnADisk):
    """More content under way than the store may keep in memory (128 MiB per shard), on a disk that is slow to sync: a
    transaction that finds no room to begin with gets 451, and one that needs more is read when there is some."""

    size_mib = 1536
    SESSIONS = 20
    BYTES = 32 << 20

    def test_content_waits_for_memory_and_what_cannot_begin_is_told_so(self):
        line = b"x" * 78 + b"\r\n"
        content = b"Subject: large\r\n\r\n" + line * (self.BYTES // len(line)) + b".\r\n"
        replies = [b""] * self.SESSIONS
        self.relay.start()
        self.disk.delay_syncs(20)

        def converse(number):
            with socket.create_connection(("127.0.0.1", self.relay.port), timeout=WAIT_S) as peer:
                lines = peer.makefile("rb")
                lines.readline()
                for command in (b"HELO client.test", b"MAIL FROM:<a@src.test>", b"RCPT TO:<b@dst.test>", b"DATA"):
                    peer.sendall(command + b"\r\n")
                    replies[number] = lines.readline()
                    if replies[number][:1] not in (b"2", b"3"):
                        return
                peer.sendall(content)
                replies[number] = lines.readline()

        threads = [threading.Thread(target=converse, args=(number,)) for number in range(self.SESSIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        taken = sum(reply.startswith(b"250 2.0.0 Ok: queued as ") for reply in replies)
        busy = sum(reply == b"451 4.3.2 System busy, try again later\r\n" for reply in replies)
        self.assertEqual(taken + busy, self.SESSIONS, replies)
        self.assertGreater(taken, 0)
        status = pathlib.Path(f"/proc/{self.relay.process.pid}/status").read_text()
        peak_mib = int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) >> 10
        self.assertEqual(len(self.relay.queue()), taken)
        self.assertLess(peak_mib, 400)  # of the 640 that came
        self.disk.delay_syncs(0)
        self.assertIsNone(send(self.relay, "late"))
        self.assertEqual(self.relay.stop(), 0)


class Place(OnADisk):
    """Where a spool cannot be, or should not."""

    def test_a_read_only_file_system_is_refused_with_what_to_do(self):
        self.relay.start()
        self.assertIsNone(send(self.relay, "first"))
        self.assertEqual(self.relay.stop(), 0)
        run("mount", "-o", "remount,ro", str(self.disk.folder))
        words = serve_in_vain(self.relay)
        self.assertEqual(words.count("\n"), 1, words)
        self.assertIn(str(self.relay.spool), words)
        self.assertIn("Read-only file system; mount its file system read-write", words)
        run("mount", "-o", "remount,rw", str(self.disk.folder))
        self.relay.start()
        self.assertEqual(len(self.relay.queue()), 1)
        self.assertEqual(self.relay.stop(), 0)

    def test_a_file_system_that_lacks_something_is_refused(self):
        with Relay(["127.0.0.1:1"], shards=1, spool=self.disk.file.parent / "spool") as relay:  # FUSE that makes no folder
            words = serve_in_vain(relay)
            self.assertEqual(words.count("\n"), 1, words)
            self.assertIn(str(relay.spool), words)
            self.assertIn("put the spool on ext4, XFS or Btrfs", words)

    def test_memory_is_warned_of(self):
        folder = self.disk.folder / "memory"
        folder.mkdir()
        run("mount", "-t", "tmpfs", "tmpfs", str(folder))
        self.addCleanup(run, "umount", str(folder))
        with Relay(["127.0.0.1:1"], shards=1, spool=folder / "spool") as relay:
            relay.start()
            wait_until(lambda: "is in memory (tmpfs): mail that was accepted does not survive a reboot" in relay.log(),
                       "a warning")
            self.assertEqual(relay.stop(), 0)


if __name__ == "__main__":
    if missing := why_not():
        print(missing)
        sys.exit(77)
    ends_on_sigterm()
    own_mounts()
    unittest.main(verbosity=2)
