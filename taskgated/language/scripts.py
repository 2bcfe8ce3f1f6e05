"""A script that was dropped: its directives, and its text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from taskgated.core.job import Spec
from taskgated.errors import Problem, Refused
from taskgated.language.after import linked
from taskgated.language.config import Config
from taskgated.language.configkeys import NOT_IN_A_JOB
from taskgated.language.declare import Check, read_section
from taskgated.language.directives import DIRECTIVE, amiss, as_written, head, is_directive, near
from taskgated.language.foreign.reading import Foreign, read_foreign
from taskgated.language.foreign.unread import OURS_COUNT, unread
from taskgated.language.jobs import check_keys, check_shell, check_size, jobs_of, make, stem
from taskgated.language.keys import JOB, LATER
from taskgated.language.nodes import Entries, Node, node_at
from taskgated.language.source import BOM, Source, forbidden
from taskgated.language.synonyms import SYNONYMS, plain
from taskgated.language.yamlread import read_yaml
from taskgated.text import quoted, to_text


def read_script(name: str, data: bytes, queue: str, config: Config) -> Sequence[Spec]:
    """The job of a script: its directives, and its text, to be run from a private copy; ``Jobs`` of an array."""
    if len(data) > config.max_file_size:
        raise Refused([Problem(name, 0, 0, f"larger than {config.max_file_size} bytes", hint="see max_file_size")])
    data = data.removeprefix(BOM)  # the kernel would not see the #! behind it
    if (at := data.find(b"\0", 0, 1024)) >= 0:
        place = data.count(b"\n", 0, at) + 1, at - data.rfind(b"\n", 0, at)
        raise Refused([Problem(name, *place, "a NUL in its first kilobyte: this is no script")])
    script = to_text(data)
    lines = script.split("\n")
    source = Source(name, tuple(lines))
    check = Check(source)
    values: dict[str, object] = {}
    seen = Entries()
    comments, code = head(lines)
    for comment in comments:
        if is_directive(comment.line):
            try:
                directive = _directive(source, comment.line, comment.number)
            except Refused as error:
                check.add(error.problems)
            else:
                _check_directive(directive, check, seen)
                values |= read_section(directive, check, JOB, LATER, NOT_IN_A_JOB)
    for wrong in amiss(lines, code, _is_key):
        check.add([source.problem(wrong.number, wrong.column, wrong.message, wrong.hint)])
    ours = bool(seen)
    foreign = None if ours or check.problems else _foreign(check, queue, config)
    if foreign is not None:
        values = read_section(foreign.keys, check, JOB, LATER)
        seen = foreign.keys.value if isinstance(foreign.keys.value, Entries) else seen
    node = Node(seen, 1, 1)
    check_keys(node, values, check, queue, config)
    check_shell(node_at(node, "shell"), values, check)
    if check.problems:
        raise Refused(check.problems)
    notes = (*foreign.notes,) if foreign is not None else (*check.notes,)  # a path of another system was translated
    notes += unread(lines, config.dialects, OURS_COUNT if ours else "")
    if foreign is not None:
        values["dialect"] = foreign.dialect
    if notes:
        values["notes"] = notes
    (made,) = linked([make(node, {**values, "script": script}, check, queue, config, stem(name))], [node], check)
    if not check.problems:
        check_size(made, data, check, node)
    if check.problems:
        raise Refused(check.problems)
    return jobs_of([made])


def _foreign(check: Check, queue: str, config: Config) -> Foreign | None:
    """What a script without directives of ours says to others, as far as the configuration has that read."""
    if not config.foreign_directives:
        return None
    defaults = config.queue(queue).defaults
    priority = defaults.get("priority")
    usual = priority if isinstance(priority, int) else Spec().priority
    return read_foreign(check, config.dialects, usual, "cwd" in defaults, datetime.now())


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
    if len(documents) != 1 or not isinstance(documents[0].value, Entries):
        right = as_written(rest.rstrip(), _is_key)
        hint = f"write '{DIRECTIVE} {right[:60]}'" if right != rest.rstrip() else ""
        raise source.refuse(number, indent + 1, "expected 'key: value'", hint)
    return documents[0]


_NAMES = {key.name for key in JOB} | set(LATER) | {word for word in SYNONYMS if len(word) > 7}
"""Shorter synonyms are words of sentences as well."""


def _without_a_letter(word: str) -> set[str]:
    """The word, and what is left of it without any one of its letters."""
    return {word, *(word[:place] + word[place + 1 :] for place in range(len(word)))}


_ALIKE: dict[str, set[str]] = {}
"""The names by what is left of them without a letter: two words that are a slip apart have such a rest in common, so
that a word need not be compared to all names."""
for _name in _NAMES:
    for _rest in _without_a_letter(_name):
        _ALIKE.setdefault(_rest, set()).add(_name)


@lru_cache(maxsize=1024)
def _is_key(word: str) -> bool:
    """Whether that is a key, or a slip of the keyboard away from one."""
    lower = plain(word.partition(".")[0])
    if lower in _NAMES or len(lower) <= 3:
        return lower in _NAMES
    alike = {name for rest in _without_a_letter(lower) for name in _ALIKE.get(rest, ())}
    return any(near(lower, name) <= 1 for name in alike)


def _check_directive(directive: Node, check: Check, seen: Entries) -> None:
    assert isinstance(directive.value, Entries)
    for key, (at, value) in directive.value.items():
        if key in ("command", "script"):
            check.wrong(at, f"'{key}' has no place in a script: the script is what runs")
        if key in seen:
            check.wrong(at, f"{quoted(key)} is given twice", f"first in line {seen[key][0].line}")
        seen.setdefault(key, (at, value))
