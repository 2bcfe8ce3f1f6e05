"""What a job said last, for what is looked for in it when it is over."""

from __future__ import annotations

from functools import lru_cache

from taskgated.core.patterns import BadPattern, Pattern

TAIL = 8 * 1024
"""Bytes of the end of an output that are looked at."""


class Tail:
    """``pattern``: what is looked for; one that this version does not understand is never found."""

    def __init__(self, pattern: str) -> None:
        self._pattern = _compiled(pattern)
        self._data = bytearray()

    def write(self, data: bytes) -> None:
        self._data += data[-TAIL:]
        if len(self._data) > 2 * TAIL:
            del self._data[:-TAIL]

    def has_it(self) -> bool:
        """Whether the end of what was written has it in one of its lines."""
        return self._pattern is not None and self._pattern.in_line_of(self._data[-TAIL:].decode(errors="replace"))


@lru_cache(maxsize=8)
def _compiled(pattern: str) -> Pattern | None:
    try:
        return Pattern(pattern)
    except BadPattern:
        return None
