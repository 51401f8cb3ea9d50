"""A relay in front of a spool that was filled for it, and the sink behind it, started and ended as the bench likes."""

import os
import pathlib
import json
import re
import signal
import subprocess
import tempfile
import time

from sides import answers, free_port, postfix_tool, wait_for

START_S = 600  # the longest start that is waited for


def processor_seconds(process):
    """User and system time of a process, with that of its threads that have ended."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(process):
    return int(pathlib.Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def forget_pages(spool):
    """The kernel's cached pages of the spool go: a start reads from the disk."""
    for path in spool.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            try:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(file)


class Sink:
    def __init__(self, binary):
        self.port = free_port()
        self.process = subprocess.Popen([binary, "sink", "--listen", f"127.0.0.1:{self.port}"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: answers(self.port), "the sink")

    def close(self):
        self.process.kill()
        self.process.wait()


class Relay:
    """Retries may lie 48 hours ahead; nobody is told of a delay."""

    def __init__(self, name, binary, spool, sink, shards):
        self.name = name
        self.binary = binary
        self.spool = pathlib.Path(spool)
        self.sink = sink
        self.port = free_port()
        self.process = None
        self.scratch = tempfile.TemporaryDirectory(prefix="ringpost-scale-", dir="/dev/shm")
        self.config = pathlib.Path(self.scratch.name) / "ringpost.toml"
        self.log = pathlib.Path(self.scratch.name) / "log"
        self.config.write_text(f"""hostname = "relay.example.test"
spool = "{self.spool}"
control = "{self.scratch.name}/control.sock"
shards = {shards}
[[listener]]
protocol = "smtp"
address = "127.0.0.1:{self.port}"
[relay]
networks = ["127.0.0.0/8"]
[queue]
retry = ["48h"]
expire = "5d"
delay_notice = "0s"
[[route]]
hosts = ["127.0.0.1:{sink.port}"]
""")

    def start(self, cold=True):
        """Starts it; seconds and CPU seconds until it greets."""
        if cold and self.spool.exists():
            forget_pages(self.spool)
        begin = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([self.binary, "serve", "--config", self.config], stdout=log, stderr=log)
        wait_for(self.greets, f"the relay of {self.spool}", START_S)
        return {"start_s": time.monotonic() - begin, "start_cpu_s": self.cpu_s()}

    def greets(self):
        if self.process.poll() is not None:
            raise SystemExit(f"the relay ended at its start: {self.log.read_text()[-2000:]}")
        return answers(self.port)

    def cpu_s(self):
        return processor_seconds(self.process.pid)

    def resident(self):
        """Once it rests."""
        last = -1
        while abs((now := resident_bytes(self.process.pid)) - last) > 1 << 20:
            last = now
            time.sleep(1)
        return now

    def stop(self):
        """Ends it cleanly; seconds until it has ended, and the longest turn of any shard."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(START_S)
        took = time.monotonic() - begin
        turns = [float(one) for one in re.findall(r"the longest turn of this shard took ([0-9.]+) s",
                                                  self.log.read_text())]
        self.process = None
        if not turns:
            raise SystemExit(f"the relay did not end well: {self.log.read_text()[-2000:]}")
        return {"stop_s": took, "longest_turn_s": max(turns)}

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def removed(self):
        """Messages that have left the queue since the start."""
        return self.log.read_bytes().count(b" removal shard=")

    def accept(self, messages):
        """Sends it so many of 1 KB over 50 sessions; rate until the last 250, CPU of the relay until all have left."""
        before, cpu = self.removed(), self.cpu_s()
        begin = time.monotonic()
        subprocess.run(postfix_tool("smtp-source", "-d", "-s", 50, "-m", messages, "-l", 1024, "-f", "a@src.test",
                                    "-t", "b@dst.test", f"127.0.0.1:{self.port}"),
                       check=True, stdout=subprocess.DEVNULL)
        took = time.monotonic() - begin
        wait_for(lambda: self.removed() >= before + messages, "the sink to have them all", 120)
        time.sleep(0.5)
        return {"accepted_per_s": messages / took, "cpu_ms_each": 1000 * (self.cpu_s() - cpu) / messages}

    def command(self, *words):
        """`ringpost queue …`: how long its answer takes, how long until it is carried out, and what it says then."""
        begin = time.monotonic()
        told = self._ask(*words)
        answer = time.monotonic() - begin
        while words[0] != "stats" and not told["done"]:
            time.sleep(0.2)
            rules = {one["rule"]: one for one in self._ask("stats")["rules"]}
            told = rules.get(told["rule"], told | {"done": True})
        return {"answer_s": answer, "done_s": time.monotonic() - begin, "told": told}

    def store(self):
        """What checkpoints and the cleaner did since the start, and took."""
        return self._ask("stats")["store"]

    def _ask(self, *words):
        told = subprocess.run([self.binary, "queue", *words, "--json", "--config", self.config], check=True,
                              capture_output=True, text=True)
        return json.loads(told.stdout.splitlines()[-1])

    def checkpoints(self):
        """Generations begun in all partitions, and the bytes of the newest one of each."""
        generations, size = 0, 0
        for partition in self.spool.glob("p*"):
            if found := sorted(partition.glob("*.ckpt")):
                generations += int(found[-1].stem, 16)
                size += found[-1].stat().st_size
        return {"generations": generations, "bytes": size}

    def close(self):
        if self.process:
            self.kill()
        self.scratch.cleanup()
