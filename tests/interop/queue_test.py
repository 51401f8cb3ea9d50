"""The queue over time: retry, restart, expiry and bounce, fail-over, and what the control socket says of it."""

import smtplib
import socket
import subprocess
import threading
import unittest

from harness import RINGPOST, Recorder, Relay, free_port, wait_until

BODY = b"Subject: queue\r\n\r\nHello.\r\n"


def send(relay, sender="a@src.test", recipients=("b@dst.test",), body=BODY):
    with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=60) as client:
        client.sendmail(sender, list(recipients), body)


class Queue(unittest.TestCase):
    def test_deferred_mail_is_retried_and_a_restart_continues(self):
        port = free_port()  # nobody listens there yet
        with Relay([f"127.0.0.1:{port}"]) as relay:
            relay.start()
            send(relay)
            entry = wait_until(lambda: [m for m in relay.queue() if m["recipients"][0]["attempts"] > 0],
                               "a first attempt")[0]
            self.assertEqual(entry["sender"], "a@src.test")
            self.assertEqual(entry["recipients"][0]["address"], "b@dst.test")
            self.assertEqual(entry["recipients"][0]["state"], "deferred")
            shown = subprocess.run([RINGPOST, "queue", "show", entry["id"], "--config", str(relay.config)],
                                   capture_output=True, check=True, timeout=60).stdout.decode()
            self.assertIn("b@dst.test", shown)
            self.assertEqual(relay.stop(), 0)
            relay.start()
            self.assertEqual([m["id"] for m in relay.queue()], [entry["id"]])
            with Recorder(port=port) as recorder:
                self.assertEqual(recorder.wait_for(1)[0].without_trace(), BODY)
                wait_until(lambda: not relay.queue(), "an empty queue")
                self.assertEqual(relay.stop(), 0)
                relay.start()
                self.assertEqual(relay.queue(), [])
                self.assertEqual(len(recorder.messages), 1)

    def test_temporary_refusals_per_recipient(self):
        with Recorder(answers={"RCPT": [b"250 Ok", b"450 4.2.1 Later"]}) as recorder, Relay([recorder.host]) as relay:
            relay.start()
            send(relay, recipients=["one@dst.test", "two@dst.test"])
            recorder.wait_for(2)
            got = sorted(r for m in recorder.messages for r in m.recipients)
            self.assertEqual(got, [b"<one@dst.test>", b"<two@dst.test>"])

    def test_a_permanent_refusal_bounces_to_the_sender(self):
        with Recorder(answers={"RCPT": [b"550 5.1.1 No such user"]}) as recorder, Relay([recorder.host]) as relay:
            relay.start()
            send(relay)
            bounce = recorder.wait_for(1)[0]
            self.assertTrue(bounce.sender.startswith(b"<>"), bounce.sender)
            self.assertEqual(bounce.recipients, [b"<a@src.test>"])
            self.assertIn(b"b@dst.test", bounce.content)
            self.assertIn(b"5.1.1", bounce.content)
            wait_until(lambda: not relay.queue(), "an empty queue")

    def test_a_bounce_that_cannot_be_delivered_makes_no_bounce(self):
        with Recorder(answers={"RCPT": [b"550 5.1.1 No such user", b"550 5.1.1 Nor this"]}) as recorder:
            with Relay([recorder.host]) as relay:
                relay.start()
                send(relay)
                wait_until(lambda: not relay.queue() and
                           sum(c.startswith(b"RCPT") for c in recorder.commands) == 2, "both refusals")
                self.assertEqual(recorder.messages, [])

    def test_expiry_bounces(self):
        with Recorder(refuse={b"<b@dst.test>": b"450 4.2.1 Later"}) as recorder:
            with Relay([recorder.host], queue={"retry": '["1s"]', "expire": '"10s"'}) as relay:
                relay.start()
                send(relay)
                bounce = recorder.wait_for(1)[0]
                self.assertTrue(bounce.sender.startswith(b"<>"), bounce.sender)
                self.assertIn(b"4.2.1", bounce.content)

    def test_fail_over_to_the_second_host(self):
        with Recorder() as recorder, Relay([f"127.0.0.1:{free_port()}", recorder.host]) as relay:
            relay.start()
            send(relay)
            self.assertEqual(recorder.wait_for(1)[0].without_trace(), BODY)

    def test_a_lost_reply_after_the_final_dot_is_tried_again_and_said(self):
        with Recorder(answers={"DOT": [b"drop"]}) as recorder, Relay([recorder.host]) as relay:
            relay.start()
            send(relay)
            recorder.wait_for(1)
            self.assertIn("duplicate", relay.log())

    def test_listings_do_not_keep_the_server_from_stopping(self):
        with Relay([f"127.0.0.1:{free_port()}"], shards=1, queue={"retry": '["1h"]', "expire": '"5d"'}) as relay:
            relay.start()
            for _ in range(20):
                send(relay, recipients=[f"r{i}@dst.test" for i in range(500)])
            listings = [0]

            def list_for_ever(limit):
                while True:
                    try:
                        with socket.socket(socket.AF_UNIX) as client:
                            client.settimeout(60)
                            client.connect(str(relay.control))
                            client.sendall(b'{"command":"queue list","limit":%d}\n' % limit * 1000)
                            while client.recv(1 << 20):
                                listings[0] += 1
                    except OSError:
                        if not relay.control.exists():
                            return

            clients = [threading.Thread(target=list_for_ever, args=(limit,)) for limit in [1] * 12 + [0] * 3]
            for client in clients:
                client.start()
            try:
                wait_until(lambda: listings[0] > 20, "listings")
                self.assertEqual(relay.stop(), 0)
            finally:
                if relay.process is not None:
                    relay.kill()
                relay.control.unlink(missing_ok=True)
                for client in clients:
                    client.join()

    def test_a_second_process_on_the_same_spool_is_refused(self):
        with Recorder() as recorder, Relay([recorder.host]) as relay:
            relay.start()
            other = relay.folder / "other.toml"
            text = relay.config.read_text()
            other.write_text(text.replace(f"127.0.0.1:{relay.port}", f"127.0.0.1:{free_port()}")
                             .replace("control.sock", "other.sock"))
            done = subprocess.run([RINGPOST, "serve", "--config", str(other)], capture_output=True, timeout=60)
            self.assertNotEqual(done.returncode, 0)
            # First that it waits, then that it was in vain.
            self.assertRegex(done.stderr.decode(), r"(?s)waiting a while.*in use by another ringpost process")
            send(relay)
            recorder.wait_for(1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
