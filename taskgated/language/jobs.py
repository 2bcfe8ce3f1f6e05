"""One job: what its queue and the configuration add to what was written, and what they forbid."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence

from taskgated.core.array import Array, Jobs, placeholders, texts
from taskgated.core.fixed import DEFAULT_QUEUE, LARGEST_SPEC
from taskgated.core.job import Spec
from taskgated.errors import Problem
from taskgated.language.arrays import MOST_BYTES, check_text
from taskgated.language.config import Config
from taskgated.language.contradictions import contradictions
from taskgated.language.declare import Check, Values, did_you_mean
from taskgated.language.keys import EXCLUDE, EXCLUSIVE, build, merge_job
from taskgated.language.needs import check_needs
from taskgated.language.nodes import Node, node_at
from taskgated.language.streamchecks import check_streams
from taskgated.text import without_controls

SMALL = 1024**2
"""Bytes of a file in which no job can be too large, also with all that the configuration adds."""


Made = tuple[Spec, Array | None]
"""A job as it was written, and its array, if it is many."""


def jobs_of(made: Sequence[Made]) -> Sequence[Spec]:
    """The jobs that they are, each or as an array."""
    if any(array is not None for _, array in made):
        return Jobs(made)
    return [spec for spec, _ in made]


def make(node: Node, values: Values, check: Check, queue: str, config: Config, name: str) -> Made:
    """The job of values that were checked by ``check_keys``; ``name``: that of one that has none. ``node``: that of
    the job. What is wrong with its array goes to ``check``."""
    spec, array = finish(values, queue, config, name), values.get("array")
    if not isinstance(array, Array):
        return spec, None
    if wrong := check_text(spec, array):
        check.wrong(node_at(node, "array"), f"array: {wrong}")
    return spec, array


def check_size(made: Made, data: bytes, check: Check, node: Node, before: int = 0) -> int:
    """Says what is too much for the database or for the way to a worker. ``data``: the whole file;
    ``before``: the bytes that the arrays before it in the file take in the database. Returns those with this one."""
    spec, array = made
    if array is None and len(data) <= SMALL:
        return before
    hint = "keep the bulk in a file of its own, and name that in the job"
    if array is not None:
        longest, total = _extent(spec, array)
        spec = array.spec(spec, longest)
        if before + total > MOST_BYTES:
            which = "the arrays until here take" if before else "this array takes"
            problem = f"{which} {before + total} bytes in the database, and those of a file may take {MOST_BYTES}"
            check.add([Problem(check.source.where, node.line, 0, problem, hint=hint)])
            return before
    if (length := _length(spec)) > LARGEST_SPEC:
        problem = f"this job takes {length} bytes to be handed to its worker, and may take {LARGEST_SPEC}"
        check.add([Problem(check.source.where, node.line, 0, problem, hint=hint)])
    return before if array is None else before + total


def _extent(template: Spec, array: Array) -> tuple[int, int]:
    """The place of its longest job, and how many bytes all of them take, nearly. They may be a million: none is made
    but the last, in which the numbers are longest, and the lines are counted by themselves."""
    count = len(array.indices)
    last = _length(array.spec(template, count - 1))
    if not array.lines:
        return count - 1, count * last
    lengths = [len(json.dumps(line)) for line in array.lines]
    times = 1 + sum(placeholders(text).count("line") for _, text in texts(template))
    total = count * (last - times * lengths[-1]) + times * sum(lengths)
    return max(range(count), key=lengths.__getitem__), total


def _length(spec: Spec) -> int:
    return len(json.dumps(spec.to_json()))


def check_keys(node: Node, values: Values, check: Check, queue: str, config: Config) -> None:
    """What keys say of each other, and of the queue. ``node``: that of the job."""
    _check_queue(node_at(node, "queue"), values, check, queue, config)
    if "after_timeout" in values and "after" not in values:
        check.note(node_at(node, "after_timeout"), "after_timeout: there is no other job that it waits for (after)")
    if values.keys() >= EXCLUSIVE:
        check.wrong(node_at(node, "delay"), EXCLUDE)
    target = _queue_of(values, queue)
    if target == queue or target in config.queues:  # or that was refused
        merged = merge_job(config.queue(target).defaults, values)
        check_streams(node, values, merged, check)
        _check_together(node, merged, check, target)
        check_needs(node, values, merged, check, config)


def _check_queue(node: Node, values: Values, check: Check, queue: str, config: Config) -> None:
    """A spec in the spool itself may name any queue; in a queue's own directory, only that one."""
    named = _queue_of(values, queue)
    if named == queue:
        return
    if queue != DEFAULT_QUEUE:
        check.wrong(node, f"queue: dropped for queue '{queue}', it cannot ask for '{named}'")
    elif named not in config.queues:
        check.wrong(node, f"queue: there is no queue '{named}'", did_you_mean(named, config.queues))


