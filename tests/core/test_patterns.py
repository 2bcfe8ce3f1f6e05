"""Patterns mean what they mean elsewhere, and no text makes them slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from taskgated.core.patterns import LONGEST, BadPattern, Pattern

atoms = st.sampled_from(
    [
        "a",
        "b",
        "c",
        ".",
        "[ab]",
        "[^ab]",
        "[a-c]",
        r"\d",
        r"\w",
        r"\S",
        r"\.",
        "1",
        " ",
        "[]a]",
        "[^]]",
        r"[\d-]",
        "é",
    ]
)
pieces = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "{2}", "{0,2}", "{1,}"])).map(
            lambda pair: f"(?:{pair[0]}){pair[1]}"
        ),
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]}|{pair[1]})"),
        inner.map(lambda one: f"(|{one})"),
    ),
    max_leaves=8,
)
patterns = st.tuples(
    st.sampled_from(["", "(?i)"]), st.sampled_from(["", "^"]), pieces, st.sampled_from(["", "$"])
).map("".join)


@settings(max_examples=600, deadline=None)
@given(patterns, st.lists(st.text("abcABC1. é]-\n", max_size=12), max_size=3))
@example("^a|b$", ["xb", "ax"])
@example("^$", [""])
@example("a|", ["xyz"])
def test_they_mean_what_they_mean_in_python(pattern: str, texts: list[str]) -> None:
    mine = Pattern(pattern)
    theirs = re.compile(pattern, re.MULTILINE | re.ASCII)
    for text in texts:
        expected = any(theirs.search(line) for line in text.split("\n"))
        assert mine.in_line_of(text) is expected
        assert mine.in_line_of(text) is expected, "the second time as well"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a*)*b", "a" * 8192),
        ("(a|a)*b", "a" * 8192),
        ("(x+x+)+y", "x" * 8192),
        (".*.*.*.*.*=;", "=" * 8192),
        ("(a|b)*a(a|b){12}c", "ab" * 4096),
        ("[^x]*[^y]*[^z]*x{40}$", "".join(map(chr, range(0x400, 0x2400)))),
    ],
)
def test_no_text_makes_them_slow(pattern: str, text: str) -> None:
    """Python's own take years over the first."""
    mine = Pattern(pattern)
    begin = time.process_time()
    assert not mine.in_line_of(text)
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("a(b", "a '(' without its ')' (character 2)"),
        ("a)b", "a ')' without its '(' (character 2)"),
        ("[a", "a '[' without its ']' (character 1)"),
        ("*a", "nothing that '*' could repeat (character 1)"),
        (r"(a)\1", r"'\1' is not known here (character 4)"),
        (r"\bfull\b", r"'\b' is not known here (character 1)"),
        ("(?=a)", "of what begins with (? only (?:...) is known here, and (?i) in front (character 1)"),
        ("a{2,1}", "a repetition that ends before it begins (character 2)"),
        ("a{x}", "expected {m}, {m,} or {m,n}; a brace itself is written \\{ (character 2)"),
        ("a**", "a repetition of a repetition: put the inner one in parentheses (character 3)"),
        ("a++", "a possessive repetition is not known here (character 3)"),
        ("[z-a]", "a range that ends before it begins (character 1)"),
        ("[[:digit:]]", "classes by name are not known here: write \\d, \\w or \\s (character 2)"),
        ("^*", "the end of a line cannot be repeated (character 1)"),
        ("\\", "'\\' is not known here (character 1)"),
    ],
)
def test_what_is_no_pattern_is_refused_and_where(pattern: str, what: str) -> None:
    with pytest.raises(BadPattern) as caught:
        Pattern(pattern)
    assert str(caught.value) == what


@pytest.mark.parametrize(
    "pattern", ["(" * 400 + "a" + ")" * 400, "((a{99}){99}){99}", "a" * (LONGEST + 1), "(a{9}|){9999}"]
)
def test_none_is_longer_than_it_may_be(pattern: str) -> None:
    try:
        assert Pattern(pattern).in_line_of("a")
    except BadPattern as error:
        assert "too long" in str(error)


@given(st.text(max_size=40))
def test_any_text_is_a_pattern_or_is_refused(text: str) -> None:
    try:
        Pattern(text).in_line_of("abc")
    except BadPattern:
        pass


def test_what_is_kept_for_the_next_time_is_bounded() -> None:
    mine = Pattern("[^x]y")
    for block in range(20):
        assert not mine.in_line_of("".join(map(chr, range(0x1000 + 1000 * block, 0x1000 + 1000 * (block + 1)))))
    assert mine._kept < 10_000
