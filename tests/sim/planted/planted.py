#!/usr/bin/env python3
"""Plants bugs in a copy of the source tree, one at a time, and has the relay's simulation find each.

    planted.py SOURCE BUILD [NAME…]

SOURCE is the tree, BUILD a folder for the copy and its build; NAME are patches beside this script, all if none is
given. The tree as it is must pass first; then each patch must apply, build, and be found within SEEDS seeds, by the
words that its line "Found as:" gives as a pattern. A patch that no longer applies is to be made anew.
"""

import filecmp
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

SEEDS = 600
FAILURES = 20
CLEAN_SEEDS = 40
# What the simulation is built from. Without debug information and little optimized: the building is most of the time.
PARTS = ["CMakeLists.txt", "cmake", "src", "bench", "tests"]
LEFT_OUT = {"corpus", "__pycache__", "planted"}
CONFIGURE = ["-G", "Ninja", "-DCMAKE_BUILD_TYPE=RelWithDebInfo", "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=-O1",
             "-DRINGPOST_TESTS="]


def bring_up_to_date(source, copy):
    """Makes `copy` the same as `source`, and touches nothing that is the same already."""
    if source.is_file():
        if not copy.exists() or not filecmp.cmp(source, copy, shallow=False):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, copy)
        return
    copy.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in source.iterdir()} - LEFT_OUT
    for gone in {path.name for path in copy.iterdir()} - names:
        path = copy / gone
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in sorted(names):
        bring_up_to_date(source / name, copy / name)


def run(command, **options):
    return subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", **options)


def need(command, what, **options):
    done = run(command, **options)
    if done.returncode != 0:
        sys.exit(f"{what} failed:\n{done.stdout[-6000:]}")
    return done.stdout


class Copy:
    def __init__(self, source, build):
        self.tree = build / "tree"
        self.build = build / "build"
        for part in PARTS:
            bring_up_to_date(source / part, self.tree / part)
        # `git apply` is to see a folder, not the repository around it.
        self.environment = dict(os.environ, GIT_CEILING_DIRECTORIES=str(build.resolve()))
        need(["cmake", "-S", self.tree, "-B", self.build, *CONFIGURE,
              f"-DCMAKE_CXX_COMPILER={os.environ.get('CXX', 'g++-12')}"], "configuring the copy")

    def apply(self, patch, *options):
        return run(["git", "apply", *options, patch], cwd=self.tree, env=self.environment)

    def make(self):
        need(["cmake", "--build", self.build, "--target", "relay_sim"], "building the simulation")

    def simulate(self, seeds, first):
        return run([self.build / "tests/sim/relay/relay_sim", "--seeds", seeds, "--from", first, "--first"])


def words_of(output):
    """What the simulation says of the first seed that fails: its number, and lines of complaint."""
    seed = re.search(r"^(?:seed|It was seed) (\d+)", output, re.MULTILINE)
    words = re.findall(r"^  (?!replay:)(.*)", output, re.MULTILINE)
    words += re.findall(r".*assert.*", output, re.IGNORECASE)
    return (int(seed[1]), words) if seed else (None, words)


def look_for(copy, wanted):
    """The seed that says what is wanted, and its words; or nothing."""
    after = 0
    for _ in range(FAILURES):
        done = copy.simulate(SEEDS - after, after + 1)
        if done.returncode == 0:
            return None
        seed, words = words_of(done.stdout)
        if seed is None:
            sys.exit(f"the simulation ended without naming a seed:\n{done.stdout[-3000:]}")
        for line in words:
            if re.search(wanted, line):
                return seed, line
        after = seed
    return None


def try_patch(copy, patch):
    """Why it was not found, or nothing."""
    wanted = re.search(r"^Found as: (.*)$", patch.read_text(), re.MULTILINE)
    if not wanted:
        return "it does not say what it is found as"
    begin = time.monotonic()
    applied = copy.apply(patch)
    if applied.returncode != 0:
        return f"it does not apply any more; make it anew:\n{applied.stdout}"
    try:
        copy.make()
        built = time.monotonic()
        found = look_for(copy, wanted[1])
    finally:
        if copy.apply(patch, "--reverse").returncode != 0:
            sys.exit(f"{patch.name} cannot be taken back")
    if not found:
        return f"{SEEDS} seeds, or the first {FAILURES} that failed, did not find it as: {wanted[1]}"
    print(f"{patch.stem}: seed {found[0]}: {found[1]} "
          f"(built in {built - begin:.0f} s, run in {time.monotonic() - built:.0f} s)", flush=True)
    return None


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    source, build = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
    here = pathlib.Path(__file__).resolve().parent
    patches = [here / f"{name}.patch" for name in sys.argv[3:]] or sorted(here.glob("*.patch"))
    copy = Copy(source, build)
    begin = time.monotonic()
    copy.make()
    clean = copy.simulate(CLEAN_SEEDS, 1)
    if clean.returncode != 0:
        sys.exit(f"the tree as it is does not pass:\n{clean.stdout[-3000:]}")
    print(f"nothing planted: {CLEAN_SEEDS} seeds pass (with the build {time.monotonic() - begin:.0f} s)", flush=True)
    missed = {patch.stem: why for patch in patches if (why := try_patch(copy, patch))}
    for name, why in missed.items():
        print(f"{name}: {why}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
