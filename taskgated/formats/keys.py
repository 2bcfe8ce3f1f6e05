"""The keys of a job, declared once: checking, messages, schema and manual follow from this table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from taskgated.core.job import Interrupted, Output, Retry, Spec
from taskgated.formats.declare import (
    Key,
    boolean,
    choice,
    command,
    duration,
    environment,
    integer,
    list_of,
    long_text,
    number,
    or_word,
    positive,
    section,
    size,
    text,
    timestamp,
)

QUEUE_NAME = "(?!rejected$)[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""A queue's name is a directory's name; it must need no quoting anywhere."""

RETRY = (
    Key("attempts", integer(1, 1_000_000), "how often it is tried in all, the first time included (1)"),
    Key("delay", duration, "the pause before the second attempt (10s)"),
    Key("factor", number(1, 100), "by how much the pause grows with each failure (2)"),
    Key("max_delay", duration, "the longest pause (1h)"),
    Key("jitter", number(0, 1), "by what part of itself the pause may vary (0.1)"),
)

OUTPUT = (
    Key("max_size", size, "what is kept of an attempt's output, its beginning and its end (16M)"),
    Key("journal", boolean, "whether its lines go to the journal, too (false)"),
    Key("journal_rate", integer(1, 10_000), "how many lines a second, on average over 10 s (100)"),
)

NOT_DEFAULTS = ("command", "script", "queue", "name")
"""Keys that make no sense as a default for a queue."""

JOB = (
    Key("name", text(), "what people call it; default: the program's name"),
    Key(
        "queue",
        text(QUEUE_NAME, "a queue's name"),
        "the queue; default: that of the directory it is dropped in",
    ),
    Key("command", command, "a list: program and arguments, no shell; or text for /bin/sh -c"),
    Key(
        "script",
        long_text("the text of a script"),
        "a script, its interpreter in the first line (#!); default /bin/sh",
    ),
    Key("env", environment, "environment variables, added to a clean base"),
    Key("cwd", text("/.*", "an absolute path", 4095), "the directory it runs in (/)"),
    Key("priority", integer(0, 100), "0 to 100, higher first (50)"),
    Key("timeout", or_word("infinity", positive(duration), None), "how long an attempt may run (no limit)"),
    Key("kill_after", duration, "from SIGTERM to SIGKILL when it is ended (10s)"),
    Key("retry", section(RETRY), "when to try again after a failure"),
    Key(
        "success_exit_codes",
        list_of(integer(0, 255), "a list of numbers"),
        "exit codes that mean success ([0])",
    ),
    Key("not_before", timestamp, "the earliest time to start"),
    Key("delay", duration, "how long to wait before it may start (0s)"),
    Key("expires", positive(duration), "cancel it when it has not started after this time (never)"),
    Key(
        "interrupted",
        choice(*Interrupted),
        "after a crash in the middle: run it again, or let it fail (rerun)",
    ),
    Key("output", section(OUTPUT), "what is kept of its output"),
)

LATER = ("after", "key", "on_conflict", "tokens", "locks", "limits")
"""Keys of the design that this version cannot honour; they are refused rather than ignored."""

EXCLUSIVE = "'delay' and 'not_before' exclude each other"

DEFAULTS = tuple(key for key in JOB if key.name not in NOT_DEFAULTS)

_FIELDS = {f.name for f in fields(Spec)}


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` wins; mappings inside are merged, ``env`` included."""
    out = dict(base)
    for name, value in over.items():
        old = out.get(name)
        out[name] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out


def _retry(values: Mapping[str, Any]) -> Retry:
    """A delay that is longer than the longest by default is what is meant, and not cut."""
    retry = Retry(**values)
    if "max_delay" not in values and retry.delay > retry.max_delay:
        return replace(retry, max_delay=retry.delay)
    return retry


def build(values: Mapping[str, Any]) -> Spec:
    """A spec from checked values."""
    out = {name: value for name, value in values.items() if name in _FIELDS}
    if "retry" in out:
        out["retry"] = _retry(out["retry"])
    if "output" in out:
        out["output"] = Output(**out["output"])
    if "interrupted" in out:
        out["interrupted"] = Interrupted(out["interrupted"])
    return Spec(**out)
