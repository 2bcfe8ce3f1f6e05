"""Verbs that take several jobs; and what they print of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from taskgated.ctl import cancel, wait
from taskgated.ctl.client import Client
from taskgated.ctl.patience import Patience
from tests.env.gate import GateEnv
from tests.env.until import until


def test_the_outputs_of_several_jobs_have_headings(gate: GateEnv) -> None:
    gate.drop("a.tasks", "echo one\necho two\n")
    gate.until_over(2)
    said = {job["id"]: gate.ctl("logs", str(job["id"])).stdout for job in gate.jobs()}
    assert sorted(said.values()) == [b"one\n", b"two\n"]
    both = b"==> job 2 <==\n%s\n==> job 1 <==\n%s" % (said[2], said[1])
    assert gate.ctl("logs", "2", "1").stdout == both
    assert gate.ctl("logs", "--follow", "2", "1").stdout == both
    partly = gate.ctl("logs", "99", "1")
    assert (partly.returncode, partly.stderr) == (1, b"taskgatectl: no job 99\n")
    assert partly.stdout.endswith(b"\n==> job 1 <==\n%s" % said[1])


def test_several_jobs_are_cancelled_also_if_one_of_them_is_over(gate: GateEnv) -> None:
    gate.drop("a.yaml", "[{command: 'true'}, {command: 'true', delay: 1h}, {command: 'true', delay: 1h}]")
    gate.until_over(1)
    done = gate.ctl("cancel", "1", "2", "99", "3", "2")
    assert (done.returncode, done.stdout) == (1, b"job 2 is cancelled\njob 3 is cancelled\n")
    assert done.stderr.count(b"\n") == 2 and b"no job 99" in done.stderr
    gate.drop("b.yaml", "[{command: 'true', delay: 1h}, {command: 'true', delay: 1h}]")
    until(lambda: len(gate.jobs()) == 5)
    assert [job["id"] for job in json.loads(gate.ctl("--json", "cancel", "4", "5").stdout)] == [4, 5]
    assert json.loads(gate.ctl("--json", "cancel", "4", "99").stdout) == []


def test_what_cannot_be_done_with_one_of_several_is_said_with_its_id(gate: GateEnv) -> None:
    gate.drop("a.yaml", "[{command: 'true'}, {command: 'true'}, {command: 'true', delay: 1h}]")
    gate.until_over(2)
    over = "a job that is succeeded"

    def refused(*argv: str) -> list[str]:
        return gate.ctl(*argv).stderr.decode().splitlines()

    for verb, of_it, argv in (
        ("retry", "retry by hand", []),
        ("hold", "hold", []),
        ("release", "release", []),
        ("cancel", "cancel", []),
        ("prioritize", "prioritize", ["7"]),
        ("move", "move", ["default"]),
    ):
        both = [f"taskgatectl: job {job}: cannot {of_it} {over}" for job in (1, 2)]
        assert refused(verb, "1", "2", *argv) == both
    assert refused("hold", "1", "99") == [f"taskgatectl: job 1: cannot hold {over}", "taskgatectl: no job 99"]
    assert refused("logs", "--attempt", "9", "1", "99") == [
        "taskgatectl: job 1: the job has no such attempt",
        "taskgatectl: no job 99",
    ]


def test_of_an_array_those_that_wait_for_their_next_attempt_are_retried_as_well(gate: GateEnv) -> None:
    go = f"test -e {gate.scratch}/go || test {{index}} = 3"
    array = {"command": go, "array": {"to": 3}, "retry": {"attempts": 2, "delay": "1h"}}
    later = {"command": "true", "array": {"to": 2}, "delay": "1h"}
    gate.drop("a.json", json.dumps([array, later]))
    until(lambda: [job["failures"] for job in gate.jobs()] == [1, 1, 0, 0, 0], "two of them have failed once")
    gate.until_over(1)
    (gate.scratch / "go").touch()
    assert gate.ctl("retry", "--array", "1").stdout == b"job 1 is to run again\njob 2 is to run again\n"
    gate.until_over(3)
    none = gate.ctl("retry", "--array", "4")
    assert (none.returncode, none.stdout) == (1, b"")
    assert none.stderr == b"taskgatectl: array 4: no job of it is failed or cancelled, or in a pause\n"
    assert [job["state"] for job in gate.jobs()] == ["succeeded"] * 3 + ["queued"] * 2


@pytest.mark.parametrize(
    ("coming", "text"),
    [
        (0, ""),
        (1, "; 1 of its jobs is still to come, and will be cancelled then"),
        (9, "; 9 of its jobs are still to come, and will be cancelled then"),
    ],
)
def test_of_an_array_that_is_cancelled_it_says_what_is_to_come(
    coming: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    reply = {"cancelled": 2, "ending": 1, "coming": coming}
    gate = cast("Client", SimpleNamespace(ask=lambda operation, **values: reply))
    assert cancel.run(gate, SimpleNamespace(id=(), array=7, json=False)) == 0
    assert capsys.readouterr().out == f"array 7: 3 jobs are cancelled, or told to end{text}\n"


def test_wait_has_the_columns_of_list(gate: GateEnv) -> None:
    gate.drop("a.yaml", "name: never\ncommand: 'true'\ndelay: 1h\n")
    until(gate.jobs)
    gate.ctl("cancel", "1")
    listed = gate.ctl("list").stdout.splitlines()[1]
    assert gate.ctl("wait", "1").stdout.split() == listed.split()
    assert listed.split()[6:] == [b"a.yaml", b"never"]


def test_waiting_for_a_large_array_beside_many_jobs_takes_time_in_step_with_both() -> None:
    class Gate:
        def ask(self, operation: object, *, after: int, limit: int, array: int) -> dict[str, object]:
            ids = range(after + 1, min(after + limit, 2000) + 1)
            return {"jobs": [{"id": id_} for id_ in ids], "next": ids[-1] if len(ids) == limit else None}

        def stream(self, operation: object, ids: list[int]) -> Iterator[dict[str, Any]]:
            yield {"jobs": [{"id": id_} for id_ in ids]}

    class Looked(list[int]):
        def __contains__(self, id_: object) -> bool:
            raise AssertionError("all of the list is gone through for each job of the array")

    gate = cast(Client, Gate())
    waiting = wait._Waiting(gate, Patience(gate, None), silent=True)
    others = Looked(range(1000, 3000))
    assert waiting.until_array_is_over(1, others) == [*range(1000, 3000), *range(1, 1000)]
    assert len(waiting.over) == 2999
