"""The gate's decisions: by example, and under random events that must never break an invariant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from taskgated.core.gate import Action, Fetch, Finish, Gate, Policy, Run, Start, Stop
from taskgated.core.gates import Situation, reasons
from taskgated.core.job import FINAL, Clock, Interrupted, Job, Outcome, Result, Retry, Spec, State
from taskgated.core.lifecycle import POISON, TRANSITIONS, Verb, diagram, judge, step
from taskgated.core.ready import ReadyQueue
from taskgated.core.retry import backoff
from taskgated.errors import IllegalTransition


def job(id: int = 1, queue: str = "default", priority: int = 50, **spec: object) -> Job:
    return Job(id, queue, priority, State.QUEUED, Spec(command="true", queue=queue, priority=priority, **spec))  # type: ignore[arg-type]


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

    def test_what_is_over_stays_over(self) -> None:
        assert not [pair for pair in TRANSITIONS if pair[0] in FINAL]

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
        assert "poison" in verdict.reason

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


class TestReadyQueue:
    @given(st.lists(st.integers(0, 100), max_size=20), st.integers(1, 5))
    def test_keeps_the_best_in_order(self, priorities: list[int], capacity: int) -> None:
        ready = ReadyQueue(capacity)
        jobs = [job(i, priority=p) for i, p in enumerate(priorities)]
        for one in jobs:
            ready.put(one)
        assert list(ready) == sorted(jobs, key=lambda j: j.rank)[:capacity]

    def test_the_same_job_is_there_once(self) -> None:
        ready = ReadyQueue(3)
        ready.put(job(1))
        ready.put(job(1))
        assert len(ready) == 1


class TestGates:
    situation = Situation(limits={"etl": 1}, running={"etl": 1}, total=2, total_running=2, draining=True)

    def test_all_reasons_at_once(self) -> None:
        waiting = replace(job(queue="etl"), state=State.HELD, due=10)
        kinds = [r.kind for r in reasons(waiting, self.situation)]
        assert kinds == ["held", "time", "queue limit", "workers", "stopping"]

    def test_each_clock_for_its_own(self) -> None:
        now = replace(self.situation, limits={}, total=9, idle=1, draining=False, wall=100, steady=5)
        assert not reasons(replace(job(), due=50, due_clock=Clock.WALL), now)
        assert reasons(replace(job(), due=50, due_clock=Clock.STEADY), now)


class FakeStore:
    """The store as the gate sees it: which jobs are queued. A list, nothing of SQL."""

    def __init__(self) -> None:
        self.jobs: dict[int, Job] = {}

    def fetch(self, wanted: dict[str, int]) -> list[Job]:
        out: list[Job] = []
        for queue, number in wanted.items():
            mine = [j for j in self.jobs.values() if j.queue == queue and j.state is State.QUEUED and j.due is None]
            out += sorted(mine, key=lambda j: j.rank)[:number]
        return out


class Harness:
    """Does what the gate asks for, at once or later, and looks that it never asks for too much."""

    def __init__(self, workers: int, limits: dict[str, int], ready: int) -> None:
        self.store = FakeStore()
        self.policy = Policy(workers, ready, limits)
        self.gate = Gate(self.policy, [], lambda: 0.5)
        self.pending: list[Action] = []
        self.on_worker: dict[str, Job] = {}
        self.ids = count(1)
        self.done: list[tuple[int, int]] = []
        self.by_offer = False
        self.offers: list[Job] = []  # in the store, and the gate has not been told yet

    def do(self, actions: Iterable[Action]) -> None:
        self.pending += actions
        self.check()

    def check(self) -> None:
        self.gate.sanity_check()
        running = [j for j in self.store.jobs.values() if j.state is State.RUNNING]
        assert len(running) <= self.policy.workers
        for queue, number in Counter(j.queue for j in running).items():
            assert number <= self.policy.limits.get(queue, number), f"over the limit of {queue}"

    def settle_one(self) -> None:
        """The store and the workers answer the oldest request."""
        action = self.pending.pop(0)
        match action:
            case Fetch(wanted, known):
                found = [j for j in self.store.fetch(dict(wanted)) if j.id not in known]
                self.do(self.gate.fetched(found, action))
            case Start(new, _):
                stored = self.store.jobs[new.id]
                if stored.state is State.QUEUED and stored.attempt == new.attempt - 1:
                    self.store.jobs[new.id] = replace(stored, state=State.RUNNING, attempt=new.attempt)
                    self.do(self.gate.started(new.id))
                else:
                    self.do(self.gate.start_refused(new.id))
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
                    self.do(self.gate.queued(old.queue, old.priority))
            case Stop():
                pass

    def settle(self) -> None:
        while self.pending or self.offers:
            if self.pending:
                self.settle_one()
            else:
                self.tell()

    def tell(self) -> None:
        """The gate hears of the oldest job that was added; questions asked later may have been answered before."""
        self.do(self.gate.offered([self.offers.pop(0)]))

    def add(self, queue: str, priority: int) -> Job:
        new = job(next(self.ids), queue, priority, retry=Retry(attempts=2))
        self.store.jobs[new.id] = new
        if self.by_offer:
            self.offers.append(new)
        else:
            self.do(self.gate.queued(queue, priority))
        return new

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
        assert asked and all(set(fetch.wanted) == {"etl"} for fetch in asked[:1])
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
        h.do(h.gate.queued("default", 50))
        h.add("default", 50)
        while h.pending:
            h.settle_one()
        assert [job.id for job in h.on_worker.values()] == [1]
        h.tell()
        assert h.pending == []
        assert len(h.gate.ready) == 0
        assert h.gate.running == 1

    def test_a_reload_forgets_no_queue(self) -> None:
        """Also one that is not, or no longer, in the configuration."""
        h = Harness(1, {}, 1)
        h.do(h.gate.worker_idle("w"))
        h.add("default", 50)
        h.settle()
        h.add("unheard-of", 50)
        h.settle()
        assert [job.queue for job in h.gate.ready] == ["unheard-of"]
        h.do(h.gate.reload(h.policy, ["default"]))
        h.settle()
        h.finish("w", Result.SUCCEEDED)
        h.settle()
        assert h.on_worker["w"].queue == "unheard-of"

    def test_who_is_about_to_start_is_stopped_when_it_has(self) -> None:
        h = Harness(1, {}, 1)
        h.do(h.gate.worker_idle("w"))
        h.add("default", 50)
        h.settle_one()  # the fetch
        assert h.gate.stop_all(3.0) == []
        (start,) = (action for action in h.pending if isinstance(action, Start))
        actions = h.gate.started(start.job.id)
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
        assert h.gate.running == 1

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

    def test_what_ran_before_counts(self) -> None:
        h = Harness(2, {"etl": 1}, 2)
        old = replace(job(77, "etl"), state=State.RUNNING, attempt=1)
        h.store.jobs[77] = old
        h.gate.adopt(old, "old")
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

    @pytest.mark.parametrize("whole", [True, False])
    def test_an_answer_that_was_cut_says_nothing_of_what_is_not_in_it(self, whole: bool) -> None:
        """There are more queues than anybody asks for one by one: what was left out is asked for again."""
        gate = Gate(Policy(1, 2, {}), ["a", "b"], lambda: 0.5)
        (asked,) = gate.worker_idle("w")
        assert isinstance(asked, Fetch)
        assert set(asked.wanted) == {"a", "b"}
        start, *rest = gate.fetched([job(1, "a"), job(2, "a")], asked, whole=whole)
        assert isinstance(start, Start)
        gate.started(1)
        _, start, *more = gate.ended(Outcome(1, 1, Result.SUCCEEDED), "w") + gate.worker_idle("w")
        assert isinstance(start, Start)
        wanted = {queue for fetch in (*rest, *more) if isinstance(fetch, Fetch) for queue in fetch.wanted}
        assert ("b" in wanted) is not whole


class GateMachine(RuleBasedStateMachine):
    """Anything may happen in any order, and answers may take as long as they like."""

    @initialize(workers=st.integers(1, 4), limit=st.integers(1, 3), ready=st.integers(1, 4))
    def begin(self, workers: int, limit: int, ready: int) -> None:
        self.h = Harness(workers, {"etl": limit}, ready)
        self.names = count(1)
        self.alive: set[str] = set()

    @rule(queue=st.sampled_from(["default", "etl", "x"]), priority=st.integers(0, 100), offer=st.booleans())
    def add(self, queue: str, priority: int, offer: bool) -> None:
        self.h.by_offer = offer
        self.h.add(queue, priority)

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

    @precondition(lambda self: self.h.store.jobs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.h.store.jobs)))
        stored = self.h.store.jobs[id_]
        if stored.state is State.QUEUED:
            self.h.store.jobs[id_] = replace(stored, state=State.CANCELLED)
        self.h.do(self.h.gate.cancel(id_))

    @rule(data=st.data())
    def late_report(self, data: st.DataObject) -> None:
        if self.h.done:
            id_, attempt = data.draw(st.sampled_from(self.h.done))
            if not self.h.gate.runs(id_) or attempt < self.h.store.jobs[id_].attempt:
                before = self.h.gate.running
                assert self.h.gate.ended(Outcome(id_, attempt, Result.FAILED), None) == []
                assert self.h.gate.running == before

    @rule(workers=st.integers(1, 4), limit=st.integers(1, 3), ready=st.integers(1, 4))
    def reload(self, workers: int, limit: int, ready: int) -> None:
        # Limits may shrink below what runs; the harness must not count that as a start over the limit.
        running = [j for j in self.h.store.jobs.values() if j.state is State.RUNNING]
        if len(running) + len(self.h.pending) == 0:
            self.h.policy = Policy(workers, ready, {"etl": limit})
            self.h.do(self.h.gate.reload(self.h.policy, ["default", "etl", "x"]))

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
        h.do(h.gate.worker_idle(name))
        for _ in range(10 * len(h.store.jobs) + 50):
            h.settle()
            if not h.on_worker:
                break
            for worker in list(h.on_worker):
                h.finish(worker, Result.SUCCEEDED)
        h.settle()
        stuck = [j for j in h.store.jobs.values() if not j.state.final and j.due is None]
        assert not stuck, f"nobody runs {stuck}"


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
