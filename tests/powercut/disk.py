#!/usr/bin/env python3
"""A disk whose power can fail, with ext4 on it: volatile_disk (FUSE) → loop device → ext4.

    with VolatileDisk(sync_delay_ms=2) as disk:
        …                              # files below disk.folder
        disk.cut(seed=1)               # the power fails; all I/O gives EIO from now on
        …                              # end what has files open there
        disk.restart()                 # what was durable is back, the journal replayed

From the command line, with nothing else to learn, "a disk where a sync takes 2 ms":

    tests/powercut/disk.py --sync-delay-ms 2 -- COMMAND…

runs COMMAND with each {} replaced by the folder, and $VOLATILE_DISK_FOLDER naming it. Both need root, /dev/fuse and
loop devices; why_not() says what is missing. Program: $VOLATILE_DISK, or build/release/tests/powercut/volatile_disk.

An end by an exception, or by SIGTERM after ends_on_sigterm(), undoes everything. A program that calls own_mounts() first
leaves nothing but an empty folder even by a kill -9: its mounts are seen by itself alone and end with it, the loop device
lets go with the last mount, and the FUSE program ends with the thread that started it (use the main thread).
"""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("VOLATILE_DISK", str(TOP / "build/release/tests/powercut/volatile_disk"))
WAIT_S = 60  # the longest wait for anything; not a measure of speed
CAP_SYS_ADMIN = 21
CLONE_NEWNS = 0x20000
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)
namespace_made = False


def why_not():
    """A sentence about what is missing here, or None."""
    capabilities = re.search(r"CapEff:\s*(\w+)", pathlib.Path("/proc/self/status").read_text())[1]
    if not int(capabilities, 16) >> CAP_SYS_ADMIN & 1:
        return "power cuts need root (CAP_SYS_ADMIN), for mounts and loop devices"
    for device in ("/dev/fuse", "/dev/loop-control"):
        try:
            os.close(os.open(device, os.O_RDWR))
        except OSError as error:
            return f"power cuts need {device}: {error.strerror}"
    for tool in ("losetup", "mkfs.ext4", "mount", "umount"):
        if shutil.which(tool) is None:
            return f"power cuts need {tool}"
    free = subprocess.run(["losetup", "--find"], capture_output=True, text=True)
    if free.returncode != 0 or not os.path.exists(free.stdout.strip()):
        return f"power cuts need a free loop device: {free.stderr.strip() or free.stdout.strip()}"
    if not os.access(PROGRAM, os.X_OK):
        return f"power cuts need {PROGRAM}, which is not built"
    return None


def dies_with_parent():
    """For preexec_fn: SIGKILL when the thread that started this process ends."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def ends_on_sigterm():
    """SIGTERM becomes SystemExit, so that with-blocks and finally clean up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout.strip()


def wait_until(condition, what):
    end = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {WAIT_S} s in vain for: {what}")
        time.sleep(0.01)


