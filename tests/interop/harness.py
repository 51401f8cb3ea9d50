"""What the interop tests share: a running ringpost, next hops that record, and ports.

Relay runs the real binary with a configuration of its own in a folder of its own. Recorder is a next hop that keeps the
exact bytes of each message, which no packaged server does; where bytes are not the point, Postfix's smtp-sink serves.
All traffic stays on 127.0.0.1.
"""

import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import time

RINGPOST = os.environ.get("RINGPOST", "build/release/ringpost")
WAIT_S = 60  # the longest wait for anything; not a measure of speed


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=WAIT_S):
    """Polls `condition` until it gives something true, and gives that back; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for: {what}")
        time.sleep(0.02)


def connects(port):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


# So many failures to one domain are no backscatter here: each sender is to be told.
ALL_ARE_TOLD = """
[limits]
notifications = 1000000
notifications_per_domain = 1000000
"""


# Segments and checkpoints that come and go many times a second under load; what is stuck is tried now and then.
SMALL_SPOOL = """
[store]
segment_size = "512KiB"
checkpoint_every = "256KiB"
"""
STUCK_RETRY = {"retry": '["1s", "5s", "15s"]'}


class Relay:
    """A ringpost of its own: configuration, spool, log. Start it with start(), end it with stop() or kill()."""

    def __init__(self, hosts, shards=2, extra="", queue=None, domains='["dst.test"]', networks=None,
                 listener="", folder=None, spool=None):
        self.folder = pathlib.Path(folder or tempfile.mkdtemp(prefix="ringpost-interop-"))
        self.port = free_port()
        self.spool = pathlib.Path(spool or self.folder / "spool")
        self.config = self.folder / "ringpost.toml"
        self.control = self.folder / "control.sock"
        self.log_path = self.folder / "log"
        queue = {"retry": '["1s"]', "expire": '"5d"'} | (queue or {})
        times = "\n".join(f"{key} = {value}" for key, value in queue.items())
        networks = '["127.0.0.0/8", "::1/128"]' if networks is None else networks
        quoted = ", ".join(f'"{host}"' for host in hosts)
        self.config.write_text(f"""hostname = "relay.example.test"
spool = "{self.spool}"
control = "{self.control}"
shards = {shards}
{extra}
[[listener]]
protocol = "smtp"
address = "127.0.0.1:{self.port}"
{listener}
[relay]
networks = {networks}
domains = {domains}

[queue]
{times}

[[route]]
hosts = [{quoted}]
""")
        self.process = None

    def start(self, *options, files_max=None):
        """`options`: further ones of `ringpost serve`. `files_max`: how many files it may have open."""
        self.launch(*options, files_max=files_max)
        try:
            wait_until(self._up, "the relay's port")
        except AssertionError:
            print(self.log(), file=sys.stderr)
            raise
        return self

    def launch(self, *options, files_max=None):
        """As start(), without waiting."""
        assert self.process is None

        def limit_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))

        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([RINGPOST, "serve", "--config", str(self.config), *options], stderr=log,
                                        stdout=log, stdin=subprocess.DEVNULL,
                                        preexec_fn=files_max and limit_files)
        log.close()

    def _up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"ringpost ended with {self.process.returncode}:\n{self.log()}")
        with socket.socket(socket.AF_UNIX) as control:  # the last thing that a start opens
            return control.connect_ex(str(self.control)) == 0 and connects(self.port)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self):
        """A clean stop; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_S)
        self.process = None
        return code

    def kill(self):
        """Gives the exit code, which is its own where it had ended before."""
        self.process.kill()
        code = self.process.wait(WAIT_S)
        self.process = None
        return code

    def queue(self):
        listing = subprocess.run(
            [RINGPOST, "queue", "list", "--json", "--config", str(self.config)],
            check=True, capture_output=True, timeout=WAIT_S).stdout
        return [json.loads(line) for line in listing.splitlines()]

    def close(self):
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(f"--- log of the relay\n{self.log()[-8000:]}\n{self.situation()}---", file=sys.stderr)
        self.close()

    def situation(self):
        """What is queued, and why: of one that waits in vain."""
        if self.process is None or self.process.poll() is not None:
            return ""
        try:
            ids = [message["id"] for message in self.queue()[:5]]
            return "".join(subprocess.run([RINGPOST, "queue", *words, "--config", str(self.config)], check=False,
                                          capture_output=True, text=True, timeout=WAIT_S).stdout
                           for words in [["stats"], *(["explain", one] for one in ids)])
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            return f"{error}\n"


class Message:
    """What a Recorder got in one transaction, and when: the paths as sent, and the bytes of the content without
    dot-stuffing."""

    def __init__(self, sender, recipients, content):
        self.sender = sender
        self.recipients = recipients
        self.content = content
        self.time_ns = time.monotonic_ns()

    def without_trace(self):
        """The content behind the Received header that ringpost put on top."""
        lines = self.content.split(b"\r\n")
        assert lines[0].startswith(b"Received: "), lines[0]
        first = 1
        while first < len(lines) and lines[first][:1] in (b" ", b"\t"):
            first += 1
        return b"\r\n".join(lines[first:])


