"""From a dropped file to specs: which kind of file it is, and what it says.

Which kind it is follows from its name and its queue (``kind_of``). Whatever cannot be read is ``Refused``, with
all that is wrong with it.
"""

from __future__ import annotations

import enum
import json
import shlex
from collections.abc import Mapping
from typing import Any

from taskgated.config import Config, QueueConfig
from taskgated.core.job import Spec, to_text
from taskgated.errors import Problem, Refused
from taskgated.formats.declare import MAX_ARGUMENT, Check, did_you_mean, read_section
from taskgated.formats.jsonread import read_json
from taskgated.formats.keys import EXCLUSIVE, JOB, LATER, build, merge
from taskgated.formats.yamlread import Mapping as YamlMapping
from taskgated.formats.yamlread import Node, Source, decode, forbidden, quoted, read_yaml

MAX_LINE = MAX_ARGUMENT
MAX_JOB = 15 * 1024**2
"""Bytes of a job in the form in which its worker is given it: whatever ``max_file_size`` allows, no more can be
handed over in one piece (``wire.LIMIT``). That form is JSON in ASCII: most text has its own size there, a character
beyond ASCII, a control character and a byte that is no text take six bytes each."""
_SMALL = 1024**2
"""Bytes of a file in which no job can be too large, also with all that the configuration adds."""
DIRECTIVE = "#TASKGATE"


class Kind(enum.StrEnum):
    SPEC = "job spec"
    SCRIPT = "script"
    TASKS = "task list"
    FILE = "file for a handler"
    LINES = "lines for a handler"


SPEC_ENDINGS = (".yaml", ".yml", ".json")
LIST_ENDINGS = (".tasks", ".txt")


def kind_of(name: str, queue: QueueConfig) -> Kind:
    """The kind of a file with that name in that queue; of a script only its beginning says that it is one."""
    if queue.handler is not None:
        return Kind.LINES if queue.mark == "{line}" else Kind.FILE
    if name.endswith(SPEC_ENDINGS):
        return Kind.SPEC
    return Kind.TASKS if name.endswith(LIST_ENDINGS) else Kind.SCRIPT


def check_script(name: str, head: bytes, queue: str) -> None:
    """``Refused`` when what has no other kind is no script either."""
    if not head.startswith(b"#!"):
        specs, lists = ", ".join(SPEC_ENDINGS), ", ".join(LIST_ENDINGS)
        known = f"a spec ({specs}) nor a task list ({lists}) nor a script (first line #!)"
        raise Refused([Problem(name, 0, 0, f"this is neither {known}, and queue {queue} has no handler")])


def read_specs(name: str, data: bytes, queue: str, config: Config) -> list[Spec]:
    """The jobs of a spec file: one mapping, a list of them, or several documents."""
    content = decode(name, data, config.max_file_size)
    source = Source.of(name, content)
    documents = (read_json if name.endswith(".json") else read_yaml)(source, content)
    nodes: list[Node] = []
    for document in documents:
        if isinstance(document.value, list):
            nodes += document.value
        elif document.value is not None:
            nodes.append(document)
    if not nodes:
        raise Refused([Problem(name, 0, 0, "there is no job in this file")])
    check = Check(source)
    specs = [_job(node, check, queue, config) for node in nodes]
    if check.problems:
        raise Refused(check.problems)
    if len(data) > _SMALL:
        for node, spec in zip(nodes, specs, strict=True):
            if spec is not None:
                _check_job(spec, source, node)
    return [spec for spec in specs if spec is not None]


