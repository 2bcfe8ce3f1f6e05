"""The store's disk refuses to write for a while, or to open: what is known stays known, and nobody hangs.

A real daemon, whose SQLite says "disk is full" while a file is there.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.daemon import starting
from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]
HOOK = """\
import os, sqlite3, sys
if "taskgated" in sys.orig_argv:
    from taskgated.errors import DiskTrouble
    from taskgated.store.sqlite import database
    from taskgated.store.sqlite.store import SqliteStore as Store
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    def refusing(what, when, error):
        def call(*args, **keys):
            if os.path.exists(os.environ["REFUSE"] + when):
                raise error
            return what(*args, **keys)
        return call
    Store.commit = refusing(Store.commit, "", DiskTrouble(str(full)))
    database._set_up = refusing(database._set_up, ".open", full)
    import errno, pathlib
    make = pathlib.Path.mkdir
    def mkdir(path, *args, **keys):
        if os.path.exists(os.environ["REFUSE"] + ".mkdir"):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        make(path, *args, **keys)
    pathlib.Path.mkdir = mkdir
    open_ = os.open
    def opened(path, *args, **keys):
        if "/outcomes/" in str(path) and os.path.exists(os.environ["REFUSE"] + ".read"):
            raise OSError(errno.EIO, "Input/output error", str(path))
        return open_(path, *args, **keys)
    os.open = opened
    if "IMPATIENT" in os.environ:
        from taskgated.daemon import starting
        starting.PATIENCE = 2.0
"""


class Disk:
    """Refuses between ``refuse`` and ``accept``: what is to be committed, or with ``.open`` to be opened, or with
    ``.read`` to be read of the outcomes that were put down."""

    def __init__(self, directory: Path) -> None:
        (directory / "sitecustomize.py").write_text(HOOK)
        self._flag = directory / "refuse"
        self.env = {"PYTHONPATH": f"{directory}:{REPOSITORY}", "REFUSE": str(self._flag)}

    def refuse(self, when: str = "") -> None:
        self._flag.with_suffix(when).touch()

    def accept(self, when: str = "") -> None:
        self._flag.with_suffix(when).unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    directory = tmp_path / "hook"
    directory.mkdir()
    return Disk(directory)


def begin(gate: GateEnv, disk: Disk, status: int = 0, more: str = "") -> tuple[Path, Path]:
    """A job that runs until there is the first file that is returned, and leaves a line in the second each time."""
    gate.start(disk.env)
    go, runs = gate.scratch / "go", gate.scratch / "runs"
    command = f"echo $TASKGATE_ATTEMPT >>{runs}; until [ -e {go} ]; do sleep 0.05; done; exit {status}"
    gate.drop("a.yaml", f"name: a\ncommand: {json.dumps(command)}\n{more}")
    until(runs.exists, "the job runs")
    return go, runs


def put_down(gate: GateEnv, disk: Disk) -> tuple[int, Path, Path]:
    """The job has ended while there was no daemon: its worker, the outcome that it put down, and the job's lines."""
    go, runs = begin(gate, disk)
    worker = gate.status()["workers"][0]["pid"]
    gate.kill()
    go.touch()
    kept = until(lambda: list(gate.layout.outcomes.glob("*.json")), "the outcome is put down")[0]
    return worker, kept, runs


def trouble(gate: GateEnv) -> bool:
    return "disk is full" in " ".join(gate.status().get("problems", ()))


def test_who_waits_for_the_disk_is_told_so(make_gate: MakeGate, disk: Disk) -> None:
    """And not that nothing but its turn is missing, while workers are idle."""
    gate = make_gate("workers: 2\n", start=False)
    gate.start(disk.env)
    gate.drop(
        "a.yaml", "- {command: exit 1, retry: {attempts: 2, delay: 1s, jitter: 0}}\n- {command: 'true', delay: 2s}\n"
    )
    until(lambda: [job["attempt"] for job in gate.jobs()] == [1, 0], "the first attempt has begun")
    disk.refuse()
    until(lambda: trouble(gate), "the daemon says that it cannot write", 30)

    def waits_for() -> list[str]:
        return [reason["kind"] for id in (1, 2) for reason in gate.call("Show", id=id)["waits_for"]]

    until(lambda: "machine" in waits_for(), "it waits for the store")
    assert "order" not in waits_for()
    disk.accept()
    gate.until_over(2)


def test_an_outcome_is_the_workers_until_it_is_on_the_disk(make_gate: MakeGate, disk: Disk) -> None:
    """It has put it down, for the daemon was gone; the next one reads it, but cannot write it; then comes the worker,
    which must not throw away what is nowhere else."""
    gate = make_gate("workers: 1\n", start=False)
    worker, kept, runs = put_down(gate, disk)
    disk.refuse()
    gate.launch(disk.env)
    until(lambda: trouble(gate), "the daemon says that it cannot write")
    until(lambda: worker in [entry["pid"] for entry in gate.status()["workers"]], "the worker has come back")
    with pytest.raises(AssertionError, match="did not happen"):
        until(lambda: not kept.exists(), "it throws its outcome away", 2)
    gate.kill()
    disk.accept()
    gate.start(disk.env)
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert runs.read_text() == "1\n"
    until(lambda: not kept.exists(), "nobody needs it any more")


