"""Text for people: what somebody wrote stays readable, and does nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.text import aligned, as_word, has_controls, printable, quoted, to_bytes, to_text, without_controls

EVIL = "a b\tc\n\x1b[2J\x9b\x7f\u202e\u200b\udcffé"


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        (printable, r"a b\tc\n\x1b[2J\x9b\x7f\u202e\u200b\xffé"),
        (aligned, "a b c ?[2J?????é"),
        (as_word, r"'a b\tc\n\x1b[2J\x9b\x7f\u202e\u200b\udcffé'"),
        (quoted, f"'{EVIL}'"),
        (without_controls, "a b?c??[2J??\u202e\u200b\udcffé"),
    ],
)
def test_what_cannot_be_printed(function: object, shown: str) -> None:
    assert callable(function)
    assert function(EVIL) == shown


@pytest.mark.parametrize("function", [printable, aligned, as_word, without_controls])
def test_what_can_be_printed_stays(function: object) -> None:
    assert callable(function)
    for text in ("", "report.yaml", "naïve\U0001f600", "it's", '"', "\\n"):
        assert function(text) == text


@given(st.text() | st.binary().map(to_text))
def test_one_line_that_any_encoding_can_say(text: str) -> None:
    for shown in (printable(text), as_word(text), printable(quoted(text))):
        assert shown.isprintable()
        shown.encode()  # raises for what no encoding has
    assert aligned(text).isprintable()
    assert len(aligned(text)) == len(without_controls(text)) == len(text)
    assert not has_controls(without_controls(text))
    assert has_controls(text) == (without_controls(text).count("?") > text.count("?"))


def test_a_name_with_a_space_is_one_word() -> None:
    assert (as_word("a b"), as_word("it's a b"), as_word("a")) == ("'a b'", '"it\'s a b"', "a")


def test_a_long_word_is_cut() -> None:
    assert quoted("x" * 60) == f"'{'x' * 60}'"
    assert quoted("x" * 61) == f"'{'x' * 57}...'"
    assert quoted("abcdef", 5) == "'ab...'"


@given(st.binary())
def test_any_bytes_come_back(data: bytes) -> None:
    assert to_bytes(to_text(data)) == data
