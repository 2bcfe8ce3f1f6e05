"""Queues that are shared fairly: whose turn it is follows from what each user has used, not from who came first.

What a user has *used* of a queue is the time that jobs ran there, each second of which counts half after
``HALF_LIFE``, a quarter after twice that, and so on. The user with the least use for each unit of weight has the next
turn; of equal ones the job that comes first. A start counts at once as much as jobs of the queue took of late, and
what it took in truth when it is over.

All uses decay alike, so their order changes only when somebody starts or ends a job. A use is kept as a *level*: the
binary logarithm of its seconds, as they would count at the moment 0 of the clock. So nothing is to be done as time
passes, and no number grows too large.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import exp2, inf, isfinite, log2

from taskgated.core.capacity import Policy
from taskgated.core.job import Job, Outcome
from taskgated.core.order import Lane

SECOND = 1_000_000
HALF_LIFE = 3600 * SECOND
LEAST = 0.1
"""Seconds that a start counts at least, so that users with short jobs take turns as well."""
OF_LATE = 8
"""How many ends it takes, about, until what jobs took of late has changed to what they take now."""
FORGOTTEN = 1.0
"""Seconds of use that need not be remembered over a restart."""


@dataclass(slots=True)
class _Under:
    """A job under way: what it has been charged with, seconds, and since when it runs."""

    charged: float
    since: int


class Fair:
    """The uses of all lanes of the queues that are shared fairly. ``uptime``: microseconds of a clock that never goes
    back. ``policy`` is the one in force."""

    def __init__(self, policy: Policy, uptime: Callable[[], int] = lambda: 0) -> None:
        self.policy = policy
        self._uptime = uptime
        self._levels: dict[Lane, float] = {}
        self._of_late: dict[str, float] = {}  # seconds, by queue
        self._under: dict[int, _Under] = {}

    def __contains__(self, queue: str) -> bool:
        """Whether that queue is shared fairly."""
        return queue in self.policy.fair

    def standing(self, lane: Lane, ahead: int = 0) -> float:
        """Whose turn it is: the lane with the least, once so many more of its jobs have started; 0 in any other
        queue."""
        if lane.queue not in self.policy.fair:
            return 0.0
        level = self._levels.get(lane, -inf)
        if ahead:
            level = _sum(level, self._level(ahead * self._cost(lane.queue)))
        return level - log2(self.policy.weights.get(lane.owner, 1.0))

    def used(self, lane: Lane) -> float:
        """Seconds of use, as they count now."""
        return exp2(self._levels.get(lane, -inf) - self._uptime() / HALF_LIFE)

    # -- what happens ----------------------------------------------------------------------------

    def begun(self, job: Job) -> None:
        """Its start is decided, or it runs from before."""
        if job.queue in self.policy.fair:
            cost = self._cost(job.queue)
            self._under[job.id] = _Under(cost, self._uptime())
            self._charge(job.lane, cost)

    def ended(self, job: Job, outcome: Outcome | None) -> None:
        """Nothing of it is left; without an outcome it has not run."""
        if (under := self._under.pop(job.id, None)) is None:
            return
        took = 0.0 if outcome is None else max(LEAST, _seconds(outcome, self._uptime() - under.since))
        if outcome is not None:
            before = self._of_late.get(job.queue, took)
            self._of_late[job.queue] = before + (took - before) / OF_LATE
        self._charge(job.lane, took - under.charged * exp2((under.since - self._uptime()) / HALF_LIFE))

    # -- what is remembered ----------------------------------------------------------------------

    def level(self, lane: Lane) -> float | None:
        """What there is to remember of it; None: nothing."""
        return self._levels.get(lane)

    def revived(self, levels: Mapping[Lane, float]) -> list[Lane]:
        """At start: as they were remembered. Returns those that have decayed, or are of no such queue."""
        now = self._uptime() / HALF_LIFE
        gone = []
        for lane, level in levels.items():
            if lane.queue in self.policy.fair and isfinite(level) and level - now > log2(FORGOTTEN):
                # What counts from a moment that has not come, by a clock that was put back, counts as a week of now.
                self._levels[lane] = min(level, now + log2(7 * 86400))
            else:
                gone.append(lane)
        return gone

    def _cost(self, queue: str) -> float:
        return max(LEAST, self._of_late.get(queue, 1.0))

    def _charge(self, lane: Lane, seconds: float) -> None:
        level = self._levels.get(lane, -inf)
        if seconds >= 0:
            self._levels[lane] = _sum(level, self._level(seconds))
        else:
            left = 1 - exp2(min(0.0, self._level(-seconds) - level))
            self._levels[lane] = level + log2(left) if left > 1e-12 else -inf
        if self._levels[lane] == -inf:
            del self._levels[lane]

    def _level(self, seconds: float) -> float:
        """Of so many seconds that are used now."""
        return log2(seconds) + self._uptime() / HALF_LIFE if seconds > 0 else -inf


def _sum(one: float, other: float) -> float:
    """The level of two uses together."""
    high, low = max(one, other), min(one, other)
    return high if low == -inf else high + log2(1 + exp2(low - high))


def _seconds(outcome: Outcome, elapsed: int) -> float:
    """How long it ran: by its worker, unless the clock was stepped meanwhile, else as long as is known here."""
    if outcome.started is not None and outcome.finished is not None and outcome.finished >= outcome.started:
        return (outcome.finished - outcome.started) / SECOND
    return max(0, elapsed) / SECOND
