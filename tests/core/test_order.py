"""In which order jobs start: by priority, by what waiting is worth, and never later than the bound on that."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgated.core.attempts import Start
from taskgated.core.capacity import Policy
from taskgated.core.fetch import Fetch
from taskgated.core.gate import Gate
from taskgated.core.job import Job, Locks, Outcome, Result, Spec
from taskgated.core.order import ABSOLUTE, Lane, per_point, turn
from taskgated.core.parking import Back, Recall
from taskgated.core.state import State
from tests.core.test_fair import Scene

MINUTE = 60_000_000
SUBMISSIONS = st.lists(
    st.tuples(st.integers(0, 90 * MINUTE), st.integers(0, 100), st.integers(0, 3)), min_size=1, max_size=40
)
"""When, with which priority, and by whom."""


def jobs(submissions: list[tuple[int, int, int]], ageing: float) -> list[Job]:
    return [
        Job(id_, "q", priority, State.QUEUED, Spec(), str(owner), turn(since, priority, per_point(ageing)))
        for id_, (since, priority, owner) in enumerate(sorted(submissions), 1)
    ]


def started(waiting: list[Job], capacity: int) -> list[int]:
    """In which order a gate with one worker starts them."""
    gate = Gate(Policy(1, capacity), {}, lambda: 0.5)
    left = {job.id: job for job in waiting}
    first: dict[Lane, tuple[int, int]] = {}
    for job in waiting:
        first[job.lane] = min(job.rank, first.get(job.lane, job.rank))
    actions = gate.look_again(first) + gate.worker_idle("w")
    order = []
    while actions:
        match actions.pop(0):
            case Fetch(wanted, known, most):
                ranked = sorted((job for job in left.values() if job.id not in known), key=lambda job: job.rank)
                mine = {lane: [job for job in ranked if job.lane == lane] for lane in wanted}
                found = [job for lane, number in wanted.items() for job in mine[lane][:number]]
                found = sorted(found, key=lambda job: job.rank)[:most]
                rest = {lane: [job.rank for job in of_lane if job not in found] for lane, of_lane in mine.items()}
                actions += gate.fetched(found, {lane: ranks[0] for lane, ranks in rest.items() if ranks})
            case Start(job):
                order.append(job.id)
                del left[job.id]
                gate.attempts.started(job.id)
                actions += gate.ended(Outcome(job.id, 1, Result.SUCCEEDED), "w") + gate.worker_idle("w")
        gate.sanity_check()
    assert not left, "some never start"
    return order


@given(SUBMISSIONS, st.sampled_from([0.0, 1.0, 60.0, 3600.0]), st.integers(1, 8))
def test_the_order_is_that_of_turns_however_many_are_ready(
    submissions: list[tuple[int, int, int]], ageing: float, capacity: int
) -> None:
    waiting = jobs(submissions, ageing)
    assert started(waiting, capacity) == [job.id for job in sorted(waiting, key=lambda job: job.rank)]


@given(SUBMISSIONS, st.sampled_from([1.0, 60.0, 3600.0]))
def test_nobody_is_passed_by_for_longer_than_the_bound(
    submissions: list[tuple[int, int, int]], ageing: float
) -> None:
    """What was submitted (100 - p) times ``ageing`` after a job of priority p, or later, never starts before it."""
    since = dict(enumerate((since for since, *_ in sorted(submissions)), 1))
    waiting = {job.id: job for job in jobs(submissions, ageing)}
    order = started(list(waiting.values()), 4)
    for place, id_ in enumerate(order):
        bound = since[id_] + (100 - waiting[id_].priority) * int(ageing * 1_000_000)
        late = [other for other in order[:place] if other > id_ and since[other] >= bound]
        assert not late, "they were submitted too late to go first"


@settings(deadline=None, max_examples=60)
@given(
    SUBMISSIONS,
    st.integers(1, 2),
    st.dictionaries(st.integers(0, 3), st.sampled_from([1.0, 5.0, 60.0])),
    st.sampled_from([1, 3, 20]),
)
def test_in_a_strict_queue_nobody_goes_before_one_that_is_kept(
    submissions: list[tuple[int, int, int]], limit: int, seconds: dict[int, float], ready: int
) -> None:
    """However long jobs take: a user who has as many running as may keeps all behind the next job."""
    waiting = jobs(submissions, 60.0)
    scene = Scene(waiting, Policy(4, ready, user_limit=limit, strict=("q",)), seconds)
    scene.run()
    assert [job.id for job in scene.started] == [job.id for job in sorted(waiting, key=lambda job: job.rank)]


@pytest.mark.parametrize(("strict", "order"), [((), [1, 3, 2]), (("q",), [1, 2, 3])])
def test_a_job_that_is_kept_holds_back_those_behind_it_where_the_queue_says_so(
    strict: tuple[str, ...], order: list[int]
) -> None:
    submissions = [(1, 50, 1), (2, 50, 1), (3, 50, 2)]
    scene = Scene(jobs(submissions, 60.0), Policy(2, 4, user_limit=1, strict=strict))
    last = next((job for job in scene.left.values() if job.id == 3), None)
    assert (None if last is None else scene.gate.in_front(last)) == (2 if strict else None)
    scene.run()
    assert [job.id for job in scene.started] == order


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 10**13), st.integers(0, 10**13))
def test_without_ageing_priority_is_absolute(low: int, high: int, early: int, late: int) -> None:
    first, second = turn(early, low, per_point(0)), turn(late, high, per_point(0))
    assert (first < second) == (low > high or (low == high and early < late))


@pytest.mark.parametrize("ageing", [0, 1e-9, 1, 60, 1e9, 1e30])
def test_a_turn_is_a_number_that_every_store_can_hold(ageing: float) -> None:
    assert 0 < per_point(ageing) <= ABSOLUTE
    assert abs(turn(2**60, 100, per_point(ageing))) < 2**63


def test_a_job_that_is_behind_one_that_is_kept_may_come_to_lack_what_it_needs() -> None:
    """It is not ready, so it need not leave the ready queue for that."""
    gate = Gate(Policy(4, 4, user_limit=1, strict=("q",)), {}, lambda: 0.5)
    for worker in range(3):
        gate.worker_idle(f"w{worker}")
    first, kept = jobs([(1, 50, 1), (2, 50, 1)], 60.0)
    lock = Spec(locks=Locks(("a",)))
    behind, other = (
        Job(id_, queue, 50, State.QUEUED, lock, id_, id_ * MINUTE) for id_, queue in ((3, "q"), (4, "r"))
    )
    begun: list[int] = []
    for job in (first, kept, behind, other):
        actions = gate.offered([job])
        for action in actions:
            if isinstance(action, Fetch):
                actions += gate.fetched([], {kept.lane: kept.rank})
            elif isinstance(action, Start):
                begun.append(action.job.id)
    assert begun == [1, 4]
    gate.sanity_check()


def test_one_that_comes_back_when_its_start_is_decided_keeps_nothing_from_others() -> None:
    """It was found to be next before the store had noted that it waits, as when it is moved meanwhile."""
    gate = Gate(Policy(4, 4), {}, lambda: 0.5)
    for worker in range(4):
        gate.worker_idle(f"w{worker}")
    first, second, third, fourth = (
        Job(id_, "q", 50, State.QUEUED, Spec(locks=Locks(("a",))), 1, id_ * MINUTE) for id_ in (1, 2, 3, 4)
    )

    def ends(job: Job, worker: str) -> list[Recall]:
        gate.attempts.started(job.id)
        done = gate.ended(Outcome(job.id, 1, Result.SUCCEEDED), worker)
        return [action for action in (*done, *gate.worker_idle(worker)) if isinstance(action, Recall)]

    def begun(actions: Sequence[object]) -> list[tuple[Job, str]]:
        return [(action.job, action.worker) for action in actions if isinstance(action, Start)]

    ((_, worker),) = begun(gate.offered([first]))
    gate.offered([second])
    gate.parked([2])
    (asked,) = ends(first, worker)
    (fetch,) = (action for action in gate.queued(second.lane, second.rank) if isinstance(action, Fetch))
    ((_, worker),) = begun(gate.fetched([second], {}, fetch.number))
    gate.recalled([second], asked, {"lock:a": Back(1, None)})
    ends(second, worker)
    ((_, worker),) = begun(gate.offered([third]))
    gate.offered([fourth])
    gate.parked([4])
    (asked,) = ends(third, worker)
    assert asked.rooms["lock:a"].most == 1
