"""Who is given up, and who is only named: the rules, without processes. With them: ``test_stuck``."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from taskgated.core.capacity import Policy
from taskgated.core.gate import Gate
from taskgated.core.job import Job, Outcome, Result, Spec
from taskgated.core.state import State
from taskgated.daemon.roster import Worker
from taskgated.daemon.vigil import MARGIN, PATIENCE, Vigil
from taskgated.daemon.workforce import Workforce
from taskgated.host.listeners import Listeners
from taskgated.host.processes import ProcessId
from taskgated.protocol.messages import Identity
from taskgated.store.placement import here

EVERY = 10.0


class Scene:
    """One worker, and a vigil over it. What is done is kept in ``done``."""

    def __init__(self, *, answers: bool = True) -> None:
        self.gate = Gate(Policy(1, 1, {}), {}, lambda: 0.5)
        self.said: list[str] = []
        self.buried: list[Identity] = []
        self.pings = 0
        self.left = inf  # until the deadline of the job
        connection: Any = SimpleNamespace(closed=False, unread=False, hang_up=self.hang_up)
        self.worker = Worker(connection, Identity(ProcessId(2**22 + 1, 1, "boot")), here(""), answers=answers)
        journal: Any = SimpleNamespace(event=lambda event, text, *args, **fields: self.said.append(text))
        conductor: Any = SimpleNamespace(do=list, untold=Listeners[Worker, Outcome]())
        self.roster: Any = SimpleNamespace(workers={self.worker.key: self.worker}, ping=self.ping)
        supervisor: Any = SimpleNamespace(
            buried=Listeners[Identity, int](),
            held_up=Listeners[Identity, Sequence[str]](),
            server_died=Listeners[int](),
            bury=lambda identity, job, attempt: self.buried.append(identity),
            departed=lambda process, expected: None,
        )
        self.workforce = Workforce(None, self.gate, conductor, self.roster, supervisor, journal, 1)  # type: ignore[arg-type]
        self.vigil = Vigil(self.gate, self.roster, self.workforce, journal, lambda job: self.left)
        assert self.gate.worker_idle(self.worker.key) == []

    def ping(self, worker: Worker) -> None:
        worker.owes = True
        self.pings += 1

    def hang_up(self) -> None:
        self.worker.connection.closed = True  # type: ignore[misc]
        del self.roster.workers[self.worker.key]
        self.workforce.worker_gone(self.worker)

    def pong(self) -> None:
        self.worker.owes = self.worker.untaken = False
        self.workforce.worker_answered(self.worker)

    def run(self, *, durable: bool = True, **spec: Any) -> None:
        job = Job(1, "default", 50, State.QUEUED, Spec(command="true", **spec))
        assert self.gate.offered([job])
        if durable:
            self.gate.attempts.started(1)

    def look(self, seconds: float, *, well: bool = False) -> None:
        for _ in range(int(seconds / EVERY)):
            self.vigil.look(EVERY)
            if well and self.worker.owes:
                self.pong()


def test_an_idle_worker_that_is_silent_is_replaced() -> None:
    scene = Scene()
    scene.look(PATIENCE + EVERY)
    assert not scene.buried and scene.pings == 1
    scene.look(EVERY)
    assert scene.buried == [scene.worker.identity]


def test_one_that_owes_an_answer_gets_nothing() -> None:
    scene = Scene()
    scene.look(2 * EVERY)
    scene.gate.offered([Job(1, "default", 50, State.QUEUED, Spec(command="true"))])
    assert 1 not in scene.gate.attempts
    scene.pong()
    assert 1 in scene.gate.attempts


def test_a_start_that_is_under_way_is_not_forgotten() -> None:
    """An idle worker that answers late has been given a job that nobody has told it of yet: it must not get two."""
    scene = Scene()
    scene.look(EVERY)
    scene.run(durable=False)
    scene.look(EVERY)
    scene.pong()
    scene.gate.sanity_check()


def test_a_busy_worker_is_only_named() -> None:
    scene = Scene()
    scene.run()
    scene.look(1000)
    assert not scene.buried
    assert scene.vigil.problems == [f"worker {2**22 + 1} does not answer, job 1 is on it"]
    assert len(scene.said) == 1, "it is said once"
    scene.pong()
    scene.look(EVERY)
    assert scene.vigil.problems == []


@pytest.mark.parametrize("why", ["timeout", "deadline", "cancel", "stop"])
def test_until_its_attempt_should_be_over(why: str) -> None:
    scene = Scene()
    if why == "deadline":
        scene.left = 100.0 - EVERY  # at the first look, which comes then
    scene.run(**({"timeout": 100.0} if why == "timeout" else {}), kill_after=20.0)
    scene.look(100.0)
    assert not scene.buried
    if why == "cancel":
        scene.gate.cancel(1)
    elif why == "stop":
        scene.gate.attempts.stop_all()
    scene.look(EVERY)
    assert not scene.buried
    scene.look(30.0)
    assert scene.buried
    (dead,) = scene.workforce._dead.values()
    assert dead.job and dead.job.id == 1
    assert dead.result is (Result.TIMED_OUT if why in ("timeout", "deadline") else Result.KILLED)
    assert len(scene.gate.attempts) == 1, "it counts until nothing is left of it"


def test_a_worker_that_is_well_is_not_given_up() -> None:
    """It has done what can be done: what it cannot kill is named."""
    scene = Scene()
    scene.run(timeout=10.0, kill_after=0.0)
    scene.look(MARGIN, well=True)
    assert scene.vigil.problems == []
    scene.look(1000, well=True)
    assert not scene.buried and scene.vigil.unending == 1
    assert "job 1 had to end" in scene.vigil.problems[0]
    assert scene.vigil.unkillable(1).startswith("it had to end, and its processes do not")
    assert scene.vigil.unkillable(2) == ""


def test_an_earlier_version_is_not_asked() -> None:
    scene = Scene(answers=False)
    scene.look(1000)
    scene.run(timeout=10.0, kill_after=0.0)
    scene.look(MARGIN)
    assert not scene.buried and not scene.pings
    scene.look(30.0)
    assert scene.buried


def test_one_that_had_not_read_what_it_was_given() -> None:
    scene = Scene()
    scene.run(interrupted="fail")
    scene.worker.untaken = True
    scene.worker.connection.unread = True  # type: ignore[misc]
    scene.look(PATIENCE + 2 * EVERY)
    (dead,) = scene.workforce._dead.values()
    assert dead.job and dead.result is Result.KILLED and not dead.begun, (
        "it goes back to its queue, whatever it says of interruptions"
    )


def test_time_that_nobody_lived_through_does_not_count() -> None:
    """The health check says how much that is; a look that is late by hours counts as one."""
    scene = Scene()
    scene.look(EVERY)
    scene.vigil.look(EVERY)  # everything was stopped until now
    scene.look(EVERY)
    assert not scene.buried
    scene.pong()
    scene.look(1000, well=True)
    assert not scene.buried
