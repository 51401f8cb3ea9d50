"""The disk that loses power, by itself: what a sync is to it, from the file up through loop device and ext4."""

import mmap
import os
import sys
import time
import unittest

import disk as disk_module
from disk import VolatileDisk, ends_on_sigterm, own_mounts, why_not

BLOCK = 4096
SECTOR = 512
BLOCKS = 300


def page(fill):
    """A block that O_DIRECT takes."""
    memory = mmap.mmap(-1, BLOCK)
    memory.write(bytes([fill]) * BLOCK)
    return memory


class File(unittest.TestCase):
    """The FUSE file, without a file system."""

    def setUp(self):
        self.disk = VolatileDisk(size_mib=16)
        self.addCleanup(self.disk.close)
        self.disk.power_up()

    def open(self):
        file = os.open(self.disk.file, os.O_RDWR)
        self.addCleanup(os.close, file)
        return file

    def write_old_and_new(self):
        """Old content that is durable, and new that is not."""
        file = self.open()
        os.pwrite(file, b"o" * BLOCK * BLOCKS, 0)
        os.fsync(file)
        os.pwrite(file, b"n" * BLOCK * BLOCKS, 0)
        return file

    def after(self, cut):
        """Cut, and what is there then: for each block its sectors, as "n" and "o"."""
        done = self.disk.cut(**cut)
        self.disk.command("restart")
        content = os.pread(self.open(), BLOCK * BLOCKS, 0)
        blocks = []
        for start in range(0, len(content), BLOCK):
            sectors = [content[at:at + SECTOR] for at in range(start, start + BLOCK, SECTOR)]
            for sector in sectors:
                self.assertIn(sector, (b"n" * SECTOR, b"o" * SECTOR), "a sector in pieces")
            blocks.append("".join(chr(sector[0]) for sector in sectors))
        return done, blocks

    def test_what_is_not_synced_is_kept_dropped_or_torn(self):
        self.write_old_and_new()
        done, blocks = self.after({"seed": 1, "fate": "mixed"})
        self.assertEqual(done["kept"] + done["dropped"] + done["torn"], BLOCKS)
        for outcome in ("kept", "dropped", "torn"):
            self.assertGreater(done[outcome], BLOCKS // 6)
        self.assertGreaterEqual(blocks.count("n" * 8), done["kept"])
        self.assertGreaterEqual(blocks.count("o" * 8), done["dropped"])
        self.assertGreater(sum(len(set(block)) == 2 for block in blocks), BLOCKS // 6)

    def test_the_seed_decides(self):
        outcomes = []
        for seed in (1, 1, 2):
            self.write_old_and_new()
            outcomes.append(self.after({"seed": seed, "fate": "mixed"})[1])
        self.assertEqual(outcomes[0], outcomes[1])
        self.assertNotEqual(outcomes[0], outcomes[2])

    def test_everything_can_be_dropped(self):
        self.write_old_and_new()
        self.assertEqual(self.after({"seed": 1, "fate": "drop"})[1], ["o" * 8] * BLOCKS)

    def test_what_is_synced_stays(self):
        file = self.write_old_and_new()
        os.fdatasync(file)
        self.assertEqual(self.after({"seed": 1, "fate": "drop"})[1], ["n" * 8] * BLOCKS)

    def test_a_close_is_no_sync(self):
        file = self.write_old_and_new()
        os.close(os.dup(file))
        self.assertEqual(self.disk.status()["volatile_blocks"], BLOCKS)

    def test_no_input_or_output_without_power(self):
        file = self.write_old_and_new()
        self.disk.cut(seed=1)
        for attempt in (lambda: os.pread(file, BLOCK, 0), lambda: os.pwrite(file, b"x" * BLOCK, 0),
                        lambda: os.fsync(file)):
            with self.assertRaises(OSError):
                attempt()
        self.disk.command("restart")
        self.assertEqual(len(os.pread(file, BLOCK, 0)), BLOCK)

    def test_the_power_fails_at_a_write_or_a_sync(self):
        for moment in ("write", "sync"):
            file = self.write_old_and_new()
            done = []
            with disk_module.in_background(lambda: done.append(self.disk.cut(1, "drop", moment, 2, 60000))):
                with self.assertRaises(OSError):
                    while True:
                        os.pwrite(file, b"x" * BLOCK, 0)
                        os.fsync(file)
            self.assertEqual(done[0]["syncs_in_progress"], int(moment == "sync"))
            self.assertEqual(done[0]["dropped"], 1)
            self.disk.command("restart")

    def test_a_sync_that_is_cut_off_saves_nothing(self):
        file = self.write_old_and_new()
        self.disk.delay_syncs(60000)
        failed = []

        def sync():
            try:
                os.fsync(file)
            except OSError as error:
                failed.append(error)

        with disk_module.in_background(sync):
            disk_module.wait_until(lambda: self.disk.status()["syncs_in_progress"] == 1, "the sync")
            done, blocks = self.after({"seed": 1, "fate": "drop"})
            self.disk.delay_syncs(0)
            self.assertEqual((done["syncs_in_progress"], blocks), (1, ["o" * 8] * BLOCKS))
        self.assertEqual(len(failed), 1)

    def test_a_sync_takes_as_long_as_was_said(self):
        file = self.write_old_and_new()
        self.disk.delay_syncs(50)
        start = time.monotonic()
        os.fsync(file)
        self.assertGreaterEqual(time.monotonic() - start, 0.05)

    def test_a_sync_fails_when_it_is_told_to(self):
        file = self.write_old_and_new()
        self.disk.fail_syncs(1)
        with self.assertRaises(OSError):
            os.fsync(file)
        self.assertEqual(self.disk.status()["volatile_blocks"], BLOCKS)
        os.fsync(file)
        self.assertEqual(self.disk.status()["volatile_blocks"], 0)

    def test_a_spoilt_block_cannot_be_read_until_it_is_mended(self):
        file = self.write_old_and_new()
        os.pwrite(file, b"BADWORD", BLOCK + 100)
        self.disk.spoil("BADWORD")
        with self.assertRaises(OSError):
            os.pread(file, BLOCK, BLOCK)
        self.assertEqual(os.pread(file, BLOCK, 0), b"n" * BLOCK)
        self.disk.spoil()
        self.assertIn(b"BADWORD", os.pread(file, BLOCK, BLOCK))

    def test_a_full_cache_is_written_back(self):
        small = VolatileDisk(size_mib=16, cache_mib=1)
        self.addCleanup(small.close)
        small.power_up()
        file = os.open(small.file, os.O_RDWR)
        self.addCleanup(os.close, file)
        os.pwrite(file, b"n" * BLOCK * BLOCKS, 0)  # more than a MiB
        self.assertEqual(small.status()["full_caches"], 1)
        self.assertLessEqual(small.status()["volatile_blocks"], 256)


class FileSystem(unittest.TestCase):
    """Through the loop device and ext4: an upper sync is one here, and what is not synced is not."""

    def setUp(self):
        self.disk = VolatileDisk(size_mib=64)
        self.addCleanup(self.disk.close)
        self.disk.start()
        self.path = self.disk.folder / "file"
        with open(self.path, "wb") as file:
            file.write(b"o" * BLOCK * 40)
            os.fsync(file.fileno())
        folder = os.open(self.disk.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def write(self, flags, first):
        """20 writes of a block each, from block `first` on; gives the writes and syncs that the disk saw."""
        before = self.disk.status()
        file = os.open(self.path, os.O_RDWR | os.O_DIRECT | flags)
        new = page(ord("n"))
        for block in range(first, first + 20):
            os.pwrite(file, new, block * BLOCK)
        os.close(file)
        after = self.disk.status()
        return after["writes"] - before["writes"], after["syncs"] - before["syncs"]

    def test_what_reaches_the_disk(self):
        for direct in (True, False):
            with self.subTest(direct_loop=direct):
                self.disk.direct = direct
                self.disk.cut(1, "drop")
                self.disk.restart()
                writes, syncs = self.write(os.O_DSYNC, 0)
                print(f"loop direct-io {direct}: 20 writes O_DIRECT|O_DSYNC: {writes} writes, {syncs} syncs", end="; ")
                self.assertGreaterEqual(writes, 20)
                self.assertGreaterEqual(syncs, 20)
                writes, syncs = self.write(0, 20)
                print(f"20 writes O_DIRECT: {writes} writes, {syncs} syncs")
                self.assertGreaterEqual(writes, 20)
                self.assertLess(syncs, 20)  # the journal may commit meanwhile
                self.disk.cut(1, "drop")
                self.disk.restart()
                content = self.path.read_bytes()
                self.assertEqual(content[:BLOCK * 20], b"n" * BLOCK * 20, "O_DSYNC is not durable")
                if syncs == 0:
                    self.assertEqual(content[BLOCK * 20:], b"o" * BLOCK * 20, "unsynced is durable")
                with open(self.path, "r+b") as file:
                    file.write(b"o" * BLOCK * 40)
                    os.fsync(file.fileno())

    def test_a_failed_sync_is_told(self):
        file = os.open(self.path, os.O_RDWR | os.O_DIRECT | os.O_DSYNC)
        self.addCleanup(os.close, file)
        self.disk.fail_syncs(1)
        with self.assertRaises(OSError):
            os.pwrite(file, page(ord("n")), 0)
        self.addCleanup(self.disk.cut, 1)

    def test_the_file_system_survives_torn_blocks(self):
        """The journal's own promise, over many seeds: else the disk would be harsher than disks are."""
        for seed in range(20):
            for number in range(20):
                (self.disk.folder / f"{seed}-{number}").write_bytes(b"x" * 10000)
            done = (self.disk.folder / f"{seed}-synced")
            with open(done, "wb") as file:
                file.write(b"y" * 10000)
                os.fsync(file.fileno())
            for number in range(20):
                (self.disk.folder / f"{seed}-{number}").unlink()
            self.disk.cut(seed, "mixed" if seed % 2 else "any", "write", 1, 50)
            self.disk.restart()
            self.assertEqual(done.read_bytes(), b"y" * 10000)
        self.disk.unmount()
        disk_module.run("e2fsck", "-fn", str(self.disk.file))


if __name__ == "__main__":
    if missing := why_not():
        print(f"skipped: {missing}")
        sys.exit(77)
    ends_on_sigterm()
    own_mounts()
    unittest.main(verbosity=2)
