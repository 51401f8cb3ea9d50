"""What a pass costs: CPU by cgroup, counters by perf, memory by /proc.

Two kinds of pass are told apart, so that counting does not slow what is timed: a timed pass reads cgroup clocks at its
start and end and nothing between; a counted pass runs two `perf stat` beside it and samples memory.
"""

import os
import pathlib
import platform
import shutil
import signal
import subprocess
import threading
import time

CPUACCT = pathlib.Path("/sys/fs/cgroup/cpuacct")  # v1: the CPU clock of a group
UNIFIED = pathlib.Path("/sys/fs/cgroup/unified")  # v2: where perf finds a group by its name


class Group:
    """Processes and all their descendants, in a cgroup of their own."""

    def __init__(self, name):
        self.name = f"ringpost-bench-{os.getpid()}-{name}"
        self.folders = [CPUACCT / self.name, UNIFIED / self.name]
        for folder in self.folders:
            folder.mkdir()

    def join(self):
        """Puts the calling process into it: for preexec_fn."""
        for folder in self.folders:
            (folder / "cgroup.procs").write_text(str(os.getpid()))

    def cpu_seconds(self):
        return int((self.folders[0] / "cpuacct.usage").read_text()) / 1e9

    def user_seconds(self):
        """Of these, in user space: sampled by the clock's tick."""
        user = (self.folders[0] / "cpuacct.stat").read_text().split()[1]
        return int(user) / os.sysconf("SC_CLK_TCK")

    def processes(self):
        return [int(line) for line in (self.folders[0] / "cgroup.procs").read_text().split()]

    def close(self):
        for folder in self.folders:
            for _ in range(100):
                try:
                    folder.rmdir()
                    break
                except OSError:
                    time.sleep(0.1)


def why_not():
    """A sentence about what is missing here, or None."""
    if os.geteuid() != 0:
        return "the benchmarks need root: for cgroups, tracepoints and the loop device"
    for folder, what in ((CPUACCT, "cgroup v1's cpuacct"), (UNIFIED, "cgroup v2"),
                         (pathlib.Path("/sys/kernel/tracing/events"), "tracefs")):
        if not folder.is_dir():
            return f"the benchmarks need {what} at {folder}: mount it"
    if shutil.which("perf") is None:
        return "the benchmarks need perf: tools/dev deps dev"
    return None


def busy_seconds():
    """CPU seconds of the whole machine that were not idle, by /proc/stat: kernel threads and interrupts too."""
    user, nice, system, _idle, _iowait, irq, softirq = map(
        int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def has_hardware_counters():
    """Some virtual machines have none; perf then says <not supported>."""
    found = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True)
    return found.returncode == 0 and "not supported" not in found.stderr


def kernel_device(path):
    """The device of the file system that holds path, as tracepoints give it (12 bits of major above 20 of minor)."""
    number = os.stat(path).st_dev
    return os.major(number) << 20 | os.minor(number)


