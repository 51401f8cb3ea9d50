"""Notifications, read by programs that others wrote: Python's email package, and flufl.bounce, which list managers use
to learn from bounces whom to drop."""

import email
import email.policy
import re
import smtplib
import sys
import unittest

sys.path.append("/usr/lib/python3/dist-packages")  # Debian's packages, also where Python is not Debian's

from flufl.bounce import all_failures

from harness import Recorder, Relay, wait_until

BODY = b"From: a@src.test\r\nMessage-ID: <one@src.test>\r\nSubject: hello\r\n\r\nHello.\r\n.dot\r\n"
PLAIN = ("PIPELINING", "8BITMIME")
UTF8 = PLAIN + ("SMTPUTF8",)


def send(relay, sender="a@src.test", recipient="b@dst.test", body=BODY, mail=(), rcpt=()):
    with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=60) as client:
        client.ehlo()
        assert client.has_extn("dsn")
        if "SMTPUTF8" in mail:
            client.command_encoding = "utf-8"
        assert client.mail(sender, list(mail))[0] == 250
        code, reply = client.rcpt(recipient, list(rcpt))
        assert code == 250, reply
        assert client.data(body)[0] == 250


def notifications(recorder):
    return [m for m in recorder.messages if m.sender.startswith(b"<>")]


