"""From a dropped file to specs: what it says, and what its queue and the configuration add.

A file that cannot be read is ``Refused``, with all that is wrong with it. ``queue`` is always the one whose directory
the file was dropped in, and ``name`` stands for the file in what is said of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from taskgated.core.job import Spec
from taskgated.errors import Problem, Refused
from taskgated.language.after import linked, stand_in
from taskgated.language.config import Config, Mark
from taskgated.language.configkeys import NOT_IN_A_JOB
from taskgated.language.declare import Check, Values, read_section
from taskgated.language.directives import DIRECTIVE, head, is_directive
from taskgated.language.foreign.unread import KEYS_COUNT, unread
from taskgated.language.jobs import Made, check_keys, check_shell, check_size, finish, first_word, jobs_of, make, stem
from taskgated.language.jsonread import read_json
from taskgated.language.keys import JOB, LATER
from taskgated.language.kinds import (
    Kind,
    check_not_empty,
    check_not_script,
    check_not_spec,
    check_script,
    kind_of,
    wrong_interpreter,
)
from taskgated.language.nodes import Entries, Node, node_at
from taskgated.language.scripts import read_script
from taskgated.language.source import BOM, Source, check_encoding, decode, wide_encoding
from taskgated.language.streamchecks import below_nothing, no_directory
from taskgated.language.types import MAX_ARGUMENT
from taskgated.language.yamlread import yaml_documents
from taskgated.text import to_bytes, to_text, without_controls

MAX_LINE = MAX_ARGUMENT


def read_specs(name: str, data: bytes, queue: str, config: Config) -> Sequence[Spec]:
    """The jobs of a spec file: one mapping, a list of them, or several documents. ``Jobs`` if there are arrays."""
    check_not_empty(name, data)
    content = decode(name, data, config.max_file_size)
    check_not_script(Kind.SPEC, name, data.removeprefix(BOM))
    source = Source.of(name, content)
    check = Check(source)
    read = read_json if name.endswith(".json") else yaml_documents
    nodes: list[Node] = []
    try:
        for document in read(source, content, check.add):
            if isinstance(document.value, list):
                nodes += document.value
            elif document.value is not None:
                nodes.append(document)
    except Refused as error:
        raise Refused(tuple(dict.fromkeys((*check.problems, *error.problems)))) from None
    if not nodes:
        raise Refused([Problem(name, 0, 0, "there is no job in this file")])
    found = [_job(node, check, queue, config) for node in nodes]
    made = linked([job or stand_in(node) for node, job in zip(nodes, found, strict=True)], nodes, check)
    taken, before = 0, len(check.problems)
    for node, job in zip(nodes, found, strict=True):
        if job is not None and len(check.problems) == before:  # behind one that is too large nothing fits
            taken = check_size(job, data, check, node, taken)
    if check.problems:
        raise Refused(check.problems)
    return jobs_of(made)


def line_spec(kind: Kind, name: str, number: int, line: bytes, queue: str, config: Config) -> Spec | None:
    """The job of line ``number`` (from 1) of a list; None when it is blank or, in a task list, a comment.

    ``kind`` alone says whether it is a command or data; ``Unexplained`` if it is data and the queue has no handler.
    """
    line = line.rstrip(b"\r\n")
    if number == 1:
        check_encoding(name, line)
        line = line.removeprefix(BOM)
        if kind is Kind.TASKS:
            check_not_script(kind, name, line)
            check_not_spec(name, line)
    stripped = line.strip()
    if not stripped:
        return None
    if kind is Kind.TASKS and stripped.startswith(b"#"):
        if is_directive(to_text(stripped)):
            message, hint = "a task list holds no keys", "those of its jobs are its queue's defaults; or write a spec"
            raise Refused([Problem(name, number, line.index(b"#") + 1, message, hint=hint)])
        return None
    if len(line) > MAX_LINE:
        raise Refused([Problem(name, number, 0, f"this line is longer than {MAX_LINE} bytes")])
    if (at := line.find(b"\0")) >= 0:
        hint = f"this line is {encoding}: write it in UTF-8" if (encoding := wide_encoding(line)) else ""
        raise Refused([Problem(name, number, at + 1, "a NUL in a line: no program can be given one", hint=hint)])
    text = to_text(line)
    if kind is Kind.TASKS:
        _check_command_line(name, number, line)
        return _of_queue({"command": text}, queue, config, first_word(text), name, number)
    handler = config.queue(queue).handler_with(Mark.LINE)
    command = tuple(part.replace(Mark.LINE, text) for part in handler)
    return _of_queue({"command": command}, queue, config, stem(handler[0]), name, number)


def _check_command_line(name: str, number: int, line: bytes) -> None:
    """``Refused`` for what would be another command than its writer means.

    A line does not go on in the next, as it would in a shell: the next may be there only later, and be appended by
    another process.
    """
    if (at := line.find(b"\r")) >= 0:
        hint = "save the file with the line ends of Unix"
        raise Refused([Problem(name, number, at + 1, "a carriage return inside of a line", hint=hint)])
    if (len(line) - len(line.rstrip(b"\\"))) % 2:
        message = "a line that ends in \\ does not go on in the next: each line is a job"
        hint = "write the command in one line, or as a script"
        raise Refused([Problem(name, number, len(line), message, hint=hint)])
    bare = line.rstrip(b" \t")
    if (len(bare) - len(bare.rstrip(b"\\"))) % 2:
        message = "a line that ends in \\ and a blank does not go on in the next: each line is a job"
        hint = "write the command in one line, or as a script; put a blank that is meant in quotes"
        raise Refused([Problem(name, number, len(bare), message, hint=hint)])


def file_spec(name: str, path: str, queue: str, config: Config) -> Spec:
    """The job of a file in a queue whose handler takes files; ``path`` is where the claimed file lies."""
    handler = config.queue(queue).handler_with(Mark.FILE)
    command = tuple(part.replace(Mark.FILE, path) for part in handler)
    return _of_queue({"command": command, "file": path}, queue, config, stem(name), name, 0)


def _of_queue(values: Values, queue: str, config: Config, title: str, where: str, number: int) -> Spec:
    """A job that says nothing of itself: all its keys are its queue's. ``title``: its name; ``where`` and ``number``:
    of the file and the line, for a message."""
    problems = [
        Problem(where, number, 0, message, hint=hint)
        for key, path in below_nothing(config.queue(queue).defaults)
        for message, hint in [no_directory(key, path, of_queue=True)]
    ]
    if problems:
        raise Refused(problems)
    return finish(values, queue, config, title)


def read_file(name: str, data: bytes, queue: str, config: Config) -> Sequence[Spec]:
    """All jobs of a file, whatever its kind; for checking."""
    kind = kind_of(name, config.queue(queue))
    match kind:
        case Kind.SPEC:
            return read_specs(name, data, queue, config)
        case Kind.SCRIPT:
            check_script(name, data, queue)
            return read_script(name, data, queue, config)
        case Kind.FILE:
            return [file_spec(name, name, queue, config)]
    specs: list[Spec] = []
    problems: list[Problem] = []
    check_encoding(name, data)  # else each of its lines would be wrong by itself
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


def _job(node: Node, check: Check, queue: str, config: Config) -> Made | None:
    before, noted = len(check.problems), len(check.notes)
    values = read_section(node, check, JOB, LATER, NOT_IN_A_JOB)
    if not isinstance(node.value, Entries):
        return None
    given = {"command", "script"} & node.value.keys()
    unknown = node.value.keys() - {key.name for key in JOB} - set(LATER)
    if len(given) > 1 or not (given or unknown):  # an unknown key may well be a slip for one of them
        check.wrong(node, "a job has either 'command' or 'script'" + (", not both" if given else ""))
    check_keys(node, values, check, queue, config)
    if given & values.keys():
        check_shell(node_at(node, "shell"), values, check)
    if len(check.problems) > before:
        return None
    if isinstance(script := values.get("script"), str):
        first = 1
        if not script.startswith("#!"):
            script, first = "#!/bin/sh\n" + script, 0
            values["script"] = script
        if any(is_directive(comment.line) for comment in head(script.split("\n"))[0]):
            hint = "write its key beside 'script'"
            check.wrong(node_at(node, "script"), f"script: {DIRECTIVE} has no effect in the script of a spec", hint)
            return None
        if wrong := wrong_interpreter(to_bytes(script.split("\n", 1)[0])):
            hint = "let its lines end in \\n alone" if "\r" in script.split("\n", 1)[0] else wrong[2]
            check.wrong(node_at(node, "script"), f"script: {wrong[1]}", hint)
            return None
        check.notes += (f"script, {note}" for note in unread(script.split("\n"), (), KEYS_COUNT, first))
    if notes := check.notes[noted:]:
        values["notes"] = tuple(notes)
    made = make(node, values, check, queue, config, _default_name(values))
    return made if len(check.problems) == before else None


def _default_name(values: Values) -> str:
    command = values.get("command")
    if isinstance(command, tuple):
        return without_controls(command[0].rstrip("/").rsplit("/", 1)[-1] or command[0])
    return first_word(command) if isinstance(command, str) else "script"
