"""What `ringpost queue show` and `queue explain` tell of a message in a running server's queue."""

import json
import os
import re
import smtplib
import socket
import subprocess
import threading
import unittest

from harness import RINGPOST, WAIT_S, Recorder, Relay, free_port, wait_until

SLOW = {"retry": '["1h"]', "expire": '"5d"'}


def send(relay, body, recipients=("b@dst.test",), options=(), rcpt_options=()):
    with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=WAIT_S) as client:
        client.sendmail("a@src.test", list(recipients), body, options, rcpt_options)


def ask(relay, *words):
    done = subprocess.run([RINGPOST, "queue", *words, "--config", str(relay.config)],
                          capture_output=True, timeout=WAIT_S)
    return done.returncode, done.stdout, done.stderr.decode()


def show(relay, ident):
    code, out, err = ask(relay, "show", ident, "--json")
    assert code == 0, err
    return json.loads(out)


def explain(relay, ident):
    """The situations by name, and the sentences."""
    code, out, err = ask(relay, "explain", ident, "--json")
    assert code == 0, err
    told = json.loads(out)
    return {one["situation"]: one for one in told["situations"]}, told


def only(relay):
    return wait_until(relay.queue, "a message in the queue")[0]["id"]


class SilentHop:
    """A next hop that accepts connections and greets, and answers nothing more until it is closed."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.connections = []
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.sendall(b"220 silent.test ESMTP\r\n")
            self.connections.append(connection)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for connection in self.connections:
            connection.close()


class Inspect(unittest.TestCase):
    def attempts(self, relay, ident):
        return show(relay, ident)["recipients"][0]["history"]

    def test_every_attempt_is_told_also_after_a_kill(self):
        later, full = b"450 4.2.1 Try later", b"452 4.2.2 Mailbox full"
        with Recorder(answers={"RCPT": [later, later, full]}, refuse={b"<b@dst.test>": b"451 4.3.0 No more"}) as hop:
            with Relay([hop.host], queue={"retry": '["1s", "1s", "1h"]', "expire": '"5d"'}) as relay:
                relay.start()
                send(relay, b"Subject: x\r\n\r\nHello.\r\n")
                ident = only(relay)
                wait_until(lambda: sum(a["attempts"] for a in self.attempts(relay, ident)) == 3 and
                           not any(a["unknown"] for a in self.attempts(relay, ident)), "three attempts")

                def check():
                    first, last = self.attempts(relay, ident)
                    self.assertEqual((first["attempts"], first["reply"], first["code"], first["status"]),
                                     (2, "450 4.2.1 Try later", 450, "4.2.1"))
                    self.assertLess(first["first"], first["last"])
                    self.assertEqual((last["attempts"], last["reply"]), (1, "452 4.2.2 Mailbox full"))
                    self.assertEqual({first["next_hop"], last["next_hop"]}, {hop.host})
                    code, out, _ = ask(relay, "show", ident)
                    self.assertEqual(code, 0)
                    self.assertRegex(out.decode(), r", 2 attempts  \S+  450 4.2.1 Try later\n")
                    self.assertIn("452 4.2.2 Mailbox full", out.decode())

                check()
                relay.kill()
                relay.start()
                check()
                dump = subprocess.run([RINGPOST, "spool", "dump", str(relay.spool), "--json", "--message", ident],
                                      capture_output=True, check=True, timeout=WAIT_S).stdout
                runs = [len(r["history"]) for r in map(json.loads, dump.splitlines()) if r["type"] == "outcome"]
                self.assertEqual(runs, [0, 1, 1])
                self.assertEqual(relay.stop(), 0)
                self.assertEqual(subprocess.run([RINGPOST, "spool", "verify", str(relay.spool)],
                                                stdout=subprocess.DEVNULL, timeout=WAIT_S).returncode, 0)

    def test_envelope_and_headers(self):
        with Relay([f"127.0.0.1:{free_port()}"], queue=SLOW) as relay:
            relay.start()
            send(relay, b"Subject: one\r\n two\r\nX-Last: 1\r\n\r\nbody\r\n",
                 options=["BODY=8BITMIME", "RET=HDRS", "ENVID=QQ1"], rcpt_options=["NOTIFY=FAILURE"])
            ident = only(relay)
            message = show(relay, ident)
            self.assertEqual((message["sender"], message["helo"], message["client_address"], message["body"],
                              message["ret"], message["envelope_id"]),
                             ("a@src.test", "client.test", "127.0.0.1", "8BITMIME", "HDRS", "QQ1"))
            self.assertEqual(message["recipients"][0]["notify"], "FAILURE")
            self.assertTrue(message["headers"].startswith("Received: "))
            self.assertTrue(message["headers"].endswith("Subject: one\r\n two\r\nX-Last: 1\r\n"))
            _, out, _ = ask(relay, "show", ident)
            self.assertIn(b"\n    Subject: one\n     two\n    X-Last: 1\n", out)
            self.assertNotIn(b"body\n", out)

    def test_content_is_what_was_sent(self):
        large = b"".join(b"%07d " % i + os.urandom(30).hex().encode() + b"\r\n" for i in range(75_000))
        bodies = [b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\nend\r\n", b"Subject: large\r\n\r\n" + large]
        with Relay([f"127.0.0.1:{free_port()}"], queue=SLOW) as relay:
            relay.start()
            for body in bodies:
                send(relay, body)

            def check():
                found = set()
                for message in relay.queue():
                    code, out, err = ask(relay, "show", message["id"], "--content")
                    self.assertEqual(code, 0, err)
                    headers = show(relay, message["id"])["headers"].encode()
                    self.assertTrue(out.startswith(headers))
                    added = out.index(b"Subject: ")
                    self.assertTrue(out.startswith(b"Received: "))
                    found.add(out[added:])
                self.assertEqual(found, set(bodies))

            check()
            self.assertEqual(relay.stop(), 0)  # from now on it comes from the disk
            relay.start()
            check()
            # A reader who goes in the middle, or stops reading, keeps nobody from stopping.
            ident = max(relay.queue(), key=lambda m: m["size_bytes"])["id"]
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(relay.control))
                client.sendall(json.dumps({"command": "queue content", "id": ident}).encode() + b"\n")
                self.assertTrue(client.recv(1000).startswith(b'{"item":{"base64":"'))
                self.assertEqual(relay.stop(), 0)

    def test_a_message_that_is_gone_is_a_sentence(self):
        with Recorder() as hop, Relay([hop.host]) as relay:
            relay.start()
            send(relay, b"Subject: x\r\n\r\nHello.\r\n")
            hop.wait_for(1)
            ident = re.search(r" reception .* id=(\w{13}) ", relay.log())[1]
            wait_until(lambda: not relay.queue(), "an empty queue")
            for words in (["show", ident], ["show", ident, "--content"], ["explain", ident]):
                code, out, err = ask(relay, *words)
                self.assertEqual((code, out), (1, b""))
                self.assertRegex(err, r"no message \w+ is in the queue; it may have left it")

    def test_explains_time(self):
        with Recorder(refuse={b"<b@dst.test>": b"450 4.2.1 Greylisted"}) as hop, Relay([hop.host], queue=SLOW) as relay:
            relay.start()
            send(relay, b"Subject: x\r\n\r\nHello.\r\n", recipients=["b@dst.test"])
            ident = only(relay)
            wait_until(lambda: explain(relay, ident)[0].get("time", {}).get("last_reply"), "a planned attempt")
            time = explain(relay, ident)[0]["time"]
            self.assertEqual((time["attempts"], time["last_reply"], time["last_next_hop"]),
                             (1, "450 4.2.1 Greylisted", hop.host))
            self.assertGreater(time["next_attempt_in_s"], 3000)
            code, out, _ = ask(relay, "explain", ident)
            self.assertEqual(code, 0)
            self.assertRegex(out.decode(), r"<b@dst.test> waits for the 2nd attempt, at \S+ \(in \S+\)\. At the last "
                             r"attempt, the 1st, \S+ answered: 450 4.2.1 Greylisted\nIt is given up at ")

    def test_explains_hosts_that_do_not_serve(self):
        hosts = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        with Relay(hosts, shards=1, queue=SLOW) as relay:
            relay.start()
            for _ in range(3):
                send(relay, b"Subject: x\r\n\r\nHello.\r\n")

            def waiting():
                for message in relay.queue():
                    situations, told = explain(relay, message["id"])
                    if "site" in situations:
                        return situations["site"]["text"], told
                return None

            text, told = wait_until(waiting, "a message that waits for its site")
            for host in hosts:
                self.assertRegex(text, host + r" \([^)]*refused[^)]*\)")
            self.assertFalse(told["site"]["serves"])
            self.assertEqual([one["name"] for one in told["site"]["hosts"]], hosts)

    def test_explains_the_limit_of_connections(self):
        with SilentHop() as hop, Relay([hop.host], shards=1, queue=SLOW) as relay:
            relay.config.write_text(relay.config.read_text() + "connections = 1\n")  # of the route
            relay.start()
            for _ in range(4):
                send(relay, b"Subject: x\r\n\r\nHello.\r\n")

            def situations():
                return sorted(name for message in relay.queue() for name in explain(relay, message["id"])[0])

            wait_until(lambda: situations() == ["attempt", "connections", "connections", "connections"],
                       "one attempt, and three that wait")
            waiting = next(told for message in relay.queue()
                           for names, told in [explain(relay, message["id"])] if "connections" in names)
            self.assertEqual((waiting["site"]["connections"], waiting["site"]["connections_max"],
                              waiting["site"]["ready"]), (1, 1, 3))
            self.assertIn("1 of 1 are in use; 3 messages are ready for it", waiting["text"][0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
