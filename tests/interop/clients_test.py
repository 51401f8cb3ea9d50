"""The clients people have: curl, swaks, Python's smtplib; and the next hops: ringpost's own sink, Postfix's smtp-sink."""

import os
import pathlib
import re
import signal
import smtplib
import subprocess
import tempfile
import unittest

from harness import RINGPOST, Recorder, Relay, connects, free_port, raw_session, wait_until

PEER = os.environ.get("POSTFIX_PEER", "build/peers/postfix")
BODY = b"From: a@src.test\r\nTo: b@dst.test\r\nSubject: clients\r\n\r\nHello.\r\n.dot\r\n"


class Clients(unittest.TestCase):
    def setUp(self):
        self.recorder = Recorder()
        self.relay = Relay([self.recorder.host]).start()
        self.addCleanup(self.recorder.close)
        self.addCleanup(self.relay.close)

    def test_curl(self):
        with tempfile.NamedTemporaryFile() as mail:
            mail.write(BODY)
            mail.flush()
            subprocess.run(["curl", "-sS", f"smtp://127.0.0.1:{self.relay.port}/client.test", "--mail-from", "a@src.test",
                            "--mail-rcpt", "b@dst.test", "--upload-file", mail.name], check=True, timeout=60)
        message = self.recorder.wait_for(1)[0]
        self.assertEqual(message.without_trace(), BODY)
        self.assertTrue(message.sender.startswith(b"<a@src.test>"))
        self.assertEqual(message.recipients, [b"<b@dst.test>"])

    def test_swaks(self):
        done = subprocess.run(["swaks", "--server", f"127.0.0.1:{self.relay.port}", "--from", "a@src.test", "--to",
                               "b@dst.test,c@dst.test", "--helo", "client.test", "--pipeline", "--body", "from swaks"],
                              capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        message = self.recorder.wait_for(1)[0]
        self.assertIn(b"from swaks", message.content)
        self.assertEqual(sorted(message.recipients), [b"<b@dst.test>", b"<c@dst.test>"])

    def test_smtplib_and_the_trace_header(self):
        with smtplib.SMTP("127.0.0.1", self.relay.port, "client.test", timeout=60) as client:
            client.sendmail("a@src.test", ["b@dst.test"], BODY)
        message = self.recorder.wait_for(1)[0]
        self.assertEqual(message.without_trace(), BODY)
        trace = re.sub(rb"\r\n[ \t]+", b" ", message.content[:-len(BODY)])
        self.assertRegex(trace, rb"^Received: from client\.test \(\[?127\.0\.0\.1\]?.*\) by relay\.example\.test "
                                rb".*with ESMTP id [0-9A-V]{13}.*; \w{3}, +\d+ \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r\n$")

    def test_strangers_may_send_to_our_domains_only(self):
        self.relay.close()
        self.relay = Relay([self.recorder.host], networks='["192.0.2.0/24"]').start()
        self.addCleanup(self.relay.close)
        with smtplib.SMTP("127.0.0.1", self.relay.port, timeout=60) as client:
            client.ehlo("stranger.test")
            client.mail("a@src.test")
            code, text = client.rcpt("b@elsewhere.test")
            self.assertEqual(code, 550)
            self.assertTrue(text.startswith(b"5.7.1"), text)
            self.assertEqual(client.rcpt("b@DST.test")[0], 250)

    def test_smuggling_is_refused_from_strangers(self):
        self.relay.close()
        self.relay = Relay([self.recorder.host], networks='["192.0.2.0/24"]').start()
        self.addCleanup(self.relay.close)
        for end in (b"\n.\n", b"\n.\r\n", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r", b"\r\n\0.\r\n", b"\r\r\n.\r\n"):
            script = (b"EHLO stranger.test\r\nMAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\n"
                      b"Subject: outer\r\n\r\nbody" + end +
                      b"MAIL FROM:<evil@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\nSubject: inner\r\n\r\nevil\r\n.\r\n"
                      b"QUIT\r\n")
            replies = raw_session(self.relay.port, script)
            self.assertNotIn(b"queued as", replies, end)
            self.assertIn(b"\r\n550 5.6.0" if b"\0" in end else b"\r\n550 5.5.2", replies, end)
        self.assertEqual(self.recorder.messages, [])

    def test_postfix_smtp_sink_takes_it(self):
        port = free_port()
        environment = dict(os.environ, LD_LIBRARY_PATH=f"{PEER}/usr/lib/postfix")
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o777)
            sink = subprocess.Popen([str(pathlib.Path(PEER).resolve() / "usr/sbin/smtp-sink"), "-u", "nobody", "-d", "m.",
                                     f"127.0.0.1:{port}", "100"], env=environment, cwd=folder)
            try:
                wait_until(lambda: connects(port), "smtp-sink's port")
                with Relay([f"127.0.0.1:{port}"]) as relay:
                    relay.start()
                    with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=60) as client:
                        for _ in range(20):
                            client.sendmail("a@src.test", ["b@dst.test"], BODY)
                    wait_until(lambda: not relay.queue(), "an empty queue")
                dumps = sorted(pathlib.Path(folder).glob("m.*"))
                full = [dump.read_bytes() for dump in dumps if dump.stat().st_size > 0]
                self.assertEqual(len(full), 20)
                for dump in full:  # smtp-sink keeps lines with LF, behind X- headers of its own
                    self.assertTrue(dump.rstrip(b"\n").endswith(b"Hello.\n.dot"), dump)
            finally:
                sink.terminate()
                sink.wait(60)

    def start_our_sink(self, *arguments):
        port = free_port()
        sink = subprocess.Popen([RINGPOST, "sink", "--listen", f"127.0.0.1:{port}", *arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wait_until(lambda: connects(port), "the sink's port")
        return sink, port

    def test_our_sink_puts_off_what_it_is_told_to(self):
        sink, port = self.start_our_sink("--defer", "100")
        with Relay([f"127.0.0.1:{port}"]) as relay:
            relay.start()
            with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=60) as client:
                client.sendmail("a@src.test", ["b@dst.test"], BODY)
            wait_until(lambda: relay.queue()[0]["recipients"][0]["last_reply"].startswith("451 "), "an attempt")
            self.assertEqual(relay.queue()[0]["state"], "deferred")
            self.assertEqual(relay.stop(), 0)
        sink.send_signal(signal.SIGINT)
        out, _ = sink.communicate(timeout=60)
        self.assertRegex(out.splitlines()[-1], rb"\b0 messages")

    def test_our_sink_takes_it_and_says_so(self):
        sink, port = self.start_our_sink()
        with Relay([f"127.0.0.1:{port}"]) as relay:
            relay.start()
            with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=60) as client:
                for _ in range(5):
                    client.sendmail("a@src.test", ["b@dst.test"], BODY)
            wait_until(lambda: not relay.queue(), "an empty queue")
            self.assertEqual(relay.stop(), 0)
        sink.send_signal(signal.SIGINT)
        out, _ = sink.communicate(timeout=60)
        self.assertEqual(sink.returncode, 0, out)
        self.assertRegex(out.splitlines()[-1], rb"\b5 messages")


if __name__ == "__main__":
    unittest.main(verbosity=2)
