"""What breaks, or is stopped: proved by what systemd, the journal and the jobs' own record say."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gate import Gate
from machine import UNIT, until


def test_reload_with_a_good_configuration(gate: Gate) -> None:
    since, pid = gate.machine.now(), gate.daemon()
    gate.configure("workers: 3\n")
    until(lambda: len(gate.status()["workers"]) == 3, "there are three workers")
    assert "configuration reloaded" in gate.machine.messages("-u", UNIT, since=since)
    assert gate.daemon() == pid


def test_reload_with_a_bad_configuration(gate: Gate) -> None:
    """``systemctl reload`` fails and says what is wrong; the old configuration stays in force."""
    pid = gate.daemon()
    gate.configure("wurkers: 5\n", reload=False)
    since = gate.machine.now()
    assert gate.machine.try_("systemctl", "reload", UNIT).returncode != 0
    text = "\n".join(gate.machine.messages("-u", UNIT, "-p", "err", since=since))
    assert "unknown key 'wurkers' (did you mean 'workers'?)" in text
    assert (gate.active(), gate.daemon()) == (True, pid)
    assert "not usable" in gate.machine.property("StatusText")
    gate.drop("still.yaml", "name: still\ncommand: 'true'\n")
    gate.until_state("still", "succeeded")


def test_a_bad_configuration_at_the_start(gate: Gate) -> None:
    """A clear message, an exit status of its own, and no loop of restarts."""
    gate.configure("wurkers: 5\n", reload=False)
    since = gate.machine.now()
    assert gate.machine.try_("systemctl", "restart", UNIT).returncode != 0
    shown = gate.machine.show("ActiveState", "Result", "ExecMainStatus", "NRestarts")
    assert shown == {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "78", "NRestarts": "0"}
    text = "\n".join(gate.machine.messages("-u", UNIT, since=since))
    assert "b-test.yaml:1:1: unknown key 'wurkers' (did you mean 'workers'?)" in text
    gate.configure("", reload=False)


def test_what_fails_again_and_again_is_left_alone(gate: Gate) -> None:
    machine = gate.machine
    steps = "RestartSteps=0\n" if machine.version() >= 254 else ""
    with machine.drop_in(f"RestartSec=50ms\n{steps}Environment=PYTHONPATH=/opt/broken"):
        machine.write("/opt/broken/watchdog/__init__.py", "raise ImportError('not today')\n")
        machine.run("systemctl", "restart", UNIT, check=False)
        until(lambda: machine.property("ActiveState") == "failed", "systemd gives up")
        assert machine.property("NRestarts") in ("9", "10")
    machine.run("systemctl", "reset-failed", UNIT)


def test_a_killed_worker_is_replaced_and_its_job_runs_again(gate: Gate) -> None:
    gate.drop("k.yaml", gate.recorded("kw", 3))
    job = gate.until_state("kw", "running")
    worker = gate.worker_of(job)
    gate.machine.run("kill", "-9", str(worker))
    job = gate.until_state("kw", "succeeded")
    assert job["attempt"] == 2
    assert gate.record("kw") == ["start 1", "start 2", "end"]
    assert worker not in {entry["pid"] for entry in gate.status()["workers"]}
    assert gate.machine.property("NRestarts") == "0"


def test_a_killed_worker_server_is_replaced_and_jobs_go_on(gate: Gate) -> None:
    gate.drop("k.yaml", gate.recorded("ks", 3))
    gate.until_state("ks", "running")
    server = gate.server()
    gate.machine.run("kill", "-9", str(server))
    assert gate.until_state("ks", "succeeded")["attempt"] == 1
    assert gate.record("ks") == ["start 1", "end"]
    until(lambda: gate.server() not in (0, server), "there is another server")


def test_a_killed_daemon_is_restarted_and_jobs_go_on(gate: Gate) -> None:
    """Nothing lost, nothing twice: what runs goes on, what waits runs, and what comes meanwhile is taken in."""
    pid = gate.daemon()
    for number in range(2):
        gate.drop(f"r{number}.yaml", gate.recorded(f"kd{number}", 5))
        gate.until_state(f"kd{number}", "running")
    for number in range(2, 6):
        gate.drop(f"r{number}.yaml", gate.recorded(f"kd{number}", 0.1))
    gate.until_state("kd5", "queued")
    gate.machine.run("kill", "-9", str(pid))
    gate.drop("r6.yaml", gate.recorded("kd6", 0.1))
    for number in range(7):
        assert gate.until_state(f"kd{number}", "succeeded")["attempt"] == 1
        assert gate.record(f"kd{number}") == ["start 1", "end"]
    assert gate.daemon() != pid
    assert gate.machine.property("NRestarts") == "1"
    gate.machine.run("systemctl", "restart", UNIT)


@pytest.fixture
def watched(gate: Gate) -> Iterator[Gate]:
    """With a watchdog that barks sooner than the packaged one."""
    with gate.machine.drop_in("WatchdogSec=4s\nTimeoutAbortSec=3s"):
        gate.machine.run("systemctl", "restart", UNIT)
        gate.make_ready()
        yield gate
    gate.machine.run("systemctl", "restart", UNIT)


def barked(gate: Gate, since: str) -> bool:
    return any("Watchdog timeout" in text for text in gate.machine.messages("-u", UNIT, since=since))


def test_a_stopped_daemon_is_noticed(watched: Gate) -> None:
    watched.drop("w.yaml", watched.recorded("wd", 8))
    watched.until_state("wd", "running")
    pid, since = watched.daemon(), watched.machine.now()
    watched.machine.run("kill", "-STOP", str(pid))
    until(lambda: watched.machine.property("NRestarts") == "1", "systemd restarts it")
    watched.make_ready()
    assert barked(watched, since)
    assert watched.until_state("wd", "succeeded")["attempt"] == 1
    assert watched.record("wd") == ["start 1", "end"]


@pytest.fixture
def own_disk(watched: Gate, tmp_path: Path) -> Iterator[tuple[Gate, str]]:
    """The store on a file system of its own, which can be frozen. Yields the gate and the mount, for fsfreeze."""
    image = tmp_path / "disk"
    subprocess.run(["truncate", "-s", "64M", str(image)], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", str(image)], check=True)
    device = subprocess.run(
        ["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=True
    ).stdout.strip()
    machine, state = watched.machine, "/var/lib/taskgate"
    machine.run("systemctl", "stop", UNIT)
    number = subprocess.run(
        ["stat", "-c", "%Hr %Lr", device], capture_output=True, text=True, check=True
    ).stdout.split()
    machine.run("mknod", "/root/disk", "b", *number)
    machine.run("mount", "/root/disk", state)
    machine.run("chown", "taskgate:taskgate", state)
    machine.run("systemctl", "start", UNIT)
    watched.make_ready()
    yield watched, state
    machine.run("systemctl", "stop", UNIT)
    machine.run("umount", state)
    machine.run("rm", "/root/disk")
    subprocess.run(["losetup", "-d", device], check=True)
    machine.run("systemctl", "start", UNIT)


def test_a_frozen_disk_is_noticed(own_disk: tuple[Gate, str]) -> None:
    """The daemon cannot even die while its disk is frozen; once it thaws, another goes on with the same jobs."""
    gate, state = own_disk
    gate.drop("a.yaml", gate.recorded("frozen0", 12))
    gate.until_state("frozen0", "running")
    since = gate.machine.now()
    gate.machine.run("fsfreeze", "--freeze", state)
    try:
        gate.drop("b.yaml", gate.recorded("frozen1", 0.1))
        until(
            lambda: any("Watchdog timeout" in m for m in gate.machine.messages("-u", UNIT, since=since)), "it barks"
        )
    finally:
        gate.machine.run("fsfreeze", "--unfreeze", state)
    until(lambda: int(gate.machine.property("NRestarts")) >= 1, "systemd restarts it")
    gate.make_ready()
    for number in range(2):
        assert gate.until_state(f"frozen{number}", "succeeded")["attempt"] == 1
        assert gate.record(f"frozen{number}") == ["start 1", "end"]


def test_stop_while_jobs_run(gate: Gate) -> None:
    """They get ``stop_timeout``, are ended and put back, and run again after the next start. Nothing is left."""
    gate.drop("s.yaml", gate.recorded("stopped", 600))
    gate.until_state("stopped", "running")
    gate.machine.run("systemctl", "stop", UNIT)
    shown = gate.machine.show("ActiveState", "Result")
    assert shown == {"ActiveState": "inactive", "Result": "success"}
    assert gate.machine.run("pgrep", "-u", "taskgate", check=False) == ""
    gate.machine.run("systemctl", "start", UNIT)
    job = gate.until_state("stopped", "running")
    assert job["attempt"] == 2
    gate.ctl("cancel", str(job["id"]))
    gate.until_state("stopped", "cancelled")
    assert gate.record("stopped") == ["start 1", "start 2"]


def test_a_stop_takes_as_long_as_it_is_allowed(gate: Gate) -> None:
    """The daemon asks the manager for time: TimeoutStopSec= is less than what this job needs."""
    gate.configure("stop_timeout: 1min\n", reload=False)
    with gate.machine.drop_in("TimeoutStopSec=3s"):
        gate.machine.run("systemctl", "restart", UNIT)
        gate.drop("p.yaml", gate.recorded("patient", 8))
        gate.until_state("patient", "running")
        gate.machine.run("systemctl", "stop", UNIT)
        assert gate.machine.show("Result") == {"Result": "success"}
    assert gate.record("patient") == ["start 1", "end"]
    gate.make_ready()
    assert gate.job("patient")["state"] == "succeeded"


def test_restart_while_jobs_run(gate: Gate) -> None:
    """They run on, are counted by the next daemon before anything new starts, and end as if nothing had been."""
    for number in range(4):
        gate.drop(f"x{number}.yaml", gate.recorded(f"restart{number}", 6 if number < 2 else 0.1))
    gate.until_state("restart1", "running")
    pid, since = gate.daemon(), gate.machine.now()
    gate.machine.run("systemctl", "restart", UNIT)
    assert gate.daemon() != pid
    assert gate.job("restart2")["state"] == "queued", "both places are taken"
    for number in range(4):
        assert gate.until_state(f"restart{number}", "succeeded")["attempt"] == 1
        assert gate.record(f"restart{number}") == ["start 1", "end"]
    assert any("2 jobs run on without the daemon" in m for m in gate.machine.messages("-u", UNIT, since=since))
    until(lambda: len(gate.pids("taskgated.worker")) == 3, "old workers have left: two new ones and their server")


def test_restart_again_and_again(gate: Gate) -> None:
    """One job, many daemons, on a release that must start the new one beside the groups of the old one's workers."""
    gate.drop("o.yaml", gate.recorded("outlives", 12))
    gate.until_state("outlives", "running")
    for _ in range(4):
        gate.machine.run("systemctl", "restart", UNIT)
    gate.machine.run("kill", "-9", str(gate.daemon()))
    until(lambda: gate.machine.property("NRestarts") == "1", "systemd restarts it")
    assert gate.until_state("outlives", "succeeded")["attempt"] == 1
    assert gate.record("outlives") == ["start 1", "end"]


