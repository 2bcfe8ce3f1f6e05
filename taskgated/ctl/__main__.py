"""``taskgatectl``: see what the gate does, ask about jobs, wait for them, cancel them, check files.

Each verb is a module of its own, with its help, its arguments and what it does (``verb``). With what the command
exits is said there as well; ``wait`` exits with the job's own exit code: of several, the first that is not 0.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterable, Sequence

from taskgated import __version__
from taskgated.ctl.client import CallError, Client, NotSo, Unreachable
from taskgated.ctl.terminal import warn
from taskgated.ctl.verb import Exit, LocalVerb, Verb
from taskgated.errors import ConfigError
from taskgated.host.paths import Layout, add_options
from taskgated.protocol.replies import BAD_CONFIGURATION

VERBS = (
    "status", "list", "show", "why", "logs", "wait", "reload", "cancel", "retry",
    "hold", "release", "move", "prioritize", "pause", "resume", "limit", "tokens", "check",
)  # fmt: skip
"""The modules of the verbs, in the order in which they are told of."""


def verb(name: str) -> Verb | LocalVerb:
    """One of ``VERBS``. Only what is asked for is imported: the command starts often."""
    found: object = importlib.import_module(f"{__package__}.{name}").VERB
    if not isinstance(found, Verb | LocalVerb):
        raise TypeError(f"{name} is no verb")
    return found


def parser(verbs: Iterable[str] = VERBS) -> argparse.ArgumentParser:
    top = argparse.ArgumentParser("taskgatectl", description="Ask the gate, and tell it.")
    _common(top)
    top.add_argument("--version", action="version", version=f"taskgatectl {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common = _common_alone()
    for name in verbs:
        found = verb(name)
        description = found.help.capitalize() + "."
        found.arguments(commands.add_parser(name, help=found.help, description=description, parents=[common]))
    return top


def _common_alone() -> argparse.ArgumentParser:
    """The common options may stand before or after the verb; a second default must not undo the first."""
    common = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    _common(common, defaults=False)
    return common


def _common(parser: argparse.ArgumentParser, *, defaults: bool = True) -> None:
    add_options(parser, defaults=defaults)
    json_ = False if defaults else argparse.SUPPRESS
    parser.add_argument("--json", action="store_true", default=json_, help="print JSON, as the control socket has it")


def meant(argv: Sequence[str]) -> Sequence[str]:
    """The one verb that the command line is about, if it begins with one, common options aside; otherwise all."""
    try:
        _, rest = _common_alone().parse_known_args(argv)
    except argparse.ArgumentError:
        return VERBS
    return rest[:1] if rest and rest[0] in VERBS else VERBS


def main(argv: Sequence[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    options = parser(meant(argv)).parse_args(argv)
    layout = Layout.chosen(options)
    # Names may hold bytes that are not UTF-8; they go out as they came in.
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")  # type: ignore[union-attr]
    try:
        found = verb(options.command)
        if isinstance(found, LocalVerb):
            return found.run(layout, options)
        with Client(layout.control_socket) as gate:
            return found.run(gate, options)
    except Unreachable as error:
        warn(str(error))
        return Exit.UNAVAILABLE
    except ConfigError as error:
        warn(*str(error).split("\n"))  # a line for each problem
        return Exit.NOT_SO
    except CallError as error:
        warn(*(str(error).split("\n") if error.kind == BAD_CONFIGURATION else [str(error)]))
        return Exit.NOT_SO
    except NotSo as error:
        warn(str(error))
        return Exit.NOT_SO
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return Exit.OK
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
