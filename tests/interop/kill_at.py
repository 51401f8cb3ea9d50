"""kill_at.py PID KIND SPOOL SKIP DELAY_MS: kills the process when a thing of that kind has begun in its spool: a
"checkpoint", a "rotation" (a segment is made or recycled), or "cleaning" (mail was moved, and the log is about to tell).

Skips so many of them first, and waits so long behind the last. A process of its own, so that what else the test does
delays nothing. Ends with 1, and kills all the same, where none comes within ten seconds.
"""

import ctypes
import os
import pathlib
import select
import signal
import struct
import sys
import time

from spool_files import TEMPORARY, is_of_the_cleaner

IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE = 0x2, 0x40, 0x80, 0x100
EVENT = struct.Struct("iIII")
WAIT_S = 10


class Watch:
    def __init__(self, kind, spool):
        self.kind = kind
        self.file = ctypes.CDLL(None, use_errno=True).inotify_init1(0)
        self.folders = {}
        self.of_the_cleaner = {}  # path → whether it is
        mask = IN_MOVED_FROM | (IN_MODIFY if kind == "cleaning" else IN_CREATE | IN_MOVED_TO)
        for folder in pathlib.Path(spool).glob("p*"):
            number = ctypes.CDLL(None).inotify_add_watch(self.file, os.fsencode(folder), mask)
            self.folders[number] = folder

    def begins(self):
        """How many things began in what happened since the last call; waits for something to happen."""
        if not select.select([self.file], [], [], 1)[0]:
            return 0
        data, at, count = os.read(self.file, 1 << 16), 0, 0
        while at < len(data):
            number, mask, _, size = EVENT.unpack_from(data, at)
            name = data[at + EVENT.size:at + EVENT.size + size].rstrip(b"\0").decode()
            at += EVENT.size + size
            count += number in self.folders and self._is_one(self.folders[number] / name, mask)
        return count

    def _is_one(self, path, mask):
        if mask & IN_MOVED_FROM:
            self.of_the_cleaner.pop(path, None)  # its number is never used again
            return False
        if self.kind != "cleaning":
            return path.name in TEMPORARY[self.kind]
        if path.suffix != ".seg":
            return False
        if path not in self.of_the_cleaner:
            try:
                self.of_the_cleaner[path] = is_of_the_cleaner(path)
            except OSError:
                return False
        return self.of_the_cleaner[path]


def main():
    pid, kind, spool, skip, delay_ms = sys.argv[1:]
    left = int(skip) + 1
    watch = Watch(kind, spool)
    end = time.monotonic() + WAIT_S
    while left > 0 and time.monotonic() < end:
        left -= watch.begins()
    time.sleep(float(delay_ms) / 1000)
    os.kill(int(pid), signal.SIGKILL)
    return 0 if left <= 0 else 1


if __name__ == "__main__":
    sys.exit(main())
