#!/usr/bin/env python3
"""Relays compared in one run: smtp-source → relay → smtp-sink, sides interleaved round by round.

  bench/relay/compare.py [--rounds 5] [--messages 5000] [--size 10240] [--sessions 50] [--reuse] [--dir DIR]

The sides: ringpost (build/release/ringpost) and a stock Postfix out of its Debian package (tools/dev peer postfix),
which runs in an overlay of its own and is never installed. Needs root, for the overlay and the CPU account (cgroup v1
cpuacct). Both sync a message before they answer 250. DIR is where both spools lie.

Each round gives the rate from the first connection of the source to the last message at the sink, and the CPU seconds
of all the relay's processes per 1,000 messages. Quote ratios of medians: the machine may be shared.
"""

import argparse
import os
import pathlib
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
CPUACCT = pathlib.Path("/sys/fs/cgroup/cpuacct")


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
            sys.exit(f"{what}: not within {seconds} s")
        time.sleep(0.05)


class Account:
    """The CPU time of a process and all its descendants."""

    def __init__(self, name):
        self.folder = CPUACCT / f"ringpost-bench-{os.getpid()}-{name}"
        self.folder.mkdir()

    def join(self):
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def seconds(self):
        return int((self.folder / "cpuacct.usage").read_text()) / 1e9

    def close(self):
        for _ in range(100):
            try:
                self.folder.rmdir()
                return
            except OSError:
                time.sleep(0.1)


class Side:
    def __init__(self, name, spool):
        self.name = name
        self.port = free_port()
        self.sink_port = free_port()
        self.spool = spool
        self.account = Account(name)
        self.process = None

    def launch(self, command):
        log = open(self.spool.parent / f"{self.name}.log", "wb")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, preexec_fn=self.account.join)
        wait_for(lambda: answers(self.port), f"{self.name} on port {self.port}")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.account.close()


class Ringpost(Side):
    def __init__(self, folder, options):
        super().__init__("ringpost", folder / "ringpost")
        self.spool.mkdir()
        config = folder / "ringpost.toml"
        config.write_text(f"""hostname = "relay.example.test"
spool = "{self.spool}/spool"
control = "{folder}/control.sock"
[[listener]]
protocol = "smtp"
address = "127.0.0.1:{self.port}"
[relay]
networks = ["127.0.0.0/8"]
[[route]]
hosts = ["127.0.0.1:{self.sink_port}"]
""")
        self.launch([options.binary, "serve", "--config", str(config)])


class Postfix(Side):
    def __init__(self, folder, options):
        super().__init__("postfix", folder / "postfix")
        self.spool.mkdir()
        work = folder / "postfix-root"
        self.launch([str(HERE / "postfix_in_overlay.sh"), str(TOP / "build/peers/postfix"), str(self.spool),
                     str(work), str(self.port), str(self.sink_port)])


def peer_command(name, *arguments):
    return [str(TOP / "build/peers/postfix/usr/sbin" / name), *map(str, arguments)]


def one_round(side, options):
    environment = dict(os.environ, LD_LIBRARY_PATH=str(TOP / "build/peers/postfix/usr/lib/postfix"))
    sink = subprocess.Popen(peer_command("smtp-sink", "-u", "nobody", "-M", options.messages,
                                         f"127.0.0.1:{side.sink_port}", 1000), env=environment)
    time.sleep(0.3)
    cpu = side.account.seconds()
    start = time.monotonic()
    reuse = ["-d"] if options.reuse else []
    subprocess.run(peer_command("smtp-source", *reuse, "-s", options.sessions, "-m", options.messages, "-l", options.size,
                                "-f", "a@src.test", "-t", "b@dst.test", f"127.0.0.1:{side.port}"),
                   env=environment, check=True)
    accepted = time.monotonic() - start
    sink.wait(600)
    elapsed = time.monotonic() - start
    time.sleep(0.5)  # outcome records, and Postfix's queue files going away
    cpu = side.account.seconds() - cpu
    return {"accepted": options.messages / accepted, "relayed": options.messages / elapsed,
            "cpu": 1000 * cpu / options.messages}


def file_system(path):
    return subprocess.run(["findmnt", "-no", "FSTYPE,OPTIONS", "-T", str(path)], capture_output=True,
                          text=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--size", type=int, default=10240)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--reuse", action="store_true", help="many messages per connection (smtp-source -d)")
    parser.add_argument("--dir", default=str(TOP / "build"))
    parser.add_argument("--binary", default=str(TOP / "build/release/ringpost"))
    options = parser.parse_args()
    subprocess.run([str(TOP / "tools/dev"), "peer", "postfix"], check=True, stdout=subprocess.DEVNULL)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="relay-bench-", dir=options.dir))
    sides = []
    figures = {}
    try:
        for kind in (Ringpost, Postfix):
            sides.append(kind(folder, options))
        for side in sides:
            one_round(side, argparse.Namespace(**{**vars(options), "messages": min(500, options.messages)}))  # warm-up
        for number in range(options.rounds):
            for side in sides if number % 2 == 0 else reversed(sides):
                figure = one_round(side, options)
                figures.setdefault(side.name, []).append(figure)
                print(f"round {number + 1} {side.name:9}" + "".join(f"  {k} {v:.4g}" for k, v in figure.items()),
                      file=sys.stderr)
    finally:
        for side in sides:
            side.close()
        shutil.rmtree(folder, ignore_errors=True)
    commit = subprocess.run(["git", "-C", str(TOP), "rev-parse", "--short", "HEAD"], capture_output=True,
                            text=True).stdout.strip()
    print(f"commit {commit}, kernel {platform.release()}, {os.cpu_count()} cores, {file_system(options.dir)}; "
          f"{options.messages} messages of {options.size} bytes, {options.sessions} sessions, "
          f"{'connections reused' if options.reuse else 'one message per connection'}, {options.rounds} rounds; "
          "medians (min–max)")
    print("| side | accepted, messages/s | relayed, messages/s | CPU s per 1,000 |\n| --- | --- | --- | --- |")

    def cell(rows, key):
        values = [row[key] for row in rows]
        return f"{statistics.median(values):.4g} ({min(values):.4g}–{max(values):.4g})"

    for name, rows in figures.items():
        print(f"| {name} | {cell(rows, 'accepted')} | {cell(rows, 'relayed')} | {cell(rows, 'cpu')} |")
    medians = {name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
               for name, rows in figures.items()}
    print("| ringpost ÷ postfix | " + " | ".join(
        f"{medians['ringpost'][key] / medians['postfix'][key]:.3g}" for key in ("accepted", "relayed", "cpu")) + " |")


if __name__ == "__main__":
    main()
