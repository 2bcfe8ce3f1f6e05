"""As whom the gate runs, and whose its directories are: what is wrong is said, with the command that mends it, and
nobody breaks a gate by typing the daemon's name."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.env.gate import GateEnv, python_for
from tests.env.until import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")

OWNER = 65534
NAME = pwd.getpwuid(OWNER).pw_name
OFTEN = {"NOTIFY_SOCKET": "@taskgated-nobody-listens", "WATCHDOG_USEC": "400000"}
"""Has the daemon look after itself some times a second."""
SYSTEM = """\
import os
from taskgated.host.paths import Layout
Layout.system = classmethod(lambda cls: Layout.under(os.environ["SYSTEM"]))
"""


class Theirs(GateEnv):
    """A gate that is another user's; root may do with it what root likes."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, "workers: 1\nrescan_interval: 1h\n", python_for(OWNER))
        if not self.python:
            pytest.skip("no Python here is for all users and has what the daemon needs")
        self.code = root / "code"
        shutil.copytree(REPOSITORY / "taskgated", self.code / "taskgated", ignore=shutil.ignore_patterns("*.pyc"))
        for path in (root, *root.rglob("*")):
            os.chown(path, OWNER, OWNER)

    def start(self, env: object = None) -> None:
        self.begin()
        self._until(lambda: self.status()["ready"], "the gate is ready")

    def begin(self) -> None:
        with open(self.root / "daemon.log", "ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "taskgated", "--root", str(self.root)],
                stderr=log, env={**os.environ, **OFTEN, "PYTHONPATH": str(self.code)},
                user=OWNER, group=OWNER, extra_groups=[],
            )  # fmt: skip

    def typed_by_root(self, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "taskgated", *(options or ("--root", str(self.root)))]
        env = {**os.environ, "PYTHONPATH": f"{self.code}:{REPOSITORY}", "SYSTEM": str(self.root)}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    def inside(self) -> dict[str, tuple[int, int]]:
        """Everything in spool, state and run: its number and its owner."""
        found = {}
        for top in (self.layout.spool, self.layout.state, self.layout.run):
            for path in (top, *top.rglob("*")):
                if not path.name.startswith("jobs.sqlite"):
                    found[str(path)] = (path.lstat().st_ino, path.lstat().st_uid)
        return found

    def refuses(self, name: str) -> None:
        self.drop(name, "comand: x\n")
        os.chown(self.layout.spool / name, OWNER, OWNER)

    def until_refused(self, name: str) -> None:
        until((self.layout.rejected / f"{name}.reason").exists, f"{name} is refused; {self.log()}")

    def problem(self, text: str) -> str:
        """The status says so, and that it is not ready."""

        def said() -> str:
            status = self.status()
            return "" if status["ready"] else next((p for p in status.get("problems", ()) if text in p), "")

        return until(said, f"{text!r} is said; last: {self.status()}")


@pytest.fixture
def theirs() -> Iterator[Theirs]:
    """Not below pytest's directory, which each of its runs shuts to others again."""
    directory = Path(tempfile.mkdtemp(prefix="theirs-"))
    try:
        directory.chmod(0o711)
        gate = Theirs(directory / "gate")
        yield gate
        gate.clean_up()
    finally:
        shutil.rmtree(directory)


def test_root_types_the_name_of_the_daemon_while_it_runs(theirs: Theirs) -> None:
    theirs.start()
    before = theirs.inside()
    done = theirs.typed_by_root()
    assert done.returncode == os.EX_NOPERM
    assert f"belongs to {NAME}" in done.stderr
    assert f"runuser -u {NAME} -- taskgated" in done.stderr
    assert theirs.inside() == before
    theirs.refuses("bad.yaml")
    theirs.until_refused("bad.yaml")
    assert theirs.status()["ready"]


