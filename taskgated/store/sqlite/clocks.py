"""The clocks of a store: the same for all daemons of one boot, and carried on from boot to boot.

A fact for each is kept in the store, as JSON: the boot, the anchor of the clock, and how far it had come.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from taskgated.host.clock import Steady, Uptime
from taskgated.store.sqlite.rows import LAST_MOMENT, json_of

_Clock = TypeVar("_Clock", Steady, Uptime)


@dataclass(frozen=True, slots=True)
class Clocks:
    boot: str
    steady: Steady
    uptime: Uptime

    @classmethod
    def carried_on(cls, boot: str, fact: Callable[[str], Sequence[object] | None]) -> Clocks:
        """In this boot. ``fact``: the row that was kept under a key."""
        return cls(boot, _carried_on(Steady, boot, fact("steady")), _carried_on(Uptime, boot, fact("uptime")))

    def facts(self) -> Iterator[tuple[str, str]]:
        """With how far they have come: a host may come up with a clock that is slow by a day."""
        for key, clock in (("steady", self.steady), ("uptime", self.uptime)):
            yield key, json.dumps({"boot": self.boot, "anchor": clock.anchor, "last": clock.now()})


def _carried_on(kind: type[_Clock], boot: str, row: Sequence[object] | None) -> _Clock:
    """As this boot's first daemon has started it, so that a stepped wall clock moves no due time. If what it has put
    down cannot be read, it is as if there were none."""
    try:
        kept = None if row is None else json_of(row[0])
    except (TypeError, ValueError, RecursionError):
        kept = None
    match kept:
        case {"boot": str(known), "anchor": int(anchor)} if known == boot and abs(anchor) <= LAST_MOMENT:
            return kind(anchor)
        case {"last": int(last)} if 0 <= last <= LAST_MOMENT:
            return kind.start(last)
    return kind.start(0)
