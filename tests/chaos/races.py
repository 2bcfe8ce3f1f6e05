"""A local user who may write to the spool races the intake. Two real users: the gate runs as one that is not root,
with the spool as tmpfiles.d makes it; the other is a member of the group.

What must never happen: that something outside the spool is opened, read, moved, changed or run with the service's
rights. The attacker may not open it either, so a watch of the kernel's on it tells of nobody but the gate.

Where the kernel protects hard links, as everywhere by default, it refuses the attacker's to a secret. The gate then
takes in files with several names, so those are made of a file that the attacker might as well have copied; its other
name must stay as it is. Without that protection the gate takes in none, which the tests of intake show.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from taskgated.intake.settle import hard_links_protected
from tests import REPOSITORY
from tests.chaos.attacker import ATTACKER, BYSTANDER, GROUP, SERVICE, SQUATS, Targets, attacker, become
from tests.chaos.leftovers import leftovers, missing
from tests.chaos.stage import said
from tests.chaos.table import Row
from tests.chaos.tripwire import Tripwire
from tests.env.gate import OVER, GateEnv, python_for
from tests.env.until import until

TOKEN = "token-that-nobody-may-see-4711"
PATIENCE = 60.0
CONFIG = """\
workers: 2
rescan_interval: 1s
settle_time: 100ms
queues:
  default: {limit: 2}
  shared: {limit: 2}
  files: {handler: {command: [/bin/cat, "{file}"]}}
  lines: {handler: {command: [/bin/echo, "{line}"]}}
