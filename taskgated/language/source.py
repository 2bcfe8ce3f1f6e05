"""A text that somebody wrote, under its name: decoded, and shown where something is wrong with it."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from taskgated.errors import Problem, Refused
from taskgated.text import aligned, printable

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
"""Beside control characters: U+0085, U+2028 and U+2029, which end a line for some programs and not for others,
and U+FEFF, which nobody sees."""
BOM = codecs.BOM_UTF8
"""What some editors put in front of UTF-8. A text means the same with it and without it."""
_WIDE = (
    (codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"),
)  # fmt: skip
_UNMARKED = {
    "UTF-16LE": re.compile(rb"(?:[^\0]\0){2,16}"), "UTF-16BE": re.compile(rb"(?:\0[^\0]){2,16}"),
    "UTF-32LE": re.compile(rb"(?:[^\0]\0\0\0){1,8}"), "UTF-32BE": re.compile(rb"(?:\0\0\0[^\0]){1,8}"),
}  # fmt: skip
"""The beginning of an English text in these, without a mark of the order of bytes."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Source:
    """The lines of a text and its name, for messages about it. ``first``: the number of its first line."""

    where: str
    lines: tuple[str, ...]
    first: int = 1

    @classmethod
    def of(cls, where: str, text: str, first: int = 1) -> Source:
        return cls(where, tuple(text.split("\n")), first)

    def problem(self, line: int, column: int, message: str, hint: str = "") -> Problem:
        index = line - self.first
        text = self.lines[index].rstrip("\r") if 0 <= index < len(self.lines) else ""
        message = printable(message)
        start = max(0, column - 60)  # a line of a megabyte is shown around the fault only
        shown = aligned(text[start : start + 100])
        return Problem(self.where, line, column, message, shown, hint, column - start)

    def refuse(self, line: int, column: int, message: str, hint: str = "") -> Refused:
        return Refused([self.problem(line, column, message, hint)])


def decode(where: str, data: bytes, max_size: int, hint: str = "see max_file_size") -> str:
    """The text of a file, its lines ended by newlines, or ``Refused`` with the place of what is no text."""
    if len(data) > max_size:
        raise Refused([Problem(where, 0, 0, f"larger than {max_size} bytes", hint=hint)])
    check_encoding(where, data)
    data = data.removeprefix(BOM)
    try:
        text = _lines(data.decode())
    except UnicodeDecodeError as error:
        text = _lines(data.decode("utf-8", "replace"))
        found: tuple[int, str] | None = (
            len(_lines(data[: error.start].decode())),
            f"byte 0x{data[error.start]:02x} is not UTF-8",
        )
    else:
        found = forbidden(text)
    if found is None:
        return text
    at, message = found
    raise Source.of(where, text).refuse(text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at), message)


def wide_encoding(head: bytes) -> str:
    """The name of the encoding if a text begins like one in UTF-16 or UTF-32, as iconv(1) has it; else ""."""
    for mark, name in _WIDE:
        if head.startswith(mark):
            return name
    return next((name for name, pattern in _UNMARKED.items() if pattern.match(head)), "") if b"\0" in head[:4] else ""


def check_encoding(where: str, head: bytes) -> None:
    """``Refused`` by name for a text in UTF-16 or UTF-32, of which ``head`` is the beginning."""
    if encoding := wide_encoding(head):
        hint = f"save it as UTF-8, or convert it: iconv -f {encoding} -t UTF-8"
        raise Refused([Problem(where, 1, 1, f"this is {encoding}, and a text must be UTF-8", hint=hint)])


def _lines(text: str) -> str:
    """Every line ends with a newline, whatever ended it: so all programs count the same."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def forbidden(text: str) -> tuple[int, str] | None:
    """Where in a text the first character is that has no place there, and what is wrong with it."""
    match = _FORBIDDEN.search(text)
    if match is None:
        return None
    name = "NUL" if match[0] == "\0" else f"character U+{ord(match[0]):04X}"
    return match.start(), f"{name} has no place in a text"


def refuse_characters(source: Source, value: str, line: int, column: int) -> None:
    """A value that was written with escapes may hold what no file name, argument or variable can."""
    if "\0" in value:
        raise source.refuse(line, column, "NUL has no place in a text")
    if not value.isascii() and _SURROGATE.search(value):
        raise source.refuse(line, column, "half of a surrogate pair is no character")
