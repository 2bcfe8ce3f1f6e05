"""Time zones by their names, and that of the host."""

from __future__ import annotations

import os
import zoneinfo
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskgated.host.zones import UnknownZone, Zones

SUMMER = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def no_tz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)


@pytest.fixture
def database() -> Path:
    found = [Path(path) for path in zoneinfo.TZPATH if (Path(path) / "Europe/Berlin").exists()]
    if not found:
        pytest.skip("this machine has no time zones")
    return found[0]


def hours(zones: Zones, name: str | None) -> float:
    """How far it is before UTC in summer."""
    offset = SUMMER.astimezone(zones(name)).utcoffset()
    assert offset is not None
    return offset / timedelta(hours=1)


def replaced(path: Path, target: Path) -> None:
    """As timedatectl does."""
    path.with_suffix(".new").symlink_to(target)
    os.rename(path.with_suffix(".new"), path)


def test_by_name(database: Path) -> None:
    zones = Zones()
    assert (hours(zones, "Europe/Berlin"), hours(zones, "Asia/Kathmandu"), hours(zones, "UTC")) == (2, 5.75, 0)


def test_that_of_the_host(database: Path, tmp_path: Path) -> None:
    link = tmp_path / "localtime"
    zones = Zones(str(link))
    assert hours(zones, None) == 0
    assert not zones.refresh()
    replaced(link, database / "Europe/Berlin")
    assert hours(zones, None) == 0  # one and the same until somebody looks
    assert zones.refresh()
    assert hours(zones, None) == 2
    replaced(link, database / "America/New_York")
    assert zones.refresh()
    assert not zones.refresh()
    assert hours(zones, None) == -4


@pytest.mark.parametrize(("tz", "expected"), [("Asia/Tokyo", 9), (":Asia/Tokyo", 9), ("", 0), ("UTC", 0)])
def test_the_environment_comes_first(database: Path, monkeypatch: pytest.MonkeyPatch, tz: str, expected: int) -> None:
    monkeypatch.setenv("TZ", tz)
    assert hours(Zones(str(database / "Europe/Berlin")), None) == expected


def test_a_path_in_the_environment(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", f":{database}/Asia/Tokyo")
    assert hours(Zones(), None) == 9


def test_a_rule_in_the_environment_is_no_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    with pytest.raises(UnknownZone):
        Zones()(None)


@pytest.mark.parametrize("name", ["Europe/berlin", "Europe", "../etc/passwd", "zone.tab", "Foo\0", "x" * 5000])
def test_what_is_none(database: Path, name: str) -> None:
    with pytest.raises(UnknownZone):
        Zones()(name)


def test_one_that_gets_new_rules(database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "Test" / "Town"
    file.parent.mkdir()
    file.write_bytes((database / "Europe/Berlin").read_bytes())
    zoneinfo.reset_tzpath([tmp_path])
    try:
        zones = Zones()
        assert hours(zones, "Test/Town") == 2
        file.unlink()
        assert not zones.refresh()  # it is being upgraded, say
        assert hours(zones, "Test/Town") == 2
        file.write_bytes((database / "America/New_York").read_bytes())
        assert zones.refresh()
        assert hours(zones, "Test/Town") == -4
    finally:
        zoneinfo.reset_tzpath()


def test_a_host_that_has_none_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoneinfo, "available_timezones", lambda: {"UTC"})
    zoneinfo.reset_tzpath([tmp_path])
    try:
        assert hours(Zones(), "UTC") == 0
        with pytest.raises(UnknownZone, match="this host has none: install tzdata"):
            Zones()("Europe/Berlin")
    finally:
        zoneinfo.reset_tzpath()
