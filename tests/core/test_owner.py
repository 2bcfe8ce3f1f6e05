"""Who owns what: a name, or a number that can be nobody's name."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskgated.core.named import Key, named
from taskgated.core.owner import LONGEST, Owner, number_of, owner_of, shown

UIDS = st.integers(0, 2**32 - 2)
NAMES = st.text(max_size=LONGEST + 2)


@pytest.mark.parametrize(
    "name", ["alice", "a.b-c_d$", "EXAMPLE\\alice", "alice@example.org", "zoë", "0a", "-", "a b"]
)
def test_a_name_is_the_owner(name: str) -> None:
    assert (owner_of(1000, name), number_of(name), shown(name)) == (name, None, name)
    assert Owner(name, 1000).words == f"{name} (uid 1000)"


@pytest.mark.parametrize(
    "name", [None, "", "0", "1001", "٤٢", "a:b", "a\nb", "a\0b", "x" * (LONGEST + 1), os.fsdecode(b"\xff"), "\u202ea"]
)
def test_a_uid_without_a_name_that_will_do_is_a_number(name: str | None) -> None:
    assert owner_of(1000, name) == "1000"
    assert (number_of("1000"), shown("1000")) == (1000, "uid 1000")
    assert Owner("1000", 1000).words == "uid 1000"


@given(UIDS, UIDS, NAMES)
def test_no_name_is_taken_for_a_uid(uid: int, other: int, name: str) -> None:
    """Whatever the user database says of one, it is not the owner of what is another's who has no name."""
    assert owner_of(uid, name) != owner_of(other, None) or uid == other
    assert number_of(owner_of(uid, None)) == uid


@given(UIDS, NAMES, st.text(min_size=1))
def test_a_key_knows_whose_it_is(uid: int, name: str, key: str) -> None:
    mine = Key(owner_of(uid, name), key)
    assert named(mine.name) == mine
