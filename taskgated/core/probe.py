"""Probes: what a command says of the world, and what follows for those who wait for it.

A probe is asked only while somebody waits, at most every so often, and never twice at the same time. What it said
holds until it is due again, and where it is asked in time, until that look has ended; so the asking holds nobody up
who waits all the time. What is older says nothing any more: until the next answer the probe counts as closed, as it
does before the first one.

Time is a number of seconds that only grows; the caller has the clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from math import inf

SLACK = 1.0
"""Seconds that an answer holds beyond the time at which the probe is due again: who asks may be a little late."""


class Says(enum.StrEnum):
    """What one answer says. ``ERROR``: it says nothing of the world, as it failed or took too long."""

    OPEN = "open"
    CLOSED = "closed"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Confirm:
    """How many answers in a row have to say the same until that holds."""

    open: int = 1
    closed: int = 1


ONCE = Confirm()


@dataclass(frozen=True, slots=True)
class Rule:
    """How one probe is asked and understood. ``every``: seconds for which an answer holds; ``on_error``: ``OPEN`` or
    ``CLOSED``, for which an error counts."""

    every: float = 30.0
    on_error: Says = Says.CLOSED
    confirm: Confirm = ONCE

    def counts_as_open(self, answer: Answer) -> bool:
        return (self.on_error if answer.says is Says.ERROR else answer.says) is Says.OPEN


@dataclass(frozen=True, slots=True)
class Answer:
    """What a look brought. ``allowance``: how many more may start until the next look, None: as many as there are;
    only of one that says ``OPEN``. ``words``: what it says of why."""

    says: Says
    allowance: int | None = None
    words: str = ""


class Look(enum.Enum):
    """Whether a look is under way. ``LATE``: it had to be over, and counts as an error; something of it is left."""

    NONE = "none"
    ON = "on"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of one probe. ``open``: what was confirmed last; ``allowance``: how many may start from the
    last answer on, if it is, None: as many as there are; ``row``: how many answers in a row, ``answer`` the last of
    them, count for the same; ``at``: when that one came; ``until``: how long it holds."""

    open: bool = False
    allowance: int | None = None
    answer: Answer | None = None
    at: float = -inf
    until: float = -inf
    row: int = 0
    look: Look = Look.NONE

    # -- what follows

    def due(self, rule: Rule) -> float | None:
        """When it is to be asked, if somebody waits for it; None: something of the last look is left."""
        return self.at + rule.every if self.look is Look.NONE else None

    def holds(self, now: float) -> bool:
        """Whether what is known still counts."""
        return now <= self.until

    def lets_through(self, now: float) -> bool:
        """Whether those who wait for it may start, as far as the ``allowance`` goes."""
        return self.open and self.holds(now)

    # -- what happens

    def asked(self, now: float) -> Known:
        """A look begins."""
        assert self.look is Look.NONE, "a probe is asked twice at the same time"
        return replace(self, look=Look.ON, until=inf if self.holds(now) else self.until)

    def answered(self, answer: Answer, now: float, rule: Rule) -> Known:
        """The look has ended, and nothing of it is left. One that was late has counted already."""
        if self.look is Look.LATE:
            return replace(self, look=Look.NONE)
        return replace(self._heard(answer, now, rule), look=Look.NONE)

    def given_up(self, answer: Answer, now: float, rule: Rule) -> Known:
        """The look had to be over, and is not: ``answer``, an error, holds in its place."""
        return replace(self._heard(answer, now, rule), look=Look.LATE)

    def _heard(self, answer: Answer, now: float, rule: Rule) -> Known:
        counts = rule.counts_as_open(answer)
        alike = self.answer is not None and rule.counts_as_open(self.answer) is counts
        row = self.row + 1 if alike else 1
        enough = row >= (rule.confirm.open if counts else rule.confirm.closed)
        # Where answers count out how many may start, one that says closed lets no more start, confirmed or not.
        allowance = answer.allowance if counts else None if self.allowance is None else 0
        return replace(
            self,
            open=counts if enough else self.open,
            allowance=allowance,
            answer=answer,
            at=now,
            until=now + rule.every + SLACK,
            row=row,
        )


def read(exit_code: int | None, first_line: str, words: str) -> Answer:
    """What a command says by how it ended: ``exit_code`` None is any other end. A number alone on the first line of
    what it wrote is the allowance; one below 0, as of who has taken more than there is, lets none start."""
    if exit_code == 0:
        line = first_line.strip()
        number = line.removeprefix("-")
        if not (number.isascii() and number.isdigit()):
            return Answer(Says.OPEN, None, words)
        if line != number:
            return Answer(Says.OPEN, 0, words)
        return Answer(Says.OPEN, int(number) if len(number) <= 9 else None, words)
    return Answer(Says.CLOSED if exit_code == 1 else Says.ERROR, None, words)