def test_an_outcome_that_cannot_be_read_is_not_taken_for_none(make_gate: MakeGate, disk: Disk) -> None:
    """Else the job would be called lost, and run again."""
    gate = make_gate("workers: 1\n", start=False)
    worker, _, runs = put_down(gate, disk)
    os.kill(worker, signal.SIGKILL)
    disk.refuse(".read")
    gate.start(disk.env)
    until(lambda: "cannot be read, trying again" in gate.log(), "the daemon says so")
    (job,) = gate.jobs()
    assert (job["state"], job["attempt"]) == ("running", 1)
    disk.accept(".read")
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert runs.read_text() == "1\n"
    assert gate.log().count("cannot be read, trying again") == 1


@pytest.mark.parametrize("signals", [1, 3])
def test_a_stop_does_not_wait_for_room(make_gate: MakeGate, disk: Disk, signals: int) -> None:
    gate = make_gate("workers: 1\n", start=False)
    go, runs = begin(gate, disk)
    disk.refuse()
    go.touch()
    until(lambda: trouble(gate), "the daemon says that it cannot write")
    for _ in range(signals):
        gate.signal(signal.SIGTERM)
        gate.status()  # signals that come together count once
    assert gate.wait(60) == 0
    assert "stopping all the same: the store cannot write" in gate.log()
    disk.accept()
    gate.start(disk.env)
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"]) == ("succeeded", 1)
    assert runs.read_text() == "1\n"


def test_a_cancel_that_was_accepted_is_not_undone_by_a_retry(make_gate: MakeGate, disk: Disk) -> None:
    """Both come while the disk refuses, so that neither knows of the other."""
    gate = make_gate("workers: 1\n", start=False)
    go, runs = begin(gate, disk, 1, "retry: {attempts: 5, delay: 0}\n")
    disk.refuse()
    asked = threading.Thread(target=gate.call, args=("Cancel",), kwargs={"id": 1})
    asked.start()
    until(lambda: trouble(gate), "the cancel waits for the disk")
    go.touch()
    until(lambda: gate.status()["workers"][0]["job"] is None, "the gate has heard of the end")
    disk.accept()
    asked.join(30)
    (job,) = gate.until_over(1)
    assert (job["state"], job["attempt"]) == ("cancelled", 1)
    assert runs.read_text() == "1\n"


WHEN = pytest.mark.parametrize(("when", "said"), [(".open", "disk is full"), (".mkdir", "No space left on device")])


@WHEN
def test_a_start_waits_for_room(make_gate: MakeGate, disk: Disk, when: str, said: str) -> None:
    """One that ended again and again would be given up by the service manager before there is room."""
    gate = make_gate("workers: 1\n", start=False)
    gate.layout.spool.mkdir()
    gate.drop("a.yaml", "command: 'true'\n")
    disk.refuse(when)
    gate.launch(disk.env)
    until(lambda: f"{said}; it is tried every second" in gate.log(), "it says what it waits for")
    disk.accept(when)
    (job,) = gate.until_over(1)
    assert job["state"] == "succeeded"
    assert gate.log().count("it is tried every second") == 1


@WHEN
def test_but_not_for_ever(make_gate: MakeGate, disk: Disk, when: str, said: str) -> None:
    """Whoever started it waits, too, as does the upgrade of a package; so it ends, and says why."""
    gate = make_gate("workers: 1\n", start=False)
    disk.refuse(when)
    gate.launch({**disk.env, "IMPATIENT": "yes"})
    assert gate.wait() == os.EX_IOERR
    assert f"{said}; given up after 2 s" in gate.log()


def test_a_full_disk_does_not_use_up_the_starts() -> None:
    """Each end comes so late that the manager never counts too many of them."""
    for unit in ("taskgated.service", "user/taskgated.service"):
        text = (REPOSITORY / "systemd" / unit).read_text()
        found = re.search(r"^StartLimitIntervalSec=(\d+)min\nStartLimitBurst=(\d+)$", text, re.MULTILINE)
        assert found
        assert int(found[2]) * starting.PATIENCE > int(found[1]) * 60


def test_who_waits_for_room_can_be_stopped(make_gate: MakeGate, disk: Disk) -> None:
    gate = make_gate("workers: 1\n", start=False)
    disk.refuse(".open")
    gate.launch(disk.env)
    until(lambda: "it is tried every second" in gate.log(), "it waits")
    gate.signal(signal.SIGTERM)
    assert gate.wait() == -signal.SIGTERM  # to systemd a clean exit (systemd.service(5), SuccessExitStatus=)
    assert not os.listdir(gate.layout.run)
