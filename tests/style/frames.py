#!/usr/bin/env python3
"""Prints the size of every coroutine frame of the program, and fails where one is larger than it may be.

g++ 12 overlaps nothing in a frame: every await and every local adds up, so a frame grows unseen. The sizes are read
from the code: what is passed to the frame pool before a coroutine's body is put into the frame (x86-64 and AArch64, as
g++ compiles it). Each body in the program must be found that way.

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
    (r"store::Partition::(look|resume)\(", 2048, "once per partition"),
    (r"", 1024, "all others"),
]
IMMEDIATE = re.compile(r"\bmov[a-z]*\s+(?:\$0x([0-9a-f]+),%[er]di\b|[wx]0, #0x([0-9a-f]+))")
HEAD = re.compile(r"0*([0-9a-f]+) <(.*)>:$")
# What a frame is told to go on with, by its address: the coroutine's body, which g++ calls its actor. Its ramp, which
# makes the frame, may be inlined anywhere, several into one function.
ACTOR = " [clone .actor]"
REFERENCE = re.compile(r"# ([0-9a-f]+) <")  # x86-64
PAGE = re.compile(r"\badrp\s+(x\d+), ([0-9a-f]+)")  # AArch64: a page, then what lies in it
IN_PAGE = re.compile(r"\badd\s+x\d+, (x\d+), #0x([0-9a-f]+)")


def frames_of(disassembly):
    """Coroutine → bytes, None where nothing makes it, from what objdump -dC printed."""
    lines = disassembly.splitlines()
    heads = [head for head in map(HEAD.match, lines) if head and head[2].endswith(ACTOR)]
    sizes = {int(head[1], 16): None for head in heads}
    size, made, pages = None, None, {}
    for line in lines:
        if HEAD.match(line):
            size, made, pages = None, None, {}
        elif POOL in line:
            made = size
        elif found := IMMEDIATE.search(line):
            size = int(found[1] or found[2], 16)
        elif found := PAGE.search(line):
            pages[found[1]] = int(found[2], 16)
        elif (found := REFERENCE.search(line)) or (found := IN_PAGE.search(line)):
            address = int(found[1], 16) if found.re is REFERENCE else pages.get(found[1], 0) + int(found[2], 16)
            if made and address in sizes:
                sizes[address], made = max(sizes[address] or 0, made), None
    frames = {}
    for head in heads:
        name = name_of(head[2])
        frames[name] = max(frames.get(name) or 0, sizes[int(head[1], 16)] or 0) or None
    return frames


def name_of(actor):
    """Of "f(f(int)::_ZN1fEi.Frame*) [clone .actor]": f(int)."""
    for at in (match.start() for match in re.finditer(r"\(", actor)):
        if actor[at + 1:].startswith(actor[:at]):
            return re.sub(r"::_ZN\w+\.Frame.*$", "", actor[at + 1:])
    return actor


def limit_of(name):
    return next((limit, what) for pattern, limit, what in LIMITS if re.match(pattern, name))


def problems_of(frames):
    problems = []
    for name, size in frames.items():
        limit, what = limit_of(name)
        if size is None:
            problems.append(f"{name}: nothing is seen to make its frame; has the compiler changed its ways?")
        elif size > limit:
            problems.append(f"{name}: {size} bytes; at most {limit} for those {what}")
    if not any(name.startswith("smtp::Session::run") for name in frames):
        problems.append("the frame of smtp::Session::run is not found; has the compiler changed its ways?")
    return problems


def self_test():
    def coroutine(name, size, address=0x5000, page="lea    0x1(%rip),%rdx        # {0:x} <x>"):
        """Its ramp inlined into a function of another name, and its actor."""
        return (f"00001000 <caller of {name}>:\n    1004:\tmov    $0x{size:x},%edi\n"
                f"    1009:\tcall   2000 <rt::FramePool::allocate(unsigned long)>\n"
                f"    100e:\t{page.format(address)}\n" + actor(name, address))

    def actor(name, address):
        plain = name.partition("(")[0]
        return f"{address:016x} <{plain}({name}::_ZN3foo3barEv.Frame*){ACTOR}>:\n    {address:x}:\tret\n"

    session = coroutine("smtp::Session::run()", 288)
    arm = coroutine("smtp::Session::run()", 288, page="adrp\tx1, 5000 <y>\n    1012:\tadd\tx1, x1, #0x0")
    cases = [
        ("a small frame", session, None),
        ("AArch64", arm.replace("mov    $0x120,%edi", "mov\tx0, #0x120 // #288"), None),
        ("a large frame of a session", session + coroutine("smtp::Session::read_data()", 1000, 0x6000), "1000 bytes"),
        ("a large frame elsewhere", session + coroutine("store::Recovery::run()", 1025, 0x6000), "1025 bytes"),
        ("one without a name", session + coroutine("net::(anonymous namespace)::f(int)", 400, 0x6000), "net::(anonymous"),
        ("an allowed large frame", session + coroutine("store::Partition::look()", 1656, 0x6000), None),
        ("one that nothing makes", session + actor("store::Recovery::run()", 0x6000), "nothing is seen"),
        ("nothing read", "", "is not found"),
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
    for name, size in sorted(frames.items(), key=lambda frame: (-(frame[1] or 0), frame[0])):
        print(f"{size or '?':6} {name}")
    problems = problems_of(frames)
    for problem in problems:
        print(f"TOO LARGE {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
