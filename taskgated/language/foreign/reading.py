"""Going through a script for directives of other batch systems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from taskgated.core.job import Dialect
from taskgated.language.declare import Check, Mismatch
from taskgated.language.directives import here_documents
from taskgated.language.foreign import pbs, sge, slurm
from taskgated.language.foreign.dialect import Syntax, Wrong, words
from taskgated.language.foreign.wishes import Given, Wishes
from taskgated.language.nodes import Node
from taskgated.language.source import forbidden
from taskgated.text import quoted

LONGEST = 8192
"""Characters of a directive. To take one apart takes as long as its length squared."""
MOST = 1000
"""Directives of a script."""
MOST_CHARACTERS = 65_536
"""Characters of all of them together: as many options take some half a second."""
SYNTAXES = {syntax.dialect: syntax for syntax in (slurm.SYNTAX, pbs.SYNTAX, sge.SYNTAX)}


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a script says in a dialect: ``keys``, a mapping of our keys, with their places; ``notes`` about what was
    passed over. ``dialect`` is None if it has no directive that its own system would read."""

    dialect: Dialect | None
    keys: Node
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A directive: what stands behind its prefix, and where."""

    number: int
    rest: str
    column: int


def read_foreign(check: Check, wanted: Sequence[Dialect], priority: int, has_cwd: bool, now: datetime) -> Foreign:
    """What the script says. Of several dialects the first of those that are ``wanted`` is read, and a note names the
    others: each system reads its own alone. ``priority``: that of a job that says nothing; ``has_cwd``: whether
    one has a directory. What is wrong goes to ``check``.
    """
    wishes = Wishes(check, now, priority, has_cwd)
    notes: list[str] = []
    read: Syntax | None = None
    for syntax in (SYNTAXES[dialect] for dialect in wanted):
        lines, late = directives(check.source.lines, syntax)
        if lines and read is None:
            read = syntax
            if not _too_many(syntax, lines, wishes):
                _read(syntax, lines, wishes)
        elif lines:
            notes.append(f"line {lines[0].number}: {syntax.prefix} is not read, for {read and read.prefix} is")
        if late and (read is syntax or read is None):
            notes.append(
                f"line {late[0].number}: {syntax.prefix} is behind the first line of code, where {syntax.manual} does"
                " not read it either"
            )
    found = (*wishes.notes.values(), *notes)
    return Foreign(read.dialect if read else None, wishes.done(), found)


def directives(lines: Sequence[str], syntax: Syntax) -> tuple[list[Line], list[Line]]:
    """Those that count, and those that come too late."""
    found: list[Line] = []
    late: list[Line] = []
    code = False
    texts: set[int] | None = None
    for number, line in enumerate(lines[1:], 2):
        line = line.rstrip("\r")
        if (rest := syntax.rest(line)) is not None:
            if code:  # a script that writes scripts has them in here-documents, and they are the others'
                texts = here_documents(lines) if texts is None else texts
                if number in texts:
                    continue
            (late if code else found).append(Line(number, rest, len(line) - len(rest) + 1))
        elif not syntax.everywhere and (stripped := line.strip()) and not stripped.startswith("#"):
            code = True
    return found, late


def _too_many(syntax: Syntax, lines: Sequence[Line], wishes: Wishes) -> bool:
    """Whether there are more than anybody means, which is told: they would take as long as the work of others."""
    characters = 0
    for count, line in enumerate(lines, 1):
        characters += len(line.rest)
        if count > MOST or characters > MOST_CHARACTERS:
            text = (
                f"more than {MOST} directives"
                if count > MOST
                else f"more than {MOST_CHARACTERS} characters of options"
            )
            wishes.wrong(Given(syntax.prefix, "", line.number, line.column), text, "say each option once")
            return True
    return False


def _read(syntax: Syntax, lines: Sequence[Line], wishes: Wishes) -> None:
    for line in lines:
        for given, message, hint in _wrong_with(syntax, line, wishes):
            wishes.wrong(given, message, hint)
    syntax.finish(wishes)


def _wrong_with(syntax: Syntax, line: Line, wishes: Wishes) -> Iterator[tuple[Given, str, str]]:
    """Read one line; all that is wrong with it."""
    whole = Given(syntax.prefix, "", line.number, line.column)
    if len(line.rest) > LONGEST:
        yield whole, f"longer than {LONGEST} characters", "write several lines; and indices of an array as a range"
        return
    try:
        line.rest.encode()
    except UnicodeEncodeError as error:
        yield whole, f"character {error.start + 1} is not UTF-8", ""
        return
    if found := forbidden(line.rest.replace("\r", "\0")):
        yield whole, found[1], ""
        return
    try:
        for option, given in syntax.scan(words(syntax, line.rest, line.number, line.column), syntax.options):
            try:
                option.read(given, wishes)
            except Mismatch as wrong:
                yield given, str(wrong), wrong.hint
    except Mismatch as wrong:
        yield whole, str(wrong), wrong.hint
    except Wrong as wrong:
        yield wrong.at.at(quoted(wrong.at.name)), wrong.message, wrong.hint