def test_a_second_daemon_of_the_same_user_touches_nothing(make_gate: Callable[..., GateEnv]) -> None:
    """Root's own: whatever is somebody else's in the spool of the first is not the second's to clear away."""
    gate = make_gate()
    os.chown(gate.layout.claims, OWNER, OWNER)
    first, before = gate.process, gate.layout.claims.stat().st_ino
    gate.launch().wait(60)
    gate.process = first
    assert "another taskgated" in gate.log()
    assert gate.layout.claims.stat().st_ino == before


def test_root_types_it_while_the_gate_is_stopped(theirs: Theirs) -> None:
    theirs.start()
    theirs.stop()
    theirs.drop("a.yaml", "name: a\ncommand: id -u\n")
    before = theirs.inside()
    assert theirs.typed_by_root().returncode == os.EX_NOPERM
    assert theirs.inside() == before
    theirs.start()
    (job,) = theirs.until_over(1)
    assert theirs.ctl("logs", str(job["id"])).stdout == b"%d\n" % OWNER


@pytest.mark.parametrize("installed", [True, False])
def test_root_does_not_run_the_gate_of_the_host(theirs: Theirs, installed: bool) -> None:
    (theirs.code / "sitecustomize.py").write_text(SYSTEM)
    if installed:
        theirs.layout.state.mkdir()
        os.chown(theirs.layout.state, OWNER, OWNER)
    before = sorted(theirs.root.rglob("*"))
    done = theirs.typed_by_root("--config", str(theirs.layout.config_file))
    assert done.returncode == os.EX_NOPERM
    user = NAME if installed else "taskgate"
    assert "systemctl start taskgated" in done.stderr
    assert f"runuser -u {user} -- taskgated" in done.stderr
    assert [path for path in sorted(theirs.root.rglob("*")) if "__pycache__" not in str(path)] == before


@pytest.mark.parametrize("name", ["rejected", ".claims", "spool"])
def test_a_directory_changes_hands_while_it_runs(theirs: Theirs, name: str) -> None:
    theirs.start()
    path = theirs.layout.spool / name if name != "spool" else theirs.layout.spool
    theirs.refuses("first.yaml")
    theirs.until_refused("first.yaml")
    os.chown(path, 0, 0)
    command = theirs.problem(f"chown {NAME}").rpartition(": ")[2]
    until(lambda: theirs.log().count(f"{path} belongs to root") == 1, "the log says so, once")
    theirs.refuses("second.yaml")
    if name == "rejected":
        until(lambda: "cannot be moved to" in theirs.log(), "it is stuck, as a claim")
    subprocess.run(command, shell=True, check=True)
    theirs.until_refused("second.yaml")
    until(lambda: theirs.status()["ready"], "it is ready again")
    assert (path.stat().st_uid, theirs.layout.rejected.stat().st_gid) == (OWNER, OWNER)


def claim_of_root(gate: Theirs) -> Path:
    """A claim that somebody's daemon, as root, has left; the file in it is a third user's."""
    claim = gate.layout.claims / "0000000000000001-00000000.default"
    claim.mkdir(0o700)
    (claim / "a.yaml").write_text("name: left\ncommand: 'true'\n")
    (claim / "a.yaml").chmod(0o644)
    os.chown(claim / "a.yaml", 12345, 12345)
    os.chown(gate.layout.claims, 0, 0)
    return claim


def test_claims_of_root_at_the_start(theirs: Theirs) -> None:
    """It says what to type, and a restart alone is not tried; what was typed makes it go on with what was left."""
    theirs.start()
    theirs.stop()
    claim_of_root(theirs)
    theirs.begin()
    assert theirs.wait() == os.EX_NOPERM
    said = theirs.log().splitlines()[-1]
    assert "belongs to root" in said
    subprocess.run(said.rpartition(": ")[2], shell=True, check=True)
    theirs.start()
    (job,) = theirs.until_over(1)
    assert (job["name"], job["owner"]) == ("left", 12345), "the file has stayed whose it was"


def test_what_root_left_empty_is_no_obstacle(theirs: Theirs) -> None:
    """As a daemon of an earlier version did that root had typed."""
    theirs.start()
    theirs.stop()
    for path in (theirs.layout.claims, theirs.layout.rejected, theirs.layout.failed):
        shutil.rmtree(path)
        path.mkdir(0o700)
    theirs.start()
    theirs.refuses("bad.yaml")
    theirs.until_refused("bad.yaml")


