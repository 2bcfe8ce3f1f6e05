"""At most so many starts within a time: exactly, in every span, over restarts and whatever was lost."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgated.core.rate import EXACT, SECOND, Pace, Rate, revived, unknown

rates = st.builds(
    lambda starts, per, share: Rate(starts, per, None if share is None else max(1, int(starts * share))),
    st.integers(1, 8) | st.integers(EXACT + 1, EXACT + 150),
    st.sampled_from([1.0, 60.0, 86400.0]),
    st.none() | st.floats(0, 1),
)
steps = st.lists(
    st.tuples(st.sampled_from(["go", "go", "refuse", "restart", "back"]), st.floats(0, 1.2), st.integers(0, 400)),
    max_size=60,
)


def kept(pace: Pace) -> object:
    return json.loads(json.dumps(asdict(pace)))


def within_bounds(starts: list[int], rate: Rate) -> None:
    """Each span of that length, and each stretch for the burst, from each start on."""
    for first, begin in enumerate(starts):
        inside = sum(1 for moment in starts[first:] if moment < begin + rate.span)
        assert inside <= rate.starts, f"{inside} within {rate.per} s"
        for last in range(first, len(starts)):
            allowed = rate.at_once + (starts[last] - begin) / rate.interval
            assert last - first + 1 <= allowed + 1e-6, "too many back to back"


@settings(deadline=None)
@given(rates, steps)
def test_no_span_ever_has_more_starts_than_it_may(rate: Rate, steps: list[tuple[str, float, int]]) -> None:
    """As many are decided as may be, told at once or much later, or never, and the daemon is killed in between."""
    pace, now = Pace(), 10 * SECOND
    starts: list[int] = []
    written = kept(pace)
    for what, wait, number in steps:
        now += int(wait * rate.span)
        free, again = pace.free(rate, now)
        if not free:
            assert again is not None and now < again, "it says when there is more"
        decided = min(free, number + 1)
        for _ in range(decided):
            pace = pace.decided()
        written = kept(pace)
        now += int(wait * number / 400 * rate.span)  # the disk takes that long
        for _ in range(decided):
            if what == "refuse":
                pace = pace.refused()
            else:
                starts.append(now)
                if what == "go":
                    pace = pace.told(rate, now)
        if what == "go":
            written = kept(pace)
        if what == "refuse":
            continue
        if what in ("restart", "back"):  # all were told, and nothing of that was written
            pace = revived(written, rate, now)
    within_bounds(starts, rate)


@given(rates, st.lists(st.floats(0, 0.3), max_size=80))
def test_what_may_start_again_does_so_at_the_moment_that_is_said(rate: Rate, waits: list[float]) -> None:
    pace, now = Pace(), SECOND
    for wait in waits:
        now += int(wait * rate.span)
        free, again = pace.free(rate, now)
        if free:
            pace = pace.decided().told(rate, now)
            continue
        assert again is not None
        for _ in range(1000):  # one promise may end while the other still holds
            before, now = now, again
            assert before < now
            free, again = pace.free(rate, now)
            if free:
                break
            assert again is not None
        assert free > 0
        pace = pace.decided().told(rate, now)


def test_a_burst_goes_at_once_and_then_one_by_one() -> None:
    rate = Rate(10, 60, 3)
    pace, now, starts = Pace(), 0, []
    while now <= 60 * SECOND:
        free, again = pace.free(rate, now)
        for _ in range(free):
            pace = pace.decided().told(rate, now)
            starts.append(now / SECOND)
        assert again is None or free or again > now
        now = pace.free(rate, now)[1] or now + SECOND
    assert starts[:10] == [0, 0, 0, 6, 12, 18, 24, 30, 36, 42]
    assert starts[10] == 60, "the eleventh waits for the first to be a minute ago"


def test_nothing_is_lost_of_a_rate_that_is_used_all_the_time() -> None:
    """Whole bursts: so many in each span. Many: less than two hundredths fewer."""
    for rate, least in ((Rate(7, 1), 70), (Rate(1000, 1), 9800)):
        pace, now, starts = Pace(), 0, 0
        while now < 10 * SECOND:
            free, _ = pace.free(rate, now)
            for _ in range(free):
                pace = pace.decided().told(rate, now)
            starts += free
            now = pace.free(rate, now)[1] or 10 * SECOND
        assert starts >= least


@given(rates, st.integers(0, 2**50))
def test_what_is_lost_counts_as_used_up_just_now(rate: Rate, now: int) -> None:
    pace = unknown(rate, now)
    assert pace.free(rate, now)[0] == 0
    assert pace.free(rate, now + rate.span - 1)[0] == 0
    assert pace.free(rate, rate.at(now) + rate.span)[0] > 0


@given(rates, st.integers(0, 2**50), st.integers(1, 2**40))
def test_a_clock_that_went_back_makes_it_wait_no_longer_than_that(rate: Rate, now: int, back: int) -> None:
    pace = revived(kept(unknown(rate, now + back)), rate, now)
    assert pace.free(rate, now)[0] == 0
    assert pace.free(rate, rate.at(now) + rate.span)[0] > 0


def test_what_is_remembered_is_bounded() -> None:
    for rate in (Rate(EXACT, 60), Rate(100_000, 60)):
        pace, now = Pace(), 0
        for _ in range(3000):
            now += SECOND // 30
            if pace.free(rate, now)[0]:
                pace = pace.decided().told(rate, now)
        assert len(pace.begun) <= EXACT + 1


@pytest.mark.parametrize(
    "known",
    [
        None, [], "x", 7, {"begun": 3}, {"begun": [[1]]}, {"begun": [[1, 2, 3]]}, {"begun": [[-1, 2]]},
        {"begun": [[5, 1], [4, 1]]}, {"begun": [["5", 1]]}, {"full": 1.5}, {"under_way": -1}, {"other": 1},
    ],
)  # fmt: skip
def test_what_is_no_memory_is_refused(known: object) -> None:
    with pytest.raises(ValueError):
        revived(known, Rate(3, 60), 0)


def test_a_reload_to_a_smaller_rate_counts_what_began() -> None:
    pace = Pace()
    for _ in range(5):
        pace = pace.decided().told(Rate(5, 60), SECOND)
    assert pace.free(Rate(2, 60), 2 * SECOND) == (0, 61 * SECOND)
    assert pace.free(Rate(2, 60), 61 * SECOND)[0] == 2
    assert pace.free(Rate(9, 60), 2 * SECOND)[0] == 4
