"""What is scarce: descriptors. Clients cannot take what deliveries need."""

import smtplib
import socket
import unittest

from harness import WAIT_S, Recorder, Relay

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


if __name__ == "__main__":
    unittest.main(verbosity=2)
