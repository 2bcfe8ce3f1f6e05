"""Jobs under the packaged unit: files and terminals of their own, what they leave behind, what they hear before they
are ended, what becomes of the file of one that failed; and a host that has no watch left."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import REPOSITORY
from tests.env.until import until
from tests.system.gate import RECORD, SPOOL, Gate
from tests.system.machine import UNIT, Machine

MAN = REPOSITORY / "packaging" / "man" / "taskgated.8"
STRICT = "/usr/share/doc/taskgated/examples/taskgated.service.d/strict.conf"


def shown(what: str) -> str:
    """What taskgated(8) says to type."""
    (found,) = re.findall(rf'^\.\\" {what}\n(.*?)^\.\\" END {what}$', MAN.read_text(), re.MULTILINE | re.DOTALL)
    return found.replace("\\-", "-")


def logs(gate: Gate, name: str, *states: str) -> str:
    """What a job wrote that ends so."""
    return gate.ctl("logs", str(gate.until_state(name, *states or ("succeeded",))["id"])).stdout


def from_file(gate: Gate, source: str, state: str) -> dict[str, Any]:
    def there() -> dict[str, Any]:
        return next((job for job in gate.jobs() if (job["source"], job["state"]) == (source, state)), {})

    return until(there, f"the job of {source} has {state}")


def test_the_file_of_a_job_that_failed_is_its_owners(gate: Gate) -> None:
    """And what its reason says to do can be done."""
    gate.configure('queues: {pictures: {handler: {command: [/bin/false, "{file}"]}}}\n')
    gate.drop("a.png", "x", user="alice", queue="pictures")
    kept = f"{SPOOL}/failed/{from_file(gate, 'a.png', 'failed')['id']}"
    reason = until(lambda: gate.machine.read(f"{kept}/a.png.reason", "alice"), "the reason is there")
    assert "failed, exit code 1" in reason and "copy the file into the queue" in reason
    assert gate.machine.read(f"{kept}/a.png", "alice") == "x"
    for path in (f"{kept}/a.png", f"{kept}/a.png.reason"):
        assert "Permission denied" in gate.machine.run("cat", path, user="bob", check=False)
        assert "Permission denied" in gate.machine.run("rm", "-f", path, user="alice", check=False)
    gate.machine.sh(f"cat {kept}/a.png >{SPOOL}/pictures/again.png", user="alice")
    from_file(gate, "again.png", "failed")


def test_a_script_for_slurm_is_read_as_it_is_installed(gate: Gate) -> None:
    conffile = gate.machine.run("cat", "/etc/taskgate/taskgated.yaml")
    assert "\nforeign_directives: [slurm, pbs]\n" in conffile
    text = f"#!/bin/sh\n#SBATCH --job-name=align\n#SBATCH --output={RECORD}/align-%j.out\necho $SLURM_JOB_ID\n"
    gate.drop("align.slurm", text, user="alice")
    job = gate.until_state("align", "succeeded")
    assert gate.machine.read(f"{RECORD}/align-{job['id']}.out") == str(job["id"])


# -- files of one's own ----------------------------------------------------------------------------


def written(gate: Gate, **paths: str) -> dict[str, str]:
    """Of jobs by name, each with the path of its output: what kept it from writing there; empty if nothing did."""
    for name, path in paths.items():
        gate.drop(f"{name}.yaml", f"name: {name}\ncommand: echo out\nstdout: {path}\n", user="alice")
    return {name: _kept(gate, gate.until_state(name, "succeeded", "failed"), path) for name, path in paths.items()}


def _kept(gate: Gate, job: dict[str, Any], path: str) -> str:
    if job["state"] == "succeeded":
        assert gate.machine.read(path) == "out"
        gate.machine.run("rm", path)
        return ""
    found = re.search(r"stdout '.*?': ([\w -]+)", gate.ctl("show", str(job["id"])).stdout)
    assert found
    return found[1]


@pytest.fixture
def results(gate: Gate) -> Iterator[Gate]:
    """With what the manual makes for jobs to write to."""
    gate.machine.sh(shown("GIVE"))
    yield gate
    gate.machine.sh("rm -r /srv/results; setfacl -b /home/alice; rm -r /home/alice/results")


def test_where_a_job_may_write(results: Gate) -> None:
    """As the manual says."""
    paths = {
        "tmp": "/tmp/out",
        "home": "/var/lib/taskgate/home/out",
        "results": "/srv/results/out",
        "alice": "/home/alice/results/out",
        "usr": "/usr/local/out",
        "bob": "/home/bob/out",
    }
    assert written(results, **paths) == {
        **dict.fromkeys(("tmp", "home", "results", "alice"), ""),
        "usr": "Read-only file system",
        "bob": "Permission denied",
    }


def test_a_strict_unit_lets_jobs_write_where_a_drop_in_says(results: Gate) -> None:
    """And what the gate makes below its spool it can make there, too; jobs have their terminals."""
    gate, machine = results, results.machine
    gate.configure("queues: {fresh: {}}\n", reload=False)
    machine.run("systemctl", "stop", UNIT)
    machine.run("rm", "-r", f"{SPOOL}/failed", f"{SPOOL}/rejected")
    with machine.drop_in(machine.run("cat", STRICT).partition("[Service]")[2], "strict"):
        machine.run("systemctl", "start", UNIT)
        gate.make_ready()
        modes = machine.run("stat", "-c", "%a %G", *(f"{SPOOL}/{name}" for name in ("failed", "rejected", "fresh")))
        assert modes.splitlines() == ["2750 taskgate", "2750 taskgate", "3730 taskgate"]
        kept = written(gate, closed="/srv/results/out", hidden="/home/alice/results/out")
        assert kept == {"closed": "Read-only file system", "hidden": "Permission denied"}
        terminal(gate, "strictly")
        machine.write(f"/etc/systemd/system/{UNIT}.d/paths.conf", shown("OPEN"))
        machine.sh(f"systemctl daemon-reload; systemctl restart {UNIT}")
        gate.make_ready()
        assert written(gate, opened="/srv/results/out") == {"opened": ""}
        machine.run("rm", f"/etc/systemd/system/{UNIT}.d/paths.conf")
    machine.run("systemctl", "restart", UNIT)


# -- terminals, what is left behind, and warnings ------------------------------------------------------


def terminal(gate: Gate, name: str) -> None:
    command = "exec </dev/tty; tty; stty size; test -t 2 && echo $TERM"
    gate.drop(f"{name}.yaml", f"name: {name}\ntty: true\ncommand: {command}\n", user="alice")
    out = logs(gate, name)
    assert re.match(r"/dev/(tty|pts/\d+)\n24 80\nxterm-256color\n$", out), out


def test_a_job_has_a_terminal(gate: Gate) -> None:
    terminal(gate, "terminal")


def test_what_a_job_leaves_behind_may_finish_and_is_told(gate: Gate) -> None:
    left = '(sleep 0.3; echo filtered) & (trap "echo told; exit" TERM; while :; do sleep 0.1; done) & echo main'
    gate.drop("left.yaml", f"name: left\nlinger: 1s\ncommand: '{left}'\n")
    assert [line for line in logs(gate, "left").split() if line != "Terminated"] == ["main", "filtered", "told"]
    assert "ended" in gate.ctl("show", str(gate.job("left")["id"])).stdout
    assert gate.machine.run("pgrep", "-u", "taskgate", "sleep", check=False) == ""


def test_a_stop_of_the_service_warns(gate: Gate) -> None:
    save = f'trap "echo saved >>{RECORD}/warned; exit 3" USR1; echo begun >{RECORD}/warned; sleep 600 & wait'
    gate.drop("warned.yaml", f"name: warned\ncommand: '{save}'\nwarn: {{before: 1s}}\n")
    until(lambda: gate.machine.read(f"{RECORD}/warned") == "begun", "it has begun")
    gate.machine.run("systemctl", "stop", UNIT)
    assert gate.machine.show("ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}
    assert gate.machine.read(f"{RECORD}/warned") == "begun\nsaved"


# -- watches -------------------------------------------------------------------------------------------


def on_the_host(machine: Machine, pid: int) -> int:
    """The pid on the host of a process of the container's systemd."""
    for child in Path(f"/proc/{machine.pid}/task/{machine.pid}/children").read_text().split():
        if re.search(rf"^NSpid:.*\s{pid}$", Path(f"/proc/{child}/status").read_text(), re.MULTILINE):
            return int(child)
    raise AssertionError(f"systemd has no child {pid}")