def test_a_stop_that_leaves_jobs_alone(gate: Gate) -> None:
    gate.configure("on_stop: leave\n")
    gate.drop("l.yaml", gate.recorded("leave", 4))
    gate.until_state("leave", "running")
    gate.machine.run("systemctl", "stop", UNIT)
    assert gate.record("leave") == ["start 1"]
    until(lambda: gate.record("leave") == ["start 1", "end"], "it ends by itself")
    until(lambda: not gate.machine.run("pgrep", "-u", "taskgate", check=False), "its worker has left")
    gate.make_ready()
    assert gate.until_state("leave", "succeeded")["attempt"] == 1


def test_a_stop_that_waits(gate: Gate) -> None:
    gate.configure("on_stop: wait\nstop_timeout: 100ms\n")
    with gate.machine.drop_in("TimeoutStopSec=2s"):
        gate.drop("w.yaml", gate.recorded("waits", 6))
        gate.until_state("waits", "running")
        gate.machine.run("systemctl", "stop", UNIT)
        assert gate.machine.show("Result") == {"Result": "success"}
    assert gate.record("waits") == ["start 1", "end"]


def test_reboot_with_a_backlog(gate: Gate) -> None:
    gate.configure("workers: 1\n")
    for number in range(4):
        gate.drop(f"b{number}.yaml", gate.recorded(f"boot{number}", 3 if number == 0 else 0.1))
    gate.until_state("boot3", "queued")
    gate.machine.run("systemctl", "stop", UNIT)
    gate.drop("b4.yaml", gate.recorded("boot4", 0.1))
    gate.machine.reboot()
    until(gate.active, "it is started by the boot")
    for number in range(5):
        gate.until_state(f"boot{number}", "succeeded")
        assert gate.record(f"boot{number}")[-1] == "end"
        assert "TWICE" not in gate.record(f"boot{number}")
