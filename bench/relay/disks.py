"""Where a spool lies: the build folder, a journaled ext4 on a loop device made for the run, or a slow disk."""

import contextlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

import meters

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
IMAGE_BYTES = 4 << 30


def run(*command):
    return subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True).stdout.strip()


class Disk:
    """A folder to put spools in. `below` is on the device that the spool's device writes to in the end."""

    def __init__(self, name, folder, durability):
        self.name = name
        self.folder = pathlib.Path(folder)
        self.below = self.folder
        self.durability = durability

    def describe(self):
        kind = run("findmnt", "-no", "FSTYPE,OPTIONS", "-T", self.folder).split("\n")[-1]
        return f"{self.name}: {' '.join(kind.split())}; {self.durability}"

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class BuildFolder(Disk):
    def __init__(self, _folder):
        super().__init__("root", tempfile.mkdtemp(prefix="relay-bench-", dir=TOP / "build"),
                         "syncs reach the machine's disk, whose flush is fast")


class LoopExt4(Disk):
    """The image is written with zeros first, and the loop bypasses the page cache: a write costs what it costs, not
    what the file below it makes of it."""

    def __init__(self, folder):
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="relay-bench-loop-", dir=folder))
        image = self.place / "image"
        mount = self.place / "mount"
        mount.mkdir()
        self.device = None
        self.mounted = False
        try:
            run("dd", "if=/dev/zero", f"of={image}", "bs=4M", f"count={IMAGE_BYTES >> 22}", "oflag=direct")
            self.device = run("losetup", "--find", "--show", "--direct-io=on", image)
            run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", self.device)
            run("mount", self.device, mount)
            self.mounted = True
        except BaseException:
            self.close()
            raise
        super().__init__("loop", mount, "journaled; syncs go through the loop device to the machine's disk")
        self.below = self.place

    def close(self):
        if self.mounted:
            run("umount", self.place / "mount")
        if self.device:
            run("losetup", "--detach", self.device)
        shutil.rmtree(self.place, ignore_errors=True)


class SlowDisk(Disk):
    """The disk of the power cuts, where each sync takes 2 ms; nobody cuts it here."""

    def __init__(self, _folder):
        sys.path.append(str(TOP / "tests/powercut"))
        from disk import VolatileDisk, why_not
        if missing := why_not():
            raise SystemExit(missing)
        self.volatile = contextlib.ExitStack()
        disk = self.volatile.enter_context(VolatileDisk(sync_delay_ms=2))
        super().__init__("slow", disk.folder, "journaled; each sync takes 2 ms more; in memory (tests/powercut)")

    def close(self):
        self.volatile.close()


DISKS = {"root": BuildFolder, "loop": LoopExt4, "slow": SlowDisk}


def open_disk(name):
    if missing := meters.why_not():
        raise SystemExit(missing)
    return DISKS[name](TOP / "build")
