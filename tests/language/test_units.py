"""Durations, sizes and times: read as systemd and RFC 3339 have them, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.language import units

UNITS = "(us ms s min h d w month y)"


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


class TestDuration:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("0", 0), ("90", 90), ("1.5", 1.5), ("90s", 90), ("90 s", 90), (" 90s ", 90), ("2h 30min", 9000),
            ("2h30min", 9000), ("2h  30 min", 9000), ("1.5h", 5400), ("500ms", 0.5), ("7us", 7e-6), ("7µs", 7e-6),
            ("7μs", 7e-6), ("3m", 180), ("1d", 86400), ("1w 1d", 691200), ("2 weeks", 1209600), ("1hr", 3600),
            ("1month", 2629800), ("1y", 31557600), ("1s 1s", 2), ("5min 0.5s", 300.5),
        ],
    )  # fmt: skip
    def test_read(self, text: str, seconds: float) -> None:
        assert units.duration(text) == pytest.approx(seconds)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "expected a duration such as 90s or 2h 30min"),
            ("  ", "expected a duration such as 90s or 2h 30min"),
            ("s", "expected a duration such as 90s or 2h 30min"),
            ("-1s", "expected a duration such as 90s or 2h 30min"),
            ("1.2.3", "'1.2' has no unit of time " + UNITS),
            ("1s x", "expected a duration such as 90s or 2h 30min"),
            ("٣s", "expected a duration such as 90s or 2h 30min"),
            ("5 parsecs", f"unknown unit of time 'parsecs' {UNITS}"),
            ("5M", f"unknown unit of time 'M' {UNITS}"),
            ("1 30", f"'1' has no unit of time {UNITS}"),
            ("1h 30", f"'30' has no unit of time {UNITS}"),
            ("1 000s", f"'1' has no unit of time {UNITS}"),
            ("101y", "longer than a hundred years"),
            ("9" * 400, "longer than a hundred years"),
        ],
    )
    def test_refused(self, text: str, said: str) -> None:
        with pytest.raises(ValueError) as caught:
            units.duration(text)
        assert str(caught.value) == said

    @given(st.integers(0, 10**12))
    def test_round_trip(self, milliseconds: int) -> None:
        written = units.format_duration(milliseconds / 1000)
        assert round(units.duration(written) * 1000) == milliseconds

    @pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (90, "1min 30s"), (0.25, "250ms"), (691200, "8d")])
    def test_written(self, seconds: float, text: str) -> None:
        assert units.format_duration(seconds) == text


class TestSize:
    @pytest.mark.parametrize(
        ("text", "size"),
        [
            ("0", 0), ("1024", 1024), ("7B", 7), ("1K", 1024), (" 16 M ", 2**24), ("1.5G", 3 * 2**29),
            ("4T", 2**42), ("1P", 2**50), ("9007199254740993", 2**53 + 1), ("0.1K", 102), ("000000001", 1),
            ("4g", 2**32), ("4GiB", 2**32), ("1.5 MiB", 3 * 2**19),
        ],
    )  # fmt: skip
    def test_read(self, text: str, size: int) -> None:
        assert units.size(text) == size

    @pytest.mark.parametrize("text", ["", "K", "4X", "-1", "1.2.3", "4b", "1e3", "1.", "٣K", "9" * 400])
    def test_not_a_size(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"^expected a size such as 512K, 16M or 4G$"):
            units.size(text)

    @pytest.mark.parametrize("text", ["4GB", "4 gb", "4Gb", " 4gib "])
    def test_of_two_meanings(self, text: str) -> None:
        with pytest.raises(
            ValueError, match=rf"^'{text.strip()}' is no size: write 4G, which is to the base of 1024$"
        ):
            units.size(text)

    @pytest.mark.parametrize("text", ["9999999T", str(2**62), "4E", "9" * 30])
    def test_too_large(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"^larger than any disk$"):
            units.size(text)

    @given(st.integers(0, 2**62 - 1), st.sampled_from([1, 2**10, 2**20, 2**30, 2**40]))
    def test_round_trip_is_exact(self, number: int, unit: int) -> None:
        number = number // unit * unit
        assert units.size(units.format_size(number)) == number

    @pytest.mark.parametrize(("number", "text"), [(0, "0"), (1023, "1023"), (2**20, "1M"), (3 * 2**40, "3T")])
    def test_written(self, number: int, text: str) -> None:
        assert units.format_size(number) == text


class TestTimestamp:
    @pytest.mark.parametrize(
        ("text", "micros"),
        [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t00:00:00z", 0),
            ("1970-01-01 01:00:00+01:00", 0),
            ("1970-01-01T00:00Z", 0),
            ("1970-01-01T00:00:00.000001Z", 1),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("9999-12-31T23:59:59.999999Z", 253402300799999999),
        ],
    )
    def test_read(self, text: str, micros: int) -> None:
        assert units.timestamp(text) == micros

    @pytest.mark.usefixtures("berlin")
    @pytest.mark.parametrize(
        ("text", "utc"),
        [
            ("2027-07-01T02:00:00", "2027-07-01T00:00:00Z"),
            ("2027-01-01T02:00:00", "2027-01-01T01:00:00Z"),
            ("2027-01-01", "2026-12-31T23:00:00Z"),
        ],
    )
    def test_without_an_offset_it_is_local(self, text: str, utc: str) -> None:
        assert units.timestamp(text) == units.timestamp(utc)

    @pytest.mark.parametrize(
        "text",
        [
            "", "tomorrow", "20270131", "20270131T0200", "2027-W01-1", "2027-13-01", "2027-02-30", "2027-01-01T25:00",
            "2027-01-01x02:00", "2027-01-01T02", "2027-01-01T02:00:00+1", "17010112312", "٢٠٢٧-01-01", " 2027-01-01",
            "0001-01-01T00:00:00+23:59", "2027-01-01T02:00:00.", "2027-01-01Z",
        ],
    )  # fmt: skip
    def test_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"^expected a time such as 2027-01-31T02:00:00\+01:00$"):
            units.timestamp(text)
