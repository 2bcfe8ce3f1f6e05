"""The parts of completions that follow from what a program declares: its options, its sub-commands, their values.

How a shell finds jobs and queues is written by hand beside them. What is made here is data for that, or, for zsh and
fish, the calls of their own completion.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator, Mapping

from declared import commands, excluded, flags, help_of, own_flags, positionals, text_of

from taskgated.core.state import State
from taskgated.ctl.__main__ import VERBS, verb
from taskgated.ctl.verb import Verb

Parser = argparse.ArgumentParser
VALUES = {"DIR": "directory", "FILE": "file", "QUEUE": "queue"}
"""What a shell can offer for an option or an argument, by the word that stands for its value."""
SPELLED = {"DIR": "directory", "N": "number"}


def unfinished() -> str:
    """The options of ``list`` that ask for jobs which are not over."""
    return " ".join(f"--state {state}" for state in State if not state.final)


def short(text: str) -> str:
    """A help text as there is room for in a list: without what it says besides."""
    return re.sub(r" \(repeatable\)", "", text.partition(";")[0])


def takes(action: argparse.Action) -> str:
    """What a shell offers as the value: ``directory``, ``file``, ``queue``, ``words a b c``, or nothing."""
    if action.choices is not None:
        return " ".join(("words", *map(str, action.choices)))
    return VALUES.get(str(action.metavar or action.dest).upper(), "")


def arguments(name: str, inner: Parser) -> str:
    """What the arguments of a sub-command are: ``file``, ``job all``, ``job open`` or nothing; ``jobs``: many."""
    for action in positionals(inner):
        if action.dest == "id":
            found = verb(name) if name in VERBS else None
            which = "open" if isinstance(found, Verb) and found.open_jobs else "all"
            return f"{'jobs' if action.nargs in ('+', '*') else 'job'} {which}"
        return takes(action)
    return ""


def valued(parser: Parser) -> dict[str, argparse.Action]:
    """Every option of a program that takes a value, those of its sub-commands included, by its long name."""
    found = {}
    for one in (parser, *commands(parser).values()):
        found.update({action.option_strings[-1]: action for action in flags(one) if action.nargs != 0})
    return found


def _names(actions: list[argparse.Action]) -> str:
    return " ".join(name for action in actions for name in action.option_strings)


# -- bash --------------------------------------------------------------------------------------------


def bash(parser: Parser) -> str:
    """Tables: the options and the arguments of each sub-command (``-``: of none), what options take as a value."""
    inner = commands(parser)
    options = {"-": _names(flags(parser)), **{name: _names(flags(one)) for name, one in inner.items()}}
    given = {"-": " ".join(("words", *inner)), **{name: arguments(name, one) for name, one in inner.items()}}
    values = {name: takes(action) for name, action in valued(parser).items()}
    tables = {"options": options, "values": values, **({"arguments": given} if inner else {})}
    out = "".join(_bash_table(f"_{parser.prog}_{name}", table) for name, table in tables.items())
    return out + (f"_{parser.prog}_open=({unfinished()})\n" if inner else "")


def _bash_table(name: str, table: Mapping[str, str]) -> str:
    rows = "".join(f"    [{key}]='{value}'\n" for key, value in table.items() if value or key.startswith("--"))
    return f"declare -gA {name}=(\n{rows})\n"


# -- zsh ---------------------------------------------------------------------------------------------

ZSH_VALUES = {"directory": "_directories", "file": '_files -g "*.yaml"', "queue": " _taskgatectl_queues"}


def zsh_options(parser: Parser, actions: list[argparse.Action]) -> str:
    """The options, as ``_arguments`` wants them."""
    return "".join(f"{_zsh_option(action, parser)}\n" for action in actions)


def _zsh_option(action: argparse.Action, parser: Parser) -> str:
    others = [*excluded(action, parser)]
    ends = isinstance(action, argparse._HelpAction | argparse._VersionAction)
    if len(action.option_strings) > 1:
        others = [*action.option_strings, *others]
    before = "*" if isinstance(action, argparse._AppendAction) else f"({' '.join(others)})" if others else ""
    if ends:
        before = "(- *)"
    text = re.sub(r"([\[\]\\])", r"\\\1", short(text_of(action, parser)))
    after = f"[{text}]"
    if action.nargs != 0:
        word = str(action.metavar or action.dest).upper()
        kind = takes(action)
        offered = f"({kind.removeprefix('words ')})" if kind.startswith("words ") else ZSH_VALUES.get(kind, " ")
        after = f"={after}:{SPELLED.get(word, word.lower())}:{offered}"
    if len(action.option_strings) > 1:
        return f"'{before}'{{{','.join(action.option_strings)}}}{_quoted(after)}"
    return _quoted(before + action.option_strings[0] + after)


def zsh_commands(parser: Parser) -> str:
    lines = "".join(f"  {_quoted(f'{name}:{short(text)}')}\n" for name, text in help_of(parser).items())
    return f"commands=(\n{lines})\n"


def zsh_common(parser: Parser) -> str:
    shared = [action for action in flags(parser) if not isinstance(action, argparse._VersionAction)]
    lines = zsh_options(parser, shared).splitlines()
    return "common=(\n" + "".join(f"  {line}\n" for line in lines) + ")\n"


def zsh_arguments(parser: Parser) -> str:
    out = "case $words[1] in\n"
    for name, inner in commands(parser).items():
        parts = zsh_options(inner, own_flags(parser, inner)).splitlines()
        match arguments(name, inner).split():
            case ["job", which]:
                parts.append(f"'1: : _taskgatectl_jobs {which}'")
            case ["jobs", which]:
                parts.append(f"'*: : _taskgatectl_jobs {which}'")
            case ["file"]:
                parts.append("'*:file:_files'")
        call = " \\\n      ".join(("_arguments -s $common", *parts))
        out += f"  ({name})\n    {call} && ret=0\n    ;;\n"
    return out + "esac\n"


def zsh_program(parser: Parser) -> str:
    """All of a program without sub-commands."""
    return "_arguments -s \\\n  " + " \\\n  ".join(zsh_options(parser, flags(parser)).splitlines()) + "\n"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# -- fish --------------------------------------------------------------------------------------------


def fish(parser: Parser) -> str:
    """A ``complete`` for everything that may be typed."""
    return "".join(f"complete -c {parser.prog} {line}\n" for line in _fish(parser))


def _fish(parser: Parser) -> Iterator[str]:
    yield "-f"
    top, inner = parser.prog, commands(parser)
    for action in flags(parser):
        only = f"-n '__fish_{top}_using \"\"' " if inner and isinstance(action, argparse._VersionAction) else ""
        yield only + _fish_option(action, parser)
    for name, text in help_of(parser).items():
        yield f"-n '__fish_{top}_using \"\"' -a {name} -d {_fish_text(text)}"
    for name, one in inner.items():
        using = f"-n '__fish_{top}_using {name}'"
        for action in own_flags(parser, one):
            yield f"{using} {_fish_option(action, parser)}"
        match arguments(name, one).split():
            case ["job", which]:
                yield f"-n '__fish_{top}_using {name}; and __fish_{top}_first' -k -a '(__fish_{top}_jobs {which})'"
            case ["jobs", which]:
                yield f"{using} -k -a '(__fish_{top}_jobs {which})'"
            case ["file"]:
                yield f"{using} -F"


def _fish_option(action: argparse.Action, parser: Parser) -> str:
    names = [f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in action.option_strings]
    kind = takes(action)
    value = "-x"
    if action.nargs == 0:
        value = ""
    elif kind.startswith("words "):
        value = f"-x -a '{kind.removeprefix('words ')}'"
    elif kind == "file":
        value = "-r -F"
    elif kind:
        value = f"-x -a '(__fish_{parser.prog}_{ {'directory': 'directories', 'queue': 'queues'}[kind] })'"
    return " ".join(part for part in (*names, value, f"-d {_fish_text(text_of(action, parser))}") if part)


def _fish_text(text: str) -> str:
    text = short(text)
    return "'" + (text[:1].upper() + text[1:]).replace("\\", "\\\\").replace("'", "\\'") + "'"


def fish_command(parser: Parser) -> str:
    """The options that may stand before the sub-command, for fish's argparse."""
    specs = []
    for action in flags(parser):
        names = [name.lstrip("-") for name in action.option_strings]
        specs.append("/".join(names) + ("" if action.nargs == 0 else "="))
    return f"argparse -s {' '.join(specs)} -- $words[2..] 2>/dev/null\n"


def fish_valued(parser: Parser) -> str:
    names = " ".join(f"{name[2:]}=" for name in valued(parser))
    return f"argparse -i {names} -- $words[2..] 2>/dev/null\n"


# -- files -------------------------------------------------------------------------------------------


def files(daemon: Parser, ctl: Parser) -> dict[str, dict[str, Callable[[], str]]]:
    """The files, and for each the names of its generated parts with what makes them."""
    return {
        "taskgated.bash": {"tables": lambda: bash(daemon)},
        "_taskgated": {"options": lambda: zsh_program(daemon)},
        "taskgated.fish": {"options": lambda: fish(daemon)},
        "taskgatectl.bash": {"tables": lambda: bash(ctl)},
        "_taskgatectl": {
            "open": lambda: f"open=({unfinished()})\n",
            "commands": lambda: zsh_commands(ctl),
            "common": lambda: zsh_common(ctl),
            "arguments": lambda: zsh_arguments(ctl),
        },
        "taskgatectl.fish": {
            "before": lambda: fish_command(ctl),
            "valued": lambda: fish_valued(ctl),
            "open": lambda: f"set -l open {unfinished()}\n",
            "options": lambda: fish(ctl),
        },
    }
