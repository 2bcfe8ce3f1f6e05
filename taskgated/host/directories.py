"""The directories of a gate: made where an installation has not made them, each with the mode that it needs.

Who may drop into a queue is an ordinary directory permission: writing and searching, without reading, in a
directory with the sticky bit. What an administrator has set is left as it is.
"""

from __future__ import annotations

import errno
import os
import secrets
import shlex
import stat
from collections.abc import Iterable
from pathlib import Path

from taskgated.core.fixed import DEFAULT_QUEUE
from taskgated.errors import CannotStart, DiskTrouble, WrongUser
from taskgated.host import acl
from taskgated.host.identity import group_name, user_name
from taskgated.host.paths import Layout

_MAY_PASS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def make_state(layout: Layout) -> None:
    """The directory with the lock, before anything else is touched. Raises as ``make`` does."""
    _make(((layout.state, 0o700),))


def make(layout: Layout, queues: Iterable[str]) -> None:
    """All of them, with those of these queues. Raises ``CannotStart``, or ``DiskTrouble`` for what may pass;
    ``WrongUser`` when one that the gate cannot do without belongs to somebody else."""
    _make(
        (
            (layout.spool, 0o700),
            (layout.state, 0o700),
            (layout.outcomes, 0o700),
            (layout.scripts, 0o700),
            (layout.log, 0o750),
            (layout.run, 0o755),
        )
    )
    private = (layout.state, layout.outcomes, layout.scripts, layout.log, layout.run)
    _refuse(wrong_owner(path, _ALL) for path in private)
    make_in_spool(layout, queues)


def make_in_spool(layout: Layout, queues: Iterable[str]) -> None:
    """What a reload may need anew; raises as ``make`` does. The running daemon looks at no other directory: the disk
    of the outputs, say, may hang by then."""
    _refuse([wrong_owner(layout.spool)])
    try:
        make_private(layout.claims)
        for path in (layout.rejected, layout.failed):
            make_shared(path)
        for queue in queues:
            if queue != DEFAULT_QUEUE:
                make_queue(layout.spool, layout.spool / queue)
    except OSError as error:
        raise cannot(f"make {error.filename}", error) from None
    _refuse([wrong_owner(layout.claims, _INSIDE)])


def wrong_owners(layout: Layout, queues: Iterable[str]) -> list[str]:
    """Directories in the spool whose owner keeps intake from its work, each with the command that mends it."""
    places = [layout.spool, *(layout.spool / queue for queue in queues if queue != DEFAULT_QUEUE)]
    shared = [wrong_owner(path, _SHARED) for path in (layout.rejected, layout.failed)]
    found = [wrong_owner(layout.claims, _INSIDE), *shared, *map(wrong_owner, places)]
    return [problem for problem in found if problem]


_THIS = "chown {user} {path}"
_SHARED = "chown {user}:{group} {path}"
"""For ``rejected`` and ``failed``, where members of the group read why; ``chown root:root`` is what has happened."""
_ALL = "chown -R {user} {path}"
_INSIDE = "find {path} -maxdepth 1 -type d -exec chown {user} {{}} +"
"""For ``.claims``: whose a claimed file is, its job is."""


def wrong_owner(path: Path, mend: str = _THIS) -> str:
    """What is wrong, and the command that mends it; empty if we may work in the directory, or it is not there."""
    try:
        status = os.stat(path)
        if status.st_uid == (user := os.geteuid()) or user == 0 or os.statvfs(path).f_flag & os.ST_RDONLY:
            return ""
    except OSError:
        return ""
    # Out of a sticky directory only its owner takes what is another's (rename(2), EPERM); in those that nobody else
    # drops into all is ours.
    if _usable(path) and (mend is _ALL or not status.st_mode & stat.S_ISVTX):
        return ""
    owner, me = user_name(status.st_uid), user_name(user)
    command = mend.format(user=me, group=group_name(os.stat(path.parent).st_gid), path=shlex.quote(str(path)))
    return f"{path} belongs to {owner}, and {me}, as whom taskgated runs, cannot work there: {command}"


def _usable(path: str | Path) -> bool:
    return os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True)


def _refuse(problems: Iterable[str]) -> None:
    if found := [problem for problem in problems if problem]:
        raise WrongUser("\n".join(found))


def make_queue(spool: Path, path: Path) -> None:
    """A directory of the same mode as the spool, so that the same people may drop there. Raises ``OSError``."""
    mode = stat.S_IMODE(os.stat(spool).st_mode)
    if _made(path, mode):
        _allow(path, mode)


_LISTED = 0o2750


def make_shared(path: str | Path) -> None:
    """A directory of the gate in the spool whose names members of the group may list; what is in it says who may read
    it. If it was a queue before its name was the gate's, nobody drops there any more."""
    _evict(path)
    if _made(path, _LISTED) or _was_a_queue(path):
        acl.remove(path, acl.DEFAULT)
        acl.remove(path, acl.ACCESS)
        _allow(path, _LISTED)


def _allow(path: str | Path, mode: int) -> None:
    """Give a directory of ours that mode, if it has not got it from mkdir(2) already.

    Under ``RestrictSUIDSGID=`` (systemd.exec(5)) nobody may set the setgid bit. There a directory that would lose it
    by that, or has never had it, goes without: new files in it have the group of who makes them, instead of its own.
    """
    if stat.S_IMODE(os.stat(path).st_mode) == mode:
        return
    try:
        os.chmod(path, mode)
    except PermissionError:
        os.chmod(path, mode & ~stat.S_ISGID)


def _was_a_queue(path: str | Path) -> bool:
    status = os.lstat(path)
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and bool(status.st_mode & 0o022)


def make_private(path: str | Path) -> None:
    _evict(path)
    if _made(path, 0o700):
        acl.remove(path, acl.DEFAULT)


def _make(directories: Iterable[tuple[Path, int]]) -> None:
    try:
        for path, mode in directories:
            if not path.is_dir():
                path.mkdir(mode, parents=True)
    except OSError as error:
        raise cannot(f"make {error.filename}", error) from None


def cannot(what: str, error: OSError) -> CannotStart | DiskTrouble:
    """The error to raise: does a start wait for that to pass, or not?"""
    text = f"cannot {what}: {error.strerror}"
    return DiskTrouble(text) if error.errno in _MAY_PASS else CannotStart(text)


def _evict(path: str | Path) -> None:
    """Whoever may write to the spool can take a name in it before we do, also with a link to elsewhere. What is
    another's is moved out of the way; what is ours (or root's) nobody can replace, for the spool is sticky. What root
    has made and left empty goes, if we cannot use it."""
    try:
        owner = os.lstat(path).st_uid
    except FileNotFoundError:
        return
    if owner not in (0, os.geteuid()):
        parent, name = os.path.split(path)
        os.rename(path, f"{parent}/.not-ours-{secrets.token_hex(8)}.{name.lstrip('.')}")
    elif owner != os.geteuid() and not _usable(path):
        try:
            os.rmdir(path)
        except OSError:
            pass  # it is not empty, and whoever asks for the owner is told


def _made(path: str | Path, mode: int) -> bool:
    """Make a directory, for others at most what ``mode`` says; False if it was there."""
    try:
        # Without the setgid bit, which it has from its parent (inode(7)): a sandbox may forbid to ask for it.
        os.mkdir(path, mode & ~stat.S_ISGID)
    except FileExistsError:
        return False
    # In a spool with a default ACL it has an ACL by now, in which the group has nothing (acl(5)).
    acl.remove(path, acl.ACCESS)
    return True
