"""A user with jobs in many queues: of these lanes no more are looked at than there is room for."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from taskgated.core.attempts import Start
from taskgated.core.capacity import Policy
from taskgated.core.fetch import Fetch
from taskgated.core.gate import Action, Gate
from taskgated.core.job import Outcome, Result
from taskgated.core.lanes import Unseen
from taskgated.core.order import Lane
from tests.core.test_decisions import job

QUEUES = 50


def lane(number: int) -> Lane:
    return Lane(f"q{number}", "0")


class Many:
    """One user has jobs in many queues, and room for two. Each has two jobs; those of lower queues come first."""

    def __init__(self, policy: Policy) -> None:
        self.jobs = {2 * n + i: job(2 * n + i, f"q{n}", 90 - n) for n in range(QUEUES) for i in range(2)}
        self.asked: list[set[Lane]] = []
        self.started: list[int] = []
        self.gate = Gate(policy, {lane(n): self.jobs[2 * n].rank for n in range(QUEUES)}, lambda: 0.5)
        for worker in range(4):
            self.do(self.gate.worker_idle(f"w{worker}"))

    def do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Fetch(wanted):
                    self.asked.append(set(wanted))
                    there = {one: [j for j in self.jobs.values() if j.lane == one] for one in wanted}
                    unknown = {one: [j for j in jobs if j.id not in action.known] for one, jobs in there.items()}
                    found = [j for one, number in wanted.items() for j in unknown[one][:number]]
                    rest = {one: jobs[wanted[one]].rank for one, jobs in unknown.items() if jobs[wanted[one] :]}
                    self.do(self.gate.fetched(found, rest))
                case Start(started):
                    del self.jobs[started.id]
                    self.gate.attempts.started(started.id)
                    self.started.append(started.id)
        self.gate._candidates.sanity_check()

    def end(self, job: int) -> None:
        self.asked = []
        worker = next(course.worker for course in self.gate.attempts.courses() if course.job.id == job)
        assert worker is not None
        self.do(self.gate.ended(Outcome(job, 1, Result.SUCCEEDED), worker))
        self.do(self.gate.worker_idle(worker))


def test_no_more_are_asked_for_than_there_is_room_for() -> None:
    many = Many(Policy(4, 20, user_limit=2))
    assert many.started == [0, 1]
    for ended in range(20):
        many.end(ended)
        assert many.started[-1] == ended + 2
        assert {one for asked in many.asked for one in asked} <= {lane(ended // 2 + n) for n in range(3)}


@pytest.mark.parametrize("kept", [{"limits": {"q0": 1, "q1": 1}}, {"user_limits": {"q0": 1, "q1": 1}}])
def test_the_next_has_its_turn_if_something_else_keeps_the_first(kept: dict[str, dict[str, int]]) -> None:
    many = Many(Policy(4, 20, user_limit=2, **kept))  # type: ignore[arg-type]
    assert many.started == [0, 2]
    many.end(2)
    assert many.started == [0, 2, 3]
    many.end(3)
    assert many.started == [0, 2, 3, 4], "both of the first two queues have had theirs, and the third is next"
    many.end(0)
    assert many.started == [0, 2, 3, 4, 1], "the first one has room again"


def test_the_next_has_its_turn_if_another_user_has_the_place_of_the_first() -> None:
    many = Many(Policy(4, 20, {"q2": 1}, user_limit=2))
    many.end(0)
    many.end(1)
    many.jobs[1000] = job(1000, "q2", 99, owner=1)
    many.do(many.gate.offered([many.jobs[1000]]))
    many.end(2)
    assert many.started == [0, 1, 2, 3, 1000, 6]


def test_of_closed_lanes_one_after_the_other_leads() -> None:
    unseen = Unseen({lane(n): (n, n) for n in range(4)})
    for n in range(4):
        unseen.close(lane(n), alone=False)
    unseen.changed("another", "0")
    assert unseen.first == lane(0)
    unseen.close(lane(0), alone=True)
    assert unseen.first == lane(1), "what keeps the first one does not keep the next"
    unseen.close(lane(1), alone=False)
    assert unseen.first is None, "what keeps this one keeps all later ones"
    unseen.changed("q0", "0")
    assert [unseen.ask(lane(0)), unseen.ask(lane(1))] == [False, True] and unseen.first is None
    unseen.lead("0")
    assert unseen.first == lane(2)
