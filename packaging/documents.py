"""What documents say of keys, commands, options and events comes from the code: this writes it there.

In manual pages and completions it stands between two comments, ``BEGIN GENERATED name`` and ``END GENERATED``; all
around is written by hand. In the README it is the table of a job's keys, and the line with the commands. The JSON
Schemas are generated as a whole.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))  # the code beside this file, whatever else is installed

import dialects  # noqa: E402
import shells  # noqa: E402
from declared import commands as sub_commands  # noqa: E402
from declared import flags, help_of, of_a_probe, own_flags, positionals, text_of  # noqa: E402

from taskgated.__main__ import parser as daemon_parser  # noqa: E402
from taskgated.control.reasons import ADVICE  # noqa: E402
from taskgated.core.reasons import REASONS  # noqa: E402
from taskgated.ctl.__main__ import parser as ctl_parser  # noqa: E402
from taskgated.events import Event  # noqa: E402
from taskgated.language.configkeys import KEYS  # noqa: E402
from taskgated.language.declare import schema_of  # noqa: E402
from taskgated.language.keys import JOB, LATER  # noqa: E402
from taskgated.language.schema import config_schema, dump, job_schema  # noqa: E402

MAN = REPOSITORY / "packaging" / "man"
PROBES = REPOSITORY / "packaging" / "probes"
COMPLETIONS = REPOSITORY / "packaging" / "completions"
README = REPOSITORY / "README.md"
CATALOG = REPOSITORY / "systemd" / "taskgated.catalog"

TABLE_HEAD = "| key | meaning (default) |\n|---|---|\n"
TABLE_END = f"| `{LATER[0]}`"
COMMAND_LINE = re.compile(r"^(    taskgatectl \[.*\] )\w+ \|.*$", re.MULTILINE)
NAME = "NAME"
"""Stands for the name of a queue."""
PROBE_NAMES = ("yarn", "slurm", "http", "postgresql", "kerberos")
ELSEWHERE = ("defaults",)
"""Keys whose own keys are described in another manual page."""

_BLOCK = re.compile(
    r'(^([ ]*)(?:\.\\"|#) BEGIN GENERATED (\S+)\n)(.*?)(^[ ]*(?:\.\\"|#) END GENERATED\n)', re.MULTILINE | re.DOTALL
)
_SPECIAL = str.maketrans(
    {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti", '"': "\\(dq"}
)


class Incomplete(Exception):
    """A document has no place for what is to be in it."""


# -- keys ------------------------------------------------------------------------------------------


def entries(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every key with its schema, those of sections inside by their full names: ``retry.delay``."""
    for name, inner in schema.get("properties", {}).items():
        yield prefix + name, inner
        if name not in ELSEWHERE:
            yield from entries(inner, f"{prefix}{name}.")
    for inner in schema.get("anyOf", ()):
        yield from entries(inner, prefix)
    for inner in schema.get("patternProperties", {}).values():
        yield from entries(inner, f"{prefix}{NAME}.")


def table() -> list[str]:
    """The README's rows about the keys of a job."""
    return [f"| `{name}` | {key['description']} |" for name, key in entries(schema_of(JOB))]


def job_keys() -> str:
    return man_keys(schema_of(JOB)) + later(LATER)


def config_keys() -> str:
    return man_keys(schema_of(KEYS))


def man_keys(schema: Mapping[str, Any]) -> str:
    lines = []
    for name, key in entries(schema):
        lines += [".TP", bold(name).replace(NAME, rf"\fI{NAME}\fB"), sentence(key["description"])]
        if (bounds := accepted(key)) and bounds not in key["description"]:
            lines.append(sentence(bounds))
        if "x-scope" in key:
            lines.append(sentence(f"of the {key['x-scope']}"))
    return "".join(f"{line}\n" for line in lines)


