"""What goes to the disk together: the files of one batch, their jobs, and what is told of them."""

from __future__ import annotations

import os

from taskgated.errors import StoreClosed, StoreError
from taskgated.faultpoints import point
from taskgated.intake.claimed import Claimed
from taskgated.intake.events import Accepted, Sink, Tell
from taskgated.intake.fate import Fate, Fates, Reject
from taskgated.intake.pulse import Pulse
from taskgated.intake.settle import Opened, unfit
from taskgated.intake.shares import Shares
from taskgated.store.contract import Addition

FILES = 256
"""Files in one batch: each may hold a descriptor until the batch is in the store."""
SPECS = 1000
BYTES = 4 * 1024 * 1024


class Batch:
    """One after the other, each ended by ``flush``."""

    def __init__(self, sink: Sink, tell: Tell, shares: Shares, fates: Fates, pulse: Pulse) -> None:
        self._sink = sink
        self._tell = tell
        self._shares = shares
        self._fates = fates
        self._pulse = pulse
        self._open: list[Opened] = []
        self._changed: set[int] = set()  # directories that a file was renamed out of
        self._additions: list[tuple[Claimed, Addition]] = []
        self._accepted: list[tuple[Claimed, Accepted]] = []  # to be told with them
        self._after: list[tuple[Claimed, Fate]] = []
        self._files = self._specs = self._bytes = 0

    @property
    def full(self) -> bool:
        """No more may come before ``flush``."""
        return self._files >= FILES or self._specs >= SPECS or self._bytes >= BYTES

    @property
    def empty(self) -> bool:
        """No file was touched since the last ``flush``."""
        return self._files == 0

    def touch(self) -> None:
        """A step with a file is taken."""
        self._files += 1
        self._pulse.steps += 1

    def weigh(self, size: int) -> None:
        """So many bytes of it were read."""
        self._bytes += size

    def hold(self, opened: Opened) -> None:
        """A file stays open, under its lease, until the batch is over."""
        self._pulse.steps += 1
        self._open.append(opened)

    def sync(self, directory: int) -> None:
        """A file was renamed out of this directory, which is synced before its jobs are added."""
        self._changed.add(directory)

    def then(self, claimed: Claimed, fate: Fate) -> None:
        """What becomes of a file when all of the batch is on stable storage."""
        self._after.append((claimed, fate))

    def add(self, claimed: Claimed, addition: Addition) -> None:
        self._additions.append((claimed, addition))
        self._specs += len(addition.specs)

    def accept(self, claimed: Claimed, queue: str, jobs: int) -> None:
        """That so many jobs were accepted for that queue, which need not be the one that the file was dropped for, is
        told when they are in the store, and before any of them starts."""
        self._accepted.append((claimed, Accepted(claimed.source, queue, jobs)))

    def accept_untold(self, claimed: Claimed) -> None:
        """The same of what was accepted of a list since that was told."""
        if claimed.untold:
            self.accept(claimed, claimed.queue, claimed.untold)
            claimed.untold = 0

    def flush(self) -> None:
        """Put all of it on stable storage, then carry out what becomes of its files, and let them go.

        What the store can never keep is found out, and none of the rest suffers: that is rejected.
        """
        for claimed, fate in self._store():
            self._fates.carry_out(claimed, fate if claimed.unfit is None else Reject(claimed.unfit))
            self._pulse.steps += 1
        self.close()

    def close(self) -> None:
        """Close its files. What was not stored is found again by recovery."""
        while self._open:
            self._open.pop().close()

    def _store(self) -> list[tuple[Claimed, Fate]]:
        """Put it on stable storage; returns what becomes of its files ``then``."""
        for directory in self._changed:
            os.fsync(directory)
        self._changed.clear()
        point("batch.synced")
        self._add()
        self._additions, self._accepted = [], []
        self._shares.stored()
        point("batch.added")
        after, self._after = self._after, []
        self._files = self._specs = self._bytes = 0
        return after

    def _add(self) -> None:
        additions, accepted = self._additions, self._accepted
        if not additions:
            for _, event in accepted:
                self._tell(event)
            return
        try:
            self._sink.add([addition for _, addition in additions], [event for _, event in accepted])
            return
        except StoreClosed:
            raise
        except StoreError:  # of one of them; which?
            pass
        for claimed, event in accepted:
            claimed.untold += event.jobs
        for claimed, addition in additions:
            self._add_alone(claimed, addition)
        for claimed, event in accepted:
            if claimed.unfit is None:
                claimed.untold -= event.jobs
                self._tell(event)

    def _add_alone(self, claimed: Claimed, addition: Addition) -> None:
        try:
            if claimed.unfit is None:  # else: what comes behind the line at fault
                self._sink.add([addition])
                return
        except StoreClosed:
            raise
        except StoreError as error:
            claimed.unfit = unfit(claimed.name, str(error), "a bug in taskgated")
        claimed.untold = max(0, claimed.untold - len(addition.specs))
        if claimed.lines is not None:
            claimed.lines.parts = min(claimed.lines.parts, addition.first)
        claimed.taken = min(claimed.taken, addition.first)
