"""May this job start now? One pure decision: yes (no reason against it), or all the reasons at once.

A new kind of gate is one more function in ``GATES``. None of them looks at other queued jobs, so the answer
costs the same at any backlog.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from taskgated.core.job import Clock, Job, State


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job does not start now: a stable word for programs, a sentence for people."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Situation:
    """What the gates look at. ``limits``: for each queue that has one; ``running``: per queue; ``total``:
    jobs that may run at once in all; ``idle``: workers that are there and have nothing to do; times in
    microseconds."""

    limits: Mapping[str, int]
    running: Mapping[str, int]
    total: int
    total_running: int
    idle: int = 0
    draining: bool = False
    steady: int = 0
    wall: int = 0


def _held(job: Job, now: Situation) -> Reason | None:
    return Reason("held", "it is held until it is released") if job.state is State.HELD else None


def _due(job: Job, now: Situation) -> Reason | None:
    if job.due is None:
        return None
    left = job.due - (now.wall if job.due_clock is Clock.WALL else now.steady)
    return Reason("time", f"it is due in {left / 1e6:.1f} s") if left > 0 else None


def _queue_limit(job: Job, now: Situation) -> Reason | None:
    limit = now.limits.get(job.queue)
    running = now.running.get(job.queue, 0)
    if limit is None or running < limit:
        return None
    return Reason("queue limit", f"queue {job.queue} runs {running} of at most {limit}")


def _workers(job: Job, now: Situation) -> Reason | None:
    if now.total_running >= now.total:
        return Reason("workers", f"all {now.total} workers are busy ({now.total_running} jobs run)")
    if not now.idle:
        text = f"no worker is there for it: {now.total_running} of {now.total} run jobs, another has to come first"
        return Reason("no worker", text)
    return None


def _draining(job: Job, now: Situation) -> Reason | None:
    return Reason("stopping", "the daemon is stopping") if now.draining else None


GATES: tuple[Callable[[Job, Situation], Reason | None], ...] = (
    _held,
    _due,
    _queue_limit,
    _workers,
    _draining,
)


def reasons(job: Job, now: Situation) -> tuple[Reason, ...]:
    """Everything that a queued job waits for; empty when it may start now."""
    return tuple(reason for gate in GATES if (reason := gate(job, now)) is not None)
