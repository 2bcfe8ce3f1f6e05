"""``taskgated``: the daemon, in the foreground."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from taskgated import __version__, early

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from pathlib import Path

    from taskgated.errors import TaskgateError
    from taskgated.host.paths import Layout


def parser() -> argparse.ArgumentParser:
    import argparse
    from pathlib import Path

    from taskgated.host.paths import add_options

    top = argparse.ArgumentParser("taskgated", description="The gate that all heavy jobs of a host pass.")
    add_options(top)
    top.add_argument("--config", type=Path, metavar="FILE", help="read FILE instead of taskgated.yaml")
    top.add_argument("--check", action="store_true", help="check the configuration and exit")
    top.add_argument("--check-store", action="store_true", help="check the database, also of a running gate")
    top.add_argument("--version", action="version", version=f"taskgated {__version__}")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    early.hold_signals()
    from taskgated.errors import CannotStart, TaskgateError
    from taskgated.host.paths import Layout
    from taskgated.text import printable

    options = parser().parse_args(argv)
    layout = Layout.chosen(options)
    try:
        if options.check:
            return _check(layout, options.config)
        if options.check_store:
            from taskgated.store.sqlite.check import check

            return check(layout.database, print)
        from taskgated.daemon.daemon import Daemon

        try:
            daemon = Daemon(layout, options.config)
        except (
            OSError
        ) as error:  # sockets that cannot be made, no descriptors: what the host lacks, and no traceback says
            names = [f": {name}" for name in (error.filename, error.filename2) if name]
            raise CannotStart(f"cannot start: {error.strerror}{''.join(names)}") from None
        return daemon.run()
    except TaskgateError as error:
        for line in f"taskgated: {error}".split("\n"):
            print(printable(line), file=sys.stderr)
        return _status(error)


def _check(layout: Layout, main: Path | None) -> int:
    """Says what the daemon would, of what the daemon can read. Touches nothing."""
    from taskgated.daemon import figures, programs
    from taskgated.errors import ConfigError
    from taskgated.host.identity import become, service_user
    from taskgated.host.names import Names
    from taskgated.host.paths import Layout
    from taskgated.language.configfiles import load, unreadable
    from taskgated.worker.cgroup import of_gate

    config = load(layout, main)
    if layout == Layout.system() and os.geteuid() == 0:
        become(service_user())
        if problems := unreadable(layout, main):
            raise ConfigError(problems)
    strange = config.strangers(Names().meant(config.users))
    notes = [*config.notes(), *strange, *figures.notes(config, of_gate()), *programs.notes(config)]
    print("the configuration is fine", *(f"note: {note}" for note in notes), sep="\n")
    return os.EX_OK


def _status(error: TaskgateError) -> int:
    """sysexits.h: the unit's ``RestartPreventExitStatus=`` names those that a restart cannot mend."""
    from taskgated.errors import CannotStart, ConfigError, StoreError, WrongUser

    if isinstance(error, ConfigError):
        return os.EX_CONFIG
    if isinstance(error, StoreError):
        return os.EX_IOERR
    if isinstance(error, WrongUser):
        return os.EX_NOPERM
    return os.EX_TEMPFAIL if isinstance(error, CannotStart) else os.EX_SOFTWARE


if __name__ == "__main__":
    sys.exit(main())
