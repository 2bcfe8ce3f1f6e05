"""Calendar expressions as people write them (systemd.time(7), "Calendar Events"): reading them.

All that `systemd-analyze calendar` takes is taken, in the same meaning, with one exception: the abbreviation of a
time zone such as CEST, with which systemd finds no time at all on many days, is refused where it is not the name of a
zone as well. Some more is taken: blanks around the expression, a range of one second (`5..5`), and lists of days
before the end of a month.

``ValueError`` has a sentence for people.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from taskgated.core.calendar import MINUTE, SECOND, YEARS, Calendar, Series
from taskgated.language.declare import nearest
from taskgated.text import quoted

LONGEST = 200
_WORDS = {
    "minutely": "*:*",
    "hourly": "*:00",
    "daily": "00:00",
    "weekly": "Mon 00:00",
    "monthly": "*-*-01",
    "quarterly": "*-01,04,07,10-01",
    "semiannually": "*-01,07-01",
    "semi-annually": "*-01,07-01",
    "biannually": "*-01,07-01",
    "bi-annually": "*-01,07-01",
    "yearly": "*-01-01",
    "annually": "*-01-01",
    "anually": "*-01-01",  # a slip that systemd takes, too
}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_ABBREVIATED = {
    "di": "Tue", "mi": "Wed", "do": "Thu", "so": "Sun",
    "mar": "Tue", "mer": "Wed", "jeu": "Thu", "ven": "Fri", "sam": "Sat", "dim": "Sun", "lun": "Mon",
    "mie": "Wed", "jue": "Thu", "vie": "Fri", "sab": "Sat", "dom": "Sun", "mit": "Wed", "don": "Thu", "fre": "Fri",
    "die": "Tue", "son": "Sun", "tues": "Tue", "thur": "Thu", "thurs": "Thu", "weds": "Wed",
}  # fmt: skip
"""Weekdays as German, French, Italian and Spanish abbreviate them, where none of the English ones begins so."""
_ANY = r"\*|[0-9][0-9.,/]*"
_DATE = re.compile(rf"(?:({_ANY})-)?({_ANY})([-~])({_ANY})")
_TIME = re.compile(rf"({_ANY}):({_ANY})(?::({_ANY}))?")
_ITEM = re.compile(r"([0-9]+)(?:\.\.([0-9]+))?(?:/([0-9]+))?")
_SECONDS = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:\.\.([0-9]+(?:\.[0-9]+)?))?(?:/([0-9]+(?:\.[0-9]+)?))?")
_STAMP = re.compile(r"@([0-9]{1,10})")
_NO_CALENDAR = "expected a calendar expression such as 'Mon..Fri 22:00' or '*-*-01 06:00 Europe/Berlin'"


def calendar(text: str, known: Callable[[str], str]) -> Calendar:
    """``known``: what is wrong with the name of a time zone, in words; "" if there is one of that name."""
    words = text.split()
    if not words or len(text) > LONGEST:
        raise ValueError(_NO_CALENDAR)
    zone = None
    if len(words) > 1 and words[-1][0].isalpha() and not _is_weekday(words[-1].partition(",")[0]):
        zone = words.pop()
        zone = "UTC" if zone.upper() == "UTC" else zone
        if wrong := known(zone):
            raise ValueError(wrong)
    if len(words) == 1 and (meant := _WORDS.get(words[0].lower())):
        words = meant.split()
    weekdays: Sequence[int] = range(7)
    if words[0][0].isalpha():
        weekdays = _weekdays(words.pop(0))
    date, time = None, None
    if words and (stamp := _STAMP.fullmatch(words[0])):
        date, time, zone = *_moment(int(stamp[1])), "UTC"
        words.pop(0)
    if words and date is None and (date := _DATE.fullmatch(words[0])):
        words.pop(0)
    if words and time is None and (time := _TIME.fullmatch(words[0])):
        words.pop(0)
    if words:
        raise ValueError(f"{quoted(words[0])} is neither weekdays, nor a date, nor a time of day")
    year, month, end, day = ("*", "*", "-", "*") if date is None else (part or "*" for part in date.groups())
    hour, minute, second = ("0", "0", "0") if time is None else (part or "0" for part in time.groups())
    from_end = end == "~" and day != "*"
    return Calendar(
        text,
        weekdays,
        _numbers(year, "year", YEARS[0], YEARS[-1], _year),
        _numbers(month, "month", 1, 12),
        _days_from_end(day) if from_end else _numbers(day, "day of a month", 1, 31),
        from_end,
        _numbers(hour, "hour", 0, 23),
        _numbers(minute, "minute", 0, 59),
        _micros(second),
        zone,
    )


def _moment(stamp: int) -> tuple[re.Match[str] | None, re.Match[str] | None]:
    """A time since the epoch, in seconds, as a date and a time of day."""
    moment = datetime.fromtimestamp(stamp, UTC)
    return _DATE.fullmatch(f"{moment:%Y-%m-%d}"), _TIME.fullmatch(f"{moment:%H:%M:%S}")


# -- weekdays ------------------------------------------------------------------------------------


def _is_weekday(word: str) -> bool:
    return _weekday(word.partition("..")[0]) is not None


def _weekday(word: str) -> int | None:
    """0 is Monday."""
    known = (number for number, name in enumerate(_WEEKDAYS) if word.lower() in (name, name[:3]))
    return next(known, None)


def _weekdays(text: str) -> Sequence[int]:
    found: set[int] = set()
    for item in text.removesuffix(",").split(","):
        first, _, last = item.partition(".." if ".." in item else "-")
        days = [_weekday(first), _weekday(last or first)]
        if days[0] is None or days[1] is None:
            hint = _english(item) or (nearest(text.lower(), tuple(_WORDS)) if text == item else "")
            raise ValueError(f"{quoted(item)} is no weekday" + f" ({hint})" * bool(hint))
        if days[0] > days[1]:
            raise ValueError(f"{item} ends before it begins: a week begins with Monday, so write two ranges")
        found |= set(range(days[0], days[1] + 1))
    return tuple(sorted(found))


def _english(item: str) -> str:
    """How a weekday or a range of them is written that has other abbreviations: two letters, or those of a few other
    languages; "" if it is none."""
    names = re.split(r"\.\.|-", item.lower())
    days = [
        next((day[:3].title() for day in _WEEKDAYS if len(name) > 1 and day.startswith(name)), "") for name in names
    ]
    days = [day or _ABBREVIATED.get(name, "") for day, name in zip(days, names, strict=True)]
    return f"write {'..'.join(days)}" if len(days) <= 2 and all(days) else ""


# -- numbers -------------------------------------------------------------------------------------


def _year(number: int) -> int:
    """Of a year with two digits."""
    return number + 2000 if number < 70 else number + 1900 if number < 100 else number


def _numbers(
    text: str, what: str, low: int, high: int, meant: Callable[[int], int] = lambda number: number
) -> Sequence[int]:
    """All that a component says, in ascending order."""
    if text == "*":
        return range(low, high + 1)
    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"{quoted(item)} is no {what}")
        first, last, step = (None if number is None else int(number[:10]) for number in match.groups())
        series = _series(item, what, low, high, meant(first or 0), None if last is None else meant(last), step)
        found |= set(series.values())
    return tuple(sorted(found))


def _days_from_end(text: str) -> Sequence[int]:
    """Days of a month counted from its last, which is 1: ``7/3`` is the seventh last and each third day after it."""
    found: set[int] = set()
    for item in text.split(","):
        match = _ITEM.fullmatch(item)
        if match is not None and match[2] is None and match[3] is not None:
            first, step = int(match[1][:10]), int(match[3][:10])
            _between(first, "day before the end of a month", 1, 28)
            if not 0 < step < first:
                raise ValueError(f"{item}: no day of the month is {step} days after that one")
            found |= set(range(first, 0, -step))
        else:
            found |= set(_numbers(item, "day before the end of a month", 1, 28))
    return tuple(sorted(found))


def _micros(text: str) -> Sequence[Series]:
    if text == "*":
        return (Series(0, MINUTE - SECOND, SECOND),)
    found: dict[Series, None] = {}
    for item in text.split(","):
        match = _SECONDS.fullmatch(item)
        if match is None:
            raise ValueError(f"{quoted(item)} is no second")
        first, last, step = (None if number is None else _parts(number) for number in match.groups())
        found[_series(item, "second", 0, MINUTE - 1, first or 0, last, step, SECOND)] = None
    return tuple(found)


def _parts(number: str) -> int:
    """Microseconds, rounded."""
    whole, _, fraction = number.partition(".")
    return int(whole[:10]) * SECOND + (int(fraction[:7].ljust(7, "0")) + 5) // 10


def _series(
    item: str, what: str, low: int, high: int, first: int, last: int | None, step: int | None, unit: int = 1
) -> Series:
    """``unit``: what a range goes by where no step is said."""
    _between(first, what, low, high, unit)
    if step is not None and not 0 < step <= high - low:
        raise ValueError(f"{item}: it has no step that fits into {low // unit} to {high // unit}")
    if last is None:
        if step is None:
            return Series(first, first)
        if first + step > high:
            raise ValueError(f"{item}: nothing follows after the first {what}")
        return Series(first, high, step)
    if last < first:
        raise ValueError(f"{item} ends before it begins")
    reached = last - (last - first) % (step or unit)
    _between(reached, what, low, high, unit)
    return Series(first, reached, step or unit)


def _between(number: int, what: str, low: int, high: int, unit: int = 1) -> None:
    if not low <= number <= high:
        shown = f"{number / unit:g}" if unit > 1 else str(number)
        raise ValueError(f"{shown} is no {what}: they are {low // unit} to {high // unit}")
