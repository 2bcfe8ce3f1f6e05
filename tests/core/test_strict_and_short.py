"""Strict queues whose users have limits and whose jobs are short of something."""

from __future__ import annotations

from taskgated.core.job import Outcome, Result
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
