"""A spool with damage in it: refused, and left as it is, until the operator asks for salvage."""

import shutil
import smtplib
import subprocess
import unittest

from harness import RINGPOST, WAIT_S, Recorder, Relay, free_port, wait_until


def flip(spool, text):
    """Changes one bit of `text` wherever the log holds it; gives the number of places."""
    places = 0
    for path in spool.glob("p*/*.seg"):
        with open(path, "r+b") as segment:
            content = segment.read()
            at = content.find(text)
            while at >= 0:
                segment.seek(at)
                segment.write(bytes([content[at] ^ 1]))
                places += 1
                at = content.find(text, at + 1)
    return places


class Damage(unittest.TestCase):
    def test_a_damaged_log_is_refused_and_salvage_goes_on_with_the_rest(self):
        port = free_port()  # nobody listens there yet
        with Relay([f"127.0.0.1:{port}"], shards=1) as relay:
            relay.start()
            with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=WAIT_S) as client:
                for name in ("first", "second", "third"):
                    client.sendmail("a@src.test", [f"{name}@dst.test"], f"Subject: {name}\r\n\r\n{name}\r\n")
            wait_until(lambda: len(relay.queue()) == 3, "three messages in the queue")
            relay.kill()  # an orderly stop writes a checkpoint, and a start reads the log behind that
            self.assertGreater(flip(relay.spool, b"second@dst.test"), 0)

            for _ in range(2):  # a refused start changes nothing
                refused = subprocess.run([RINGPOST, "serve", "--config", str(relay.config)],
                                         capture_output=True, timeout=WAIT_S, check=False)
                self.assertEqual(refused.returncode, 1, refused.stderr)
                self.assertIn(b"ringpost serve --salvage", refused.stderr)

            relay.start("--salvage")
            wait_until(lambda: "salvage lost " in relay.log(), "a word about the loss")
            self.assertEqual(sorted(m["recipients"][0]["address"] for m in relay.queue()),
                             ["first@dst.test", "third@dst.test"])
            self.assertEqual(relay.stop(), 0)
            with Recorder(port=port) as recorder:
                relay.start()  # what was salvaged is whole
                recorder.wait_for(2)
                wait_until(lambda: not relay.queue(), "an empty queue")
                self.assertEqual(sorted(r for m in recorder.messages for r in m.recipients),
                                 [b"<first@dst.test>", b"<third@dst.test>"])

    def test_a_partition_whose_folder_is_empty_is_refused_and_the_others_are_left_as_they_are(self):
        with Relay([f"127.0.0.1:{free_port()}"], shards=2) as relay:
            relay.start()
            for number in range(8):  # each shard takes some of the connections
                with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=WAIT_S) as client:
                    client.sendmail("a@src.test", [f"r{number}@dst.test"], "Subject: one\r\n\r\none\r\n")
            wait_until(lambda: len(relay.queue()) == 8, "eight messages in the queue")
            relay.kill()
            shutil.rmtree(relay.spool / "p001")
            (relay.spool / "p001").mkdir()

            def rest():
                return {path.name: path.read_bytes() for path in (relay.spool / "p000").iterdir()}

            before = rest()
            for missing in (False, True):
                if missing:
                    shutil.rmtree(relay.spool / "p001")
                refused = subprocess.run([RINGPOST, "serve", "--config", str(relay.config)],
                                         capture_output=True, timeout=WAIT_S, check=False)
                self.assertEqual(refused.returncode, 1, refused.stderr)
                self.assertIn(b"perhaps its file system is not mounted", refused.stderr)
                judged = subprocess.run([RINGPOST, "spool", "verify", str(relay.spool)],
                                        capture_output=True, timeout=WAIT_S, check=False)
                self.assertEqual(judged.returncode, 1, judged.stdout)
                self.assertEqual(rest(), before)

            relay.start("--salvage")
            wait_until(lambda: "everything that this partition held is lost" in relay.log(), "a word about the loss")
            self.assertEqual(relay.stop(), 0)
            relay.start()
            self.assertEqual(relay.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
