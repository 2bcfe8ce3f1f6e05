"""A calendar expression is a set of instants, whatever clocks do: what is next and what was last are neighbours."""

from __future__ import annotations

import time
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings

from tests.env.calendars import ZONES, at, elapses, expressions, instants, read, shown, zone_of


def following(text: str, after: str) -> str | None:
    one = read(text)
    found = one.following(at(after), zone_of(one))
    return None if found is None else shown(found)


def latest(text: str, until: str) -> str | None:
    one = read(text)
    found = one.latest(at(until), zone_of(one))
    return None if found is None else shown(found)


@settings(max_examples=300, deadline=None)
@given(expressions, instants)
def test_next_and_last_are_inverse(text: str, after: int) -> None:
    one = read(text)
    zone = zone_of(one)
    before = one.latest(after, zone)
    found = list(islice(elapses(one, after), 5))
    if before is not None and found:
        assert before <= after < found[0]
        assert one.following(before, zone) == found[0]
        assert one.latest(found[0] - 1, zone) == before
    for first, second in pairwise(found):
        assert first < second
        assert (
            one.latest(second - 1, zone)
            == one.latest(first, zone)
            == one.latest((first + second) // 2, zone)
            == first
        )
        assert one.following(second - 1, zone) == one.following((first + second) // 2, zone) == second


@settings(max_examples=200, deadline=None)
@given(expressions, instants, instants)
def test_both_are_monotone(text: str, one: int, other: int) -> None:
    expression = read(text)
    zone = zone_of(expression)
    low, high = sorted((one, other))
    for ask in (expression.following, expression.latest):
        first, second = ask(low, zone), ask(high, zone)
        if first is not None and second is not None:
            assert first <= second
    if expression.following(low, zone) is None:
        assert expression.following(high, zone) is None
    if expression.latest(high, zone) is None:
        assert expression.latest(low, zone) is None


def test_what_is_last_may_be_now() -> None:
    assert latest("22:00 UTC", "2026-01-05 22:00:00") == "2026-01-05 22:00:00"
    assert latest("22:00 UTC", "2026-01-05 21:59:59.999999") == "2026-01-04 22:00:00"
    assert following("22:00 UTC", "2026-01-05 22:00:00") == "2026-01-06 22:00:00"


def test_fractions_of_a_second_are_kept() -> None:
    one = read("0:0:1.5/20.25 UTC")
    assert [found % 60_000_000 for found in islice(elapses(one, at("2026-01-05")), 4)] == [
        1_500_000, 21_750_000, 42_000_000, 1_500_000,
    ]  # fmt: skip
    assert one.latest(at("2026-01-05 00:00:21.749999"), ZONES("UTC")) == at("2026-01-05 00:00:01.5")


def test_steps_without_an_end_are_in_no_other_number_s_way() -> None:
    """Systemd passes over these."""
    assert following("*-*-01,10/8 UTC", "2026-12-27") == "2027-01-01 00:00:00"
    assert following("*-18/10,23,5 America/New_York", "2026-12-29") == "2027-01-05 05:00:00"
    assert following("12:*:51,0/15.445 UTC", "2026-10-20 12:00:52") == "2026-10-20 12:01:00"


class TestClocksThatAreChanged:
    """Europe/Berlin in 2026: 01:00 UTC of 29 March, 02:00 becomes 03:00; 01:00 UTC of 25 October, 03:00 becomes
    02:00."""

    def test_what_is_skipped_does_not_come(self) -> None:
        assert following("02:30 Europe/Berlin", "2026-03-28 12:00") == "2026-03-30 00:30:00"
        assert latest("02:30 Europe/Berlin", "2026-03-29 12:00") == "2026-03-28 01:30:00"
        assert following("03:00 Europe/Berlin", "2026-03-28 12:00") == "2026-03-29 01:00:00"

    def test_what_comes_twice_counts_once(self) -> None:
        assert following("02:30 Europe/Berlin", "2026-10-24 12:00") == "2026-10-25 00:30:00"
        for within in ("00:30", "00:59:59", "01:00", "01:15", "01:30", "01:45", "02:30"):
            assert latest("02:30 Europe/Berlin", f"2026-10-25 {within}") == "2026-10-25 00:30:00", within
            assert following("02:30 Europe/Berlin", f"2026-10-25 {within}") == "2026-10-26 01:30:00", within
        assert latest("*:45 Europe/Berlin", "2026-10-25 01:10") == "2026-10-25 00:45:00"
        assert following("*:*:0.5 Europe/Berlin", "2026-10-25 00:59:59") == "2026-10-25 02:00:00"

    @pytest.mark.parametrize("instant", ["2026-10-25 01:30", "2026-03-29 01:00"])
    def test_no_change_is_walked_through_step_by_step(self, instant: str) -> None:
        began = time.monotonic()
        one = read("*:*:0/0.000001 Europe/Berlin")
        zone = zone_of(one)
        assert one.latest(at(instant), zone) is not None
        assert one.following(at(instant), zone) is not None
        assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "text", ["*-02-30", "Mon *-02-30 *:*:*", "*-04,06-31 *:*", "Mon 2026-02-06", "2026-03-29 2:30 Europe/Berlin"]
)
def test_that_it_never_elapses_is_found_out_soon(text: str) -> None:
    one = read(text)
    began = time.monotonic()
    assert not one.elapses(zone_of(one))
    assert one.latest(at("2030-01-01"), zone_of(one)) is None
    assert time.monotonic() - began < 1


def test_that_it_elapses_no_more_is_found_out_soon() -> None:
    one = read("2026-01-01 06:00 UTC")
    assert one.elapses(ZONES("UTC"))
    assert following("2026-01-01 06:00 UTC", "2026-01-01 06:00") is None
    assert latest("2026-01-01 06:00 UTC", "2026-01-01 05:59") is None
    assert latest("2026-01-01 06:00 UTC", "2190-01-01") == "2026-01-01 06:00:00"


@pytest.mark.parametrize(
    ("one", "other", "is_within"),
    [
        ("22:00", "22:00", True),
        ("Mon 22:00", "*:00", True),
        ("*-*~1 22:00", "22:00", True),
        ("22:00", "Mon 22:00", False),
        ("22:00", "22:00 UTC", False),
        ("*-*~1 22:00", "*-*-31 22:00", False),
        ("*:*:0/20", "*:*:0/10", True),
        ("*:*:5", "*:*:0/5", True),
        ("*:*:5", "*:*:0/10", False),
        ("*:*:0/0.5", "*:*:*", False),
        ("@1800000000", "*:*:*  UTC", True),
    ],
)
def test_what_is_plain_of_two_expressions(one: str, other: str, is_within: bool) -> None:
    assert read(one).within(read(other)) is is_within
