"""Queues that are shared fairly between their users."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import exp2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgated.core.attempts import Start
from taskgated.core.capacity import Policy
from taskgated.core.fair import HALF_LIFE, SECOND, Fair
from taskgated.core.fetch import Fetch
from taskgated.core.gate import Action, Gate
from taskgated.core.job import Job, Outcome, Result, Spec
from taskgated.core.order import Lane, Rank
from taskgated.core.state import State
from tests.core.test_decisions import Harness


def job(id: int, owner: int, queue: str = "q") -> Job:
    return Job(id, queue, 50, State.QUEUED, Spec(queue=queue), str(owner), turn=id)


def over(job: Job, seconds: float) -> Outcome:
    return Outcome(job.id, 1, Result.SUCCEEDED, started=0, finished=int(seconds * SECOND))


class Scene:
    """A gate with some workers, and jobs that take as long as they are said to; ``now``: the time, microseconds."""

    def __init__(self, jobs: list[Job], policy: Policy, seconds: dict[int, float] | None = None) -> None:
        self.now = 0
        self.gate = Gate(policy, {}, lambda: 0.5, uptime=lambda: self.now)
        self.left = {job.id: job for job in jobs}
        self.running: list[tuple[int, str, Job]] = []
        self.started: list[Job] = []
        self.took: Counter[int] = Counter()
        self.seconds = seconds or {}
        heads: dict[Lane, Rank] = {}
        for one in jobs:
            heads[one.lane] = min(one.rank, heads.get(one.lane, one.rank))
        self.do(self.gate.look_again(heads))
        for worker in range(policy.workers):
            self.do(self.gate.worker_idle(f"w{worker}"))

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Fetch(wanted, known, most):
                    ranked = sorted((j for j in self.left.values() if j.id not in known), key=lambda j: j.rank)
                    mine = {lane: [j for j in ranked if j.lane == lane] for lane in wanted}
                    first = [j for lane, number in wanted.items() for j in mine[lane][:number]]
                    found = sorted(first, key=lambda j: j.rank)[:most]
                    rest = {lane: [j.rank for j in jobs if j not in found] for lane, jobs in mine.items()}
                    self.do(self.gate.fetched(found, {lane: ranks[0] for lane, ranks in rest.items() if ranks}))
                case Start(new, worker):
                    del self.left[new.id]
                    self.started.append(new)
                    takes = int(self.seconds.get(int(new.owner), 1.0) * SECOND)
                    self.running.append((self.now + takes, worker, new))
                    self.gate.attempts.started(new.id)
        self.gate.sanity_check()

    def step(self) -> None:
        """The next job ends."""
        self.running.sort(key=lambda entry: entry[0])
        self.now, worker, done = self.running.pop(0)
        seconds = self.seconds.get(int(done.owner), 1.0)
        self.took[int(done.owner)] += int(seconds * 1000)
        self.do(self.gate.ended(over(done, seconds), worker))
        self.do(self.gate.worker_idle(worker))

    def run(self) -> list[int]:
        """Whose jobs started, in order."""
        while self.running:
            self.step()
        assert not self.left, "some never start"
        return [int(one.owner) for one in self.started]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([1.0, 2.0, 3.0]), min_size=2, max_size=5),
    st.integers(1, 3),
    st.integers(1, 6),
    st.randoms(use_true_random=False),
)
def test_users_get_their_shares_whoever_came_first(
    weights: list[float], workers: int, ready: int, random: object
) -> None:
    """As long as each of them has jobs that wait, no user is ahead of another by more than what is under way."""
    owners = [owner for owner in range(len(weights)) for _ in range(12)]
    random.shuffle(owners)  # type: ignore[attr-defined]
    policy = Policy(workers, ready, fair=("q",), weights={str(one): weight for one, weight in enumerate(weights)})
    order = Scene([job(id_, owner) for id_, owner in enumerate(owners, 1)], policy).run()
    counts: Counter[int] = Counter()
    for owner in order:
        counts[owner] += 1
        if max(counts.values()) >= 12:
            break
        shares = [counts[one] / weight for one, weight in enumerate(weights)]
        assert max(shares) - min(shares) <= (1 + workers) / min(weights), "shares of time"


@pytest.mark.parametrize("ready", [1, 4, 16])
def test_a_share_is_of_time_not_of_starts(ready: int) -> None:
    jobs = [job(id_, 1) for id_ in range(1, 101)] + [job(id_, 2) for id_ in range(101, 1101)]
    scene = Scene(jobs, Policy(2, ready, fair=("q",)), {1: 20.0, 2: 2.0})
    while len(scene.started) < 400:
        scene.step()
    assert 0.8 < scene.took[1] / scene.took[2] < 1.25


def test_one_who_comes_later_goes_before_those_who_have_used_much() -> None:
    scene = Scene([job(id_, 1) for id_ in range(1, 200)], Policy(1, 8, fair=("q",)))
    for _ in range(50):
        scene.step()
    new = job(1000, 2)
    scene.left[1000] = new
    scene.do(scene.gate.queued(new.lane, new.rank))
    scene.step()
    assert scene.started[-1].owner == "2"


def test_between_queues_each_job_has_its_own_turn() -> None:
    """A fair queue takes nothing from others by what its users have used."""
    jobs = [job(1, 1), job(2, 1), job(3, 1), job(4, 1), job(5, 9, "other"), job(6, 2), job(7, 9, "other")]
    order = Scene(jobs, Policy(1, 4, fair=("q",))).run()
    assert order.index(9) < order.index(2), "it came before that"


def used(gate: Gate, owner: int) -> None:
    """That user has used much of the queue."""
    for id_ in range(1000, 1020):
        gate.fair.begun(job(id_, owner))
        gate.fair.ended(job(id_, owner), over(job(id_, owner), 1.0))


def full(gate: Gate, *jobs: Job) -> None:
    """These are ready, and no more have a place."""
    gate.queued(jobs[0].lane, jobs[0].rank)
    assert gate.fetched(jobs, {}) == [] and len(gate.ready) == gate.ready.capacity


@pytest.mark.parametrize("queue", ["a", "z"])
def test_an_early_job_that_is_not_the_next_of_its_queue_hides_none_of_another(queue: str) -> None:
    gate = Gate(Policy(1, 4, fair=("q",)), {}, lambda: 0.5)
    used(gate, 2)
    full(gate, *[job(id_, 1) for id_ in (10, 11, 12, 13)])
    assert gate.queued(job(1, 2).lane, job(1, 2).rank) == []
    (asked,) = gate.queued(Lane(queue, "9"), job(5, 9, queue).rank)
    assert isinstance(asked, Fetch) and set(asked.wanted) == {Lane(queue, "9")}
    gate.fetched([job(5, 9, queue)], {})
    assert 5 in gate.ready and len(gate.ready) == 4
    gate.sanity_check()


def test_who_has_the_next_turn_is_asked_for_also_if_others_came_before() -> None:
    """In another queue, where there is nothing better than what is ready."""
    gate = Gate(Policy(1, 3, fair=("q",)), {}, lambda: 0.5)
    used(gate, 1)
    full(gate, job(1, 1), job(2, 9, "a"), job(3, 9, "a"))
    assert gate.queued(Lane("a", "9"), job(4, 9, "a").rank) == []
    (asked,) = gate.queued(job(5, 2).lane, job(5, 2).rank)
    assert isinstance(asked, Fetch) and set(asked.wanted) == {Lane("q", "2")}
    gate.fetched([job(5, 2)], {})
    assert [one.id for one in gate.ready] == [2, 3, 5], "it has the place of one of its queue"
    gate.sanity_check()


class TestUse:
    def fair(self, **policy: object) -> Fair:
        self.now = 0
        return Fair(Policy(1, 1, fair=("q",), **policy), lambda: self.now)  # type: ignore[arg-type]

    def test_it_halves_with_each_half_life(self) -> None:
        fair = self.fair()
        fair.begun(job(1, 1))
        fair.ended(job(1, 1), over(job(1, 1), 100.0))
        for halves in range(4):
            self.now = halves * HALF_LIFE
            assert fair.used(Lane("q", "1")) == pytest.approx(100.0 / 2**halves)

    @given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3), st.floats(0.1, 10_000)), max_size=30))
    def test_it_is_the_sum_of_what_decays(self, ends: list[tuple[int, int, float]]) -> None:
        fair, used = self.fair(), Counter[int]()
        for id_, (wait, owner, seconds) in enumerate(ends):
            one = job(id_, owner)
            fair.begun(one)
            self.now += wait * HALF_LIFE // 10
            for other in used:
                used[other] *= exp2(-wait / 10)  # type: ignore[assignment]
            fair.ended(one, over(one, seconds))
            used[owner] += seconds  # type: ignore[assignment]
        for owner in used:
            assert fair.used(Lane("q", str(owner))) == pytest.approx(used[owner], rel=1e-6, abs=1e-6)

    def test_one_that_never_ran_costs_nothing(self) -> None:
        fair = self.fair()
        fair.begun(job(1, 1))
        fair.ended(job(1, 1), None)
        assert fair.used(Lane("q", "1")) == pytest.approx(0.0, abs=1e-6)
        fair.begun(job(2, 1, "other"))
        assert fair.standing(Lane("other", "1")) == fair.standing(Lane("other", "2")) == 0.0

    def test_a_weight_makes_use_count_less(self) -> None:
        fair = self.fair(weights={"1": 3.0})
        for owner, seconds in ((1, 299.0), (2, 100.0)):
            fair.begun(job(owner, owner))
            fair.ended(job(owner, owner), over(job(owner, owner), seconds))
        assert fair.standing(Lane("q", "1")) < fair.standing(Lane("q", "2"))
        fair.policy = replace(fair.policy, weights={})
        assert fair.standing(Lane("q", "1")) > fair.standing(Lane("q", "2"))

    def test_it_is_remembered_as_long_as_it_counts(self) -> None:
        fair = self.fair()
        for owner, seconds in ((1, 1000.0), (2, 2.0)):
            fair.begun(job(owner, owner))
            fair.ended(job(owner, owner), over(job(owner, owner), seconds))
        levels = {
            Lane("q", str(owner)): level
            for owner in (1, 2)
            if (level := fair.level(Lane("q", str(owner)))) is not None
        }
        later = self.fair()
        self.now = 2 * HALF_LIFE
        gone = later.revived(levels | {Lane("other", "1"): 9.0, Lane("q", "3"): float("nan"), Lane("q", "4"): 1e300})
        assert gone == [Lane("q", "2"), Lane("other", "1"), Lane("q", "3")]
        assert later.used(Lane("q", "1")) == pytest.approx(250.0)
        assert later.used(Lane("q", "4")) == pytest.approx(7 * 86400), "nothing can have been used for longer"


def in_a_circle() -> Harness:
    """Two may be ready, and there is no worker. User 1 has room for one more: the job in "x" comes before the one in
    "fair", which has its turn there before those of user 0, as that one has used more; and these come before the job
    in "x"."""
    h = Harness(2, {}, 2, fair=("fair",), user_limit=2)
    h.do(h.gate.worker_idle("w"))
    h.add("fair", 99, owner=0)
    h.settle()
    h.finish("w", Result.SUCCEEDED)
    h.add("x", 99, owner=1)
    h.settle()
    for queue, priority, owner in (("fair", 30, 0), ("fair", 40, 0), ("x", 20, 1), ("fair", 10, 1)):
        h.add(queue, priority, owner)
    return h


def test_what_is_better_in_three_ways_is_not_asked_for_without_end() -> None:
    h = in_a_circle()
    h.settle()
    while h.on_worker:
        h.settle()
        h.finish(next(iter(h.on_worker)), Result.SUCCEEDED)
        h.settle()
    assert all(one.state is State.SUCCEEDED for one in h.store.jobs.values())


def test_an_inventory_that_tells_nothing_new_displaces_nothing() -> None:
    h = in_a_circle()
    h.settle()
    ready, asked = list(h.gate.ready), h.gate.asked
    h.take()
    assert (list(h.gate.ready), h.gate.asked, h.pending) == (ready, asked, [])