"""
CAP_LEASE = 28  # capabilities(7)
LEASE = ["--ambient-caps", "+lease", "--inh-caps", "+lease"]


def impossible() -> str:
    """Why it cannot be tried here; nothing if it can."""
    if os.geteuid() != 0:
        return "only root can become somebody else"
    if lacking := [tool for tool in ("setpriv", "setfacl") if not shutil.which(tool)]:
        return f"there is no {lacking[0]}"
    if not hard_links_protected():
        return "fs.protected_hardlinks is 0"
    return "" if python_for(SERVICE) else "there is no python for all users that has all the gate needs"


class Arena:
    """A gate of the service's, secrets of the service's, and an attacker. ``start``, attack, ``verdict``, and
    ``close`` in any case."""

    def __init__(self, lease: bool, early: Callable[[Path, Path], None] | None = None) -> None:
        """``early``: what the attacker does before the gate starts for the first time."""
        self.lease = lease
        self.early = early
        self.directory = Path(tempfile.mkdtemp(prefix="races-"))
        self.gate = GateEnv(self.directory / "gate", CONFIG, python_for(SERVICE) or sys.executable)
        self.layout = self.gate.layout
        self.code = self.directory / "code"  # the checkout may lie where the service cannot look
        self.outside = self.directory / "outside"
        self.secrets = [self.outside / name for name in ("secret", "secret.tasks", "secret.yaml", "secret.sh")]
        self.linked = self.outside / "linked"
        self.left: list[str] = []
        self._tripwire: Tripwire | None = None
        self._stopped = False
        self._last = 0  # of the honest jobs that are over

    def start(self) -> None:
        self.directory.chmod(0o711)
        shutil.copytree(REPOSITORY / "taskgated", self.code / "taskgated")
        self.outside.mkdir()
        for secret in self.secrets:  # whatever would read it would say so, or run it
            secret.write_text(f"#!/bin/sh\n# {TOKEN}\necho {TOKEN} >{self.outside}/ran\n")
            secret.chmod(0o600)
        self.linked.write_text("true\n")
        self.linked.chmod(0o666)
        self.outside.chmod(0o711)  # nobody but its owner can so much as open it
        self.spool()
        for path in (self.gate.root, self.outside, *self.secrets, self.layout.etc, self.layout.config_file):
            os.chown(path, SERVICE, SERVICE)
        os.chown(self.linked, BYSTANDER, BYSTANDER)
        self.before = self._snapshot()
        self._tripwire = Tripwire(self.outside, self.secrets)
        if early := self.early:
            _, status = os.waitpid(become(lambda: early(self.layout.spool, self.outside)), 0)
            assert status == 0, "the attacker failed"
        self._start()

    def spool(self) -> None:
        """As ``systemd/taskgated.tmpfiles`` has it."""
        spool = self.layout.spool
        spool.mkdir()
        os.chown(spool, SERVICE, GROUP)
        acl = f"default:user::rwx,default:user:{SERVICE}:rwx,default:group::---,default:mask::rwx,default:other::---"
        subprocess.run(["setfacl", "-m", acl, str(spool)], check=True)
        spool.chmod(0o3730)

    def _start(self) -> None:
        ids = ["--reuid", str(SERVICE), "--regid", str(SERVICE), "--groups", str(GROUP)]
        command = ["setpriv", *ids, *(LEASE if self.lease else []), self.gate.python, "-m", "taskgated", "--root"]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.code), "PYTHONDONTWRITEBYTECODE": "1"}
        with open(self.gate.root / "daemon.log", "ab") as log:
            self.gate.process = subprocess.Popen([*command, str(self.gate.root)], stderr=log, env=env, cwd="/")
        until(lambda: self.gate.status()["ready"] or not self.alive, "the gate is ready", PATIENCE)
        status = Path(f"/proc/{self.gate.process.pid}/status").read_text()
        rights = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
        assert int(rights, 16) == self.lease << CAP_LEASE, f"the service has other rights than it should: {rights}"

    @property
    def alive(self) -> bool:
        return self.gate.process is not None and self.gate.process.poll() is None

    def _snapshot(self) -> dict[str, tuple[object, ...]]:
        """Everything outside the gate: what it is, whose, and what is in it. Of the file that the attacker links it
        does not matter how often."""
        found: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.outside.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            links = 0 if path == self.linked else status.st_nlink
            found[path.name] = (status.st_ino, status.st_mode, status.st_uid, links, content)
        return found

    def honest(self) -> float:
        """Somebody else's job runs, whatever is attempted; returns the seconds that took."""
        name = f"honest-{time.monotonic_ns()}"
        (self.directory / "honest").write_text(f"name: {name}\ncommand: 'true'\npriority: 100\n")
        os.chown(self.directory / "honest", SERVICE, GROUP)
        dropped = time.monotonic()
        os.rename(self.directory / "honest", self.layout.spool / "shared" / f"{name}.yaml")

        def over() -> dict[str, Any] | None:
            assert self.alive, "the daemon is dead"
            return next(
                (job for job in self.gate.jobs(self._last) if job["name"] == name and job["state"] in OVER), None
            )

        job = until(over, f"{name} runs", PATIENCE)
        assert job is not None and job["state"] == "succeeded", f"{name} did not succeed: {job}"
        self._last = job["id"]
        return time.monotonic() - dropped

    # -- what came of it -------------------------------------------------------------------------

    def waiting(self) -> list[str]:
        """What is still to be done: files in the spool or in claims, and jobs. Names with a dot are nobody's."""
        with os.scandir(self.layout.claims) as entries:
            found = [entry.path for entry in entries if not entry.name.startswith("done.")]
        with os.scandir(self.layout.spool) as entries:
            for entry in entries:
                if entry.name.startswith(".") or entry.name in ("rejected", "failed", "lost+found"):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found += [f"{entry.path}/{name}" for name in os.listdir(entry) if not name.startswith(".")]
                else:
                    found.append(entry.path)
        counts = self.gate.status()["counts"]
        return found + [f"{counts[state]} jobs {state}" for state in ("queued", "running") if counts[state]]

    def met(self) -> Counter[str]:
        """What the gate has met of the attacker's."""
        names = {ATTACKER: "files", BYSTANDER: "hard links"}
        found = Counter(f"{names[job['owner']]} taken in" for job in self.gate.jobs() if job["owner"] in names)
        kinds = {stat.S_IFLNK: "links refused", stat.S_IFIFO: "FIFOs refused", stat.S_IFDIR: "directories refused"}
        for path in self.layout.rejected.iterdir():
            status = path.lstat()
            if status.st_uid == ATTACKER:
                found[kinds.get(stat.S_IFMT(status.st_mode), "files refused")] += 1
        return found

    def verdict(self) -> list[str]:
        """Stop the gate when all is done; returns what must not have happened, and did."""
        notes = []
        if not self._stopped:
            self._stopped = True
            if not self.alive:
                return [f"the daemon died: {self.gate.log()[-2000:]}"]
            until(lambda: not self.waiting(), "everything is done with", PATIENCE)
            self.gate.clean_up()
        assert self._tripwire is not None
        notes += [f"outside the spool {touched}" for touched in self._tripwire.touched()]
        if (after := self._snapshot()) != self.before:
            notes.append(f"outside the spool has changed: {after.keys() ^ self.before.keys() or 'a file'}")
        self._tripwire.touched()  # that was us
        notes += self._found()
        refused = [path.name for path in self.layout.rejected.iterdir() if path.suffix != ".reason"]
        notes += [f"refused without a reason: {name}" for name in missing(self.layout, refused)]
        # What the attacker has under names of no interest is his; all else is looked at above.
        self.left = [path for path in leftovers(self.layout, refused) if not path.startswith("spool/")]
        for path in (self.layout.rejected, self.layout.failed, self.layout.claims):
            if not stat.S_ISDIR(path.lstat().st_mode) or path.lstat().st_uid != SERVICE:
                notes.append(f"{path.name} was replaced")
        return notes

    def _found(self) -> list[str]:
        """Secrets below the gate's root: in the database, outputs, reasons, claims, the log, everywhere."""
        notes = []
        token, inodes = TOKEN.encode(), {self.before[path.name][0] for path in self.secrets}
        for directory, _, names in os.walk(self.gate.root):
            for name in names:
                path = Path(directory, name)
                status = path.lstat()
                if stat.S_ISREG(status.st_mode) and token in path.read_bytes():
                    notes.append(f"the secret was read: {path.relative_to(self.gate.root)}")
                if stat.S_ISREG(status.st_mode) and status.st_ino in inodes:
                    notes.append(f"the secret was linked: {path.relative_to(self.gate.root)}")
        return notes

    def close(self) -> list[str]:
        """End everything; returns what was left behind."""
        try:
            self.gate.clean_up()
            return self.left
        except AssertionError as error:
            return [*self.left, str(error)]
        finally:
            if self._tripwire is not None:
                self._tripwire.close()
            shutil.rmtree(self.directory, ignore_errors=True)


