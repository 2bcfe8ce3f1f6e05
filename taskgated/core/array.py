"""Arrays: many jobs from one, which differ in an index alone. None is made before it is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import overload

from taskgated.core.job import Element, Locks, Spec
from taskgated.text import without_controls

MOST = 1_000_000
"""Jobs of one array."""
LONGEST_NAME = 200
PLACEHOLDERS = ("index", "line")

_NAMES = "|".join(PLACEHOLDERS)
_WORD = re.compile(rf"(?<!\$)\{{(?:{_NAMES})\}}")
_PLACEHOLDER = re.compile(rf"(?<!\$)(?:\{{\{{({_NAMES})\}}\}}|\{{({_NAMES})\}})")


def fill(text: str, values: Mapping[str, str]) -> str:
    """``{index}`` in a text becomes what ``values`` has for it, ``{{index}}`` becomes ``{index}``, and ``${index}``,
    which is a shell's, stays; so does a name that ``values`` does not have."""

    def filled(match: re.Match[str]) -> str:
        plain, name = match.groups()
        return f"{{{plain}}}" if plain is not None else values.get(name, match[0])

    return _PLACEHOLDER.sub(filled, text) if "{" in text else text


def literal(text: str) -> str:
    """The text of which ``fill`` makes this one again, whatever the values."""
    return _WORD.sub(r"{\g<0>}", text)


def placeholders(text: str) -> list[str]:
    """Those that ``fill`` would fill, in order."""
    return [match[2] for match in _PLACEHOLDER.finditer(text) if match[2] is not None]


def values_of(element: Element) -> dict[str, str]:
    """What the placeholders stand for in a job of an array; nothing in any other."""
    if not element.count:
        return {}
    return {"index": str(element.index)} | ({} if element.line is None else {"line": element.line})


@dataclass(frozen=True, slots=True)
class Array:
    """Which jobs there are: one for each of the ``indices``, or for each of the ``lines``, which are numbered then.
    ``at_most``: so many at once, None: no bound."""

    indices: Sequence[int]
    at_most: int | None = None
    lines: Sequence[str] = ()

    def element(self, place: int) -> Element:
        line = self.lines[place] if self.lines else None
        return Element(self.indices[place], place, len(self.indices), self.at_most, line)

    def spec(self, template: Spec, place: int) -> Spec:
        """The job at that place, counted from 0."""
        element = self.element(place)
        values = values_of(element)
        command = None if template.command is None else _filled(template.command, values)
        name = without_controls(fill(template.name, values))[:LONGEST_NAME]
        env = {variable: fill(value, values) for variable, value in template.env.items()}
        requires = template.requires
        if requires is not None:
            requires = replace(requires, command=_filled(requires.command, values))
        return replace(
            template,
            command=command,
            name=name,
            env=env,
            cwd=fill(template.cwd, values),
            array=element,
            requires=requires,
            key=fill(template.key, values),
            locks=_filled_locks(template.locks, values),
        )


def _filled(command: tuple[str, ...] | str, values: Mapping[str, str]) -> tuple[str, ...] | str:
    if isinstance(command, str):
        return fill(command, values)
    return tuple(fill(argument, values) for argument in command)


def _filled_locks(locks: Locks, values: Mapping[str, str]) -> Locks:
    """Names that have become the same are one, and of one that is locked in both ways the stronger holds."""
    if locks == NO_LOCKS:
        return locks
    alone, shared = ([fill(name, values) for name in names] for names in (locks.exclusive, locks.shared))
    return Locks(tuple(dict.fromkeys(alone)), tuple(name for name in dict.fromkeys(shared) if name not in alone))


NO_LOCKS = Locks()


def texts(template: Spec) -> Iterator[tuple[str, str]]:
    """Every text in which the jobs of an array differ, with what it is, in words."""
    for argument in (template.command,) if isinstance(template.command, str) else template.command or ():
        yield "an argument", argument
    for variable, value in template.env.items():
        yield f"the variable {variable}", value
    if template.requires is not None:
        command = template.requires.command
        for argument in (command,) if isinstance(command, str) else command:
            yield "an argument of requires", argument
    yield "cwd", template.cwd
    yield "name", template.name
    yield "key", template.key
    for name in (*template.locks.exclusive, *template.locks.shared):
        yield "a lock", name


class Jobs(Sequence[Spec]):
    """The jobs of a file that has arrays, in order. Whatever their number, they cost no memory until they are asked
    for. ``templates``: each with its array, None for a single job."""

    def __init__(self, templates: Sequence[tuple[Spec, Array | None]]) -> None:
        self.templates = templates

    def __len__(self) -> int:
        return sum(1 if array is None else len(array.indices) for _, array in self.templates)

    def pieces(self, first: int) -> Iterator[Spec]:
        """From that place on, one after the other."""
        for spec, array in self.templates:
            count = 1 if array is None else len(array.indices)
            for place in range(first, count):
                yield spec if array is None else array.spec(spec, place)
            first = max(0, first - count)

    @overload
    def __getitem__(self, key: int) -> Spec: ...
    @overload
    def __getitem__(self, key: slice) -> list[Spec]: ...
    def __getitem__(self, key: int | slice) -> Spec | list[Spec]:
        if isinstance(key, slice):
            return [self[place] for place in range(*key.indices(len(self)))]
        left = key + len(self) if key < 0 else key
        for spec, array in self.templates:
            count = 1 if array is None else len(array.indices)
            if 0 <= left < count:
                return spec if array is None else array.spec(spec, left)
            left -= count
        raise IndexError(key)


def templates(jobs: Sequence[Spec]) -> Sequence[Spec]:
    """What the jobs of a file are made of: one of each array stands for all of that, whatever their number."""
    return [spec for spec, _ in jobs.templates] if isinstance(jobs, Jobs) else jobs


def awaited(made: Sequence[Spec]) -> frozenset[int]:
    """The jobs of a file, by their places among all of them, that others of it wait for. ``made``: its templates."""
    return frozenset(condition.part for spec in made for condition in spec.after if condition.part is not None)
