"""An alarm rings when it is time, once, and not when it is set anew."""

from __future__ import annotations

from collections.abc import Iterator
from select import select

import pytest

from taskgated.host.alarm import Alarm
from taskgated.host.clock import boottime


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    made = Alarm()
    yield made
    made.close()


def rings(alarm: Alarm, within: float) -> bool:
    return bool(select([alarm], [], [], within)[0])


def test_it_rings_when_it_is_time(alarm: Alarm) -> None:
    assert not rings(alarm, 0)
    at = boottime() + 200_000
    alarm.set(at)
    assert rings(alarm, 20) and boottime() >= at
    alarm.clear()
    assert not rings(alarm, 0.1), "once"
    alarm.clear()


@pytest.mark.parametrize("ago", [0, 1_000_000, 10**15])
def test_what_is_past_is_now(alarm: Alarm, ago: int) -> None:
    alarm.set(boottime() - ago)
    assert rings(alarm, 20)


def test_the_last_word_counts(alarm: Alarm) -> None:
    alarm.set(boottime() + 100_000)
    alarm.set(boottime() + 10**15)
    assert not rings(alarm, 0.3)
    alarm.set(boottime() + 100_000)
    alarm.set(None)
    assert not rings(alarm, 0.3)