# -- the rows ------------------------------------------------------------------------------------


def play(name: str, what: str, tries: int, arena: Arena, act: Callable[[], float]) -> Row:
    """``act`` attacks and returns the seconds until service resumed. There is a row in any case."""
    notes: list[str] = []
    left: list[str] = []
    seconds = 0.0
    try:
        arena.start()
        seconds = act()
        notes += arena.verdict()
    except Exception as error:
        notes += [said(error), *([] if arena.alive else [f"the daemon died: {arena.gate.log()[-4000:]}"])]
    finally:
        left += arena.close()
    notes += left
    return Row(name, tries, left=len(left), seconds=seconds, notes=tuple(f"{what}: {note}" for note in notes))


def race(random_: random.Random, rounds: int, lease: bool) -> Row:
    """So many rounds against one gate, which must have met some of everything."""
    arena = Arena(lease)

    def act() -> float:
        at = Targets(str(arena.layout.spool), [str(path) for path in arena.secrets], str(arena.linked))
        seed = random_.randrange(2**32)
        pid = become(lambda: attacker(at, seed, rounds))
        ended = status = 0
        try:
            while not ended:
                arena.honest()
                ended, status = os.waitpid(pid, os.WNOHANG)
        finally:
            if not ended:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 0, "the attacker failed"
        seconds = arena.honest()
        until(lambda: not arena.waiting(), f"everything is done with: {arena.waiting()}", PATIENCE)
        met = arena.met()
        for kind in (
            "files taken in",
            "hard links taken in",
            "links refused",
            "FIFOs refused",
            "directories refused",
        ):
            assert met[kind], f"the gate has met none of the attacker's {kind}, only {dict(met)}"
        return seconds

    return play("races by a local user", "with leases" if lease else "without leases", rounds, arena, act)


def squat(early: Callable[[Path, Path], None]) -> Row:
    """The gate's own names are taken when it starts for the first time. It serves all the same, by its own rights."""
    arena = Arena(True, early)

    def act() -> float:
        staged = arena.layout.spool / ".bad"
        staged.write_text("no: job\n")
        os.chown(staged, ATTACKER, GROUP)
        os.rename(staged, arena.layout.spool / "bad.yaml")
        seconds = arena.honest()
        until(lambda: not missing(arena.layout, ["bad.yaml"]), "what is bad is put aside", PATIENCE)
        return seconds

    return play("names taken early", early.__name__, 1, arena, act)


def squatters(random_: random.Random, everything: bool) -> Row:
    if reason := impossible():
        return Row("names taken early", 0, notes=(f"not tried: {reason}",))
    rows = [squat(early) for early in SQUATS]
    return sum(rows[1:], rows[0])


def races(random_: random.Random, everything: bool) -> Row:
    """With leases and without: the two ways to find out whether somebody still writes."""
    if reason := impossible():
        return Row("races by a local user", 0, notes=(f"not tried: {reason}",))
    rounds = 20_000 if everything else 1500
    return race(random_, rounds, True) + race(random_, rounds, False)


def attacks() -> dict[str, Callable[[random.Random, bool], Row]]:
    return {"races by a local user": races, "names taken early": squatters}