class Notifications(unittest.TestCase):
    def told(self, recorder, count=1):
        wait_until(lambda: len(notifications(recorder)) >= count, "a notification")
        return notifications(recorder)[count - 1]

    def parse(self, message):
        """The parts: text for people, the fields of message and recipient, and what comes back."""
        parsed = email.message_from_bytes(message.content, policy=email.policy.default)
        self.assertEqual(parsed.get_content_type(), "multipart/report")
        self.assertEqual(parsed["Auto-Submitted"], "auto-replied")
        self.assertIsNone(parsed["Precedence"])
        self.assertEqual([defect for part in parsed.walk() for defect in part.defects], [])
        text, status, returned = parsed.iter_parts()
        self.assertEqual(text.get_content_type(), "text/plain")
        about, *recipients = status.get_payload()
        return parsed, text.get_content(), about, recipients, returned

    def test_failed_with_all_that_was_asked_for(self):
        with Recorder(PLAIN, refuse={b"<b@dst.test>": b"550 5.1.1 No such user"}) as recorder:
            with Relay([recorder.host]) as relay:
                relay.start()
                send(relay, mail=["RET=FULL", "ENVID=QQ+2B1"], rcpt=["NOTIFY=FAILURE", "ORCPT=rfc822;o+2Bx@dst.test"])
                got = self.told(recorder)
        parsed, text, about, recipients, returned = self.parse(got)
        self.assertEqual(parsed.get_param("report-type"), "delivery-status")
        self.assertEqual(parsed["In-Reply-To"], "<one@src.test>")
        self.assertIn("b@dst.test", text)
        self.assertIn("No such user", text)
        self.assertEqual(about["Original-Envelope-Id"], "QQ+1")
        self.assertEqual(about["Reporting-MTA"], "dns; relay.example.test")
        self.assertEqual(len(recipients), 1)
        self.assertEqual(recipients[0]["Original-Recipient"], "rfc822; o+x@dst.test")
        self.assertEqual(recipients[0]["Final-Recipient"], "rfc822; b@dst.test")
        self.assertEqual(recipients[0]["Action"], "failed")
        self.assertEqual(recipients[0]["Status"], "5.1.1")
        self.assertEqual(recipients[0]["Diagnostic-Code"], "smtp; 550 5.1.1 No such user")
        self.assertIsNotNone(recipients[0]["Last-Attempt-Date"])
        self.assertEqual(returned.get_content_type(), "message/rfc822")
        inner = returned.get_content()
        self.assertEqual(inner["Subject"], "hello")
        self.assertEqual(inner.get_content().splitlines(), ["Hello.", ".dot"])
        temporary, permanent = all_failures(email.message_from_bytes(got.content))
        self.assertIn(permanent, ({b"b@dst.test"}, {b"o+x@dst.test"}))
        self.assertFalse(temporary)

    def test_8_bit_mail_comes_back_with_what_was_said_in_utf8(self):
        body = (b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
                "Grüße\r\n".encode())
        reply = "550 5.1.1 Empfänger unbekannt: bitte prüfen Sie die Adresse und senden Sie dann noch einmal".encode()
        for extensions, encoding in ((PLAIN, "8bit"), (("PIPELINING",), "7bit")):
            with self.subTest(encoding), Recorder(extensions, refuse={b"<b@dst.test>": reply}) as recorder:
                with Relay([recorder.host]) as relay:
                    relay.start()
                    send(relay, body=body, mail=["RET=FULL", "BODY=8BITMIME"])
                    got = self.told(recorder)
                    wait_until(lambda: relay.log().count(" removal ") == 2, "both gone")
                    log = relay.log()
            parsed, text, _, recipients, returned = self.parse(got)
            self.assertEqual(parsed["Content-Transfer-Encoding"], encoding)
            self.assertEqual(encoding == "7bit", got.content.isascii())
            self.assertIn("Empfänger unbekannt", text)
            self.assertLessEqual(max(map(len, text.splitlines())), 78)
            self.assertIn("Empf??nger", recipients[0]["Diagnostic-Code"])
            self.assertEqual(returned.get_content().get_content().strip(), "Grüße")
            # The log leads from the message to the word of it.
            told = re.search(r" notification shard=\d+ id=(\w+) to=<a@src.test> nrcpt=1 kind=failed notification=(\w+)", log)
            self.assertRegex(log, f"attempt shard=\\d+ id={told[1]} .*status=bounced")
            self.assertRegex(log, f"attempt shard=\\d+ id={told[2]} .*status=sent")

    def test_delayed(self):
        with Recorder(PLAIN, refuse={b"<b@dst.test>": b"450 4.2.1 Later"}) as recorder:
            with Relay([recorder.host], queue={"delay_notice": '"2s"'}) as relay:
                relay.start()
                send(relay)
                got = self.told(recorder)
                wait_until(lambda: "status=delayed" in relay.log(), "a line about it")
        _, text, _, recipients, returned = self.parse(got)
        self.assertIn("not yet been delivered", text)
        self.assertEqual(recipients[0]["Action"], "delayed")
        self.assertEqual(recipients[0]["Status"], "4.2.1")
        self.assertIsNotNone(recipients[0]["Will-Retry-Until"])
        self.assertEqual(returned.get_content_type(), "text/rfc822-headers")
        self.assertIn("Subject: hello", returned.get_content())
        temporary, permanent = all_failures(email.message_from_bytes(got.content))
        self.assertEqual(temporary, {b"b@dst.test"})
        self.assertFalse(permanent)

    def test_relayed_where_the_next_hop_does_not_tell(self):
        with Recorder(PLAIN) as recorder, Relay([recorder.host]) as relay:
            relay.start()
            send(relay, rcpt=["NOTIFY=SUCCESS"])
            got = self.told(recorder)
        _, text, _, recipients, _ = self.parse(got)
        self.assertIn("handed to", text)
        self.assertEqual(recipients[0]["Action"], "relayed")
        self.assertRegex(recipients[0]["Status"], r"^2\.")
        temporary, permanent = all_failures(email.message_from_bytes(got.content))
        self.assertFalse(temporary | permanent)

    def test_passed_on_where_it_does(self):
        with Recorder(PLAIN + ("DSN",)) as recorder, Relay([recorder.host]) as relay:
            relay.start()
            send(relay, mail=["RET=HDRS", "ENVID=x"], rcpt=["NOTIFY=SUCCESS,DELAY", "ORCPT=rfc822;o@dst.test"])
            recorder.wait_for(1)
            wait_until(lambda: not relay.queue(), "an empty queue")
            self.assertEqual(notifications(recorder), [])
            self.assertTrue(any(b"RET=HDRS ENVID=x" in c for c in recorder.commands))
            self.assertIn(b"RCPT TO:<b@dst.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o@dst.test", recorder.commands)

    def test_an_address_that_is_not_ascii_of_an_ascii_sender(self):
        refused = "<josé@dst.test>".encode()
        with Recorder(UTF8, refuse={refused: b"550 5.1.1 No such user"}) as recorder, Relay([recorder.host]) as relay:
            relay.start()
            body = BODY.replace(b"hello", "grüße".encode())
            send(relay, recipient="josé@dst.test", body=body, mail=["SMTPUTF8", "BODY=8BITMIME"])
            got = self.told(recorder)
        self.assertTrue(got.content.isascii())
        parsed, text, _, recipients, returned = self.parse(got)
        self.assertEqual(parsed.get_param("report-type"), "delivery-status")
        self.assertIn("josé@dst.test", text)
        self.assertEqual(recipients[0]["Final-Recipient"], r"utf-8; jos\x{E9}@dst.test")
        self.assertEqual(returned.get_content_type(), "text/rfc822-headers")
        self.assertIn("Subject: grüße", returned.get_content())

    def test_a_sender_that_is_not_ascii(self):
        refused = "<josé@dst.test>".encode()
        with Recorder(UTF8, refuse={refused: b"550 5.1.1 No such user"}) as recorder, Relay([recorder.host]) as relay:
            relay.start()
            body = BODY.replace(b"hello", "grüße".encode())
            send(relay, sender="ä@dst.test", recipient="josé@dst.test", body=body,
                 mail=["SMTPUTF8", "BODY=8BITMIME", "RET=FULL"])
            got = self.told(recorder)
        self.assertIn(b"SMTPUTF8", got.sender)
        self.assertEqual(got.recipients, ["<ä@dst.test>".encode()])
        parsed = email.message_from_bytes(got.content, policy=email.policy.SMTPUTF8)
        self.assertEqual(parsed.get_param("report-type"), "global-delivery-status")
        types = [part.get_content_type() for part in parsed.iter_parts()]
        self.assertEqual(types, ["text/plain", "message/global-delivery-status", "message/global"])
        self.assertIn("Final-Recipient: utf-8; josé@dst.test\r\n".encode(), got.content)
        self.assertIn("Subject: grüße\r\n".encode(), got.content)


if __name__ == "__main__":
    unittest.main()
