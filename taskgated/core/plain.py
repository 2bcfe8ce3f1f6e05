"""Frozen dataclasses as plain data: what JSON has of them, and back.

All follows from the declared types of the fields, which are looked at once for each class. A field is ``str``,
``int``, ``float``, ``bool``, an enumeration of words, a further dataclass, ``Mapping[str, str]``, ``tuple[T, ...]``,
or several of these with ``|``. None stands for a field that is left out, and is never written.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from taskgated.text import printable

T = TypeVar("T")
V = TypeVar("V")
Reader = Callable[[object], object]
"""The value of a field from what JSON has of it; ``ValueError`` when it can be none."""


def differing(value: object, default: object) -> dict[str, object]:
    """The fields that differ from those of ``default``, as JSON's types."""
    out: dict[str, object] = {}
    for name in _names(type(value)):
        mine, usual = getattr(value, name), getattr(default, name)
        if mine != usual:
            out[name] = _told(mine, usual)
    return out


def _told(mine: object, usual: object) -> object:
    if is_dataclass(mine):
        return differing(mine, _usual(mine, usual))
    if isinstance(mine, tuple):
        return [_told(one, None) for one in mine] if any(map(is_dataclass, mine)) else mine
    return mine


def _usual(mine: object, usual: object) -> object:
    """Where there is none at all by default, what every one of its kind has."""
    made: Callable[[], object] = type(mine)
    return made() if usual is None else usual


def read(cls: type[T], data: object, where: str = "") -> T:
    """The object that ``differing`` was told of. ``where``: what stands before the names of keys in a message.

    Raises ``ValueError`` for a key that is no field, and for a value that a field of that type cannot have.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{where.removesuffix('.') or 'it'} is no mapping")
    readers = _readers(cls)
    if not data.keys() <= readers.keys():
        unknown = ", ".join(sorted(data.keys() - readers.keys()))
        raise ValueError(f"it has keys that this version does not know: {printable(where + unknown)}")
    values = {}
    for name, value in data.items():
        try:
            values[name] = readers[name](value)
        except _Unfit:
            raise ValueError(f"{where}{name} has no value that it can have") from None
    made: Callable[..., T] = cls
    return made(**values)


def make(cls: type[T], values: Mapping[str, object]) -> T:
    """An object from values that were checked: mappings become dataclasses, and words enumerations."""
    inner = _makers(cls)
    made: Callable[..., T] = cls
    return made(**{name: inner[name](value) if name in inner else value for name, value in values.items()})


class _Unfit(ValueError):
    """A value that a field cannot have; the field is not known yet."""


def _once(look: Callable[[type], V]) -> Callable[[type], V]:
    """Each class is looked at once."""
    return cache(look)


@_once
def _names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(cls))


@_once
def _readers(cls: type) -> dict[str, Reader]:
    hints = get_type_hints(cls)
    return {name: _reader(hints[name], f"{name}.") for name in _names(cls)}


@_once
def _makers(cls: type) -> dict[str, Reader]:
    found: dict[str, Reader] = {}
    for name, hint in get_type_hints(cls).items():
        if isinstance(hint, type) and is_dataclass(hint):
            found[name] = lambda value, hint=hint: make(hint, value)  # type: ignore[misc]
        elif isinstance(hint, type) and issubclass(hint, enum.Enum):
            found[name] = hint
    return found


def _reader(hint: Any, where: str) -> Reader:
    """How a value of a declared type is read."""
    arguments = get_args(hint)
    match get_origin(hint) or hint:
        case kind if kind is UnionType:
            return _any_of([_reader(one, where) for one in arguments if one is not type(None)])
        case kind if kind is tuple:
            return _tuple_of(_reader(arguments[0], where))
        case kind if kind is Mapping:
            return _mapping_of(_reader(arguments[1], where))
        case kind if kind is float:
            return _number
        case kind if is_dataclass(kind):
            _readers(hint)
            return lambda value: read(kind, value, where) if type(value) is dict else _unfit()
        case kind if issubclass(kind, enum.StrEnum):
            words = {str(word): word for word in kind}
            return lambda value: words[value] if isinstance(value, str) and value in words else _unfit()
        case kind:
            return lambda value: value if type(value) is kind else _unfit()


def _unfit() -> object:
    raise _Unfit


def _number(value: object) -> object:
    """Whole ones are numbers as well; infinity and NaN are none that was written."""
    if isinstance(value, int | float) and type(value) is not bool and abs(value) < 2**63:
        return value
    raise _Unfit


def _tuple_of(item: Reader) -> Reader:
    return lambda value: tuple(map(item, value)) if isinstance(value, list | tuple) else _unfit()


def _mapping_of(item: Reader) -> Reader:
    def reader(value: object) -> object:
        if not isinstance(value, dict):
            raise _Unfit
        for one in value.values():
            item(one)
        return value

    return reader


def _any_of(readers: list[Reader]) -> Reader:
    if len(readers) == 1:
        return readers[0]

    def reader(value: object) -> object:
        for one in readers:
            try:
                return one(value)
            except _Unfit:
                pass
        raise _Unfit

    return reader
