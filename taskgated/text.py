"""Text for people and text for the kernel: what somebody wrote, names of files included, may hold any bytes.

Bytes that are not UTF-8 travel inside text as surrogates (PEP 383); ``to_bytes`` gives the bytes back. For people:

- ``printable``: any text, as what may stand in one line of a message or in a cell of a table.
- ``aligned``: a line that is shown above a caret; each character stays one.
- ``as_word``: a file's name at the beginning of a line, told apart from what follows.
- ``quoted``: a word out of a file, in the middle of a sentence, and not too much of it.
- ``without_controls``: a name that is made of another and is kept; the bytes of it stay.

For programs, as JSON: ``unicode_only``, which any encoding can say.
"""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """Nothing that somebody wrote, names of files as well, moves a cursor or ends a line of a message; and any
    encoding can say it. What cannot be printed is escaped as in Python, a byte that is no UTF-8 as in JSON
    (``unicode_only``)."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in unicode_only(text))


def aligned(text: str) -> str:
    """As wide as it was, so that a caret in the next line stands under the same character: what cannot be printed is
    a space, or a question mark."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)


def as_word(name: str) -> str:
    """The name of a file as one word on one line: in quotes, and escaped, where it would not be one."""
    return name if name.isprintable() and " " not in name else repr(name)


def quoted(word: str, longest: int = 60) -> str:
    """A word that somebody wrote, in quotes, and cut to ``longest`` characters. The message around it is still to be
    made ``printable``."""
    return f"'{word if len(word) <= longest else word[: longest - 3] + '...'}'"


def counted(number: int, noun: str) -> str:
    """So many of them, of a noun with a plural in s: ``1 job``, ``2 jobs``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def has_controls(text: str) -> bool:
    """Whether there is a control character in it (ISO 6429, C0, C1 or DEL): a new line, say."""
    return _CONTROL.search(text) is not None


def without_controls(text: str) -> str:
    """A question mark for each control character. All else stays, also what stands for a byte that is no text."""
    return _CONTROL.sub("?", text)


def to_bytes(text: str) -> bytes:
    """The bytes that ``text`` was read from, whatever the locale says (unlike ``os.fsencode``)."""
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """Text for any bytes; ``to_bytes`` is the inverse."""
    return data.decode("utf-8", "surrogateescape")


def unicode_only(text: str) -> str:
    """The same, if it is valid Unicode (RFC 8259, section 8.2). ``\\xNN``, two hexadecimal digits, stands for each
    byte that is no UTF-8; a backslash that was there stays, so this is to be read, and not to be undone."""
    return text if text.isascii() else _SURROGATE.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"
