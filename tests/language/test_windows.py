"""The key ``windows`` of a queue: what it takes, and everything that can be wrong with it."""

from __future__ import annotations

import zoneinfo
from pathlib import Path

import pytest

from taskgated.core.window import AtClose, Window
from taskgated.errors import ConfigError
from taskgated.host import zones
from taskgated.host.paths import Layout
from taskgated.host.zones import Zones
from taskgated.language.config import Config
from taskgated.language.configfiles import load
from tests.env.calendars import read


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout.under(tmp_path)
    made.config_drop_ins.mkdir(parents=True)
    return made


def loaded(layout: Layout, windows: str, later: str = "") -> Config:
    layout.config_file.write_text(f"queues: {{q: {{windows: {windows}}}}}\n")
    (layout.config_drop_ins / "later.yaml").write_text(later)
    return load(layout)


def windows(layout: Layout, written: str, later: str = "") -> tuple[Window, ...]:
    return loaded(layout, written, later).queue("q").windows


def refused(layout: Layout, written: str) -> list[str]:
    """Each problem with its line and column, without its picture."""
    with pytest.raises(ConfigError) as caught:
        loaded(layout, written)
    return [str(problem).split("\n")[0].partition("taskgated.yaml:")[2] for problem in caught.value.problems]


NIGHTS = Window(read("Mon..Fri 22:00 Europe/Berlin"), read("06:00"))


def test_one_and_several(layout: Layout) -> None:
    one = '{opens: "Mon..Fri 22:00 Europe/Berlin", closes: 06:00}'
    assert windows(layout, one) == windows(layout, f"[{one}]") == (NIGHTS,)
    lunch = Window(read("12:00"), read("13:00 UTC"), AtClose.STOP)
    assert windows(layout, f"[{one}, {{opens: 12:00, closes: 13:00 UTC, at_close: stop}}]") == (NIGHTS, lunch)
    assert windows(layout, "[]") == () == load(layout).queue("other").windows


def test_what_comes_later_wins(layout: Layout) -> None:
    one = '{opens: "Mon..Fri 22:00 Europe/Berlin", closes: 06:00}'
    assert windows(layout, "{opens: 12:00, closes: 13:00}", f"queues: {{q: {{windows: {one}}}}}") == (NIGHTS,)
    assert windows(layout, one, "queues: {q: {windows: []}}") == ()
    assert windows(layout, one, "queues: {q: {limit: 1}}") == (NIGHTS,)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{opens: 25:00, closes: 06:00}", ["1:31: opens: 25 is no hour: they are 0 to 23"]),
        ("[{opens: 22:00, closes: 6am}]",
         ["1:47: closes: '6am' is neither weekdays, nor a date, nor a time of day"]),
        ("{opens: 22:00 Europe/Berln, closes: 06:00}",
         ["1:31: opens: there is no time zone 'Europe/Berln': did you mean Europe/Berlin?"]),
        ("{opens: 02-30, closes: 06:00}", ["1:31: opens: '02-30' never comes"]),
        ("{opens: 22:00, closes: 2026-03-29 02:30 Europe/Berlin}",
         ["1:46: closes: '2026-03-29 02:30 Europe/Berlin' never comes"]),
        ("{opens: Mon 22:00, closes: 22:00}", ["1:31: opens: it never opens, as it closes whenever it opens"]),
        ("{opens: 22:00}", ["1:23: 'closes' is missing"]),
        ("[{closes: 22:00}, {}]",
         ["1:24: 'opens' is missing", "1:41: 'opens' is missing", "1:41: 'closes' is missing"]),
        ("{opens: 22:00, closes: 06:00, at_close: kill}",
         ["1:63: at_close: expected one of leave, stop, not text 'kill'"]),
        ("{opens: 22, closes: 06:00}",
         ["1:31: opens: expected a calendar expression such as 'Mon..Fri 22:00 Europe/Berlin', "
          "not a whole number '22'"]),
        ("daily", ["1:23: windows: expected a window, or a list of them, not text 'daily'"
         " (write {opens: 'Mon..Fri 22:00', closes: '06:00'})"]),
        ("[daily]", ["1:24: expected a mapping of keys to values, not text"
         " (write {opens: 'Mon..Fri 22:00', closes: '06:00'})"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(layout: Layout, written: str, said: list[str]) -> None:
    assert refused(layout, written) == said


def test_where_there_are_no_zones_it_is_said_what_to_install(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Zones(str(tmp_path / "localtime"))
    (tmp_path / "localtime").symlink_to("/nowhere/Europe/Paris")
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(zones.ZONES, "_read", fresh._read)
    monkeypatch.setattr(zones.ZONES, "_localtime", fresh._localtime)
    monkeypatch.setattr(zoneinfo, "available_timezones", set[str])
    zoneinfo.reset_tzpath([tmp_path])
    try:
        assert refused(layout, "{opens: 22:00 Europe/Berlin, closes: 06:00 UTC}") == [
            "1:31: opens: time zone 'Europe/Berlin' is not known, as this host has none: install tzdata"
        ]
        assert refused(layout, "{opens: 22:00, closes: 06:00 UTC}") == [
            "1:31: opens: time zone '/nowhere/Europe/Paris' is not known, as this host has none: install tzdata"
        ]
        assert windows(layout, "{opens: 22:00 UTC, closes: 06:00 UTC}")
        (tmp_path / "localtime").unlink()
        (tmp_path / "localtime").symlink_to("/usr/nowhere/zoneinfo/Etc/UTC")
        assert windows(layout, "{opens: 22:00, closes: 06:00}")
    finally:
        zoneinfo.reset_tzpath()


def test_what_may_not_be_meant_is_noted(layout: Layout) -> None:
    assert loaded(layout, "{opens: 2020-01-01, closes: 2020-01-02}").notes() == [
        "queue q: none of its windows opens any more, so none of its jobs starts"
    ]
    assert loaded(layout, "{opens: 2020-01-01, closes: 2019-01-02}").notes() == []
    assert loaded(layout, "[{opens: 2020-01-01, closes: 2020-01-02}, {opens: 22:00, closes: 23:00}]").notes() == []
