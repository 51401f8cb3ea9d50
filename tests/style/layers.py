#!/usr/bin/env python3
"""Fails on any edge between the folders of src/ that layers.txt does not name.

Two things are compared with the table: the #include lines of every source and header, and the DEPS of each
folder's ringpost_library, which must name exactly the row's folders (they become target_link_libraries).

    layers.py [ROOT]       checks the tree at ROOT (default: this repository)
    layers.py --self-test  plants each kind of violation in a small tree of its own, and fails if one is not found
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
LIBRARY = re.compile(r"ringpost_library\(([^)]*)\)", re.S)
KEYWORDS = {"DEPS", "EXTERNAL"}
LIBRARY_OF_FOLDER = {"io/uring": "io_uring_driver"}
# Which folder may link what that alone may include; the CMake side of the "<" rows.
ALONE = {"liburing::liburing": "<liburing", "cares::cares": "<ares"}


def read_table(path):
    """Returns {folder: [folders it may include]} and {header prefix: [folders that may include it]}."""
    edges, headers = {}, {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, colon, rest = line.partition(":")
        if not colon:
            raise SystemExit(f"{path}:{number}: no colon")
        targets = rest.split()
        for target in targets:
            if target not in edges:
                raise SystemExit(f"{path}:{number}: {name} names {target}, which has no row above")
        if name.startswith("<"):
            headers[name[1:]] = targets
        else:
            edges[name] = targets
    return edges, headers


def check_includes(src, edges, headers):
    problems = []
    for path in sorted([*src.rglob("*.h"), *src.rglob("*.cc")]):
        folder = path.parent.relative_to(src).as_posix()
        if folder not in edges:
            problems.append(f"{path}: the folder {folder} has no row in layers.txt")
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            where = f"{path}:{number}"
            form, target = match.groups()
            owners = next((folders for prefix, folders in headers.items() if target.startswith(prefix)), None)
            if owners is not None and folder not in owners:
                problems.append(f"{where}: {folder} includes {target}; only {' '.join(owners)} may")
            if form == "<" or owners is not None:
                continue
            included = Path(target).parent.as_posix()
            if not (src / target).is_file():
                problems.append(f'{where}: "{target}" is not a file below src/ (write the path from there)')
            elif included != folder and included not in edges[folder]:
                problems.append(f"{where}: {folder} includes {target}; it may include: "
                                f"{' '.join(edges[folder]) or 'nothing'}")
    return problems


def check_libraries(src, edges, headers):
    problems = []
    for folder, allowed in edges.items():
        path = src / folder / "CMakeLists.txt"
        if not path.is_file():
            problems.append(f"{path}: missing, though layers.txt has a row for {folder}")
            continue
        text = re.sub(r"#.*", "", path.read_text())
        calls = LIBRARY.findall(text)
        if len(calls) != 1:
            problems.append(f"{path}: {len(calls)} calls of ringpost_library, not one")
            continue
        words = calls[0].split()
        name = LIBRARY_OF_FOLDER.get(folder, folder)
        if words[0] != name:
            problems.append(f"{path}: the library is called {words[0]}, not {name}")
        lists, current = {"DEPS": [], "EXTERNAL": []}, None
        for word in words[1:]:
            if word in KEYWORDS:
                current = word
            elif current:
                lists[current].append(word)
        wanted = {LIBRARY_OF_FOLDER.get(target, target) for target in allowed}
        for extra in sorted(set(lists["DEPS"]) - wanted):
            problems.append(f"{path}: {folder} links {extra}, which layers.txt does not allow")
        for missing in sorted(wanted - set(lists["DEPS"])):
            problems.append(f"{path}: {folder} does not link {missing}, which layers.txt gives it")
        for library in lists["EXTERNAL"]:
            alone = headers.get(ALONE.get(library, "")[1:])
            if alone is not None and folder not in alone:
                problems.append(f"{path}: {folder} links {library}; only {' '.join(alone)} may")
        for link in re.findall(r"target_link_libraries\(\s*ringpost_\w+[^)]*\)", text):
            problems.append(f"{path}: a link past ringpost_library: {' '.join(link.split())}")
    return problems


def check(root, table):
    edges, headers = read_table(table)
    src = root / "src"
    return check_includes(src, edges, headers) + check_libraries(src, edges, headers)


def self_test():
    """Each case breaks a clean tree in one way; `expect` must be part of what is found, None means clean."""
    table = "base:\nio: base\nio/uring: io base\nrt: io base\ndns: rt\n<liburing: io/uring\n<ares: dns\n"
    clean = {
        "src/base/CMakeLists.txt": "ringpost_library(base)\n",
        "src/io/CMakeLists.txt": "ringpost_library(io DEPS base)\nadd_subdirectory(uring)\n",
        "src/io/uring/CMakeLists.txt": "ringpost_library(io_uring_driver DEPS io base\n"
                                       "    EXTERNAL liburing::liburing)\n",
        "src/rt/CMakeLists.txt": "ringpost_library(rt DEPS io base)\n",
        "src/dns/CMakeLists.txt": "ringpost_library(dns DEPS rt EXTERNAL cares::cares)\n",
        "src/base/a.h": "#include <vector>\n",
        "src/io/b.h": '#include "base/a.h"\n#include "io/b.h"\n',
        "src/io/uring/u.cc": '#include <liburing.h>\n#include "io/b.h"\n',
        "src/rt/c.h": '#include "io/b.h"\n',
        "src/dns/d.cc": '#include <ares.h>\n#include "rt/c.h"\n',
    }
    cases = [
        ("clean", {}, None),
        ("upward include", {"src/base/x.h": '#include "io/b.h"\n'}, "base includes io/b.h"),
        ("sideways include", {"src/rt/x.cc": '#include "io/uring/u.h"\n', "src/io/uring/u.h": ""},
         "rt includes io/uring/u.h"),
        ("edge not in the row", {"src/dns/x.cc": '#include "base/a.h"\n'}, "dns includes base/a.h"),
        ("indented include", {"src/base/x.cc": '  #  include "io/b.h"\n'}, "base includes io/b.h"),
        ("liburing elsewhere", {"src/rt/x.cc": "#include <liburing.h>\n"}, "rt includes liburing.h"),
        ("liburing, quoted", {"src/rt/x.cc": '#include "liburing.h"\n'}, "rt includes liburing.h"),
        ("c-ares elsewhere", {"src/rt/x.cc": "#include <ares_dns.h>\n"}, "rt includes ares_dns.h"),
        ("relative path", {"src/rt/x.cc": '#include "../base/a.h"\n'}, "is not a file below src/"),
        ("bare name", {"src/rt/x.cc": '#include "c.h"\n'}, "is not a file below src/"),
        ("folder without a row", {"src/new/x.cc": ""}, "new has no row"),
        ("link not allowed", {"src/base/CMakeLists.txt": "ringpost_library(base DEPS rt)\n"}, "base links rt"),
        ("link missing", {"src/rt/CMakeLists.txt": "ringpost_library(rt DEPS io)\n"}, "rt does not link base"),
        ("link past the function",
         {"src/rt/CMakeLists.txt": "ringpost_library(rt DEPS io base)\n"
                                   "target_link_libraries(ringpost_rt PUBLIC ringpost::dns)\n"},
         "a link past ringpost_library"),
        ("liburing linked elsewhere",
         {"src/rt/CMakeLists.txt": "ringpost_library(rt DEPS io base EXTERNAL liburing::liburing)\n"},
         "rt links liburing::liburing"),
        ("wrong name", {"src/rt/CMakeLists.txt": "ringpost_library(runtime DEPS io base)\n"}, "called runtime"),
    ]
    failed = 0
    for name, planted, expect in cases:
        folder = Path(tempfile.mkdtemp(prefix="ringpost-layers-"))
        try:
            for path, content in {**clean, **planted, "layers.txt": table}.items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(content)
            problems = check(folder, folder / "layers.txt")
        finally:
            shutil.rmtree(folder)
        good = not problems if expect is None else len(problems) == 1 and expect in problems[0]
        print(f"{'ok    ' if good else 'FAILED'} {name}: {'; '.join(problems) or 'clean'}")
        failed += not good
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE.parent.parent
    problems = check(root, HERE / "layers.txt")
    for problem in problems:
        print(problem)
    if not problems:
        print("every include and every link is in tests/style/layers.txt")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
