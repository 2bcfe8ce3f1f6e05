"""Regular expressions that take a time in proportion to the text, whatever both are.

An engine that goes back and tries again, as Python's, takes for ever over some texts, and what a job writes is not
ours. So here all ways are followed at once (K. Thompson, "Regular Expression Search Algorithm", 1968): a pattern is a
program of at most ``LONGEST`` steps, and each character of a text is looked at once by each step at most. What has
been worked out of it is kept for the next time, as far as that is little.

The language is the part of Python's (and of POSIX's extended ones) that such an engine can have: characters, ``.``,
``[...]``, ``\\d \\w \\s`` and their opposites, groups, ``|``, ``* + ? {m,n}`` (also lazy, which means the same here),
``^`` and ``$`` for the ends of a line, and ``(?i)`` in front. References to groups and looking around are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

LONGEST = 500
"""Steps of a program."""
_KEPT = 5000
"""Transitions that are kept for the next time."""
_DEEPEST = 50
"""Groups in groups."""
_MOST = 2**21
"""More than the code of any character."""
_END = ""


class BadPattern(ValueError):
    """Raised for a text that is no pattern; says what is wrong, and at which character."""

    def __init__(self, what: str, at: int) -> None:
        super().__init__(f"{what} (character {at + 1})")


Ranges = tuple[tuple[int, int], ...]
"""Characters, by the codes of the first and the last of each row of them."""

_DIGITS: Ranges = ((48, 57),)
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Ranges = ((9, 13), (32, 32))


def _others(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """All characters but these."""
    found, next_ = [], 0
    for first, last in sorted(ranges):
        if first > next_:
            found.append((next_, first - 1))
        next_ = max(next_, last + 1)
    return (*found, (next_, _MOST))


_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE, "D": _others(_DIGITS), "W": _others(_WORD), "S": _others(_SPACE)}
_CONTROLS = {"t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}


class _Step(Enum):
    FOUND = "found"
    BEGIN = "begin"  # of a line
    END = "end"


@dataclass(frozen=True, slots=True)
class _Ways:
    """Go on at each of these steps."""

    to: tuple[int, ...]


_Program = list[Ranges | _Step | _Ways]


class _Parser:
    """Recursive descent; each method appends what it has read to the program."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._deep = 0
        self._fold = text.startswith("(?i)")
        if self._fold:
            self._at = 4
        self.program: _Program = []

    def parse(self) -> _Program:
        self._either()
        if self._at < len(self._text):
            raise BadPattern("a ')' without its '('", self._at)
        self._add(_Step.FOUND)
        return self.program

    def _next(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else _END

    def _take(self) -> str:
        taken = self._next()
        self._at += 1
        return taken

    def _add(self, step: Ranges | _Step | _Ways) -> None:
        if len(self.program) >= LONGEST:
            raise BadPattern(f"the pattern is too long: it comes to more than {LONGEST} steps", self._at)
        self.program.append(step)

    def _either(self) -> None:
        begin = len(self.program)
        ends = []
        self._row()
        while self._next() == "|":
            self._take()
            self._insert(begin, len(self.program) + 2)
            ends.append(len(self.program))
            self._add(_Ways(()))
            begin = len(self.program)
            self._row()
        for end in ends:
            self.program[end] = _Ways((len(self.program),))

    def _row(self) -> None:
        while self._next() not in ("|", ")", _END):
            self._piece()

    def _piece(self) -> None:
        begin, at = len(self.program), self._at
        self._atom()
        while (sign := self._next()) in ("*", "+", "?", "{"):
            least, most = self._count(sign)
            if self._next() == "?":
                self._take()
            elif self._next() == "+":
                raise BadPattern("a possessive repetition is not known here", self._at)
            self._repeat(begin, least, most, at)
            if self._next() in ("*", "+", "{"):
                raise BadPattern("a repetition of a repetition: put the inner one in parentheses", self._at)

    def _count(self, sign: str) -> tuple[int, int | None]:
        at = self._at
        self._take()
        if sign != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        inner, closed, _ = self._text[self._at :].partition("}")
        least, comma, most = inner.partition(",")
        if not closed or not re.fullmatch(r"[0-9]{1,4}(,[0-9]{0,4})?", inner):
            raise BadPattern("expected {m}, {m,} or {m,n}; a brace itself is written \\{", at)
        self._at += len(inner) + 1
        low, high = int(least), int(most) if most else (None if comma else int(least))
        if high is not None and high < low:
            raise BadPattern("a repetition that ends before it begins", at)
        return low, high

    def _repeat(self, begin: int, least: int, most: int | None, at: int) -> None:
        """What the program has from ``begin`` on is there so many times."""
        piece = self.program[begin:]
        if any(step in (_Step.BEGIN, _Step.END) for step in piece):
            raise BadPattern("the end of a line cannot be repeated", at)
        del self.program[begin:]
        for _ in range(least):
            self._copy(piece, begin)
        if most is None:
            start = len(self.program)
            self._add(_Ways((start + 1, start + 2 + len(piece))))
            self._copy(piece, begin)
            self._add(_Ways((start,)))
        else:
            end = len(self.program) + (most - least) * (len(piece) + 1)
            for _ in range(most - least):
                self._add(_Ways((len(self.program) + 1, end)))
                self._copy(piece, begin)

    def _copy(self, piece: _Program, begin: int) -> None:
        """``piece`` stood at ``begin``."""
        by = len(self.program) - begin
        for step in piece:
            self._add(_Ways(tuple(to + by for to in step.to)) if isinstance(step, _Ways) else step)

    def _insert(self, at: int, other: int) -> None:
        """From there on there is another way, which begins at the step ``other`` once this one is inserted."""
        piece = self.program[at:]
        del self.program[at:]
        self._add(_Ways((at + 1, other)))
        self._copy(piece, at)

    def _atom(self) -> None:
        at = self._at
        match self._take():
            case "(":
                if self._next() == "?":
                    self._take()
                    if self._take() != ":":
                        raise BadPattern("of what begins with (? only (?:...) is known here, and (?i) in front", at)
                self._deep += 1
                if self._deep > _DEEPEST:
                    raise BadPattern("the pattern is too long: it has groups in groups in groups", at)
                self._either()
                self._deep -= 1
                if self._take() != ")":
                    raise BadPattern("a '(' without its ')'", at)
            case "[":
                self._add(self._set(at))
            case ".":
                self._add(((0, _MOST),))
            case "^":
                self._add(_Step.BEGIN)
            case "$":
                self._add(_Step.END)
            case "\\":
                self._add(self._folded(self._escaped(at)))
            case "*" | "+" | "?" | "{" as sign:
                raise BadPattern(f"nothing that '{sign}' could repeat", at)
            case character:
                self._add(self._folded(_one(character)))

    def _escaped(self, at: int) -> Ranges:
        character = self._take()
        if character in _CLASSES:
            return _CLASSES[character]
        if character in _CONTROLS:
            return _one(_CONTROLS[character])
        if character == _END or (character.isalnum() and character.isascii()):
            raise BadPattern(f"'\\{character}' is not known here", at)
        return _one(character)

    def _set(self, at: int) -> Ranges:
        negated = self._next() == "^"
        if negated:
            self._take()
        found: list[tuple[int, int]] = []
        while (character := self._take()) != "]" or not found:
            if character == _END:
                raise BadPattern("a '[' without its ']'", at)
            if character == "[" and self._next() == ":":
                raise BadPattern("classes by name are not known here: write \\d, \\w or \\s", self._at - 1)
            first = self._escaped(self._at - 1) if character == "\\" else _one(character)
            if self._next() == "-" and self._text[self._at + 1 : self._at + 2] not in ("]", ""):
                self._take()
                last = self._take()
                until = self._escaped(self._at - 1) if last == "\\" else _one(last)
                if len(first) > 1 or len(until) > 1 or until[0][1] < first[0][0]:
                    raise BadPattern("a range that ends before it begins", at)
                first = ((first[0][0], until[0][1]),)
            found += first
        ranges = self._folded(tuple(found))
        return _others(ranges) if negated else ranges

    def _folded(self, ranges: Ranges) -> Ranges:
        """In both cases, of letters of ASCII."""
        if not self._fold:
            return ranges
        more = [*ranges]
        for low, high, by in ((65, 90, 32), (97, 122, -32)):
            for first, last in ranges:
                if first <= high and last >= low:
                    more.append((max(first, low) + by, min(last, high) + by))
        return tuple(more)


def _one(character: str) -> Ranges:
    return ((ord(character), ord(character)),)


class _State:
    """Where all ways are that a text may have taken. ``found``: one of them is at its end; ``at_end``: one is, if a
    line ends here."""

    __slots__ = ("at_end", "found", "steps", "to")

    def __init__(self, steps: frozenset[int], *, found: bool, at_end: bool) -> None:
        self.steps = steps
        self.found = found
        self.at_end = at_end
        self.to: dict[str, _State] = {}


class Pattern:
    """Raises ``BadPattern``."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._program = _Parser(text).parse()
        self._forget()

    def _forget(self) -> None:
        self._states: dict[frozenset[int], _State] = {}
        self._kept = 0
        self._first = self._state(self._reached([0], begin=True))

    def in_line_of(self, text: str) -> bool:
        """Whether it is somewhere in one of the lines."""
        if self._kept > _KEPT:
            self._forget()
        return any(self._in_line(line) for line in text.split("\n"))

    def _in_line(self, line: str) -> bool:
        state = self._first
        for character in line:
            if state.found:
                return True
            if (after := state.to.get(character)) is None:
                after = state.to[character] = self._after(state, character)
                self._kept += 1
            state = after
        return state.found or state.at_end

    def _after(self, state: _State, character: str) -> _State:
        code = ord(character)
        to = [0]  # it may begin anywhere
        for step in state.steps:
            ranges = self._program[step]
            if isinstance(ranges, tuple) and any(first <= code <= last for first, last in ranges):
                to.append(step + 1)
        return self._state(self._reached(to))

    def _state(self, steps: frozenset[int]) -> _State:
        if (known := self._states.get(steps)) is None:
            found = any(self._program[step] is _Step.FOUND for step in steps)
            ends = self._reached([step + 1 for step in steps if self._program[step] is _Step.END], end=True)
            at_end = any(self._program[step] is _Step.FOUND for step in ends)
            known = self._states[steps] = _State(steps, found=found, at_end=at_end)
        return known

    def _reached(self, to: list[int], *, begin: bool = False, end: bool = False) -> frozenset[int]:
        """The steps at which something has to be there, from these on."""
        seen: set[int] = set()
        todo = list(to)
        while todo:
            step = todo.pop()
            if step in seen:
                continue
            seen.add(step)
            match self._program[step]:
                case _Ways(ways):
                    todo += ways
                case _Step.BEGIN if begin:
                    todo.append(step + 1)
                case _Step.END if end:
                    todo.append(step + 1)
        return frozenset(step for step in seen if not isinstance(self._program[step], _Ways))