@contextlib.contextmanager
def in_background(work):
    """`work` runs on a thread beside the with-block, which ends when both have."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def own_mounts():
    """From here on this thread, and what it starts, has mounts of its own, which end with the last of these processes.
    First thing in a program, before it has any disk."""
    global namespace_made
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "no mount namespace")
    run("mount", "--make-rslave", "/")
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[fields.index("-") + 2].startswith("/dev/loop"):  # others' disks, which we would keep from going
            libc.umount2(os.fsencode(fields[4]), MNT_DETACH)
    namespace_made = True


class VolatileDisk:
    """`direct`: whether the loop device goes around the page cache of the FUSE file (it must, to have several writes
    under way at once). `mount_options`: of ext4."""

    def __init__(self, size_mib=1024, sync_delay_ms=0.0, cache_mib=256, mount_options="defaults", direct=True):
        self.size_mib = size_mib
        self.sync_delay_ms = sync_delay_ms
        self.cache_mib = cache_mib
        self.mount_options = mount_options
        self.direct = direct
        self.place = None
        self.program = None
        self.loop = None

    @property
    def folder(self):
        """Where the file system is."""
        return self.place / "ext4"

    @property
    def file(self):
        """The disk as a file, below the loop device."""
        return self.place / "fuse" / "disk"

    def start(self):
        """The FUSE program, the loop device, mkfs, mount."""
        self.power_up()
        run("mkfs.ext4", "-q", "-F", "-b", "4096", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", str(self.file))
        self.command("delay", self.sync_delay_ms)
        self.mount()
        return self

    def power_up(self):
        """The FUSE program alone: the disk is there, and empty."""
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="volatile-disk-"))
        (self.place / "fuse").mkdir()
        self.folder.mkdir()
        self.program = subprocess.Popen(
            [PROGRAM, str(self.place / "fuse"), "--control", str(self.place / "control"), "--size-mib",
             str(self.size_mib), "--cache-mib", str(self.cache_mib), *["--leave"] * namespace_made], preexec_fn=dies_with_parent)
        wait_until(self._answers, "volatile_disk")
        return self

    def _answers(self):
        if self.program.poll() is not None:
            raise OSError(f"volatile_disk ended with {self.program.returncode}")
        try:
            return self.file.exists() and "power" in self.status()
        except OSError:
            return False

    def mount(self):
        direct = "--direct-io=on" if self.direct else "--direct-io=off"
        self.loop = run("losetup", "--find", "--show", direct, str(self.file))
        run("mount", "-t", "ext4", "-o", self.mount_options, self.loop, str(self.folder))
        run("losetup", "--detach", self.loop)  # when the mount goes

    def unmount(self):
        if os.path.ismount(self.folder):
            wait_until(lambda: libc.umount(os.fsencode(self.folder)) == 0, f"the end of what uses {self.folder}")
        if self.loop is not None:
            state = pathlib.Path("/sys/block") / pathlib.Path(self.loop).name / "loop/backing_file"
            wait_until(lambda: not state.exists() or self._gone(state), f"the end of what uses {self.loop}")
            self.loop = None

    def _gone(self, state):
        """Another may have taken the loop device meanwhile; ours may not have been mounted."""
        try:
            if str(self.place) not in state.read_text():
                return True
        except OSError:
            return True
        subprocess.run(["losetup", "--detach", self.loop], capture_output=True)
        return False

    def cut(self, seed, fate="any", moment="now", count=1, within_ms=500, behind=0):
        """The power fails: now, or at the count-th "write" or "sync" from now, or write of a "commit" of ringpost's log, a
        page of a "checkpoint", mail that was moved or word of it ("cleaning"), or a segment's header ("rotation"), and
        `behind` more writes and syncs; but within `within_ms`. `fate` of what is not durable: "drop", "mixed", "mostly"
        (kept), "any" of these. Gives when (time_ns, CLOCK_MONOTONIC), what became of the blocks (kept, dropped, torn), how
        many of them held commits, checkpoints, cleanings, rotations, and syncs_in_progress."""
        return self.command("cut", fate, seed, moment, count, within_ms, behind)

    def restart(self):
        """After a cut, when nothing has files open there any more."""
        self.unmount()
        self.command("restart")
        self.mount()

    def delay_syncs(self, milliseconds):
        self.sync_delay_ms = milliseconds
        self.command("delay", milliseconds)

    def fail_syncs(self, count, forget=False):
        """`forget`: what the first should have saved is dropped, and no sync succeeds until a restart; else a later sync may
        save it."""
        self.command("fail", count, *["forget"] * forget)

    def spoil(self, text=""):
        """Blocks that hold this word cannot be read (EIO) from now on; "" mends them."""
        self.command("spoil", text)

    def status(self):
        """power, writes, syncs, syncs_failed, syncs_in_progress, volatile_blocks, full_caches."""
        return self.command("status")

    def command(self, *words):
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(WAIT_S)
            control.connect(str(self.place / "control"))
            control.sendall(" ".join(map(str, words)).encode() + b"\n")
            answer = json.loads(control.makefile().readline())
        if "error" in answer:
            raise ValueError(f"{words}: {answer['error']}")
        return answer

    def close(self):
        """Undoes all of it, as far as it was done."""
        try:
            if self.place is not None:
                self.unmount()
        finally:
            if self.program is not None:
                self.program.terminate()
                try:
                    self.program.wait(WAIT_S)
                except subprocess.TimeoutExpired:
                    self.program.kill()
                    self.program.wait()
                self.program = None
            if self.place is not None:
                libc.umount2(os.fsencode(self.place / "fuse"), MNT_DETACH)  # it unmounted its own copy
                shutil.rmtree(self.place)
                self.place = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mib", type=int, default=1024)
    parser.add_argument("--sync-delay-ms", type=float, default=0.0)
    parser.add_argument("--mount-options", default="defaults")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if missing := why_not():
        sys.exit(missing)
    ends_on_sigterm()
    own_mounts()
    with VolatileDisk(options.size_mib, options.sync_delay_ms, mount_options=options.mount_options) as disk:
        command = [word.replace("{}", str(disk.folder)) for word in options.command]
        environment = dict(os.environ, VOLATILE_DISK_FOLDER=str(disk.folder))
        return subprocess.run(command, env=environment, preexec_fn=dies_with_parent).returncode


if __name__ == "__main__":
    sys.exit(main())
