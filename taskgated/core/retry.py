"""How long to wait before the next attempt."""

from __future__ import annotations

from taskgated.core.job import Retry


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
