"""What is said of jobs that wait: how many they are, how many of them could not start, and why one does not."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from taskgated.core.capacity import Capacities, Policy, Situation, reasons
from taskgated.core.job import Job, Outcome, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.state import State
from taskgated.errors import DiskTrouble
from taskgated.store.client import StoreClient
from taskgated.store.contract import Addition, Filter, Store
from taskgated.store.placement import claimed, here
from taskgated.store.sqlite.store import SqliteStore
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]


def hold(job: int) -> Callable[[Store], object]:
    return lambda store: store.hold(job)


def cancel(job: int) -> Callable[[Store], object]:
    return lambda store: store.cancel(job)


class TestNumber:
    """Of queued jobs; whatever comes together, and in whatever order the answers do."""

    @pytest.fixture
    def thread(self, tmp_path: Path) -> Iterator[StoreClient]:
        self.store = SqliteStore(tmp_path / "db")
        self.starts: list[Callable[[Store], object]] = []
        thread = StoreClient(self.store, lambda: None)
        thread.start()
        yield thread
        assert thread.stop(10)

    def together(self, thread: StoreClient, *verbs: Callable[[Store], object]) -> None:
        """In one transaction; starts are answered before the others, as the conductor asks for it."""
        answered: list[object] = []
        for verb in verbs:
            thread.submit(verb, answered.append, early=verb in self.starts)
        thread.flush()

        def all_answered() -> bool:
            thread.deliver()
            return len(answered) == len(verbs)

        until(all_answered, "all is answered")

    def start(self, job: int) -> Callable[[Store], object]:
        def verb(store: Store) -> int:
            return store.start(job, 1, here("{}"))

        self.starts.append(verb)
        return verb

    def add(self, claim: str, number: int, **values: Any) -> Callable[[Store], object]:
        return lambda store: store.add(
            [Addition(claimed(claim), 0, [Spec(command="true", **values)] * number, "x", "root", 0)]
        )

    def test_is_what_the_store_has(self, thread: StoreClient) -> None:
        self.together(thread, self.add("a", 3))
        assert thread.queued == 3
        self.together(thread, self.add("b", 2), self.start(1))
        assert thread.queued == 4
        self.together(
            thread, self.start(2), self.add("c", 1), lambda store: store.hold(3), lambda store: store.cancel(4)
        )
        assert thread.queued == 2
        self.together(thread, cancel(3))
        assert thread.queued == 2, "a held job that is cancelled was not queued"
        self.together(
            thread,
            lambda store: store.finish(Outcome(1, 1, Result.KILLED), Verdict(Verb.REQUEUE)),
            lambda store: store.finish(Outcome(2, 1, Result.FAILED), Verdict(Verb.FAIL)),
        )
        assert thread.queued == 3

    def test_nor_do_held_jobs_that_expire_count(self, thread: StoreClient) -> None:
        self.together(
            thread,
            self.add("a", 2, expires=0.000001),
            lambda store: store.hold(1),
            lambda store: store.hold(2),
            self.add("b", 1),
        )
        self.together(thread, lambda store: store.wake())
        assert thread.queued == 1

    def test_what_is_rolled_back_does_not_count(self, thread: StoreClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskgated.store.thread.RETRY", 0.01)
        commit, fails = self.store.commit, threading.Event()

        def refuse() -> None:
            if not fails.is_set():
                fails.set()
                assert thread.queued == 0
                raise DiskTrouble("the disk refuses")
            commit()

        monkeypatch.setattr(self.store, "commit", refuse)
        self.together(thread, self.add("a", 3))
        assert thread.queued == 3


def test_the_numbers_of_the_status_line_agree(make_gate: MakeGate) -> None:
    """Those that are blocked are some of those that are queued; what is held is neither."""
    gate = make_gate("workers: 2\nqueues: {full: {limit: 1}}\n")
    gate.drop("a.yaml", "name: first\nqueue: full\ncommand: sleep 600\n")
    gate.until_running("first")
    gate.drop("b.yaml", "[{name: w, queue: full, command: 'true'}, {name: x, queue: full, command: 'true'}]")
    gate.drop("c.yaml", "- {name: h, queue: full, command: 'true'}\n" * 5)
    until(lambda: len(gate.jobs()) == 8, "all are taken in")
    gate.kill_all()
    store = SqliteStore(gate.layout.database)
    for job in store.list(0, 100, Filter()).records:
        if job.name == "h":
            store.hold(job.id)
    store.close()
    gate.start()

    def runs_again() -> bool:  # not still from before: then it is put back first
        first = next(job for job in gate.jobs() if job["name"] == "first")
        return (first["state"], first["attempt"]) == ("running", 2)

    until(runs_again, "the first one runs again")
    text = gate.status()["text"]
    assert "running 1 of 2, 2 queued (2 blocked), oldest waits " in text
    assert text.endswith(", 5 held")
    assert gate.status()["counts"]["queued"] == 2


class TestReason:
    def test_there_is_no_worker(self) -> None:
        job = Job(id=1, queue="q", priority=50, state=State.QUEUED, spec=Spec(command="true"))
        for idle, running, kinds in ((0, 0, ["workers"]), (0, 2, ["limit"]), (1, 1, []), (0, 1, ["workers"])):
            capacities = Capacities(Policy(2, 2, {}))
            for id_ in range(running):
                capacities.occupy(replace(job, id=id_ + 2))
            found = reasons(job, Situation(capacities, idle))
            assert [reason.kind for reason in found] == kinds

    def test_is_said(self, make_gate: MakeGate) -> None:
        gate = make_gate("workers: 1\n")
        server = gate.server()
        os.kill(server, signal.SIGSTOP)
        try:
            os.kill(gate.status()["workers"][0]["pid"], signal.SIGKILL)
            until(lambda: not gate.status()["workers"], "the worker is gone, and nobody makes another")
            gate.drop("a.yaml", "name: waits\ncommand: 'true'\n")
            job = until(lambda: gate.job("waits"), "it is taken in")
            (reason,) = gate.call("Show", id=job["id"])["waits_for"]
            assert reason["kind"] == "workers"
            assert "0 of 1 run jobs" in reason["text"]
        finally:
            os.kill(server, signal.SIGCONT)
        gate.until_over(1)