class Counts:
    """`perf stat` around a pass. What each key counts:

    user_instructions, kernel_instructions, user_cycles, kernel_cycles
        of the relay's group; missing where the machine has no such counters
    batches     durable batches on the spool's file system: ext4_sync_file_enter, which ext4 runs once for each
                synchronous end of an O_DSYNC write and for each fsync and fdatasync, and bios written with FUA but not
                of the journal (block_bio_queue with rwbs WF…), which ext4 uses instead where the device offers it.
                From any process: on a shared file system others' syncs count too
    flushes     flush requests issued to the spool's device (block_rq_issue with rwbs FF), whoever caused them
    flushes_below   the same at the device that holds the build folder, when that is another: what a loop passes on
    requests    all requests issued to the spool's device
    ring_entries    SQEs (io_uring_submit_req) of the group
    ring_writes     of these, WRITEV: one per batch of ringpost and floor, and nothing else uses it there
    handovers   requests that went to an io-wq worker (io_uring_queue_async_work) of the group
    enters      io_uring_enter calls of the group
    syscalls    all system calls of the group
    switches    context switches of the group's threads
    """

    WRITEV = 2  # IORING_OP_WRITEV

    def __init__(self, group, spool, below, hardware):
        self.group = group
        self.hardware = hardware
        self.device = kernel_device(spool)
        self.below = kernel_device(below)
        self.running = []
        self.counted = {}  # behind the with-block

    def __enter__(self):
        in_group = {"ring_entries": "io_uring:io_uring_submit_req",
                    "ring_writes": f"io_uring:io_uring_submit_req|opcode == {self.WRITEV}",
                    "handovers": "io_uring:io_uring_queue_async_work",
                    "enters": "syscalls:sys_enter_io_uring_enter",
                    "syscalls": "raw_syscalls:sys_enter",
                    "switches": "context-switches"}
        if self.hardware:
            in_group |= {"user_instructions": "instructions:u", "kernel_instructions": "instructions:k",
                         "user_cycles": "cycles:u", "kernel_cycles": "cycles:k"}
        on_device = {"sync_files": f"ext4:ext4_sync_file_enter|dev == {self.device}",
                     "fua_bios": f'block:block_bio_queue|dev == {self.device} && rwbs ~ "WF*" && !(rwbs ~ "*M*")',
                     "flushes": f'block:block_rq_issue|dev == {self.device} && rwbs ~ "FF*"',
                     "requests": f"block:block_rq_issue|dev == {self.device}"}
        if self.below != self.device:
            on_device["flushes_below"] = f'block:block_rq_issue|dev == {self.below} && rwbs ~ "FF*"'
        self.running = [self._perf(in_group, self.group), self._perf(on_device, None)]
        time.sleep(0.3)  # perf opens its counters after it has started
        return self

    @staticmethod
    def _perf(events, group):
        command = ["perf", "stat", "-a", "-x", ";"]
        for event in events.values():
            name, _, condition = event.partition("|")
            command += ["-e", name] + (["--filter", condition] if condition else [])
        if group:
            command += ["-G", ",".join([group.name] * len(events))]
        return list(events), subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                              start_new_session=True)

    def __exit__(self, error, *_):
        texts = []
        for _, process in self.running:
            process.send_signal(signal.SIGINT)
            texts.append(process.communicate(timeout=30)[1])
        if error is None:
            self._read(texts)

    def _read(self, texts):
        counts = {}
        for (keys, _), text in zip(self.running, texts):
            rows = [line.split(";") for line in text.splitlines() if line.count(";") >= 3]
            if len(rows) != len(keys):
                raise RuntimeError(f"perf stat did not count: {text.strip()}")
            for key, row in zip(keys, rows):
                if not row[0].startswith("<"):
                    counts[key] = int(row[0])
        counts["batches"] = counts.pop("sync_files") + counts.pop("fua_bios")
        self.counted = counts


def resident_kib(processes):
    """Resident pages of all of them, shared ones counted once for each: cheap enough to sample."""
    pages = 0
    for process in processes:
        try:
            pages += int(pathlib.Path(f"/proc/{process}/statm").read_text().split()[1])
        except OSError:
            pass  # gone
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


def shares_kib(processes):
    """What the processes hold at the end: a page that n of them share as an n-th for each (Pss), and the pages that no
    other shares."""
    share, private = 0, 0
    for process in processes:
        try:
            for line in pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    share += int(line.split()[1])
                elif line.startswith(("Private_Clean:", "Private_Dirty:")):
                    private += int(line.split()[1])
        except OSError:
            pass  # gone
    return share, private


def private_kib(processes):
    return shares_kib(processes)[1]


class PeakMemory:
    """The most resident memory of a group, looked at ten times a second on a thread of its own."""

    def __init__(self, group):
        self.group = group
        self.peak_kib = 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def _look(self):
        self.peak_kib = max(self.peak_kib, resident_kib(self.group.processes()))

    def _watch(self):
        while not self.ended.wait(0.1):
            self._look()

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        self._look()


def machine():
    """For the line above each table."""
    model = next((line.split(":", 1)[1].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {platform.release()}"
