"""Probes: what follows from answers, by example, and for any course of events."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from taskgated.core.probe import SLACK, Answer, Confirm, Known, Look, Rule, Says, read

OPEN, CLOSED, ERROR = Answer(Says.OPEN), Answer(Says.CLOSED), Answer(Says.ERROR)


def after(*answers: Answer, rule: Rule | None = None, every: float = 30.0) -> Known:
    """What is known after these, one each ``every`` seconds, the last at 0."""
    rule = rule or Rule(every=every)
    known = Known()
    for number, answer in enumerate(answers, start=1):
        now = (number - len(answers)) * every
        known = known.asked(now).answered(answer, now, rule)
    return known


class TestAnswers:
    def test_a_probe_that_nobody_has_asked_is_closed_and_due(self) -> None:
        assert not Known().lets_through(0)
        assert Known().due(Rule()) == -float("inf")

    def test_one_answer_is_enough_where_nothing_else_is_said(self) -> None:
        assert after(OPEN).lets_through(0)
        assert not after(OPEN, CLOSED).lets_through(0)

    @pytest.mark.parametrize(("on_error", "through"), [(Says.OPEN, True), (Says.CLOSED, False)])
    def test_an_error_counts_for_what_the_rule_says(self, on_error: Says, through: bool) -> None:
        assert after(ERROR, rule=Rule(on_error=on_error)).lets_through(0) is through

    def test_what_has_to_be_confirmed_takes_as_many_equal_answers_in_a_row(self) -> None:
        rule = Rule(confirm=Confirm(open=3, closed=2))
        course = [OPEN, OPEN, CLOSED, OPEN, OPEN, OPEN, CLOSED, OPEN, CLOSED, ERROR]
        seen = [after(*course[:n], rule=rule).lets_through(0) for n in range(1, len(course) + 1)]
        assert seen == [False, False, False, False, False, True, True, True, True, False]

    def test_each_answer_says_anew_how_many_may_start(self) -> None:
        two, three = Answer(Says.OPEN, 2), Answer(Says.OPEN, 3)
        assert after(two, three).allowance == 3
        assert after(three, OPEN).allowance is None

    def test_where_answers_count_an_unconfirmed_closed_lets_no_more_start(self) -> None:
        rule = Rule(confirm=Confirm(closed=2))
        known = after(Answer(Says.OPEN, 2), CLOSED, rule=rule)
        assert known.lets_through(0) and known.allowance == 0
        assert after(OPEN, CLOSED, rule=rule).allowance is None

    def test_an_answer_holds_until_it_is_due_again_and_through_the_look_that_follows(self) -> None:
        rule = Rule(every=30)
        known = after(OPEN)
        assert known.due(rule) == 30
        assert known.lets_through(30) and not known.lets_through(31 + SLACK)
        asked = known.asked(30.5)
        assert asked.lets_through(10_000)
        assert not known.asked(40).lets_through(40), "what is too old does not come back by asking"
        assert known.asked(40).answered(OPEN, 41, rule).lets_through(41)

    def test_a_late_look_counts_as_an_error_once_and_nothing_is_asked_until_it_has_ended(self) -> None:
        rule = Rule()
        late = after(OPEN).asked(30).given_up(ERROR, 45, rule)
        assert not late.lets_through(45) and late.due(rule) is None
        ended = late.answered(OPEN, 500, rule)
        assert (ended.answer, ended.at, ended.row) == (ERROR, 45, 1)
        assert ended.due(rule) == 75

    def test_it_is_not_asked_twice_at_the_same_time(self) -> None:
        with pytest.raises(AssertionError):
            Known().asked(0).asked(1)


class TestReading:
    @pytest.mark.parametrize(
        ("code", "line", "says", "allowance"),
        [
            (0, "", Says.OPEN, None),
            (0, "3", Says.OPEN, 3),
            (0, " 0 \r", Says.OPEN, 0),
            (0, "3 of 5 are free", Says.OPEN, None),
            (0, "-1", Says.OPEN, 0),
            (0, " -0 ", Says.OPEN, 0),
            (0, "-" + "9" * 10_000, Says.OPEN, 0),
            (0, "-", Says.OPEN, None),
            (0, "- 1", Says.OPEN, None),
            (0, "-1 of 5", Says.OPEN, None),
            (0, "2.5", Says.OPEN, None),
            (0, "٣", Says.OPEN, None),
            (0, "9" * 10_000, Says.OPEN, None),
            (1, "3", Says.CLOSED, None),
            (2, "", Says.ERROR, None),
            (127, "", Says.ERROR, None),
            (None, "3", Says.ERROR, None),
        ],
    )
    def test_the_end_and_the_first_line(self, code: int | None, line: str, says: Says, allowance: int | None) -> None:
        assert read(code, line, "why") == Answer(says, allowance, "why")

    @given(st.integers(), st.text())
    def test_no_end_but_0_opens(self, code: int, line: str) -> None:
        assert (read(code, line, "").says is Says.OPEN) == (code == 0)


ANSWERS = st.builds(Answer, st.sampled_from(Says), st.none() | st.integers(0, 3)).map(
    lambda a: a if a.says is Says.OPEN else replace(a, allowance=None)
)


class Course(RuleBasedStateMachine):
    """Any course of looks, answers, delays; against what can be said of it in plain words."""

    @initialize(
        every=st.floats(0.1, 1000),
        on_error=st.sampled_from([Says.OPEN, Says.CLOSED]),
        confirm=st.builds(Confirm, st.integers(1, 4), st.integers(1, 4)),
    )
    def begin(self, every: float, on_error: Says, confirm: Confirm) -> None:
        self.rule = Rule(every, on_error, confirm)
        self.known = Known()
        self.now = 0.0
        self.heard: list[tuple[float, Answer]] = []

    @rule(seconds=st.floats(0, 3000))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.known.look is Look.NONE)
    @rule()
    def it_is_asked(self) -> None:
        self.known = self.known.asked(self.now)

    @precondition(lambda self: self.known.look is not Look.NONE)
    @rule(answer=ANSWERS)
    def it_answers(self, answer: Answer) -> None:
        if self.known.look is Look.ON:
            self.heard.append((self.now, answer))
        self.known = self.known.answered(answer, self.now, self.rule)

    @precondition(lambda self: self.known.look is Look.ON)
    @rule()
    def it_is_late(self) -> None:
        self.heard.append((self.now, ERROR))
        self.known = self.known.given_up(ERROR, self.now, self.rule)

    @invariant()
    def nothing_starts_without_enough_equal_answers(self) -> None:
        counts = [self.rule.counts_as_open(answer) for _, answer in self.heard]
        held = False
        for number in range(len(counts)):
            for value, needed in ((True, self.rule.confirm.open), (False, self.rule.confirm.closed)):
                last = counts[max(0, number + 1 - needed) : number + 1]
                if len(last) == needed and set(last) == {value}:
                    held = value
        assert self.known.open is held

    @invariant()
    def nothing_starts_by_what_is_too_old(self) -> None:
        fresh = bool(self.heard) and self.now <= self.heard[-1][0] + self.rule.every + SLACK
        if self.known.look is Look.ON:
            assert self.known.lets_through(self.now) <= self.known.open
        else:
            assert self.known.lets_through(self.now) == (self.known.open and fresh)

    @invariant()
    def it_is_due_a_full_time_after_the_last_answer_or_while_a_look_is_on_not_at_all(self) -> None:
        due = self.known.due(self.rule)
        if self.known.look is not Look.NONE:
            assert due is None
        elif self.heard:
            assert due == self.heard[-1][0] + self.rule.every

    @invariant()
    def no_more_start_than_the_last_answer_allows(self) -> None:
        if self.heard and self.heard[-1][1].allowance is not None:
            assert self.known.allowance == self.heard[-1][1].allowance


TestCourse = Course.TestCase
