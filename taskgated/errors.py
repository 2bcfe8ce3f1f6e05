"""Every error that taskgated raises on purpose.

A message says what was wrong, where, and what to do about it. ``str(error)`` may be shown to a person as it stands.
An exception that is no ``TaskgateError``, and that nothing expects, is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from taskgated.text import printable


class TaskgateError(Exception):
    """Root of all errors that are meant for people."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file that somebody wrote.

    ``where`` is the name of the file. ``line`` and ``column`` count from 1; a line of 0 means the whole file, a
    column of 0 the whole line. ``hint`` is what to do about it. ``text`` is the line at fault, or the part of it
    around the fault, and is shown above a caret; ``caret`` is the fault's column in ``text`` where that is a part.

    Each of these may quote what somebody wrote, so ``str`` escapes it: a problem has one line, or three with a caret.
    """

    where: str
    line: int
    column: int
    message: str
    text: str = ""
    hint: str = ""
    caret: int = 0

    def __str__(self) -> str:
        place = printable(self.where)
        if self.line:
            place += f":{self.line}"
            if self.column:
                place += f":{self.column}"
        out = f"{place}: {printable(self.message)}"
        if self.hint:
            out += f" ({printable(self.hint)})"
        if self.text and self.column:
            before = self.text[: (self.caret or self.column) - 1]
            out += f"\n    {printable(self.text)}\n    {' ' * len(printable(before))}^"
        return out


class Refused(TaskgateError):
    """A file that cannot become jobs, or a configuration that cannot be used: with every problem found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))

    def alone(self) -> Refused:
        """The same, to be kept: without its traceback, which keeps alive all that was being read when it was raised
        (and itself, when it is kept by one of the frames: then only the garbage collector frees them)."""
        return Refused(self.problems)


class Unexplained(TaskgateError):
    """A file was dropped as data, and its queue has no handler for it; a later configuration may have one."""


class Trouble(TaskgateError):
    """A file cannot be judged now, for a reason beside it: its disk, the user database, memory. It may pass."""


class ConfigError(Refused):
    """The configuration is not usable."""


class IllegalTransition(TaskgateError):
    """The state machine does not allow this verb in this state; nothing was changed."""


class NotFirst(IllegalTransition):
    """The job may not start before ``first`` (turn and id), as their queue is strict."""

    def __init__(self, job: int, first: tuple[int, int]) -> None:
        self.first = first
        super().__init__(f"job {job} comes after job {first[1]} in its queue, which is strict")

    @classmethod
    def first_of(cls, error: Exception | None) -> tuple[int, int] | None:
        """Which one has to start first, if that is what is wrong."""
        return error.first if isinstance(error, cls) else None


class NoSuchJob(TaskgateError):
    """No job with that id is in the store."""

    def __init__(self, job: int) -> None:
        self.job = job
        super().__init__(f"no job {job}")


class NoSuchArray(TaskgateError):
    """No array has that id. ``of``: the array of the job with that id; None: there is none, or it is of none."""

    def __init__(self, array: int, of: int | None = None) -> None:
        self.array = array
        self.of = of
        text = f"there is no array {array}: an array is called by the id of its first job"
        super().__init__(text if of is None else f"{text}; {array} is of array {of}")


class NoSuchQueue(TaskgateError):
    """No queue of that name is in the configuration, and none of that name had jobs."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        super().__init__(f"no queue {printable(queue)}: it is not in the configuration, and had no jobs until now")


class NotTheirs(TaskgateError):
    """A user may not use a queue, or it cannot be told now whether that one may."""


class StoreError(TaskgateError):
    """The store cannot be opened or used."""


class StoreClosed(StoreError):
    """The daemon stops, and has closed its store."""


class StoreTrouble(StoreError):
    """The store cannot be used now; that may pass. What was asked for has not happened."""


class DiskTrouble(StoreTrouble):
    """The disk refuses what the store or a start needs; that may pass."""


class InDoubt(StoreError):
    """Nobody knows whether what was to be made durable is. The store does, once it can be asked again."""


class Lost(StoreError):
    """What was written before may be lost, and nobody can say which of it."""


class Damaged(StoreError):
    """The database is not what was written: no waiting mends that."""


class NotYours(StoreError):
    """Somebody else has taken over what this process did here. It is final: nothing is tried again."""


class Impossible(StoreError):
    """The store cannot do that, or keep that value, now or later; all else it can."""


class UnreadableRow(TaskgateError):
    """What the store has of one job cannot be understood; the others are not concerned."""

    def __init__(self, job: int, why: str) -> None:
        self.job = job
        self.why = why
        super().__init__(f"job {job}: its row in the database cannot be read: {why}")


class ProtocolError(TaskgateError):
    """A peer on one of the sockets said something that cannot be understood."""


class MessageTooLong(TaskgateError):
    """A message that is not sent, because no peer would take it."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(f"a message of {length} bytes, where at most {limit} are taken")


class CannotStart(TaskgateError):
    """The daemon cannot do its work now: another one has this gate, or a directory cannot be made."""


class WrongUser(CannotStart):
    """The gate, or one of its directories, is another user's. A new start would not mend it."""
