"""The configuration: what may be said, what holds when nothing is said, and how files are put together.

``taskgated.yaml`` first, then ``conf.d/*.yaml`` in the order of their names; what comes later wins, key by
key. Everything that is wrong, in all files, is said at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from taskgated.core.job import Output, to_text
from taskgated.errors import ConfigError, Problem, Refused, Unexplained
from taskgated.formats.declare import (
    Check,
    Key,
    argv,
    choice,
    duration,
    integer,
    mapping_of,
    or_word,
    positive,
    read_section,
    section,
    size,
    text,
)
from taskgated.formats.keys import DEFAULTS, EXCLUSIVE, OUTPUT, QUEUE_NAME, merge
from taskgated.formats.yamlread import Source, decode, read_yaml
from taskgated.identity import user_name
from taskgated.paths import Layout

WHO = ("owner", "members")
ON_STOP = ("requeue", "wait", "leave")
MARKS = ("{file}", "{line}")
MAX_SIZE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class QueueConfig:
    """One queue. ``limit``: jobs of it that run at once, None: as many as there are workers. ``defaults``:
    checked values for keys that a job leaves out. ``handler``: argv with ``{file}`` or ``{line}`` in it.
    ``runs``: it is said that there is none, and that what is dropped there runs, also where there was one before."""

    name: str
    limit: int | None = None
    defaults: Mapping[str, Any] = field(default_factory=dict)
    handler: tuple[str, ...] | None = None
    runs: bool = False

    @property
    def mark(self) -> str:
        """What its handler takes, ``{file}`` or ``{line}``; "" if it has none."""
        return next((mark for mark in MARKS if any(mark in part for part in self.handler or ())), "")

    def handler_with(self, mark: str) -> tuple[str, ...]:
        """Its handler, which must be one for that; ``Unexplained`` if it is not."""
        if self.handler is None or self.mark != mark:
            raise Unexplained(f"queue {self.name} has no handler with {mark}")
        return self.handler


@dataclass(frozen=True, slots=True)
class Retention:
    """How long jobs that are over are remembered, and their output: seconds, and at most so many."""

    age: float = 30 * 86400.0
    count: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Access:
    """Who may do what to a job over the control socket, beside root and the gate's own user: its ``owner``, or
    all ``members`` of the group who may use the socket. ``see``: what it runs, and its output."""

    see: str = "owner"
    cancel: str = "owner"


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes in bytes, times in seconds."""

    workers: int
    ready_queue: int
    max_backlog: int = 1_000_000
    user_backlog: int | None = None
    stop_timeout: float = 30.0
    on_stop: str = "requeue"
    max_file_size: int = 1024**2
    max_list_size: int = 1024**3
    rescan_interval: float = 60.0
    settle_time: float = 2.0
    umask: int = 0o022
    output: Mapping[str, Any] = field(default_factory=dict)
    retention: Retention = Retention()
    access: Access = Access()
    queues: Mapping[str, QueueConfig] = field(default_factory=dict)

    @property
    def share(self) -> int:
        """How much of the backlog one user may fill."""
        return max(1, self.max_backlog // 2) if self.user_backlog is None else self.user_backlog

    def queue(self, name: str) -> QueueConfig:
        """What is configured of a queue, or what holds for a directory that nobody has configured."""
        return self.queues.get(name) or _queue(name, {}, self.output)

    def notes(self) -> list[str]:
        """What can be done, and may not be what was meant."""
        return [
            f"queue {queue.name}: its limit is {queue.limit}, but no more than {self.workers} jobs run at once in all"
            f" (workers: {self.workers})"
            for queue in self.queues.values()
            if queue.limit is not None and queue.limit > self.workers
        ]

    def lifted(self, before: Config) -> list[str]:
        """Limits that held until now, and that nothing says any more."""
        return [
            f"queue {queue.name}: its limit of {queue.limit} is lifted, as it is not in the configuration any more"
            for queue in before.queues.values()
            if queue.limit is not None and self.queue(queue.name).limit is None
        ]


QUEUE = (
    Key("limit", integer(1, 100_000), "how many of its jobs may run at once (as many as there are workers)"),
    Key("defaults", section(DEFAULTS), "keys for jobs that leave them out"),
    Key("handler", or_word("none", section((
        Key("command", argv, "program and arguments, with {file} or {line}"),
    ), "command"), None), "the command for what is dropped here: for each {file}, or {line} of it; none: it runs"),
)  # fmt: skip

KEYS = (
    Key("workers", or_word("auto", integer(1, 10_000), None), "processes that run jobs (auto: one a CPU)"),
    Key("ready_queue", or_word("auto", integer(1, 100_000), None), "jobs kept ready (auto: as many as workers)"),
    Key("max_backlog", integer(1, 1_000_000_000), "queued jobs; beyond it files stay in the spool (1000000)"),
    Key("user_backlog", or_word("auto", integer(1, 1_000_000_000), None),
        "queued jobs of one user, root and the gate's own excepted (auto: half of max_backlog)"),
    Key("stop_timeout", duration, "how long a stop waits for running jobs before it ends them (30s)"),
    Key("on_stop", choice(*ON_STOP), "running jobs at a stop: requeue after stop_timeout, wait, or leave (requeue)"),
    Key("max_file_size", positive(size), "the largest spec or script (1M); one job of it is at most 15M"),
    Key("max_list_size", positive(size), "the largest task list, or file for a handler (1G)"),
    Key("rescan_interval", positive(duration), "how often the whole spool is looked through (1min)"),
    Key("settle_time", duration, "how long a file rests, where the kernel cannot say who writes (2s)"),
    Key("umask", text("0?[0-7]{3}", "an octal mask in quotes, such as '022'"), "the umask of jobs ('022')"),
    Key("output", section(OUTPUT), "what is kept of the output of jobs that do not say"),
    Key("retention", section((
        Key("age", positive(duration), "how long jobs that are over are remembered, while the host is up (30d)"),
        Key("count", integer(0, 1_000_000_000), "how many of them at most (1000000)"),
    )), "when jobs that are over are forgotten, with their output"),
    Key("access", section((
        Key("see", choice(*WHO), "who may see what a job runs, writes, and why it failed: owner, or members (owner)"),
        Key("cancel", choice(*WHO), "who may cancel a job: owner, or members (owner)"),
    )), "who may do what on the control socket; root may do all"),
    Key("queues", mapping_of(QUEUE_NAME, "queue names (letters, digits, '_', '.', '-')", section(QUEUE)),
        "the queues, each fed by the directory of its name in the spool"),
)  # fmt: skip


def load(layout: Layout, main: Path | None = None) -> Config:
    """The configuration in force. ``main`` stands for the file at its usual place, which may be missing.

    Raises ``ConfigError`` with all that is wrong.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    usual: Path = layout.config_file
    for path in [main or usual, *_drop_ins(layout.config_drop_ins, problems)]:
        try:
            values = _over(values, _read(path))
        except FileNotFoundError:
            if path != usual or main is not None:
                problems.append(Problem(_name(path), 0, 0, "there is no such file"))
        except OSError as error:
            problems.append(_cannot_read(path, error))
        except Refused as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return from_values(values)


def unreadable(layout: Layout, main: Path | None = None) -> list[Problem]:
    """What of the usual files this process may not read; ``main`` stands for the first and is somebody's draft."""
    problems: list[Problem] = []
    usual = [layout.config_file] if main is None else []
    for path in [*usual, *_drop_ins(layout.config_drop_ins, problems)]:
        try:
            open(path, "rb").close()
        except FileNotFoundError:
            pass
        except OSError as error:
            problems.append(_cannot_read(path, error))
    return problems


def _cannot_read(path: Path, error: OSError) -> Problem:
    hint = ""
    if isinstance(error, PermissionError):
        closed = next((p for p in reversed(path.parents) if not os.access(p, os.X_OK, effective_ids=True)), None)
        what = "rx" if os.path.isdir(path) else "r"
        mend = f"chmod o+x {closed}" if closed else f"chmod o+{what} {path}"
        hint = f"the user {user_name(os.geteuid())} must be able to: {mend}"
    return Problem(_name(path), 0, 0, f"cannot be read: {error.strerror}", hint=hint)


def _drop_ins(directory: Path, problems: list[Problem]) -> list[Path]:
    """In the order of their names; hidden files belong to an editor or to nobody."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(_cannot_read(directory, error))
        return []
    return [directory / name for name in names if name.endswith(".yaml") and not name.startswith(".")]


def _over(values: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """Both, where ``later`` wins; of two keys that exclude each other it puts one in the place of the other."""
    out = merge(values, later)
    for name, queue in later.get("queues", {}).items():
        given = queue.get("defaults", {})
        gone = "not_before" if "delay" in given else "delay" if "not_before" in given else None
        if gone is not None:
            out["queues"][name]["defaults"].pop(gone, None)
    return out


def _name(path: Path) -> str:
    return to_text(os.fsencode(path))


def _read(path: Path) -> dict[str, Any]:
    where = _name(path)
    with open(path, "rb") as file:
        content = decode(where, file.read(MAX_SIZE + 1), MAX_SIZE, "split it into drop-ins")
    source = Source.of(where, content)
    documents = read_yaml(source, content)
    if len(documents) > 1:
        second = documents[1]
        raise source.refuse(second.line, second.column, "a configuration is one document, here begins a second")
    if not documents or documents[0].value is None:
        return {}
    check = Check(source)
    values = read_section(documents[0], check, KEYS)
    for name, (_, queue) in _queues_of(documents[0]).items():
        read = values.get("queues", {}).get(name, {})
        if read.get("handler") and "command" in read["handler"]:
            _check_handler(read["handler"]["command"], check, queue.value["handler"][1])
        if {"delay", "not_before"} <= read.get("defaults", {}).keys():
            check.wrong(queue.value["defaults"][1], EXCLUSIVE)
    if check.problems:
        raise Refused(check.problems)
    return values


def _queues_of(document: Any) -> Mapping[str, Any]:
    queues = document.value.get("queues") if isinstance(document.value, dict) else None
    found = queues[1].value if queues and isinstance(queues[1].value, dict) else {}
    return {name: pair for name, pair in found.items() if isinstance(pair[1].value, dict)}


def _check_handler(command: Sequence[str], check: Check, node: Any) -> None:
    marks = [mark for mark in MARKS if any(mark in part for part in command)]
    if len(marks) != 1:
        check.wrong(node, "handler: its command must hold either {file} or {line}, and not both")


def from_values(values: Mapping[str, Any]) -> Config:
    """A configuration from checked values."""
    given = dict(values)
    workers = given.pop("workers", None) or len(os.sched_getaffinity(0))
    ready_queue = given.pop("ready_queue", None) or workers
    output = merge(asdict(Output()), given.pop("output", {}))
    queues = {name: _queue(name, queue, output) for name, queue in given.pop("queues", {}).items()}
    queues.setdefault("default", _queue("default", {}, output))
    config = Config(workers, ready_queue, output=output, queues=queues)
    if "retention" in given:
        given["retention"] = Retention(**given["retention"])
    if "access" in given:
        given["access"] = Access(**given["access"])
    if "umask" in given:
        given["umask"] = int(given["umask"], 8)
    return replace(config, **given)


def _queue(name: str, values: Mapping[str, Any], output: Mapping[str, Any]) -> QueueConfig:
    defaults = merge({"output": dict(output)}, values.get("defaults", {}))
    handler = values.get("handler") or {}
    runs = "handler" in values and values["handler"] is None
    return QueueConfig(name, values.get("limit"), defaults, handler.get("command"), runs)
