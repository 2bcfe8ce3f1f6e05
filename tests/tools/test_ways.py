"""A file that was dropped once, by whatever tool, runs once, under its own name; the tool sees no error; and nothing
of what it makes beside that is run, processed or refused."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until
from tests.tools import servers
from tests.tools.terminal import typed
from tests.tools.ways import ALL, Way

ROUNDS = int(os.environ.get("TASKGATED_TOOLS", "1"))
"""How often each way is gone, in each of the two queues."""
SETTLE = 1.0
"""Seconds; what is to rest rests so long, and what is to be refused after that is refused."""
QUEUES = ("default", "data")
PADDING = 100_000
"""Bytes of a large file: it is written for a second where a rate says so."""


@pytest.fixture(scope="module")
def reach(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """What the ways need of servers. The spools of all tests lie below what Samba shares.

    They end with the last way of this process, for they are its children: tests that come after these prove that
    nothing of theirs is left of it.
    """
    with ExitStack() as stack:
        found = dict(servers.sftp_server())
        if servers.program("sshd"):
            found |= stack.enter_context(servers.sshd(tmp_path_factory.mktemp("sshd")))
        if servers.program("smbd") and servers.program("smbclient") and os.geteuid() == 0:
            shared = tmp_path_factory.getbasetemp()
            found |= stack.enter_context(servers.smbd(tmp_path_factory.mktemp("smbd"), shared))
            found["shared"] = str(shared)
        yield found


class Trial:
    """One way, gone many times into a running gate."""

    def __init__(self, gate: GateEnv, way: Way, reach: Mapping[str, str]) -> None:
        self.gate = gate
        self.way = way
        self.reach = reach
        self.wanted: list[tuple[str, str]] = []

    def drop(self, queue: str, number: int) -> None:
        name = f"job{number}.sh"
        place = self.gate.layout.spool / queue if queue != "default" else self.gate.layout.spool
        new = self.gate.root / f"{queue}.{number}.new"
        new.write_text(self.content(queue, name))
        beside = Path(f"{new}.d")
        beside.mkdir()
        (beside / name).write_text(new.read_text())
        share = "" if "shared" not in self.reach else os.path.relpath(place, self.reach["shared"]).replace("/", "\\")
        values = {
            **self.reach, "new": new, "dir": place, "name": name, "target": place / name, "share": share,
        }  # fmt: skip
        line = self.way.line.replace("${name}", "\0").format(**values).replace("\0", "$" + name)
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.gate.root),
            "LOGNAME": "root",
            "SHELL": "/bin/sh",
        }  # as cron's
        if self.way.keys is None:
            done = subprocess.run(
                ["/bin/sh", "-c", line],
                env=env,
                cwd=env["HOME"],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            status, said = done.returncode, done.stdout + done.stderr
        else:
            status, said = typed(line, [key.format(**values) for key in self.way.keys], env)
        assert status == 0, f"{line}\nexit status {status}: {said}"
        self.wanted.append((queue, name))

    def content(self, queue: str, name: str) -> str:
        """What writes down that it ran, whole, and as what."""
        head = f"#!/bin/sh\necho {queue} {name} >>{self.gate.scratch}/ran\n"
        return (
            head
            + ("#" * 99 + "\n") * (PADDING // 100 if self.way.slow else 1)
            + f"echo end >>{self.gate.scratch}/ran\n"
        )

    def judge(self) -> None:
        """When all has rested that could be refused or run late."""
        self.gate.until_over(len(self.wanted), 30)
        rested = time.monotonic() + SETTLE + 1.0
        until(lambda: time.monotonic() > rested, "what may rest has rested")
        jobs = self.gate.jobs()
        assert sorted((job["queue"], job["source"]) for job in jobs) == sorted(self.wanted)
        assert {job["state"] for job in jobs} == {"succeeded"}
        ran = [f"{queue} {name}" for queue, name in self.wanted]
        assert sorted(line for line in self.gate.lines("ran") if line != "end") == sorted(ran)
        assert self.gate.lines("ran").count("end") == len(ran)
        assert list(self.gate.layout.rejected.iterdir()) == []


@pytest.mark.parametrize("way", ALL, ids=lambda way: way.name)
def test_what_is_dropped_once_runs_once_under_its_name(
    make_gate: Callable[..., GateEnv], reach: Mapping[str, str], way: Way
) -> None:
    missing = [name for name in way.needs if not servers.program(name)]
    if missing:
        pytest.skip(f"there is no {' and no '.join(missing)} here")
    if "smbd" in way.needs and "smb" not in reach:
        pytest.skip("smbd serves only where root starts it")
    handler = 'handler: {command: [/bin/sh, "{file}"]}'
    gate = make_gate(f"workers: 2\nsettle_time: {SETTLE}s\nqueues: {{data: {{{handler}}}}}\n")
    trial = Trial(gate, way, reach)
    for number in range(ROUNDS):
        for queue in QUEUES:
            trial.drop(queue, number)
    trial.judge()
