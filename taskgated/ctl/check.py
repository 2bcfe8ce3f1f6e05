"""``taskgatectl check``: what the daemon would say, from the same code.

No daemon is needed; from one that answers it takes what operators have set by hand.
"""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from taskgated.core.fixed import DEFAULT_QUEUE
from taskgated.ctl.terminal import say
from taskgated.ctl.verb import Exit, LocalVerb
from taskgated.errors import Problem, Refused, TaskgateError, Trouble
from taskgated.host import acl
from taskgated.host.identity import how_to_drop, service_user
from taskgated.host.paths import Layout
from taskgated.protocol.strict import name_bytes, unicode_json
from taskgated.text import printable, to_text

if TYPE_CHECKING:
    from taskgated.language.config import Config, Require


class Options(Protocol):
    json: bool
    queue: str
    config: Path | None
    file: Sequence[str]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--queue", metavar="QUEUE", default=DEFAULT_QUEUE, help="as if dropped for this queue")
    parser.add_argument("--config", type=Path, metavar="FILE", help="with this configuration")
    parser.add_argument("file", nargs="+")


@dataclass(slots=True)
class Found:
    """What there is to say of one file. ``lines``: for people, beside the notes; ``left_alone``: why it is."""

    jobs: int = 0
    problems: Sequence[Problem] = ()
    left_alone: str = ""
    lines: Sequence[str] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems and not self.left_alone


# What is imported in functions is not for the help, nor for documents about it.


def run(layout: Layout, options: Options) -> int:
    from taskgated.language.configfiles import load

    config = load(layout, options.config)
    if options.config is None:
        config = _as_set_by_hand(config, layout)
    results: list[dict[str, object]] = []
    for path in options.file:
        found = _check(path, options.queue, config, layout)
        found.notes += _readable(path, layout)
        results.append(
            {
                "file": path,
                "ok": found.ok,
                "jobs": found.jobs,
                "problems": [
                    {"line": p.line, "column": p.column, "message": p.message, "hint": p.hint} for p in found.problems
                ],
                "left_alone": found.left_alone or None,
                "source_bytes": name_bytes(path),
                "notes": found.notes,
            }
        )
        if not options.json:
            say(*found.lines, *(f"{path}: note: {note}" for note in found.notes))
    if options.json:
        say(unicode_json(results))
    return Exit.OK if all(result["ok"] for result in results) else Exit.NOT_SO


def _check(path: str, queue: str, config: Config, layout: Layout) -> Found:
    """In the order in which the gate asks: by the name of the file, then by what is in it."""
    from taskgated.core.array import templates
    from taskgated.language import bynames
    from taskgated.language.jobfile import read_file

    name = os.fsencode(os.path.basename(path))
    require = config.queue(queue).require
    try:
        _check_queue(to_text(name), queue, config, layout)
        file = bynames.file_of(name, require)
        if why := bynames.left_alone(name, queue, config, file):
            return Found(left_alone=why, lines=[f"{path}: is left alone: {why}"])
        if file is not None:
            text = f"no job, but says that {printable(to_text(file))} is whole (require of queue {queue})"
            return Found(notes=[text])
        if wrong := bynames.not_taken(name, config.queue(queue)):
            raise wrong
        beside = None if require is None else bynames.companion(name, require)
        with open(path, "rb") as opened:
            data = opened.read()
        waits = _companion(path, name, data, beside, require) if beside is not None and require is not None else []
        specs = read_file(to_text(name), data, queue, config)
        waits += _check_entitled(path, name, {queue, *(spec.queue for spec in templates(specs))}, layout)
    except OSError as error:
        why = str(error.strerror)
        return Found(problems=[Problem(path, 0, 0, why)], lines=[f"{path}: {why}"])
    except Refused as error:
        return Found(problems=error.problems, lines=str(error).split("\n"))
    notes = [*(note for spec in templates(specs) for note in spec.notes), *waits]
    return Found(len(specs), lines=[f"{path}: {len(specs)} job{'s' * (len(specs) != 1)}"], notes=notes)


def _check_queue(name: str, queue: str, config: Config, layout: Layout) -> None:
    """``Refused`` when nothing can be dropped for that queue: it is one if it is configured, or has a directory."""
    from taskgated.intake.listing import queue_name
    from taskgated.language.declare import did_you_mean

    if queue in config.queues:
        return
    try:
        if queue_name(os.fsencode(queue)) and stat.S_ISDIR(os.lstat(layout.spool / queue).st_mode):
            return
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError:
        return  # whether there is one only the gate knows
    hint = did_you_mean(queue, config.queues)
    raise Refused([Problem(name, 0, 0, f"there is no queue '{printable(queue)}'", hint=hint)])


PATIENCE = 5.0
"""Seconds in which a daemon has to answer that is asked; what it would have said counts for little."""


def _as_set_by_hand(config: Config, layout: Layout) -> Config:
    """With as many tokens as operators have set by hand where that is more: a job that takes these is not refused."""
    from taskgated.ctl.client import Client
    from taskgated.protocol.replies import STATUS

    try:
        with Client(layout.control_socket, PATIENCE) as gate:
            overrides = gate.ask(STATUS).get("overrides") or ()
    except TaskgateError:
        return config
    by_hand = {one["of"]: one["value"] or 0 for one in overrides if one["kind"] == "tokens"}
    return replace(config, tokens={name: max(n, by_hand.get(name, 0)) for name, n in config.tokens.items()})


def _check_entitled(path: str, name: bytes, queues: Collection[str], layout: Layout) -> list[str]:
    """``Refused`` when who would drop the file, its owner if root asks, may not use one of these queues; notes of
    those of which that cannot be told."""
    from taskgated.intake.entitled import may_use, not_entitled

    spool = os.fsencode(layout.spool)
    user = os.geteuid() or os.stat(path).st_uid
    notes = []
    for queue in sorted({*queues} - {DEFAULT_QUEUE}):
        try:
            allowed = may_use(spool, queue, user)
        except (OSError, Trouble) as error:
            notes.append(f"whether its owner may use the queue {queue} cannot be told: {error}")
        else:
            if not allowed:
                raise not_entitled(spool, name, queue)
    return notes


def _companion(path: str, name: bytes, data: bytes, beside: bytes, require: Require) -> list[str]:
    """What there is to note of the second file. Raises ``Refused`` if that has another sum, ``OSError``."""
    import hashlib

    from taskgated.language.sums import LONGEST, misfit

    place = os.path.join(os.path.dirname(os.fsencode(path)), beside)
    if not os.path.isfile(place):
        what = "" if require.sha256 is None else ", with its SHA-256 sum"
        return [f"it waits until {printable(to_text(beside))} is there, too{what} (require: in taskgated.yaml(5))"]
    if require.sha256 is not None:
        with open(place, "rb") as opened:
            text = opened.read(LONGEST)
        if wrong := misfit(name, beside, text, hashlib.sha256(data).hexdigest()):
            raise wrong
    return []


def _readable(path: str, layout: Layout) -> list[str]:
    """What the gate of the host would not be able to read as it is, if that is moved or copied there."""
    if layout != Layout.system():
        return []
    try:
        user = service_user()
        if acl.may_read(path, user.pw_uid):
            return []
        return [how_to_drop(user.pw_name, os.stat(path).st_mode, f"{layout.spool}/NAME")]
    except (OSError, TaskgateError):
        return []


VERB = LocalVerb("what the daemon would say of these files", arguments, run)
