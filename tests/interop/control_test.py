"""The operator's commands over the queue: hold, release, retry, bounce, delete, stats, with every kind of filter."""

import json
import smtplib
import socket
import subprocess
import unittest

from harness import RINGPOST, WAIT_S, Recorder, Relay, wait_until

DOMAINS = ("x.test", "y.test", "sub.x.test")
BODY = b"Subject: control\r\n\r\nHello.\r\n"


def send(relay, sender, recipients):
    with smtplib.SMTP("127.0.0.1", relay.port, "client.test", timeout=WAIT_S) as client:
        client.sendmail(sender, recipients, BODY)


def command(relay, *words, code=0):
    done = subprocess.run([RINGPOST, "queue", *words, "--config", str(relay.config)],
                          capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == code, f"{words}: {done.returncode} {done.stdout} {done.stderr}"
    return done.stdout + done.stderr


def carried_out(relay, *words):
    return json.loads(command(relay, *words, "--wait", "--json"))


class Control(unittest.TestCase):
    def waiting(self, relay):
        """Six messages, of two senders to three domains each, of which the next hop takes none yet."""
        for sender in ("a@one.test", "b@two.test"):
            for domain in DOMAINS:
                send(relay, sender, [f"r@{domain}"])
        wait_until(lambda: [m["recipients"][0]["attempts"] for m in relay.queue()] == [1] * 6, "six that were tried")

    def setUp(self):
        self.recorder = Recorder(refuse={f"<r@{domain}>".encode(): b"450 4.2.1 Later" for domain in DOMAINS})
        self.addCleanup(self.recorder.close)
        self.relay = Relay([self.recorder.host], queue={"retry": '["1h"]'},
                           domains='["x.test", "y.test", "sub.x.test"]')
        self.addCleanup(self.relay.close)
        self.relay.start()
        self.waiting(self.relay)

    def take_all(self):
        self.recorder.refuse = {}
        return self.recorder

    def states(self, **words):
        options = [item for key, value in words.items() for item in (f"--{key}", value)]
        listing = command(self.relay, "list", "--json", *options)
        return sorted((m["sender"], m["recipients"][0]["address"], m["state"])
                      for m in map(json.loads, listing.splitlines()))

    def answer(self, request):
        """The first line of what a client hears that is not `ringpost queue`."""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(WAIT_S)
            control.connect(str(self.relay.control))
            control.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(control.makefile().readline())

    def test_hold_survives_kill_and_release_lets_go(self):
        done = carried_out(self.relay, "hold", "--domain", "*.x.test")
        self.assertTrue(done["done"])
        self.assertEqual((done["messages"], done["recipients"]), (2, 2))
        self.relay.kill()
        self.relay.start()
        self.assertEqual(self.states(state="held"), [("a@one.test", "r@sub.x.test", "held"),
                                                     ("b@two.test", "r@sub.x.test", "held")])
        recorder = self.take_all()
        self.assertIn("4 messages", command(self.relay, "retry", "--state", "deferred", "--wait"))
        recorder.wait_for(4)
        self.assertEqual(carried_out(self.relay, "release", "--sender", "@one.test")["messages"], 1)
        recorder.wait_for(5)
        self.assertEqual(len(self.relay.queue()), 1)
        command(self.relay, "release", "--all")
        recorder.wait_for(6)
        wait_until(lambda: not self.relay.queue(), "an empty queue")
        self.assertEqual(len(recorder.messages), 6)

    def test_delete_and_bounce(self):
        ids = [json.loads(line)["id"] for line in command(self.relay, "list", "--json", "--tenant", "one.test").splitlines()]
        self.assertEqual(len(ids), 3)
        self.assertEqual(carried_out(self.relay, "delete", *ids[:2])["messages"], 2)
        self.assertEqual(len(self.relay.queue()), 4)
        wait_until(lambda: "deleted=1" in self.relay.log(), "a line about it")
        recorder = self.take_all()
        done = carried_out(self.relay, "bounce", "--recipient", "r@y.test", "--reason", "the site has closed")
        bounces = recorder.wait_for(done["messages"])
        self.assertIn(b"<b@two.test>", [b.recipients[0] for b in bounces])
        self.assertIn(b"the site has closed", bounces[0].content)
        self.assertIn(b"Status: 5.7.1", bounces[0].content)

    def test_a_bounce_that_waits_for_its_limit_is_shown_and_may_be_deleted(self):
        self.relay.close()
        self.relay = Relay([self.recorder.host], queue={"retry": '["1h"]'}, extra="limits.notifications_per_domain = 1",
                           domains='["x.test", "y.test", "sub.x.test"]', shards=1)
        self.addCleanup(self.relay.close)
        self.relay.start()
        self.waiting(self.relay)
        self.take_all()
        said = command(self.relay, "bounce", "--tenant", "one.test", "--reason", "sent by mistake")
        self.assertIn("whose senders cannot be told yet", said)
        wait_until(lambda: len(self.relay.queue()) == 5, "one that is told")
        shown = command(self.relay, "list", "--tenant", "one.test", "--state", "deferred")
        self.assertEqual(shown.count("to be bounced"), 2, shown)
        self.assertIn('rule 1, bounce --tenant one.test: 1 message bounced, waiting', command(self.relay, "stats"))
        rule = json.loads(command(self.relay, "stats", "--json"))["rules"][0]
        self.assertEqual((rule["filter"], rule["reason"], rule["done"]), ({"tenant": "one.test"}, "sent by mistake", False))
        self.assertEqual(carried_out(self.relay, "delete", "--all")["messages"], 5)
        self.assertEqual(json.loads(command(self.relay, "stats", "--json"))["rules"], [])
        full = subprocess.run([RINGPOST, "queue", "stats", "--config", str(self.relay.config)],
                              stdout=open("/dev/full", "w"), stderr=subprocess.PIPE, timeout=WAIT_S, check=False)
        self.assertEqual(full.returncode, 1)
        self.assertIn(b"cannot write the answer to standard output: No space left on device", full.stderr)

    def test_later_mail_is_not_meant(self):
        carried_out(self.relay, "delete", "--all")
        self.assertEqual(self.relay.queue(), [])
        send(self.relay, "late@one.test", ["r@x.test"])
        self.assertEqual(len(self.relay.queue()), 1)

    def test_lists_and_counts_by_filter(self):
        self.assertEqual([s[1] for s in self.states(sender="a@ONE.test", domain="x.test")], ["r@x.test"])
        self.assertEqual(len(self.states(tenant="two.test")), 3)
        self.assertEqual(self.states(state="held"), [])
        ids = [m["id"] for m in self.relay.queue()]
        listed = command(self.relay, "list", "--json", "--state", "held", "--state", "deferred", *ids[:2]).splitlines()
        self.assertEqual([json.loads(line)["id"] for line in listed], ids[:2])
        self.assertEqual(command(self.relay, "list", "--json", "--older-than", "1h", ids[0]), "")
        self.assertEqual(len(command(self.relay, "list", "--json", "--limit", "1", *ids).splitlines()), 1)
        self.assertEqual(len(self.states(**{"newer-than": "1h"})), 6)
        self.assertEqual(len(self.states(**{"older-than": "1h"})), 0)
        totals = json.loads(command(self.relay, "stats", "--json"))
        self.assertGreater(totals["store"]["log_bytes"], 0)
        self.assertEqual(totals["messages"], 6)
        self.assertEqual(totals["rules"], [])
        self.assertTrue(totals["next_hops"][0]["serves"])
        by = {one["domain"]: one["recipients"]
              for one in map(json.loads, command(self.relay, "stats", "--by", "domain", "--json").splitlines())}
        self.assertEqual(by, {"x.test": 2, "y.test": 2, "sub.x.test": 2})
        self.assertIn("6 messages", command(self.relay, "stats"))
        self.assertIn("sub.x.test", command(self.relay, "stats", "--by", "domain"))

    def test_what_is_wrong_is_a_sentence(self):
        self.assertIn("which messages?", command(self.relay, "hold", code=2))
        self.assertIn("is no address", command(self.relay, "hold", "--sender", "one.test", code=2))
        self.assertIn("is no domain", command(self.relay, "hold", "--domain", "a@one.test", code=2))
        self.assertIn("none of pending", command(self.relay, "list", "--state", "lost", code=2))
        self.assertIn("no message 7VVVV00000001 is in the queue", command(self.relay, "delete", "7VVVV00000001", code=1))
        self.assertIn("--all goes with no other", command(self.relay, "hold", "--all", "--domain", "x.test", code=2))
        self.assertIn("no message 7VVVV00000001 is in the queue", command(self.relay, "list", "7VVVV00000001", code=1))
        self.assertIn("to mean any", command(self.relay, "hold", "--sender", "", "--domain", "x.test", code=2))
        self.assertEqual([m["state"] for m in self.relay.queue()], ["deferred"] * 6)

    def test_a_request_that_is_nonsense_costs_nothing_else(self):
        """As one could send it who speaks to the socket without `ringpost queue`."""
        for request in ({"command": "queue hold", "wait": "x"}, {"command": "queue stats", "by": 7},
                        {"command": "queue delete", "states": 5}, {"command": "queue delete", "ids": {"a": 1}},
                        {"command": "queue delete", "older_than_s": "soon"}):
            self.assertIn("error", self.answer(request), request)
        self.assertEqual(len(self.relay.queue()), 6)

    def test_an_empty_or_misspelt_filter_means_nothing(self):
        for action in ("hold", "release", "retry", "bounce", "delete"):
            for request in ({}, {"all": False}, {"ids": []}, {"states": []}, {"all": True, "domain": "x.test"},
                            {"sendr": "a@one.test"}, {"all": True, "sendr": "a@one.test"}, {"id": "7VVVV00000001"},
                            {"sender": "", "domain": "x.test"}, {"sender": "@", "domain": "x.test"}, {"domain": "*"}):
                self.assertIn("error", self.answer({"command": f"queue {action}", **request}), (action, request))
        self.assertIn('"reason" is no member', self.answer({"command": "queue hold", "all": True, "reason": "x"})["error"])
        for request in ({"command": "queue list", "state": "held"}, {"command": "queue list", "ids": []},
                        {"command": "queue stats", "all": True}, {"command": "queue show", "ident": "7VVVV00000001"}):
            self.assertIn("error", self.answer(request), request)
        self.assertEqual([m["state"] for m in self.relay.queue()], ["deferred"] * 6)
        self.assertEqual(self.answer({"command": "queue delete", "all": True, "wait": True})["item"]["messages"], 6)


if __name__ == "__main__":
    unittest.main(verbosity=2)
