"""What intake tells: words for the journal, and how it stands, for the status."""

from __future__ import annotations

from collections.abc import Sequence

from taskgated.core.owner import shown
from taskgated.events import Event
from taskgated.host.journal import Journal, Priority
from taskgated.host.listeners import Listeners
from taskgated.host.loop import Loop
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
    MisnamedQueues,
    Paused,
    Repaired,
    Resumed,
    Staying,
    Stays,
    Uncrowded,
    Unwatched,
    WrongOwners,
)
from taskgated.text import as_word


class News:
    """``crowded``: users who are held back, to leave room for the others; ``blind``: why the spool is not watched;
    ``waiting``: why files wait for a handler; ``unwatched``: which directories are looked through instead;
    ``staying``: what stays in the spool; ``misnamed``: directories that may be a slip for a queue. ``heard`` is told
    after each event."""

    def __init__(self, loop: Loop, journal: Journal) -> None:
        self._loop = loop
        self._journal = journal
        self.paused = False
        self.crowded: set[str] = set()
        self.blind: list[str] = []
        self.wrong_owners: list[str] = []
        self.unwatched: list[str] = []
        self.waiting: list[str] = []
        self.staying: tuple[Stays, ...] = ()
        self.misnamed: list[str] = []
        self.heard = Listeners[()]()

    def tell(self, event: IntakeEvent) -> None:
        """From intake's thread: it is heard on the loop."""
        self._loop.post(lambda: self.hear(event))

    def hear(self, event: IntakeEvent) -> None:
        """On the loop."""
        self._note(event)
        self.heard.tell()

    def _note(self, event: IntakeEvent) -> None:
        journal = self._journal
        match event:
            case Accepted(source, queue, jobs):
                text = f"{as_word(source)}: {jobs} job{'s' * (jobs != 1)} for queue {queue}"
                journal.event(Event.FILE_ACCEPTED, text, source=source, queue=queue)
            case FileRefused(source, queue, reason):
                why, *more = reason.split("\n")
                text = f"{as_word(source)} is refused, see rejected/: {why}"
                journal.event(Event.FILE_REFUSED, text, Priority.WARNING, more=more, source=source, queue=queue)
            case FileStuck(source, queue, reason):
                why, *more = reason.split("\n")
                text = f"{as_word(source)}: {why}"
                journal.event(Event.FILE_STUCK, text, Priority.ERROR, more=more, source=source, queue=queue)
            case FileWaits(source, queue, reason):
                text = f"{as_word(source)} has to wait: {reason}; it is tried again"
                journal.event(Event.FILE_WAITS, text, Priority.WARNING, source=source, queue=queue)
            case FileLost(source, queue, claim, jobs):
                text = f"{as_word(source)} is gone from .claims/{claim}; {jobs} jobs of it were taken in before"
                journal.event(Event.FILE_LOST, text, Priority.ERROR, source=source, queue=queue)
            case Paused(backlog):
                self.paused = True
                text = f"intake pauses: {backlog} jobs are queued (max_backlog); files stay in the spool"
                journal.event(Event.INTAKE_PAUSED, text, Priority.WARNING)
            case Resumed():
                self.paused = False
                journal.event(Event.INTAKE_RESUMED, "intake goes on: there is room again", Priority.NOTICE)
            case Crowded(owner, share):
                self.crowded.add(owner)
                text = (
                    f"files of {shown(owner)} stay in the spool: {share} jobs of that user are queued (user_backlog)"
                )
                journal.event(Event.INTAKE_PAUSED, text, Priority.WARNING)
            case Uncrowded(owner):
                self.crowded.discard(owner)
                text = f"files of {shown(owner)} are taken in again"
                journal.event(Event.INTAKE_RESUMED, text, Priority.NOTICE)
            case HandlersMissing(reasons):
                self._note_waiting(reasons)
            case Blind(reasons):
                self._note_blind(reasons)
            case Repaired():
                self.blind = []
                journal.event(Event.INTAKE_REPAIRED, "the spool is watched and worked on again", Priority.NOTICE)
            case Unwatched(reason):
                self._note_unwatched(reason)
            case MisnamedQueues(notes):
                self._note_misnamed(notes)
            case Staying(queues):
                self.staying = queues
            case WrongOwners(problems):
                self._note_owners(problems)

    def _note_blind(self, reasons: Sequence[str]) -> None:
        self.blind = list(reasons)
        text = f"the spool is not watched, or cannot be worked on: {'; '.join(reasons)}"
        self._journal.event(Event.INTAKE_BLIND, text, Priority.ERROR)

    def _note_waiting(self, reasons: Sequence[str]) -> None:
        for reason in reasons:
            if reason not in self.waiting:
                self._journal.event(Event.HANDLER_MISSING, reason, Priority.WARNING)
        self.waiting = list(reasons)

    def _note_misnamed(self, notes: Sequence[str]) -> None:
        for note in notes:
            if note not in self.misnamed:
                self._journal.event(Event.QUEUE_MISNAMED, note, Priority.NOTICE)
        self.misnamed = list(notes)

    def _note_owners(self, problems: Sequence[str]) -> None:
        for problem in problems:
            if problem not in self.wrong_owners:
                self._journal.event(Event.WRONG_OWNER, problem, Priority.ERROR)
        self.wrong_owners = list(problems)

    def _note_unwatched(self, reason: str) -> None:
        before, self.unwatched = self.unwatched, [f"degraded: {reason}"] if reason else []
        if not reason:
            self._journal.event(Event.INTAKE_REPAIRED, "all directories are watched again", Priority.NOTICE)
        elif not before:  # which ones they are may change often
            self._journal.event(Event.INTAKE_BLIND, reason, Priority.WARNING)
