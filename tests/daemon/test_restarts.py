"""What a job was promised holds also when the daemon is killed, or restarted, while it runs."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]

WAITS = "until test -e {scratch}/go; do sleep 0.05; done"
TTY = f"test -t 1 && test -t 2 && echo before; {WAITS}; test -t 1 && echo after"
FILES = f"echo before; echo wrong >&2; {WAITS}; echo after"
ONE_OF_MANY = f"""\
mkdir {{scratch}}/out.$TASKGATE_ARRAY_INDEX
ls {{scratch}} | grep -c out >>{{scratch}}/seen
{WAITS}
echo $TASKGATE_ARRAY_INDEX >>{{scratch}}/ran
rmdir {{scratch}}/out.$TASKGATE_ARRAY_INDEX
"""
WARNED = f"trap 'echo heard >>{{scratch}}/$TASKGATE_JOB_NAME' USR1; {WAITS}"
JOBS = (
    {"name": "tty", "command": TTY, "tty": True},
    {"name": "files", "command": FILES, "stdout": "{scratch}/o.{{id}}", "stderr": {"path": "{scratch}/e"}},
    {"name": "array", "command": ONE_OF_MANY, "array": {"to": 4, "at_most": 1}},
    {"name": "early", "command": WARNED, "timeout": 1000, "warn": {"before": 999.5}},
    {"name": "late", "command": WARNED, "timeout": 100, "warn": {"before": 95}},
)


def filled(value: object, scratch: str) -> object:
    match value:
        case str():
            return value.replace("{scratch}", scratch).replace("{{", "{").replace("}}", "}")
        case dict():
            return {key: filled(inner, scratch) for key, inner in value.items()}
    return value


@pytest.mark.parametrize("killed", [True, False])
def test_jobs_of_every_kind_run_on(make_gate: MakeGate, killed: bool) -> None:
    """A terminal, files of its own, the places of an array, and a warning, which is heard once: by one that has heard
    it, and by one that has not yet."""
    gate = make_gate("workers: 5\non_stop: leave\n")
    for job in JOBS:
        gate.drop(f"{job['name']}.yaml", json.dumps(filled(job, str(gate.scratch))))
    until(lambda: gate.lines("early") == ["heard"], "the one is warned")
    until(lambda: gate.status()["counts"].get("running") == 5, "all of them run")
    files = gate.until_running("files")["id"]
    until(lambda: gate.lines(f"o.{files}") and gate.lines("e") and gate.lines("seen"), "they have begun")
    if killed:
        gate.kill()
    else:
        assert gate.stop() == 0
    gate.start()
    until(lambda: gate.lines("late") == ["heard"], "the other is warned")
    assert gate.status()["counts"] | {"running": 5, "queued": 3} == gate.status()["counts"], (
        "nothing came of its place"
    )
    (gate.scratch / "go").touch()
    jobs = gate.until_over(8)
    assert {(job["state"], job["attempt"]) for job in jobs} == {("succeeded", 1)}
    ids = {job["name"]: job["id"] for job in jobs}
    assert gate.ctl("logs", str(ids["tty"])).stdout == b"before\nafter\n"
    assert (gate.lines(f"o.{files}"), gate.lines("e")) == (["before", "after"], ["wrong"])
    assert b"before" not in gate.ctl("logs", str(files)).stdout
    assert (gate.lines("ran"), gate.lines("seen")) == (["1", "2", "3", "4"], ["1"] * 4)
    assert gate.lines("early") == gate.lines("late") == ["heard"]