def read_script(name: str, data: bytes, queue: str, config: Config) -> Spec:
    """The job of a script: its directives, and its text, to be run from a private copy."""
    if len(data) > config.max_file_size:
        raise Refused([Problem(name, 0, 0, f"larger than {config.max_file_size} bytes", hint="see max_file_size")])
    if (at := data.find(b"\0", 0, 1024)) >= 0:
        place = data.count(b"\n", 0, at) + 1, at - data.rfind(b"\n", 0, at)
        raise Refused([Problem(name, *place, "a NUL in its first kilobyte: this is no script")])
    script = to_text(data)
    lines = script.split("\n")
    source = Source(name, tuple(lines))
    check = Check(source)
    values: dict[str, Any] = {}
    seen = YamlMapping()
    for number, line in enumerate(lines[1:], 2):
        stripped = line.strip()
        if stripped and not stripped.startswith("#"):
            break  # the first line that is neither blank nor a comment ends the directives
        if stripped.startswith(DIRECTIVE) and not stripped[len(DIRECTIVE) :][:1].strip():
            try:
                directive = _directive(source, line, number)
            except Refused as error:
                check.add(error.problems)
            else:
                _check_directive(directive, check, seen)
                values |= read_section(directive, check, JOB, LATER)
    node = Node(seen, 1, 1)
    _check_queue(_value(node, "queue"), values, check, queue, config)
    _check_times(_value(node, "delay"), values, check)
    if check.problems:
        raise Refused(check.problems)
    spec = _finish({**values, "script": script}, queue, config, _stem(name))
    if len(data) > _SMALL:
        _check_job(spec, source, node)
    return spec


def _check_job(spec: Spec, source: Source, node: Node) -> None:
    if (length := len(json.dumps(spec.to_json()))) > MAX_JOB:
        hint = "keep the bulk in a file of its own, and name that in the job"
        problem = f"this job takes {length} bytes to be handed to its worker, and may take {MAX_JOB}"
        raise Refused([Problem(source.where, node.line, 0, problem, hint=hint)])


def _directive(script: Source, line: str, number: int) -> Node:
    """The mapping of one ``#TASKGATE key: value`` line, read as YAML at its own place in the script."""
    line = line.rstrip("\r")
    rest = line[line.index(DIRECTIVE) + len(DIRECTIVE) :].lstrip(" \t")
    indent = len(line) - len(rest)
    content = " " * indent + rest
    source = Source(script.where, script.lines[number - 1 : number], number)
    try:
        content.encode()
    except UnicodeEncodeError as error:
        raise source.refuse(number, error.start + 1, "a directive must be UTF-8") from None
    if found := forbidden(content.replace("\r", "\0")):
        raise source.refuse(number, found[0] + 1, "a control character has no place in a directive")
    try:
        documents = read_yaml(source, content)
    except Refused as error:  # what is missing at the end of a directive is missing in its line
        (wrong,) = error.problems
        column = wrong.column if wrong.line == number else len(line) + 1
        raise source.refuse(number, column, wrong.message, wrong.hint) from None
    if len(documents) != 1 or not isinstance(documents[0].value, YamlMapping):
        raise source.refuse(number, indent + 1, "expected 'key: value'")
    return documents[0]


def _check_directive(directive: Node, check: Check, seen: YamlMapping) -> None:
    assert isinstance(directive.value, YamlMapping)
    for key, (at, value) in directive.value.items():
        if key in ("command", "script"):
            check.wrong(at, f"'{key}' has no place in a script: the script is what runs")
        if key in seen:
            check.wrong(at, f"{quoted(key)} is given twice", f"first in line {seen[key][0].line}")
        seen.setdefault(key, (at, value))


def line_spec(kind: Kind, name: str, number: int, line: bytes, queue: str, config: Config) -> Spec | None:
    """The job of line ``number`` (from 1) of a list; None when it is blank or, in a task list, a comment.

    ``kind`` alone says whether it is a command or data; ``Unexplained`` if it is data and the queue has no handler.
    """
    line = line.rstrip(b"\r\n")
    stripped = line.strip()
    if not stripped or (kind is Kind.TASKS and stripped.startswith(b"#")):
        return None
    if len(line) > MAX_LINE:
        raise Refused([Problem(name, number, 0, f"this line is longer than {MAX_LINE} bytes")])
    if (at := line.find(b"\0")) >= 0:
        raise Refused([Problem(name, number, at + 1, "a NUL in a line: no program can be given one")])
    text = to_text(line)
    if kind is Kind.TASKS:
        return _finish({"command": text}, queue, config, _first_word(text))
    handler = config.queue(queue).handler_with("{line}")
    command = tuple(part.replace("{line}", text) for part in handler)
    return _finish({"command": command}, queue, config, _stem(handler[0]))


def file_spec(name: str, path: str, queue: str, config: Config) -> Spec:
    """The job of a file in a queue whose handler takes files; ``path`` is where the claimed file lies."""
    handler = config.queue(queue).handler_with("{file}")
    command = tuple(part.replace("{file}", path) for part in handler)
    return _finish({"command": command, "file": path}, queue, config, _stem(name))


