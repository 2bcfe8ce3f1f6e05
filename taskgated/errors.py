"""Every error that taskgated raises on purpose.

A message says what was wrong, where, and what to do about it. Whoever catches one of these may print
``str(error)`` to a person as it stands; anything that is not a ``TaskgateError`` is a bug.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TaskgateError(Exception):
    """Root of all errors that are meant for people."""


def printable(text: str) -> str:
    """Nothing that somebody wrote, names of files as well, moves a cursor or ends a line of a message; and any
    encoding can say it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a file that somebody wrote.

    ``line`` and ``column`` count from 1; 0 means that the whole file (or line) is meant. ``text`` is the
    line at fault, for the caret; ``hint`` is what to do about it. ``caret``: the column in ``text``, if that does not
    begin where the line does. Each of them may quote what somebody wrote; as text nothing of that ends a line.
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


class Unexplained(TaskgateError):
    """What was dropped as data has no handler that could work on it; a later configuration may have one."""


class Trouble(TaskgateError):
    """What is beside a file keeps it from being judged now: its disk, the user database, memory. It may pass."""


class ConfigError(Refused):
    """The configuration is not usable."""


class IllegalTransition(TaskgateError):
    """The state machine does not allow this verb in this state; nothing was changed."""


class NoSuchJob(TaskgateError):
    """No job with that id is in the store."""

    def __init__(self, job: int) -> None:
        self.job = job
        super().__init__(f"no job {job}")


class StoreError(TaskgateError):
    """The store cannot be opened or used."""


class StoreClosed(StoreError):
    """The daemon stops, and has closed its store."""


class DiskTrouble(StoreError):
    """The disk refuses what the store or a start needs; that may pass."""


class Damaged(StoreError):
    """The database is not what was written: no waiting mends that."""


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
