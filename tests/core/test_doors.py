"""What closes a whole queue: doors by example, and a gate with doors under random events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from taskgated.core.capacity import Policy, reasons
from taskgated.core.doors import EVERY, MANY, Allowance, Door, Doors, ForRetries, Key, Shut
from taskgated.core.fetch import Fetch
from taskgated.core.gate import Action, Gate, Start
from taskgated.core.job import Result
from taskgated.core.kinds import Kind
from taskgated.core.order import Lane, Rank
from taskgated.core.reasons import AllPaused, NoWorker, Paused
from tests.core.test_decisions import LIMITS, GateMachine, Harness, job

A, B, C = Kind.PAUSED, Kind.RATE, Kind.PROBE
WHY = Paused("etl")
OTHER = AllPaused()


class TestDoors:
    def test_where_nothing_is_said_a_queue_is_open(self) -> None:
        doors = Doors()
        assert not doors
        assert doors.room("etl") is None
        assert list(doors.reasons("etl")) == []

    def test_all_that_shut_say_why_and_one_is_enough(self) -> None:
        doors = Doors()
        doors.put({("etl", A): Shut(WHY), (EVERY, B): Shut(OTHER), ("etl", C): Allowance(3, WHY)})
        assert set(doors.reasons("etl")) == {WHY, OTHER}
        assert list(doors.reasons("x")) == [OTHER]
        doors.put({("etl", A): None})
        assert doors.room("etl") == 0
        doors.put({(EVERY, B): None})
        assert (doors.room("etl"), doors.room("x")) == (3, None)

    def test_an_allowance_is_used_up_by_starts(self) -> None:
        doors = Doors()
        doors.put({("etl", A): Allowance(2, WHY), (EVERY, B): Allowance(3, OTHER)})
        doors.started(1, "etl")
        assert (doors.room("etl"), doors.room("x")) == (1, 2)
        doors.started(1, "etl")
        assert list(doors.reasons("etl")) == [WHY]
        doors.started(1, "x")
        assert set(doors.reasons("etl")) == {WHY, OTHER}

    @pytest.mark.parametrize(("grant", "left"), [("p 1", 2), ("", 1)])
    def test_a_start_that_is_refused_gives_back_what_is_granted(self, grant: str, left: int) -> None:
        doors = Doors()
        doors.put({("etl", A): Allowance(2, WHY, grant=grant)})
        doors.started(1, "etl")
        doors.refused(1)
        assert doors.room("etl") == left
        doors.refused(1)
        assert doors.room("etl") == left

    @pytest.mark.parametrize("newer", ["p 2", ""])
    def test_what_was_granted_anew_meanwhile_gets_nothing_back(self, newer: str) -> None:
        doors = Doors()
        doors.put({("etl", A): Allowance(2, WHY, grant="p 1"), ("etl", B): Allowance(2, WHY, grant="p 1")})
        doors.started(1, "etl")
        doors.put({("etl", A): Allowance(1, WHY, grant=newer)})
        doors.refused(1)
        assert (doors.get("etl", A), doors.get("etl", B)) == (
            Allowance(1, WHY, grant=newer),
            Allowance(2, WHY, grant="p 1"),
        )

    def test_a_start_that_came_about_gives_nothing_back(self) -> None:
        doors = Doors()
        doors.put({("etl", A): Allowance(2, WHY, grant="p 1")})
        doors.started(1, "etl")
        doors.ended(1, "etl")
        doors.started(1, "x")
        doors.refused(1)
        assert doors.room("etl") == 1

    def test_one_allowance_may_be_shared_by_several_queues(self) -> None:
        doors = Doors()
        both, alone = Allowance(2, WHY, grant="p 1"), Allowance(2, WHY)
        doors.put({("etl", C): both, ("x", C): both, ("y", C): alone, ("z", C): replace(both, grant="p 2")})
        doors.started(1, "etl")
        assert [doors.room(queue) for queue in ("etl", "x", "y", "z")] == [1, 1, 2, 2]
        doors.started(2, "x")
        assert [doors.room(queue) for queue in ("etl", "x", "y", "z")] == [0, 0, 2, 2]
        doors.refused(2)
        assert [doors.room(queue) for queue in ("etl", "x")] == [1, 1]

    def test_those_that_failed_before_have_an_allowance_of_their_own(self) -> None:
        doors = Doors()
        door = ForRetries(1, WHY)
        doors.put({("etl", "retries"): door})
        assert (doors.room("etl"), list(doors.reasons("etl")), doors.retries("x")) == (MANY, [], None)
        doors.started(1, "etl")
        assert doors.retries("etl") == door
        doors.started(1, "etl", retry=True)
        assert doors.retries("etl") == ForRetries(0, WHY)
        assert list(doors.reasons("etl")) == [], "all others may start"
        doors.refused(1)
        assert doors.retries("etl") == ForRetries(0, WHY), "who looks knows better"

    def test_who_looks_hears_of_which_queues_more_or_less_may_start(self) -> None:
        doors = Doors()
        assert doors.put({("etl", A): Shut(WHY), ("x", A): Allowance(2, WHY), (EVERY, B): None}) == ["etl", "x"]
        assert doors.put({("etl", A): Shut(OTHER), ("x", A): Allowance(2, OTHER)}) == [], "for another reason"
        assert list(doors.reasons("etl")) == [OTHER]
        assert doors.put({("etl", B): Shut(WHY), ("x", "r"): ForRetries(1, WHY)}) == ["x"]
        assert doors.put({("etl", A): None, ("x", "r"): ForRetries(0, WHY), (EVERY, B): Shut(WHY)}) == ["x", EVERY]

    def test_an_allowance_of_many_is_not_counted_down(self) -> None:
        doors = Doors()
        doors.put({("etl", A): (door := Allowance(MANY, WHY, until_end=True))})
        doors.started(1, "etl")
        assert doors.get("etl", A) == door
        assert doors.put({("etl", A): door}) == []

    def test_what_was_opened_leaves_nothing_behind(self) -> None:
        doors = Doors()
        doors.put({(f"q{n}", A): Shut(WHY) for n in range(100)})
        doors.put({(f"q{n}", A): None for n in range(100)})
        assert not doors


class TestGate:
    def test_a_shut_queue_is_not_asked_for_and_reserves_nothing(self) -> None:
        h = Harness(2, {}, 2)
        for queue in ("etl", "etl", "x"):
            h.add(queue, 50)
        h.settle()
        h.do(h.gate.looked({("etl", A): Shut(WHY)}))
        assert [one.queue for one in h.gate.ready] in ([], ["x"])
        fetches = [action for action in h.pending if isinstance(action, Fetch)]
        h.do(h.gate.worker_idle("a"))
        h.do(h.gate.worker_idle("b"))
        fetches += [action for action in h.pending if isinstance(action, Fetch)]
        assert not any("etl" in fetch.wanted for fetch in fetches)
        h.settle()
        assert [one.queue for one in h.on_worker.values()] == ["x"]
        assert reasons(h.store.jobs[1], h.gate.situation()) == (WHY,)

    def test_what_waited_behind_a_door_comes_when_that_opens(self) -> None:
        h = Harness(1, {}, 1)
        h.do(h.gate.looked({("etl", A): Shut(WHY)}))
        h.do(h.gate.worker_idle("w"))
        waiting = h.add("etl", 50)
        h.settle()
        assert not h.on_worker
        h.do(h.gate.looked({("etl", A): None}))
        h.settle()
        assert h.on_worker["w"].id == waiting.id

    def test_the_best_behind_an_opened_door_overtakes_what_is_ready(self) -> None:
        h = Harness(1, {}, 2)
        h.do(h.gate.looked({("etl", A): Shut(WHY)}))
        best = h.add("etl", 99)
        for _ in range(3):
            h.add("x", 1)
        h.settle()
        h.do(h.gate.looked({("etl", A): Allowance(1, WHY)}))
        h.settle()
        h.do(h.gate.worker_idle("w"))
        h.settle()
        assert h.on_worker["w"].id == best.id

    def test_no_more_start_than_a_door_allows_until_the_next_look(self) -> None:
        h = Harness(9, {}, 9)
        for worker in "abcdefg":
            h.do(h.gate.worker_idle(worker))
        h.do(h.gate.looked({("etl", A): Allowance(2, WHY)}))
        for _ in range(6):
            h.add("etl", 50)
        h.settle()
        assert len(h.on_worker) == 2
        h.do(h.gate.looked({("etl", A): Allowance(3, WHY)}))
        h.settle()
        assert len(h.on_worker) == 5

    def test_an_end_may_keep_others_from_starting_until_somebody_looks(self) -> None:
        door = Allowance(MANY, WHY, until_end=True)
        h = Harness(2, {"etl": 1}, 2)
        for worker in "ab":
            h.do(h.gate.worker_idle(worker))
        h.do(h.gate.looked({("etl", A): door}))
        for queue in ("etl", "etl", "x", "x"):
            h.add(queue, 50)
        h.settle()
        (worker,) = (worker for worker, one in h.on_worker.items() if one.queue == "etl")
        h.finish(worker, Result.SUCCEEDED)
        h.settle()
        assert [one.queue for one in h.on_worker.values()] == ["x", "x"]
        h.finish("a", Result.SUCCEEDED)
        h.settle()
        assert [one.queue for one in h.on_worker.values()] == ["x"], "nobody has looked"
        h.do(h.gate.looked({}))
        h.settle()
        assert sorted(one.queue for one in h.on_worker.values()) == ["etl", "x"]

    def test_what_queues_share_is_used_up_by_all_of_them(self) -> None:
        h = Harness(9, {}, 9)
        for worker in "abcdefg":
            h.do(h.gate.worker_idle(worker))
        shared = Allowance(3, WHY, grant="p")
        h.do(h.gate.looked({("etl", C): shared, ("x", C): shared}))
        for _ in range(4):
            h.add("etl", 50)
            h.add("x", 50)
        h.settle()
        assert len(h.on_worker) == 3
        h.gate.sanity_check()

    def test_who_comes_to_a_shut_door_is_heard(self) -> None:
        gate = Gate(Policy(1, 1, {}), {}, lambda: 0.5)
        gate.looked({("etl", A): Shut(WHY), ("y", A): Allowance(1, WHY)})
        assert gate.knocked == set()
        gate.offered([job(1, "etl"), job(2, "x")])
        gate.queued(Lane("y", "0"), (0, 3))
        assert gate.knocked == {"etl"}
        gate.knocked.clear()
        gate.queued(Lane("etl", "0"), (0, 4))
        assert gate.knocked == {"etl"}

    def test_those_that_failed_before_wait_for_their_door_and_hold_back_nobody(self) -> None:
        h = Harness(9, {}, 9)
        for worker in "abcdefg":
            h.do(h.gate.worker_idle(worker))
        h.do(h.gate.looked({("etl", "retries"): ForRetries(2, WHY)}))
        for _ in range(4):  # they come first
            again = h.add("etl", 99)
            h.store.jobs[again.id] = replace(h.store.jobs[again.id], failures=1)
        fresh = [h.add("etl", 1).id for _ in range(3)]
        h.settle()
        assert sorted(one.id for one in h.on_worker.values()) == [1, 2, *fresh]
        assert reasons(h.store.jobs[3], h.gate.situation()) == (WHY,)
        h.do(h.gate.looked({("etl", "retries"): ForRetries(1, WHY)}))
        h.settle()
        assert sorted(one.id for one in h.on_worker.values()) == [1, 2, 3, *fresh]
        h.finish(next(worker for worker, one in h.on_worker.items() if one.id == 1), Result.SUCCEEDED)
        h.settle()
        assert 4 not in {one.id for one in h.on_worker.values()}, "an end gives nothing back"
        h.do(h.gate.looked({("etl", "retries"): None}))
        h.settle()
        assert 4 in {one.id for one in h.on_worker.values()}

    def test_a_door_stops_nothing_that_is_decided(self) -> None:
        gate = Gate(Policy(1, 1, {}), {}, lambda: 0.5)
        gate.worker_idle("w")
        (start,) = gate.offered([job(1, "etl")])
        assert isinstance(start, Start)
        gate.looked({("etl", A): Shut(WHY)})
        gate.attempts.started(1)
        assert 1 in gate.attempts

    def test_other_reasons_are_told_along_with_those_of_doors(self) -> None:
        gate = Gate(Policy(1, 1, {}), {}, lambda: 0.5)
        gate.looked({(EVERY, A): Shut(OTHER), ("etl", A): Shut(WHY)})
        assert set(reasons(job(1, "etl"), gate.situation())) == {WHY, OTHER, NoWorker(0, 1)}


class DoorHarness(Harness):
    """It counts starts against what the doors allowed."""

    def __init__(self, workers: int, limits: dict[str, int], ready: int, **more: Any) -> None:
        super().__init__(workers, limits, ready, **more)
        self.doors: dict[Key, Door | None] = {}
        self.left: dict[Key, int] = {}
        self.took: dict[int, list[tuple[Key, Door | None]]] = {}  # by job, the doors as they were put

    def look(self, doors: dict[Key, Door | None]) -> None:
        self.doors |= doors
        self.left |= {key: 0 if isinstance(door, Shut) else door.left for key, door in doors.items() if door}
        self.left = {key: left for key, left in self.left.items() if self.doors[key] is not None}
        self.do(self.gate.looked(doors))

    def do(self, actions: Iterable[Action]) -> None:
        actions = list(actions)
        for action in actions:
            if isinstance(action, Start):
                self.took[action.job.id] = []
                for key in self.left:
                    bound = action.job.failed_before or not isinstance(self.doors[key], ForRetries)
                    if bound and key[0] in (EVERY, action.job.queue):
                        self.left[key] -= 1
                        assert self.left[key] >= 0, f"{key} does not let it start"
                        self.took[action.job.id].append((key, self.doors[key]))
        super().do(actions)

    def refuse(self, job: int, first: Rank | None) -> None:
        for key, door in self.took[job]:
            if self.doors[key] is door and isinstance(door, Allowance) and door.grant:
                self.left[key] += 1
        super().refuse(job, first)

    def settle(self) -> None:
        super().settle()
        while self.gate.doors.unsure:
            self.do(self.gate.looked({}))
            super().settle()

    def restart(self, idle: Iterable[str]) -> None:
        super().restart([])  # nothing starts before somebody has looked
        self.look(dict(self.doors))
        for worker in idle:
            if worker not in self.on_worker:
                self.do(self.gate.worker_idle(worker))


doors = st.one_of(
    st.none(),
    st.just(Shut(WHY)),
    st.builds(Allowance, st.integers(0, 3), st.just(WHY), st.booleans(), st.sampled_from(["", "p"])),
    st.builds(ForRetries, st.integers(0, 2), st.just(WHY)),
)


class DoorMachine(GateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.grants = count(1)

    @initialize(workers=st.integers(1, 4), limit=st.integers(1, 3), ready=st.integers(1, 4), more=LIMITS)
    def begin(self, workers: int, limit: int, ready: int, more: dict[str, Any]) -> None:
        super().begin(workers, limit, ready, more)
        self.h: DoorHarness = DoorHarness(workers, {"etl": limit}, ready, **more)

    @rule(queue=st.sampled_from([EVERY, "default", "etl", "x"]), kind=st.sampled_from([A, B]), door=doors)
    def look(self, queue: str | None, kind: Kind, door: Door | None) -> None:
        if isinstance(door, Allowance) and door.grant:
            door = replace(door, grant=f"p {next(self.grants)}")
        self.h.look({(queue, kind): door})

    def teardown(self) -> None:
        if hasattr(self, "h"):
            self.h.look(dict.fromkeys(self.h.doors))
        super().teardown()


TestDoorMachine = DoorMachine.TestCase
TestDoorMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


def test_who_comes_back_to_a_shut_door_knocks() -> None:
    """Nobody looks behind it while its jobs wait for something else, by name."""
    h = Harness(2, {}, 2)
    for worker in "ab":
        h.do(h.gate.worker_idle(worker))
    h.add("default", 50, tokens={"db": 1})
    h.settle()
    h.add("m", 50, tokens={"db": 1})
    h.settle()
    h.do(h.gate.looked({("m", Kind.MACHINE): Shut(AllPaused())}))
    h.gate.knocked.clear()
    h.finish(next(iter(h.on_worker)), Result.SUCCEEDED)
    h.settle()
    assert h.gate.knocked == {"m"}
