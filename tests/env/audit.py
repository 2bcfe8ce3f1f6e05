"""What jobs wrote themselves, and what may be concluded from it: the judge that knows nothing of the gate.

Each job of ``spec`` writes a line when it has begun and one before it ends, to one file, each by one write. So
between its two lines it ran, and what it then takes it had; the order of the lines is that of the events.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Takes:
    """What a job takes while it runs."""

    tokens: Mapping[str, int] = field(default_factory=dict)
    exclusive: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    key: str = ""

    def keys(self) -> dict[str, object]:
        """As keys of a job."""
        said: dict[str, object] = {}
        if self.tokens:
            said["tokens"] = dict(self.tokens)
        if self.exclusive or self.shared:
            said["locks"] = {"exclusive": list(self.exclusive), "shared": list(self.shared)}
        if self.key:
            said["key"] = self.key
        return said


def spec(record: Path, name: str, takes: Takes, seconds: float, **more: Any) -> dict[str, Any]:
    """A job that runs for so long."""
    command = f"echo + {name} >> {record}; sleep {seconds}; echo - {name} >> {record}"
    return {"command": command, "name": name, **takes.keys(), **more}


def overlaps(record: Path) -> list[tuple[str, ...]]:
    """Who ran at once: what holds after each line of the record. An attempt that was ended wrote no second line: it
    counts until its job begins again."""
    running: dict[str, None] = {}
    found = []
    for line in record.read_text().splitlines():
        sign, _, name = line.partition(" ")
        running.pop(name, None)
        if sign == "+":
            running[name] = None
        found.append(tuple(running))
    return found


def excesses(at_once: Iterable[tuple[str, ...]], jobs: Mapping[str, Takes], totals: Mapping[str, int]) -> list[str]:
    """Each thing of which more was taken than there is."""
    wrong = []
    for names in at_once:
        takes = [jobs[name] for name in names]
        for token, total in totals.items():
            if (taken := sum(one.tokens.get(token, 0) for one in takes)) > total:
                wrong.append(f"{taken} of {total} {token}: {names}")
        alone = Counter(lock for one in takes for lock in one.exclusive)
        shared = {lock for one in takes for lock in one.shared}
        wrong += [f"{lock} is locked twice: {names}" for lock, n in alone.items() if n > 1 or lock in shared]
        keys = Counter(one.key for one in takes if one.key)
        wrong += [f"two with the key {key}: {names}" for key, n in keys.items() if n > 1]
    return wrong


def dropped(specs: Iterable[Mapping[str, Any]]) -> str:
    return json.dumps(list(specs))
