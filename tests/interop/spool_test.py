"""A spool looked at from outside: verify and dump with and without a server on it, and partitions that are added."""

import base64
import hashlib
import json
import smtplib
import subprocess
import unittest

from harness import RINGPOST, WAIT_S, Recorder, Relay, free_port, wait_until

LARGE = b"Subject: large\r\n\r\n" + b"".join(b"line %06d of a large message\r\n" % i for i in range(6000))


def spool(*arguments):
    return subprocess.run([RINGPOST, "spool", *map(str, arguments)], capture_output=True, timeout=WAIT_S, check=False)


def fingerprint(folder):
    """Names, times of change and bytes of all that is there."""
    return {str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
            for path in folder.rglob("*") if path.is_file()}


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        octet = file.read(1)
        file.seek(offset)
        file.write(bytes([octet[0] ^ 1]))


class Spool(unittest.TestCase):
    def fill(self, relay):
        """A queue of four messages, tried once each at a next hop that is not there."""
        relay.start()
        with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=WAIT_S) as client:
            for name in ("one", "two", "three"):
                client.sendmail("a@src.test", [f"{name}@dst.test"], f"Subject: {name}\r\n\r\n.{name}\r\n")
            client.sendmail("a@src.test", ["large@dst.test", "other@dst.test"], LARGE)
        return wait_until(lambda: len(relay.queue()) == 4 and all(
            r["attempts"] > 0 for m in relay.queue() for r in m["recipients"]) and relay.queue(), "four tried messages")

    def test_verify_and_dump_tell_what_is_there_and_change_nothing(self):
        with Relay([f"127.0.0.1:{free_port()}"], queue={"retry": '["1h"]', "expire": '"5d"'}) as relay:
            queue = self.fill(relay)
            large = next(m["id"] for m in queue if len(m["recipients"]) == 2)
            used = spool("verify", relay.spool)
            self.assertEqual(used.returncode, 0, used)
            self.assertIn(b"note: the spool is in use by a running process", used.stdout)
            self.assertIn(b"4 messages live, 5 recipients", used.stdout)
            refused = spool("add-partitions", relay.spool, 1)
            self.assertEqual(refused.returncode, 1, refused)
            self.assertIn(b"is in use by a running process", refused.stderr)
            self.assertEqual(relay.stop(), 0)

            before = fingerprint(relay.spool)
            sound = spool("verify", relay.spool)
            self.assertEqual((sound.returncode, sound.stderr), (0, b""), sound)
            self.assertIn(b" is sound: 2 partitions, 4 messages live, 5 recipients", sound.stdout)
            self.assertNotIn(b"note:", sound.stdout)
            lines = [json.loads(line) for line in spool("verify", relay.spool, "--json").stdout.splitlines()]
            self.assertEqual([line["type"] for line in lines], ["partition", "partition", "summary"])
            self.assertEqual(sum(line["recipients"]["deferred"] for line in lines[:2]), 5)
            self.assertTrue(lines[-1]["sound"])

            text = spool("dump", relay.spool)
            self.assertEqual((text.returncode, text.stderr), (0, b""), text.stderr)
            for message in queue:
                self.assertIn(f'commit id="{message["id"]}"'.encode(), text.stdout)
            records = [json.loads(line) for line in spool("dump", "--json", relay.spool).stdout.splitlines()]
            self.assertEqual(len(records), len(text.stdout.splitlines()))
            self.assertEqual(records[0]["type"], "identity")
            commits = [r for r in records if r["type"] == "commit"]
            self.assertEqual({r["id"] for r in commits}, {m["id"] for m in queue})
            outcomes = [r for r in records if r["type"] == "outcome" and r["id"] == large]
            self.assertEqual({(r["recipient"], r["status"]) for r in outcomes}, {(0, "deferred"), (1, "deferred")})

            commit = next(r for r in commits if r["id"] == large)
            one = [json.loads(line) for line in spool(
                "dump", "--json", relay.spool, "--message", large.lower(), "--content").stdout.splitlines()]
            self.assertEqual({r["id"] for r in one if "id" in r}, {large})
            content = b"".join(base64.b64decode(r["base64"]) for r in one if r["type"] == "content")
            self.assertEqual(content, LARGE)
            self.assertEqual(commit["stored_bytes"], len(LARGE))
            self.assertEqual(LARGE, spool("dump", relay.spool, "--message", large, "--content").stdout)
            nobody = large[:6] + "VVVV" + large[10:]
            for words in ([], ["--content"]):
                unknown = spool("dump", relay.spool, "--message", nobody, *words)
                self.assertEqual(unknown.returncode, 1, unknown)
                self.assertNotIn(nobody.encode(), unknown.stdout)
                self.assertIn(f"record of the message {nobody} is in the spool".encode(), unknown.stderr)
            part = [json.loads(line) for line in spool(
                "dump", "--json", relay.spool, "--partition", commit["partition"],
                "--segment", commit["segment_file"]).stdout.splitlines()]
            self.assertIn(commit, part)
            self.assertEqual({r["partition"] for r in part if "partition" in r}, {commit["partition"]})
            none = spool("dump", relay.spool, "--segment", "99")
            self.assertEqual(none.returncode, 1, none)
            self.assertIn(b"no segment 00000099.seg is in the spool", none.stderr)
            self.assertEqual(fingerprint(relay.spool), before)

            segment = relay.spool / f"p{commit['partition']:03}" / commit["segment_file"]
            piece = commit["pieces"][3]  # "00000001/17+16384"
            offset = int(piece.split("/")[1].split("+")[0]) * 4096
            flip(segment, offset + 1000)
            damaged = spool("verify", relay.spool)
            self.assertEqual(damaged.returncode, 1, damaged)
            self.assertIn(b"the content of a message is damaged: piece 4 of", damaged.stdout)
            self.assertIn(large.encode(), damaged.stdout)
            lost = spool("dump", relay.spool, "--message", large, "--content")
            self.assertEqual(lost.returncode, 1)
            self.assertIn(b"piece 4 of the content is damaged or gone", lost.stderr)
            flip(segment, offset + 1000)
            self.assertEqual(spool("verify", relay.spool).returncode, 0)

    def test_what_cannot_be_read_ends_with_two(self):
        with Relay([f"127.0.0.1:{free_port()}"], shards=1) as relay:
            for folder in (relay.folder, relay.folder / "nothing", relay.config):
                for command in ("verify", "dump"):
                    failed = spool(command, folder)
                    self.assertEqual((failed.returncode, failed.stdout), (2, b""), failed)
                    self.assertTrue(failed.stderr.startswith(b"ringpost: "), failed)
            relay.start()
            self.assertEqual(relay.stop(), 0)
            self.assertEqual(spool("dump", relay.spool, "--partition", 1).returncode, 2)
            flip(relay.spool / "identity", 40)
            judged = spool("verify", relay.spool)
            self.assertEqual(judged.returncode, 1)
            self.assertIn(b"what is told follows identity.copy", judged.stdout)
            flip(relay.spool / "identity.copy", 40)
            self.assertEqual(spool("verify", relay.spool).returncode, 2)

    def test_partitions_are_added_and_shards_come_and_go(self):
        port = free_port()
        with Relay([f"127.0.0.1:{port}"], shards=2) as relay:
            ids = {m["id"] for m in self.fill(relay)}
            self.assertEqual(relay.stop(), 0)
            added = spool("add-partitions", relay.spool, 3)
            self.assertEqual((added.returncode, added.stdout),
                             (0, b"the spool had 2 partitions and has 5\n"), added)
            too_many = spool("add-partitions", relay.spool, 252)
            self.assertEqual(too_many.returncode, 1)
            self.assertIn(b"at most 256 partitions", too_many.stderr)
            self.assertIn(b"is sound: 5 partitions, 4 messages", spool("verify", relay.spool).stdout)
            now = "shards = 2"
            for shards in ("shards = 1", "shards = 3", "shards = 2"):
                relay.config.write_text(relay.config.read_text().replace(now, shards))
                now = shards
                relay.start()
                self.assertEqual({m["id"] for m in relay.queue()}, ids)
                self.assertEqual(relay.stop(), 0)
                self.assertEqual(spool("verify", relay.spool).returncode, 0)
            self.assertEqual(spool("add-partitions", relay.folder / "nothing", 1).returncode, 1)
            self.assertFalse((relay.folder / "nothing").exists())
            with Recorder(port=port) as recorder:
                relay.start()
                recorder.wait_for(4)
                wait_until(lambda: not relay.queue(), "an empty queue")
                self.assertEqual(relay.stop(), 0)
            self.assertIn(b"is sound: 5 partitions, 0 messages", spool("verify", relay.spool).stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
