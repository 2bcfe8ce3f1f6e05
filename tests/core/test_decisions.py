"""The gate's decisions: by example, and under random events that must never break an invariant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from taskgated.core.attempts import Abandon, Finish, Run, Start, Stop
from taskgated.core.capacity import Capacities, Policy, QueuePlaces, Situation, reasons
from taskgated.core.fetch import Fetch
from taskgated.core.gate import Action, Gate
from taskgated.core.inventory import Inventory
from taskgated.core.job import Clock, Element, Interrupted, Job, Locks, Outcome, Result, Retry, Spec
from taskgated.core.lifecycle import (
    POISON,
    TRANSITIONS,
    Cause,
    Failure,
    LastFailure,
    Poisonous,
    Verb,
    WasCancelled,
    WasEnded,
    WasInterrupted,
    diagram,
    judge,
    step,
)
from taskgated.core.named import Named, at_once, line_of, needs_of
from taskgated.core.order import ABSOLUTE, FIRST, Lane, Rank, turn
from taskgated.core.parking import Back, Park, Recall
from taskgated.core.promises import Waiter
from taskgated.core.ready import ReadyQueue
from taskgated.core.reasons import AllBusy, Draining, Held, NotDue, NoWorker, QueueFull
from taskgated.core.retry import backoff
from taskgated.core.shortages import TokensPromised
from taskgated.core.state import FINAL, State
from taskgated.errors import IllegalTransition
from taskgated.store.waiting import TIMES

TOKENS = {"yarn": 3, "db": 1}


def job(id: int = 1, queue: str = "default", priority: int = 50, owner: int = 0, **spec: object) -> Job:
    made = Spec(command="true", queue=queue, priority=priority, **spec)  # type: ignore[arg-type]
    return Job(id, queue, priority, State.QUEUED, made, str(owner), turn(0, priority, ABSOLUTE))


def full(capacities: Capacities, queue: str) -> int | None:
    return capacities.room(QueuePlaces(queue))


def outcome(result: Result, id: int = 1, attempt: int = 1) -> Outcome:
    return Outcome(id, attempt, result)


class TestLifecycle:
    @pytest.mark.parametrize("state", State)
    @pytest.mark.parametrize("verb", Verb)
    def test_every_pair_is_in_the_table_or_an_error(self, state: State, verb: Verb) -> None:
        if (state, verb) in TRANSITIONS:
            assert step(state, verb) in State
        else:
            with pytest.raises(IllegalTransition, match=f"cannot {verb} a job that is {state}"):
                step(state, verb)

    def test_what_is_over_stays_over_unless_somebody_wants_it_again(self) -> None:
        assert {pair for pair in TRANSITIONS if pair[0] in FINAL} == {
            (State.FAILED, Verb.RETRY_BY_HAND),
            (State.CANCELLED, Verb.RETRY_BY_HAND),
        }

    def test_every_state_can_be_reached_and_left_for_the_end(self) -> None:
        reached = {State.QUEUED}
        for _ in State:
            reached |= {to for (start, _), to in TRANSITIONS.items() if start in reached}
        assert reached == set(State)

    def test_the_diagram_is_the_table(self) -> None:
        assert len(diagram().splitlines()) == len(TRANSITIONS)


class TestJudge:
    def verdict(self, result: Result, *, cancelled: bool = False, crashed: bool = False, **spec: object) -> Verb:
        return judge(job(**spec), outcome(result), cancelled=cancelled, crashed=crashed, chance=0.5).verb

    def test_success_wins_over_a_late_cancel(self) -> None:
        assert self.verdict(Result.SUCCEEDED, cancelled=True) is Verb.SUCCEED

    @pytest.mark.parametrize("result", [Result.FAILED, Result.TIMED_OUT, Result.KILLED, Result.LOST])
    def test_cancelled_is_never_tried_again(self, result: Result) -> None:
        assert self.verdict(result, cancelled=True, retry=Retry(attempts=9)) is Verb.CANCEL

    @pytest.mark.parametrize(
        ("result", "cancelled", "spec", "cause"),
        [
            (Result.SUCCEEDED, True, {}, None),
            (Result.FAILED, True, {}, WasCancelled()),
            (Result.KILLED, False, {}, WasEnded()),
            (Result.LOST, False, {}, WasInterrupted(Interrupted.RERUN)),
            (Result.LOST, False, {"interrupted": Interrupted.FAIL}, WasInterrupted(Interrupted.FAIL)),
            (Result.TIMED_OUT, False, {"retry": Retry(attempts=3)}, Failure(1, 3)),
            (Result.FAILED, False, {}, LastFailure("no such file")),
        ],
    )
    def test_says_why(self, result: Result, spec: dict[str, object], cause: Cause | None, *, cancelled: bool) -> None:
        ended = replace(outcome(result), message="no such file")
        verdict = judge(job(**spec), ended, cancelled=cancelled, crashed=False, chance=0.5)
        assert verdict.cause == cause

    def test_put_back_when_the_gate_is_shut(self) -> None:
        assert self.verdict(Result.KILLED) is Verb.REQUEUE

    def test_failures_are_counted_the_first_included(self) -> None:
        spec = {"retry": Retry(attempts=3, delay=5)}
        for failures, verb in ((0, Verb.RETRY), (1, Verb.RETRY), (2, Verb.FAIL)):
            verdict = judge(
                replace(job(**spec), failures=failures),
                outcome(Result.FAILED),
                cancelled=False,
                crashed=False,
                chance=0.5,
            )
            assert (verdict.verb, verdict.failures) == (verb, failures + 1)
            assert (verdict.delay is None) == (verb is Verb.FAIL)

    def test_interruption_follows_the_policy_of_the_job(self) -> None:
        assert self.verdict(Result.LOST, crashed=True) is Verb.REQUEUE
        assert self.verdict(Result.LOST, crashed=True, interrupted=Interrupted.FAIL) is Verb.FAIL

    def test_poison(self) -> None:
        sick = replace(job(), crashes=POISON - 1)
        verdict = judge(sick, outcome(Result.LOST), cancelled=False, crashed=True, chance=0.5)
        assert verdict.verb is Verb.FAIL
        assert verdict.cause == Poisonous(POISON)

    def test_a_power_cut_is_not_the_fault_of_the_job(self) -> None:
        sick = replace(job(), crashes=POISON - 1)
        verdict = judge(sick, outcome(Result.LOST), cancelled=False, crashed=False, chance=0.5)
        assert (verdict.verb, verdict.crashes) == (Verb.REQUEUE, POISON - 1)


class TestBackoff:
    def test_doubles_up_to_its_bound(self) -> None:
        retry = Retry(attempts=9, delay=10, factor=2, max_delay=60, jitter=0)
        assert [backoff(retry, n, 0.5) for n in range(1, 6)] == [10, 20, 40, 60, 60]

    @given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 1))
    def test_jitter_moves_it_by_no_more_than_it_says(self, failures: int, chance: float, jitter: float) -> None:
        retry = Retry(delay=1, factor=3, max_delay=100, jitter=jitter)
        plain = backoff(replace(retry, jitter=0), failures, chance)
        assert plain * (1 - jitter) - 1e-9 <= backoff(retry, failures, chance) <= plain * (1 + jitter) + 1e-9


def put(ready: ReadyQueue, new: Job) -> Job | None:
    """As the gate does: what is beyond the capacity leaves."""
    ready.put(new)
    return ready.drop(ready.worst) if len(ready) > ready.capacity and ready.worst else None


class TestReadyQueue:
    @given(st.lists(st.integers(0, 100), max_size=20), st.integers(1, 5))
    def test_keeps_the_best_in_order(self, priorities: list[int], capacity: int) -> None:
        ready = ReadyQueue(capacity)
        jobs = [job(i, priority=p) for i, p in enumerate(priorities)]
        for one in jobs:
            put(ready, one)
        assert list(ready) == sorted(jobs, key=lambda j: j.rank)[:capacity]

    @given(
        st.lists(
            st.tuples(st.integers(0, 30), st.integers(0, 4), st.sampled_from("abc"), st.sampled_from("ptxr")),
            max_size=120,
        ),
        st.integers(1, 8),
    )
    def test_is_a_sorted_list_whatever_happens(self, steps: list[tuple[int, int, str, str]], capacity: int) -> None:
        """``p``: a job comes, ``t``: the best is taken, ``x``: the best of that queue is, ``r``: one is removed."""
        ready, plain = ReadyQueue(capacity, lambda line: [QueuePlaces(line.queue)]), list[Job]()
        for id_, priority, queue, what in steps:
            mine = [one for one in plain if one.queue == queue]
            gone: Job | None = None
            match what:
                case "p" if all(one.id != id_ for one in plain):
                    new = job(id_, queue, priority)
                    plain = sorted([*plain, new], key=lambda one: one.rank)
                    gone = plain[-1] if len(plain) > capacity else None
                    assert put(ready, new) == gone
                case "t":
                    gone = plain[0] if plain else None
                    assert ready.take(lambda _: True) == gone
                case "x":
                    gone = mine[0] if mine else None
                    assert ready.take(lambda one, queue=queue: one.queue == queue) == gone  # type: ignore[misc]
                case "r":
                    gone = next((one for one in plain if one.id == id_), None)
                    assert ready.remove(id_) == gone
            plain = [one for one in plain if one is not gone]
            ready.sanity_check()
            assert list(ready) == plain
            mine = [one for one in plain if one.queue == queue]
            assert sorted(ready.ids(Lane(queue, "0"))) == sorted(one.id for one in mine)
            assert ready.takers(QueuePlaces(queue)) == len(mine)
            assert ready.worst_taker(QueuePlaces(queue)) == (mine[-1] if mine else None)
            assert ready.worst == (plain[-1] if plain else None)

    @pytest.mark.parametrize(("before", "after"), [(90, 10), (10, 90)])
    def test_a_job_may_come_back_with_another_priority(self, before: int, after: int) -> None:
        ready = ReadyQueue(3)
        ready.put(job(1, priority=50))
        ready.put(job(2, priority=before))
        ready.remove(2)
        ready.put(job(2, priority=after))
        ready.sanity_check()
        assert [one.id for one in ready] == ([1, 2] if after < 50 else [2, 1])
        first = ready.take(lambda _: True)
        assert first is not None
        assert first.id == (1 if after < 50 else 2)

    def test_keeps_nothing_of_those_that_left(self) -> None:
        ready = ReadyQueue(4)
        for id_ in range(1, 500):
            ready.put(job(id_, priority=id_ % 100))
            ready.remove(id_)
        ready.put(job(1000))
        assert len(ready._all._up._heap) < 50 and len(ready._all._down._heap) < 50

    def test_a_line_that_may_not_start_is_asked_about_once(self) -> None:
        ready = ReadyQueue(100)
        for id_ in range(1, 91):
            ready.put(job(id_, "abc"[id_ % 3]))
        asked: list[int] = []
        assert ready.take(lambda one: bool(asked.append(one.id))) is None  # type: ignore[func-returns-value]
        assert asked == [1, 2, 3]

    def test_the_same_job_is_there_once(self) -> None:
        ready = ReadyQueue(3)
        ready.put(job(1))
        ready.put(job(1))
        assert len(ready) == 1


class TestGates:
    def situation(self, workers: int, limits: dict[str, int], *running: Job, idle: int = 0) -> Situation:
        capacities = Capacities(Policy(workers, 1, limits))
        for one in running:
            capacities.occupy(one)
        return Situation(capacities, idle)

    def test_all_reasons_at_once(self) -> None:
        now = self.situation(2, {"etl": 1}, job(1, "etl"), job(2))
        waiting = replace(job(3, queue="etl"), state=State.HELD, due=10)
        found = reasons(waiting, replace(now, draining=True, steady=3))
        assert found == (Held(), NotDue(7), QueueFull("etl", 1, 1), AllBusy(2, 2), Draining())

    @pytest.mark.parametrize(("workers", "reason"), [(3, NoWorker(2, 3)), (2, AllBusy(2, 2)), (1, AllBusy(2, 1))])
    def test_a_place_without_a_worker_is_another_reason_than_no_place(self, workers: int, reason: object) -> None:
        assert reasons(job(3), self.situation(workers, {}, job(1), job(2))) == (reason,)

    def test_what_ends_gives_back_what_it_held_and_nothing_else(self) -> None:
        now = self.situation(9, {"etl": 2, "x": 1}, job(1, "etl"), job(2, "etl"), job(3, "x"), idle=1)
        capacities = now.capacities
        assert (full(capacities, "etl"), full(capacities, "x"), full(capacities, "free")) == (0, 0, None)
        capacities.vacate(job(1, "etl"))
        assert (capacities.full("etl"), capacities.full("x"), capacities.full("free")) == (False, True, False)
        assert reasons(job(4, "etl"), now) == reasons(job(4, "free"), now) == ()
        capacities.sanity_check({2: job(2, "etl"), 3: job(3, "x")})

    def test_a_limit_that_was_lowered_counts_what_runs(self) -> None:
        now = self.situation(9, {"etl": 2}, job(1, "etl"), job(2, "etl"), idle=1)
        now.capacities.policy = Policy(9, 1, {"etl": 1})
        assert full(now.capacities, "etl") == -1
        assert reasons(job(3, "etl"), now) == (QueueFull("etl", 2, 1),)

    def test_each_clock_for_its_own(self) -> None:
        now = replace(self.situation(9, {}, idle=1), wall=100, steady=5)
        assert not reasons(replace(job(), due=50, due_clock=Clock.WALL), now)
        assert not reasons(replace(job(), due=100, due_clock=Clock.WALL), now), "its moment is there"
        assert reasons(replace(job(), due=50, due_clock=Clock.STEADY), now)


class FakeStore:
    """The store as the gate sees it: which jobs are queued. A list, nothing of SQL."""

    def __init__(self, policy: Policy) -> None:
        self.jobs: dict[int, Job] = {}
        self.policy = policy
        self._lines: dict[int, int | None] = {}

    def fetch(self, asked: Fetch) -> tuple[list[Job], dict[Lane, Rank]]:
        mine = {
            lane: sorted(
                (j for j in self.ready() if j.lane == lane and j.id not in asked.known), key=lambda j: j.rank
            )
            for lane in asked.wanted
        }
        first = [j for lane, number in asked.wanted.items() for j in mine[lane][:number]]
        found = sorted(first, key=lambda j: j.rank)[: asked.most]
        left = {lane: [j.rank for j in jobs if j not in found] for lane, jobs in mine.items()}
        return found, {lane: min(ranks) for lane, ranks in left.items() if ranks}

    def lanes(self) -> dict[Lane, Rank]:
        ready = sorted(self.ready(), key=lambda j: j.rank, reverse=True)
        return {j.lane: j.rank for j in ready}

    def ready(self) -> list[Job]:
        return [j for j in self.jobs.values() if j.state is State.QUEUED and j.due is None and not j.parked]

    # -- what jobs need by name: the contract of store/waiting.py ------------------------------------

    def line(self, job: Job) -> int | None:
        if job.id not in self._lines:
            self._lines[job.id] = line_of(job.queue, job.owner, needs_of(job))
        return self._lines[job.id]

    def of_line(self, job: Job) -> list[Job]:
        """Those of its line that could be out, best first."""
        line = self.line(job)
        alive = (j for j in self.jobs.values() if j.state in (State.QUEUED, State.RUNNING) and j.due is None)
        return sorted((j for j in alive if line is not None and self.line(j) == line), key=lambda j: j.rank)

    def most(self, job: Job) -> int:
        return TIMES * at_once(needs_of(job), self.policy, self.policy.workers)

    def out(self, job: Job) -> int:
        return sum(not j.parked or j.waits is not None for j in self.of_line(job))

    def joins(self, new: Job) -> Job:
        """A job comes, or comes again: it is out, or behind its line."""
        late = self.line(new) is not None and self.out(new) >= self.most(new)
        ahead = [j for j in self.of_line(new) if j.state is State.QUEUED and not (j.parked and j.waits is None)]
        self.jobs[new.id] = new = replace(new, parked=late and all(j.rank < new.rank for j in ahead))
        return new

    def next_of(self, gone: Job) -> Job | None:
        """One of a line may be out no more: the next comes out."""
        behind = next((j for j in self.of_line(gone) if j.parked and j.waits is None), None)
        if behind is None:
            return None
        later = [j for j in self.of_line(gone) if j.state is State.QUEUED and j.rank > behind.rank]
        if self.out(gone) >= self.most(gone) and not any(not j.parked or j.waits is not None for j in later):
            return None
        self.jobs[behind.id] = came = replace(behind, parked=False)
        return came

    def kept(self, queue: str) -> list[Job]:
        """Those that are parked, in no order."""
        waiting = [j for j in self.jobs.values() if j.state is State.QUEUED and j.due is None]
        return [j for j in waiting if j.parked and j.queue == queue]

    def park(self, action: Park) -> None:
        for id_, (waits, _) in action.jobs.items():
            found = self.jobs[id_]
            if found.state is State.QUEUED and not found.parked and found.due is None:
                self.jobs[id_] = replace(found, parked=True, waits=waits, waited=True)

    def waiting(self) -> dict[str, int]:
        waiting = [j for j in self.jobs.values() if j.waits is not None and j.state is State.QUEUED]
        return {str(j.waits): j.id for j in sorted(waiting, key=lambda j: j.rank, reverse=True)}

    def piece(self, gate: Gate) -> tuple[dict[Lane, Rank], list[int]]:
        """The contract of daemon/stocktaking.py: what ``Gate.seen`` is told."""
        ready = {j.id for j in gate.ready}
        lanes: dict[Lane, Rank] = {}
        for one in sorted(self.ready(), key=lambda j: j.rank):
            if one.id not in ready:
                lanes.setdefault(one.lane, one.rank)
        gone = [
            id_
            for id_, place in gate.known.items()
            if (self.jobs[id_].state, (self.jobs[id_].queue, self.jobs[id_].rank)) != (State.QUEUED, place)
        ]
        return lanes, gone

    def recall(self, action: Recall) -> tuple[list[Job], dict[str, Back]]:
        back: list[Job] = []
        answer = {}
        for name, room in action.rooms.items():
            if room.dismiss is not None and self.jobs[room.dismiss.id].waits == name:
                self.jobs[room.dismiss.id] = replace(self.jobs[room.dismiss.id], parked=False, waits=None)
            free, number, first = room.free, 0, None
            while found := self._first(name, room.total):
                needed = _needed(found, name)
                first = Waiter(found.id, found.rank, found.lane, needed)
                if needed > free or number == room.most:
                    break
                back.append(replace(found, parked=False, waits=None))
                self.jobs[found.id] = back[-1]
                free, number, first = free - needed, number + 1, None
            answer[name] = Back(number, first)
        return back, answer

    def _first(self, name: str, total: int) -> Job | None:
        waiting = [j for j in self.jobs.values() if j.waits == name and j.state is State.QUEUED]
        return min((j for j in waiting if _needed(j, name) <= total), key=lambda j: j.rank, default=None)

    def by_hand(self, id_: int, verb: Verb, queue: str, turn: int) -> list[Job]:
        """What somebody does with a job; returns what may start because of it. Raises ``IllegalTransition``."""
        stored = self.jobs[id_]
        changed = replace(stored, state=step(stored.state, verb))
        match verb:
            case Verb.HOLD:
                self.jobs[id_] = changed
                return self.fill(changed)
            case Verb.MOVE:
                old = self._lines.pop(id_, None)
                self.jobs[id_] = replace(changed, queue=queue, state=State.HELD)
                left = [came for j in list(self.jobs.values()) if self.line(j) == old for came in self.fill(j)]
                changed = replace(changed, queue=queue)
                if changed.state is State.HELD:
                    self.jobs[id_] = changed
                    return left
                return left + self.join_again(changed)
            case Verb.PRIORITIZE:
                self.jobs[id_] = changed = replace(changed, turn=turn, parked=False, waits=None)
                return self.join_again(changed) if changed.state is State.QUEUED else []
            case Verb.RETRY_BY_HAND:
                return self.join_again(replace(changed, turn=turn, due=None, failures=0))
        return self.join_again(changed)

    def join_again(self, job: Job) -> list[Job]:
        """It is behind its line, unless it is not due, and those that have a place come out."""
        if job.due is not None:
            self.jobs[job.id] = replace(job, parked=False, waits=None)
            return []
        lined = self.line(job) is not None
        self.jobs[job.id] = job = replace(job, parked=lined, waits=None)
        return self.fill(job) if lined else [job]

    def fill(self, job: Job) -> list[Job]:
        out: list[Job] = []
        while (came := self.next_of(job)) is not None:
            out.append(came)
        return out


def _needed(job: Job, name: str) -> int:
    return next(amount for capacity, amount in needs_of(job) if capacity.name == name)


class Harness:
    """Does what the gate asks for, at once or later, and looks that it never asks for too much."""

    def __init__(self, workers: int, limits: dict[str, int], ready: int, **more: Any) -> None:
        self.policy = Policy(workers, ready, limits, tokens=TOKENS, **more)
        self.store = FakeStore(self.policy)
        self.gate = Gate(self.policy, {}, lambda: 0.5)
        self.pending: list[Action] = []
        self.on_worker: dict[str, Job] = {}
        self.ids = count(1)
        self.done: list[tuple[int, int]] = []
        self.by_offer = False
        self.offers: list[Job] = []  # in the store, and the gate has not been told yet
        self.changes: list[tuple[int, list[Job]]] = []  # by hand, likewise, each with what may start because of it
        self.stale = False  # the gate was told what holds no more, or will not believe an answer

    def do(self, actions: Iterable[Action]) -> None:
        self.pending += actions
        self.check()

    def check(self) -> None:
        self.gate.sanity_check()
        running = [j for j in self.store.jobs.values() if j.state is State.RUNNING]
        assert len(running) <= min(self.policy.workers, self.policy.limit or len(running))
        for queue, number in Counter(j.queue for j in running).items():
            assert number <= self.policy.limits.get(queue, number), f"over the limit of {queue}"
        for owner, number in Counter(j.owner for j in running).items():
            most = self.policy.users.get(owner, self.policy.user_limit)
            assert most is None or number <= most, f"over the limit of user {owner}"
        for lane, number in Counter(j.lane for j in running).items():
            assert number <= self.policy.user_limits.get(lane.queue, number), f"over the limit of {lane}"
        assert not any(j.parked for j in running), "it runs, and should wait"
        taken = Counter[Named]()
        for each in running:
            taken.update(dict(needs_of(each)))
        for capacity, amount in taken.items():
            assert amount <= capacity.total(self.policy), f"{amount} of {capacity} are taken"
        behind = [j for j in self.store.jobs.values() if j.parked and j.waits is None and j.state is State.QUEUED]
        for one in {self.store.line(j): j for j in behind}.values():
            assert self.store.out(one) >= self.store.most(one), f"what is parked behind {one} is forgotten"

    def check_nothing_stands_still(self) -> None:
        """When all is answered: what waits does so for a worker, a place, or its time."""
        assert not self.pending and not self.offers and not self.changes
        for waiting in self.store.jobs.values():
            if waiting.state is State.QUEUED and waiting.due is None and not self.gate.draining:
                kept = reasons(waiting, self.gate.situation()) or self.comes_before(waiting)
                assert kept, f"nothing keeps {waiting}"

    def comes_before(self, job: Job) -> bool:
        """Whether the one of which the gate says that it has to start before that one has to."""
        first = self.store.jobs.get(self.gate.in_front(job) or 0)
        if first is None or first.state is not State.QUEUED or first.due is not None:
            return False
        return first.queue == job.queue and first.rank < job.rank

    def settle_one(self) -> None:
        """The store and the workers answer the oldest request."""
        action = self.pending.pop(0)
        match action:
            case Fetch() | Park() | Recall():
                self.answer(action)
            case Start(new, _, strict):
                stored = self.store.jobs[new.id]
                kept = [j.rank for j in self.store.kept(stored.queue) if j.rank < stored.rank] if strict else []
                as_it_was = (stored.attempt, stored.queue, stored.parked) == (new.attempt - 1, new.queue, False)
                if stored.state is State.QUEUED and as_it_was and not kept:
                    self.store.jobs[new.id] = replace(stored, state=State.RUNNING, attempt=new.attempt)
                    self.do(self.gate.attempts.started(new.id))
                else:
                    self.refuse(new.id, min(kept, default=None))
                    if stored.state is State.QUEUED:
                        self.came(stored.lane, FIRST)
            case Run(new, worker):
                assert worker not in self.on_worker, "two jobs on one worker"
                assert new.id not in {j.id for j in self.on_worker.values()}, "a job runs twice at once"
                self.on_worker[worker] = new
            case Finish(old, result, verdict, _):
                stored = self.store.jobs[old.id]
                assert (stored.state, stored.attempt) == (State.RUNNING, result.attempt)
                self.done.append((old.id, result.attempt))
                due = 1 if verdict.delay is not None else None
                state = step(stored.state, verdict.verb)
                self.store.jobs[old.id] = replace(stored, state=state, due=due, failures=verdict.failures)
                if state is State.QUEUED and due is None:
                    for came in self.store.join_again(self.store.jobs[old.id]):
                        self.came(came.lane, came.rank)
                self.over(self.store.jobs[old.id])
            case Abandon(old):
                assert old.id not in {j.id for j in self.on_worker.values()}, "it runs, and is said never to have"
                never = Outcome(old.id, old.attempt, Result.KILLED)
                self.do(self.gate.ended(never, None))
            case Stop():
                pass

    def refuse(self, job: int, first: Rank | None) -> None:
        self.do(self.gate.start_refused(job, first))

    def answer(self, action: Fetch | Park | Recall) -> None:
        self.asked(action)()

    def asked(self, action: Fetch | Park | Recall) -> Callable[[], None]:
        """The store does it; what is returned tells the gate of that."""
        match action:
            case Fetch():
                found, rest = self.store.fetch(action)
                return lambda: self.do(self.gate.fetched(found, rest, action.number))
            case Park():
                self.store.park(action)
                return lambda: self.do(self.gate.parked(action.jobs))
            case Recall():
                jobs, back = self.store.recall(action)
                return lambda: self.do(self.gate.recalled(jobs, action, back))

    # -- what the gate is told of what comes of other things

    def came(self, lane: Lane, rank: Rank) -> None:
        self.do(self.gate.queued(lane, rank))

    def offered(self, job: Job) -> None:
        self.do(self.gate.offered([job]))

    def dropped(self, job: int) -> None:
        self.do(self.gate.dropped([job]))

    def look_again(self) -> None:
        self.do(self.gate.look_again(self.store.lanes()))

    def over(self, ended: Job) -> None:
        if ended.state is State.QUEUED and ended.due is None:
            return
        if (came := self.store.next_of(ended)) is not None:
            self.came(came.lane, came.rank)

    def come_due(self) -> None:
        """The time of all that are to be tried again has come."""
        for waiting in [j for j in self.store.jobs.values() if j.due is not None and not j.state.final]:
            self.store.jobs[waiting.id] = replace(waiting, due=None, state=State.HELD)  # it joins its line anew
            if not self.store.joins(replace(waiting, due=None)).parked:
                self.came(waiting.lane, waiting.rank)

    def take(self) -> None:
        """An inventory, at once. What was asked before is given up, and its answer comes too late: what it did is
        found by the next one."""
        self.stale = any(isinstance(action, Fetch | Park | Recall) for action in self.pending)
        asked = self.gate.asked
        self.do(self.gate.seen(*self.store.piece(self.gate)))
        self.do(self.gate.taken(Inventory(asked, self.store.waiting())))

    def restart(self, idle: Iterable[str]) -> None:
        """The daemon is gone, with all that was under way in it, and another one finds what the store has and what
        the workers do. Of an attempt that no worker knows nobody can say how it ended."""
        self.pending, self.offers, self.changes = [], [], []
        self.gate = Gate(self.policy, self.store.lanes(), lambda: 0.5)
        self.take()
        workers = {j.id: worker for worker, j in self.on_worker.items()}
        running = [j for j in self.store.jobs.values() if j.state is State.RUNNING]
        for old in running:
            self.gate.attempts.adopt(old, workers.get(old.id, f"lost {old.id}"))
        for old in running:
            if old.id not in workers:
                self.do(self.gate.ended(Outcome(old.id, old.attempt, Result.LOST), None))
        for worker in idle:
            if worker not in self.on_worker:
                self.do(self.gate.worker_idle(worker))

    def settle(self) -> None:
        """All is answered and told. There is an inventory (``daemon/stocktaking.py``) only after what needs one."""
        for turns in count():
            if not self.pending and not self.offers and not self.changes and not self.stale:
                break
            assert turns < 2000, f"it never comes to rest: {self.pending[:3]}"
            if self.pending:
                self.settle_one()
            elif self.changes:
                self.tell_change()
            elif self.offers:
                self.tell()
            else:
                self.take()

    def tell_change(self) -> None:
        """The gate hears of the oldest change by hand."""
        changed, came = self.changes.pop(0)
        self.dropped(changed)
        for each in came:
            self.came(each.lane, each.rank)

    def tell(self) -> None:
        """The gate hears of the oldest job that was added; questions asked later may have been answered before."""
        told = self.offers.pop(0)
        self.stale = self.stale or self.store.jobs[told.id] != told
        self.offered(told)

    def add(self, queue: str, priority: int, owner: int = 0, **needs: object) -> Job:
        new = self.store.joins(job(next(self.ids), queue, priority, owner, retry=Retry(attempts=2), **needs))
        if new.parked:
            pass
        elif self.by_offer:
            self.offers.append(new)
        else:
            self.came(new.lane, new.rank)
        return new

    def add_array(self, queue: str, priority: int, count: int, at_most: int) -> None:
        """One file with an array comes, whole."""
        jobs = []
        for place in range(count):
            new = job(next(self.ids), queue, priority, array=Element(place, place, count, at_most), retry=Retry(2))
            jobs.append(self.store.joins(replace(new, array=(jobs or [new])[0].id)))
        if self.by_offer:
            self.offers += [new for new in jobs if not new.parked]
        else:
            self.came(jobs[0].lane, jobs[0].rank)

    def finish(self, worker: str, result: Result) -> None:
        old = self.on_worker.pop(worker)
        self.do(self.gate.ended(Outcome(old.id, old.attempt, result), worker))
        self.do(self.gate.worker_idle(worker))


class TestGate:
    def test_priority_then_order_of_arrival(self) -> None:
        h = Harness(1, {}, 2)
        for priority in (10, 90, 50, 90):
            h.add("default", priority)
        h.do(h.gate.worker_idle("w"))
        order = []
        h.settle()
        while h.on_worker:
            order.append(h.on_worker["w"].id)
            h.finish("w", Result.SUCCEEDED)
            h.settle()
        assert order == [2, 4, 3, 1]

    def test_a_full_queue_does_not_stand_in_the_way_of_another(self) -> None:
        h = Harness(2, {"etl": 1}, 2)
        for _ in range(5):
            h.add("etl", 90)
        h.add("other", 1)
        h.do(h.gate.worker_idle("a"))
        h.do(h.gate.worker_idle("b"))
        h.settle()
        assert sorted(j.queue for j in h.on_worker.values()) == ["etl", "other"]

    def test_a_newcomer_pushes_a_worse_one_out_of_the_ready_queue(self) -> None:
        h = Harness(1, {}, 1)
        h.do(h.gate.worker_idle("w"))
        h.add("default", 50)
        h.settle()
        h.add("default", 50)
        h.settle()
        best = h.add("default", 99)
        h.settle()
        assert [j.id for j in h.gate.ready] == [best.id]

    def test_tokens_that_are_raised_count_at_once_also_for_who_could_never_start(self) -> None:
        h = Harness(1, {}, 2)
        h.do(h.gate.worker_idle("w"))
        h.do(h.gate.reload(replace(h.policy, tokens={**TOKENS, "yarn": 1})))
        waiting = h.add("default", 50, tokens={"yarn": 2})
        h.settle()
        assert h.store.jobs[waiting.id].waits == "token:yarn" and not h.on_worker
        h.do(h.gate.reload(h.policy))
        h.settle()
        assert h.on_worker["w"].id == waiting.id

    def test_a_user_at_the_limit_does_not_stand_in_the_way_of_another(self) -> None:
        h = Harness(2, {}, 2, user_limit=1)
        for _ in range(50):
            h.add("default", 90, owner=1)
        h.add("default", 10, owner=2)
        h.do(h.gate.worker_idle("a"))
        h.do(h.gate.worker_idle("b"))
        h.settle()
        assert sorted(j.owner for j in h.on_worker.values()) == ["1", "2"]

    def test_what_a_strict_queue_holds_back_does_not_stand_in_the_way_of_another(self) -> None:
        h = Harness(3, {}, 1, user_limit=1, strict=("x",))
        for worker in "abc":
            h.do(h.gate.worker_idle(worker))
        h.add("other", 50, owner=1)
        h.settle()
        h.add("x", 90, owner=1)  # kept, as its user has one running
        h.add("x", 80, owner=2)
        h.add("default", 10, owner=3)
        h.settle()
        assert sorted(j.queue for j in h.on_worker.values()) == ["default", "other"]

    @pytest.mark.parametrize("strict", [False, True])
    @pytest.mark.parametrize("later", [False, True])
    def test_in_a_strict_queue_one_that_is_short_holds_back_those_behind_it(
        self, *, strict: bool, later: bool
    ) -> None:
        h = Harness(3, {}, 2, strict=("x",) if strict else ())
        for worker in "abc":
            h.do(h.gate.worker_idle(worker))
        h.add("x", 50, locks=Locks(("a",)))
        h.settle()
        if later:  # the gate is not told of one that comes behind its line
            h.add("x", 60, locks=Locks(("a",)))
            h.add("x", 70, locks=Locks(("a",)))
        else:
            h.add("default", 60, locks=Locks(("a",)), owner=1)
            h.add("x", 60, locks=Locks(("a",)), owner=2)
        free = h.add("x", 40)
        h.add("default", 10)
        h.settle()
        assert h.store.jobs[free.id].state is (State.QUEUED if strict else State.RUNNING)
        assert any(one.queue == "default" for one in h.on_worker.values()), "no other queue is held back"
        while h.on_worker:
            h.finish(next(iter(h.on_worker)), Result.SUCCEEDED)
            h.settle()
        assert all(one.state is State.SUCCEEDED for one in h.store.jobs.values())

    @pytest.mark.parametrize("how", [Verb.HOLD, Verb.MOVE, Verb.PRIORITIZE, "cancel"])
    @pytest.mark.parametrize("needs", [{"locks": Locks(("a",))}, {}])
    def test_those_behind_go_on_when_it_does_not_wait_there_any_more(
        self, how: Verb | str, needs: dict[str, Any]
    ) -> None:
        """Whether it waits for something by name or, with no such ``needs``, for its user's only place."""
        h = Harness(3, {}, 2, users={"1": 2 if needs else 1}, strict=("x",))
        for worker in "abc":
            h.do(h.gate.worker_idle(worker))
        h.add("default", 50, owner=1, **needs)
        h.settle()
        kept, free = h.add("x", 60, owner=1, **needs), h.add("x", 40)
        h.settle()
        assert h.store.jobs[free.id].state is State.QUEUED and h.gate.in_front(free) == kept.id
        if isinstance(how, Verb):
            h.changes.append((kept.id, h.store.by_hand(kept.id, how, "default", 10**18)))
        else:
            h.store.jobs[kept.id] = replace(h.store.jobs[kept.id], state=State.CANCELLED)
            h.do(h.gate.cancel(kept.id))
        h.settle()
        assert h.store.jobs[free.id].state is State.RUNNING

    def test_what_was_promised_to_one_is_free_when_it_is_promised_to_one_that_comes_before(self) -> None:
        h = Harness(9, {}, 4)
        for worker in "abcde":
            h.do(h.gate.worker_idle(worker))
        for lock in "abcd":
            h.add("default", 99, locks=Locks((lock,)))
        h.settle()
        h.add("default", 60, locks=Locks(("a", "b")))
        h.settle()
        h.finish("a", Result.SUCCEEDED)  # now it waits for the second, and both are promised to it
        h.settle()
        kept = h.add("default", 50, locks=Locks(("a",)))
        h.settle()
        assert h.store.jobs[kept.id].state is State.QUEUED
        h.add("default", 90, locks=Locks(("c", "d")))
        h.settle()
        h.finish("c", Result.SUCCEEDED)  # the same of one that comes before
        h.settle()
        h.check_nothing_stands_still()
        assert h.store.jobs[kept.id].state is State.RUNNING

    def test_what_is_promised_to_one_that_needs_several_is_no_more_than_it_needs(self) -> None:
        h = Harness(5, {}, 4)
        for worker in "abcde":
            h.do(h.gate.worker_idle(worker))
        h.add("default", 99, locks=Locks(("a",)))
        h.add("default", 99, locks=Locks(("b",)))
        h.settle()
        h.add("default", 90, tokens={"yarn": 1}, locks=Locks(("a", "b")))
        h.settle()
        h.finish("a", Result.SUCCEEDED)  # now it waits for the second, and all is promised to it
        h.settle()
        small = h.add("default", 50, tokens={"yarn": 1})
        large = h.add("default", 50, tokens={"yarn": 2}, owner=1)
        h.settle()
        assert h.store.jobs[small.id].state is State.RUNNING, "two are left, and one of them is promised"
        assert reasons(large, h.gate.situation()) == (TokensPromised("yarn", 3),)
        h.finish("b", Result.SUCCEEDED)
        h.settle()
        assert h.store.jobs[3].state is State.RUNNING

    def test_lanes_that_cannot_start_are_not_asked_for(self) -> None:
        """However many there are, and until something changes for them."""
        h = Harness(8, {"etl": 1}, 8, user_limits={"default": 1})
        for owner in range(200):
            h.add("etl", 50, owner)
            h.add("default", 50, owner=7)
        for worker in "abcd":
            h.do(h.gate.worker_idle(worker))
        h.settle()
        assert len(h.on_worker) == 2
        h.add("x", 10, owner=9)
        asked = [action for action in h.pending if isinstance(action, Fetch)]
        assert [set(fetch.wanted) for fetch in asked] == [{Lane("x", "9")}]
        h.settle()
        (worker,) = (worker for worker, running in h.on_worker.items() if running.queue == "etl")
        h.finish(worker, Result.SUCCEEDED)
        asked = [action for action in h.pending if isinstance(action, Fetch)]
        assert [len(fetch.wanted) for fetch in asked] == [1], "one place came free"
        h.settle()
        assert sorted(running.queue for running in h.on_worker.values()) == ["default", "etl", "x"]

    def test_an_end_in_a_limited_queue_asks_for_that_queue_alone(self) -> None:
        """However many others may hold jobs that have not been seen."""
        h = Harness(2, {"etl": 1}, 2)
        for worker in "ab":
            h.do(h.gate.worker_idle(worker))
        h.add("etl", 90)
        h.settle()
        h.add("other", 50)
        h.settle()
        for queue in ("one", "two", "three"):
            h.add(queue, 50)
            h.settle()
        h.add("etl", 60)
        h.settle()
        (worker,) = (worker for worker, running in h.on_worker.items() if running.queue == "etl")
        h.finish(worker, Result.SUCCEEDED)
        asked: list[Fetch] = []
        while h.pending:
            asked += [action for action in h.pending if isinstance(action, Fetch)]
            h.settle_one()
        assert asked and all({lane.queue for lane in fetch.wanted} == {"etl"} for fetch in asked[:1])
        assert "etl" in {*(running.queue for running in h.on_worker.values()), *(j.queue for j in h.gate.ready)}

    def test_offered_jobs_start_without_being_asked_for(self) -> None:
        h = Harness(1, {}, 2)
        h.by_offer = True
        h.do(h.gate.worker_idle("w"))
        h.settle()
        h.add("default", 50)
        h.tell()
        assert [type(action) for action in h.pending] == [Start]

    def test_a_job_may_be_found_before_it_is_offered(self) -> None:
        """Questions are answered before what they share a transaction with is synced."""
        h = Harness(2, {}, 2)
        h.by_offer = True
        h.do(h.gate.worker_idle("a"))
        h.do(h.gate.worker_idle("b"))
        h.settle()
        h.do(h.gate.queued(Lane("default", "0"), FIRST))
        h.add("default", 50)
        while h.pending:
            h.settle_one()
        assert [job.id for job in h.on_worker.values()] == [1]
        h.tell()
        assert h.pending == []
        assert len(h.gate.ready) == 0
        assert len(h.gate.attempts) == 1

    def test_a_reload_forgets_no_queue(self) -> None:
        """Also one that is not, or no longer, in the configuration."""
        h = Harness(1, {}, 1)
        h.do(h.gate.worker_idle("w"))
        h.add("default", 50)
        h.settle()
        h.add("unheard-of", 50)
        h.settle()
        assert [job.queue for job in h.gate.ready] == ["unheard-of"]
        h.do(h.gate.reload(h.policy))
        h.settle()
        h.finish("w", Result.SUCCEEDED)
        h.settle()
        assert h.on_worker["w"].queue == "unheard-of"

    def test_who_is_about_to_start_is_stopped_when_it_has(self) -> None:
        h = Harness(1, {}, 1)
        h.do(h.gate.worker_idle("w"))
        h.add("default", 50)
        h.settle_one()  # the fetch
        assert h.gate.attempts.stop_all(3.0) == []
        (start,) = (action for action in h.pending if isinstance(action, Start))
        actions = h.gate.attempts.started(start.job.id)
        assert [type(action) for action in actions] == [Run, Stop]
        assert isinstance(actions[1], Stop)
        assert actions[1].grace == 3.0

    def test_an_offer_does_not_overtake_what_is_unseen(self) -> None:
        h = Harness(1, {}, 1)
        for _ in range(3):
            h.add("default", 50)
        h.by_offer = True
        h.add("default", 50)
        h.tell()
        h.do(h.gate.worker_idle("w"))
        order = []
        h.settle()
        while h.on_worker:
            order.append(h.on_worker["w"].id)
            h.finish("w", Result.SUCCEEDED)
            h.settle()
        assert order == [1, 2, 3, 4]

    def test_a_late_report_of_an_older_attempt_changes_nothing(self) -> None:
        h = Harness(1, {}, 1)
        h.add("default", 50)
        h.do(h.gate.worker_idle("w"))
        h.settle()
        assert h.gate.ended(Outcome(1, 7, Result.SUCCEEDED), "w") == []
        assert len(h.gate.attempts) == 1

    def test_a_dead_worker_keeps_its_place_until_nothing_of_its_job_is_left(self) -> None:
        h = Harness(1, {}, 1)
        h.add("default", 50)
        h.add("default", 50)
        h.do(h.gate.worker_idle("w"))
        h.settle()
        old = h.gate.worker_died("w")
        h.on_worker.clear()
        assert old is not None
        h.do(h.gate.worker_idle("x"))
        h.settle()
        assert not h.on_worker, "its successor started before the burial"
        h.do(h.gate.ended(Outcome(old.id, old.attempt, Result.LOST), None, crashed=True))
        h.settle()
        assert h.on_worker["x"].id == 2  # it was ready and waited for the place
        h.finish("x", Result.SUCCEEDED)
        h.settle()
        assert (h.on_worker["x"].id, h.on_worker["x"].attempt) == (1, 2)

    def test_a_worker_that_dies_between_decision_and_start(self) -> None:
        h = Harness(1, {}, 1)
        h.add("default", 50)
        h.do(h.gate.worker_idle("w"))
        h.settle_one()  # the fetch; the start waits for the store
        assert h.gate.worker_died("w") is None
        h.settle()
        assert h.store.jobs[1].state is State.QUEUED
        h.do(h.gate.worker_idle("x"))
        h.settle()
        assert h.on_worker["x"].attempt == 2

    def starting(self) -> tuple[Gate, Start]:
        """A gate that has decided on a start, which is not durable yet."""
        gate = Gate(Policy(1, 1, {}), {}, lambda: 0.5)
        assert gate.worker_idle("w") == []
        (start,) = gate.offered([job()])
        assert isinstance(start, Start)
        return gate, start

    @pytest.mark.parametrize(
        ("wishes", "grace", "verb"),
        [
            ("c", None, Verb.CANCEL),
            ("c5", 5.0, Verb.CANCEL),
            ("p3", 3.0, Verb.REQUEUE),
            ("p3 c", 3.0, Verb.CANCEL),
            ("p3 c5", 5.0, Verb.CANCEL),
            ("c5 p3", 3.0, Verb.CANCEL),
            ("c5 p", None, Verb.CANCEL),
            ("p3 p0", 0.0, Verb.REQUEUE),
        ],
    )
    @pytest.mark.parametrize("durable", [False, True])
    def test_what_is_wished_of_an_attempt(
        self, wishes: str, grace: float | None, verb: Verb, *, durable: bool
    ) -> None:
        """A cancelled one (``c``) is never put back (``p``), and the last word on the grace (seconds) counts."""
        gate, start = self.starting()
        actions = gate.attempts.started(1) if durable else []
        for wish in wishes.split():
            said = float(wish[1:]) if wish[1:] else None
            actions = gate.cancel(1, said) if wish[0] == "c" else gate.attempts.stop_all(said)
            assert bool(actions) is durable
        if not durable:
            assert gate.attempts.courses() == []
            run, *actions = gate.attempts.started(1)
            assert run == Run(start.job, "w")
        assert actions == [Stop(1, 1, "w", grace)]
        (course,) = gate.attempts.courses()
        assert course.wish is not None
        assert course.grace == (start.job.spec.kill_after if grace is None else grace)
        assert gate.attempts.cancelled(1) is (verb is Verb.CANCEL)
        finish, *_ = gate.ended(outcome(Result.KILLED), "w")
        assert isinstance(finish, Finish)
        assert finish.verdict.verb is verb

    def test_a_queue_is_put_back_once_also_what_is_about_to_start(self) -> None:
        gate, start = self.starting()
        assert gate.attempts.put_back("another") == []
        assert not gate.attempts.ending(1)
        assert gate.attempts.put_back("default") == []
        assert gate.attempts.ending(1)
        assert gate.attempts.started(1) == [Run(start.job, "w"), Stop(1, 1, "w", None)]
        assert gate.attempts.put_back("default") == []
        assert gate.cancel(1) == [Stop(1, 1, "w", None)]
        assert gate.attempts.put_back("default") == []
        finish, *_ = gate.ended(outcome(Result.KILLED), "w")
        assert isinstance(finish, Finish)
        assert finish.verdict.verb is Verb.CANCEL

    @pytest.mark.parametrize("cancelled", [False, True])
    def test_an_attempt_whose_worker_died_before_it_was_told_never_ran(self, *, cancelled: bool) -> None:
        gate, start = self.starting()
        assert gate.worker_died("w") is None
        assert gate.attempts.job_of("w") is None
        assert gate.attempts.starting
        if cancelled:
            assert gate.cancel(1) == []
        assert gate.attempts.stop_all() == []
        assert gate.ended(outcome(Result.KILLED), None) == [], "the store does not have its start"
        assert gate.attempts.started(1) == [Abandon(start.job)]
        assert 1 in gate.attempts and not gate.attempts.starting
        finish, *_ = gate.ended(outcome(Result.KILLED), None)
        assert isinstance(finish, Finish)
        assert finish.verdict.verb is (Verb.CANCEL if cancelled else Verb.REQUEUE)
        assert 1 not in gate.attempts

    @pytest.mark.parametrize("cancelled", [False, True])
    def test_what_was_cancelled_before_a_restart_still_is(self, *, cancelled: bool) -> None:
        gate = Gate(Policy(1, 1, {}), {}, lambda: 0.5)
        gate.attempts.adopt(replace(job(), state=State.RUNNING, attempt=1), "w", cancelled=cancelled)
        assert gate.attempts.cancelled(1) is cancelled
        finish, *_ = gate.ended(outcome(Result.KILLED), "w")
        assert isinstance(finish, Finish)
        assert finish.verdict.verb is (Verb.CANCEL if cancelled else Verb.REQUEUE)

    def test_only_the_worker_that_has_an_attempt_can_say_how_it_ended(self) -> None:
        gate, _ = self.starting()
        gate.attempts.started(1)
        assert gate.ended(outcome(Result.SUCCEEDED), "another") == []
        assert 1 in gate.attempts

    def test_what_is_ready_is_known_to_every_question(self) -> None:
        a, b = Lane("a", "0"), Lane("b", "0")
        gate = Gate(Policy(1, 9, {}), {a: FIRST, b: FIRST}, lambda: 0.5)
        (asked,) = gate.queued(a, FIRST)
        assert isinstance(asked, Fetch) and set(asked.wanted) == {a, b}
        (again,) = gate.fetched([job(1, "a"), job(2, "b"), job(3, "b")], {a: job(4).rank, b: job(5).rank})
        assert isinstance(again, Fetch)
        assert again.known == {1, 2, 3}

    @pytest.mark.parametrize("died", [False, True])
    def test_a_start_that_is_refused_frees_the_worker_if_it_lives(self, *, died: bool) -> None:
        gate, _ = self.starting()
        if died:
            gate.worker_died("w")
        gate.start_refused(1)
        assert 1 not in gate.attempts
        assert gate.situation().idle == (0 if died else 1)

    def test_what_ran_before_counts(self) -> None:
        h = Harness(2, {"etl": 1}, 2)
        old = replace(job(77, "etl"), state=State.RUNNING, attempt=1)
        h.store.jobs[77] = old
        h.gate.attempts.adopt(old, "old")
        h.add("etl", 99)
        h.do(h.gate.worker_idle("w"))
        h.settle()
        assert not h.on_worker
        h.do(h.gate.ended(Outcome(77, 1, Result.SUCCEEDED), "old"))
        h.settle()
        assert h.on_worker["w"].id == 1

    def test_draining_starts_nothing(self) -> None:
        h = Harness(1, {}, 1)
        h.gate.drain()
        h.add("default", 50)
        h.do(h.gate.worker_idle("w"))
        h.settle()
        assert not h.on_worker

    @pytest.mark.parametrize("more", [True, False])
    def test_a_lane_is_asked_again_if_it_has_more_and_only_then(self, more: bool) -> None:
        a, b = Lane("a", "0"), Lane("b", "0")
        gate = Gate(Policy(1, 2, {}), {a: FIRST, b: FIRST}, lambda: 0.5)
        (asked,) = gate.worker_idle("w")
        assert isinstance(asked, Fetch)
        assert set(asked.wanted) == {a, b}
        start, *rest = gate.fetched([job(1, "a"), job(2, "a")], {b: job(3).rank} if more else {})
        assert isinstance(start, Start)
        gate.attempts.started(1)
        _, start, *last = gate.ended(Outcome(1, 1, Result.SUCCEEDED), "w") + gate.worker_idle("w")
        assert isinstance(start, Start)
        wanted = {lane for fetch in (*rest, *last) if isinstance(fetch, Fetch) for lane in fetch.wanted}
        assert wanted == ({b} if more else set())


LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "limit": st.integers(1, 4),
        "user_limit": st.integers(1, 3),
        "users": st.dictionaries(st.sampled_from("012"), st.integers(1, 3)),
        "strict": st.just(("x",)),
        "fair": st.just(("default", "etl")),
        "weights": st.dictionaries(st.sampled_from("012"), st.sampled_from([0.5, 3.0])),
        "user_limits": st.dictionaries(st.sampled_from(["default", "etl"]), st.integers(1, 3)),
    },
)
"""What a policy may have beside the limits of queues."""


class GateMachine(RuleBasedStateMachine):
    """Anything may happen in any order, and answers may take as long as they like."""

    @initialize(workers=st.integers(1, 4), limit=st.integers(1, 3), ready=st.integers(1, 4), more=LIMITS)
    def begin(self, workers: int, limit: int, ready: int, more: dict[str, Any]) -> None:
        self.h = Harness(workers, {"etl": limit}, ready, **more)
        self.names = count(1)
        self.alive: set[str] = set()

    @rule(
        queue=st.sampled_from(["default", "etl", "x"]),
        priority=st.integers(0, 100),
        owner=st.integers(0, 2),
        offer=st.booleans(),
    )
    def add(self, queue: str, priority: int, owner: int, offer: bool) -> None:
        self.h.by_offer = offer
        self.h.add(queue, priority, owner)

    @rule(
        queue=st.sampled_from(["default", "etl"]),
        priority=st.integers(0, 100),
        count=st.integers(2, 6),
        at_most=st.integers(1, 3),
        offer=st.booleans(),
    )
    def add_array(self, queue: str, priority: int, count: int, at_most: int, offer: bool) -> None:
        self.h.by_offer = offer
        self.h.add_array(queue, priority, count, at_most)

    @rule(
        queue=st.sampled_from(["default", "etl", "x"]),
        priority=st.integers(0, 100),
        tokens=st.dictionaries(st.sampled_from(["yarn", "db"]), st.integers(1, 3), max_size=2),
        locks=st.dictionaries(st.sampled_from(["a", "b", "c"]), st.booleans(), max_size=3),
        key=st.sampled_from(["", "", "k"]),
        owner=st.sampled_from([0, 0, 1]),
        offer=st.booleans(),
    )
    def add_needy(
        self,
        queue: str,
        priority: int,
        tokens: dict[str, int],
        locks: dict[str, bool],
        key: str,
        owner: int,
        offer: bool,
    ) -> None:
        self.h.by_offer = offer
        tokens = {token: min(amount, TOKENS[token]) for token, amount in tokens.items()}
        alone, shared = ([lock for lock, shares in locks.items() if shares is kind] for kind in (False, True))
        self.h.add(queue, priority, owner, tokens=tokens, locks=Locks(tuple(alone), tuple(shared)), key=key)

    @rule()
    def come_due(self) -> None:
        self.h.come_due()

    @rule()
    def take(self) -> None:
        self.h.take()

    @rule()
    def settle(self) -> None:
        self.h.settle()
        self.h.check_nothing_stands_still()

    @rule()
    def restart(self) -> None:
        self.h.restart(sorted(self.alive))

    @precondition(lambda self: len(self.alive) < 6)
    @rule()
    def worker(self) -> None:
        name = f"w{next(self.names)}"
        self.alive.add(name)
        self.h.do(self.h.gate.worker_idle(name))

    @precondition(lambda self: self.h.pending)
    @rule()
    def answer(self) -> None:
        self.h.settle_one()

    @precondition(lambda self: self.h.offers)
    @rule()
    def tell(self) -> None:
        self.h.tell()

    @precondition(lambda self: self.h.on_worker)
    @rule(
        data=st.data(),
        result=st.sampled_from([Result.SUCCEEDED, Result.FAILED, Result.TIMED_OUT, Result.KILLED]),
    )
    def finish(self, data: st.DataObject, result: Result) -> None:
        self.h.finish(data.draw(st.sampled_from(sorted(self.h.on_worker))), result)

    @precondition(lambda self: self.alive)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.alive)))
        self.alive.discard(name)
        handed = any(isinstance(a, Run) and a.worker == name for a in self.h.pending)
        self.h.pending = [a for a in self.h.pending if not (isinstance(a, Run) and a.worker == name)]
        old = self.h.gate.worker_died(name)
        self.h.on_worker.pop(name, None)
        if old is not None:
            assert handed or self.h.store.jobs[old.id].state is State.RUNNING
            self.h.do(self.h.gate.ended(Outcome(old.id, old.attempt, Result.LOST), None, crashed=True))

    @precondition(lambda self: len(self.h.gate.attempts))
    @rule(grace=st.none() | st.integers(0, 9))
    def stop_all(self, grace: int | None) -> None:
        before = {course.job.id for course in self.h.gate.attempts.courses()}
        actions = self.h.gate.attempts.stop_all(grace)
        assert {action.job for action in actions if isinstance(action, Stop)} == before
        self.h.do(actions)

    @precondition(lambda self: len(self.h.gate.attempts))
    @rule(queue=st.sampled_from(["default", "etl", "x"]))
    def put_back(self, queue: str) -> None:
        courses = self.h.gate.attempts.courses()
        before = {course.job.id for course in courses if course.job.queue == queue and course.wish is None}
        actions = self.h.gate.attempts.put_back(queue)
        assert {action.job for action in actions if isinstance(action, Stop)} == before
        assert self.h.gate.attempts.put_back(queue) == [], "each is told once"
        self.h.do(actions)

    @precondition(lambda self: self.h.store.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.h.store.jobs)))
        stored = self.h.store.jobs[id_]
        if stored.state is State.QUEUED:
            self.h.store.jobs[id_] = replace(stored, state=State.CANCELLED)
        came = self.h.store.next_of(self.h.store.jobs[id_])  # in one transaction
        if stored.state is State.QUEUED and id_ not in self.h.gate.attempts:
            self.h.dropped(id_)
        else:
            self.h.do(self.h.gate.cancel(id_))
        if came is not None:
            self.h.came(came.lane, came.rank)

    @precondition(lambda self: self.h.store.jobs)
    @rule(
        data=st.data(),
        verb=st.sampled_from([Verb.HOLD, Verb.RELEASE, Verb.MOVE, Verb.PRIORITIZE, Verb.RETRY_BY_HAND]),
        queue=st.sampled_from(["default", "etl", "x"]),
        turn=st.integers(-100, 100),
    )
    def by_hand(self, data: st.DataObject, verb: Verb, queue: str, turn: int) -> None:
        states = {state for state, its in TRANSITIONS if its is verb}
        ids = [id_ for id_, j in sorted(self.h.store.jobs.items()) if j.state in states]
        if ids:
            id_ = data.draw(st.sampled_from(ids))
            self.h.changes.append((id_, self.h.store.by_hand(id_, verb, queue, turn)))

    @precondition(lambda self: self.h.changes)
    @rule()
    def tell_change(self) -> None:
        self.h.tell_change()

    @rule(data=st.data())
    def late_report(self, data: st.DataObject) -> None:
        if self.h.done:
            id_, attempt = data.draw(st.sampled_from(self.h.done))
            if id_ not in self.h.gate.attempts or attempt < self.h.store.jobs[id_].attempt:
                before = len(self.h.gate.attempts)
                assert self.h.gate.ended(Outcome(id_, attempt, Result.FAILED), None) == []
                assert len(self.h.gate.attempts) == before

    @rule(workers=st.integers(1, 4), limit=st.integers(1, 3), ready=st.integers(1, 4), more=LIMITS)
    def reload(self, workers: int, limit: int, ready: int, more: dict[str, Any]) -> None:
        # Limits may shrink below what runs; the harness must not count that as a start over the limit.
        running = [j for j in self.h.store.jobs.values() if j.state is State.RUNNING]
        if len(running) + len(self.h.pending) == 0:
            self.h.policy = Policy(workers, ready, {"etl": limit}, tokens=TOKENS, **more)
            self.h.store.policy = self.h.policy
            for each in list(self.h.store.jobs.values()):
                while self.h.store.next_of(each) is not None:
                    pass
            self.h.look_again()
            self.h.do(self.h.gate.reload(self.h.policy))

    @invariant()
    def sane(self) -> None:
        if hasattr(self, "h"):
            self.h.check()

    def teardown(self) -> None:
        """Whatever happened: with workers there and everything answered, every job comes to its end."""
        if not hasattr(self, "h"):
            return
        h = self.h
        name = "last"
        for id_ in [id_ for id_, j in h.store.jobs.items() if j.state is State.HELD]:
            h.changes.append((id_, h.store.by_hand(id_, Verb.RELEASE, "", 0)))
        h.do(h.gate.worker_idle(name))
        for _ in range(10 * len(h.store.jobs) + 50):
            h.settle()
            h.come_due()
            h.settle()
            h.check_nothing_stands_still()
            if not h.on_worker:
                break
            for worker in list(h.on_worker):
                h.finish(worker, Result.SUCCEEDED)
        h.settle()
        stuck = [j for j in h.store.jobs.values() if not j.state.final]
        assert not stuck, f"nobody runs {stuck}"


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


@pytest.mark.parametrize(
    ("interrupted", "expires", "repeatable"),
    [(Interrupted.RERUN, None, True), (Interrupted.FAIL, None, False), (Interrupted.RERUN, 1, False)],
)
def test_only_a_start_that_may_be_repeated_need_not_wait_for_the_disk(
    interrupted: Interrupted, expires: int | None, repeatable: bool
) -> None:
    job = Job(1, "default", 50, State.QUEUED, Spec(command="true", interrupted=interrupted), expires=expires)
    assert Start(job, "worker").repeatable is repeatable


def test_what_is_refused_a_start_is_looked_for_again() -> None:
    """The gate may hear late of a job that came: when it has run already, and was put back. Then it is not lost."""
    gate = Gate(Policy(1, 2, {}), {}, lambda: 0.5)
    assert gate.worker_idle("a") == []
    (start,) = gate.offered([job(1, "x", 50)])
    assert isinstance(start, Start)
    (fetch,) = gate.start_refused(1)
    assert isinstance(fetch, Fetch) and set(fetch.wanted) == {Lane("x", "0")}
    (again,) = gate.fetched([replace(job(1, "x", 50), attempt=1)], {})
    assert isinstance(again, Start) and again.job.attempt == 2
