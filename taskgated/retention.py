"""Forgetting what is over: by age and by number, a little at a time, so that nobody waits for it.

Age is time in which the gate or its host was up, never a difference of two looks at the wall clock: that one may be
wrong by years, for a moment, and what was deleted then does not come back.

The output of a job goes first, on a thread of its own. Each job is judged alone: one whose output cannot be removed
keeps its record, and is tried again now and then; the others are forgotten all the same.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from taskgated.config import Config
from taskgated.helper import Helper
from taskgated.journal import Event, Journal, Priority
from taskgated.loop import Loop, Timer
from taskgated.paths import Layout
from taskgated.store.thread import Answer, StoreThread

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
    def __init__(
        self, layout: Layout, loop: Loop, store: StoreThread, journal: Journal, helper: Helper, config: Config
    ) -> None:
        self._layout = layout
        self._loop = loop
        self._store = store
        self._journal = journal
        self._helper = helper
        self._keep = config.retention
        self._stuck: set[int] = set()  # their output could not be removed; not tried again yet
        self._told: set[int] = set()  # of these it was said
        self._slow: Timer | None = None

    def start(self) -> None:
        self._loop.after(1.0, self._round)
        self._loop.after(AGAIN, self._now_and_then)

    def reload(self, config: Config) -> None:
        self._keep = config.retention

    def _now_and_then(self) -> None:
        self._stuck.clear()
        self._store.submit("tick")  # by this a power cut makes what is over younger, where nothing else is written
        self._loop.after(AGAIN, self._now_and_then)

    def _round(self) -> None:
        if len(self._stuck) >= MANY:
            self._loop.after(EVERY, self._round)
            return
        limit = SLICE + len(self._stuck)
        self._store.submit("prunable", self._keep.age, self._keep.count, limit, done=self._found)

    def _found(self, answer: Answer) -> None:
        """The output goes first: what has no record any more is nobody's, and would stay for ever."""
        old = [job for job in answer.value or () if job not in self._stuck][:SLICE]
        if not old:
            self._loop.after(EVERY, self._round)
            return
        self._slow = self._loop.after(SLOW, self._tell_slow)
        self._helper.do(lambda: remove(self._layout, old), lambda stuck: self._removed(old, stuck))

    def _removed(self, old: Collection[int], stuck: Mapping[int, str]) -> None:
        if self._slow is not None:
            self._slow.cancel()
        gone = [job for job in old if job not in stuck]
        self._told.difference_update(gone)
        if gone:
            self._store.submit("prune", gone)
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


def remove(layout: Layout, jobs: Collection[int]) -> dict[int, str]:
    """Delete the output of all attempts of these jobs. Returns the jobs of which something is left, and why."""
    directories: dict[Path, set[int]] = {}
    for job in jobs:
        directories.setdefault(layout.output_file(job, 1).parent, set()).add(job)
    stuck: dict[int, str] = {}
    for directory, some in directories.items():
        stuck |= _remove(directory, some)
    return stuck


def _remove(directory: Path, jobs: Collection[int]) -> dict[int, str]:
    """Each file's name begins with its job's id."""
    names = {str(job): job for job in jobs}
    try:
        listed = os.listdir(directory)
    except FileNotFoundError:
        return {}  # there never was any
    except OSError as error:
        return dict.fromkeys(jobs, f"{directory}: {error.strerror}")
    stuck = {}
    for name in listed:
        job = names.get(name.partition(".")[0])
        if job is not None:
            try:
                os.unlink(directory / name)
            except FileNotFoundError:
                pass
            except OSError as error:
                stuck[job] = f"{directory / name}: {error.strerror}"
    try:
        os.rmdir(directory)
    except OSError:
        pass  # output of others is still there
    return stuck
