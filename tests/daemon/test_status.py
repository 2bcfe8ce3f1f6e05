"""What the daemon says of itself, without processes. With them: ``test_service_manager``."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from taskgated.core.capacity import Policy
from taskgated.core.gate import Gate
from taskgated.core.state import State
from taskgated.daemon.life import Life
from taskgated.daemon.status import Status, StatusLine
from taskgated.errors import DiskTrouble
from taskgated.store.answer import Answer
from taskgated.store.contract import Backlog


class Scene:
    """A daemon that serves, in front of a service manager; ``answer`` is what its store says when it is asked."""

    def __init__(self) -> None:
        loop: Any = SimpleNamespace(stop=lambda: None)
        journal: Any = SimpleNamespace(event=lambda *args: None)
        life = Life(loop, journal)
        life.serve()
        start: Any = SimpleNamespace(announced=True)
        in_force: Any = SimpleNamespace(now=SimpleNamespace(workers=2, queues={}))
        news: Any = SimpleNamespace(paused=False, crowded=set(), waiting=[], unwatched=[])
        members: Any = SimpleNamespace(notes=[])
        self.store: Any = SimpleNamespace(queued=0, trouble="")
        self.said: list[str] = []
        systemd: Any = SimpleNamespace(managed=True, status=self.said.append)
        reader: Any = SimpleNamespace(ask=self.ask)
        gate = Gate(Policy(2, 2, {}), {}, lambda: 0.5)
        self.answer: Answer[Backlog] = Answer.of(Backlog({}, {}, 0, {}, None, 0.0))
        status = Status(life, start, in_force, gate, self.store, news, members, [], lambda: [])
        self.line = StatusLine(loop, systemd, reader, in_force, status)

    def ask(self, question: object, done: Callable[[Answer[Backlog]], None]) -> None:
        done(self.answer)


def test_what_waits_is_not_said_of_another_time() -> None:
    """While the store cannot be read it is known how many jobs are queued, and no more."""
    scene = Scene()
    scene.answer = Answer.of(Backlog({}, {State.QUEUED: 7}, 0, {}, 1, 90.0))
    scene.line.now()
    assert scene.said[-1] == "running 0 of 2, 7 queued, oldest waits 90 s"
    scene.store.queued = 3
    scene.answer = Answer.failed(DiskTrouble("the disk says nothing"))
    scene.line.now()
    assert scene.said[-1] == "running 0 of 2, 3 queued"
