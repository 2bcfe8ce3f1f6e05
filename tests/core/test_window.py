"""Time windows: open when the last ``opens`` is later than the last ``closes``."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from taskgated.core.window import AtClose, View, Window, look, opens_ever
from tests.env.calendars import ZONES, at, read, shown

NIGHTS = ("Mon..Fri 22:00 UTC", "06:00 UTC")
"""2026-11-27 is a Friday."""


def window(opens: str, closes: str, at_close: AtClose = AtClose.LEAVE) -> Window:
    return Window(read(opens), read(closes), at_close)


def view(now: str, *windows: tuple[str, str] | Window) -> View:
    return look([one if isinstance(one, Window) else window(*one) for one in windows], at(now), ZONES)


def until(view: View) -> str | None:
    return None if view.until is None else shown(view.until)


class TestOne:
    @pytest.mark.parametrize(
        ("now", "is_open", "changes"),
        [
            ("2026-11-27 21:59:59", False, "2026-11-27 22:00:00"),
            ("2026-11-27 22:00:00", True, "2026-11-28 06:00:00"),
            ("2026-11-28 05:59:59", True, "2026-11-28 06:00:00"),
            ("2026-11-28 06:00:00", False, "2026-11-30 22:00:00"),
            ("2026-11-30 21:00:00", False, "2026-11-30 22:00:00"),
        ],
    )
    def test_nights(self, now: str, is_open: bool, changes: str) -> None:
        found = view(now, NIGHTS)
        assert (found.open, until(found)) == (is_open, changes)
        assert (found.opens is None) is is_open
        assert found.opens in (None, found.until)

    def test_it_may_have_opened_long_ago(self) -> None:
        found = view("2026-11-27 12:00", ("*-01-01 UTC", "*-12-31 UTC"))
        assert (found.open, until(found), shown(found.since or 0)) == (
            True, "2026-12-31 00:00:00", "2026-01-01 00:00:00",
        )  # fmt: skip

    def test_before_the_first_time_it_is_closed(self) -> None:
        found = view("2026-11-27 12:00", ("2026-11-28 06:00 UTC", "2026-11-29 UTC"))
        assert (found.open, until(found), found.since) == (False, "2026-11-28 06:00:00", None)

    def test_after_the_last_time_it_is_closed_for_good(self) -> None:
        found = view("2026-11-30 12:00", ("2026-11-28 06:00 UTC", "2026-11-29 UTC"))
        assert (found.open, found.until, found.opens) == (False, None, None)

    def test_what_is_not_closed_any_more_stays_open(self) -> None:
        found = view("2026-11-30 12:00", ("2026-11-28 06:00 UTC", "2026-11-27 UTC"))
        assert (found.open, found.until) == (True, None)

    def test_at_the_same_time_it_closes(self) -> None:
        """On Saturdays it would open as it closes."""
        found = view("2026-11-28 12:00", ("12:00 UTC", "Sat 12:00 UTC"))
        assert (found.open, until(found)) == (False, "2026-11-29 12:00:00")
        found = view("2026-11-28 11:00", ("12:00 UTC", "Sat 12:00 UTC"))
        assert (found.open, until(found)) == (True, "2026-11-28 12:00:00")

    def test_openings_that_are_closings_cost_no_more_than_so_much(self) -> None:
        found = view("2026-11-27 12:00", ("*:*:0/0.001 UTC", "*:*:0/0.0005 UTC"))
        assert not found.open
        assert found.until is not None and found.until > at("2026-11-27 12:00")

    def test_each_end_has_its_zone(self) -> None:
        found = view("2026-11-27 12:00", ("08:00 America/New_York", "08:00 Asia/Tokyo"))
        assert (found.open, until(found)) == (False, "2026-11-27 13:00:00")
        found = view("2026-11-27 13:00", ("08:00 America/New_York", "08:00 Asia/Tokyo"))
        assert (found.open, until(found)) == (True, "2026-11-27 23:00:00")

    def test_clocks_that_go_forward(self) -> None:
        """02:30 does not come on 29 March, so it closes the day after."""
        berlin = ("01:00 Europe/Berlin", "02:30 Europe/Berlin")
        found = view("2026-03-29 12:00", berlin)
        assert (found.open, until(found)) == (True, "2026-03-30 00:30:00")

    def test_clocks_that_are_put_back(self) -> None:
        """What has closed does not open again because clocks show the time before once more."""
        berlin = ("22:00 Europe/Berlin", "02:30 Europe/Berlin")
        assert [view(f"2026-10-25 {time}", berlin).open for time in ("00:29", "00:31", "01:15", "01:31")] == [
            True, False, False, False,
        ]  # fmt: skip


class TestSeveral:
    LUNCH = ("12:00 UTC", "13:00 UTC")

    @pytest.mark.parametrize(
        ("now", "is_open", "changes"),
        [
            ("2026-11-27 11:00", False, "2026-11-27 12:00:00"),
            ("2026-11-27 12:30", True, "2026-11-27 13:00:00"),
            ("2026-11-27 13:00", False, "2026-11-27 22:00:00"),
            ("2026-11-27 23:00", True, "2026-11-28 06:00:00"),
        ],
    )
    def test_one_that_is_open_is_enough(self, now: str, is_open: bool, changes: str) -> None:
        for windows in ((NIGHTS, self.LUNCH), (self.LUNCH, NIGHTS)):
            found = view(now, *windows)
            assert (found.open, found.open or until(found)) == (is_open, is_open or changes)
            assert found.until is not None and found.until <= at(changes)

    def test_the_one_that_was_open_last_says_what_becomes_of_jobs(self) -> None:
        stop, leave = window(*NIGHTS, AtClose.STOP), window(*self.LUNCH)
        assert view("2026-11-27 11:00", stop, leave).stop
        assert not view("2026-11-27 12:30", stop, leave).stop
        assert not view("2026-11-27 13:30", stop, leave).stop
        assert view("2026-11-28 06:30", stop, leave).stop
        assert not view("2026-11-28 06:30", window("2027-01-01", "*-01-02", AtClose.STOP)).stop


# -- against the definition itself -----------------------------------------------------------------

times = st.tuples(
    st.sampled_from(("", "Mon ", "Mon..Fri ", "Sat,Sun ")), st.integers(0, 7), st.sampled_from((0, 20, 40))
).map(lambda parts: f"{parts[0]}{3 * parts[1]}:{parts[2]}")
zones = st.sampled_from(("UTC", "Europe/Berlin", "Australia/Lord_Howe"))
expressions = st.tuples(times, zones).map(" ".join)
starts = st.sampled_from(("2026-03-27", "2026-10-23", "2026-11-27", "2026-04-03"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(expressions, expressions), min_size=1, max_size=3), starts)
def test_it_is_open_when_the_definition_says(ends: list[tuple[str, str]], start: str) -> None:
    windows = [window(*pair) for pair in ends]
    assume(all(opens_ever(one, ZONES) for one in windows))

    def last(text: str, now: int) -> int:
        expression = read(text)
        return expression.latest(now, ZONES(expression.zone)) or -1

    minute = 60_000_000
    moments = range(at(start), at(start) + 4 * 24 * 60 * minute, 47 * minute)
    for before, now in pairwise(moments):
        found = look(windows, before, ZONES)
        assert found.open is any(last(opens, before) > last(closes, before) for opens, closes in ends)
        assert found.holds(before)
        later = look(windows, now, ZONES)
        if found.holds(now):
            assert (later.open, later.opens, later.stop) == (found.open, found.opens, found.stop)
            assert later.holds(before) or later.since != found.since
        else:
            assert found.until is not None and before < found.until <= now
        if not found.open and found.opens is not None:
            assert look(windows, found.opens, ZONES).open
            assert not look(windows, found.opens - 1, ZONES).open
        if found.until is not None:
            assert look(windows, found.until - 1, ZONES).open is found.open


@pytest.mark.parametrize(
    ("opens", "closes", "ever"),
    [
        ("22:00", "06:00", True),
        ("2020-01-01", "2020-01-02", True),
        ("*-02-30", "06:00", False),
        ("22:00", "22:00", False),
        ("Mon 22:00", "*:00", False),
        ("22:00", "Mon 22:00", True),
        ("2026-03-29 02:30 Europe/Berlin", "06:00", False),
    ],
)
def test_a_window_that_never_opens_is_known(opens: str, closes: str, ever: bool) -> None:
    assert opens_ever(window(opens, closes), ZONES) is ever
