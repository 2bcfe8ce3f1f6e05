"""Strict queues whose users have limits and whose jobs are short of something."""

from __future__ import annotations

from taskgated.core.job import Locks, Outcome, Result
from tests.core.test_decisions import Harness


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
