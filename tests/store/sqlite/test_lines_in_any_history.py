"""Whatever is done with jobs that need something by name, at random: no line stands still."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.core.after import Condition, When
from taskgated.core.job import Element, Locks, OnConflict, Outcome, Requires, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.named import at_once, needs_of
from taskgated.errors import TaskgateError
from taskgated.store.placement import here
from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.waiting import TIMES, Parking, Room, Totals
from tests.store.jobs import addition, fetch, passes, spec

KINDS: list[dict[str, object]] = [
    {},
    {"tokens": {"y": 1}},
    {"tokens": {"y": 3}},
    {"key": "k"},
    {"key": "k", "tokens": {"z": 1}},
    {"locks": Locks(("a",))},
    {"locks": Locks((), ("a",))},
]
VERDICTS = [
    Verdict(Verb.SUCCEED),
    Verdict(Verb.FAIL, None, 1),
    Verdict(Verb.REQUEUE),
    Verdict(Verb.RETRY, 3.0, 1),
    Verdict(Verb.RETRY, 0.0, 1),
]


class History:
    def __init__(self, store: SqliteStore, seed: int, later: Callable[[float], None]) -> None:
        self.store, self.chance, self.later = store, random.Random(seed), later
        self.ids: list[int] = [0]
        self.arrays: list[int] = []
        self.refit(Totals(4, {"y": 3, "z": 1}))

    def refit(self, totals: Totals) -> None:
        after: int | None = -(2**63)
        while after is not None:
            after = self.store.refit(totals, after)

    def specs(self) -> list[Spec]:
        values = {**self.chance.choice(KINDS), "priority": self.chance.choice([0, 50, 50, 90])}
        values["on_conflict"] = self.chance.choice(list(OnConflict))
        more: list[dict[str, object]] = [
            {"delay": 5.0},
            {"requires": Requires(command="true")},
            {"expires": 20.0},
            {"after": (Condition(self.chance.choice(self.ids), When.OVER),)},
        ]
        if self.chance.random() < 0.4:
            values |= self.chance.choice(more)
        if self.chance.random() < 0.3:
            count, at_most = self.chance.choice([1, 3]), self.chance.choice([None, 1, 2])
            return [spec(array=Element(n, n, count, at_most), **values) for n in range(count)]
        return [spec(**values)]

    def step(self, number: int) -> str:
        store, job = self.store, self.chance.choice(self.ids)
        ready = fetch(store, {"default": 99, "q": 99})
        what = self.chance.choice(
            [
                "add",
                "add",
                "add",
                "start",
                "start",
                "finish",
                "finish",
                "hold",
                "release",
                "move",
                "prioritize",
                "cancel",
                "retry",
                "sweep",
                "condemn",
                "refit",
                "reorder",
                "time",
                "park",
                "recall",
            ]
        )
        match what:
            case "add":
                specs = [one for _ in range(self.chance.choice([1, 1, 3])) for one in self.specs()]
                new = list(store.add([addition(f"c{number}", *specs)]).jobs)
                self.ids += new
                self.arrays += [
                    one for one, of in zip(new, specs, strict=True) if of.array.count and not of.array.place
                ]
            case "start" if ready:
                one = self.chance.choice(ready)
                store.start(one.id, one.attempt + 1, here("{}"))
            case "finish" if running := store.before():
                one = self.chance.choice(running).job
                store.finish(Outcome(one.id, one.attempt, Result.FAILED), self.chance.choice(VERDICTS))
            case "hold" | "release" | "cancel" | "retry":
                getattr(store, what)(job)
            case "move":
                store.move(job, self.chance.choice(["default", "q"]))
            case "prioritize":
                store.prioritize(job, self.chance.choice([0, 50, 100]))
            case "sweep" if self.arrays:
                store.cancel_array(self.chance.choice(self.arrays), 0)
            case "condemn" if self.chance.random() < 0.3:
                store.condemn(job, "damaged")
            case "refit":
                self.refit(Totals(self.chance.choice([1, 4, 8]), {"y": self.chance.choice([1, 3, 6]), "z": 1}))
            case "reorder":
                ageing, after = self.chance.choice([0.000001, 60.0, 0.0]), 0
                while (next_ := store.reorder(ageing, after)) is not None:
                    after = next_
                self.refit(store._lines.totals)
            case "time":
                self.later(self.chance.choice([1.0, 4.0, 10.0]))
                for one in store.looks((), 9, 9).jobs:
                    store.looked(one.id, self.chance.choice([None, 2.0]))
                store.wake()
            case "park" if needing := [one for one in ready if needs_of(one)]:
                one = self.chance.choice(needing)
                capacity, amount = self.chance.choice(needs_of(one))
                store.park([Parking(one.id, capacity.name, amount)])
            case "recall":
                store.recall({name: Room(self.chance.choice([1, 3, 10**6]), 10**6) for name in store.waiting()})
        return what

    def none_stands_still(self) -> None:
        """Of each line the first that is parked behind it."""
        query = self.store._db.execute
        waits = "state = 'queued' AND parked = 1 AND waits IS NULL"
        assert not query(f"SELECT id FROM jobs WHERE {waits} AND (line IS NULL OR due IS NOT NULL)").fetchall()
        behind = query(f"SELECT id, line, min(turn) FROM jobs WHERE {waits} GROUP BY line").fetchall()
        for job, line, turn in behind:
            needs, totals = needs_of(self.store.show(job).job), self.store._lines.totals
            out = query(
                "SELECT turn, id, state FROM jobs WHERE line = ? AND due IS NULL AND state IN ('queued', 'running')"
                " AND (parked = 0 OR waits > '')",
                (line,),
            ).fetchall()
            assert len(out) >= TIMES * at_once(needs, totals, totals.limit), f"job {job} is behind a line of {out}"
            assert all(state == "running" or (its, id_) < (turn, job) for its, id_, state in out), (
                "it goes before one"
            )


@pytest.mark.parametrize("seed", range(8))
def test_no_line_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    store = SqliteStore(tmp_path / "db")
    store.begin("", 1)
    history = History(store, seed, lambda seconds: passes(seconds, monkeypatch))
    done = []
    for number in range(400):
        try:
            done.append(history.step(number))
        except TaskgateError:
            continue  # it cannot be done, and has changed nothing
        while store.unresolved():
            store.resolve()
        history.none_stands_still()
    assert {"add", "start", "finish", "hold", "move", "prioritize", "sweep", "refit", "park", "recall"} <= set(done)
    store.rollback()
    store.close()
