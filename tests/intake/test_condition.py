"""What is told of a spool in trouble, second by second."""

from __future__ import annotations

import pytest

from taskgated.intake.condition import CALM, FIRST_PAUSE, MAX_PAUSE, NEVER, Condition
from taskgated.intake.events import Blind, IntakeEvent, Repaired


@pytest.fixture
def told() -> list[IntakeEvent]:
    return []


@pytest.fixture
def condition(told: list[IntakeEvent]) -> Condition:
    return Condition(told.append)


def test_nothing_is_told_of_a_spool_that_is_well(condition: Condition, told: list[IntakeEvent]) -> None:
    condition.found((), 1.0)
    assert not told
    assert not condition.blind
    assert condition.over_at == NEVER


def test_trouble_is_told_once_and_so_is_its_end(condition: Condition, told: list[IntakeEvent]) -> None:
    for now in (1.0, 2.0, 3.0):
        condition.found(("gone",), now)
        assert condition.blind
    condition.found((), 4.0)
    condition.found((), 5.0)
    assert told == [Blind(("gone",)), Repaired()]
    assert not condition.blind


def test_more_trouble_is_news(condition: Condition, told: list[IntakeEvent]) -> None:
    condition.found(("gone",), 1.0)
    condition.found(("gone", "dead"), 2.0)
    condition.found(("dead",), 3.0)
    assert told == [Blind(("gone",)), Blind(("gone", "dead"))]


def test_the_pauses_grow_up_to_a_bound_and_begin_anew(condition: Condition) -> None:
    pauses = []
    for now in range(10, 16):
        condition.found(("gone",), now)
        pauses.append(condition.repair_at - now)
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses[-1] == MAX_PAUSE
    condition.found((), 20.0)
    condition.found(("gone",), 21.0)
    assert condition.repair_at == 21.0 + FIRST_PAUSE


def test_the_end_of_what_comes_back_is_told_when_it_stays_away(condition: Condition, told: list[IntakeEvent]) -> None:
    condition.found(("full",), 1.0)
    condition.found((), 2.0)
    condition.found(("full",), 3.0)
    del told[:]
    condition.found((), 4.0)
    assert condition.over_at == 4.0 + CALM
    condition.found(("full",), 5.0)
    assert condition.over_at == NEVER
    condition.found((), 6.0)
    condition.found((), 6.0 + CALM - 0.1)
    assert not told
    condition.found((), 6.0 + CALM)
    assert told == [Repaired()]


def test_trouble_long_after_the_last_is_another(condition: Condition, told: list[IntakeEvent]) -> None:
    for start in (1.0, 3.0 + CALM):
        condition.found(("full",), start)
        condition.found((), start + 1.0)
    assert told == 2 * [Blind(("full",)), Repaired()]


def test_after_a_failure_only_work_proves_that_it_is_well(condition: Condition, told: list[IntakeEvent]) -> None:
    condition.failed("No space left", "/spool: No space left (a)", 1.0)
    condition.found((), 2.0)
    assert condition.blind
    assert condition.went_well()
    assert not condition.went_well(), "that is news once"
    condition.found((), 3.0)
    assert told == [Blind(("/spool: No space left (a)",)), Repaired()]


def test_one_failure_is_told_once_whatever_file_shows_it(condition: Condition, told: list[IntakeEvent]) -> None:
    condition.failed("No space left", "/spool: No space left (a)", 1.0)
    condition.failed("No space left", "/spool: No space left (b)", 2.0)
    condition.failed("Input/output error", "/spool: Input/output error (b)", 3.0)
    assert told == [Blind(("/spool: No space left (a)",)), Blind(("/spool: Input/output error (b)",))]
