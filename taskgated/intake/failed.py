"""Files whose jobs are over and did not succeed: ``failed/JOB/NAME``, with ``NAME.reason`` beside it. What was
dropped for a handler is perhaps all there is of it, so it is not deleted as long as its job is remembered.

Each job has a directory of its own, named by its id: so no two names meet, and what is forgotten is found by the id
alone. Who may read the file is said by the directory, whatever the mode of the file and of the queue that it came
from: the user who has the file, where the file system has access control lists, and nobody else but the gate and
root.

The file is moved by one rename, before its claim is put by, and synced before the store forgets the claim; until then
retention leaves its job alone. So a crash finds the file in its claim, and it is moved again, or in its place, and
only the claim is still to be put by. What cannot be moved stays in its claim, and is tried again.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection

from taskgated.core.state import State
from taskgated.errors import StoreClosed, StoreError
from taskgated.faultpoints import point
from taskgated.host import acl, directories
from taskgated.host.clock import rfc3339, wall
from taskgated.intake.aside import Aside
from taskgated.intake.claim import Claims, inside, kind_of, queue_of
from taskgated.intake.events import Sink
from taskgated.intake.litter import make_ours
from taskgated.intake.reject import REASON, free, leads_back, sync, write_reason
from taskgated.language.kinds import Kind
from taskgated.store.contract import Record
from taskgated.text import printable, to_bytes, to_text

LIMIT = 4096
"""Claims remembered whose files cannot be moved; the others are found when all claims are looked through again."""


class Failed:
    """The directory ``failed``, made when it is needed."""

    def __init__(self, failed: bytes, claims: Claims, sink: Sink, aside: Aside) -> None:
        self._failed = failed
        self._claims = claims
        self._sink = sink
        self._aside = aside
        self._unsynced: list[bytes] = []
        self._waiting: dict[str, None] = {}
        self._more = False

    @property
    def forgot(self) -> bool:
        """Files that could not be moved can be by now, and some of them were too many to remember."""
        return self._more and not self._waiting

    def keep(self, claim: str) -> bool:
        """Move the file of a claim whose job is over; False if it has to stay in its claim, which is told."""
        try:
            self._keep(claim)
        except StoreClosed:
            raise
        except (OSError, StoreError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            if claim in self._waiting or len(self._waiting) < LIMIT:
                self._waiting[claim] = None
            else:
                self._more = True
            text = f"its job did not succeed, and the file cannot be moved to {to_text(self._failed)}/: {why}"
            self._aside.stuck(claim.encode("ascii"), queue_of(claim), f"{text}; it stays in .claims/")
            return False
        self._waiting.pop(claim, None)
        self._aside.free(claim.encode("ascii"), queue_of(claim))
        return True

    def waiting(self) -> list[str]:
        """Claims that are to be tried again."""
        return list(self._waiting)

    def sync(self) -> None:
        """Put on stable storage what was moved."""
        if self._unsynced:
            for place in self._unsynced:
                sync(place)
            sync(self._failed)
            self._unsynced.clear()

    def _keep(self, claim: str) -> None:
        record = self._sink.worked_on(claim)
        if record is None or record.state is State.SUCCEEDED:
            return
        name = self._name(claim, record)
        if name is None:
            return  # the job took it away, or it was moved before a crash
        directories.make_shared(os.fsdecode(self._failed))
        if leads_back(self._failed):
            raise OSError(errno.ELOOP, "it is a link into the spool")
        place = _place(self._failed, record.id)
        directories.make_private(os.fsdecode(place))
        if os.path.islink(place):
            raise OSError(errno.ELOOP, f"{record.id} is a link there")
        if record.uid != os.geteuid():
            try:
                acl.let_look(place, record.uid)
            except OSError:
                pass  # no such lists on this file system: only we and root get there
        new = free(name, lambda name: os.path.lexists(place + b"/" + name))
        try:
            write_reason(place + b"/" + new + REASON, to_bytes(_reason(record)), record.uid)
        except OSError:
            pass  # it is in the journal, and the store has it
        point("failed.reason")
        os.rename(inside(claim, name), place + b"/" + new, src_dir_fd=self._claims.fd)
        self._unsynced.append(place)
        point("failed.moved")

    def _name(self, claim: str, record: Record) -> bytes | None:
        """The name of the file in its claim; None if there is none any more. What a job put there instead of the file
        it was given is that file, if it is one; version 0.2.0 let jobs work in the claim itself."""
        if kind_of(claim) is Kind.FILE:
            try:
                make_ours(self._claims.fd, os.path.dirname(inside(claim, b"")))
            except FileNotFoundError:
                return None
            name = next(iter(self._claims.names(claim)), b"")
        else:
            name = to_bytes(record.source)
        try:
            status = os.stat(inside(claim, name), dir_fd=self._claims.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return name if name and stat.S_ISREG(status.st_mode) else None


def remove(failed: bytes, jobs: Collection[int]) -> dict[int, str]:
    """Delete what is kept for these jobs. Returns the jobs of which something is left, and why."""
    stuck = {}
    for job in jobs:
        place = _place(failed, job)
        try:
            fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            stuck[job] = f"{to_text(place)}: {error.strerror}"
            continue
        try:
            for name in os.listdir(fd):
                os.unlink(name, dir_fd=fd)
            os.rmdir(place)
        except OSError as error:
            stuck[job] = f"{to_text(place)}: {error.strerror}"
        finally:
            os.close(fd)
    return stuck


def _place(failed: bytes, job: int) -> bytes:
    return failed + b"/%d" % job


def _reason(record: Record) -> str:
    end = "cancelled" if record.state is State.CANCELLED else "failed"
    if record.state is State.FAILED and record.result is not None and record.result.word != end:
        end += f", {record.result.word}"
    if record.state is State.FAILED and record.exit_code is not None:
        end += f", exit code {record.exit_code}"
    if record.signal is not None:
        end += f", signal {record.signal}"
    why = f": {record.reason}" if record.reason else ""
    at = rfc3339(record.finished if record.finished is not None else wall())
    return (
        f"{printable(record.source)}: job {record.id} {end}{why}\n\n"
        f"Ended {at}, queue {record.queue}, attempt {record.attempt}. What it wrote: taskgatectl logs {record.id}\n"
        f"To have it tried again, copy the file into the queue. It is kept as long as its job is remembered.\n"
    )