@contextmanager
def without_watches(gate: Gate) -> Iterator[None]:
    """The service in a user namespace of its own, which has no inotify instance (namespaces(7))."""
    machine = gate.machine
    wait = (
        "import os, sys, time\nwhile sys.orig_argv[-1].endswith('/taskgated') and not os.path.exists('/opt/less/go'):"
    )
    machine.write("/opt/less/sitecustomize.py", f"{wait}\n    time.sleep(0.05)\n")
    with machine.drop_in("PrivateUsers=yes\nEnvironment=PYTHONPATH=/opt/less"):
        machine.run("systemctl", "restart", "--no-block", UNIT)
        until(lambda: machine.property("SubState") == "start", "another than before has begun")
        pid = on_the_host(machine, int(machine.property("MainPID")))
        own = os.readlink("/proc/self/ns/user")
        until(lambda: os.readlink(f"/proc/{pid}/ns/user") != own, "it has a namespace of its own")
        limit = "echo 0 >/proc/sys/user/max_inotify_instances"  # by the host, whose /proc/sys can be written
        try:
            subprocess.run(["nsenter", "--user", "--target", str(pid), "sh", "-c", limit], check=True)
        finally:
            machine.write("/opt/less/go", "")
        yield
    machine.run("systemctl", "restart", UNIT)
    machine.run("rm", "-r", "/opt/less")


def test_without_watches_the_service_is_active_and_degraded(gate: Gate) -> None:
    machine = gate.machine
    with without_watches(gate):
        until(gate.active, "it is active")
        until(lambda: "; degraded: the spool" in machine.property("StatusText"), "its status says so")
        status = machine.run("systemctl", "status", "--no-pager", "--full", UNIT)
        assert re.search(r"Active: active \(running\)", status)
        assert re.search(r"Status: \".*degraded: the spool.*fs\.inotify\.max_user_instances", status)
        assert machine.property("NRestarts") == "0"
