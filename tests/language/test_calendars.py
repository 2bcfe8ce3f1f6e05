"""Calendar expressions: they mean what they mean to systemd, whose own tool is asked."""

from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta
from itertools import islice

import pytest
from hypothesis import HealthCheck, given, settings

from taskgated.core.calendar import Calendar
from tests.env.calendars import EPOCH, REFUSED, TABLE, asked, at, elapses, expressions, instants, read, shown, zone_of

MOST = 12
"""So many are compared of each expression."""

oracle = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")


def run(*command: str) -> str:
    """What a program says on standard output; systemd in UTC."""
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TZ": "UTC"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env).stdout


@oracle
@pytest.mark.parametrize(("after", "text"), TABLE)
def test_it_elapses_when_systemd_says(after: str, text: str) -> None:
    ours = [shown(found) for found in islice(elapses(read(text), at(after)), MOST)]
    assert ours == asked(run, text, after, MOST)


@oracle
@pytest.mark.parametrize("text", REFUSED)
def test_systemd_refuses_the_same(text: str) -> None:
    assert subprocess.run(["systemd-analyze", "calendar", text], capture_output=True, check=False).returncode != 0


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read(text)


# -- any expression --------------------------------------------------------------------------------


def twice(text: str, instant: int) -> bool:
    """Whether clocks show that time for the second time."""
    return bool((EPOCH + timedelta(microseconds=instant)).astimezone(zone_of(read(text))).fold)


@oracle
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(expressions, instants)
def test_any_expression_elapses_when_systemd_says(text: str, after: int) -> None:
    if twice(text, after):  # there systemd counts on from the second time, and so finds what had elapsed
        return
    ours = [shown(found) for found in islice(elapses(read(text), after), MOST)]
    assert ours == asked(run, text, shown(after), MOST)


# -- what is said of it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("25:00", "25 is no hour: they are 0 to 23"),
        ("5:60", "60 is no minute: they are 0 to 59"),
        ("0:0:60", "60 is no second: they are 0 to 59"),
        ("*-13-1", "13 is no month: they are 1 to 12"),
        ("*-*~29", "29 is no day before the end of a month: they are 1 to 28"),
        ("Fri..Mon 5:00", "Fri..Mon ends before it begins: a week begins with Monday, so write two ranges"),
        ("5..3:00", "5..3 ends before it begins"),
        ("0/24:00", "0/24: it has no step that fits into 0 to 23"),
        ("20/4:00", "20/4: nothing follows after the first hour"),
        ("*-*~3/3", "3/3: no day of the month is 3 days after that one"),
        ("hurly", "'hurly' is no weekday (did you mean 'hourly'?)"),
        ("5:00 Europe/berlin", "there is no time zone 'Europe/berlin': did you mean Europe/Berlin?"),
        ("5:00 CEST", "there is no time zone 'CEST': write a name such as Europe/Berlin"),
        ("6am", "'6am' is neither weekdays, nor a date, nor a time of day"),
        ("", "expected a calendar expression such as 'Mon..Fri 22:00' or '*-*-01 06:00 Europe/Berlin'"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(text)
    assert str(caught.value) == said


def test_a_long_list_of_numbers_takes_no_long_time() -> None:
    with pytest.raises(ValueError):
        read("1," * 100_000 + "1:00")
    with pytest.raises(ValueError):
        read(f"{'9' * 150}:00")


def test_blanks_around_it_do_not_matter() -> None:
    def meant(text: str) -> tuple[object, ...]:
        one: Calendar = read(text)
        return one.weekdays, one.hours, one.minutes, one.zone

    assert meant("  Mon   5:00  Europe/Berlin ") == meant("Mon 5:00 Europe/Berlin")
