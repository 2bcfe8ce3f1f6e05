"""Why a job does not start now, in words: a stable one for programs (``kind``), a sentence for people."""

from __future__ import annotations

from dataclasses import dataclass

from taskgated.core.capacity import AllBusy, ArrayFull, Draining, Held, NotDue, NoWorker, QueueFull, Reason
from taskgated.text import counted


@dataclass(frozen=True, slots=True)
class Worded:
    """One reason, as the answers of the control socket have it."""

    kind: str
    text: str


TURN = Worded("turn", "nothing but its turn: better or older jobs come first")


def store_trouble(text: str) -> Worded:
    """Nothing can be started while no start can be recorded; ``text`` says why."""
    return Worded("store", text)


def worded(reason: Reason) -> Worded:
    match reason:
        case Held():
            return Worded("held", "it is held until it is released")
        case NotDue(left):
            return Worded("time", f"it is due in {left / 1e6:.1f} s")
        case QueueFull(queue, running, limit):
            return Worded("queue limit", f"queue {queue} runs {running} of at most {limit}")
        case ArrayFull(array, at_most):
            return Worded(
                "array limit",
                f"at most {counted(at_most, 'job')} of array {array} may run at once, and others came first",
            )
        case AllBusy(running, workers):
            return Worded("workers", f"all {workers} workers are busy ({running} jobs run)")
        case NoWorker(running, workers):
            text = f"no worker is there for it: {running} of {workers} run jobs, another has to come first"
            return Worded("no worker", text)
        case Draining():
            return Worded("stopping", "the daemon is stopping")
