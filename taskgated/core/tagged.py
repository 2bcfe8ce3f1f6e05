"""Values as plain data, whatever they are made of: what JSON has of them, and back by their declared types.

A dataclass is a mapping of all its fields, with its name as ``is``, so that it is known which one of a union it was.
A mapping is a list of pairs, as its keys may be values of any kind. Unlike ``plain``, which has specs as people see
them, this is for programs alone.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

IS = "is"


def written(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {IS: type(value).__name__} | {f.name: written(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return [[written(key), written(one)] for key, one in value.items()]
    if isinstance(value, tuple):
        return [written(one) for one in value]
    return str(value) if isinstance(value, enum.StrEnum) else value


def read(hint: Any, data: object) -> Any:
    """The value of that declared type of which ``written`` made this; ``ValueError`` if there is none."""
    arguments = get_args(hint)
    match get_origin(hint) or hint:
        case kind if kind is UnionType:
            return _of_union(arguments, data)
        case kind if kind is Mapping and isinstance(data, list):
            return {read(arguments[0], key): read(arguments[1], one) for key, one in map(_pair, data)}
        case kind if kind is tuple and isinstance(data, list):
            return tuple(read(arguments[0], one) for one in data)
        case type() as kind if is_dataclass(kind) and isinstance(data, dict) and data.get(IS) == kind.__name__:
            return _made(kind, {name: one for name, one in data.items() if name != IS})
        case type() as kind if hasattr(kind, "_fields") and isinstance(data, list):
            return _made(kind, dict(zip(kind._fields, data, strict=False)))
        case type() as kind if issubclass(kind, enum.StrEnum) and isinstance(data, str):
            return kind(data)
        case kind if type(data) is kind or (kind is float and type(data) is int):
            return data
    raise ValueError(f"{data!r} is no {hint}")


def _of_union(kinds: tuple[Any, ...], data: object) -> Any:
    if data is None and NoneType in kinds:
        return None
    for kind in kinds:
        try:
            return read(kind, data)
        except ValueError:
            pass
    raise ValueError(f"{data!r} is none of {kinds}")


def _made(kind: Any, values: Mapping[str, object]) -> Any:
    hints = _hints(kind)
    if values.keys() != hints.keys():
        raise ValueError(f"a {kind.__name__} has {', '.join(hints)}")
    return kind(**{name: read(hints[name], one) for name, one in values.items()})


def _pair(data: object) -> tuple[object, object]:
    match data:
        case [first, second]:
            return first, second
    raise ValueError(f"{data!r} is no pair")


@cache
def _hints(kind: type) -> dict[str, Any]:
    """The fields of a class, with their types."""
    hints = get_type_hints(kind)
    names = kind._fields if hasattr(kind, "_fields") else [field.name for field in fields(kind)]
    return {name: hints[name] for name in names}
