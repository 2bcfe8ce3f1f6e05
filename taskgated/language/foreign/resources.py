"""Lists of resources: ``name=value`` where an option has its name and its value."""

from __future__ import annotations

from collections.abc import Sequence

from taskgated.language.declare import Mismatch, nearest
from taskgated.language.foreign.dialect import Option
from taskgated.language.foreign.wishes import Given, Wishes
from taskgated.text import quoted


def requests(text: str, given: Given, wishes: Wishes, resources: Sequence[Option]) -> None:
    """One of the list; raises ``Mismatch`` when it is unknown, or its value is none that it can have."""
    name, _, value = text.strip().partition("=")
    table = {spelling: option for option in resources for spelling in option.names}
    if name not in table:
        raise Mismatch(f"{quoted(name)} is an unknown resource", nearest(name, sorted(table)))
    option = table[name]
    whole = Given(f"{given.name} {name}", value, given.line, given.column)
    try:
        option.read(whole, wishes)
    except Mismatch as wrong:
        raise Mismatch(f"{name}: {wrong}", wrong.hint) from None
