"""JSON for programs of others: valid Unicode, whatever bytes are in the names and texts that it tells of.

RFC 8259 lets a string hold half of a surrogate pair, and many readers refuse such a message as a whole. Between our
own processes they stand for bytes (PEP 383), and stay; what leaves the gate has ``text.unicode_only`` instead.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

from taskgated.text import to_bytes, unicode_only


def unicode_json(value: object, encode: Callable[[object], str] = json.dumps) -> str:
    """``value`` as JSON that is ASCII, and valid Unicode."""
    text = encode(value)
    return encode(_spelled(value)) if "\\ud" in text else text  # without an escape of a surrogate there is none


def name_bytes(name: str) -> str | None:
    """The bytes of a file's name in Base64 (RFC 4648), where ``unicode_json`` writes another than that; else None."""
    return None if unicode_only(name) == name else base64.b64encode(to_bytes(name)).decode("ascii")


def _spelled(value: object) -> object:
    if isinstance(value, str):
        return unicode_only(value)
    if isinstance(value, dict):
        return {_spelled(key): _spelled(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_spelled(inner) for inner in value]
    return value
