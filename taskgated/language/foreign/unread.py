"""Options for other batch systems that nothing becomes of: who wrote them hears of that."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from taskgated.core.job import Dialect
from taskgated.language.directives import DIRECTIVE, here_documents
from taskgated.language.foreign.reading import SYNTAXES, directives

OURS_COUNT = f"the script has {DIRECTIVE}, and then that alone counts"
KEYS_COUNT = "the keys of the spec are all that counts"

_COMMENT = re.compile(r"\s*#")
_OPTION = re.compile(r"[ \t]*-{1,2}[A-Za-z]")
_OTHERS = re.compile(r"\s*(#(?:BSUB|COBALT|FLUX:|MSUB|OAR|PJM)|#[ \t]*flux:)[ \t]+-{1,2}[A-Za-z]")
"""An option in the comment of a system that the gate has no tables for: LSF (bsub(1)), Cobalt, Flux (RFC 36), Moab,
OAR, and that of Fujitsu (pjsub(1)). Where these read them differs; here it is everywhere but in here-documents."""


def unread(lines: Sequence[str], wanted: Collection[Dialect], instead: str = "", first: int = 1) -> tuple[str, ...]:
    """Notes, one for each system: on options of a dialect that is not ``wanted``, of a system that the gate does not
    know, and, if something else counts ``instead`` (in words), of every one. A line that its own system would not
    read either is no wish of anybody's, and the text of a here-document is another file's. ``first``: the number of
    the first line."""
    if not any(map(_COMMENT.match, lines[1:])):
        return ()
    found = dict(_known(lines, wanted, instead))
    for number, line in enumerate(lines[1:], 2):
        if (match := _OTHERS.match(line)) is not None:
            why = instead or f"say what it wishes in lines such as {DIRECTIVE} timeout: 1h"
            found.setdefault(match[1], ([], why))[0].append(number)
    texts = here_documents(lines) if found else set()
    notes = []
    for prefix, (numbers, why) in found.items():
        if outside := [number - 1 + first for number in numbers if number not in texts]:
            notes.append((outside[0], _note(prefix, outside, why)))
    return tuple(note for _, note in sorted(notes))


def _known(
    lines: Sequence[str], wanted: Collection[Dialect], instead: str
) -> Iterator[tuple[str, tuple[list[int], str]]]:
    """Of each dialect that is not read: its prefix, the numbers of its lines, and why."""
    for syntax in SYNTAXES.values():
        if instead or syntax.dialect not in wanted:
            numbers = [line.number for line in directives(lines, syntax)[0] if _OPTION.match(line.rest)]
            yield syntax.prefix, (numbers, instead or f"foreign_directives does not have {syntax.dialect}")


def _note(prefix: str, numbers: Sequence[int], why: str) -> str:
    more = len(numbers) - 1
    where = f", here and in {more} more line{'s' * (more > 1)}," if more else ""
    return f"line {numbers[0]}: {prefix}{where} is not read: {why}"
