"""A Debian container with real systemd as PID 1: built once and cached, copied for each use, booted in seconds.

Needs root, debootstrap and systemd-nspawn. Everything that is said of the inside is asked of systemd and the
journal there, by their own commands, run in the container's namespaces.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.env.until import until

SUITES = ("bookworm", "trixie")
CACHE = Path(os.environ.get("TASKGATED_LAB", "~/.cache/taskgated-lab")).expanduser()
PACKAGES = (
    "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,python3,python3-yaml,python3-watchdog,python3-sdnotify,"
    "procps,man-db,acl,cron,sudo,rsync,openssh-client,openssh-sftp-server,python3-venv,pipx"
)
UNIT = "taskgated.service"


def mirror() -> str:
    """Where this machine has its own Debian packages from (sources.list(5))."""
    for path in [*Path("/etc/apt/sources.list.d").glob("*.sources"), Path("/etc/apt/sources.list")]:
        text = path.read_text() if path.exists() else ""
        for pattern in (r"^URIs:\s*(\S*/debian/?)\s*$", r"^deb\s+(?:\[.*\]\s+)?(\S*/debian/?)\s"):
            if found := re.search(pattern, text, re.MULTILINE):
                return found[1]
    raise AssertionError("no Debian mirror in this machine's APT sources")


def base(suite: str) -> Path:
    """The root of a minimal system with systemd, built when it is not in the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    key = f"{abs(hash_of(PACKAGES)):x}"
    root = CACHE / f"{suite}-{key}"
    with open(CACHE / f"{suite}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            fresh = CACHE / f"{suite}-{key}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(fresh), mirror()]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            assert done.returncode == 0, done.stdout[-4000:]
            # Units that have no business in a container without hardware, and would only fail there.
            (fresh / "etc" / "hostname").write_text("gate\n")
            (fresh / "etc" / "machine-id").write_text("")
            fresh.rename(root)
    return root


def hash_of(text: str) -> int:
    value = 0
    for byte in text.encode():
        value = (value * 31 + byte) % 2**32
    return value


def _emptied(group: str) -> bool:
    """Kill what is in a control group; whether it is gone, with all below it. Who was killed leaves in a moment."""
    try:
        for directory, _, _ in os.walk(group, topdown=False):
            for pid in Path(directory, "cgroup.procs").read_text().split():
                if pid != "0":  # whom we cannot see
                    os.kill(int(pid), signal.SIGKILL)
            os.rmdir(directory)
    except OSError:
        return False
    return True


