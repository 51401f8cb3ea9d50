"""What a spool's files show of things that were under way when its relay ended; see docs/FORMAT.md.

Reads the files as they are, and takes no lock.
"""

import pathlib
import struct

BLOCK = 4096
BATCH = struct.Struct("<IIQQQQIIIIII")  # magic … data_blocks
BATCH_BYTES = 96
MAGIC = 0x31425052
MOVED = 2
COMMIT, OUTCOME, RELOCATION = 2, 3, 16
RELOCATION_TO = struct.Struct("<QQQ")  # id, from, to
TEMPORARY = {"checkpoint": ("checkpoint.tmp",), "rotation": ("new.tmp", "recycle.tmp")}


class Batch:
    def __init__(self, segment, block, fields, records):
        self.segment = segment
        self.block = block
        self.sequence = fields[2]
        self.epoch = fields[6]
        self.moved = bool(fields[7] & MOVED)
        self.records = records  # (type, payload)

    @property
    def key(self):
        return self.epoch, self.sequence

    def places(self):
        """Of the commits and outcomes in it, as relocations name them, but for the last bit."""
        return {(self.segment << 32 | self.block << 13 | index << 1) >> 1
                for index, (kind, _) in enumerate(self.records) if kind in (COMMIT, OUTCOME)}


def batch_at(segment, data, offset):
    """None where none of this segment begins."""
    fields = BATCH.unpack_from(data, offset)
    if fields[0] != MAGIC or fields[5] != segment:
        return None
    records, at = [], offset + BATCH_BYTES
    end = min(at + fields[8], len(data) - 8)
    while at < end:
        kind, _, _, size = struct.unpack_from("<BBHI", data, at)
        records.append((kind, data[at + 8:at + 8 + size]))
        at += 8 + (size + 7) // 8 * 8
    return Batch(segment, offset // BLOCK, fields, records)


def is_of_the_cleaner(path):
    """Whether the segment's first batch is one of mail that was moved."""
    with open(path, "rb") as file:
        data = file.read(2 * BLOCK)
    batch = batch_at(int(path.name.split(".")[0], 16), data, BLOCK) if len(data) == 2 * BLOCK else None
    return batch is not None and batch.moved


def temporary_files(spool, kind):
    """Those that lie there while a "checkpoint" or a "rotation" is under way."""
    return [path for folder in pathlib.Path(spool).glob("p*") for name in TEMPORARY.get(kind, ())
            if (path := folder / name).exists()]


def untold_moves(spool):
    """Of each partition the newest batch of moved mail, where the log tells of nothing in it yet: {(partition, key)}."""
    untold = set()
    for folder in sorted(pathlib.Path(spool).glob("p*")):
        newest, told = None, set()
        for path in folder.glob("*.seg"):
            data = path.read_bytes()
            segment = int(path.stem, 16)
            for offset in range(BLOCK, len(data) - BLOCK + 1, BLOCK):
                batch = batch_at(segment, data, offset)
                if batch is None:
                    continue
                if batch.moved:
                    newest = max(newest, batch, key=lambda one: one.key) if newest else batch
                    continue
                told.update(RELOCATION_TO.unpack_from(payload)[2] >> 1
                            for kind, payload in batch.records if kind == RELOCATION)
        if newest and newest.places() and not newest.places() & told:
            untold.add((folder.name, newest.key))
    return untold
