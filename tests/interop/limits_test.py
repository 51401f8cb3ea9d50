"""What stands in the way of a server: clients that take descriptors, a taken address, a stray signal."""

import signal
import smtplib
import socket
import subprocess
import unittest

from harness import RINGPOST, WAIT_S, Recorder, Relay, wait_until

BODY = b"Subject: limits\r\n\r\nHello.\r\n"


class Limits(unittest.TestCase):
    def test_idle_connections_leave_descriptors_for_deliveries(self):
        with Recorder() as recorder, Relay([recorder.host], shards=1) as relay:
            relay.start(files_max=300)
            with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=WAIT_S) as client:
                idle = [socket.create_connection(("127.0.0.1", relay.port), timeout=WAIT_S) for _ in range(400)]
                for connection in idle[:100]:
                    connection.recv(100)  # greeted, or told that there are too many
                client.sendmail("a@src.test", ["b@dst.test"], BODY)
                self.assertEqual(recorder.wait_for(1)[0].without_trace(), BODY)
                for connection in idle:
                    connection.close()
            self.assertNotIn("status=deferred", relay.log())
            self.assertIn("the limit of open files (300) has room for ", relay.log())

    def test_a_burst_that_takes_every_descriptor_is_survived(self):
        with Recorder() as recorder, Relay([recorder.host], shards=1) as relay:
            relay.start(files_max=300)
            relay.process.send_signal(signal.SIGSTOP)  # so that all of them are accepted in one go
            crowd = [socket.create_connection(("127.0.0.1", relay.port), timeout=WAIT_S) for _ in range(400)]
            relay.process.send_signal(signal.SIGCONT)
            wait_until(lambda: "cannot accept connections on " in relay.log(), "a word about the limit of open files")
            for connection in crowd:
                connection.close()
            wait_until(lambda: self.is_let_in(relay), "a place where the crowd was")
            self.assertEqual(recorder.wait_for(1)[0].without_trace(), BODY)

    def is_let_in(self, relay):
        try:
            with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=WAIT_S) as client:
                client.sendmail("a@src.test", ["b@dst.test"], BODY)
            return True
        except (smtplib.SMTPConnectError, smtplib.SMTPServerDisconnected, ConnectionError):
            return False  # those of the crowd that wait at the door are still in front of it

    def test_an_address_that_is_taken_is_told_before_the_spool_is_made(self):
        with Relay(["127.0.0.1:1"]) as relay, socket.create_server(("127.0.0.1", relay.port)):
            done = subprocess.run([RINGPOST, "serve", "--config", str(relay.config)],
                                  capture_output=True, timeout=WAIT_S, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"cannot listen on 127.0.0.1:{relay.port}".encode(), done.stderr)
            self.assertFalse(relay.spool.exists())

    def test_a_control_socket_that_is_taken_is_told_before_the_spool_is_made(self):
        with Relay(["127.0.0.1:1"]) as first, Relay(["127.0.0.1:1"]) as second:
            first.start()
            second.config.write_text(second.config.read_text().replace(str(second.control), str(first.control)))
            done = subprocess.run([RINGPOST, "serve", "--config", str(second.config)],
                                  capture_output=True, timeout=WAIT_S, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"another ringpost answers there", done.stderr)
            self.assertFalse(second.spool.exists())
            self.assertEqual(first.queue(), [])  # it goes on
            first.kill()  # and leaves its socket behind
            self.assertTrue(first.control.exists())
            second.control = first.control
            second.start()
            self.assertEqual(second.queue(), [])

    def test_a_hangup_ends_nothing(self):
        with Relay(["127.0.0.1:1"], shards=1) as relay:
            relay.start()
            relay.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "SIGHUP changes nothing" in relay.log(), "a word about the signal")
            self.assertEqual(relay.stop(), 0)
            self.assertTrue(relay.log().endswith(" notice stopped\n"), relay.log()[-200:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
