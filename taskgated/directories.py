"""The directories of a gate: made where an installation has not made them, each with the mode that it needs.

Who may drop into a queue is an ordinary directory permission: writing and searching, without reading, in a
directory with the sticky bit. What an administrator has set is left as it is.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path

from taskgated import acl
from taskgated.errors import CannotStart
from taskgated.paths import Layout


def make(layout: Layout, queues: Iterable[str]) -> None:
    """All of them, with those of these queues. Raises ``CannotStart``."""
    try:
        for path, mode in (
            (layout.spool, 0o700),
            (layout.state, 0o700),
            (layout.outcomes, 0o700),
            (layout.scripts, 0o700),
            (layout.log, 0o750),
            (layout.run, 0o755),
        ):
            if not path.is_dir():
                path.mkdir(mode, parents=True)
        make_private(layout.claims)
        make_rejected(layout.rejected)
        for queue in queues:
            if queue != "default":
                make_queue(layout.spool, layout.spool / queue)
    except OSError as error:
        raise CannotStart(f"cannot make {error.filename}: {error.strerror}") from None


def make_queue(spool: Path, path: Path) -> None:
    """A directory of the same mode as the spool, so that the same people may drop there. Raises ``OSError``."""
    if _made(path):
        os.chmod(path, stat.S_IMODE(os.stat(spool).st_mode))


def make_rejected(path: str | Path) -> None:
    """Members of the group may list and read what is refused, if the files themselves let them."""
    _evict(path)
    if _made(path):
        acl.remove(path, acl.DEFAULT)
        os.chmod(path, 0o2750)


def make_private(path: str | Path) -> None:
    _evict(path)
    if _made(path):
        acl.remove(path, acl.DEFAULT)


def _evict(path: str | Path) -> None:
    """Whoever may write to the spool can take a name in it before we do, also with a link to elsewhere. What is
    another's is moved out of the way; what is ours (or root's) nobody can replace, for the spool is sticky."""
    try:
        owner = os.lstat(path).st_uid
    except FileNotFoundError:
        return
    if owner not in (0, os.geteuid()):
        parent, name = os.path.split(path)
        os.rename(path, f"{parent}/.not-ours-{secrets.token_hex(8)}.{name.lstrip('.')}")


def _made(path: str | Path) -> bool:
    """Make a directory for us alone; False if it was there."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return False
    # In a spool with a default ACL it has an ACL by now, in which the group has nothing (acl(5)).
    acl.remove(path, acl.ACCESS)
    return True
