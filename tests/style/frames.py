#!/usr/bin/env python3
"""Prints the size of every coroutine frame of the program, and fails where one is larger than it may be.

g++ 12 overlaps nothing in a frame: every await and every local adds up, so a frame grows unseen. The sizes are read
from the code: what each coroutine passes to the frame pool (x86-64 and AArch64, as g++ compiles it).

    frames.py PROGRAM
    frames.py --self-test
"""

import re
import subprocess
import sys

POOL = "rt::FramePool::allocate"
# What a coroutine's name begins with → the most that its frame may take, bytes. The first that fits counts.
LIMITS = [
    (r"smtp::|net::|queue::Delivery|queue::Bounce", 384, "of a session or a delivery"),
    (r"store::Partition::open\(", 2048, "once per partition"),
    (r"", 1024, "all others"),
]
IMMEDIATE = re.compile(r"\bmov[a-z]*\s+(?:\$0x([0-9a-f]+),%[er]di\b|[wx]0, #0x([0-9a-f]+))")


def frames_of(disassembly):
    """Coroutine → bytes, from what objdump -dC printed."""
    frames, function, size = {}, "", None
    for line in disassembly.splitlines():
        if head := re.match(r"[0-9a-f]+ <(.*)>:$", line):
            function, size = head.group(1), None
        elif found := IMMEDIATE.search(line):
            size = int(found.group(1) or found.group(2), 16)
        elif POOL in line and size and not function.startswith(POOL):
            # Functions inside of others are printed with the mangled name behind the readable one.
            name = re.sub(r"::_ZN\w+.*$", "", function)
            frames[name] = max(frames.get(name, 0), size)
    return frames


def limit_of(name):
    return next((limit, what) for pattern, limit, what in LIMITS if re.match(pattern, name))


def problems_of(frames):
    problems = []
    for name, size in frames.items():
        limit, what = limit_of(name)
        if size > limit:
            problems.append(f"{name}: {size} bytes; at most {limit} for those {what}")
    if not any(name.startswith("smtp::Session::run") for name in frames):
        problems.append("the frame of smtp::Session::run is not found; has the compiler changed its ways?")
    return problems


def self_test():
    def function(name, size):
        return (f"00001000 <{name}>:\n    1004:\tmov    $0x{size:x},%edi\n"
                f"    1009:\tcall   2000 <rt::FramePool::allocate(unsigned long)>\n")

    session = function("smtp::Session::run()", 288)
    cases = [
        ("a small frame", session, None),
        ("AArch64", session.replace("mov    $0x120,%edi", "mov\tx0, #0x120 // #288"), None),
        ("a large frame of a session", session + function("smtp::Session::read_data()", 1000), "1000 bytes"),
        ("a large frame elsewhere", session + function("store::Recovery::run()", 1025), "1025 bytes"),
        ("an allowed large frame", session + function("store::Partition::open()", 1656), None),
        ("nothing read", function("main", 8), "is not found"),
    ]
    failed = 0
    for name, text, expect in cases:
        found = problems_of(frames_of(text))
        passed = not found if expect is None else len(found) == 1 and expect in found[0]
        print(f"{'ok    ' if passed else 'FAILED'} {name}: {'; '.join(found) or 'clean'}")
        failed += not passed
    return failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        return 1 if self_test() else 0
    disassembly = subprocess.run(["objdump", "-dC", "--no-show-raw-insn", sys.argv[1]], capture_output=True, text=True,
                                 check=True).stdout
    frames = frames_of(disassembly)
    for name, size in sorted(frames.items(), key=lambda frame: (-frame[1], frame[0])):
        print(f"{size:6} {name}")
    problems = problems_of(frames)
    for problem in problems:
        print(f"TOO LARGE {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
