"""Where intake puts what it took: the store, and word of it to the main loop.

Called on intake's thread. Every call that changes something returns when it is on stable storage.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Any

from taskgated.config import Config
from taskgated.core.job import State
from taskgated.engine import Engine
from taskgated.errors import Damaged
from taskgated.intake.events import (
    Accepted,
    Blind,
    Crowded,
    FileLost,
    FileRefused,
    FileStuck,
    FileWaits,
    HandlersMissing,
    IntakeEvent,
    Paused,
    Repaired,
    Resumed,
    Uncrowded,
    WrongOwners,
)
from taskgated.intake.intake import Intake
from taskgated.journal import Event, Journal, Priority
from taskgated.loop import Loop
from taskgated.store.contract import Addition
from taskgated.store.thread import Answer, StoreThread


class Sink:
    intake: Intake

    def __init__(self, config: Config, store: StoreThread, engine: Engine, loop: Loop, journal: Journal) -> None:
        self._max_backlog = config.max_backlog
        self._store = store
        self._engine = engine
        self._loop = loop
        self._journal = journal
        self.damage: Callable[[], str] = lambda: ""  # what is known to be wrong with the store
        self.paused = False
        self.crowded: set[int] = set()  # users who are held back, to leave room for the others
        self.blind: list[str] = []
        self.wrong_owners: list[str] = []
        self.waiting: list[str] = []  # why files wait for a handler
        engine.progressed.append(self._look_for_room)

    def reload(self, config: Config) -> None:
        self._max_backlog = config.max_backlog
        self._look_for_room()

    # -- what intake calls -----------------------------------------------------------------------

    def room(self) -> int:
        """How many more jobs may be queued. What ``add`` took counts from the moment it returns."""
        return max(0, self._max_backlog - self._store.queued)

    def add(self, batch: Sequence[Addition], accepted: Sequence[Accepted] = ()) -> None:
        if damage := self.damage():  # to intake that is as a disk that takes nothing: it claims no more, and waits
            raise OSError(errno.EUCLEAN, f"nothing is taken in: {damage}")
        self._store.call("add", batch, also=lambda answer: self._added(answer, accepted))

    def queued_by(self, owner: int) -> int:
        jobs: int = self._ask("queued_by", owner)
        return jobs

    def known(self, claim: str) -> int | None:
        parts: int | None = self._ask("known", claim)
        return parts

    def keeper(self, claim: str) -> State | None:
        state: State | None = self._ask("keeper", claim)
        return state

    def _ask(self, verb: str, *what: str | int | Sequence[str]) -> Any:
        try:
            return self._store.call(verb, *what)
        except Damaged as error:
            raise OSError(errno.EUCLEAN, f"nothing is taken in: {error}") from error

    def data_queues(self) -> Sequence[str]:
        queues: Sequence[str] = self._ask("data_queues")
        return queues

    def keep_data_queues(self, queues: Sequence[str]) -> None:
        self._ask("keep_data_queues", queues)

    def settle(self, claims: Sequence[str]) -> None:
        self._store.call("settle", list(claims))

    # -- on the main loop ------------------------------------------------------------------------

    def _added(self, answer: Answer, accepted: Sequence[Accepted]) -> None:
        if answer.error is None:
            for event in accepted:  # first: a job that starts comes of a file that was accepted
                self._heard(event)
            self._engine.added(answer.value)

    def _look_for_room(self) -> None:
        if self.paused and self.room():
            self.intake.poke()

    def tell(self, event: IntakeEvent) -> None:
        """Intake's events, told on the main loop."""
        self._loop.post(lambda: self._heard(event))

    def _heard(self, event: IntakeEvent) -> None:
        journal = self._journal
        match event:
            case Accepted(source, queue, jobs):
                text = f"{_quoted(source)}: {jobs} job{'s' * (jobs != 1)} for queue {queue}"
                journal.event(Event.FILE_ACCEPTED, text, source=source, queue=queue)
            case FileRefused(source, queue, reason):
                why, *more = reason.split("\n")
                text = f"{_quoted(source)} is refused, see rejected/: {why}"
                journal.event(Event.FILE_REFUSED, text, Priority.WARNING, more=more, source=source, queue=queue)
            case FileStuck(source, queue, reason):
                why, *more = reason.split("\n")
                text = f"{_quoted(source)}: {why}"
                journal.event(Event.FILE_STUCK, text, Priority.ERROR, more=more, source=source, queue=queue)
            case FileWaits(source, queue, reason):
                text = f"{_quoted(source)} has to wait: {reason}; it is tried again"
                journal.event(Event.FILE_WAITS, text, Priority.WARNING, source=source, queue=queue)
            case FileLost(source, queue, claim, jobs):
                text = f"{_quoted(source)} is gone from .claims/{claim}; {jobs} jobs of it were taken in before"
                journal.event(Event.FILE_LOST, text, Priority.ERROR, source=source, queue=queue)
            case Paused(backlog):
                self.paused = True
                text = f"intake pauses: {backlog} jobs are queued (max_backlog); files stay in the spool"
                journal.event(Event.INTAKE_PAUSED, text, Priority.WARNING)
                self._look_for_room()
            case Resumed():
                self.paused = False
                journal.event(Event.INTAKE_RESUMED, "intake goes on: there is room again", Priority.NOTICE)
            case Crowded(owner, share):
                self.crowded.add(owner)
                text = f"files of uid {owner} stay in the spool: {share} jobs of that user are queued (user_backlog)"
                journal.event(Event.INTAKE_PAUSED, text, Priority.WARNING)
            case Uncrowded(owner):
                self.crowded.discard(owner)
                text = f"files of uid {owner} are taken in again"
                journal.event(Event.INTAKE_RESUMED, text, Priority.NOTICE)
            case HandlersMissing(reasons):
                for reason in reasons:
                    if reason not in self.waiting:
                        journal.event(Event.HANDLER_MISSING, reason, Priority.WARNING)
                self.waiting = list(reasons)
            case Blind(reasons):
                self.blind = list(reasons)
                text = f"the spool is not watched, or cannot be worked on: {'; '.join(reasons)}"
                journal.event(Event.INTAKE_BLIND, text, Priority.ERROR)
            case Repaired():
                self.blind = []
                journal.event(Event.INTAKE_REPAIRED, "the spool is watched and worked on again", Priority.NOTICE)
            case WrongOwners(problems):
                for problem in problems:
                    if problem not in self.wrong_owners:
                        journal.event(Event.WRONG_OWNER, problem, Priority.ERROR)
                self.wrong_owners = list(problems)


def _quoted(name: str) -> str:
    """A file name as one word on one line."""
    return name if name.isprintable() and " " not in name else repr(name)
