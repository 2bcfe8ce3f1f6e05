"""On which terms a job runs: what it says of that itself, as ``show`` has it, under the names of the keys."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from taskgated.core.after import Condition, When
from taskgated.core.job import OnConflict, Requires, Retry, Spec
from taskgated.language.units import format_duration

AFTER = 20
"""Conditions that are told of, at most."""


def terms(spec: Spec) -> Iterator[tuple[str, str]]:
    """What is set, each with its name."""
    if spec.tokens:
        yield "tokens", ", ".join(f"{name} {number}" for name, number in spec.tokens.items())
    if alone := spec.locks.exclusive:
        yield "locks", ", ".join(alone)
    if shared := spec.locks.shared:
        yield "locks", f"{', '.join(shared)} (shared)"
    if spec.key:
        usual = spec.on_conflict is OnConflict.QUEUE
        yield "key", spec.key if usual else f"{spec.key} (on_conflict: {spec.on_conflict})"
    if spec.after:
        rest = len(spec.after) - AFTER
        yield "after", ", ".join(map(_condition, spec.after[:AFTER])) + (f" and {rest} more" if rest > 0 else "")
    if spec.requires is not None:
        yield "requires", _requires(spec.requires)
    if spec.timeout is not None:
        yield "timeout", f"{format_duration(spec.timeout)} for each attempt"
    if spec.retry.attempts > 1:
        yield "retry", _retry(spec.retry)


def _condition(one: Condition) -> str:
    return f"{one.job}" if one.when is When.SUCCEEDED else f"{one.job} ({one.when})"


def _requires(requires: Requires) -> str:
    command = requires.command if isinstance(requires.command, str) else shlex.join(requires.command)
    return f"{command} (every {format_duration(requires.every)}, timeout {format_duration(requires.timeout)})"


def _retry(retry: Retry) -> str:
    said = [f"{retry.attempts} attempts", f"delay {format_duration(retry.delay)}"]
    if retry.factor != 1:
        said += [f"factor {retry.factor:g}", f"max_delay {format_duration(retry.max_delay)}"]
    said += [f"on {', '.join(map(str, retry.on))}"] * bool(retry.on)
    said += [f"not_on {', '.join(map(str, retry.not_on))}"] * bool(retry.not_on)
    return "; ".join(said)
