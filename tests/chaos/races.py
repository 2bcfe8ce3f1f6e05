"""A local user who may write to the spool races the intake. Two real users: the gate runs as one that is not root,
with the spool as tmpfiles.d makes it; the other is a member of the group.

What must never happen: that something outside the spool is read, moved, changed or run with the service's rights.
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
from collections.abc import Callable
from pathlib import Path

from gate_env import OVER, REPOSITORY, GateEnv, until
from table import Row

SERVICE, ATTACKER, GROUP = 64101, 64102, 64103
"""Numbers suffice for the kernel: nobody has to be created."""
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
QUEUES = ("", "shared", "files", "lines")
CAP_LEASE = 28  # capabilities(7)
LEASE = ["--ambient-caps", "+lease", "--inh-caps", "+lease"]


def python() -> str | None:
    """An interpreter that has what the gate needs, where somebody who is not root can run it."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        command = [candidate, "-c", "import yaml, watchdog, sdnotify, sys; sys.exit(sys.version_info < (3, 11))"]
        try:
            done = subprocess.run(
                command, user=SERVICE, group=SERVICE, extra_groups=[], capture_output=True, check=False
            )
        except OSError:
            continue
        if done.returncode == 0:
            return candidate
    return None


class Arena:
    """A gate of the service's, a secret of the service's, and an attacker."""

    def __init__(self, lease: bool, early: Callable[[Path, Path], None] | None = None) -> None:
        """``early``: what the attacker does before the gate starts for the first time, with the spool and a place
        outside."""
        interpreter = python()
        assert interpreter is not None
        self.directory = Path(tempfile.mkdtemp(prefix="races-"))
        self.directory.chmod(0o711)
        self.gate = GateEnv(self.directory / "gate", CONFIG, interpreter)
        self.layout = self.gate.layout
        self.code = self.directory / "code"  # the checkout may lie where the service cannot look
        shutil.copytree(REPOSITORY / "taskgated", self.code / "taskgated")
        self.outside = self.directory / "outside"
        self.outside.mkdir(0o755)
        self.secrets = [self.outside / name for name in ("secret", "secret.tasks", "secret.yaml", "secret.sh")]
        for secret in self.secrets:  # whatever would read it would say so, or run it
            secret.write_text(f"#!/bin/sh\n# {TOKEN}\necho {TOKEN} >{self.outside}/ran\n")
            secret.chmod(0o600)
        self.spool()
        for path in (self.gate.root, self.outside, *self.secrets, self.layout.etc, self.layout.config_file):
            os.chown(path, SERVICE, SERVICE)
        self.before = self._snapshot()
        if early is not None:
            _, status = os.waitpid(become(lambda: early(self.layout.spool, self.outside)), 0)
            assert status == 0, "the attacker failed"
        try:
            self._start(lease)
        except AssertionError:
            self.close()
            raise

    def spool(self) -> None:
        """As ``systemd/taskgated.tmpfiles`` has it."""
        spool = self.layout.spool
        spool.mkdir()
        os.chown(spool, SERVICE, GROUP)
        acl = f"default:user::rwx,default:user:{SERVICE}:rwx,default:group::---,default:mask::rwx,default:other::---"
        subprocess.run(["setfacl", "-m", acl, str(spool)], check=True)
        spool.chmod(0o3730)

    def _start(self, lease: bool) -> None:
        ids = ["--reuid", str(SERVICE), "--regid", str(SERVICE), "--groups", str(GROUP)]
        command = ["setpriv", *ids, *(LEASE if lease else []), self.gate.python, "-m", "taskgated", "--root"]
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self.code), "PYTHONDONTWRITEBYTECODE": "1"}
        with open(self.gate.root / "daemon.log", "ab") as log:
            self.gate.process = subprocess.Popen([*command, str(self.gate.root)], stderr=log, env=env, cwd="/")
        until(
            lambda: self.gate.status()["ready"] or self.gate.process.poll() is not None, "the gate is ready", PATIENCE
        )
        status = Path(f"/proc/{self.gate.process.pid}/status").read_text()
        rights = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
        assert int(rights, 16) == lease << CAP_LEASE, f"the service has other rights than it should: {rights}"

    def _snapshot(self) -> dict[str, tuple[object, ...]]:
        """Everything outside the gate: what it is, whose, and what is in it."""
        found = {}
        for path in sorted(self.outside.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
            found[path.name] = (status.st_ino, status.st_mode, status.st_uid, status.st_nlink, content)
        return found

    def close(self) -> list[str]:
        """End everything; returns what was left behind."""
        try:
            self.gate.clean_up()
            return []
        except AssertionError as error:
            return [str(error)]
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def honest(self) -> float:
        """Somebody else's job runs, whatever is attempted; returns the seconds that took."""
        name = f"honest-{time.monotonic_ns()}"
        (self.directory / "honest").write_text(f"name: {name}\ncommand: 'true'\n")
        os.chown(self.directory / "honest", SERVICE, GROUP)
        dropped = time.monotonic()
        os.rename(self.directory / "honest", self.layout.spool / "shared" / f"{name}.yaml")

        def over() -> bool:
            job = self.gate.job(name)
            return job is not None and job["state"] in OVER

        until(over, f"{name} runs\n{self.gate.log()[-2000:]}", PATIENCE)
        return time.monotonic() - dropped

    def notes(self) -> list[str]:
        """What must not have happened, and did."""
        notes = []
        if self.gate.process is None or self.gate.process.poll() is not None:
            notes.append(f"the daemon died: {self.gate.log()[-2000:]}")
        if (after := self._snapshot()) != self.before:
            notes.append(f"outside the spool has changed: {after.keys() ^ self.before.keys() or 'a file'}")
        token = TOKEN.encode()
        for path in self.gate.root.rglob("*"):  # database, outputs, reasons, claims, the log: everything
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and token in path.read_bytes():
                notes.append(f"the secret was read: {path.relative_to(self.gate.root)}")
            if stat.S_ISREG(status.st_mode) and status.st_ino in {entry[0] for entry in self.before.values()}:
                notes.append(f"the secret was linked: {path.relative_to(self.gate.root)}")
        for path in (self.layout.rejected, self.layout.claims):
            if not stat.S_ISDIR(path.lstat().st_mode) or path.lstat().st_uid != SERVICE:
                notes.append(f"{path.name} was replaced")
        return notes


# -- the attacker --------------------------------------------------------------------------------


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


def swap(random_: random.Random, spool: str, secrets: list[str], n: int) -> None:
    """One name: first a good file, then at once something else, in any order."""
    ending = random_.choice((".yaml", ".tasks", ".sh", ""))
    path = f"{spool}/{random_.choice(QUEUES)}/r{n % 50}{ending}"
    good, bad = f"{spool}/.a{n}", f"{spool}/.b{n}"
    write(good, random_.choice(("command: 'true'\n", "true\n", "#!/bin/sh\ntrue\n")))
    secret = random_.choice(secrets)
    kind = random_.randrange(6)
    if kind < 3:
        os.symlink(
            random_.choice((secret, "../../outside/" + os.path.basename(secret), os.path.dirname(secret))), bad
        )
    elif kind == 3:
        attempt(os.link, secret, bad)
    elif kind == 4:
        os.mkfifo(bad, 0o666)
    else:
        os.mkdir(bad, 0o777)
    for _ in range(random_.randrange(1, 4)):
        attempt(os.rename, good, path)
        attempt(os.rename, bad, path)
        attempt(os.rename, path, good)
    for left in (good, bad, path):
        attempt(os.unlink, left)
        attempt(os.rmdir, left)


def queues(random_: random.Random, spool: str, secrets: list[str], n: int) -> None:
    """A queue directory becomes a link to where the secrets are, and back."""
    outside = os.path.dirname(secrets[0])
    queue = f"{spool}/q{n % 5}"
    attempt(os.mkdir, queue, 0o777)
    attempt(os.chmod, queue, 0o777)
    attempt(write, f"{queue}/x{n}.tasks", "true\n")
    attempt(os.symlink, secrets[1], f"{queue}/secret.tasks")
    attempt(os.symlink, outside, f"{spool}/.l{n}")
    attempt(os.rename, queue, f"{spool}/.q{n}")
    attempt(os.rename, f"{spool}/.l{n}", queue)
    attempt(os.unlink, queue)
    shutil.rmtree(f"{spool}/.q{n}", ignore_errors=True)


def private(random_: random.Random, spool: str, secrets: list[str], n: int) -> None:
    """The gate's own names, and names that lead elsewhere."""
    outside = os.path.dirname(secrets[0])
    for name in ("rejected", ".claims", "shared", ".canary", "lost+found"):
        attempt(os.rename, f"{spool}/{name}", f"{spool}/.mine{n}")
        attempt(os.rmdir, f"{spool}/{name}")
        attempt(os.unlink, f"{spool}/{name}")
        attempt(os.symlink, outside, f"{spool}/{name}")
        attempt(os.mkfifo, f"{spool}/{name}")
    attempt(os.symlink, outside, f"{spool}/rejected/r{n}.yaml")
    attempt(os.symlink, secrets[0], f"{spool}/rejected/.reason.tmp")
    attempt(os.symlink, secrets[0], f"{spool}/.claims/done.{n}")
    said = random_.choice(("queue: ../../outside", "queue: ..", "name: ../../x"))
    attempt(write, f"{spool}/x{n}.yaml", f"{said}\ncommand: 'true'\n")
    attempt(os.symlink, "..", f"{spool}/up{n % 3}")
    attempt(os.unlink, f"{spool}/up{n % 3}")


WAYS = (swap, queues, private)


def attacker(spool: str, secrets: list[str], seed: int, rounds: int) -> int:
    """The attacker's whole life; returns how often it tried."""
    random_ = random.Random(seed)
    for n in range(rounds):
        random_.choices(WAYS, (6, 2, 1))[0](random_, spool, secrets, n)
    return rounds


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


def race(random_: random.Random, rounds: int, lease: bool) -> Row:
    """So many rounds against one gate."""
    what = "with leases" if lease else "without leases"
    notes: list[str] = []
    seconds = 0.0
    arena = Arena(lease)
    try:
        secrets, seed = [str(path) for path in arena.secrets], random_.randrange(2**32)
        pid = become(lambda: attacker(str(arena.layout.spool), secrets, seed, rounds))
        ended = 0
        try:
            while not ended:
                arena.honest()
                ended, status = os.waitpid(pid, os.WNOHANG)
        finally:
            if not ended:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status) != 0:
            notes.append(f"{what}: the attacker failed")
        seconds = arena.honest()
        notes += [f"{what}: {note}" for note in arena.notes()]
    except AssertionError as error:
        notes.append(f"{what}: {error}")
    left = arena.close()
    return Row("races by a local user", rounds, left=len(left), seconds=seconds, notes=tuple(notes + left))


