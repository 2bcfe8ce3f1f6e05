"""How many jobs of a queue may start within a time: ``rate: {starts: 10, per: 1min, burst: 3}``.

Two promises, for any moments whatever:

- In any span of the length ``per`` (its end not counted) at most ``starts`` jobs start.
- At most ``burst`` of them start back to back: in any span of the length T at most ``burst + T * starts / per``.
  Where ``burst`` is ``starts``, which it is unless it is said, that follows from the first.

A bucket that fills evenly (the generic cell rate algorithm, ITU-T I.371) keeps the second alone: full at the end of a
quiet time, it lets nearly ``2 * starts`` through within ``per``. So the moments of the last starts are remembered as
well. Of more than ``EXACT`` starts only the hundredth of ``per`` in which they were, at whose end they are taken to
have been: the promise is the same, and up to a hundredth of ``per`` is lost.

A start counts from the moment at which it is decided, and as of the one at which its worker is told: what is decided
and not told yet (``under_way``) counts as of now, however long a disk takes to record it. Times are microseconds of
one clock that never goes back, but for a power cut: what is remembered then of a moment that has not come counts as
of now. What is known of another ``rate`` of the queue, before a reload, counts by this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from taskgated.core.plain import read

EXACT = 100
"""So many moments are remembered as they are."""
SECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """``per``: seconds. ``burst``: None is ``starts``."""

    starts: int
    per: float
    burst: int | None = None

    @property
    def span(self) -> int:
        """``per`` in microseconds."""
        return int(self.per * SECOND)

    @property
    def interval(self) -> int:
        """Microseconds from one start to the next, once a burst is used up."""
        return -(-self.span // self.starts)

    @property
    def at_once(self) -> int:
        return self.starts if self.burst is None else self.burst

    def at(self, moment: int) -> int:
        """The moment as of which a start then is remembered."""
        grain = 1 if self.starts <= EXACT else max(1, self.span // EXACT)
        return -(-moment // grain) * grain


@dataclass(frozen=True, slots=True)
class Pace:
    """What is remembered of the starts of a queue. ``begun``: moments, and how many started then, the first first;
    ``full``: when the whole burst may start again; ``under_way``: how many are decided, and not told yet."""

    begun: tuple[tuple[int, ...], ...] = ()
    full: int = 0
    under_way: int = 0

    def free(self, rate: Rate, now: int) -> tuple[int, int | None]:
        """How many more may start now, and the moment from which more may; None: that depends on no moment."""
        begun = list(self._counted(rate, now))
        left = rate.starts - sum(number for _, number in begun)
        again = begun[0][0] + rate.span if begun else None
        if rate.at_once < rate.starts:
            spent = max(0, -(-(self.full - now) // rate.interval))
            of_burst = rate.at_once - spent
            if of_burst <= left:
                then = self.full - (spent - 1) * rate.interval if spent else None
                again = then if of_burst < left else max(again or 0, then or 0) or None
                left = of_burst
        return max(0, left - self.under_way), again

    def decided(self) -> Pace:
        """One more is to start."""
        return replace(self, under_way=self.under_way + 1)

    def refused(self) -> Pace:
        """One that was decided does not start."""
        return replace(self, under_way=max(0, self.under_way - 1))

    def told(self, rate: Rate, now: int) -> Pace:
        """One that was decided starts now."""
        return replace(self._begin(rate, now, 1), under_way=max(0, self.under_way - 1))

    def _begin(self, rate: Rate, now: int, number: int) -> Pace:
        full = max(self.full, now) + number * rate.interval
        begun = [*self._counted(rate, now)]
        at = rate.at(now)
        if begun and begun[-1][0] >= at:
            at, before = begun.pop()
            number += before
        return Pace((*begun, (at, number)), full, self.under_way)

    def _counted(self, rate: Rate, now: int) -> Iterator[tuple[int, int]]:
        """Those of the last span."""
        return ((moment, number) for moment, number in self.begun if moment + rate.span > now)


def unknown(rate: Rate, now: int) -> Pace:
    """When it is lost what was: as if all that may start had done so just now."""
    return Pace(((rate.at(now), rate.starts),), now + rate.at_once * rate.interval)


def revived(known: object, rate: Rate, now: int) -> Pace:
    """What an earlier daemon has remembered. What it had not told, or could not say that it had, counts as of now.
    Raises ``ValueError`` for what is no ``Pace``."""
    pace = read(Pace, known)
    if any(len(one) != 2 or min(one) < 0 for one in pace.begun) or min(pace.full, pace.under_way) < 0:
        raise ValueError("it is none of ours")
    if any(one[0] > other[0] for one, other in zip(pace.begun, pace.begun[1:], strict=False)):
        raise ValueError("its moments are in no order")
    begun = tuple((min(moment, rate.at(now)), number) for moment, number in pace.begun)
    full = min(pace.full, now + rate.at_once * rate.interval)
    pace = Pace(begun, full)
    return pace._begin(rate, now, under_way) if (under_way := read(Pace, known).under_way) else pace
