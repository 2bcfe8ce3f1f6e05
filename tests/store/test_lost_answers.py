"""A gate over a store whose answers are lost on their way: each job is there once, runs once, and counts once."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from taskgated.core.after import Condition
from taskgated.core.attempts import Finish, Run, Start
from taskgated.core.capacity import Policy
from taskgated.core.fetch import Fetch
from taskgated.core.gate import Action, Gate
from taskgated.core.job import Interrupted, Job, Outcome, Result
from taskgated.core.order import FIRST
from taskgated.errors import IllegalTransition
from taskgated.store import thread
from taskgated.store.after import Resolved
from taskgated.store.answer import Answer
from taskgated.store.client import StoreClient
from taskgated.store.contract import Added, Ended, Filter
from taskgated.store.placement import here
from tests.store.conformance.faults import Fault, FaultyStore
from tests.store.jobs import addition, spec

WORKERS = 3
LIMIT = 2


class Scene:
    """A gate, and the thread of a store, as the daemon has them. ``faults``: of the tries of groups, again and again,
    with one that goes well in between."""

    def __init__(self, directory: Path, faults: list[Fault]) -> None:
        self.woken = threading.Event()
        self.store = FaultyStore(directory / "db", [*faults, Fault.NOTHING])
        self.client = StoreClient(self.store, self.woken.set)
        self.client.resolved.add(self.resolved)
        self.client.start()
        self.gate = Gate(Policy(WORKERS, 4, {"default": LIMIT}), {}, lambda: 0.5)
        self.claims = 0
        self.waiting = 0
        """Answers that are still to come."""
        self.added: list[int] = []
        self.running: dict[int, tuple[str, Job]] = {}
        self.ran = Counter[tuple[int, int]]()
        self.over = Counter[int]()

    def asked(self) -> None:
        self.waiting += 1

    def settle(self) -> None:
        """All answers come."""
        self.client.flush()
        while self.waiting:
            assert self.client.alive, self.client.ended
            self.woken.wait(1)
            self.woken.clear()
            self.client.deliver()
            self.client.flush()
            self.gate.sanity_check()
            assert len(self.running) <= LIMIT

    def close(self) -> None:
        assert self.client.stop(30)

    # -- what happens ------------------------------------------------------------------------------

    def add(self, chain: bool, repeatable: bool) -> None:
        """Two jobs; ``chain``: the second runs after the first."""
        self.claims += 1
        policy = Interrupted.RERUN if repeatable else Interrupted.FAIL
        first = spec(name="first", interrupted=policy)
        second = spec(after=(Condition("first", part=0),) if chain else (), interrupted=policy)
        file = addition(f"c{self.claims}", first, second)
        self.asked()
        self.client.submit(lambda store: store.add([file]), self.came)

    def came(self, answer: Answer[Added]) -> None:
        self.waiting -= 1
        self.added += answer.get().jobs
        for lane, rank in answer.get().best.items():
            self.do(self.gate.queued(lane, rank))

    def end(self, result: Result) -> None:
        """The first that runs ends."""
        if self.running:
            worker, job = self.running.pop(min(self.running))
            self.do(self.gate.ended(Outcome(job.id, job.attempt, result, exit_code=0), worker))
            self.do(self.gate.worker_idle(worker))

    def cancel(self, number: int) -> None:
        if not self.added:
            return
        job = self.added[number % len(self.added)]

        def cancelled(answer: Answer[Ended]) -> None:
            self.waiting -= 1
            if answer.error is None and answer.get().state.final:
                self.over[job] += 1
                self.do(self.gate.cancel(job))
            else:
                assert answer.error is None or isinstance(answer.error, IllegalTransition)

        if job not in self.running:
            self.asked()
            self.client.submit(lambda store: store.cancel(job), cancelled)

    def resolved(self, answer: Answer[Resolved]) -> None:
        for over in answer.get().over:
            self.over[over.job] += 1
            self.gate.forget(over.job)
        for lane, rank in answer.get().best.items():
            self.do(self.gate.queued(lane, rank))

    # -- what the gate wants -----------------------------------------------------------------------

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Fetch():
                    self.fetch(action)
                case Start():
                    self.start(action)
                case Run(job, worker):
                    self.running[job.id] = worker, job
                    self.ran[job.id, job.attempt] += 1
                case Finish():
                    self.finish(action)
                case _:
                    raise AssertionError(action)

    def fetch(self, asked: Fetch) -> None:
        def found(answer: Answer) -> None:  # type: ignore[type-arg]
            self.waiting -= 1
            self.do(self.gate.fetched(answer.get().jobs, answer.get().rest))

        self.asked()
        self.client.ask(lambda store: store.fetch(asked.wanted, asked.known, asked.most), found, early=True)

    def start(self, start: Start) -> None:
        job = start.job

        def started(answer: Answer[int]) -> None:
            self.waiting -= 1
            if answer.error is None:
                self.do(list(self.gate.attempts.started(job.id)))
            else:
                assert isinstance(answer.error, IllegalTransition)
                self.do(self.gate.start_refused(job.id))

        self.asked()
        self.client.submit(
            lambda store: store.start(job.id, job.attempt, here("{}"), job.queue), started, early=start.repeatable
        )

    def finish(self, finish: Finish) -> None:
        def finished(answer: Answer[Ended]) -> None:
            self.waiting -= 1
            if answer.get().state.final:
                self.over[finish.job.id] += 1
            else:
                self.do(self.gate.queued(finish.job.lane, FIRST))

        self.asked()
        self.client.submit(lambda store: store.finish(finish.outcome, finish.verdict), finished)


STEPS = st.one_of(
    st.tuples(st.just("add"), st.booleans(), st.booleans()),
    st.tuples(st.just("end"), st.sampled_from([Result.SUCCEEDED, Result.SUCCEEDED, Result.FAILED, Result.LOST])),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("settle")),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, max_size=30), st.lists(st.sampled_from(Fault), max_size=12))
def test_each_job_runs_once_whatever_answer_is_lost(steps: list[tuple], faults: list[Fault]) -> None:  # type: ignore[type-arg]
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(thread, "RETRY", 0)
        scene = Scene(Path(directory), faults)
        for worker in range(WORKERS):
            scene.do(scene.gate.worker_idle(f"w{worker}"))
        for name, *values in steps:
            getattr(scene, name)(*values)
        scene.settle()
        while scene.running:
            scene.end(Result.SUCCEEDED)
            scene.settle()
        records = scene.client.question(lambda store: store.list(0, 999, Filter())).records
        listed = {record.id: record for record in records}
        assert sorted(listed) == sorted(scene.added), "each is there once"
        assert len(listed) == 2 * scene.claims
        assert all(record.state.final for record in listed.values()), "and none was forgotten"
        assert scene.over == Counter(list(listed)), "each has ended once"
        assert set(scene.ran.values()) <= {1}, "no attempt ran twice"
        attempts = Counter(job for job, _ in scene.ran)
        assert attempts == {id_: record.attempt for id_, record in listed.items() if record.attempt}
        assert scene.client.queued == 0
        scene.close()
