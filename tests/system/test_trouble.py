"""What breaks, or is stopped: proved by what systemd, the journal and the jobs' own record say."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.env.until import until
from tests.system.gate import Gate
from tests.system.machine import UNIT


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
    gate.drop("k.yaml", gate.waiting("kw"))
    worker = gate.worker_of(gate.until_begun("kw"))
    gate.machine.run("kill", "-9", str(worker))
    gate.until_begun("kw", 2)
    gate.go("kw")
    job = gate.until_state("kw", "succeeded")
    assert job["attempt"] == 2
    assert gate.record("kw") == ["start 1", "start 2", "end"]
    assert worker not in {entry["pid"] for entry in gate.status()["workers"]}
    assert gate.machine.property("NRestarts") == "0"


def test_a_killed_worker_server_is_replaced_and_jobs_go_on(gate: Gate) -> None:
    gate.drop("k.yaml", gate.waiting("ks"))
    gate.until_begun("ks")
    server = until(gate.server, "there is a server")
    gate.machine.run("kill", "-9", str(server))
    until(lambda: gate.server() not in (0, server), "there is another server")
    assert gate.still_runs("ks")
    gate.go("ks")
    assert gate.until_state("ks", "succeeded")["attempt"] == 1
    assert gate.record("ks") == ["start 1", "end"]


def test_a_killed_daemon_is_restarted_and_jobs_go_on(gate: Gate) -> None:
    """Nothing lost, nothing twice: what runs goes on, what waits runs, and what comes meanwhile is taken in."""
    pid = gate.daemon()
    for number in range(2):
        gate.drop(f"r{number}.yaml", gate.waiting(f"kd{number}"))
        gate.until_begun(f"kd{number}")
    for number in range(2, 6):
        gate.drop(f"r{number}.yaml", gate.recorded(f"kd{number}", 0.1))
        gate.until_state(f"kd{number}", "queued")
    gate.machine.run("kill", "-9", str(pid))
    gate.drop("r6.yaml", gate.recorded("kd6", 0.1))
    gate.until_state("kd6", "queued")  # so says the next daemon
    assert all(gate.still_runs(f"kd{number}") for number in range(2))
    assert gate.job("kd2")["state"] == "queued", "both places are taken"
    gate.go("kd0", "kd1")
    for number in range(7):
        assert gate.until_state(f"kd{number}", "succeeded")["attempt"] == 1
        assert gate.record(f"kd{number}") == ["start 1", "end"]
    assert gate.daemon() != pid
    assert gate.machine.property("NRestarts") == "1"
    gate.machine.run("systemctl", "restart", UNIT)


@pytest.fixture
def watched(gate: Gate) -> Iterator[Gate]:
    """With a watchdog that barks sooner than the packaged one, but not at one that is only slow."""
    with ExitStack() as undo:
        undo.callback(gate.machine.run, "systemctl", "restart", UNIT)
        undo.enter_context(gate.machine.drop_in("WatchdogSec=10s\nTimeoutAbortSec=3s"))
        gate.machine.run("systemctl", "restart", UNIT)
        gate.make_ready()
        yield gate


def barked(gate: Gate, since: str) -> bool:
    return any("Watchdog timeout" in text for text in gate.machine.messages("-u", UNIT, since=since))


def test_a_stopped_daemon_is_noticed(watched: Gate) -> None:
    watched.drop("w.yaml", watched.waiting("wd"))
    watched.until_begun("wd")
    pid, since = watched.daemon(), watched.machine.now()
    watched.machine.run("kill", "-STOP", str(pid))
    until(lambda: int(watched.machine.property("NRestarts")) >= 1, "systemd restarts it")
    watched.make_ready()
    assert watched.daemon() != pid
    assert barked(watched, since)
    assert watched.still_runs("wd")
    watched.go("wd")
    assert watched.until_state("wd", "succeeded")["attempt"] == 1
    assert watched.record("wd") == ["start 1", "end"]


@pytest.fixture
def own_disk(watched: Gate, tmp_path: Path) -> Iterator[tuple[Gate, str]]:
    """The store on a file system of its own, which can be frozen. Yields the gate and the mount, for fsfreeze."""
    machine, image, state = watched.machine, tmp_path / "disk", "/var/lib/taskgate"

    def unmount() -> None:
        done = machine.try_("umount", state)
        if done.returncode:  # whatever holds it: the others shall not go on with it
            machine.run("umount", "--lazy", state)
        assert done.returncode == 0, done.stdout

    subprocess.run(["truncate", "-s", "64M", str(image)], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", str(image)], check=True)
    with ExitStack() as undo:
        device = subprocess.check_output(["losetup", "--find", "--show", str(image)], text=True).strip()
        undo.callback(subprocess.run, ["losetup", "-d", device], check=True)
        undo.callback(machine.run, "rm", "-f", "/root/disk")
        undo.callback(machine.run, "systemctl", "start", UNIT)
        machine.run("systemctl", "stop", UNIT)
        number = subprocess.check_output(["stat", "-c", "%Hr %Lr", device], text=True).split()
        machine.run("mknod", "/root/disk", "b", *number)
        machine.run("mount", "/root/disk", state)
        undo.callback(unmount)
        undo.callback(machine.run, "systemctl", "stop", UNIT)
        machine.run("chown", "taskgate:taskgate", state)
        machine.run("systemctl", "start", UNIT)
        watched.make_ready()
        yield watched, state


def test_a_frozen_disk_is_noticed(own_disk: tuple[Gate, str]) -> None:
    """The daemon cannot even die while its disk is frozen; once it thaws, another goes on with the same jobs."""
    gate, state = own_disk
    gate.drop("a.yaml", gate.waiting("frozen0"))
    gate.until_begun("frozen0")
    since = gate.machine.now()
    gate.machine.run("fsfreeze", "--freeze", state)
    try:
        gate.drop("b.yaml", gate.recorded("frozen1", 0.1))
        until(lambda: barked(gate, since), "it barks")
    finally:
        gate.machine.run("fsfreeze", "--unfreeze", state)
    until(lambda: int(gate.machine.property("NRestarts")) >= 1, "systemd restarts it")
    gate.make_ready()
    assert gate.still_runs("frozen0")
    gate.go("frozen0")
    for number in range(2):
        assert gate.until_state(f"frozen{number}", "succeeded")["attempt"] == 1
        assert gate.record(f"frozen{number}") == ["start 1", "end"]


@pytest.fixture
def impatient(gate: Gate) -> Iterator[Gate]:
    """A start of it may take ten seconds, not two minutes."""
    code = "import sys\nif sys.orig_argv[-1].endswith('/taskgated'):\n"
    patience = "    from taskgated.daemon import starting\n    starting.PATIENCE = 10.0\n"
    gate.machine.write("/opt/impatient/sitecustomize.py", code + patience)
    with gate.machine.drop_in("Environment=PYTHONPATH=/opt/impatient"):
        yield gate
    gate.machine.run("systemctl", "restart", UNIT)


def test_an_upgrade_does_not_wait_for_ever(impatient: Gate, deb: Path) -> None:
    """The new daemon cannot become ready: apt goes on, and so does the daemon."""
    machine = impatient.machine
    machine.run("systemctl", "stop", UNIT)
    machine.sh("cd /var/spool/taskgate && rm -rf .claims && touch .claims && chown taskgate: .claims")
    began = time.monotonic()
    impatient.install(deb, "--reinstall")
    assert time.monotonic() - began < 80, "the two minutes were not what it waited for"
    machine.run("systemctl", "start", UNIT)
    assert impatient.active()
    assert machine.property("StatusText").startswith("started, but not ready; ")
    assert not impatient.status()["ready"]
    machine.run("rm", "/var/spool/taskgate/.claims")
    until(lambda: impatient.status()["ready"], "it is ready by itself")
    assert machine.property("NRestarts") == "0"


def test_a_start_on_a_full_disk_ends_with_words(impatient: Gate) -> None:
    machine, state = impatient.machine, "/var/lib/taskgate"
    with ExitStack() as undo:
        machine.run("systemctl", "stop", UNIT)
        machine.run("mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "full", state)
        undo.callback(machine.run, "umount", "--lazy", state)
        machine.sh(f"chown taskgate: {state}; head -c 64k /dev/zero >{state}/full", check=False)
        since = machine.now()
        assert machine.try_("systemctl", "start", UNIT).returncode != 0, "whoever started it is told"
        assert any("given up after 10 s" in text for text in machine.messages("-u", UNIT, since=since))
        until(lambda: machine.property("ActiveState") == "activating", "systemd starts it again")
        machine.run("systemctl", "stop", UNIT)
    impatient.make_ready()


def test_stop_while_jobs_run(gate: Gate) -> None:
    """They get ``stop_timeout``, are ended and put back, and run again after the next start. Nothing is left."""
    gate.drop("s.yaml", gate.recorded("stopped", 600))
    gate.until_begun("stopped")
    gate.machine.run("systemctl", "stop", UNIT)
    shown = gate.machine.show("ActiveState", "Result")
    assert shown == {"ActiveState": "inactive", "Result": "success"}
    assert gate.machine.run("pgrep", "-u", "taskgate", check=False) == ""
    gate.machine.run("systemctl", "start", UNIT)
    job = gate.until_begun("stopped", 2)
    assert job["attempt"] == 2
    gate.ctl("cancel", str(job["id"]))
    gate.until_state("stopped", "cancelled")
    assert gate.record("stopped") == ["start 1", "start 2"]


def stop_that_takes(gate: Gate, name: str, seconds: float) -> None:
    """Stop the service while that job runs, and let it run for so long before it may end."""
    gate.until_begun(name)
    gate.machine.run("systemctl", "stop", "--no-block", UNIT)
    until(lambda: gate.machine.property("ActiveState") == "deactivating", "it is being stopped")
    time.sleep(seconds)
    assert gate.machine.property("ActiveState") == "deactivating"
    assert gate.record(name) == ["start 1"]
    gate.go(name)
    until(lambda: gate.machine.property("ActiveState") in ("inactive", "failed"), "it has stopped")


def test_a_stop_takes_as_long_as_it_is_allowed(gate: Gate) -> None:
    """The daemon asks the manager for time: TimeoutStopSec= is less than what this job needs."""
    gate.configure("stop_timeout: 5min\n", reload=False)
    with gate.machine.drop_in("TimeoutStopSec=3s"):
        gate.machine.run("systemctl", "restart", UNIT)
        gate.drop("p.yaml", gate.waiting("patient"))
        stop_that_takes(gate, "patient", 8)
        assert gate.machine.show("Result") == {"Result": "success"}
    assert gate.record("patient") == ["start 1", "end"]
    gate.make_ready()
    assert gate.job("patient")["state"] == "succeeded"


def test_restart_while_jobs_run(gate: Gate) -> None:
    """They run on, are counted by the next daemon before anything new starts, and end as if nothing had been."""
    for number in range(2):
        gate.drop(f"x{number}.yaml", gate.waiting(f"restart{number}"))
        gate.until_begun(f"restart{number}")
    for number in range(2, 4):
        gate.drop(f"x{number}.yaml", gate.recorded(f"restart{number}", 0.1))
        gate.until_state(f"restart{number}", "queued")
    pid, since = gate.daemon(), gate.machine.now()
    gate.machine.run("systemctl", "restart", UNIT)
    assert gate.daemon() != pid
    assert all(gate.still_runs(f"restart{number}") for number in range(2))
    assert gate.job("restart2")["state"] == "queued", "both places are taken"
    gate.go("restart0", "restart1")
    for number in range(4):
        assert gate.until_state(f"restart{number}", "succeeded")["attempt"] == 1
        assert gate.record(f"restart{number}") == ["start 1", "end"]
    assert any("2 jobs run on without the daemon" in m for m in gate.machine.messages("-u", UNIT, since=since))
    until(lambda: len(gate.pids("taskgated.worker")) == 3, "old workers have left: two new ones and their server")


def test_restart_again_and_again(gate: Gate) -> None:
    """One job, many daemons, on a release that must start the new one beside the groups of the old one's workers."""
    gate.drop("o.yaml", gate.waiting("outlives"))
    gate.until_begun("outlives")
    for _ in range(4):
        gate.machine.run("systemctl", "restart", UNIT)
        assert gate.still_runs("outlives")
    gate.machine.run("kill", "-9", str(gate.daemon()))
    until(lambda: gate.machine.property("NRestarts") == "1", "systemd restarts it")
    gate.make_ready()
    assert gate.still_runs("outlives")
    gate.go("outlives")
    assert gate.until_state("outlives", "succeeded")["attempt"] == 1
    assert gate.record("outlives") == ["start 1", "end"]


