"""What users have used of the queues that are shared fairly (``core/fair.py``), over restarts: a line in the memory
of the store for each user in each such queue, written with the end of each job.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from taskgated.core.fair import Fair
from taskgated.core.order import Lane
from taskgated.daemon.ledger import Ledger

PREFIX = "use:"


def revive(fair: Fair, ledger: Ledger) -> None:
    """At start, before anything is adopted or begun. What cannot be read counts as nothing used."""
    levels, broken = dict[Lane, float](), list[str]()
    for key, text in ledger.take(PREFIX).items():
        lane, level = _lane(key), _level(text)
        if lane is None or level is None:
            broken.append(key)
        else:
            levels[lane] = level
    ledger.forget([*broken, *map(_key, fair.revived(levels))])


def kept(fair: Fair, lane: Lane) -> Mapping[str, str | None]:
    """What is to be remembered once a job of that lane has ended."""
    if lane.queue not in fair:
        return {}
    level = fair.level(lane)
    return {_key(lane): None if level is None else json.dumps(round(level, 9))}


def _key(lane: Lane) -> str:
    return f"{PREFIX}{lane.owner}:{lane.queue}"


def _lane(key: str) -> Lane | None:
    owner, _, queue = key.removeprefix(PREFIX).partition(":")
    return Lane(queue, owner) if owner and queue else None


def _level(text: str) -> float | None:
    try:
        level = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return float(level) if isinstance(level, int | float) and abs(level) < 1e15 else None
