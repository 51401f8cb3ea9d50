"""The relays whose power is cut: ringpost, and a stock Postfix.

Each has start(), launch() (without waiting), ended(), kill(), queue() and log(), and says what the rounds may expect of it.
"""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TOP / "tests/interop"))

from disk import dies_with_parent
from harness import ALL_ARE_TOLD, SMALL_SPOOL, STUCK_RETRY, Relay, connects, free_port, wait_until

FATAL_EXIT = 75  # src/io/uring/fatal.cc
FATAL = re.compile(r"^ringpost: fatal: cannot (write the log|sync the log|write moved mail|prepare a segment) in .*; check the disk, ", re.M)


class Ringpost(Relay):
    ends_when_a_sync_fails = True
    disk_knows_it = True

    def __init__(self, spool, recorder, kind):
        small = kind != "commit"
        super().__init__([recorder.host], extra=ALL_ARE_TOLD + (SMALL_SPOOL if small else ""), spool=spool / "spool",
                         queue=STUCK_RETRY if small else None)
        self.options = []
        self.log_read = 0

    def launch(self):
        super().launch(*self.options)

    def start(self):
        self.launch()
        wait_until(self._up, "the relay's port")

    def ended(self):
        return self.process.poll() is not None

    def kill(self, starting=False):
        """It may have ended by itself, for want of a disk: as one does who says so, and not otherwise. `starting`: it may
        have refused to start."""
        code = super().kill()
        if starting and code == 1:
            self.log_read = len(self.log())
            return code
        said = FATAL.search(self.log(), self.log_read)
        self.log_read = len(self.log())
        if code not in (-signal.SIGKILL, FATAL_EXIT) or (code == FATAL_EXIT and not said and not self.options):
            raise AssertionError(f"the relay ended with {code}, and said {said and said[0]}")
        return code

    def queue(self):
        """Without what can never leave, since it cannot be read: the ledger calls that lost."""
        return [message for message in super().queue() if message["state"] != "held"]


class Postfix:
    """Out of its Debian package, in a process namespace of its own, so that all of it dies at once."""

    ends_when_a_sync_fails = False
    disk_knows_it = False
    # As soon as ringpost, about.
    SETTINGS = ("minimal_backoff_time=1s", "maximal_backoff_time=15s", "queue_run_delay=1s")

    def __init__(self, spool, recorder, kind):
        self.settings = self.SETTINGS if kind != "commit" else ()
        self.port = free_port()
        self.next_hop = recorder.port
        self.spool = spool / "postfix"
        self.spool.mkdir()
        subprocess.run(["sync", "--file-system", str(self.spool)], check=True)  # as its installation would
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="powercut-postfix-"))
        self.process = None

    def start(self):
        self.launch()
        wait_until(self._up, "Postfix's port")

    def launch(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--pid", "--fork", "--kill-child", str(TOP / "bench/relay/postfix_in_overlay.sh"),
                 str(TOP / "build/peers/postfix"), str(self.spool), str(self.folder / "root"), str(self.port),
                 str(self.next_hop), "maillog_file=", *self.settings],  # what is said before its own logger runs has nowhere to go
                stdout=log, stderr=log, preexec_fn=dies_with_parent)

    def _up(self):
        if self.process.poll() is not None:
            raise AssertionError(f"Postfix ended with {self.process.returncode}:\n{self.log()}")
        return connects(self.port)

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def ended(self):
        return False

    def kill(self, starting=False):
        if self.process.poll() is None:
            children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
            for child in children.split():
                os.kill(int(child), signal.SIGKILL)  # the namespace's init: all others go before it is gone
            self.process.wait()

    def queue(self):
        """The files of whole messages."""
        return [path for name in ("maildrop", "incoming", "active", "deferred")
                for path in (self.spool / name).rglob("*") if self._whole(path)]

    @staticmethod
    def _whole(path):
        """Where writing was cut off it is not executable, or has a dot in its name."""
        try:
            return path.is_file() and "." not in path.name and path.stat().st_mode & 0o100
        except FileNotFoundError:
            return False

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(f"--- log of Postfix\n{self.log()[-8000:]}\n---", file=sys.stderr)
        if self.process is not None:
            self.kill()
        shutil.rmtree(self.folder)