def accepted(schema: Mapping[str, Any]) -> str:
    """What of a value the schema bounds, in words; nothing where the description has to do."""
    match schema:
        case {"anyOf": [{"const": word}, other]}:
            return f"{bounds}, or {word}" if (bounds := accepted(other)) else f"also: {word}"
        case {"enum": words} if ", or ".join(words) not in schema.get("description", ""):
            return f"one of: {', '.join(words)}"
        case {"minimum": low, "maximum": high}:
            return f"{low} to {high}"
        case {"maxLength": longest} if "pattern" not in schema:
            return f"at most {longest} characters"
        case {"type": "array", "items": items}:
            return f"each {inner}" if (inner := accepted(items)) else ""
    return ""


def later(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    words = ", ".join(map(bold, names))
    return f".TP\n{words}\nOf a later version; refused until then, not ignored.\n"


# -- commands and options --------------------------------------------------------------------------


def options(parser: argparse.ArgumentParser) -> str:
    """Every option of a program."""
    return "".join(option(action, parser) for action in flags(parser))


def probe_options(name: str) -> str:
    """Every option of a probe but the one for help."""
    parser = of_a_probe(PROBES / name)
    return "".join(option(action, parser) for action in flags(parser)[1:])


def commands(parser: argparse.ArgumentParser) -> str:
    """Every sub-command of a program, with the options that it alone has."""
    out = ""
    for name, inner in sub_commands(parser).items():
        own = own_flags(parser, inner)
        optional = [f"[{head(action)}]" for action in own]
        usage = [bold(name), *optional, *(positional(action, inner) for action in positionals(inner))]
        out += f".TP\n{' '.join(usage)}\n{sentence(help_of(parser)[name])}\n"
        if own:
            out += f".RS\n{''.join(option(action, inner) for action in own)}.RE\n"
    return out


def synopsis(parser: argparse.ArgumentParser) -> str:
    """Every sub-command of a program with its arguments, in one line."""
    out = []
    for name, inner in sub_commands(parser).items():
        words = [in_usage(a, str(a.metavar or a.dest).upper(), inner) for a in positionals(inner)]
        out.append(" ".join((name, *words)))
    return " | ".join(out)


def option(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    text = text_of(action, parser)
    if action.choices is not None:
        text += f": {', '.join(map(str, action.choices))}"
    return f".TP\n{head(action)}\n{sentence(text)}\n"


def head(action: argparse.Action) -> str:
    """An option as it is typed, its shortest name first."""
    value = "" if action.nargs == 0 else " " + italic(str(action.metavar or action.dest).upper())
    return ", ".join(bold(name) + value for name in action.option_strings)


def positional(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    return in_usage(action, italic(str(action.metavar or action.dest).upper()), parser)


def in_usage(action: argparse.Action, word: str, parser: argparse.ArgumentParser) -> str:
    """An argument that may be left out has brackets, but where an option stands for it then."""
    text = word + "..." * (action.nargs in ("+", "*"))
    optional = action.nargs == "?" or (
        action.nargs == "*" and all("--array" not in one.option_strings for one in flags(parser))
    )
    return f"[{text}]" if optional else text


# -- events ----------------------------------------------------------------------------------------


def events() -> str:
    """Every event with its MESSAGE_ID and what the catalog calls it."""
    text = CATALOG.read_text("utf-8")
    subjects = dict(re.findall(r"^-- ([0-9a-f]{32})\nSubject: (.*)$", text, re.MULTILINE))
    return "".join(f".TP\n{bold(event.value)}\n{sentence(subjects[event.value])}\n" for event in Event)


# -- reasons ---------------------------------------------------------------------------------------


def kinds() -> str:
    """Every kind of reason not to start a job, what it means, what to do, and what it has beside kind and text."""
    out = ""
    for kind, (means, do) in ADVICE.items():
        names = dict.fromkeys(field.name for cls in REASONS if cls.kind is kind for field in fields(cls))
        has = f"It has {', '.join(map(italic, names))}.\n" if names else ""
        out += f".TP\n{bold(kind)}\n{escape(means)}\n{escape(do)}\n{has}"
    return out


# -- roff ------------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """Text as it stands, whatever it holds: for man(7)."""
    return text.translate(_SPECIAL)


def bold(word: str) -> str:
    return rf"\fB{escape(word)}\fR"


def italic(word: str) -> str:
    return rf"\fI{escape(word)}\fR"


def sentence(text: str) -> str:
    """One line of the code's, as a sentence that no macro can be mistaken for."""
    text = text.strip().removesuffix(".")
    return "\\&" * text.startswith((".", "'")) + escape(text[:1].upper() + text[1:]) + "."


# -- documents -------------------------------------------------------------------------------------

PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "taskgated.8": {"options": lambda: options(daemon_parser()), "events": events},
    "taskgatectl.1": {
        "options": lambda: options(ctl_parser()),
        "commands": lambda: commands(ctl_parser()),
        "kinds": kinds,
    },
    "taskgated.yaml.5": {"keys": config_keys},
    "taskgate-job.5": {"keys": job_keys},
    "taskgate-foreign.5": dialects.parts(bold, escape),
    "taskgate-probes.8": {name: partial(probe_options, name) for name in PROBE_NAMES},
}


def page(path: Path, parts: Mapping[str, Callable[[], str]]) -> str:
    """A manual page, or a completion, with its generated parts made anew."""
    text = path.read_text("utf-8")
    names = [match[3] for match in _BLOCK.finditer(text)]
    if sorted(names) != sorted(parts):
        raise Incomplete(f"{path.name}: it has places for {names}, and is to have them for {list(parts)}")
    return _BLOCK.sub(lambda match: match[1] + textwrap.indent(parts[match[3]](), match[2]) + match[5], text)


def readme(text: str) -> str:
    """The README with the rows of its table made anew, which the row of later keys ends, and the commands."""
    before, head, rest = text.partition(TABLE_HEAD)
    _, end, after = rest.partition(TABLE_END)
    if not (head and end):
        raise Incomplete(f"README.md: there is no table from {TABLE_HEAD.splitlines()[0]!r} to {TABLE_END!r}")
    made = before + head + "".join(f"{row}\n" for row in table()) + end + after
    made, found = COMMAND_LINE.subn(lambda match: match[1] + synopsis(ctl_parser()), made)
    if not found:
        raise Incomplete(f"README.md: there is no line {COMMAND_LINE.pattern!r}")
    return made


def documents() -> dict[Path, str]:
    """Every document with something generated in it, as it is to be."""
    made = {MAN / name: page(MAN / name, parts) for name, parts in PAGES.items()}
    shell_files = shells.files(daemon_parser(), ctl_parser())
    made |= {COMPLETIONS / name: page(COMPLETIONS / name, parts) for name, parts in shell_files.items()}
    made[README] = readme(README.read_text("utf-8"))
    made[REPOSITORY / "taskgated" / "job.schema.json"] = dump(job_schema())
    made[REPOSITORY / "taskgated" / "config.schema.json"] = dump(config_schema())
    return made


def outdated() -> dict[Path, str]:
    """Those that are not as they are to be."""
    return {path: text for path, text in documents().items() if not path.exists() or path.read_text("utf-8") != text}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("packaging/documents", description="Bring documents up to date with the code.")
    parser.add_argument("--check", action="store_true", help="change nothing; say what is not up to date")
    check = parser.parse_args(argv).check
    try:
        found = outdated()
    except Incomplete as error:
        print(f"packaging/documents: {error}", file=sys.stderr)
        return 1
    for path, text in found.items():
        print(path.relative_to(REPOSITORY))
        if not check:
            path.write_text(text, "utf-8")
    return 1 if check and found else 0


if __name__ == "__main__":
    sys.exit(main())
