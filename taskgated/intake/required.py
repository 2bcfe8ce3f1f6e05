"""What a queue requires beside a file before that is taken (``require:``): a marker, or a checksum.

A connection that breaks leaves a part of a file, closed and under its final name, and nothing in the part tells. So
whoever sends it says that it is whole, by a second file, before or after it: ``NAME.done``, whatever is in that, or
``NAME.sha256`` as sha256sum(1) writes it. Such a companion is no job. A file without its companion waits, and is
looked at again when the companion comes; so is one with another sum, for its rest may still come.

The companion goes when its file was claimed, before the jobs of it are added, so that it lets no later file of that
name in: see step 1 of ``take``. One that no file comes to is moved to ``rejected`` after a while.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from dataclasses import dataclass, field
from typing import Protocol

from taskgated.errors import Trouble
from taskgated.intake.later import Later
from taskgated.intake.pulse import Pulse
from taskgated.intake.reject import sync
from taskgated.intake.settle import Opened, unfit
from taskgated.intake.tally import Tally
from taskgated.intake.understand import read_at, understand
from taskgated.language.bynames import companion, file_of
from taskgated.language.config import Require
from taskgated.language.sums import LONGEST, misfit
from taskgated.text import printable, to_text

PATIENCE = 600.0
"""Seconds after which it is told that a file waits for its companion."""
STRAY = 3600.0
"""Seconds for which a companion without a file is left in the spool, since it was met first."""
RESTS = 30
"""For so many times ``settle_time`` a file and a sum that do not fit stay as they are, before the file is refused."""
PIECE = 1024 * 1024
AT_ONCE = 64
"""Pieces that are summed up in one go, some tenths of a second; the others have their turn in between."""
OTHERS = 0.5
"""Seconds until a file of more pieces is looked at again while another of that kind is summed up."""
TURN = 5.0
"""Seconds after which a file of which nothing was seen since is not waited for by others of that kind."""
STEPS = 5
"""In so many moments of that time files that do not fit are looked at again, many at once."""
SUMS = 1024
"""Sums kept of large files that are being summed up; another is begun anew."""
WRONG = 32_768
"""Files of which is remembered that they do not fit, some 300 bytes each."""
Signature = tuple[int, int, int, int]


class Look(Protocol):
    """As ``Taker.look``."""

    def __call__(self, directory: int, name: bytes, later: Later) -> Opened | float | None: ...


@dataclass(slots=True)
class _Sum:
    """How far a file is summed up. ``signatures``: how it and the file with its sum looked then."""

    signatures: tuple[Signature, Signature]
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    done: int = 0
    since: float = field(default_factory=time.monotonic)


class Required:
    """``look`` opens a file in the spool if it is settled. For the intake thread."""

    def __init__(self, look: Look, pulse: Pulse) -> None:
        self._look = look
        self._pulse = pulse
        self._sums: dict[tuple[int, bytes], _Sum] = {}
        self._turn: tuple[int, bytes] | None = None  # the file of many pieces that is summed up now
        self._turn_at = 0.0
        self.pieces = 0
        """So many were summed up in all."""
        self._wrong: dict[bytes, tuple[float, str]] = {}  # since when, and the sum

    def took_long(self, since: int) -> bool:
        """Whether as much as goes in one go was summed up since there were so many ``pieces``."""
        return self.pieces - since >= AT_ONCE

    def file_of(self, directory: int, name: bytes, require: Require) -> bytes | None:
        """The file that ``name`` says of that it is whole; None if it is no companion."""
        file = file_of(name, require)
        return file if file is not None and _status(directory, name) is not None else None

    def is_file(self, directory: int, name: bytes) -> bool:
        """Whether there is a regular file of that name."""
        return _status(directory, name) is not None

    def stray(self, directory: int, name: bytes, file: bytes, later: Later) -> float:
        """There is no such ``file``: in how many seconds to look at its companion again. Raises ``Refused`` after
        ``STRAY`` seconds."""
        status = _status(directory, name)
        rest = 0.0 if status is None else STRAY - later.unchanged(name, status)
        if status is not None and rest <= 0:
            text = f"says that {printable(to_text(file))} is whole, and no such file has come in {STRAY / 60:.0f} min"
            raise unfit(name, text, "drop both again")
        return rest

    def waits(self, directory: int, name: bytes, require: Require, later: Later, lacking: Tally) -> float:
        """The file has no companion: in how many seconds to look again; 0 when it has one, or needs none, being
        nothing that may be taken. It is one of those that are ``lacking`` then. Raises ``Trouble`` after ``PATIENCE``
        seconds."""
        status = _status(directory, name)
        if status is None or _status(directory, companion(name, require)) is not None:
            return 0.0
        lacking.add(name, status.st_ctime_ns // 1000)
        stem = os.path.splitext(name)[0]
        if lacking.near is None and stem != name and _status(directory, near := stem + require.ending) is not None:
            lacking.is_near(name, near)  # NAME.done is meant for NAME.yaml, which needs NAME.yaml.done
        if (rest := PATIENCE - later.unchanged(name, status)) > 0:
            return rest
        raise Trouble(f"{printable(to_text(companion(name, require)))} is not there (require: in taskgated.yaml(5))")

    def fits(
        self, directory: int, name: bytes, opened: Opened, require: Require, later: Later, settle_time: float
    ) -> float:
        """Whether the file may be taken, which is ``opened``: 0 if so, else in how many seconds to look again. Raises
        ``Refused`` for a sum that is another, or is none, when both have been as they are for long enough."""
        if require.sha256 is None:
            return 0.0
        beside = companion(name, require)
        found = self._look(directory, beside, later)
        if not isinstance(found, Opened):
            return PATIENCE if found is None else max(found, 0.01)
        try:
            text = understand(beside, lambda: read_at(found.fd, LONGEST, 0))
            signatures = _signature(opened.stat), _signature(found.stat)
        finally:
            found.close()
        as_is = _digest(directory, name, signatures)
        since, digest = self._wrong.get(as_is, (time.monotonic(), ""))
        if not digest:
            if (sum_ := self._summed(directory, name, opened, signatures)) is None:
                return OTHERS
            if sum_.done < opened.stat.st_size:
                return 0.001
            since, digest = sum_.since, sum_.digest.hexdigest()
            self.forget(directory, name)
        if (wrong := misfit(name, beside, text, digest)) is None:
            return 0.0
        patience = RESTS * settle_time
        # The change times tell that of any number of files without memory, and of such as were there before us.
        age = time.time() - max(opened.stat.st_ctime_ns, found.stat.st_ctime_ns) / 1e9
        if (rest := patience - max(age, time.monotonic() - since)) > 0:
            self._keep(as_is, since, digest, patience)
            return _in_step(rest, patience / STEPS)
        self._wrong.pop(as_is, None)
        raise wrong

    def forget(self, directory: int, name: bytes) -> None:
        """The file is done with."""
        self._sums.pop((directory, name), None)
        self._give_up_turn((directory, name))

    def _summed(
        self, directory: int, name: bytes, opened: Opened, signatures: tuple[Signature, Signature]
    ) -> _Sum | None:
        """None: it has to wait for another. Of the files that take long one at a time is summed up, for a sparse file
        costs its owner nothing: if each had its share of the time, all would take as long as all together."""
        key = directory, name
        size = opened.stat.st_size
        if size > AT_ONCE * PIECE and not self._takes_turn(key):
            return None
        sum_ = self._sums.get(key)
        if sum_ is None or sum_.signatures != signatures:
            self._sums.pop(key, None)
            if len(self._sums) >= SUMS:
                del self._sums[next(other for other in self._sums if other != self._turn)]
            sum_ = self._sums[key] = _Sum(signatures)
        for _ in range(AT_ONCE):
            piece = understand(name, lambda: read_at(opened.fd, PIECE, sum_.done))
            if not piece:
                break
            sum_.digest.update(piece)
            sum_.done += len(piece)
            self.pieces += 1
            self._pulse.steps += 1
        if sum_.done >= size:
            self._give_up_turn(key)
        return sum_

    def _keep(self, as_is: bytes, since: float, digest: str, patience: float) -> None:
        """Remember that a file does not fit. The place of another is taken only when that would have come to its end:
        else of many files each would have another one summed up again."""
        if as_is not in self._wrong and len(self._wrong) >= WRONG:
            oldest = next(iter(self._wrong))
            if time.monotonic() - self._wrong[oldest][0] < 2 * patience:
                return
            del self._wrong[oldest]
        self._wrong[as_is] = since, digest

    def _takes_turn(self, key: tuple[int, bytes]) -> bool:
        now = time.monotonic()
        if self._turn not in (None, key) and now - self._turn_at < TURN:
            return False
        self._turn, self._turn_at = key, now
        return True

    def _give_up_turn(self, key: tuple[int, bytes]) -> None:
        if self._turn == key:
            self._turn = None


def remove_after_crash(directory: bytes, name: bytes, require: Require, claimed: os.stat_result) -> None:
    """Remove the companion of a claimed file from the directory of its queue, if it is still there. A newer one is
    that of the next file: a rename sets the change time, so that of the ``claimed`` file is when it was claimed."""
    path = directory + b"/" + name + require.ending
    try:
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode) and status.st_ctime_ns <= claimed.st_ctime_ns:
            os.unlink(path)
            sync(directory)  # before the jobs of the file are added, as in step 1
    except (FileNotFoundError, NotADirectoryError):
        pass


def _in_step(rest: float, period: float) -> float:
    """At least ``rest`` seconds, until a moment that is the same for many files: those that are too many for
    ``Later`` have all the directory looked at again at each such moment."""
    return rest + -(time.monotonic() + rest) % period


def _status(directory: int, name: bytes) -> os.stat_result | None:
    """That of a regular file; None for all else."""
    try:
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _signature(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(directory: int, name: bytes, signatures: tuple[Signature, Signature]) -> bytes:
    """Of a file as it is, in little memory."""
    return hashlib.blake2b(b"%a %b" % ((directory, signatures), name), digest_size=16).digest()
