"""What is said of jobs that wait: how many they are, how many of them could not start, and why one does not."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gate_env import GateEnv, until
from taskgated.core.gates import Situation, reasons
from taskgated.core.job import Job, Outcome, Result, Spec, State
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.store.contract import Addition, Filter
from taskgated.store.sqlite import SqliteStore
from taskgated.store.thread import StoreThread

MakeGate = Callable[..., GateEnv]


class TestNumber:
    """Of queued jobs; whatever comes together, and in whatever order the answers do."""

    @pytest.fixture
    def thread(self, tmp_path: Path) -> Iterator[StoreThread]:
        self.store = SqliteStore(tmp_path / "db")
        thread = StoreThread(self.store, lambda: None)
        thread.start()
        yield thread
        assert thread.stop(10)

    def together(self, thread: StoreThread, *verbs: tuple[Any, ...]) -> None:
        """In one transaction; starts are answered before the others, as the engine asks for it."""
        answered: list[object] = []
        for verb, *args in verbs:
            thread.submit(verb, *args, done=answered.append, early=verb == "start")
        thread.flush()

        def all_answered() -> bool:
            thread.deliver()
            return len(answered) == len(verbs)

        until(all_answered, "all is answered")

    def add(self, claim: str, number: int, **values: Any) -> tuple[Any, ...]:
        return "add", [Addition(claim, 0, [Spec(command="true", **values)] * number, "x", 0)]

    def test_is_what_the_store_has(self, thread: StoreThread) -> None:
        self.together(thread, self.add("a", 3))
        assert thread.queued == 3
        self.together(thread, self.add("b", 2), ("start", 1, 1, "{}"))
        assert thread.queued == 4
        self.together(thread, ("start", 2, 1, "{}"), self.add("c", 1), ("hold", 3), ("cancel", 4))
        assert thread.queued == 2
        self.together(thread, ("cancel", 3))
        assert thread.queued == 2, "a held job that is cancelled was not queued"
        self.together(
            thread,
            ("finish", Outcome(1, 1, Result.KILLED), Verdict(Verb.REQUEUE)),
            ("finish", Outcome(2, 1, Result.FAILED), Verdict(Verb.FAIL)),
        )
        assert thread.queued == 3

    def test_nor_do_held_jobs_that_expire_count(self, thread: StoreThread) -> None:
        self.together(thread, self.add("a", 2, expires=0.000001), ("hold", 1), ("hold", 2), self.add("b", 1))
        self.together(thread, ("wake", 2**60))
        assert thread.queued == 1

    def test_what_is_rolled_back_does_not_count(self, thread: StoreThread, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("taskgated.store.thread.RETRY", 0.01)
        commit, fails = self.store.commit, threading.Event()

        def refuse() -> None:
            if not fails.is_set():
                fails.set()
                assert thread.queued == 0
                raise OSError("the disk refuses")
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
    gate.until_running("first")
    text = gate.status()["text"]
    assert "running 1 of 2, 2 queued (2 blocked), oldest waits " in text
    assert text.endswith(", 5 held")
    assert gate.status()["counts"]["queued"] == 2


class TestReason:
    def test_there_is_no_worker(self) -> None:
        job = Job(id=1, queue="q", priority=50, state=State.QUEUED, spec=Spec(command="true"))
        for idle, running, kinds in ((0, 0, ["no worker"]), (0, 2, ["workers"]), (1, 1, []), (0, 1, ["no worker"])):
            now = Situation({}, {}, total=2, total_running=running, idle=idle)
            assert [reason.kind for reason in reasons(job, now)] == kinds

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
            assert reason["kind"] == "no worker"
            assert "0 of 1 run jobs" in reason["text"]
        finally:
            os.kill(server, signal.SIGCONT)
        gate.until_over(1)
