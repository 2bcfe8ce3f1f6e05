"""Which kind a dropped file is; that follows from its name and its queue, and of a script from its beginning."""

from __future__ import annotations

import enum
import re

from taskgated.errors import Problem, Refused
from taskgated.language.config import Mark, QueueConfig
from taskgated.language.source import BOM, check_encoding


class Kind(enum.StrEnum):
    SPEC = "job spec"
    SCRIPT = "script"
    TASKS = "task list"
    FILE = "file for a handler"
    LINES = "lines for a handler"


SPEC_ENDINGS = (".yaml", ".yml", ".json")
LIST_ENDINGS = (".tasks", ".txt")
HEAD = 256
"""Bytes of a script in which the kernel looks for its interpreter (BINPRM_BUF_SIZE)."""
_LIKE_SPEC = re.compile(rb"\A\s*[{\[]|^(- )?(command|script)[ \t]*:", re.MULTILINE)

_BEGINS_SPEC = re.compile(
    rb"(?:---|(?:- )?(?:command|script|name):(?:[ \t].*)?|[\[{ \t]*\"(?:command|script|name)\".*)\r?\Z"
)


def kind_of(name: str, queue: QueueConfig) -> Kind:
    """The kind of a file with that name in that queue; of a script only its beginning says that it is one."""
    if queue.handler is not None:
        return Kind.LINES if queue.mark is Mark.LINE else Kind.FILE
    if name.endswith(SPEC_ENDINGS):
        return Kind.SPEC
    return Kind.TASKS if name.endswith(LIST_ENDINGS) else Kind.SCRIPT


def check_script(name: str, head: bytes, queue: str) -> None:
    """``Refused`` when what has no other kind is no script either, or one that no kernel can run. ``head``: its
    beginning."""
    check_not_empty(name, head)
    check_encoding(name, head)
    text = head.removeprefix(BOM)[:HEAD]
    if not text.startswith(b"#!"):
        specs, lists = ", ".join(SPEC_ENDINGS), ", ".join(LIST_ENDINGS)
        known = f"a spec ({specs}) nor a task list ({lists}) nor a script (first line #!)"
        message = f"this is neither {known}, and queue {queue} has no handler"
        raise Refused([Problem(name, 0, 0, message, hint=_what_it_may_be(name, text))])
    if wrong := wrong_interpreter(text.split(b"\n", 1)[0]):
        raise Refused([Problem(name, 1, wrong[0], wrong[1], hint=wrong[2])])


def check_not_empty(name: str, data: bytes) -> None:
    """``Refused`` for nothing at all: what sent the file may have been cut off, and its sender is to hear of that."""
    if not data:
        raise Refused(
            [Problem(name, 0, 0, "this file is empty", hint="if it was sent, it did not arrive: send it again")]
        )


def wrong_interpreter(line: bytes) -> tuple[int, str, str] | None:
    """Of the first line of a script: the column at which it is wrong, what is wrong, and what to do; None if nothing.

    The kernel takes all of the line but blanks for the name of the interpreter and its argument (execve(2)): with a
    carriage return at its end none is found, and the job would end with 127.
    """
    if not line[2:].strip():
        return 3, "the first line (#!) names no interpreter", "write what runs the script: #!/bin/sh"
    at = line.find(b"\r")
    if at < 0:
        return None
    message = "the interpreter line ends in a carriage return (line ends of Windows), so no interpreter has that name"
    return at + 1, message, "save it with the line ends of Unix, or: sed -i 's/\\r$//' FILE"


def check_not_script(kind: Kind, name: str, head: bytes) -> None:
    """``Refused`` when a spec or a task list by name is a script by its first line.

    Which of both is right nobody can say. Line by line a script would do harm; as a script a list would lose what is
    appended to it, and that is never looked at again. So its writer decides. The first line of a claimed file is read
    anew after each crash, and nothing of the file is a job before it was.
    """
    if head.startswith(b"#!"):
        message = f"its first line (#!) says that this is a script, and its name that it is a {kind}"
        stem = name.rpartition(".")[0] or "NAME"
        hint = f"call it {stem}.sh if it is a script; take out that line if it is a {kind}"
        raise Refused([Problem(name, 1, 1, message, hint=hint)])


def check_not_spec(name: str, line: bytes) -> None:
    """``Refused`` when a task list by name begins as a spec does. ``line``: its first. No program is called so, and
    line by line each key would be a job that fails."""
    if _BEGINS_SPEC.match(line):
        hint = f"call it {name.rpartition('.')[0] or 'NAME'}{SPEC_ENDINGS[0]}"
        raise Refused([Problem(name, 1, 1, "its first line is that of a job spec, and its name that of a task list",
                               hint=hint)])  # fmt: skip


_INTERPRETERS = {
    ".py": "/usr/bin/env python3", ".pl": "/usr/bin/env perl", ".rb": "/usr/bin/env ruby", ".js": "/usr/bin/env node",
    ".php": "/usr/bin/env php", ".r": "/usr/bin/env Rscript", ".jl": "/usr/bin/env julia", ".lua": "/usr/bin/env lua",
    ".bash": "/bin/bash", ".zsh": "/bin/zsh",
}  # fmt: skip
_LIKE_LIST = (".list", ".lst", ".jobs", ".cmd", ".cmds", ".commands", ".task")
_DATA = (
    ".csv", ".tsv", ".dat", ".data", ".xml", ".html", ".log", ".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff",
    ".gif", ".mp3", ".mp4", ".wav", ".mov", ".parquet", ".sql", ".jsonl", ".ndjson", ".md",
)  # fmt: skip
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\3\4", b"7z\xbc\xaf\x27\x1c")
"""How gzip, bzip2, xz, zstd, zip and 7z begin (magic(5))."""
_TO_A_HANDLER = "if it is data, drop it in the directory of a queue with a handler"


def _what_it_may_be(name: str, head: bytes) -> str:
    """What to do with a file of no kind, by its name and its beginning."""
    if head.startswith(b"\x7fELF"):
        return "a program is no job file: name it in the command of a spec"
    ending = f".{name.rpartition('.')[2].lower()}"
    if head.startswith(_COMPRESSED):
        return f"it is compressed: unpack it first; {_TO_A_HANDLER}"
    if b"\0" in head or ending in _DATA:
        return _TO_A_HANDLER
    if not head.strip():
        return ""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not a character that was cut
            return _TO_A_HANDLER
    if head.lstrip().startswith(b"#!"):
        return "#! must be the first two characters of the file: take out what is before it"
    if _LIKE_SPEC.search(head):
        return f"if it is a spec, its name must end in {SPEC_ENDINGS[0]}"
    if ending in _LIKE_LIST:
        return f"if it is a task list, its name must end in {LIST_ENDINGS[0]}"
    return f"if it is a script, its first line must name what runs it: #!{_INTERPRETERS.get(ending, '/bin/sh')}"
