"""Forgetting what is over: by age and by number, a little at a time, so that nobody waits for it."""

from __future__ import annotations

import os
from pathlib import Path

from taskgated.config import Config
from taskgated.loop import Loop
from taskgated.paths import Layout
from taskgated.store.thread import Answer, StoreThread

EVERY = 60.0
"""Seconds between rounds."""
SLICE = 200
"""Jobs forgotten in one go."""
PAUSE = 0.05
"""Seconds between slices of one round."""


class Retention:
    def __init__(self, layout: Layout, loop: Loop, store: StoreThread, config: Config) -> None:
        self._layout = layout
        self._loop = loop
        self._store = store
        self._keep = config.retention

    def start(self) -> None:
        self._loop.after(1.0, self._round)

    def reload(self, config: Config) -> None:
        self._keep = config.retention

    def _round(self) -> None:
        self._store.submit("prunable", self._keep.age, self._keep.count, SLICE, done=self._forget)

    def _forget(self, answer: Answer) -> None:
        """The output goes first: what has no record any more is nobody's, and would stay for ever."""
        old: list[int] = answer.value or []
        jobs: dict[Path, set[int]] = {}
        for job in old:
            jobs.setdefault(self._layout.output_file(job, 1).parent, set()).add(job)
        gone = [job for directory, some in jobs.items() if _remove(directory, some) for job in some]
        if gone:
            self._store.submit("prune", gone)
        self._loop.after(PAUSE if len(gone) == SLICE else EVERY, self._round)


def _remove(directory: Path, jobs: set[int]) -> bool:
    """Delete the output of all attempts of these jobs; each file's name begins with its job's id. False if there is
    some left."""
    names = {str(job) for job in jobs}
    try:
        for name in os.listdir(directory):
            if name.partition(".")[0] in names:
                os.unlink(directory / name)
    except FileNotFoundError:
        return True  # there never was any
    except OSError:
        return False
    try:
        os.rmdir(directory)
    except OSError:
        pass  # output of others is still there
    return True