def read_file(name: str, data: bytes, queue: str, config: Config) -> list[Spec]:
    """All jobs of a file, whatever its kind; for checking."""
    kind = kind_of(name, config.queue(queue))
    match kind:
        case Kind.SPEC:
            return read_specs(name, data, queue, config)
        case Kind.SCRIPT:
            check_script(name, data, queue)
            return [read_script(name, data, queue, config)]
        case Kind.FILE:
            return [file_spec(name, name, queue, config)]
    specs: list[Spec] = []
    problems: list[Problem] = []
    for number, line in enumerate(data.split(b"\n"), 1):
        try:
            if spec := line_spec(kind, name, number, line, queue, config):
                specs.append(spec)
        except Refused as error:
            problems += error.problems
    if problems:
        raise Refused(problems)
    return specs


# -- one job -------------------------------------------------------------------------------------


def _job(node: Node, check: Check, queue: str, config: Config) -> Spec | None:
    before = len(check.problems)
    values = read_section(node, check, JOB, LATER)
    if not isinstance(node.value, YamlMapping):
        return None
    given = {"command", "script"} & node.value.keys()
    unknown = node.value.keys() - {key.name for key in JOB} - set(LATER)
    if len(given) > 1 or not (given or unknown):  # an unknown key may well be a slip for one of them
        check.wrong(node, "a job has either 'command' or 'script'" + (", not both" if given else ""))
    _check_queue(_value(node, "queue"), values, check, queue, config)
    _check_times(_value(node, "delay"), values, check)
    if len(check.problems) > before:
        return None
    if "script" in values and not values["script"].startswith("#!"):
        values["script"] = "#!/bin/sh\n" + values["script"]
    return _finish(values, queue, config, _default_name(values))


def _value(node: Node, key: str) -> Node:
    pair = node.value.get(key) if isinstance(node.value, YamlMapping) else None
    return pair[1] if pair else node


def _check_queue(node: Node, values: Mapping[str, Any], check: Check, queue: str, config: Config) -> None:
    """A spec in the spool itself may name any queue; in a queue's own directory, only that one."""
    named = values.get("queue", queue)
    if named == queue:
        return
    if queue != "default":
        check.wrong(node, f"queue: dropped for queue '{queue}', it cannot ask for '{named}'")
    elif named not in config.queues:
        check.wrong(node, f"queue: there is no queue '{named}'", did_you_mean(named, config.queues))


def _check_times(node: Node, values: Mapping[str, Any], check: Check) -> None:
    if "delay" in values and "not_before" in values:
        check.wrong(node, EXCLUSIVE)


def _finish(values: Mapping[str, Any], queue: str, config: Config, name: str) -> Spec:
    """Fill in what the queue has as defaults, and a name."""
    target = values.get("queue", queue)
    defaults = config.queue(target).defaults
    if "delay" in values or "not_before" in values:  # one of them given takes the place of the other
        defaults = {k: v for k, v in defaults.items() if k not in ("delay", "not_before")}
    return build({**merge(defaults, values), "queue": target, "name": values.get("name") or name[:200]})


def _default_name(values: Mapping[str, Any]) -> str:
    command = values.get("command")
    if isinstance(command, tuple):
        return _clean(command[0].rstrip("/").rsplit("/", 1)[-1] or command[0])
    return _first_word(command) if command else "script"


def _first_word(line: str) -> str:
    try:
        word = next(iter(shlex.split(line[:1000])), "")
    except ValueError:
        word = line.split(maxsplit=1)[0]
    return _clean(word.rsplit("/", 1)[-1]) or "sh"


def _stem(name: str) -> str:
    base = name.rsplit("/", 1)[-1]
    return _clean(base.rsplit(".", 1)[0] or base)


def _clean(name: str) -> str:
    """A default name is for people: no control characters."""
    return "".join("?" if c < " " or "\x7f" <= c <= "\x9f" else c for c in name)


__all__ = [
    "MAX_LINE",
    "Kind",
    "check_script",
    "file_spec",
    "kind_of",
    "line_spec",
    "read_file",
    "read_script",
    "read_specs",
]