class Recorder:
    """An SMTP next hop that keeps every message. `extensions`: its EHLO keywords. `answers`: {"RCPT": [b"450 …", …]} gives
    the replies for the first commands of that name (also "MAIL", "DATA", "DOT", "EHLO", "BDAT"); then all is accepted, but
    for the recipients in `refuse`: {b"<b@dst.test>": b"450 …"}."""

    def __init__(self, extensions=("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 104857600"), port=0, answers=None, refuse=None):
        self.extensions = extensions
        self.refuse = refuse or {}
        self.messages = []
        self.commands = []
        self.connections = 0
        self.answers = {verb: list(replies) for verb, replies in (answers or {}).items()}
        self.lock = threading.Lock()
        outer = self

        class Connection(socketserver.StreamRequestHandler):
            rbufsize = 1 << 20

            def handle(self):
                outer._count(1)
                try:
                    outer._converse(self.rfile, self.wfile)
                except (ConnectionError, BrokenPipeError):
                    pass
                finally:
                    outer._count(-1)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 512

        self.server = Server(("127.0.0.1", port), Connection)
        self.port = self.server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def take(self):
        """What came since the last take()."""
        with self.lock:
            messages, self.messages = self.messages, []
        return messages

    def _count(self, change):
        with self.lock:
            self.connections += change

    def wait_for(self, count):
        wait_until(lambda: len(self.messages) >= count, f"{count} messages at the next hop")
        return self.messages

    def _answer(self, verb, default):
        with self.lock:
            replies = self.answers.get(verb)
            return replies.pop(0) if replies else default

    def _recipient(self, path):
        return self.refuse.get(path, b"250 2.1.5 Ok")

    def _converse(self, lines, out):
        sender, recipients, chunks = None, [], []

        def say(line):
            out.write(line + b"\r\n")
            out.flush()

        say(b"220 recorder.test ESMTP")
        while True:
            line = lines.readline(65536)
            if not line:
                return
            command = line.rstrip(b"\r\n")
            verb = command[:4].upper().decode("latin-1")
            with self.lock:
                self.commands.append(command)
            if verb == "EHLO":
                answer = self._answer("EHLO", None)
                if answer:
                    say(answer)
                    continue
                keywords = [b"recorder.test"] + [keyword.encode() for keyword in self.extensions]
                for keyword in keywords[:-1]:
                    out.write(b"250-" + keyword + b"\r\n")
                say(b"250 " + keywords[-1])
            elif verb == "HELO":
                say(b"250 recorder.test")
            elif verb == "MAIL":
                answer = self._answer("MAIL", b"250 2.1.0 Ok")
                if answer.startswith(b"2"):
                    sender, recipients, chunks = command[10:], [], []
                say(answer)
            elif verb == "RCPT":
                answer = self._answer("RCPT", self._recipient(command[8:]))
                if answer.startswith(b"2"):
                    recipients.append(command[8:])
                say(answer)
            elif verb == "DATA":
                answer = self._answer("DATA", b"354 Go on")
                say(answer if recipients else b"554 5.5.1 No valid recipients")
                if recipients and answer.startswith(b"354"):
                    self._take(sender, recipients, self._read_data(lines), "DOT", say)
                    sender, recipients = None, []
            elif verb == "BDAT":
                words = command.split()
                size = int(words[1])
                chunk = b""
                while len(chunk) < size:
                    piece = lines.read(size - len(chunk))
                    if not piece:
                        return
                    chunk += piece
                chunks.append(chunk)
                if len(words) > 2:
                    self._take(sender, recipients, b"".join(chunks), "BDAT", say)
                    sender, recipients, chunks = None, [], []
                else:
                    say(b"250 2.0.0 Ok")
            elif verb in ("RSET", "NOOP"):
                sender, recipients, chunks = None, [], []
                say(b"250 2.0.0 Ok")
            elif verb == "QUIT":
                say(b"221 2.0.0 Bye")
                return
            else:
                say(b"500 5.5.2 What?")

    def _take(self, sender, recipients, content, verb, say):
        answer = self._answer(verb, b"250 2.0.0 Ok: recorded")
        if answer == b"drop":
            raise ConnectionError
        if answer.startswith(b"2"):
            with self.lock:
                self.messages.append(Message(sender, list(recipients), content))
        say(answer)

    @staticmethod
    def _read_data(lines):
        content = []
        while True:
            line = lines.readline()
            if not line:
                raise ConnectionError
            if line == b".\r\n":
                return b"".join(content)
            content.append(line[1:] if line.startswith(b".") else line)


def raw_session(port, script):
    """Sends `script` (bytes, or a list of pieces sent one by one) after the greeting; gives all that came back until the
    server closes. For what no client library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        replies = b""
        while b"\r\n" not in replies:
            replies += connection.recv(4096)
        for piece in [script] if isinstance(script, bytes) else script:
            connection.sendall(piece)
            time.sleep(0)
        while True:
            try:
                piece = connection.recv(65536)
            except ConnectionResetError:
                return replies
            if not piece:
                return replies
            replies += piece
