"""Calendar expressions, what we find in them, and what `systemd-analyze calendar` finds."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache

from hypothesis import strategies as st

from taskgated.core.calendar import Calendar
from taskgated.host.zones import UnknownZone, Zones
from taskgated.language.calendars import calendar

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = Zones()

Run = Callable[..., str]
"""Runs a program with these arguments and returns what it says."""


def known(zone: str) -> str:
    try:
        ZONES(zone)
    except UnknownZone as error:
        return str(error)
    return ""


@cache
def read(text: str) -> Calendar:
    return calendar(text, known)


def at(text: str) -> int:
    """Microseconds since the epoch of ``2026-10-25 01:00:00.5``, which is UTC."""
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def shown(instant: int) -> str:
    return f"{EPOCH + timedelta(microseconds=instant):%Y-%m-%d %H:%M:%S}"


def zone_of(expression: Calendar) -> tzinfo:
    return ZONES(expression.zone or "UTC")


def elapses(expression: Calendar, after: int) -> Iterator[int]:
    """All of them after that instant; in UTC where it has no zone of its own, whatever the host has."""
    found: int | None = after
    while (found := expression.following(found, zone_of(expression))) is not None:
        yield found


def asked(run: Run, text: str, after: str, number: int) -> list[str]:
    """The same by systemd: at most so many, in whole seconds, of an expression in UTC or a zone of its own."""
    out = run("systemd-analyze", "calendar", f"--base-time={after} UTC", f"--iterations={number}", text)
    found = re.findall(r"(?:Next elapse|Iter(?:ation|\.) #\d+): (?:\w+ ([\d-]+ [\d:]+) UTC|never)", out)
    assert found, out
    return [one for one in found if one]


TABLE = (
    # What the manual has as examples (systemd.time(7)).
    ("2026-02-05 10:00:00", "Thu,Fri 2012..2029-*-1,5 11:12:13"),
    ("2026-02-05 10:00:00", "Sat,Thu,Mon..Wed,Sat..Sun"),
    ("2011-02-05 10:00:00", "Mon,Sun 12-*-* 2,1:23"),
    ("2026-02-05 10:00:00", "Wed *-1"),
    ("2026-02-05 10:00:00", "Wed..Wed,Wed *-1"),
    ("2026-02-05 10:00:00", "Wed, 17:48"),
    ("2011-02-05 10:00:00", "Wed..Sat,Tue 12-10-15..31 1:2:3"),
    ("2026-02-05 10:00:00", "*-*-7 0:0:0"),
    ("2026-02-05 10:00:00", "10-15"),
    ("2026-02-05 10:00:00", "monday *-12-* 17:00"),
    ("2026-02-05 10:00:00", "Mon,Fri *-*-3,1,2 *:30:45"),
    ("2026-02-05 10:00:00", "12,14,13,12:20,10,30"),
    ("2026-02-05 10:00:00", "12..14:10,20,30"),
    ("2026-02-05 10:00:00", "mon,fri *-1/2-1,3 *:30:45"),
    ("2026-02-05 10:00:00", "03-05 08:05:40"),
    ("2026-02-05 10:00:00", "05:40"),
    ("2026-02-05 10:00:00", "Sat,Sun 08:05:40"),
    ("2003-02-05 10:00:00", "2003-03-05 05:40"),
    ("2026-02-05 10:00:00", "05:40:23.4200004/3.1700005"),
    ("2003-01-05 10:00:00", "2003-02..04-05"),
    ("2026-02-05 10:00:00", "*-02~03"),
    ("2026-02-05 10:00:00", "Mon *-05~07/1"),
    ("2026-02-05 10:00:00", "*:2/3"),
    ("2026-02-05 10:00:00", "weekly Pacific/Auckland"),
    *(("2026-02-05 10:00:00", word) for word in (
        "minutely", "hourly", "daily", "monthly", "weekly", "yearly", "annually", "quarterly", "semiannually",
        "bi-annually", "Daily UTC", "hourly utc",
    )),
    # Lists, ranges, steps and ends of months.
    ("2026-02-05 10:00:00", "Mon-Fri 22:00"),
    ("2026-02-05 10:00:00", "*-*~3..5"),
    ("2026-02-05 10:00:00", "*-*~2..7/3"),
    ("2026-02-05 10:00:00", "*-*~7/3"),
    ("2026-02-05 10:00:00", "*-*~*"),
    ("2026-02-05 10:00:00", "2~28"),
    ("2026-02-05 10:00:00", "*-*-29,31"),
    ("2026-02-05 10:00:00", "Fri *-*-13"),
    ("2026-02-05 10:00:00", "Mon *-02-29"),
    ("2026-02-05 10:00:00", "2026/4-*-1/15"),
    ("2026-02-05 10:00:00", "0..7/3,20/2:0"),
    ("2026-02-05 10:00:00", "3..5/3:0"),
    ("2026-02-05 10:00:00", "0..25/10:0"),
    ("2026-02-05 10:00:00", "*:*:0,7/10"),
    ("2026-02-05 10:00:00", "*:*:58..59.9"),
    ("2026-02-05 10:00:00", "5:0:0..20.5/5.5"),
    ("2026-02-05 10:00:00", "0:0:0.1..2.05"),
    ("2026-02-05 10:00:00", "0:0:0.9999999"),
    ("2026-02-05 10:00:00", "*:*:*"),
    ("2026-02-05 10:00:00", "@1800000000"),
    ("2026-02-05 10:00:00", "70-1-1"),
    ("2026-02-05 10:00:00", "69-1-1"),
    ("2198-02-05 10:00:00", "yearly"),
    # Never, or not any more.
    ("2026-02-05 10:00:00", "*-02-30"),
    ("2026-02-05 10:00:00", "Mon 2026-02-06"),
    ("2026-02-05 10:00:00", "2025-*-* *:*"),
    # Clocks that go forward.
    ("2026-03-28 00:10:00", "02:30 Europe/Berlin"),
    ("2026-03-29 00:10:00", "02:00 Europe/Berlin"),
    ("2026-03-29 00:10:00", "03:00 Europe/Berlin"),
    ("2026-03-29 00:10:00", "1..3:0/20 Europe/Berlin"),
    ("2026-03-28 22:10:00", "*:0/30 Europe/Berlin"),
    ("2026-10-03 14:10:00", "*:0/10 Australia/Lord_Howe"),
    ("2018-11-03 00:10:00", "00:00 America/Sao_Paulo"),
    ("2018-11-03 22:10:00", "*:30 America/Sao_Paulo"),
    ("2011-12-28 15:10:00", "12:00 Pacific/Apia"),
    ("2026-03-07 05:10:00", "Sun *:15,45 America/New_York"),
    # Clocks that are put back.
    ("2026-10-24 23:50:00", "*:0/30 Europe/Berlin"),
    ("2026-10-01 00:10:00", "*-10-25 02..03:00/30 Europe/Berlin"),
    ("2026-10-24 00:10:00", "02:30 Europe/Berlin"),
    ("2026-10-24 00:10:00", "0:30 Atlantic/Azores"),
    ("2026-04-04 14:10:00", "*:0/10 Australia/Lord_Howe"),
    ("2026-10-31 05:10:00", "Sun *:15,45 America/New_York"),
    ("2026-01-01 00:00:00", "*-*-25 2,3:0/20 Europe/Berlin"),
)  # fmt: skip
"""Each with an instant after which it is asked for, in UTC."""

REFUSED = (
    "", "Fri..Mon", "mon,,", "5:00:", "5", "2026", "*", "Mon*-*-*", "utc", "5:00 Europe/berlin", "5:00 Etc/../UTC",
    "5:00 Foo/Bar", "2026-1-1T5:00", "5:00Z", "5:00 +01:00", "25:00", "5:60", "5:5:60", "5:5:59.9999999", "5..3:0",
    "20/4:0", "~5", "2026~2~3", "*-2~29", "*-*~1/2", "*-*-0", "0:0/0", "1969-1-1", "2200-1-1", "100-1-1", "5,*:00",
    "*/5:00", "Mon..Wed..Fri", "Mon.Fri", "Monda 5:00", "5:0:0.5.5", "5:0:.5", "5:0:5.", "5 :00", "+5:00", "05:00 am",
    "@5.5", "secondly", "Mon daily", "5:0:0/60", "0/24:0", "*-1/12-1", "1..5..7:0", "1/2/3:0", "1,2,:0",
    "9999999999:0", "22:00-06:00", "*-13-1", "*-*-32", "5:00 tzdata.zi",
)  # fmt: skip
"""What is no calendar expression, and for systemd neither."""

# -- any expression --------------------------------------------------------------------------------

zones = st.sampled_from(
    ("", " UTC", " Europe/Berlin", " America/New_York", " Australia/Lord_Howe", " America/Sao_Paulo",
     " Asia/Kathmandu", " Pacific/Apia", " Europe/Dublin", " America/Havana")
)  # fmt: skip
weekdays = st.sampled_from(("", "Mon ", "Mon..Fri ", "Sat,Sun ", "Tue,Thu..Sat ", "wednesday "))


def component(low: int, high: int, fraction: bool = False) -> st.SearchStrategy[str]:
    """Series without an end are left out: where one of them steps beyond the end of a year, or into a change of the
    clock, systemd passes over what else matches (seen with 252 and 257)."""
    number = st.integers(low, high).map(str)
    if fraction:
        number |= st.tuples(number, st.from_regex(r"[0-9]{1,7}", fullmatch=True)).map(".".join)
    several = (
        st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted).filter(lambda two: two[0] < two[1])
    )
    ranges = several.map(lambda two: f"{two[0]}..{two[1]}")
    steps = st.tuples(several, st.integers(1, high)).filter(lambda given: given[1] <= given[0][1] - given[0][0])
    item = number | ranges | steps.map(lambda given: f"{given[0][0]}..{given[0][1]}/{given[1]}")
    return st.just("*") | st.lists(item, min_size=1, max_size=3).map(",".join)


dates = st.just("") | st.tuples(
    st.sampled_from(("*-", "", "2024..2030-", "2025,2027-")), component(1, 12), st.just("-"), component(1, 28)
).map(lambda parts: "".join(parts) + " ")
ends = st.tuples(st.just("*"), st.sampled_from("~"), st.integers(1, 28).map(str)).map(
    lambda parts: "".join(parts) + " "
)
times = st.tuples(component(0, 23), component(0, 59), component(0, 58, fraction=True)).map(":".join)
expressions = st.tuples(weekdays, dates | ends, times, zones).map("".join)
instants = st.integers(at("2024-01-01") // 10**6, at("2028-01-01") // 10**6).map(lambda second: second * 10**6)