def test_a_stop_that_leaves_jobs_alone(gate: Gate) -> None:
    gate.configure("on_stop: leave\n")
    gate.drop("l.yaml", gate.waiting("leave"))
    gate.until_begun("leave")
    gate.machine.run("systemctl", "stop", UNIT)
    assert gate.record("leave") == ["start 1"]
    gate.go("leave")
    until(lambda: gate.record("leave") == ["start 1", "end"], "it ends by itself")
    until(lambda: not gate.machine.run("pgrep", "-u", "taskgate", check=False), "its worker has left")
    gate.make_ready()
    assert gate.until_state("leave", "succeeded")["attempt"] == 1


def test_a_stop_that_waits(gate: Gate) -> None:
    gate.configure("on_stop: wait\nstop_timeout: 100ms\n")
    with gate.machine.drop_in("TimeoutStopSec=2s"):
        gate.drop("w.yaml", gate.waiting("waits"))
        stop_that_takes(gate, "waits", 6)
        assert gate.machine.show("Result") == {"Result": "success"}
    assert gate.record("waits") == ["start 1", "end"]


def test_reboot_with_a_backlog(gate: Gate) -> None:
    gate.configure("workers: 1\n")
    gate.drop("b0.yaml", gate.waiting("boot0"))
    gate.until_begun("boot0")
    for number in range(1, 4):
        gate.drop(f"b{number}.yaml", gate.recorded(f"boot{number}", 0.1))
        gate.until_state(f"boot{number}", "queued")
    gate.machine.run("systemctl", "stop", UNIT)
    gate.drop("b4.yaml", gate.recorded("boot4", 0.1))
    gate.machine.reboot()
    until(gate.active, "it is started by the boot")
    gate.until_begun("boot0", 2)
    gate.go("boot0")
    for number in range(5):
        gate.until_state(f"boot{number}", "succeeded")
        assert gate.record(f"boot{number}")[-1] == "end"
        assert "TWICE" not in gate.record(f"boot{number}")
