"""Small file systems of a trial's own, and what may befall them: full, without inodes, read-only, failing, frozen.

Each is an ext4 image on a loop device, mounted below the trial's directory. Whatever happens in between, it is
unmounted and the device given back when the ``with`` block ends. Root only: ``can_mount`` says whether it works here.

A ``ThinDisk`` is one that fails for a while: its image has holes, and lies on a file system that can be filled. What
is written where there was a hole fails then (EIO at the sync), as on a thin volume whose pool has run out; and works
again when there is room.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

FIFREEZE = 0xC0045877  # _IOWR('X', 119, int), linux/fs.h
FITHAW = 0xC0045878
FILLER = ".filler"
"""The directory of what fills the disk; the gate leaves names with a dot alone."""
BLOCK = 4096
"""Of a thin disk: a page of its pool, so that no block is there by half."""
TOP_UP = 0.02
"""Seconds between looks for room that came back, so that full stays full."""
_TOOLS = ("losetup", "mkfs.ext4", "mount", "umount", "e2fsck", "sync")


def can_mount() -> str:
    """Why there can be no such disks here; empty if there can."""
    if os.geteuid() != 0:
        return "small file systems of its own need root"
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=_path()) is None]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if not Path("/dev/loop-control").exists():
        return "no loop devices here"
    return ""


class Disk:
    """One file system, mounted at ``path`` from the start. A context manager."""

    errors = "remount-ro"
    """What the kernel does when the disk fails."""

    def __init__(self, path: Path, image: Path, megabytes: int = 24, inodes: int = 2048) -> None:
        self.path = path
        self._image = image
        self._device = ""
        self._megabytes = megabytes
        self._inodes = inodes

    def _make(self, *options: str) -> None:
        with open(self._image, "wb") as file:
            file.truncate(self._megabytes * 1024 * 1024)
        # No blocks for root alone, or "full" would mean something else for a daemon that runs as root.
        _run("mkfs.ext4", "-q", "-m", "0", "-N", str(self._inodes), *options, str(self._image))

    def __enter__(self) -> Self:
        self._make()
        self._attach()
        return self

    def _attach(self) -> None:
        self._device = _run("losetup", "--find", "--show", str(self._image)).strip()
        try:
            self.mount()
        except BaseException:
            _run("losetup", "--detach", self._device)
            raise

    def __exit__(self, *exc: object) -> None:
        self._thaw()
        while os.path.ismount(self.path):
            self.unmount()
        _run("losetup", "--detach", self._device)
        self._image.unlink()

    def mount(self) -> None:
        self.path.mkdir(exist_ok=True)
        _run("mount", "-o", f"errors={self.errors}", self._device, str(self.path))

    def unmount(self) -> None:
        """As ``umount -l``: at once, also under a daemon that has directories open."""
        _run("umount", "--lazy", str(self.path))

    # -- what may befall it ----------------------------------------------------------------------

    @contextmanager
    def full(self) -> Iterator[None]:
        """No block is free; what becomes free is taken at once."""
        with self._filled(self._eat_blocks):
            yield

    @contextmanager
    def without_inodes(self) -> Iterator[None]:
        """There is room, but no new name can be given to anything new."""
        with self._filled(self._eat_inodes):
            yield

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """As ``mount -o remount,ro``; waits until nobody has a file open for writing."""
        end = time.monotonic() + 30
        while subprocess.run(["mount", "-o", "remount,ro", self.path], capture_output=True, check=False).returncode:
            if time.monotonic() > end:
                raise AssertionError(f"{self.path} is busy all the time")
            time.sleep(0.02)
        try:
            yield
        finally:
            _run("mount", "-o", "remount,rw", str(self.path))

    def fail(self) -> None:
        """As the kernel does on an error of the disk: read-only from now on, under whoever writes."""
        with open(f"/sys/fs/ext4/{os.path.basename(self._device)}/trigger_fs_error", "w") as file:
            file.write("a trial")

    def repair(self) -> None:
        """As an administrator would, when nobody uses it any more."""
        end = time.monotonic() + 30
        while True:
            try:
                _run("umount", str(self.path))
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        # 0 and 1: nothing was wrong, all was mended.
        subprocess.run(["e2fsck", "-f", "-y", self._device], capture_output=True, check=False, env=_env())
        self.mount()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """As slow as a disk can be: whoever writes waits until it thaws."""
        self._ioctl(FIFREEZE)
        try:
            yield
        finally:
            self._thaw()

    # -- inside ----------------------------------------------------------------------------------

    def _thaw(self) -> None:
        try:
            self._ioctl(FITHAW)
        except OSError:
            pass  # it was not frozen

    def _ioctl(self, request: int) -> None:
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, request, 0)
        finally:
            os.close(fd)

    @contextmanager
    def _filled(self, eat: Callable[[Path], None]) -> Iterator[None]:
        filler = self.path / FILLER
        filler.mkdir()
        eat(filler)
        stop = threading.Event()

        def top_up() -> None:
            while not stop.wait(TOP_UP):
                eat(filler)

        thread = threading.Thread(target=top_up)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            shutil.rmtree(filler)

    @staticmethod
    def _eat_blocks(filler: Path) -> None:
        with open(filler / "blocks", "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 16, 1 << 12):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    pass

    @staticmethod
    def _eat_inodes(filler: Path) -> None:
        try:
            while True:
                os.close(os.open(filler / str(time.monotonic_ns()), os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        except OSError:
            pass


class ThinDisk(Disk):
    """One whose writes can fail for a while. It has no journal, and goes on in spite of errors: else the kernel would
    have it read-only for good after the first.

    ``dioread_lock``: otherwise ext4 gives a file blocks that count as unwritten, and of one whose first write failed
    it never notes that a later one was well (6.18): it is zeros when read from the disk, whatever was synced.
    """

    errors = "continue,dioread_lock"

    def __enter__(self) -> Self:
        self._pool = self._image.with_suffix(".pool")
        self._pool.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={2 * self._megabytes}m", "tmpfs", str(self._pool))
        self._image = self._pool / self._image.name
        try:
            self._make("-O", "^has_journal", "-b", str(BLOCK))
            self._attach()
            # A request of several blocks that fails at the second counts as done (loop.c, lo_complete_rq): not ours.
            limit = Path(f"/sys/block/{os.path.basename(self._device)}/queue/max_sectors_kb")
            self._restore = limit, limit.read_text()
            limit.write_text("4")
        except BaseException:
            _run("umount", str(self._pool))
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        limit, before = self._restore
        limit.write_text(before)
        super().__exit__(*exc)
        _run("umount", "--lazy", str(self._pool))  # the kernel may still have the device for a moment

    @contextmanager
    def failing(self, room: int = 0) -> Iterator[None]:
        """No block can be written that was not written before; except for the next ``room`` of them."""
        _run("sync", "--file-system", str(self.path))  # what was written before is on it
        filler = self._pool / FILLER
        filler.mkdir()
        self._eat_blocks(filler)
        with open(filler / "blocks", "ab") as file:
            file.truncate(file.tell() - room * BLOCK)
        try:
            yield
        finally:
            shutil.rmtree(filler)

    @contextmanager
    def after_a_cut(self, path: Path) -> Iterator[None]:
        """At ``path``, what would be found if the power went now: not what is only in the kernel's memory."""
        image = path.with_suffix(".image")
        _run("cp", "--sparse=always", str(self._image), str(image))
        # 0, 1: nothing was wrong, all was mended.
        subprocess.run(["e2fsck", "-f", "-y", str(image)], capture_output=True, check=False, env=_env())
        path.mkdir()
        _run("mount", "-o", "loop", str(image), str(path))
        try:
            yield
        finally:
            _run("umount", str(path))


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _env() -> dict[str, str]:
    return {**os.environ, "PATH": _path()}


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_env())
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
