"""Files taken out of the spool: each in a directory of its own under ``.claims``, until it is done with.

A claim is one rename, so that a file is either in the spool or claimed, whenever the power goes. The name of
its directory is the claim's id: a time that only grows, something random, and the queue. The store knows
by that id what has been added.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator

from taskgated import directories
from taskgated.trace import point

SPARE = 256
"""Empty directories kept for the next claims: to make and remove one takes as long as all the rest."""
_DONE = "done."
_ID = re.compile(r"[0-9a-f]{16}-[0-9a-f]{8}\.([A-Za-z0-9_.-]+)")


def queue_of(claim: str) -> str:
    """The queue that a claimed file was dropped for."""
    match = _ID.fullmatch(claim)
    if match is None:
        raise ValueError(f"not the id of a claim: {claim!r}")
    return match[1]


class Claims:
    """The directory ``.claims``. ``OSError`` from any method means that it, or its disk, is in trouble."""

    def __init__(self, path: bytes) -> None:
        directories.make_private(os.fsdecode(path))
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._last = 0
        self._spare: list[bytes] = []

    def close(self) -> None:
        for path in self._spare:
            try:
                os.rmdir(path, dir_fd=self.fd)
            except OSError:
                pass  # found as a claim that was put by, when we are back
        os.close(self.fd)

    def in_place(self) -> bool:
        """Whether the directory is where jobs and the next daemon look for it: not moved, replaced or removed."""
        try:
            there = os.lstat(self.path)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self.fd))

    def make(self, queue: str) -> str:
        """A new, empty claim."""
        self._last = max(self._last + 1, time.time_ns())
        claim = f"{self._last:016x}-{secrets.token_hex(4)}.{queue}"
        path = claim.encode("ascii")
        while self._spare:
            try:
                os.rename(self._spare.pop(), path, src_dir_fd=self.fd, dst_dir_fd=self.fd)
                break
            except FileNotFoundError:
                pass  # it was removed twice
        else:
            os.mkdir(path, 0o700, dir_fd=self.fd)
        point("claim.made")
        return claim

    def take(self, directory: int, name: bytes, claim: str) -> None:
        """Rename a file into its claim. ``OSError`` when it will not go, or is not there any more."""
        os.rename(name, inside(claim, name), src_dir_fd=directory, dst_dir_fd=self.fd)
        point("claim.taken")

    def name(self, claim: str) -> bytes | None:
        """The name of the claimed file; None if the claim is empty or not there."""
        try:
            names = os.listdir(self.path + b"/" + claim.encode("ascii"))
        except FileNotFoundError:
            return None
        return os.fsencode(names[0]) if names else None

    def drop(self, claim: str) -> None:
        """Remove a claim that is empty."""
        os.rmdir(claim.encode("ascii"), dir_fd=self.fd)

    def put_by(self, claim: str) -> None:
        """The claim is done with: nobody takes it up any more, but the store still knows it."""
        try:
            os.rename(claim.encode("ascii"), (_DONE + claim).encode("ascii"), src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except FileNotFoundError:
            pass  # it was put by before
        point("claim.done")

    def remove(self, claim: str, name: bytes | None = None) -> None:
        """Remove a claim that was put by, with its file. ``name``: that of the file, where it is known."""
        path = (_DONE + claim).encode("ascii")
        try:
            for file in [name] if name is not None else os.listdir(self.path + b"/" + path):
                os.unlink(path + b"/" + file, dir_fd=self.fd)
                point("claim.unlinked")
        except FileNotFoundError:
            pass  # it was moved to rejected/
        if len(self._spare) < SPARE:
            self._spare.append(path)
            return
        try:
            os.rmdir(path, dir_fd=self.fd)
        except FileNotFoundError:
            pass
        point("claim.removed")

    def all(self) -> Iterator[tuple[str, bool]]:
        """The ids of all claims and whether they were put by, in no order; they may change meanwhile."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                name = os.fsdecode(entry.name)
                claim = name.removeprefix(_DONE)
                if _ID.fullmatch(claim):
                    yield claim, claim != name

    def sync(self) -> None:
        """What was made or put by is so after a power cut, too."""
        os.fsync(self.fd)


def inside(claim: str, name: bytes) -> bytes:
    """The claimed file, relative to ``.claims``."""
    return claim.encode("ascii") + b"/" + name
