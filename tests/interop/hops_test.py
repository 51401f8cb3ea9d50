"""Next hops with fewer extensions: what must be converted is, what cannot be is returned."""

import email
import email.policy
import smtplib
import unittest

from harness import Recorder, Relay

EIGHT_BIT = ("From: a@src.test\r\nTo: b@dst.test\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
             "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
             "Grüße aus Köln = 100 %\r\n.dot\r\n").encode()


def send(relay, body, sender="a@src.test", recipient="b@dst.test", options=()):
    with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=60) as client:
        client.sendmail(sender, [recipient], body, mail_options=list(options))


class Hops(unittest.TestCase):
    def test_without_any_extension(self):
        body = b"Subject: x\r\n\r\nplain\r\n..\r\n.\r\n"
        with Recorder(extensions=("SIZE",), answers={"EHLO": [b"502 5.5.1 No"]}) as recorder:
            with Relay([recorder.host]) as relay:
                relay.start()
                send(relay, body)
                self.assertEqual(recorder.wait_for(1)[0].without_trace(), body)
                self.assertTrue(any(command.startswith(b"HELO") for command in recorder.commands))

    def test_chunking_is_used_and_exact(self):
        body = b"Subject: x\r\n\r\nplain\r\n..\r\n.\r\n.x\r\n" + b"0123456789\r\n" * 30000
        with Recorder(extensions=("PIPELINING", "8BITMIME", "CHUNKING")) as recorder:
            with Relay([recorder.host]) as relay:
                relay.start()
                send(relay, body)
                self.assertEqual(recorder.wait_for(1)[0].without_trace(), body)
                self.assertTrue(any(command.startswith(b"BDAT") for command in recorder.commands))
                self.assertFalse(any(command.startswith(b"DATA") for command in recorder.commands))

    def test_eight_bit_is_converted_where_the_hop_lacks_8bitmime(self):
        with Recorder(extensions=("PIPELINING",)) as recorder, Relay([recorder.host]) as relay:
            relay.start()
            send(relay, EIGHT_BIT, options=["BODY=8BITMIME"])
            content = recorder.wait_for(1)[0].without_trace()
            self.assertTrue(content.isascii())
            parsed = email.message_from_bytes(content, policy=email.policy.SMTP)
            self.assertEqual(parsed.get_content().replace("\r\n", "\n"), "Grüße aus Köln = 100 %\n.dot\n")

    def test_a_signed_message_is_returned_instead(self):
        body = ("Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=b; micalg=pgp-sha1;\r\n"
                " protocol=\"application/pgp-signature\"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n"
                "Content-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n--b\r\nContent-Type: application/pgp-signature\r\n\r\n"
                "x\r\n--b--\r\n").encode()
        with Recorder(extensions=("PIPELINING",)) as recorder, Relay([recorder.host]) as relay:
            relay.start()
            send(relay, body, options=["BODY=8BITMIME"])
            bounce = recorder.wait_for(1)[0]
            self.assertTrue(bounce.sender.startswith(b"<>"))
            self.assertIn(b"5.6.3", bounce.content)

    def test_an_international_address_is_returned_where_the_hop_lacks_smtputf8(self):
        with Recorder(extensions=("PIPELINING", "8BITMIME")) as recorder, Relay([recorder.host]) as relay:
            relay.start()
            with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=60) as client:
                client.ehlo("client.test")
                client.send("MAIL FROM:<a@src.test> SMTPUTF8\r\nRCPT TO:<grüße@dst.test>\r\n".encode())
                self.assertEqual(client.getreply()[0], 250)
                self.assertEqual(client.getreply()[0], 250)
                self.assertEqual(client.data(b"Subject: x\r\n\r\nx\r\n")[0], 250)
            bounce = recorder.wait_for(1)[0]
            self.assertEqual(bounce.recipients, [b"<a@src.test>"])
            self.assertIn(b"5.6.7", bounce.content)

    def test_an_international_address_goes_where_the_hop_has_smtputf8(self):
        with Recorder() as recorder, Relay([recorder.host]) as relay:
            relay.start()
            with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=60) as client:
                client.ehlo("client.test")
                client.send("MAIL FROM:<a@src.test> SMTPUTF8\r\nRCPT TO:<grüße@dst.test>\r\n".encode())
                client.getreply()
                client.getreply()
                self.assertEqual(client.data(b"Subject: x\r\n\r\nx\r\n")[0], 250)
            message = recorder.wait_for(1)[0]
            self.assertEqual(message.recipients, ["<grüße@dst.test>".encode()])
            self.assertIn(b"SMTPUTF8", message.sender)


if __name__ == "__main__":
    unittest.main(verbosity=2)
