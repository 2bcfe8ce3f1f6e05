"""Whether a failure is worth another attempt, and how long to wait for that.

An ending is what ``retry.on`` and ``retry.not_on`` are about: an exit code, the name of the signal that killed the
main process, or ``timeout``. What was lost has no ending: nobody knows how it went, and ``interrupted`` decides.
"""

from __future__ import annotations

import signal

from taskgated.core.job import Outcome, Result, Retry

Ending = int | str | None
"""None: of an attempt that never ran, and has no exit code."""

TIMEOUT = "timeout"
"""The gate ended the attempt, as its time was over; by which signal, or with which exit code, does not matter."""

_HARMLESS = ("CHLD", "CONT", "URG", "WINCH", "STOP", "TSTP", "TTIN", "TTOU")
SIGNALS = tuple(one.name for one in signal.Signals if one.name[3:] not in _HARMLESS and one < signal.SIGRTMIN)
"""Those that a process ends by unless it handles them (signal(7)); of realtime signals there are too many."""


def ending(outcome: Outcome) -> Ending:
    """How an attempt that failed or timed out has ended."""
    if outcome.result is Result.TIMED_OUT:
        return TIMEOUT
    if outcome.signal is not None:
        return _NAMES.get(outcome.signal, f"signal {outcome.signal}")
    return outcome.exit_code


def worth_another(retry: Retry, outcome: Outcome) -> bool:
    """Whether there may be another attempt after one that ended so."""
    how = ending(outcome)
    return (not retry.on or how in retry.on) and how not in retry.not_on


def backoff(retry: Retry, failures: int, chance: float) -> float:
    """Seconds to wait after the ``failures``-th failure (from 1).

    Exponential, bounded by ``max_delay``, then moved by up to ``jitter`` of itself either way, so that jobs
    that failed together do not come back together. ``chance`` is a random number in [0, 1).
    """
    try:
        delay = min(retry.max_delay, retry.delay * retry.factor ** (failures - 1))
    except OverflowError:
        delay = retry.max_delay
    return max(0.0, delay * (1 + retry.jitter * (2 * chance - 1)))


_NAMES = {int(one): one.name for one in signal.Signals}
