"""What a store says of jobs that wait for the end of others, and what it does when these are over.

A job with conditions (``Spec.after``) is in no line until all of them are met. What is to be done once another one is
over is looked up from how things stand, in pieces, each as durable as the end itself: so to begin anew, or to do a
piece twice, is to find less to do. It matters to nobody which verb ended that other one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from taskgated.core.after import EndedOtherwise, NeverCame, NoSuchId, Unmet, Waited, WaitsForIt, When
from taskgated.core.job import Claim
from taskgated.core.order import Lane, Rank
from taskgated.core.state import State

RESOLVED = 500
"""Conditions that are resolved at once, at most; others have their turn in between."""
SHOWN = 20
"""Conditions of a job that are told of, at most."""
LISTED = 5
"""The same of each job in a listing."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A job that will not run, as what it waited for cannot come any more. ``why``: in words."""

    job: int
    queue: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """What came of the end of others: lanes that have more jobs now (with the rank of the first), jobs that were
    cancelled, and kept files to let go. ``more``: there is more to be resolved; ``timed``: some are not due yet."""

    best: Mapping[Lane, Rank]
    over: Sequence[Cancelled]
    let_go: Sequence[Claim]
    more: bool
    timed: bool = False


class Awaiting(Protocol):
    """What can be asked; see ``contract.Questions``."""

    def waits_for(self, job: int, limit: int = SHOWN) -> Sequence[Waited]:
        """The conditions of a job that are not met yet, so many of them; none of a job that there is not."""

    def unresolved(self) -> bool:
        """Whether there is anything for ``resolve``; costs the same at any number of jobs. It is so from the moment
        in which a job is over that others wait for, and when the time is up in which one should have come."""


class Resolving(Protocol):
    """What changes them; see ``contract.Store``."""

    def resolve(self) -> Resolved:
        """Do what follows from the end of others: ``RESOLVED`` conditions of those that are decided, the next call
        does the next."""


_ENDED = {When.SUCCEEDED: "succeeded", When.FAILED: "failed", When.OVER: "ended"}


def unmet(why: Unmet) -> str:
    """Why a job is cancelled that was to run after another one. These sentences are as those of ``causes``: they stay
    as they are."""
    match why:
        case EndedOtherwise(job, name, when, state, array):
            what = f"{'array' if array else 'job'} {job}" + f" ({name})" * bool(name)
            end = f"{'was ' * (state is State.CANCELLED)}{state}"
            return f"{what} {end}, and it was to run after that has {_ENDED[when]}"
        case NeverCame(name, seconds):
            return f"no job {name} came within {seconds:g} s, and it was to run after one"
        case NoSuchId(job, given):
            known = "of which nothing is known any more" if given else "and there is none"
            return f"it was to run after job {job}, {known}"
        case WaitsForIt(job, name):
            what = f"job {job}" + f" ({name})" * bool(name)
            return f"it was to run after {what}, which waits for the array of this one itself"
