#!/usr/bin/env python3
"""Fails if the program loads OpenSSL, or lacks a library that it should load.

BoringSSL's shared libraries are called libssl and libcrypto too, and the symbols have the same names: were both in one
process, TLS would fail silently. So each such library must come from BoringSSL's own folder.

    linked_libraries.py --boringssl FOLDER [--needs NAME]... PROGRAM
    linked_libraries.py --self-test
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path


def problems_of(ldd, boringssl, needs):
    """`ldd` is what ldd(1) printed; `boringssl` the folder of BoringSSL's libraries; `needs` names of libraries."""
    problems, loaded = [], []
    for line in ldd.splitlines():
        match = re.match(r"\s*(\S+) => (.+?)(?: \(0x[0-9a-f]+\))?$", line)
        if not match:
            continue
        name, path = match.groups()
        loaded.append(name)
        if path == "not found":
            problems.append(f"{name} is not found; is an rpath missing?")
        elif re.match(r"lib(ssl|crypto)[.-]", name) and Path(path).resolve().parent != boringssl.resolve():
            problems.append(f"{name} is {path}: OpenSSL's, not BoringSSL's of {boringssl}")
    if not loaded:
        problems.append("ldd names no library at all")
    for need in needs:
        if not any(name.startswith(need + ".") for name in loaded):
            problems.append(f"{need} is not loaded")
    return problems


def self_test():
    android = Path("/usr/lib/x86_64-linux-gnu/android")
    good = ("\tlinux-vdso.so.1 (0x00007ffc)\n"
            "\tlibssl.so.0 => /usr/lib/x86_64-linux-gnu/android/libssl.so.0 (0x00007f01)\n"
            "\tlibcrypto.so.0 => /usr/lib/x86_64-linux-gnu/android/libcrypto.so.0 (0x00007f02)\n"
            "\tlibmimalloc.so.2 => /lib/x86_64-linux-gnu/libmimalloc.so.2 (0x00007f03)\n"
            "\t/lib64/ld-linux-x86-64.so.2 (0x00007f04)\n")
    cases = [
        ("BoringSSL alone", good, ["libmimalloc"], None),
        ("OpenSSL's libcrypto", good + "\tlibcrypto.so.3 => /lib/x86_64-linux-gnu/libcrypto.so.3 (0x00007f05)\n",
         [], "libcrypto.so.3 is /lib"),
        ("OpenSSL's libssl", good + "\tlibssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007f05)\n",
         [], "libssl.so.3 is /lib"),
        ("no rpath", good.replace("/usr/lib/x86_64-linux-gnu/android/libssl.so.0", "not found"), [], "not found"),
        ("no mimalloc", good.replace("libmimalloc.so.2 =>", "libother.so.2 =>"), ["libmimalloc"], "not loaded"),
        ("nothing read", "\tnot a dynamic executable\n", [], "no library"),
    ]
    failed = 0
    for name, ldd, needs, expect in cases:
        found = problems_of(ldd, android, needs)
        passed = not found if expect is None else len(found) == 1 and expect in found[0]
        print(f"{'ok    ' if passed else 'FAILED'} {name}: {'; '.join(found) or 'clean'}")
        failed += not passed
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    parser = argparse.ArgumentParser()
    parser.add_argument("--boringssl", type=Path, required=True)
    parser.add_argument("--needs", action="append", default=[])
    parser.add_argument("program")
    arguments = parser.parse_args()
    ldd = subprocess.run(["ldd", arguments.program], check=True, capture_output=True, text=True).stdout
    problems = problems_of(ldd, arguments.boringssl, arguments.needs)
    for problem in problems:
        print(problem)
    if problems:
        print(ldd)
    else:
        print("no OpenSSL, and all that is needed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
