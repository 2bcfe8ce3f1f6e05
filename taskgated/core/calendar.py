"""Calendar expressions: when they elapse next, and when they last did.

What they mean is in systemd.time(7), "Calendar Events"; ``language/calendars.py`` reads them. Where clocks are put
forward or back, it is as `systemd-analyze calendar --iterations=` has it: a time of day that is skipped does not
come on that day, and one that comes twice counts the first time alone. So an expression is a set of instants, of
which ``following`` and ``latest`` are the neighbours of any other.

In three things systemd (seen with 252 and 257) is not followed, as it goes by where its search begins, or against its
own manual. Asked while clocks show a time for the second time, it counts that one as well. A step without an end that
runs beyond the end of a year or into a change of the clock makes it pass over what else matches there: of
`*-*-01,10/8` it leaves out 1 January. So does one of a fraction of a second at the end of a minute.

Instants are microseconds since the epoch. Civil times are what a clock on the wall shows, as microseconds since
1970-01-01 00:00 was shown. Every search ends, also for 30 February: no expression reaches beyond ``YEARS``.
"""

from __future__ import annotations

import calendar
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo

YEARS = range(1970, 2200)
"""Beyond these systemd has none, either (src/shared/calendarspec.c)."""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1)
_FIRST_DAY = _EPOCH.toordinal()
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Series:
    """``start``, and what follows it step by step up to ``stop``."""

    start: int
    stop: int
    step: int = 1

    def values(self) -> range:
        return range(self.start, self.stop + 1, self.step)


