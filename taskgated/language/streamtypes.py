"""The types of the keys that say where a job's standard streams go."""

from __future__ import annotations

import re
from collections.abc import Callable

from taskgated.core.streams import WORDS, Mode, Stdin, Stream, unknown
from taskgated.language.declare import Check, Key, Mismatch, Type, expected, keys_of, read_section, schema_of
from taskgated.language.nodes import Entries, Node
from taskgated.language.types import LONGEST_PATH, choice, long_text, text

LONGEST_TEXT = 1024**2
"""Characters of a text to be read: it lies in memory while the job runs, and it is kept with the job."""

_TWICE = "name the file of the other stream twice; without any file both are recorded together"
NO_PATHS = {
    **dict.fromkeys(("stdout", "stderr", "&1", "&2", "1", "2", "2>&1"), _TWICE),
    **dict.fromkeys(("null", "none", "discard"), "write /dev/null"),
    "journal": "say output: {journal: true}",
    "inherit": "leave out the key: it is recorded then",
}
"""What means no file elsewhere (sh(1), systemd.exec(5)), and what to do instead. Nobody wants a file of that name."""
_SYSTEMD = re.compile(r"(file|append|truncate):(?=/)")

_one_line = text("", "a path", LONGEST_PATH)


def _path(node: Node, check: Check) -> str:
    path = _one_line.read(node, check)
    if not path or path.endswith("/"):
        raise Mismatch("expected the path of a file", "the name of a file is missing at its end")
    if path in NO_PATHS:
        raise Mismatch(f"'{path}' would be a file of that name", f"{NO_PATHS[path]}; or write ./{path}")
    if how := _SYSTEMD.match(path):
        mode = ", mode: truncate" * (how[1] == "truncate")
        raise Mismatch(f"'{how[1]}:' is no part of a path", f"write {{path: ...{mode}}}")
    if path.startswith("~"):
        raise Mismatch("'~' stands for no directory here", "write the path in full, or from the job's cwd on")
    for word in unknown(path):
        raise Mismatch(f"'{{{word}}}' stands for nothing", f"known: {', '.join(f'{{{known}}}' for known in WORDS)}")
    return path


path = Type(_path, {"type": "string", "minLength": 1, "maxLength": LONGEST_PATH, "pattern": "^[^~].*[^/]$|^[^~/]$"})


def _text(node: Node, check: Check) -> str:
    if node.value == "":
        raise Mismatch("is empty", "leave out stdin: a job reads nothing then")
    value = _any_text.read(node, check)
    if len(value) > LONGEST_TEXT:
        raise Mismatch(f"longer than {LONGEST_TEXT} characters", "put it into a file, and name that")
    return value


_any_text = long_text("text")

STREAM = keys_of(
    Stream,
    Key("path", path, "the file"),
    Key("mode", choice(*Mode), "whether it is added to, or emptied first"),
)
STDIN = keys_of(
    Stdin,
    Key("path", path, "the file"),
    Key("text", Type(_text, {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}), "the text itself"),
)


def _path_or(keys: tuple[Key, ...], made: Callable[..., object], what: str) -> Type[object]:
    """A path alone, or a mapping that says more. Each is one value, which as a whole takes the place of a default."""

    def read(node: Node, check: Check) -> object:
        if isinstance(node.value, str):
            return made(path=_path(node, check))
        if not isinstance(node.value, Entries):
            raise expected(what, node)
        before = len(check.problems)
        values = read_section(node, check, keys)
        given = values.keys() - {"mode"}
        if len(check.problems) == before and len(given) != 1:
            needed = " or ".join(f"'{key.name}'" for key in keys if key.name != "mode")
            raise Mismatch(f"both {needed.replace(' or ', ' and ')}" if given else f"{needed} is missing")
        if "mode" in values:
            values["mode"] = Mode(str(values["mode"]))
        return made(**values)

    return Type(read, {"anyOf": [path.schema, schema_of(keys)]})


stream = _path_or(STREAM, Stream, "a path, or a mapping with 'path' and 'mode'")
stdin = _path_or(STDIN, Stdin, "a path, or a mapping with 'path' or 'text'")
