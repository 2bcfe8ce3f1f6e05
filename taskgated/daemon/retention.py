"""Forgetting what is over: by age and by number, a little at a time, so that nobody waits for it.

Age is time in which the gate or its host was up, never a difference of two looks at the wall clock: that one may be
wrong by years, for a moment, and what was deleted then does not come back.

The output of a job, and a file of it in ``failed``, go first, on a thread of its own. Each job is judged alone: one
of which something cannot be removed keeps its record, and is tried again now and then; the others are forgotten all
the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence

from taskgated.attempts.outputs import remove
from taskgated.events import Event
from taskgated.host.helper import Helper
from taskgated.host.journal import Journal, Priority
from taskgated.host.listeners import Listeners
from taskgated.host.loop import Loop, Timer
from taskgated.host.paths import Layout
from taskgated.intake import failed
from taskgated.language.config import Retention as Keep
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient

EVERY = 60.0
"""Seconds between rounds."""
SLICE = 200
"""Jobs forgotten in one go."""
PAUSE = 0.05
"""Seconds between slices of one round."""
AGAIN = 3600.0
"""Seconds until what could not be removed is tried again."""
MANY = 1000
"""So many jobs whose output cannot be removed speak of the disk: nothing more is tried until ``AGAIN``."""
SLOW = 60.0
"""Seconds for a slice, after which somebody should look at the disk."""


class Retention:
    """``keep``: what is to be remembered, as the configuration has it at that moment. ``at_rest`` is told of each
    round, once a minute, that finds nothing to be forgotten."""

    def __init__(
        self,
        layout: Layout,
        loop: Loop,
        store: StoreClient,
        journal: Journal,
        helper: Helper,
        keep: Callable[[], Keep],
    ) -> None:
        self._layout = layout
        self._loop = loop
        self._store = store
        self._journal = journal
        self._helper = helper
        self._keep = keep
        self._stuck: set[int] = set()  # their output could not be removed; not tried again yet
        self._told: set[int] = set()  # of these it was said
        self._slow: Timer | None = None
        self.at_rest = Listeners[()]()

    def start(self) -> None:
        self._loop.after(1.0, self._round)
        self._loop.after(AGAIN, self._now_and_then)

    def _now_and_then(self) -> None:
        self._stuck.clear()
        # By this a power cut makes what is over younger, where nothing else is written.
        self._store.submit(lambda store: store.tick())
        self._loop.after(AGAIN, self._now_and_then)

    def _round(self) -> None:
        if len(self._stuck) >= MANY:
            self._rest()
            return
        keep, limit = self._keep(), SLICE + len(self._stuck)
        self._store.ask(lambda store: store.prunable(keep.age, keep.count, limit), self._found)

    def _found(self, answer: Answer[Sequence[int]]) -> None:
        """The output goes first: what has no record any more is nobody's, and would stay for ever."""
        found = () if answer.error is not None else answer.get()
        old = [job for job in found if job not in self._stuck][:SLICE]
        if not old:
            self._rest()
            return
        self._slow = self._loop.after(SLOW, self._tell_slow)
        self._helper.do(lambda: self._remove(old), lambda stuck: self._removed(old, stuck))

    def _remove(self, old: Collection[int]) -> dict[int, str]:
        """On the helper's thread."""
        return remove(self._layout.log, old) | failed.remove(os.fsencode(self._layout.failed), old)

    def _rest(self) -> None:
        self._loop.after(EVERY, self._round)
        self.at_rest.tell()

    def _removed(self, old: Collection[int], stuck: Mapping[int, str]) -> None:
        if self._slow is not None:
            self._slow.cancel()
        gone = [job for job in old if job not in stuck]
        self._told.difference_update(gone)
        if gone:
            self._store.submit(lambda store: store.prune(gone))
        self._stuck.update(stuck)
        self._tell({job: why for job, why in stuck.items() if job not in self._told})
        self._loop.after(PAUSE if len(old) == SLICE else EVERY, self._round)

    def _tell(self, stuck: Mapping[int, str]) -> None:
        """Once of each job, and once for all of a slice."""
        if not stuck:
            return
        self._told.update(stuck)
        job, why = next(iter(stuck.items()))
        others = f" and {len(stuck) - 1} more" if len(stuck) > 1 else ""
        text = (
            f"the output of job {job}{others} cannot be removed: {why}; "
            f"the job is remembered until it is gone, and it is tried again every {AGAIN / 60:.0f} min"
        )
        self._journal.event(Event.OUTPUT_STUCK, text, Priority.WARNING, job_id=job)

    def _tell_slow(self) -> None:
        text = f"the removal of old output in {self._layout.log} is not done after {SLOW:.0f} s: does its disk hang?"
        self._journal.event(Event.OUTPUT_STUCK, text, Priority.WARNING)
