"""Jobs that go into the store together, and what is told of them."""

from __future__ import annotations

from collections.abc import Callable

from taskgated.errors import StoreClosed, StoreError
from taskgated.intake.events import Accepted, IntakeEvent, Sink
from taskgated.intake.settle import unfit
from taskgated.intake.taken import Taken
from taskgated.store.contract import Addition


class Batch:
    """One after the other, each ended by ``store``."""

    def __init__(self, sink: Sink, tell: Callable[[IntakeEvent], None]) -> None:
        self._sink = sink
        self._tell = tell
        self._additions: list[tuple[Taken, Addition]] = []
        self._accepted: list[tuple[Taken, Accepted]] = []  # to be told with them

    def add(self, taken: Taken, addition: Addition) -> None:
        self._additions.append((taken, addition))

    def accept(self, taken: Taken, queue: str, jobs: int) -> None:
        """That so many jobs were accepted for that queue, which need not be the one that the file was dropped for, is
        told when they are in the store, and before any of them starts."""
        self._accepted.append((taken, Accepted(taken.source, queue, jobs)))

    def accept_untold(self, taken: Taken) -> None:
        """The same of what was accepted of a list since that was told."""
        if taken.untold:
            self.accept(taken, taken.queue, taken.untold)
            taken.untold = 0

    def tell_untold(self, taken: Taken) -> None:
        """Tell of the same now: it is in the store already."""
        if taken.untold:
            self._tell(Accepted(taken.source, taken.queue, taken.untold))
            taken.untold = 0

    def store(self) -> None:
        """Add what the batch holds; what the store can never keep is found out, and none of the rest suffers. That
        is then in ``Taken.unfit``."""
        self._store()
        self._additions, self._accepted = [], []

    def _store(self) -> None:
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
        for taken, event in accepted:
            taken.untold += event.jobs
        for taken, addition in additions:
            self._store_alone(taken, addition)
        for taken, event in accepted:
            if taken.unfit is None:
                taken.untold -= event.jobs
                self._tell(event)

    def _store_alone(self, taken: Taken, addition: Addition) -> None:
        try:
            if taken.unfit is None:  # else: what comes behind the line at fault
                self._sink.add([addition])
                return
        except StoreClosed:
            raise
        except StoreError as error:
            taken.unfit = unfit(taken.name, str(error), "a bug in taskgated")
        taken.untold = max(0, taken.untold - len(addition.specs))
        if taken.lines is not None:
            taken.lines.parts = min(taken.lines.parts, addition.first)
