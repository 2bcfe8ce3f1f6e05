"""What is wrong with what a job takes while it runs: tokens, locks, a key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from taskgated.language.config import Config
from taskgated.language.declare import Check, Values, below, did_you_mean
from taskgated.language.nodes import Node, node_at
from taskgated.text import quoted


def check_needs(node: Node, values: Values, merged: Values, check: Check, config: Config) -> None:
    """``values``: what the job says, ``merged``: with the defaults of its queue. ``node``: that of the job."""
    for token, problem, hint in unmet(below(values, "tokens"), config.tokens):
        check.wrong(node_at(node, "tokens", token), problem, hint)
    if "locks" in values and (both := in_both_ways(merged)):
        check.wrong(node_at(node, "locks"), f"locks: {quoted(both)} is locked in both ways", "exclusive is enough")
    if "on_conflict" in values and not merged.get("key"):
        check.wrong(node_at(node, "on_conflict"), "on_conflict: it says what jobs of one key do, and there is no key")


def in_both_ways(values: Values) -> str:
    """A name that is both locked alone and shared; "" if there is none."""
    locks = below(values, "locks")
    alone, shared = locks.get("exclusive"), locks.get("shared")
    if not isinstance(alone, tuple) or not isinstance(shared, tuple):
        return ""
    return next((str(name) for name in alone if name in shared), "")


def unmet(demanded: Values, totals: Mapping[str, int]) -> Iterator[tuple[str, str, str]]:
    """Each token of which there is none of that name, or never enough: its name, what is wrong, and what to do."""
    for token, amount in demanded.items():
        if token not in totals:
            there = f"say in the configuration how many there are: tokens: {{{token}: 10}}"
            hint = did_you_mean(token, totals) if totals else there
            yield token, f"tokens: there are no tokens {quoted(token)}", hint
        elif isinstance(amount, int) and amount > totals[token]:
            yield token, f"tokens: it takes {amount} of {token}, and there are {totals[token]} in all", ""
