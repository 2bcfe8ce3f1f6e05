"""The probe of Slurm against a real slurmctld, and against an squeue that writes what another one would."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.env.probing import CLOSED, OPEN, UNKNOWN, USAGE, Said, ask
from tests.env.until import until
from tests.env.web import closed_port

CONFIGURATION = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
AuthType=auth/none
CredType=cred/none
CryptoType=crypto/munge
ProctrackType=proctrack/pgid
StateSaveLocation={where}/state
SlurmdSpoolDir={where}/spool
SlurmctldPidFile={where}/pid
SlurmctldLogFile={where}/log
SlurmctldPort={port}
SlurmdPort={other}
SelectType=select/cons_tres
NodeName=n[1-4] NodeHostName={host} NodeAddr=127.0.0.1 CPUs=8 State=FUTURE Port={nodes}
PartitionName=batch Nodes=n[1-4] Default=YES MaxTime=INFINITE State=UP
PartitionName=night Nodes=n1 State=DOWN
"""
"""A controller without nodes that answer: whatever is submitted waits."""


@dataclass
class Cluster:
    env: dict[str, str]

    def run(self, *command: str) -> None:
        subprocess.run(command, env=self.env, cwd="/", check=True, capture_output=True, timeout=60)

    def probe(self, *arguments: object, **more: str) -> Said:
        return ask("slurm", *arguments, env={**self.env, **more})


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Five jobs wait in batch, four of them an array; one in night; and one more is held."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("slurmctld", "squeue", "sinfo", "sbatch"))):
        pytest.skip("Slurm is not installed (Debian: slurmctld slurm-client), or we are not root")
    where = tmp_path_factory.mktemp("slurm")
    (where / "state").mkdir()
    nodes = closed_port()
    text = CONFIGURATION.format(
        host=socket.gethostname().partition(".")[0], where=where, port=closed_port(), other=closed_port(),
        nodes=f"{nodes}-{nodes + 3}",
    )  # fmt: skip
    (where / "slurm.conf").write_text(text.replace("State=FUTURE", "State=UNKNOWN"))
    made = Cluster({"SLURM_CONF": str(where / "slurm.conf"), "PATH": os.environ["PATH"]})
    controller = subprocess.Popen(
        ["slurmctld", "-D", "-c"], env=made.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:

        def ready() -> bool:
            assert controller.poll() is None, (where / "log").read_text()
            return subprocess.run(["sinfo"], env=made.env, capture_output=True, check=False).returncode == 0

        until(ready, "slurmctld is there")
        made.run("sbatch", "--wrap", "sleep 1")
        made.run("sbatch", "--array=1-4", "--wrap", "sleep 1")
        made.run("sbatch", "--partition=night", "--uid=nobody", "--wrap", "sleep 1")
        made.run("sbatch", "--hold", "--wrap", "sleep 1")
        yield made
    finally:
        controller.terminate()
        controller.wait(60)


@pytest.mark.parametrize(
    ("arguments", "pending"),
    [
        ([], 7),
        (["--partition", "batch"], 6),
        (["--partition", "night"], 1),
        (["--partition", "batch,night"], 7),
        (["--user", "nobody"], 1),
        (["--user", "root", "--partition", "batch"], 6),
        (["--account", "nosuch"], 0),
        (["--reason", "JobHeldUser"], 1),
        (["--reason", "JobHeldUser,PartitionDown"], 2),
    ],
)
def test_pending_jobs(cluster: Cluster, arguments: list[str], pending: int) -> None:
    said = until(
        lambda: (got := cluster.probe("--max-pending", 9, *arguments)).room == 9 - pending and got,
        "the controller has looked at all jobs",
    )
    assert said.status == OPEN and f"{pending} pending (fewer than 9 is open)" in said.why
    if pending:
        assert cluster.probe("--max-pending", pending, *arguments).status == CLOSED


def test_variables_that_stand_for_options_change_nothing(cluster: Cluster) -> None:
    more = {"SQUEUE_USERS": "nobody", "SQUEUE_FORMAT": "%i", "SQUEUE_PARTITION": "night", "SINFO_FORMAT": "%N"}
    assert cluster.probe("--max-pending", 9, "--partition", "batch", **more).room == 3


def test_idle_cpus(cluster: Cluster) -> None:
    said = cluster.probe("--min-idle-cpus", 33)
    assert (said.status, "CPUs idle (at least 33 is open)" in said.why) == (CLOSED, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--partition", "nosuch"], "there is no partition 'nosuch'; there are batch, night"),
        (["--partition", "batch,nosuch"], "there is no partition 'nosuch'"),
        (["--user", "nosuch"], "Invalid user: nosuch"),
        (["--clusters", "nosuch"], "squeue ended with 1"),
    ],
)
def test_what_there_is_not(cluster: Cluster, arguments: list[str], words: str) -> None:
    said = cluster.probe("--max-pending", 9, *arguments)
    assert (said.status, words in said.why) == (UNKNOWN, True), said.why


