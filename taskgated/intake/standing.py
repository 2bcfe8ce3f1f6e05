"""What files stay in the spool, and why, and which directories may be a slip for a queue: told when that changes."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from taskgated.intake.events import MisnamedQueues, Staying, Stays, Tell
from taskgated.intake.inlet import Inlet
from taskgated.language.bynames import companion
from taskgated.language.config import Config
from taskgated.text import printable, to_text

MOST = 100
"""Queues that are told of, so that no number of directories makes an answer too long."""

NEAR = 0.75
"""How like a configured queue a name is that may be a slip for it: one letter more, or two that changed places."""

_DIGITS = re.compile("[0-9]+")


class Standing:
    """Nothing stays at first."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: tuple[Stays, ...] = ()
        self._inlets: list[Inlet] = []
        self._config: Config | None = None
        self._misnamed: tuple[str, ...] = ()

    def tell(self, inlets: Iterable[Inlet], config: Config) -> None:
        """Say it, if it is news."""
        now = list(inlets)
        tallies = [tally for inlet in now for tally in (inlet.lacking, inlet.alone)]
        if now != self._inlets or config is not self._config:
            self._tell_misnamed(now, config)
        elif not any(tally.touched for tally in tallies):
            return
        self._inlets, self._config = now, config
        for tally in tallies:
            tally.touched = False
        found = tuple(_stays(queue, now, config) for queue in sorted({inlet.queue for inlet in now}))
        some = tuple(stays for stays in found if stays.waiting or stays.alone)[:MOST]
        if some != self._told:
            self._told = some
            self._tell(Staying(some))

    def _tell_misnamed(self, inlets: Iterable[Inlet], config: Config) -> None:
        found = sorted(note for inlet in inlets if (note := misnamed(inlet.queue, config)))[:MOST]
        if tuple(found) != self._misnamed:
            self._misnamed = tuple(found)
            self._tell(MisnamedQueues(self._misnamed))


def misnamed(queue: str, config: Config) -> str:
    """That a directory of this name may be a slip for a configured queue, in words; "" if it is none. Names that
    differ in their numbers alone are a series."""
    if queue in config.queues:
        return ""
    near = difflib.get_close_matches(queue.lower(), config.queues, 1, NEAR)
    if not near or _DIGITS.sub("", near[0]) == _DIGITS.sub("", queue):
        return ""
    return (
        f"the directory {queue} is a queue of its own, which has nothing of queue {near[0]}:"
        " move what is in it there, or name it in the configuration"
    )


def _stays(queue: str, inlets: Iterable[Inlet], config: Config) -> Stays:
    """Of all directories of that queue; the spool itself is one of ``default``."""
    own = [inlet for inlet in inlets if inlet.queue == queue]
    waiting = sum(inlet.lacking.count for inlet in own)
    alone = sum(inlet.alone.count for inlet in own)
    require = config.queue(queue).require
    if require is None or not waiting:
        return Stays(queue, 0, "", None, "", alone)
    hint = ""
    if near := next((inlet.lacking.near for inlet in own if inlet.lacking.near), None):
        name, beside = (printable(to_text(one)) for one in near)
        hint = f"{beside} is there, but {name} needs {printable(to_text(companion(near[0], require)))}"
    oldest = min(since for inlet in own if (since := inlet.lacking.oldest) is not None)
    return Stays(queue, waiting, to_text(require.ending), oldest, hint, alone)
