"""What a local user who may write to the spool does to race the intake; all by names, at random, and at once."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SERVICE, ATTACKER, BYSTANDER, GROUP = 64101, 64102, 64104, 64103
"""Numbers suffice for the kernel: nobody has to be created."""
AT_FDCWD = -100
RENAME_EXCHANGE = 2
QUEUES = ("", "shared", "files", "lines")
_libc = ctypes.CDLL(None)


@dataclass(frozen=True, slots=True)
class Targets:
    """``secrets``: what the attacker may not read. ``linked``: a bystander's file that everybody may write to, and so
    link, though the kernel protects hard links."""

    spool: str
    secrets: list[str]
    linked: str

    @property
    def outside(self) -> str:
        return os.path.dirname(self.secrets[0])


def attempt(call: Callable[..., object], *args: object) -> None:
    """Much of it must fail; the loop goes on."""
    try:
        call(*args)
    except OSError:
        pass


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o666)


def swap(random_: random.Random, at: Targets, n: int) -> None:
    """One name: first a good file, then at once something else, in any order. Some of it is left lying: otherwise it
    would be gone before anybody has looked."""
    ending = random_.choice((".yaml", ".tasks", ".sh", ""))
    queue = random_.choice(QUEUES)
    path = f"{at.spool}/{queue}/r{n % 50}{ending}"
    good, bad = f"{at.spool}/.a{n}", f"{at.spool}/.b{n}"
    write(good, random_.choice(("command: 'true'\n", "true\n", "#!/bin/sh\ntrue\n")))
    secret = random_.choice(at.secrets)
    kind = random_.randrange(6)
    if kind < 3:
        os.symlink(random_.choice((secret, "../../outside/" + os.path.basename(secret), at.outside)), bad)
    elif kind == 3:
        attempt(os.link, secret, path)  # the kernel refuses it
    elif kind == 4:
        os.mkfifo(bad, 0o666)
    else:
        os.mkdir(bad, 0o777)
    for _ in range(random_.randrange(1, 4)):
        attempt(os.rename, good, path)
        attempt(os.rename, bad, path)
        attempt(os.rename, path, good)
        if kind == 3:  # at once in its place: in a sticky directory nobody moves what is another's
            attempt(os.link, at.linked, path)
    if random_.random() < 0.3:
        attempt(os.rename, random_.choice((good, bad)), path)
        if queue or not is_directory(path):  # there it would be a queue, of which there may not be so many
            path = good
    for left in (good, bad, path):
        attempt(os.unlink, left)
        attempt(os.rmdir, left)


def is_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return False


def queues(random_: random.Random, at: Targets, n: int) -> None:
    """A queue directory becomes a link to where the secrets are, and back."""
    queue = f"{at.spool}/q{n % 5}"
    attempt(os.mkdir, queue, 0o777)
    attempt(os.chmod, queue, 0o777)
    attempt(write, f"{queue}/x{n}.tasks", "true\n")
    attempt(os.symlink, at.secrets[1], f"{queue}/secret.tasks")
    attempt(os.symlink, at.outside, f"{at.spool}/.l{n}")
    attempt(os.rename, queue, f"{at.spool}/.q{n}")
    attempt(os.rename, f"{at.spool}/.l{n}", queue)
    attempt(os.unlink, queue)
    shutil.rmtree(f"{at.spool}/.q{n}", ignore_errors=True)


def private(random_: random.Random, at: Targets, n: int) -> None:
    """The gate's own names, and names that lead elsewhere."""
    spool = at.spool
    for name in ("rejected", ".claims", "shared", ".canary", "lost+found"):
        attempt(os.rename, f"{spool}/{name}", f"{spool}/.mine{n}")
        attempt(os.rmdir, f"{spool}/{name}")
        attempt(os.unlink, f"{spool}/{name}")
        attempt(os.symlink, at.outside, f"{spool}/{name}")
        attempt(os.mkfifo, f"{spool}/{name}")
    attempt(os.symlink, at.outside, f"{spool}/rejected/r{n}.yaml")
    attempt(os.symlink, at.secrets[0], f"{spool}/rejected/.reason.tmp")
    attempt(os.symlink, at.secrets[0], f"{spool}/.claims/done.{n}")
    said = random_.choice(("queue: ../../outside", "queue: ..", "name: ../../x"))
    attempt(write, f"{spool}/x{n}.yaml", f"{said}\ncommand: 'true'\n")
    attempt(os.symlink, "..", f"{spool}/up{n % 3}")
    attempt(os.unlink, f"{spool}/up{n % 3}")


def flip(random_: random.Random, at: Targets, n: int) -> None:
    """One name is a file and a link by turns, at full speed, while the gate looks at it: also between two of its
    looks (renameat2(2))."""
    path, link = f"{at.spool}/{random_.choice(QUEUES)}/f{n % 50}.tasks", f"{at.spool}/.f{n}"
    names = os.fsencode(path), os.fsencode(link)
    attempt(os.symlink, random_.choice(at.secrets), link)
    write(f"{at.spool}/.g{n}", "true\n")
    attempt(os.rename, f"{at.spool}/.g{n}", path)
    end = time.monotonic() + 0.02
    while time.monotonic() < end and not _libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE):
        pass  # until the gate has it
    attempt(os.unlink, link)
    attempt(os.unlink, f"{at.spool}/.g{n}")


WAYS = (swap, queues, private, flip)


def attacker(at: Targets, seed: int, rounds: int) -> None:
    """The attacker's whole life. Now and then a short rest: at full speed the gate would meet but the last of it."""
    random_ = random.Random(seed)
    for n in range(rounds):
        random_.choices(WAYS, (6, 2, 1, 2))[0](random_, at, n)
        if random_.random() < 0.2:
            time.sleep(random_.random() * 0.05)


def become(call: Callable[[], object]) -> int:
    """Do this in a process of the attacker's, who is of the group that may write to the spool; returns its pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setgroups([GROUP])
            os.setgid(ATTACKER)
            os.setuid(ATTACKER)
            os.umask(0)
            call()
            status = 0
        finally:
            os._exit(status)
    return pid


# -- before the gate starts for the first time: the spool, and a place outside -------------------


def squat_rejected(spool: Path, outside: Path) -> None:
    (spool / "rejected").symlink_to(outside)


def squat_failed(spool: Path, outside: Path) -> None:
    (spool / "failed").symlink_to(outside)


def squat_claims(spool: Path, outside: Path) -> None:
    (spool / ".claims").mkdir(0o777)


def squat_canary(spool: Path, outside: Path) -> None:
    os.mkfifo(spool / ".canary")


def squat_canary_directory(spool: Path, outside: Path) -> None:
    (spool / ".canary" / "full").mkdir(parents=True)


SQUATS = (squat_rejected, squat_failed, squat_claims, squat_canary, squat_canary_directory)
