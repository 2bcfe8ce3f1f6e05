"""What is wrong with the spool, and what is told of it: each trouble once, and its end when it stays away.

Times are of the monotonic clock, in seconds. They are given, so that nothing here waits.
"""

from __future__ import annotations

from taskgated.intake.events import Blind, Repaired, Tell, Unwatched

FIRST_PAUSE = 1.0
MAX_PAUSE = 5.0
"""Seconds until it is tried to get the spool back: at first, and at most. The pause doubles each time."""
CALM = 15.0
"""Seconds within which trouble that comes again is the same: a disk that is full, and has room for one more name."""
NEVER = float("inf")


class Condition:
    """The spool is well at first."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._problems: tuple[str, ...] = ()  # as they were told last
        self._unwatched = ""
        self._told: set[str] = set()  # all that was told since the spool was well
        self._pause = FIRST_PAUSE
        self._repair_at = 0.0
        self._calm = 0.0  # for how long it has to be well before that is told
        self._over_at = NEVER
        self._repaired_at = -NEVER
        # Work on it failed, and none has gone well since. Until then that nothing is found wrong proves nothing.
        self._unproven = False

    @property
    def blind(self) -> bool:
        """Trouble was told, and its end was not."""
        return bool(self._problems)

    @property
    def repair_at(self) -> float:
        """When it may be tried again to get the spool back: not all the time, for what can be done without it is."""
        return self._repair_at

    @property
    def over_at(self) -> float:
        """When it is told that all is well, if it stays well until then; infinity if nothing is to be told."""
        return self._over_at

    def unwatched(self, reason: str) -> None:
        """For some directories there is no watch; empty: there is one for each. It keeps nothing from working."""
        if reason != self._unwatched:
            self._unwatched = reason
            self._tell(Unwatched(reason))

    def failed(self, why: str, where: str, now: float) -> None:
        """Work on it failed. ``why`` is told once, although each time it may be another file that shows it."""
        self._unproven = True
        known = any(why in problem for problem in self._told)
        self.found(self._problems if known else (where,), now)

    def went_well(self) -> bool:
        """Work on it went well; whether that was in doubt, so that it is worth a look whether anything is wrong."""
        doubted, self._unproven = self._unproven, False
        return doubted

    def found(self, problems: tuple[str, ...], now: float) -> None:
        """What is wrong with it now; empty when nothing is."""
        if problems:
            self._trouble(problems, now)
        elif self._problems and not self._unproven:
            self._well(now)

    def _trouble(self, problems: tuple[str, ...], now: float) -> None:
        self._repair_at = now + self._pause
        self._pause = min(2 * self._pause, MAX_PAUSE)
        if not self._problems and now - self._repaired_at < CALM:
            self._calm = CALM  # it was not over
        self._over_at = NEVER
        if set(problems) - self._told:
            self._told.update(problems)
            self._problems = problems
            self._tell(Blind(problems))

    def _well(self, now: float) -> None:
        self._repair_at = 0.0
        self._over_at = min(self._over_at, now + self._calm)
        if now >= self._over_at:
            self._problems, self._calm, self._pause, self._repaired_at = (), 0.0, FIRST_PAUSE, now
            self._over_at = NEVER
            self._told.clear()
            self._tell(Repaired())
