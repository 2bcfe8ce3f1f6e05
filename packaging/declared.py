"""What the command line of a program is, as its parser declares it: for the manual pages and the completions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any


def flags(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options."""
    return [action for action in parser._actions if action.option_strings and action.help is not argparse.SUPPRESS]


def positionals(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]


def _commands(parser: argparse.ArgumentParser) -> argparse._SubParsersAction[argparse.ArgumentParser] | None:
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return found[0] if found else None


def commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """The sub-commands by name, each with its own parser; none of a program that has none."""
    found = _commands(parser)
    return {} if found is None else found.choices


def help_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """What each sub-command says of itself."""
    found = _commands(parser)
    return {} if found is None else {action.dest: action.help or "" for action in found._choices_actions}


def own_flags(parser: argparse.ArgumentParser, inner: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options that a sub-command has and the program has not."""
    common = {name for action in flags(parser) for name in action.option_strings}
    return [action for action in flags(inner) if not common & set(action.option_strings)]


def of_a_probe(path: Path) -> argparse.ArgumentParser:
    """The parser of a probe."""
    parser: argparse.ArgumentParser = probe_module(path).parser()
    return parser


def probe_module(path: Path) -> Any:
    """A probe as a module: it is a program without a suffix, and takes what it shares from beside it."""
    loader = SourceFileLoader(f"probe_{path.name}", str(path))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    before = list(sys.path)
    try:
        loader.exec_module(module)
    finally:
        sys.path[:] = before
    return module


def excluded(action: argparse.Action, parser: argparse.ArgumentParser) -> list[str]:
    """The options that exclude it."""
    groups = [group for group in parser._mutually_exclusive_groups if action in group._group_actions]
    others = [other for group in groups for other in group._group_actions if other is not action]
    return [name for other in others for name in other.option_strings]


def text_of(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """Its help."""
    return (action.help or "") % {**vars(action), "prog": parser.prog}
