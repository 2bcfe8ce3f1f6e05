"""Moments and signals as the dialects write them."""

from __future__ import annotations

import re
import signal
from datetime import date, datetime, time, timedelta

from taskgated.language.declare import Mismatch
from taskgated.language.foreign.wishes import Given, Wishes
from taskgated.text import quoted

_UNITS = {"": 1, "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_NOW = re.compile(r"now\s*(?:\+\s*([0-9]{1,9})\s*([a-z]*))?", re.IGNORECASE)
_NAMED = {"midnight": time(0), "elevenses": time(11), "noon": time(12), "fika": time(15), "teatime": time(16)}
_CLOCK = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?\s*([ap]m)?", re.IGNORECASE)
_DATES = (
    (re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"), (0, 1, 2)),
    (re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{2,4})"), (2, 0, 1)),
    (re.compile(r"([0-9]{2})([0-9]{2})([0-9]{2})"), (2, 0, 1)),
)
_BETWEEN = re.compile(r"(?<![Tt\s])[Tt\s]++(?=[0-9])|(?<!\s)\s++(?![AaPp][Mm]\b)")
"""What stands between a day and a time. It begins at the first of its characters alone and gives none of them back,
so that a long run of them is gone through once."""
_NO_YEAR = re.compile(r"([0-9]{1,2})/([0-9]{1,2})")


def signal_name(text: str) -> str:
    """``USR1`` of ``USR1``, ``sigusr1`` or ``10``."""
    try:
        found = (
            signal.Signals(int(text)) if text.isdigit() else signal.Signals[f"SIG{text.upper().removeprefix('SIG')}"]
        )
    except (KeyError, ValueError):
        raise Mismatch(f"there is no signal {quoted(text)}") from None
    return found.name.removeprefix("SIG")


def slurm_begin(given: Given, wishes: Wishes) -> None:
    """sbatch(1), ``--begin``."""
    text = given.value.strip()
    if match := _NOW.fullmatch(text):
        unit = (match[2] or "").lower().removesuffix("s")
        unit = next((name for name in _UNITS if name and unit and name.startswith(unit)), unit)
        if unit not in _UNITS:
            raise Mismatch(f"{quoted(match[2])} is no unit of time", "seconds, minutes, hours, days or weeks")
        wishes.unsay("delay", "not_before")
        if match[1]:
            wishes.say("delay", given, f"{int(match[1]) * _UNITS[unit]}s")
        return
    moment = _slurm_moment(text, wishes.now)
    if moment is None:
        raise Mismatch(f"expected a time such as 16:00, 2027-01-31T02:00 or now+1hour, not {quoted(text)}")
    _not_before(moment, given, wishes)


def _slurm_moment(text: str, now: datetime) -> datetime | None:
    """A day, a time of day, or both; a time alone that is over is that of tomorrow."""
    words = [word for word in _BETWEEN.split(text) if word]
    day: date | None = None
    at: time | None = None
    no_year = False
    for word in words:
        if (found := _time_of_day(word)) is not None and at is None:
            at = found
        elif day is None and word.lower() in ("today", "tomorrow"):
            day = now.date() + timedelta(days=word.lower() == "tomorrow")
        elif day is None and (match := _NO_YEAR.fullmatch(word)):
            day, no_year = _date(now.year, int(match[1]), int(match[2])), True
        elif day is None and (whole := _whole_date(word)):
            day = whole
        else:
            return None
    if not words:
        return None
    moment = datetime.combine(day or now.date(), at or time(0))
    if day is None and moment <= now:
        moment += timedelta(days=1)
    if no_year and moment <= now:
        moment = datetime.combine(_date(now.year + 1, moment.month, moment.day), at or time(0))
    return moment


def _time_of_day(word: str) -> time | None:
    if word.lower() in _NAMED:
        return _NAMED[word.lower()]
    if not (match := _CLOCK.fullmatch(word)):
        return None
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    if half := (match[4] or "").lower():
        hour = hour % 12 + 12 * (half == "pm")
    try:
        return time(hour, minute, second)
    except ValueError:
        return None


def _whole_date(word: str) -> date | None:
    for form, (year, month, day) in _DATES:
        if match := form.fullmatch(word):
            parts = [int(part) for part in match.groups()]
            return _date(parts[year] + 2000 * (parts[year] < 100), parts[month], parts[day])
    return None


def _date(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise Mismatch(f"there is no day {year:04}-{month:02}-{day:02}") from None


_DIGITS = re.compile(r"((?:[0-9]{2}){2,6})(?:\.([0-9]{2}))?")


def digits_begin(given: Given, wishes: Wishes) -> None:
    """``[[[[CC]YY]MM]DD]hhmm[.SS]`` of qsub(1B), ``-a``: what is left out is that of the next such moment."""
    match = _DIGITS.fullmatch(given.value)
    if match is None:
        raise Mismatch(f"expected [[[[CC]YY]MM]DD]hhmm[.SS], not {quoted(given.value)}")
    digits, now = match[1], wishes.now
    pairs = [int(digits[at : at + 2]) for at in range(0, len(digits), 2)]
    hour, minute = pairs[-2:]
    second = int(match[2] or 0)
    day, month = (pairs[-3] if len(pairs) > 2 else None), (pairs[-4] if len(pairs) > 3 else None)
    year = None if len(pairs) < 5 else pairs[0] * 100 + pairs[1] if len(pairs) == 6 else 2000 + pairs[0]
    try:
        at = time(hour, minute, second)
    except ValueError:
        raise Mismatch(f"there is no time of day {hour:02}:{minute:02}:{second:02}") from None
    moment = datetime.combine(_date(year or now.year, month or now.month, day or now.day), at)
    if moment <= now and year is None:
        if day is None:
            moment += timedelta(days=1)
        elif month is None:
            months = now.year * 12 + now.month  # of the next month
            moment = datetime.combine(_date(months // 12, months % 12 + 1, day), at)
        else:
            moment = datetime.combine(_date(now.year + 1, month, day), at)
    _not_before(moment, given, wishes)


def _not_before(moment: datetime, given: Given, wishes: Wishes) -> None:
    """A local time; its offset is that of the moment itself."""
    wishes.unsay("delay", "not_before")
    wishes.say("not_before", given, moment.isoformat())
