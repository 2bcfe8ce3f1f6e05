"""The directories that files are taken from: the spool, and the queue directories in it.

The owner of a directory in the spool can do with it what people do with theirs: mount another file system on it, move
it, take it away. Whatever is wrong with one of them is told, once, and the others go on.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from collections.abc import Collection, Iterator

from taskgated.intake import listing
from taskgated.intake.aside import Aside
from taskgated.intake.batch import Batch
from taskgated.intake.claimed import Claimed
from taskgated.intake.inlet import Inlet
from taskgated.intake.place import ROOT
from taskgated.intake.watch import Watch
from taskgated.text import printable, to_text

POLL = 5.0
"""Seconds between looks at everything in a directory that cannot be watched."""


class Inlets:
    """``resumed``: where lists go on whose inlet is no more. All inlets are as new: everything in them is to be
    looked at."""

    def __init__(self, watch: Watch, root: Inlet, batch: Batch, aside: Aside, resumed: deque[Claimed]) -> None:
        self._watch = watch
        self._root = root
        self._batch = batch
        self._aside = aside
        self._resumed = resumed
        self._poll_at = 0.0
        self._inlets = {ROOT: root}

    def __iter__(self) -> Iterator[Inlet]:
        return iter(list(self._inlets.values()))

    def __len__(self) -> int:
        return len(self._inlets)

    def holds(self, inlet: Inlet) -> bool:
        """Whether it is still one of them; the directory of one that is not is closed."""
        return self._inlets.get(inlet.place.key) is inlet

    def adopt_all(self, configured: Collection[str]) -> None:
        """Watch all that are there, the configured ones before others that somebody may have made."""
        self.adopt_configured(configured)
        with os.scandir(self._root.place.fd) as entries:
            names = [os.fsencode(entry.name) for entry in entries if _may_be_a_directory(entry)]
        for name in names:
            self._adopt(name)

    def adopt_configured(self, configured: Collection[str]) -> None:
        """Watch those that are configured and there."""
        self._watch.configure([name.encode("ascii") for name in configured])
        for name in configured:
            self._adopt(name.encode("ascii"))

    def is_queue(self, root: int, name: bytes) -> bool:
        """Whether a name in the spool is a queue directory, which is watched from now on; or nothing that could be
        looked at as a file, which is told."""
        queue = listing.queue_name(name)
        if queue is None:
            return False
        try:
            directory = stat.S_ISDIR(os.lstat(name, dir_fd=root).st_mode)
        except FileNotFoundError:
            return True
        except OSError as error:
            self._aside.stuck(name, queue, f"cannot be looked at: {error.strerror}")
            self._drop(name)
            return True
        return directory and self._adopt(name)

    def check(self) -> None:
        """Look after those that are not where they were, and those that could not be watched."""
        for name in self._watch.displaced():
            self._adopt(name)
        self._watch.watch_again()

    def forget_gone(self) -> bool:
        """Close those that were heard of as gone; False when the spool is among them."""
        for key in self._watch.hints.take_gone():
            if key == ROOT:
                return False
            self._drop(key)
            self._watch.hints.everything(ROOT)  # another may have its name already
        return True

    def rescan(self) -> None:
        """Everything is to be looked at."""
        for inlet in self:
            inlet.cursor = inlet.cursor or listing.START

    def poll(self) -> None:
        """Everything is to be looked at where nothing is heard of, if it is time."""
        if time.monotonic() >= self._poll_at:
            self._poll_at = time.monotonic() + POLL
            for inlet in self._unwatched():
                inlet.cursor = inlet.cursor or listing.START

    @property
    def next(self) -> float:
        """When ``poll`` has something to do (monotonic clock); infinity if never."""
        return self._poll_at if self._unwatched() else float("inf")

    def degraded(self) -> str:
        """Which directories are not watched, in words; empty if all are."""
        if not (places := [inlet.place for inlet in self._unwatched()]):
            return ""
        place = places[0]
        which = f"queue directory {printable(to_text(place.key))}" if place.key else "the spool"
        if len(places) > 1:
            which = f"{which}, and {len(places) - 1} more,"
        helps = f"; {place.helps}" if place.helps else ""
        return f"{which} {place.unwatched}: looked through every {POLL:.0f} s instead{helps}"

    def _unwatched(self) -> list[Inlet]:
        return [inlet for inlet in self._inlets.values() if inlet.place.unwatched]

    def _adopt(self, name: bytes) -> bool:
        """Watch a queue directory; False if no queue can have that name."""
        queue = listing.queue_name(name)
        if queue is None:
            return False
        self._batch.flush()  # it may close the directory that was there before, or another to make room
        try:
            place = self._watch.adopt(name)
        except (FileNotFoundError, NotADirectoryError):
            self._drop(name)
            return True
        except OSError as error:
            self._aside.stuck(name, queue, f"is not used as a queue: {error.strerror}")
            self._drop(name)
            return True
        old = self._inlets.get(name)
        if old is None or old.place is not place:
            self._aside.free(name, queue)
            self._forget(name)
            self._inlets[name] = Inlet(place, queue)
        while self._watch.evicted:  # it made room
            self._forget(self._watch.evicted.pop())
        return True

    def _drop(self, key: bytes) -> None:
        self._watch.drop(key)
        self._forget(key)

    def _forget(self, key: bytes) -> None:
        inlet = self._inlets.pop(key, None)
        if inlet is not None and inlet.active is not None:
            self._resumed.append(inlet.active)


def _may_be_a_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False  # it is told when it is looked at by its name
