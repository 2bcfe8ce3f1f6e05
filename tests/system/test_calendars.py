"""Calendar expressions, as the systemd of each release reads them with the time zones of that release."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from itertools import islice

import pytest

from tests.env.calendars import TABLE, ZONES, asked, at, elapses, read, shown
from tests.system.machine import Machine

MOST = 12


@pytest.fixture
def zones_of_the_machine(machine: Machine) -> Iterator[None]:
    zoneinfo.reset_tzpath([machine.root / "usr/share/zoneinfo"])
    ZONES.refresh()
    yield
    zoneinfo.reset_tzpath()
    ZONES.refresh()


def test_they_elapse_when_systemd_says(machine: Machine, zones_of_the_machine: None) -> None:
    def run(*command: str) -> str:
        return machine.run("env", "TZ=UTC", *command)

    wrong = {}
    for after, text in TABLE:
        ours = [shown(found) for found in islice(elapses(read(text), at(after)), MOST)]
        theirs = asked(run, text, after, MOST)
        if ours != theirs:
            wrong[text] = (ours, theirs)
    assert wrong == {}
