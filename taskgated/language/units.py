"""Durations and sizes as systemd writes them (systemd.time(7), systemd.syntax(7)), and times (RFC 3339).

Every function raises ``ValueError`` with a sentence for people.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta

_DURATIONS = {
    "us": 1e-6, "usec": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "msec": 1e-3,
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hrs": 3600, "hour": 3600, "hours": 3600,
    "d": 86400, "day": 86400, "days": 86400,
    "w": 604800, "week": 604800, "weeks": 604800,
    "month": 2629800, "months": 2629800, "y": 31557600, "year": 31557600, "years": 31557600,
}  # fmt: skip
_SIZES = {"": 1, "B": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40, "P": 2**50, "E": 2**60}
_NUMBER = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµμ]*)")
_CLOCK = re.compile(r"(?:([0-9]{1,4})-)?([0-9]{1,5}):([0-5][0-9])(?::([0-5][0-9]))?")
"""As Slurm, PBS and others write a time limit: hours, minutes and seconds, with days in front or without."""
_DAYS = re.compile(r"([0-9]{1,4})-([0-9]{1,2})")
_SIZE = re.compile(r"\s*([0-9]{1,30})(?:\.([0-9]{1,30}))?\s*(?:([BKMGTPE]?)|([KMGTPE])iB|([kmgtpe]))\s*")
_EITHER = re.compile(r"\s*([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*([KMGTPE])i?b\s*", re.IGNORECASE)
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONGEST = 100 * 365 * 86400.0
"""Seconds; what is longer is a slip of the keyboard."""


def duration(text: str) -> float:
    """Seconds of ``90s``, ``2h 30min``, ``1.5h``, ``500ms``; a bare number is seconds. Also of ``00:30:00`` and
    ``1-12:00``, which mean the same everywhere, unlike ``30:00``."""
    total, at = 0.0, 0
    stripped = text.strip()
    if match := _CLOCK.fullmatch(stripped):
        return _clock(*match.groups())
    if match := _DAYS.fullmatch(stripped):
        raise ValueError(f"'{stripped}' is no duration: for days and hours write {int(match[1])}d {int(match[2])}h")
    while at < len(stripped):
        match = _NUMBER.match(stripped, at)
        if match is None:
            raise ValueError("expected a duration such as 90s or 2h 30min")
        factor = _DURATIONS.get(match[2] or "s")
        if factor is None:
            lower = match[2].lower()
            known = f"write {lower}" if lower in _DURATIONS and lower != "m" else "us ms s min h d w month y"
            raise ValueError(f"unknown unit of time '{match[2]}' ({known})")
        if not match[2] and match[0] != stripped:
            raise ValueError(f"'{match[1]}' has no unit of time (us ms s min h d w month y)")
        total += float(match[1]) * factor
        at = match.end()
    if not stripped:
        raise ValueError("expected a duration such as 90s or 2h 30min")
    if not math.isfinite(total) or total > LONGEST:
        raise ValueError("longer than a hundred years")
    return total


def _clock(days: str | None, first: str, second: str, third: str | None) -> float:
    if days is None and third is None:
        minutes, hours = int(first) * 60 + int(second), int(first) * 3600 + int(second) * 60
        either = f"{format_duration(minutes)} or {format_duration(hours)}"
        raise ValueError(f"'{first}:{second}' may be minutes or hours: write {either}")
    if days is not None and int(first) > 23:
        raise ValueError(f"'{days}-{first}:{second}' has more than 23 hours beside its days")
    return float(int(days or 0) * 86400 + int(first) * 3600 + int(second) * 60 + int(third or 0))


def size(text: str) -> int:
    """Bytes of ``4G``, ``16M``, ``1024``; to the base of 1024. Also of ``4g`` and ``4GiB``, but not of ``4GB``, which
    is to the base of 1000 for some."""
    match = _SIZE.fullmatch(text)
    if match is None:
        if either := _EITHER.fullmatch(text):
            written = f"{either[1]}{either[2].upper()}"
            raise ValueError(f"'{text.strip()}' is no size: write {written}, which is to the base of 1024")
        raise ValueError("expected a size such as 512K, 16M or 4G")
    whole, fraction, *units = match.groups()
    unit = next((found for found in units if found), "").upper()
    value = int(whole) * _SIZES[unit]
    if fraction:
        value += int(fraction) * _SIZES[unit] // 10 ** len(fraction)
    if value >= 2**62:
        raise ValueError("larger than any disk")
    return value


def format_duration(seconds: float) -> str:
    """What ``duration`` reads back as the same number of milliseconds. Days are not made weeks: 30d says more to
    people than 4w 2d."""
    left = round(seconds * 1000)
    parts = []
    for unit, worth in (
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("min", 60_000),
        ("s", 1000),
        ("ms", 1),
    ):
        number, left = divmod(left, worth)
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts) or "0s"


def format_size(number: int) -> str:
    """Exact: the largest unit that divides it."""
    for unit in ("T", "G", "M", "K"):
        if number and number % _SIZES[unit] == 0:
            return f"{number // _SIZES[unit]}{unit}"
    return str(number)


def format_size_about(number: int) -> str:
    """For people, with one decimal, in the largest unit of which there is one."""
    unit = next((unit for unit in ("T", "G", "M", "K") if number >= _SIZES[unit]), "")
    return f"{number / _SIZES[unit]:.1f}{unit}" if unit else str(number)


def timestamp(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 time; without an offset it is local time."""
    try:
        if not _TIME.fullmatch(text):
            raise ValueError
        return (datetime.fromisoformat(text.upper()).astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, OverflowError, OSError):
        raise ValueError("expected a time such as 2027-01-31T02:00:00+01:00") from None
