"""Forgetting what is over: by age and by number, a little at a time, so that nobody waits for it."""

from __future__ import annotations

import os

from taskgated.config import Config
from taskgated.loop import Loop
from taskgated.output import remove
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
        directories = set()
        for job, attempts in pruned:
            for attempt in range(1, attempts + 1):
                path = self._layout.output_file(job, attempt)
                remove(str(path))
                directories.add(path.parent)
        for directory in directories:
            try:
                os.rmdir(directory)
            except OSError:
                pass  # it still holds output of others
        self._loop.after(PAUSE if len(pruned) == SLICE else EVERY, self._round)
