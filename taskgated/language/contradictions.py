"""Keys of a job that do not fit each other: each is right alone, and together they cannot be meant.

Some of them may be written in the job, others among the defaults of its queue, and those in several files. It is said
where the last of them was written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from taskgated.core.job import Retry, Spec
from taskgated.core.retry import TIMEOUT
from taskgated.host.clock import MICROSECONDS, wall
from taskgated.language.declare import Values, below
from taskgated.language.nodes import Entries, Node
from taskgated.language.units import format_duration

Path = tuple[str, ...]
"""Where a value stands in a job: its key, and those of the sections that it is in."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """``parts``: what does not fit; it is said of the first that is written. ``hint``: what to do, if it is not plain
    from ``message``."""

    parts: tuple[Path, ...]
    message: str
    hint: str = ""

    def place(self, node: Node) -> Path | None:
        """Where to say it, in that mapping; None if it has no part of it."""
        return next((path for path in self.parts if _has(node, path)), None)

    def whole(self, node: Node) -> bool:
        """Whether all of it is in that mapping."""
        return all(_has(node, path) for path in self.parts)


def contradictions(values: Values, *, job: bool = True) -> Iterator[Contradiction]:
    """Of a job with all that holds for it; not ``job``: of defaults, to which a job may add something."""
    if wrong := _too_early(values):
        yield Contradiction((("warn",), ("timeout",)), wrong)
    for key in ("deadline", "expires"):
        yield from _too_late(values, key, job=job)
    yield from _of_retry(values, job=job)


def _too_late(values: Values, key: str, *, job: bool) -> Iterator[Contradiction]:
    """It would be over before it may start. A time of day is compared with now: what fits now fits later as well."""
    until, delay, not_before = values.get(key), values.get("delay"), values.get("not_before")
    if not isinstance(until, float):
        return
    after = f"{_length(until)} after its submission"
    if isinstance(delay, float) and delay >= until:
        yield Contradiction(((key,), ("delay",)), f"{after}, which is not after its delay of {_length(delay)}")
    if job and isinstance(not_before, int) and wall() + int(until * MICROSECONDS) <= not_before:
        yield Contradiction(((key,), ("not_before",)), f"{after}, which is not after its not_before")


def _too_early(values: Values) -> str:
    before, timeout = below(values, "warn").get("before"), values.get("timeout")
    if not isinstance(before, float) or not isinstance(timeout, float) or before < timeout:
        return ""
    return f"a signal {_length(before)} ahead of a timeout of {_length(timeout)} comes before the start"


def _of_retry(values: Values, *, job: bool) -> Iterator[Contradiction]:
    retry = below(values, "retry")
    named = {key: _tuple(retry.get(key)) for key in ("on", "not_on")}
    good = _tuple(values.get("success_exit_codes", Spec().success_exit_codes))
    delay, longest = retry.get("delay"), retry.get("max_delay")
    if isinstance(delay, float) and isinstance(longest, float) and delay > longest:
        text = f"the first pause, {_length(delay)}, is longer than the longest, {_length(longest)}"
        yield Contradiction((("retry", "max_delay"), ("retry", "delay")), text)
    for both in [one for one in named["on"] if one in named["not_on"]]:
        yield Contradiction((("retry", "not_on"), ("retry", "on")), f"{both} is in both 'on' and 'not_on'")
    for key, endings in named.items():
        path = "retry", key
        for code in [one for one in endings if one in good]:
            parts = (path, ("success_exit_codes",)) if "success_exit_codes" in values else (path,)
            yield Contradiction(parts, f"exit code {code} is a success, after which nothing is tried again")
        if job and endings and retry.get("attempts", Retry().attempts) == 1:
            hint = "say attempts: how often it is tried in all"
            yield Contradiction((path,), "it is tried only once", hint)
    if job and TIMEOUT in named["on"] and values.get("timeout") is None:
        yield Contradiction(
            (("retry", "on"),), "no attempt has a timeout", "say timeout: how long an attempt may run"
        )


def _tuple(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else ()


def _length(seconds: float) -> str:
    return format_duration(seconds)


def _has(node: Node, path: Path) -> bool:
    for name in path:
        if not isinstance(node.value, Entries) or name not in node.value:
            return False
        node = node.value[name][1]
    return True
