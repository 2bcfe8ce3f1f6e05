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
        self._store.submit("prune", self._keep.age, self._keep.count, SLICE, done=self._pruned)

    def _pruned(self, answer: Answer) -> None:
        pruned: list[tuple[int, int]] = answer.value or []
        jobs: dict[Path, set[str]] = {}
        for job, _ in pruned:
            jobs.setdefault(self._layout.output_file(job, 1).parent, set()).add(str(job))
        for directory, names in jobs.items():
            _remove(directory, names)
        self._loop.after(PAUSE if len(pruned) == SLICE else EVERY, self._round)


def _remove(directory: Path, jobs: set[str]) -> None:
    """Delete the output of all attempts of these jobs; each file's name begins with its job's id."""
    try:
        for name in os.listdir(directory):
            if name.partition(".")[0] in jobs:
                os.unlink(directory / name)
        os.rmdir(directory)
    except OSError:
        pass  # there never was any, or output of others is still there
