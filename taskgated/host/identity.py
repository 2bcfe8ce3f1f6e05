"""As whom the gate runs: its jobs are processes of that user, and its directories are that user's.

The system's gate has a user of its own, ``taskgate``. Whose a gate is says the owner of its state directory.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from pathlib import Path

from taskgated.errors import WrongUser
from taskgated.host.paths import Layout

SERVICE_USER = "taskgate"
UNIT = "taskgated"


def user_name(uid: int) -> str:
    """What people call that user; the number, where nobody has named it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def check_user(layout: Layout) -> None:
    """Before the daemon touches anything: may this process be it? Raises ``WrongUser`` with what to do instead.

    Root would run the jobs of all who may drop, and what it makes the gate's own user could not use any more.
    Somebody else's gate root does not run either; ``--root`` for a gate that is root's own is welcome.
    """
    system = layout == Layout.system()
    me = os.geteuid()
    owner = _owner(layout.state)
    if system and me == 0:
        user = user_name(owner) if owner else SERVICE_USER
        raise WrongUser(
            "root does not run the gate of this host, for its jobs would be root's: systemctl start"
            f" {UNIT} (or, in the foreground: install -d -o {user} -g {user} {layout.run} &&"
            f" runuser -u {user} -- taskgated)"
        )
    if owner is None or owner == me:
        return
    name, other, state = user_name(me), user_name(owner), shlex.quote(str(layout.state))
    if system:
        raise WrongUser(
            f"{layout.state} belongs to {other}, and this is {name}: systemctl start {UNIT}"
            " (or, for a gate of your own: taskgated --user)"
        )
    raise WrongUser(
        f"{layout.state} belongs to {other}, and this is {name}: run it as {other} (runuser -u {other} --"
        f" taskgated ...), or, if the gate is to be {name}'s: chown -R {name} {state}"
    )


def how_to_drop(user: str, mode: int, target: str) -> str:
    """What to type with a file that this user, as whom the gate runs, may not read."""
    return (
        f"its mode is {stat.S_IMODE(mode):04o}, and the user {user} must read it; drop it as cat FILE >{target},"
        f" or say chmod 644 FILE, or setfacl -m u:{user}:r FILE, before mv or cp"
    )


def service_user() -> pwd.struct_passwd:
    """Whose the system's gate is: the owner of its state, else the user of the package. Raises ``WrongUser``."""
    try:
        owner = _owner(Layout.system().state)
        return pwd.getpwuid(owner) if owner else pwd.getpwnam(SERVICE_USER)
    except KeyError:
        raise WrongUser(f"there is no user {SERVICE_USER}, as whom the gate would run: systemd-sysusers") from None


def become(user: pwd.struct_passwd) -> None:
    """From root to that user, with all its groups, for the rest of this process."""
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def _owner(path: Path) -> int | None:
    try:
        return os.stat(path).st_uid
    except OSError:
        return None
