"""How an attempt may have ended, as ``retry.on`` and ``retry.not_on`` are written."""

from __future__ import annotations

import signal

from taskgated.core.retry import SIGNALS, TIMEOUT
from taskgated.language.declare import Check, Mismatch, Schema, Type, expected
from taskgated.language.nodes import Node
from taskgated.language.types import integer, list_of

_LOST = ("lost", "interrupted", "crash", "crashed", "killed")
_code = integer(0, 255)
_WHAT = "an exit code, a signal such as SIGKILL, or timeout"


def _ending(node: Node, check: Check) -> int | str:
    value = node.value
    if type(value) is int:
        return _code.read(node, check)
    if not isinstance(value, str):
        raise expected(_WHAT, node)
    known = signal.Signals.__members__.get(value)
    if value == TIMEOUT:
        return TIMEOUT
    if known is not None and known.name in SIGNALS:
        return known.name  # some have two
    if known is not None:
        raise Mismatch(f"no process is ended by {value}")
    raise Mismatch(str(expected(_WHAT, node)), _hint(value))


def _hint(value: str) -> str:
    """What was meant, if that is plain."""
    upper = value.upper()
    if value.isascii() and value.isdigit():
        return f"write {value[:20]} without quotes"
    if (name := "SIG" + upper.removeprefix("SIG")) in SIGNALS:
        return f"write {name}"
    if value.lower() in _LOST:
        return "'interrupted' says what becomes of an attempt that was lost"
    return f"write {TIMEOUT}" if upper.replace(" ", "_") in ("TIMED_OUT", "TIMEOUT", "TIMEDOUT") else ""


_schema: Schema = {"anyOf": [_code.schema, {"enum": [TIMEOUT, *SIGNALS]}]}
endings = list_of(Type(_ending, _schema, str), "a list of exit codes, signals, and timeout", least=0)