def squat_rejected(spool: Path, outside: Path) -> None:
    (spool / "rejected").symlink_to(outside)


def squat_claims(spool: Path, outside: Path) -> None:
    (spool / ".claims").mkdir(0o777)


def squat_canary(spool: Path, outside: Path) -> None:
    os.mkfifo(spool / ".canary")


def squat_canary_directory(spool: Path, outside: Path) -> None:
    (spool / ".canary" / "full").mkdir(parents=True)


SQUATS = (squat_rejected, squat_claims, squat_canary, squat_canary_directory)


def squat(early: Callable[[Path, Path], None]) -> Row:
    """The gate's own names are taken when it starts for the first time. It serves all the same, by its own rights."""
    notes: list[str] = []
    seconds = 0.0
    arena = None
    try:
        arena = Arena(True, early)
        staged = arena.layout.spool / ".bad"
        staged.write_text("no: job\n")
        os.chown(staged, ATTACKER, GROUP)
        os.rename(staged, arena.layout.spool / "bad.yaml")
        seconds = arena.honest()
        until((arena.layout.rejected / "bad.yaml").exists, "what is bad is put aside", PATIENCE)
        notes += arena.notes()
    except AssertionError as error:
        notes.append(str(error))
    left = arena.close() if arena else []
    return Row(
        "names taken early",
        1,
        left=len(left),
        seconds=seconds,
        notes=tuple(f"{early.__name__}: {note}" for note in notes),
    )


def squatters(random_: random.Random, everything: bool) -> Row:
    rows = [squat(early) for early in SQUATS]
    return sum(rows[1:], rows[0])


def races(random_: random.Random, everything: bool) -> Row:
    """With leases and without: the two ways to find out whether somebody still writes."""
    rounds = 20_000 if everything else 1500
    return race(random_, rounds, True) + race(random_, rounds, False)


def attacks() -> dict[str, Callable[[random.Random, bool], Row]]:
    """The row of the table; none where nobody can become somebody else."""
    possible = os.geteuid() == 0 and shutil.which("setpriv") and shutil.which("setfacl") and python()
    return {"races by a local user": races, "names taken early": squatters} if possible else {}


if __name__ == "__main__":
    print(races(random.Random(sys.argv[1] if len(sys.argv) > 1 else None), "--all" in sys.argv))