@dataclass(frozen=True, slots=True)
class Calendar:
    """One expression. ``text``: as it was written. ``weekdays``: 0 is Monday; ``days``: those of a month, counted
    from its last one where ``from_end``; ``micros``: into a minute. All are in ascending order, but ``micros``.
    ``zone``: the name of the time zone it is meant in; None: that of the host."""

    text: str
    weekdays: Sequence[int]
    years: Sequence[int]
    months: Sequence[int]
    days: Sequence[int]
    from_end: bool
    hours: Sequence[int]
    minutes: Sequence[int]
    micros: Sequence[Series]
    zone: str | None = None

    def following(self, instant: int, zone: tzinfo) -> int | None:
        """The first instant after that one; None: it elapses no more."""
        start = _shown(instant, zone) + 1
        while (civil := self._from(start)) is not None:
            found = civil - _offset(civil, zone)
            if _shown(found, zone) != civil:  # it is skipped, and so is all up to the change
                change = _change(civil - _offset(civil, zone, fold=1), found, zone)
                start = _shown(change, zone)
            elif found <= instant:  # it was shown before the clock was put back, and is shown again
                change = _change(found, instant, zone)
                start = _shown(change - 1, zone) + 1
            else:
                return found
        return None

    def latest(self, instant: int, zone: tzinfo) -> int | None:
        """The last instant up to that one, which may be it; None: it never elapsed before."""
        now = _shown(instant, zone)
        end = instant + _offset(now, zone)  # what would be shown if the clock had not just been put back
        while (civil := self._to(end)) is not None:
            found = civil - _offset(civil, zone)
            if _shown(found, zone) != civil:
                change = _change(civil - _offset(civil, zone, fold=1), found, zone)
                end = _shown(change - 1, zone)
            elif found > instant:  # it comes after the clock has been put back
                change = _change(now - _offset(now, zone), instant, zone)
                end = _shown(change - 1, zone)
            else:
                return found
        return None

    def elapses(self, zone: tzinfo) -> bool:
        """Whether it ever does, in the past or in the future."""
        return self.following(-DAY, zone) is not None

    def within(self, other: Calendar) -> bool:
        """Whether it is plain that it elapses only when the other does, too."""
        return (
            self.zone == other.zone
            and set(self.weekdays) <= set(other.weekdays)
            and set(self.years) <= set(other.years)
            and set(self.months) <= set(other.months)
            and (self.from_end is other.from_end or len(other.days) == 31)
            and set(self.days) <= set(other.days)
            and set(self.hours) <= set(other.hours)
            and set(self.minutes) <= set(other.minutes)
            and all(any(_within(mine, its) for its in other.micros) for mine in self.micros)
        )

    # -- civil times -----------------------------------------------------------------------------

    def _from(self, civil: int) -> int | None:
        """The first civil time of it that is not before that one."""
        day, rest = divmod(civil, DAY)
        for found in self._dates(day, 1):
            time = self._time_from(rest if found == day else 0)
            if time is not None:
                return found * DAY + time
        return None

    def _to(self, civil: int) -> int | None:
        """The last civil time of it that is not after that one."""
        day, rest = divmod(civil, DAY)
        for found in self._dates(day, -1):
            time = self._time_to(rest if found == day else DAY - 1)
            if time is not None:
                return found * DAY + time
        return None

    def _dates(self, day: int, direction: int) -> Iterator[int]:
        """The days of it, counted from 1970-01-01: that one and those after it, or, with -1, that one and those
        before it."""
        first = date.fromordinal(_FIRST_DAY + day)
        for year in _onward(self.years, first.year, direction):
            here = year == first.year
            for month in _onward(self.months, first.month, direction) if here else self.months[::direction]:
                weekday, length = calendar.monthrange(year, month)
                days = [length + 1 - n for n in reversed(self.days)] if self.from_end else self.days
                for number in (
                    _onward(days, first.day, direction) if here and month == first.month else days[::direction]
                ):
                    if 1 <= number <= length and (weekday + number - 1) % 7 in self.weekdays:
                        yield date(year, month, number).toordinal() - _FIRST_DAY

    def _time_from(self, rest: int) -> int | None:
        """The first time of day of it from that one on; both in microseconds since midnight."""
        for hour in _onward(self.hours, rest // HOUR, 1):
            for minute in self.minutes:
                start = hour * HOUR + minute * MINUTE
                if start + MINUTE <= rest:
                    continue
                after = max(0, rest - start)
                found = [micro for series in self.micros if (micro := _up(series, after)) is not None]
                if found:
                    return start + min(found)
        return None

    def _time_to(self, rest: int) -> int | None:
        """The last time of day of it up to that one."""
        for hour in _onward(self.hours, rest // HOUR, -1):
            for minute in self.minutes[::-1]:
                start = hour * HOUR + minute * MINUTE
                if start > rest:
                    continue
                before = min(MINUTE - 1, rest - start)
                found = [micro for series in self.micros if (micro := _down(series, before)) is not None]
                if found:
                    return start + max(found)
        return None


def _onward(values: Sequence[int], first: int, direction: int) -> Sequence[int]:
    """Of ascending values those from ``first`` on, or, with -1, those up to it, the last one first."""
    return values[bisect_left(values, first) :] if direction > 0 else values[: bisect_right(values, first)][::-1]


def _up(series: Series, least: int) -> int | None:
    """The first of them that is at least so much."""
    steps = max(0, -((series.start - least) // series.step))
    found = series.start + steps * series.step
    return found if found <= series.stop else None


def _down(series: Series, most: int) -> int | None:
    """The last of them that is at most so much."""
    steps = (min(series.stop, most) - series.start) // series.step
    return series.start + steps * series.step if steps >= 0 else None


def _within(mine: Series, its: Series) -> bool:
    """Whether each of the one is among the other."""
    values, others = mine.values(), its.values()
    return values[0] in others and values[-1] in others and (len(values) == 1 or mine.step % its.step == 0)


# -- time zones ----------------------------------------------------------------------------------


def _shown(instant: int, zone: tzinfo) -> int:
    """The civil time at an instant."""
    moment = (_EPOCH + instant * _MICROSECOND).replace(tzinfo=UTC).astimezone(zone)
    return (moment.replace(tzinfo=None) - _EPOCH) // _MICROSECOND


def _offset(civil: int, zone: tzinfo, fold: int = 0) -> int:
    """How far the civil time is before UTC, in microseconds: as it was before a change of the clock where it is shown
    twice or not at all, as it is after it with a ``fold`` (PEP 495)."""
    moment = (_EPOCH + civil * _MICROSECOND).replace(tzinfo=zone, fold=fold)
    return (moment.utcoffset() or timedelta()) // _MICROSECOND


def _change(before: int, after: int, zone: tzinfo) -> int:
    """The first instant at which clocks are not any more what they were at ``before``; they are other ones at
    ``after``."""
    offset = _shown(before, zone) - before
    while after - before > 1:
        middle = (before + after) // 2
        if _shown(middle, zone) - middle == offset:
            before = middle
        else:
            after = middle
    return after
