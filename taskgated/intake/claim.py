"""Files taken out of the spool: each in a directory of its own under ``.claims``, until it is done with.

A claim is one rename, so that a file is either in the spool or claimed, whenever the power goes. The name of
its directory is the claim's id: a time that only grows, something random, what kind of file it is, and the queue;
of one from a directory with the name of the default queue, for which files are mostly taken from the spool itself, it
says that as well.
The store knows by that id what has been added. The kind is decided when the file is claimed, and is in the name so
that nothing which happens later, to us or to the configuration, makes anything else of the file.

The file alone is in that directory; only intake puts anything there. But a file that a handler works on lies one
level deeper, in a directory that is its job's: what the job puts beside its file is there, and the name of the file
is kept above, as the text of a symbolic link that is never followed.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterator

from taskgated.core.fixed import DEFAULT_QUEUE
from taskgated.faultpoints import point
from taskgated.host import directories
from taskgated.intake.litter import Litter
from taskgated.language.kinds import Kind

SPARE = 256
"""Empty directories kept for the next claims: to make and remove one takes as long as all the rest."""
_DONE = "done."
_LITTER = b"done.litter"
_NAME, _WORK = b"name", b"work"
_KINDS = {kind: kind.name.lower() for kind in Kind}
_KIND_OF = {word: kind for kind, word in _KINDS.items()}
# Version 0.2.0 did not write down the kind.
_ID = re.compile(
    rf"[0-9a-f]{{16}}-[0-9a-f]{{8}}(?:-(?P<kind>{'|'.join(_KIND_OF)})(?P<nested>-nested)?)?\.(?P<queue>[A-Za-z0-9_.-]+)"
)


def _parts(claim: str) -> re.Match[str]:
    match = _ID.fullmatch(claim)
    if match is None:
        raise ValueError(f"not the id of a claim: {claim!r}")
    return match


def queue_of(claim: str) -> str:
    """The queue that a claimed file was dropped for."""
    return _parts(claim)["queue"]


def directory_of(claim: str) -> str:
    """The name of the directory in the spool from which it was taken; "" for the spool itself."""
    parts = _parts(claim)
    return parts["queue"] if parts["queue"] != DEFAULT_QUEUE or parts["nested"] else ""


def kind_of(claim: str) -> Kind | None:
    """What kind of file was claimed; None if version 0.2.0 claimed it."""
    return _KIND_OF.get(_parts(claim)["kind"])


class Claims:
    """The directory ``.claims``. ``OSError`` from any method means that it, or its disk, is in trouble."""

    def __init__(self, path: bytes, tell: Callable[[bytes, str], None]) -> None:
        """``tell``: the path of what cannot be removed, and why."""
        directories.make_private(os.fsdecode(path))
        self.path = path
        self.fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self.litter = Litter(self.fd, path, _LITTER, tell)
        except BaseException:
            os.close(self.fd)
            raise
        self._last = 0
        self._spare: list[bytes] = []

    def close(self) -> None:
        for path in self._spare:
            try:
                os.rmdir(path, dir_fd=self.fd)
            except OSError:
                pass  # the next session finds it, as a claim that was put by
        self.litter.close()
        os.close(self.fd)

    def in_place(self) -> bool:
        """Whether the directory is where jobs and the next daemon look for it: not moved, replaced or removed."""
        try:
            there = os.lstat(self.path)
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self.fd))

    def make(self, queue: str, kind: Kind, name: bytes, *, nested: bool = False) -> str:
        """A new claim for a file of that name. ``nested``: it lies in a directory of the queue's name."""
        self._last = max(self._last + 1, time.time_ns())
        of = f"{_KINDS[kind]}-nested" if nested and queue == DEFAULT_QUEUE else _KINDS[kind]
        claim = f"{self._last:016x}-{secrets.token_hex(4)}-{of}.{queue}"
        path = claim.encode("ascii")
        if kind is Kind.FILE:
            os.mkdir(path, 0o700, dir_fd=self.fd)
            point("claim.made")
            os.symlink(name, path + b"/" + _NAME, dir_fd=self.fd)
            point("claim.named")
            os.mkdir(path + b"/" + _WORK, 0o700, dir_fd=self.fd)
            point("claim.work")
            return claim
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

    def names(self, claim: str) -> list[bytes]:
        """The names of the claimed file: none if it is not there, more than one only in a claim of version 0.2.0,
        in which handlers worked."""
        path = self.path + b"/" + claim.encode("ascii")
        try:
            if kind_of(claim) is not Kind.FILE:
                return [os.fsencode(name) for name in os.listdir(path)]
            name = os.readlink(path + b"/" + _NAME)
            os.lstat(path + b"/" + _WORK + b"/" + name)
            return [name]
        except FileNotFoundError:
            return []

    def drop(self, claim: str) -> None:
        """Remove a claim that no file came to. Kept for the next one, it would pass for one that is under way."""
        path = claim.encode("ascii")
        try:
            os.rmdir(path, dir_fd=self.fd)
        except OSError:
            self.litter.put(path)

    def put_by(self, claim: str) -> None:
        """The claim is done with: it is not taken up any more, but the store still knows it."""
        try:
            os.rename(claim.encode("ascii"), (_DONE + claim).encode("ascii"), src_dir_fd=self.fd, dst_dir_fd=self.fd)
        except FileNotFoundError:
            pass  # it was put by before
        point("claim.done")

    def remove(self, claim: str, name: bytes | None = None) -> None:
        """Remove a claim that was put by, with its file. ``name``: that of the file, where it is known."""
        path = (_DONE + claim).encode("ascii")
        if name is not None and kind_of(claim) is not Kind.FILE:
            try:
                os.unlink(path + b"/" + name, dir_fd=self.fd)
                point("claim.unlinked")
            except (FileNotFoundError, IsADirectoryError):
                pass  # it was moved to rejected/
        self._remove(path)
        point("claim.removed")

    def _remove(self, path: bytes) -> None:
        """Remove a directory, or keep it for the next claim if it is empty beyond doubt: whatever was in it would
        pass for the file of that claim."""
        if len(self._spare) < SPARE and self._is_empty(path):
            self._spare.append(path)
        else:
            self.litter.put(path)

    def _is_empty(self, path: bytes) -> bool:
        try:
            return not os.listdir(self.path + b"/" + path)
        except OSError:
            return False

    def all(self) -> Iterator[tuple[str, bool]]:
        """The ids of all claims and whether they were put by, in no order; they may change meanwhile."""
        with os.scandir(self.path) as entries:
            for entry in entries:
                name = os.fsdecode(entry.name)
                claim = name.removeprefix(_DONE)
                if _ID.fullmatch(claim):
                    yield claim, claim != name

    def sync(self) -> None:
        """Put on stable storage what was made and what was put by."""
        os.fsync(self.fd)


def inside(claim: str, name: bytes) -> bytes:
    """The claimed file, relative to ``.claims``."""
    directory = claim.encode("ascii") + b"/"
    return directory + _WORK + b"/" + name if kind_of(claim) is Kind.FILE else directory + name