class Machine:
    """One container. ``boot`` before anything else; ``close`` leaves nothing behind."""

    def __init__(self, suite: str, directory: Path) -> None:
        self.suite = suite
        self.name = f"taskgated-lab-{suite}-{os.getpid()}"
        self.root = directory / "root"
        self._console = directory / "console"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.pid = 0

    # -- life ------------------------------------------------------------------------------------

    def boot(self) -> None:
        """It ends with this process, however that ends."""
        self.pid = 0
        if not self.root.exists():
            subprocess.run(["cp", "-a", "--reflink=auto", str(base(self.suite)), str(self.root)], check=True)
        alone = 'for group in $0; do echo $$ >"$group/cgroup.procs"; done; exec setpriv --pdeathsig KILL "$@"'
        command = [
            "systemd-nspawn", "--quiet", f"--machine={self.name}", "-D", str(self.root), "--boot", "--register=no",
            "--keep-unit", "--console=pipe",
        ]  # fmt: skip
        with open(self._console, "ab") as console:
            self._nspawn = subprocess.Popen(
                ["/bin/sh", "-c", alone, " ".join(self._groups()), *command],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
            )
        self._until_up()

    def _groups(self) -> list[str]:
        """Control groups for this container alone: nspawn makes its own below the one it is started in, always by
        the same name, and two containers must not share it. One for each hierarchy that systemd uses."""
        made = []
        for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"):
            if os.path.exists(f"{top}/cgroup.procs"):
                made.append(f"{top}/{self.name}")
                os.makedirs(made[-1], exist_ok=True)
        return made

    def _until_up(self) -> None:
        def first() -> int:
            assert self._nspawn is not None
            assert self._nspawn.poll() is None, self.console()
            path = f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children"
            for child in Path(path).read_text().split():
                try:
                    name = Path(f"/proc/{child}/comm").read_text().strip()
                except OSError:
                    continue
                if name == "systemd":
                    return int(child)
            return 0

        self.pid = until(first, "the container's PID 1 runs")
        until(lambda: self.run("systemctl", "is-system-running", check=False) in ("running", "degraded"), "it is up")

    def reboot(self) -> None:
        """As an administrator does it. With ``--keep-unit`` nspawn exits with 133 and wants to be started again."""
        assert self._nspawn is not None
        self.run("systemctl", "reboot", check=False)
        assert self._nspawn.wait(120) == 133, self.console()
        self.boot()

    def close(self) -> None:
        """Also when it was not booted, or its boot failed half-way, or it does not hear any more."""
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.root, ignore_errors=True)
            stack.callback(self._end_all)
            self._power_off()

    def _end_all(self) -> None:
        groups = self._groups()
        until(lambda: not [group for group in groups if not _emptied(group)], f"nothing is left in {groups}", 30)

    def _power_off(self) -> None:
        nspawn = self._nspawn
        if nspawn is None or nspawn.poll() is not None:
            return
        try:
            if self.pid:
                self.run("systemctl", "poweroff", check=False)
                nspawn.wait(60)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if nspawn.poll() is None:  # what is in the container outlives it, and goes with its control groups
                os.killpg(nspawn.pid, signal.SIGKILL)
                nspawn.wait()

    def console(self) -> str:
        return self._console.read_text(errors="replace")[-3000:] if self._console.exists() else ""

    # -- commands inside -------------------------------------------------------------------------

    def enter(self, *command: str) -> list[str]:
        """The command line that runs ``command`` inside, as root."""
        return ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", *command]

    def try_(self, *command: str, user: str = "root", input: str = "") -> subprocess.CompletedProcess[str]:
        """Run it as that user, with a login's groups; both outputs together."""
        inside: Sequence[str] = command
        if user != "root":
            inside = ("runuser", "-u", user, "--", *command)
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/root", "TERM": "dumb"}
        return subprocess.run(
            self.enter(*inside), input=input, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env=env, timeout=300, check=False, cwd="/",
        )  # fmt: skip

    def run(self, *command: str, user: str = "root", check: bool = True, input: str = "") -> str:
        """Its output without the last line's end. With ``check`` it must succeed."""
        done = self.try_(*command, user=user, input=input)
        assert not check or done.returncode == 0, f"{command} as {user}: status {done.returncode}\n{done.stdout}"
        return done.stdout.rstrip("\n")

    def sh(self, script: str, user: str = "root", check: bool = True) -> str:
        return self.run("/bin/sh", "-c", script, user=user, check=check)

    def read(self, path: str, user: str = "root") -> str:
        """What is in a file; empty when that user cannot read it, be it that it is not there yet."""
        done = self.try_("cat", path, user=user)
        return "" if done.returncode else done.stdout.rstrip("\n")

    def write(self, path: str, text: str) -> None:
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    # -- what systemd says -----------------------------------------------------------------------

    def show(self, *properties: str, unit: str = UNIT) -> dict[str, str]:
        lines = self.run("systemctl", "show", unit, *(f"-p{name}" for name in properties)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def property(self, name: str, unit: str = UNIT) -> str:
        return self.show(name, unit=unit)[name]

    def version(self) -> int:
        return int(self.run("systemctl", "--version").split()[1])

    def journal(self, *matches: str, since: str = "") -> list[dict[str, Any]]:
        """Entries, oldest first, with all their fields. ``since``: what ``now`` said."""
        after = ["--since", since] if since else []
        self.run("journalctl", "--sync")
        out = self.run("journalctl", "-o", "json", "--all", "--no-pager", "-q", *after, *matches, check=False)
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def messages(self, *matches: str, since: str = "") -> list[str]:
        return [str(entry.get("MESSAGE", "")) for entry in self.journal(*matches, since=since)]

    def now(self) -> str:
        """This moment, for ``since``. (A cursor will not do: with matches, journalctl 252 skips the next entry.)"""
        self.run("journalctl", "--sync")
        return f"@{time.time():.6f}"

    @contextmanager
    def drop_in(self, text: str, name: str = "test") -> Iterator[None]:
        """The service with a drop-in more; it is for the caller to restart it."""
        path = f"/etc/systemd/system/{UNIT}.d/{name}.conf"
        self.write(path, f"[Service]\n{text}\n")
        self.run("systemctl", "daemon-reload")
        try:
            yield
        finally:
            (self.root / path.lstrip("/")).unlink()
            (self.root / path.lstrip("/")).parent.rmdir()
            self.run("systemctl", "daemon-reload")
