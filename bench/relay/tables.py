"""Results as Markdown: medians with the least and the most, and ratios of medians."""

import datetime
import pathlib
import statistics
import subprocess
import sys

from meters import machine

TOP = pathlib.Path(__file__).resolve().parent.parent.parent

TIMED = {"messages": "messages a pass", "accepted_per_s": "accepted, messages/s", "relayed_per_s": "relayed, messages/s",
         "cpu": "CPU s per 1,000", "user_cpu": "of it in user space, sampled",
         "busy_cpu": "machine busy less source and sink, CPU s per 1,000",
         "load_cpu": "source and sink, CPU s per 1,000"}
COUNTED = {"user_instructions": "instructions, user", "kernel_instructions": "instructions, kernel",
           "user_cycles": "cycles, user", "kernel_cycles": "cycles, kernel",
           "batches": "durable batches", "ring_writes": "ring's durable writes", "flushes": "device flushes",
           "flushes_below": "flushes of the disk below", "requests": "device requests",
           "ring_entries": "ring entries", "handovers": "io-wq hand-overs", "enters": "io_uring_enter",
           "syscalls": "system calls", "switches": "context switches",
           "peak_mib": "peak resident, MiB", "share_mib": "proportional share after, MiB",
           "private_mib": "private after, MiB"}
MEMORY = ("peak_mib", "share_mib", "private_mib")


def git(*arguments):
    return subprocess.run(["git", "-C", str(TOP), *arguments], capture_output=True, text=True).stdout.strip()


def provenance(disk=None):
    """Where a table comes from."""
    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no", "--", "src", "bench") else ""
    facts = {"commit": git("rev-parse", "--short", "HEAD") + changed, "machine": machine(),
             "day": datetime.date.today().isoformat(),
             "command": " ".join([str(pathlib.Path(sys.argv[0]).resolve().relative_to(TOP)), *sys.argv[1:]])}
    if disk:
        facts["file system"] = disk.describe()
    return facts


def heading(facts):
    return "\n".join(f"- {key}: {value}" for key, value in facts.items())


def number(value):
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if value >= 0.001 or value == 0 else f"{value:.1g}"


def spread(rows, key):
    values = [row[key] for row in rows if key in row]
    if not values:
        return "–"
    if len(values) == 1:
        return number(values[0])
    return f"{number(statistics.median(values))} ({number(min(values))}–{number(max(values))})"


def median(rows, key):
    values = [row[key] for row in rows if key in row]
    return statistics.median(values) if values else None


def ratio(above, below):
    return f"{above / below:.3g}" if above is not None and below else "–"


def table(columns, rows, first):
    """rows: {side: [figures of a round]}. Sides are columns, figures are rows; then the first relay's ratio to each
    other one."""
    present = {key: text for key, text in columns.items() if any(key in row for some in rows.values() for row in some)}
    others = [name for name in rows if name not in (first, "direct")]
    titles = list(rows) + [f"{first} ÷ {name}" for name in others]
    lines = ["| " + " | ".join([""] + titles) + " |", "| --- " * (len(titles) + 1) + "|"]
    for key, text in present.items():
        ratios = [ratio(median(rows[first], key), median(rows[name], key)) for name in others]
        lines.append("| " + " | ".join([text] + [spread(some, key) for some in rows.values()] + ratios) + " |")
    return "\n".join(lines)


def cell_text(result):
    """The tables of one cell: result has name, timed and counted, each {side: [figures]}."""
    timed, counted = result["timed"], {name: rows for name, rows in result["counted"].items() if rows}
    parts = [f"### {result['name']}", table(TIMED, timed, next(iter(timed)))]
    if direct := median(timed.get("direct", []), "load_cpu"):
        shares = [f"{name} {ratio(median(rows, 'cpu'), direct)}" for name, rows in timed.items() if name != "direct"]
        parts.append("CPU ÷ that of source and sink in the direct run: " + ", ".join(shares) + ".")
    if counted:
        columns = {key: text if key in MEMORY else text + ", per message" for key, text in COUNTED.items()}
        parts.append(table(columns, counted, next(iter(counted))))
    return "\n\n".join(parts)
