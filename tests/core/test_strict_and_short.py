"""Strict queues whose users have limits and whose jobs are short of something: by example, and at random."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from taskgated.core.job import Locks, Outcome, Result
from taskgated.core.state import State
from tests.core.test_decisions import LIMITS, GateMachine, Harness

NEEDS: list[dict[str, Any]] = [
    {},
    {"tokens": {"yarn": 1}},
    {"tokens": {"yarn": 2}},
    {"tokens": {"yarn": 3}},
    {"tokens": {"db": 1}},
    {"locks": Locks(("a",), ())},
    {"locks": Locks((), ("a",))},
    {"key": "k"},
]


class StrictAndShortMachine(GateMachine):
    """Anything may happen where most jobs are short of something, and many come at once: one decision puts back
    several of them, for several reasons."""

    @initialize(
        workers=st.integers(1, 4),
        ready=st.sampled_from([2, 4, 20]),
        more=LIMITS,
        user_limit=st.integers(1, 4),
        strict=st.sampled_from([("x",), ("x", "etl")]),
    )
    def begin(  # type: ignore[override]
        self, workers: int, ready: int, more: dict[str, Any], user_limit: int, strict: tuple[str, ...]
    ) -> None:
        fair = tuple(queue for queue in more.get("fair", ()) if queue not in strict)  # no queue is both
        super().begin(workers, 3, ready, {**more, "fair": fair, "user_limit": user_limit, "strict": strict})

    @rule(
        jobs=st.lists(
            st.tuples(
                st.sampled_from(["x", "x", "etl", "default"]), st.sampled_from(NEEDS), st.sampled_from([0, 0, 1])
            ),
            min_size=3,
            max_size=8,
        ),
        offer=st.booleans(),
    )
    def add_file(self, jobs: list[tuple[str, dict[str, Any], int]], offer: bool) -> None:
        self.h.by_offer = offer
        for queue, needs, owner in jobs:
            self.h.add(queue, 50, owner, **needs)


TestStrictAndShortMachine = StrictAndShortMachine.TestCase
TestStrictAndShortMachine.settings = settings(max_examples=40, stateful_step_count=60, deadline=None)


def test_what_came_back_and_is_put_back_leaves_what_it_needs_to_the_next() -> None:
    h = Harness(9, {}, 4, users={"1": 1}, strict=("x",))
    for worker in "ab":
        h.do(h.gate.worker_idle(worker))
    h.add("default", 99, owner=2, tokens={"db": 1})
    h.add("default", 99, owner=1)
    h.settle()
    first, second = h.add("x", 60, tokens={"db": 1}), h.add("default", 50, tokens={"db": 1})
    h.settle()
    assert {h.store.jobs[one.id].waits for one in (first, second)} == {"token:db"}
    (worker,) = (worker for worker, running in h.on_worker.items() if running.owner == "2")
    over = h.on_worker.pop(worker)
    h.do(h.gate.ended(Outcome(over.id, 1, Result.SUCCEEDED), worker))  # it is busy with cleaning up
    h.settle()
    assert [one.id for one in h.gate.ready] == [first.id]
    h.add("x", 70, owner=1)  # kept, as its user has one running
    h.settle()
    assert [one.id for one in h.gate.ready] == [second.id]


def test_what_is_promised_again_is_not_kept_ready_for_another() -> None:
    """A promise does not hold while the lane of who waits is full."""
    h = Harness(9, {}, 4, users={"1": 1})
    for worker in "abc":
        h.do(h.gate.worker_idle(worker))
    for lock in "ab":
        h.add("q", 99, locks=Locks((lock,)))
    h.settle()
    h.add("default", 60, owner=1, locks=Locks(("a", "b")))
    h.settle()
    held = {running.spec.locks.exclusive: worker for worker, running in h.on_worker.items()}
    h.finish(held[("a",)], Result.SUCCEEDED)  # now it waits for the second, and both are promised to it
    h.settle()
    h.add("other", 80, owner=1)
    h.add("q", 70)
    h.settle()
    other = h.add("q", 50, locks=Locks(("a",)))
    h.settle()
    assert [one.id for one in h.gate.ready] == [other.id], "only a worker is missing"
    (worker,) = (worker for worker, running in h.on_worker.items() if running.queue == "other")
    over = h.on_worker.pop(worker)
    h.do(h.gate.ended(Outcome(over.id, 1, Result.SUCCEEDED), worker))
    h.settle()
    assert not h.gate.ready and h.store.jobs[other.id].waits == "lock:a"


def test_who_needs_nothing_of_what_others_wait_for_is_not_before_them() -> None:
    """It is the senior: what it needs of other things is promised to it."""
    h = Harness(9, {}, 9, users={"1": 1})
    for worker in "abcde":
        h.do(h.gate.worker_idle(worker))
    for lock in "yz":
        h.add("default", 99, locks=Locks((lock,)))
    h.settle()
    h.add("default", 90, locks=Locks(("y", "z")))
    h.settle()
    held = {running.spec.locks.exclusive: worker for worker, running in h.on_worker.items()}
    h.finish(held[("y",)], Result.SUCCEEDED)  # now it waits for the second
    h.add("default", 80, locks=Locks((), ("a",)))
    h.settle()
    alone, shared = h.add("default", 70, owner=1, locks=Locks(("a",))), h.add("x", 60, locks=Locks((), ("a",)))
    h.settle()
    assert {h.store.jobs[one.id].waits for one in (alone, shared)} == {"lock:a"}
    h.add("x", 99, owner=1)  # the user has no place for the one that comes first
    h.settle()
    assert h.store.jobs[shared.id].state is State.RUNNING


def test_one_that_lost_its_place_while_it_was_asked_for_keeps_no_other_queue() -> None:
    h = Harness(9, {}, 2, users={"0": 1}, strict=("x",))
    ready = h.add("default", 50, owner=0)
    h.settle()
    assert [one.id for one in h.gate.ready] == [ready.id]
    h.by_offer = True
    h.add("x", 90, owner=0)
    h.add("x", 80, owner=1)
    h.offers.clear()
    h.do(h.gate.seen(*h.store.piece(h.gate)))  # both are asked for
    h.by_offer = False
    for worker in "ab":
        h.do(h.gate.worker_idle(worker))  # and the only place of the first is taken
    other = h.add("default", 10, owner=2)
    h.settle()
    assert h.store.jobs[ready.id].state is h.store.jobs[other.id].state is State.RUNNING