def test_a_queue_that_root_has_made(theirs: Theirs) -> None:
    theirs.layout.config_file.write_text("workers: 1\nqueues: {etl: {}}\n")
    theirs.start()
    queue = theirs.layout.spool / "etl"
    queue.rmdir()
    queue.mkdir(0o755)
    command = theirs.problem(str(queue)).rpartition(": ")[2]
    assert command == f"chown {NAME} {queue}"
    subprocess.run(command, shell=True, check=True)
    until(lambda: theirs.status()["ready"], "it is ready again")


class TestCheck:
    """``taskgated --check`` by root: for the daemon's user, on the layout of the host."""

    @pytest.fixture
    def system(self, theirs: Theirs) -> Theirs:
        (theirs.code / "sitecustomize.py").write_text(SYSTEM)
        theirs.layout.state.mkdir()
        os.chown(theirs.layout.state, OWNER, OWNER)
        theirs.layout.config_drop_ins.mkdir()
        (theirs.layout.config_drop_ins / "a.yaml").write_text("workers: 2\n")
        return theirs

    @pytest.mark.parametrize("which", ["etc", "etc/taskgated.yaml", "etc/conf.d", "etc/conf.d/a.yaml"])
    def test_what_only_root_may_read(self, system: Theirs, which: str) -> None:
        assert system.typed_by_root("--check").stdout == "the configuration is fine\n"
        path = system.root / which
        os.chown(path, 0, 0)
        path.chmod(0o700 if path.is_dir() else 0o600)
        done = system.typed_by_root("--check")
        assert done.returncode == os.EX_CONFIG
        assert f"the user {NAME} must be able to" in done.stderr
        command = done.stderr.splitlines()[-1].rpartition("able to: ")[2].rstrip(")")
        subprocess.run(command, shell=True, check=True)
        assert system.typed_by_root("--check").returncode == 0

    def test_a_draft_is_its_writers(self, system: Theirs, tmp_path: Path) -> None:
        draft = tmp_path / "draft"
        draft.write_text("workers: 3\n")
        draft.chmod(0o600)
        assert system.typed_by_root("--check", "--config", str(draft)).returncode == 0

    def test_a_job_file_that_the_daemon_could_not_read(self, system: Theirs) -> None:
        """It is good, but not as it lies there; what is said of it makes it so."""
        file = system.root / "report.yaml"
        file.write_text("command: id\n")
        file.chmod(0o640)
        command = [sys.executable, "-m", "taskgated.ctl", "check", "--json", str(file)]
        env = {**os.environ, "PYTHONPATH": str(system.code), "SYSTEM": str(system.root)}

        def notes() -> list[str]:
            done = subprocess.run(command, env=env, capture_output=True, timeout=60, check=True)
            (found,) = json.loads(done.stdout)
            assert found["ok"]
            return list(found["notes"])

        (note,) = notes()
        assert f"its mode is 0640, and the user {NAME} must read it" in note
        assert f"setfacl -m u:{NAME}:r FILE" in note
        subprocess.run(["setfacl", "-m", f"u:{NAME}:r", str(file)], check=True)
        assert notes() == []

    def test_nothing_is_made(self, theirs: Theirs) -> None:
        before = sorted(theirs.root.rglob("*"))
        assert theirs.typed_by_root("--check", "--root", str(theirs.root)).returncode == 0
        for command in (["status"], ["list"], ["check", str(theirs.layout.config_file)]):
            theirs.ctl(*command)
        assert sorted(theirs.root.rglob("*")) == before


def test_a_gate_of_roots_own(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate()
    gate.drop("a.yaml", "command: id -u\n")
    (job,) = gate.until_over(1)
    assert json.loads(gate.ctl("--json", "show", str(job["id"])).stdout)["job"]["state"] == "succeeded"
