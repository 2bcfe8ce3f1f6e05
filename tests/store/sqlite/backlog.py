"""A backlog of any size, as a store has it after so many jobs came: written straight into the database.

They are added by the statement of the store, so that a million are there in half a minute. What the store itself
would have noted of them, the rows have as well: their lines, and what they wait for.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from taskgated.core.job import Job, Spec
from taskgated.core.named import Named, line_of, needs_of
from taskgated.core.order import per_point, turn
from taskgated.core.state import State
from taskgated.store.sqlite.sqlfiles import statements
from taskgated.store.sqlite.store import SqliteStore


@dataclass(frozen=True, slots=True)
class Queued:
    """A queued job. ``waits``: for what it is parked, "" for other jobs, None: it is not, or ``behind`` its line;
    ``array``: that of which it is one; ``looks``: it requires something, for which it is looked later; ``after``: how
    many jobs before it is the one that it waits for."""

    spec: Spec
    owner: str = "1"
    waits: Named | None = None
    behind: bool = False
    array: int | None = None
    looks: bool = False
    after: int | None = None


def fill(path: Path, jobs: Iterable[Queued]) -> None:
    """A store with these jobs, behind those that it has."""
    store = SqliteStore(path)
    last = store.last_id()
    store.close()
    first = turn(0, 50, per_point(60.0)) - 10_000_000
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -262144")
        waiting: list[tuple[int, int]] = []
        after: list[tuple[int, int]] = []

        def rows() -> Iterator[dict[str, object]]:
            for id_, one in enumerate(jobs, last + 1):
                job = Job(id_, one.spec.queue, 50, State.QUEUED, one.spec, one.owner, array=one.array)
                needs = needs_of(job)
                if one.waits is not None:
                    waiting.append((dict(needs)[one.waits], id_))
                if one.after is not None:
                    after.append((id_, id_ - one.after))
                waits = "" if one.after is not None else None if one.waits is None else one.waits.name
                yield {
                    "state": State.QUEUED, "queue": job.queue, "priority": 50, "name": b"", "source": b"x.yaml",
                    "owner": one.owner, "uid": 1, "submitted": 1, "finished": None, "reason": "", "since": 0,
                    "turn": first + id_, "due": 2**62 if one.looks else None, "due_clock": None, "expires": None,
                    "deadline": None, "claim": None, "host": "", "array": one.array,
                    "parked": int(one.behind or waits is not None), "waits": waits, "nested": 0,
                    "key": f"{one.owner}:{one.spec.key}" if one.spec.key else None,
                    "line": line_of(job.queue, one.owner, needs),
                    "spec": json.dumps(one.spec.to_json(), separators=(",", ":")),
                }  # fmt: skip

        db.executemany(statements()["add"], rows())
        db.executemany("UPDATE jobs SET needs = ? WHERE id = ?", waiting)
        db.executemany("INSERT INTO conditions (job, place, until, other) VALUES (?, 0, 'over', ?)", after)
        db.execute("INSERT INTO lines SELECT DISTINCT line, 1 FROM jobs WHERE parked = 1 AND waits IS NULL")