def test_a_partition_without_nodes_that_are_known(cluster: Cluster) -> None:
    said = cluster.probe("--min-idle-cpus", 1, "--partition", "nosuch")
    assert (said.status, "no node in partition nosuch" in said.why) == (UNKNOWN, True)


def test_a_controller_that_is_down(tmp_path: Path) -> None:
    if shutil.which("squeue") is None:
        pytest.skip("Slurm is not installed (Debian: slurm-client)")
    (tmp_path / "slurm.conf").write_text(f"SlurmctldHost=localhost\nSlurmctldPort={closed_port()}\nClusterName=x\n")
    env = {"SLURM_CONF": str(tmp_path / "slurm.conf")}
    said = ask("slurm", "--max-pending", 3, "--timeout", "1s", env=env)
    assert said.status == UNKNOWN


# -- programs that are none ----------------------------------------------------------------------------


def programs(path: Path, squeue: str = "exit 9", sinfo: str = "exit 9") -> Path:
    for name, script in (("squeue", squeue), ("sinfo", sinfo)):
        (path / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{path}/{name}.words\n{script}\n')
        (path / name).chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("squeue", "status", "room"),
    [
        ("true", OPEN, 3),
        ("echo PD Priority; echo PD Resources", OPEN, 1),
        ("for i in 1 2 3; do echo PD Priority; done", CLOSED, None),
        ("echo CLUSTER: one; echo PD Priority; echo CLUSTER: two; echo PD Priority", OPEN, 1),
        ("seq 1 100000 | sed 's/.*/PD Priority/'", CLOSED, None),
        ("echo PD Priority; exit 1", UNKNOWN, None),
        ("echo R None", UNKNOWN, None),
        ("echo 'slurm_load_jobs error: Zero Bytes' >&2", UNKNOWN, None),
        ("echo 'squeue: warning: old' >&2", OPEN, 3),
        ("printf '\\377\\000'", UNKNOWN, None),
        ("kill -9 $$", UNKNOWN, None),
    ],
)
def test_what_squeue_may_say(tmp_path: Path, squeue: str, status: int, room: int | None) -> None:
    said = ask("slurm", "--max-pending", 3, path=programs(tmp_path, squeue))
    assert (said.status, said.room) == (status, room)


def test_what_squeue_is_asked(tmp_path: Path) -> None:
    programs(tmp_path, "true", "echo a; echo b")
    arguments = ("--partition", "a,b", "--user", "x", "--account", "y", "--qos", "z", "--clusters", "c")
    assert ask("slurm", "--max-pending", 3, *arguments, path=tmp_path).status == OPEN
    words = (tmp_path / "squeue.words").read_text().splitlines()
    filters = ["--partition=a,b", "--user=x", "--account=y", "--qos=z"]
    assert words == ["--noheader", "--clusters=c", *filters, "--array", "--states=PENDING", "--format=%t %r"]


@pytest.mark.parametrize("reason", ["Resources", "Resources(x)", "Resources, more", "Resources:n1"])
def test_a_reason_with_more_behind_it(tmp_path: Path, reason: str) -> None:
    path = programs(tmp_path, f"echo 'PD {reason}'; echo PD Dependency; echo PD")
    assert ask("slurm", "--max-pending", 3, "--reason", "Priority,Resources", path=path).room == 2


@pytest.mark.parametrize(
    ("sinfo", "status"),
    [
        ("echo 4/12/0/16", OPEN),
        ("echo 4/6/6/16; echo 0/4/0/4", OPEN),
        ("echo 7/9/0/16", CLOSED),
        ("echo 16/0/0/16", CLOSED),
        ("true", UNKNOWN),
        ("echo 12", UNKNOWN),
        ("echo 4/12/0/16; exit 1", UNKNOWN),
    ],
)
def test_what_sinfo_may_say(tmp_path: Path, sinfo: str, status: int) -> None:
    assert ask("slurm", "--min-idle-cpus", 10, path=programs(tmp_path, sinfo=sinfo)).status == status


def test_both_have_to_hold(tmp_path: Path) -> None:
    path = programs(tmp_path, "echo PD Priority", "echo 4/6/6/16")
    said = ask("slurm", "--min-idle-cpus", 6, "--max-pending", 3, path=path)
    assert (said.status, said.room) == (OPEN, 2)
    said = ask("slurm", "--min-idle-cpus", 7, "--max-pending", 3, path=path)
    assert (said.status, said.why) == (CLOSED, "the cluster: 6 CPUs idle (at least 7 is open)")


@pytest.mark.parametrize("arguments", [[], ["--max-pending", 0], ["--max-pending", "x"], ["--min-idle-cpus", -1]])
def test_a_wrong_command_line(arguments: list[object]) -> None:
    assert ask("slurm", *arguments).status == USAGE
