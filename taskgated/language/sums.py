"""The SHA-256 sum that a second file says of a first (``require:``), in the formats of sha256sum(1)."""

from __future__ import annotations

import os
import re

from taskgated.errors import Problem, Refused
from taskgated.text import printable, to_text

LONGEST = 64 * 1024
"""Bytes of a file with a sum that are read."""

_LINE = re.compile(rb"\\?([0-9a-fA-F]{64})(?:[ \t]+\*?(\S.*?))?\s*")
_TAGGED = re.compile(rb"\\?(?:SHA(?:2-)?256)? ?\((.+)\) ?= ?([0-9a-fA-F]{64})\s*")
"""``sha256sum --tag``, that of BSD, and ``openssl dgst -sha256``, whose word depends on its version."""


def stated(text: bytes, name: bytes) -> str | None:
    """The sum that a file says, in lower case: that of the line with this name, or of its only line, whatever name it
    has, if any; None if there is none. The formats are those of sha256sum(1), also with ``--tag``, and of
    openssl-dgst(1)."""
    found: list[tuple[bytes, bytes]] = []
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            found.append((match[1], match[2] or b""))
        elif match := _TAGGED.fullmatch(line):
            found.append((match[2], match[1]))
        elif line.strip():
            return None
    own = [sum_ for sum_, of in found if os.path.basename(of) == name]
    sums = {sum_.lower() for sum_ in own or [sum_ for sum_, _ in found]}
    return sums.pop().decode("ascii") if len(sums) == 1 else None


def misfit(name: bytes, beside: bytes, text: bytes, got: str) -> Refused | None:
    """Why a file with this sum is not the one that ``beside``, with this ``text``, means; None if it is."""
    wanted = stated(text, name)
    if wanted == got:
        return None
    beside_text = printable(to_text(beside))
    if wanted is None:
        message, hint = f"{beside_text} has no SHA-256 sum of it, as sha256sum writes it", "drop both again"
    else:
        message = f"its SHA-256 sum is {got}, and {beside_text} says {wanted}"
        hint = "it was cut off, or changed on its way: drop both again"
    return Refused([Problem(to_text(name), 0, 0, message, hint=hint)])
