"""The relays that are compared, each started once for a run, with a sink of its own behind it.

All of them answer 250 only when the message is on disk. Logs and counters go to memory, spools to the disk that is
measured.
"""

import abc
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

from meters import Group

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
PEERS = TOP / "build/peers"
POSTFIX = PEERS / "postfix"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as probe:
            return probe.recv(3) == b"220"
    except OSError:
        return False


def wait_for(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def postfix_tool(name, *arguments):
    return ["env", f"LD_LIBRARY_PATH={POSTFIX}/usr/lib/postfix", str(POSTFIX / "usr/sbin" / name),
            *map(str, arguments)]


class Sink:
    """Postfix's smtp-sink, for as long as the side runs: relays keep their connections from pass to pass. It counts
    into a file in memory (told to end by a count of its own, it would lose its last reply)."""

    def __init__(self, port, group):
        self.port = port
        self.seen = 0
        self.log = tempfile.NamedTemporaryFile(prefix="ringpost-sink-", dir="/dev/shm")
        self.process = subprocess.Popen(
            postfix_tool("smtp-sink", "-c", "-m", "1000", "-u", "nobody", f"127.0.0.1:{port}", 1000),
            stdout=self.log, stderr=subprocess.DEVNULL, preexec_fn=group.join)

    def wait(self):
        wait_for(lambda: answers(self.port), "smtp-sink")

    def messages(self):
        """How many it has taken in all."""
        size = os.fstat(self.log.fileno()).st_size
        tail = os.pread(self.log.fileno(), 200, max(0, size - 200)).decode()
        if counts := re.findall(r"mesg=(\d+)\s*\r", tail):
            self.seen = int(counts[-1])
        return self.seen

    def trim(self):
        """Between passes: gives back the file's memory. The sink goes on where it was, behind a hole."""
        self.messages()
        os.ftruncate(self.log.fileno(), 0)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


class Side(abc.ABC):
    """A relay between a source and a sink. `group` is its own CPU account, `load` that of source and sink. Made, then
    started; close() undoes as much as was done."""

    name = ""

    def __init__(self, disk):
        self.disk = disk
        self.port = free_port()
        self.sink_port = free_port()
        self.spool = disk.folder / self.name
        self.scratch = tempfile.TemporaryDirectory(prefix="ringpost-bench-", dir="/dev/shm")
        self.group = Group(self.name)
        self.load = Group(self.name + "-load")
        self.process = None
        self.sink = None

    def start(self):
        self.spool.mkdir()
        self.sink = self.make_sink()
        with open(pathlib.Path(self.scratch.name) / "log", "wb") as log:
            self.process = subprocess.Popen(list(map(str, self.command())), stdout=log, stderr=log,
                                            preexec_fn=self.group.join)
        self.sink.wait()
        wait_for(lambda: answers(self.port), f"{self.name} on port {self.port}")

    def make_sink(self):
        return Sink(self.sink_port, self.load)

    @abc.abstractmethod
    def command(self):
        """What runs it, in the foreground."""

    def file(self, name, text):
        path = pathlib.Path(self.scratch.name) / name
        path.write_text(text)
        return path

    def close(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.sink:
            self.sink.close()
        self.group.close()
        self.load.close()
        self.scratch.cleanup()


class Ringpost(Side):
    """`top` and `sections` go into its configuration: keys of the top level, and whole sections."""

    def __init__(self, disk, binary, sections="", top="", name="ringpost"):
        self.name = name
        super().__init__(disk)
        self.binary = binary
        self.sections = sections
        self.top = top

    def command(self):
        config = self.file("ringpost.toml", f"""hostname = "relay.example.test"
spool = "{self.spool}/spool"
control = "{self.scratch.name}/control.sock"
{self.top}[[listener]]
protocol = "smtp"
address = "127.0.0.1:{self.port}"
[relay]
networks = ["127.0.0.0/8"]
[[route]]
hosts = ["127.0.0.1:{self.sink_port}"]
{self.sections}""")
        return [self.binary, "serve", "--config", config]


class Postfix(Side):
    """Stock, out of its Debian package (tools/dev peer postfix), in an overlay of its own."""

    name = "postfix"

    def command(self):
        return [HERE / "postfix_in_overlay.sh", POSTFIX, self.spool, self.scratch.name + "/root", self.port,
                self.sink_port]


class Floor(Side):
    """bench/floor: the bare loop, which only moves bytes."""

    name = "floor"

    def __init__(self, disk, binary):
        super().__init__(disk)
        self.binary = binary

    def command(self):
        return [self.binary, self.port, self.sink_port, self.spool]


class Direct:
    """No relay: the source talks to the sink."""

    name = "direct"

    def __init__(self):
        self.group = None
        self.load = Group("direct-load")
        self.port = free_port()
        self.sink = None

    def start(self):
        self.sink = Sink(self.port, self.load)
        self.sink.wait()

    def close(self):
        if self.sink:
            self.sink.close()
        self.load.close()


def prepare():
    """First of all: what is told to end cleans up, and Postfix's package is there."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    subprocess.run([str(TOP / "tools/dev"), "peer", "postfix"], check=True, stdout=subprocess.DEVNULL)


def other_binary(options):
    binary = getattr(options, "other_binary", None)
    if not binary:
        raise SystemExit("the side `other` needs --other-binary, which `relay` takes")
    return binary


def open_sides(names, disk, options):
    """All of them, or none: when one fails, the others are closed again."""
    makers = {"ringpost": lambda: Ringpost(disk, options.binary), "postfix": lambda: Postfix(disk),
              "other": lambda: Ringpost(disk, other_binary(options), name="other"),
              "floor": lambda: Floor(disk, options.floor_binary), "direct": Direct}
    sides = []
    try:
        for name in names:
            sides.append(makers[name]())
            sides[-1].start()
    except BaseException:
        close_sides(sides)
        raise
    return sides


def close_sides(sides):
    for side in sides:
        side.close()