def check_shell(node: Node, values: Values, check: Check) -> None:
    """A shell is for text; what has no use for one must not look as if it ran in it."""
    if "shell" in values and not isinstance(values.get("command"), str):
        hint = "say command: and text, or have the program run the shell itself"
        if isinstance(values.get("command"), tuple):
            check.wrong(node, "shell: a command that is a list runs without a shell", hint)
        else:
            check.wrong(node, "shell: the first line of a script (#!) says what runs it")
    elif isinstance(shell := values.get("shell"), tuple) and (option := _missing(shell)):
        check.note(node, f"shell: {shell[0]} without {option} takes the text for the name of a file")


def _missing(shell: Sequence[str]) -> str:
    """The option by which that program runs the text behind it, if it is none of the arguments; "" also of programs
    that nothing is known of."""
    letter = _TEXT_BEHIND.get(shell[0].rpartition("/")[2].rstrip("0123456789."), "")
    if not letter or any(one.startswith("-") and not one.startswith("--") and letter in one for one in shell[1:]):
        return ""
    return f"-{letter}"


_TEXT_BEHIND = dict.fromkeys(("sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "fish", "python"), "c") | {
    "perl": "e", "ruby": "e", "node": "e", "Rscript": "e", "php": "r"
}  # fmt: skip


def _check_together(node: Node, merged: Values, check: Check, queue: str) -> None:
    """What does not fit each other. ``node``: that of the job. What is the queue's alone is said where it is
    configured."""
    for found in contradictions(merged):
        if path := found.place(node):
            elsewhere = f"the other is among the defaults of queue '{queue}'"
            hint = found.hint if found.whole(node) else elsewhere
            check.wrong(node_at(node, *path), f"{path[-1]}: {found.message}", hint)


def finish(values: Values, queue: str, config: Config, name: str) -> Spec:
    """Fill in what the queue has as defaults, and a name."""
    target = _queue_of(values, queue)
    merged = merge_job(config.queue(target).defaults, values)
    merged.pop("array", None)
    # Defaults that this job has no use for need not be told to its worker.
    if not isinstance(merged.get("command"), str):
        merged.pop("shell", None)
    if "after" not in merged:
        merged.pop("after_timeout", None)
    return build({**merged, "queue": target, "name": values.get("name") or name[:200]})


def _queue_of(values: Values, queue: str) -> str:
    named = values.get("queue")
    return named if isinstance(named, str) else queue


def first_word(line: str) -> str:
    """What a shell would run first, as far as that can be told without one."""
    try:
        # A list may have a quarter of a million lines, and most of them are plain.
        plain = None if _SPECIAL.search(line, 0, 1000) else _WORD.search(line, 0, 1000)
        word = next(iter(shlex.split(line[:1000])), "") if plain is None else plain[0]
    except ValueError:
        word = line.split(maxsplit=1)[0]
    return without_controls(word.rsplit("/", 1)[-1]) or "sh"


_SPECIAL = re.compile(r"[\\'\"]")
_WORD = re.compile(r"[^ \t\r\n]+")


def stem(name: str) -> str:
    base = name.rsplit("/", 1)[-1]
    return without_controls(base.rsplit(".", 1)[0] or base)
