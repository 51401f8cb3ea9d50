"""Content goes through byte for byte: whatever comes in by DATA or BDAT leaves unchanged behind the trace header."""

import random
import smtplib
import unittest

from harness import Recorder, Relay, raw_session

HEAD = b"From: a@src.test\r\nTo: b@dst.test\r\nSubject: x\r\n\r\n"


def stuffed(content):
    return b"".join(b"." + line if line.startswith(b".") else line for line in content.splitlines(keepends=True))


class Content(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.recorder = Recorder()
        cls.relay = Relay([cls.recorder.host]).start()

    @classmethod
    def tearDownClass(cls):
        cls.relay.close()
        cls.recorder.close()

    def setUp(self):
        self.recorder.messages.clear()

    def client(self):
        return smtplib.SMTP("127.0.0.1", self.relay.port, timeout=60)

    def arrives(self, contents):
        """Every content of the list, in any order."""
        messages = self.recorder.wait_for(len(contents))
        got = sorted(message.without_trace() for message in messages)
        want = sorted(contents)
        self.assertEqual(len(got), len(want))
        for one, other in zip(got, want):
            if one != other:  # a short sentence, not megabytes
                at = next((i for i, (x, y) in enumerate(zip(one, other)) if x != y), min(len(one), len(other)))
                self.fail(f"{len(one)} bytes arrived, {len(other)} were sent; they differ at byte {at}: "
                          f"{one[at:at + 40]!r} for {other[at:at + 40]!r}")

    def by_data(self, client, content):
        client.mail("a@src.test", ["BODY=8BITMIME"])
        client.rcpt("b@dst.test")
        self.assertEqual(client.docmd("DATA")[0], 354)
        client.send(stuffed(content) + b".\r\n")
        code, text = client.getreply()
        self.assertEqual(code, 250, text)

    def test_eight_bit_dot_lines_empty_and_long_lines(self):
        contents = [
            b"",
            HEAD,
            HEAD + "Grüße\r\n".encode() + bytes(range(128, 256)) + b"\r\n",
            HEAD + b".\r\n..\r\n...\r\n.a\r\na.\r\n",
            b".\r\n",
            b"\r\n",
            HEAD + b"x" * 20000 + b"\r\n",
        ]
        with self.client() as client:
            client.ehlo("client.test")
            for content in contents:
                self.by_data(client, content)
        self.arrives(contents)

    def test_bodies_around_block_sizes(self):
        contents = []
        for power in range(8):
            for delta in range(-3, 4):
                size = 4096 * 2 ** power + delta
                body = HEAD + b"0123456789abcde\r\n" * (size // 17 + 1)
                contents.append(body[:size - 2] + b"\r\n" if body[size - 3:size - 2] != b"\r"
                                else body[:size - 3] + b"z\r\n")
        self.assertEqual({len(c) for c in contents},
                         {4096 * 2 ** p + d for p in range(8) for d in range(-3, 4)})
        with self.client() as client:
            client.ehlo("client.test")
            for content in contents:
                self.by_data(client, content)
        self.arrives(contents)

    def test_fifty_megabytes(self):
        line = bytes(random.Random(1).choices(range(33, 127), k=76)) + b"\r\n"
        content = HEAD + line * (50_000_000 // len(line))
        with self.client() as client:
            client.ehlo("client.test")
            self.by_data(client, content)
        self.arrives([content])

    def test_a_thousand_recipients(self):
        with self.client() as client:
            client.ehlo("client.test")
            client.mail("a@src.test")
            for number in range(1000):
                self.assertEqual(client.rcpt(f"user{number}@dst.test")[0], 250)
            code, _ = client.data(HEAD + b"to all\r\n")
            self.assertEqual(code, 250)
        self.recorder.wait_for(1)

        def recipients():
            return sorted(r for message in self.recorder.messages for r in message.recipients)

        from harness import wait_until
        wait_until(lambda: len(recipients()) >= 1000, "1,000 recipients")
        self.assertEqual(recipients(), sorted(b"<user%d@dst.test>" % n for n in range(1000)))
        for message in self.recorder.messages:
            self.assertEqual(message.without_trace(), HEAD + b"to all\r\n")

    def test_bdat_in_odd_chunks(self):
        rng = random.Random(7)
        contents = [HEAD + b"", HEAD + b".\r\n..\r\n.a\r\n",
                    HEAD + bytes(rng.choices(range(32, 127), k=70000)) + b"\r\n"]
        for content in contents:
            with self.client() as client:
                client.ehlo("client.test")
                client.mail("a@src.test")
                client.rcpt("b@dst.test")
                at = 0
                while at < len(content):
                    size = rng.choice([0, 1, 2, 3, 7, 64, 511, 4095, 4096, 4097, 16384, 20001])
                    chunk = content[at:at + size]
                    at += len(chunk)
                    client.send(b"BDAT %d\r\n" % len(chunk) + chunk)
                    self.assertEqual(client.getreply()[0], 250)
                client.send(b"BDAT 0 LAST\r\n")
                self.assertEqual(client.getreply()[0], 250)
        self.arrives(contents)

    def test_every_split_of_the_end_of_data(self):
        body = HEAD + b"end\r\n"
        tail = body[-3:] + b".\r\nQUIT\r\n"
        contents = []
        for cut in range(1, len(tail)):
            for second in range(cut, len(tail)):
                script = [b"EHLO c.test\r\nMAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\n" + body[:-3],
                          tail[:cut], tail[cut:second], tail[second:]]
                replies = raw_session(self.relay.port, [piece for piece in script if piece])
                self.assertIn(b"queued as", replies)
                contents.append(body)
        self.arrives(contents)


if __name__ == "__main__":
    unittest.main(verbosity=2)
