"""Upgrade, removal and purge. Last, because it takes away what the other tests stand on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.env.packages import deb as build_deb
from tests.env.until import until
from tests.system.gate import SPOOL, Gate
from tests.system.machine import UNIT

PREVIOUS = "0.1.9"
KEPT = ("/var/lib/taskgate", "/var/log/taskgate", SPOOL)


@pytest.fixture
def dpkg(installed: Gate) -> Gate:
    return installed


def test_upgrade_with_jobs_queued_and_running(dpkg: Gate, deb: Path) -> None:
    machine = dpkg.machine
    dpkg.install(build_deb(PREVIOUS), "--allow-downgrades")
    dpkg.make_ready()
    assert dpkg.status()["version"] == PREVIOUS
    running, queued = ("upgrade0", "upgrade1"), ("upgrade2", "upgrade3", "upgrade4", "upgrade5")
    for name in running:
        dpkg.drop(f"{name}.yaml", dpkg.waiting(name), user="alice")
        dpkg.until_begun(name)
    for name in queued:
        dpkg.drop(f"{name}.yaml", dpkg.recorded(name, 0.2), user="alice")
        dpkg.until_state(name, "queued")
    machine.write("/etc/taskgate/taskgated.yaml", "workers: 2\n# mine\n")
    said = dpkg.install(deb, "-o", "Dpkg::Options::=--force-confold")
    version = subprocess.check_output(["dpkg-deb", "--field", deb, "Version"], text=True).strip()
    assert version != PREVIOUS
    assert f"taskgated ({version})" in said
    dpkg.make_ready()
    assert dpkg.status()["version"] == version
    assert all(dpkg.still_runs(name) for name in running)
    assert [dpkg.job(name)["state"] for name in queued] == ["queued"] * len(queued), "both places are taken"
    dpkg.go(*running)
    for name in (*running, *queued):
        assert dpkg.until_state(name, "succeeded")["attempt"] == 1
        assert dpkg.record(name) == ["start 1", "end"], "the upgrade neither ended nor repeated it"
    assert "# mine" in machine.run("cat", "/etc/taskgate/taskgated.yaml"), "a conffile is the administrator's"
    assert dpkg.leftovers() == []


def test_removal_keeps_state_and_purge_takes_it(dpkg: Gate) -> None:
    machine = dpkg.machine
    dpkg.drop("last.yaml", "name: last\ncommand: sleep 600\n", user="alice")
    dpkg.until_state("last", "running")
    machine.run("apt-get", "remove", "-y", "taskgated")
    assert machine.run("pgrep", "-u", "taskgate", check=False) == ""
    assert machine.try_("systemctl", "is-active", UNIT).stdout.strip() != "active"
    assert machine.run("systemctl", "--failed", "--plain", "--no-legend") == ""
    for path in KEPT:
        assert (machine.root / path.lstrip("/")).is_dir()
    assert machine.run("ls", "/var/lib/taskgate").split()
    for name in ("a-lab", "b-test"):
        (machine.root / f"etc/taskgate/conf.d/{name}.yaml").unlink()
    machine.run("apt-get", "purge", "-y", "taskgated")
    found = machine.run("find", "/", "-xdev", "(", "-iname", "*taskgate*", ")", "-not", "-path", "/proc/*", "-not",
                        "-path", "/root/*", "-not", "-path", "/sys/*")  # fmt: skip
    allowed = (
        "/home/",
        "/var/log/journal",
        "/var/log/apt",
        "/var/cache/man/",
        "/var/lib/apt/",
        "/var/tmp/record",
        "/etc/systemd/system",
    )
    assert [path for path in found.splitlines() if not path.startswith(allowed)] == []
    until(lambda: "taskgate" not in machine.run("systemctl", "list-units", "--all", "--no-legend"), "no unit is left")


def test_a_new_start_from_nothing(dpkg: Gate, deb: Path) -> None:
    dpkg.install(deb)
    dpkg.make_ready()
    dpkg.drop("new.yaml", "name: new\ncommand: 'true'\n")
    assert dpkg.until_state("new", "succeeded")["id"] == 1
