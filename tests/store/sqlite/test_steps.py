"""No verb and no question of a decision costs more with a larger backlog: SQLite takes as many steps for it.

Not time is measured, which machines share, but the instructions of SQLite's virtual machine, with those of triggers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskgated.core.after import Condition
from taskgated.core.job import Element, Locks, OnConflict, Outcome, Requires, Result, Spec
from taskgated.core.named import Lock, Tokens
from taskgated.core.order import Lane
from taskgated.store.contract import Addition
from taskgated.store.placement import claimed, here
from taskgated.store.sqlite.store import SqliteStore
from taskgated.store.waiting import Parking, Room, Totals
from tests.store.jobs import SUCCEED
from tests.store.sqlite.backlog import Queued, fill

FEW, MANY = 40, 800
"""Jobs of each kind."""
LOCK, YARN = Locks(("a",)), {"yarn": 1}
KINDS = ("free", "token", "lock", "own lock", "key", "array", "after", "looks", "tokens", "late")


def backlog(each: int) -> Iterator[Queued]:
    """So many of each kind, one kind after the other."""
    one = Spec(command="true")
    for _ in range(each):
        yield Queued(one)
    for n in range(each):
        yield Queued(Spec(command="true", tokens=YARN, key=f"token{n}"), waits=Tokens("yarn"))
    for n in range(each):
        yield Queued(Spec(command="true", locks=LOCK, key=f"lock{n}"), waits=Lock("a"))
    for n in range(each):
        yield Queued(Spec(command="true", locks=Locks((f"{n:05}",))), waits=Lock(f"{n:05}"))
    for n in range(each):
        yield Queued(Spec(command="true", key=f"key{n % (each // 4)}"), behind=n >= each // 4)
    for n in range(each):
        yield Queued(Spec(command="true", array=Element(n, n, each, 1)), behind=n > 0, array=5 * each + 1)
    for _ in range(each):
        yield Queued(one, after=1)
    for _ in range(each):
        yield Queued(Spec(command="true", requires=Requires(command="false")), looks=True)
    for n in range(each):
        yield Queued(Spec(command="true", tokens={"db": 1}), behind=n > 2)
    for _ in range(each):
        yield Queued(Spec(command="true", locks=Locks(("late",))))


class Scene:
    """A store with so many of each kind."""

    def __init__(self, directory: Path, each: int) -> None:
        fill(directory / "db", backlog(each))
        self.each = each
        self.store = SqliteStore(directory / "db")
        # All of them are out that came before one which is out, as one is that was there when they came.
        self.store._db.execute("UPDATE jobs SET turn = ? WHERE id = ?", (2**60, self.job("late")))
        self.store.refit(Totals(16, {"yarn": 2, "db": 3}), -(2**63))

    def job(self, kind: str, number: int = 0) -> int:
        """One of a kind, by its place among them."""
        return KINDS.index(kind) * self.each + number + 1

    def start(self, kind: str) -> None:
        self.store.start(self.job(kind), 1, here("{}"))

    def end(self, kind: str) -> object:
        outcome = Outcome(self.job(kind), 1, Result.SUCCEEDED, exit_code=0, started=1, finished=2)
        return self.store.finish(outcome, SUCCEED)

    def add(self, how: OnConflict = OnConflict.QUEUE, **values: object) -> object:
        spec = Spec(command="true", on_conflict=how, **values)  # type: ignore[arg-type]
        return self.store.add([Addition(claimed(f"{how}{values}"), 0, [spec], "x.yaml", "1", 1)])

    def recall(self, name: str, *, dismiss: tuple[int, ...] = ()) -> object:
        return self.store.recall({name: Room(1_000_000, 1_000_000, dismiss)})


DONE: dict[str, Callable[[Scene], object]] = {
    "what is next": lambda scene: scene.store.fetch({Lane("default", 1): 16}, (), 16),
    "a start": lambda scene: scene.start("free"),
    "an end": lambda scene: scene.end("free"),
    "a start of a key": lambda scene: scene.start("key"),
    "an end, and the next of its line": lambda scene: scene.end("key"),
    "a start in an array": lambda scene: scene.start("array"),
    "an end in an array": lambda scene: scene.end("array"),
    "a start with tokens": lambda scene: scene.start("tokens"),
    "an end with tokens": lambda scene: scene.end("tokens"),
    "one is parked": lambda scene: scene.store.park([Parking(scene.job("key", 1), "lock:x", 1)]),
    "a lock is freed": lambda scene: scene.recall("lock:a"),
    "one waits no more": lambda scene: scene.recall("lock:a", dismiss=(scene.job("lock", 1),)),
    "a lock of its own is freed": lambda scene: scene.recall("lock:00007"),
    "what is waited for": lambda scene: scene.store.waiting(Lock(f"{scene.each - 9:05}").name),
    "another is added": lambda scene: scene.add(),
    **{
        f"one is added to a key: {how}": lambda scene, how=how: scene.add(how, key=f"key{len(how)}")  # type: ignore[misc]
        for how in OnConflict
    },
    "one is added to many that are out": lambda scene: scene.add(locks=Locks(("late",))),
    "one is added for a token": lambda scene: scene.add(tokens=YARN),
    "one is added after another": lambda scene: scene.add(after=(Condition(scene.job("free", 5)),)),
    "one is cancelled": lambda scene: scene.store.cancel(scene.job("key", 3)),
    "one that waits is cancelled": lambda scene: scene.store.cancel(scene.job("lock", 5)),
    "one is held": lambda scene: scene.store.hold(scene.job("key", 4)),
    "one is released": lambda scene: scene.store.release(scene.job("key", 4)),
    "one is moved": lambda scene: scene.store.move(scene.job("token", 4), "etl"),
    "one is prioritized": lambda scene: scene.store.prioritize(scene.job("lock", 8), 80),
    "time passes": lambda scene: scene.store.wake(),
    "who looks": lambda scene: scene.store.looks((), 8, 8),
    "one has looked": lambda scene: scene.store.looked(scene.job("looks", 3), 5.0),
    "what it requires is there": lambda scene: scene.store.looked(scene.job("looks", 4), None),
    "and it may run": lambda scene: scene.store.wake(),
    "what others waited for is over": lambda scene: scene.store.cancel(scene.job("after", 0)),
    "and what follows": lambda scene: scene.store.resolve(),
    "which lanes there are": lambda scene: scene.store.lanes(),
    "how many are queued": lambda scene: scene.store.queued(),
    "how many of a user": lambda scene: scene.store.queued_by(1),
}


def steps(scene: Scene) -> dict[str, int]:
    """How many each takes, one after the other."""
    taken = 0

    def one() -> int:
        nonlocal taken
        taken += 1
        return 0

    found = {}
    scene.store.begin("", 1)
    for name, do in DONE.items():
        taken = 0
        scene.store._db.set_progress_handler(one, 1)
        do(scene)
        scene.store._db.set_progress_handler(None, 0)
        found[name] = taken
    scene.store.commit()
    scene.store.close()
    return found


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, int], dict[str, int]]:
    few, many = (steps(Scene(tmp_path_factory.mktemp("steps"), each)) for each in (FEW, MANY))
    return few, many


@pytest.mark.parametrize("what", DONE)
def test_as_many_steps_are_taken_with_a_larger_backlog(
    taken: tuple[dict[str, int], dict[str, int]], what: str
) -> None:
    few, many = taken
    assert few[what] > 0 and abs(many[what] - few[what]) <= 20, f"{few[what]} steps, and {many[what]} with more jobs"
