"""How far an attempt has come that counts against the limits, and what is wished of it before its time.

    Starting --start is durable--> Running --nothing of it is left--> (counts no more)
    Starting --its worker dies--> Bereft --start is durable--> Running, to be reported as never run

A start that the store refuses ends ``Starting`` and ``Bereft`` as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from taskgated.core.job import Job


@dataclass(frozen=True, slots=True)
class Cancel:
    """The attempt is to end, and its job with it. ``grace``: seconds from SIGTERM to SIGKILL, None: the job's own."""

    grace: float | None = None


@dataclass(frozen=True, slots=True)
class PutBack:
    """The attempt is to end, and its job is to run again later. ``grace`` as in ``Cancel``."""

    grace: float | None = None


Wish = Cancel | PutBack


@dataclass(frozen=True, slots=True)
class Starting:
    """The start is decided and not durable yet: the worker, which is kept for it, has not been told."""

    worker: str


@dataclass(frozen=True, slots=True)
class Bereft:
    """The worker died before the start was durable: the attempt will not run."""

    worker: str


@dataclass(frozen=True, slots=True)
class Running:
    """The start is durable, and the attempt its worker's; also when that has died, until nothing of it is left."""

    worker: str


Phase = Starting | Bereft | Running


@dataclass(frozen=True, slots=True)
class Course:
    """A running attempt as the gate tells of it: on which worker, and what is wished of it."""

    job: Job
    worker: str
    wish: Wish | None

    @property
    def grace(self) -> float:
        """Seconds from SIGTERM to SIGKILL when it is to end."""
        told = None if self.wish is None else self.wish.grace
        return self.job.spec.kill_after if told is None else told
