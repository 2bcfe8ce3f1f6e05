"""Each row of the table of gates in the README, with a real gate: a job that is kept says the kind that is there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests import REPOSITORY
from tests.env.gate import GateEnv
from tests.env.until import until

TABLE = (REPOSITORY / "README.md").read_text().partition("\n## Who may start\n")[2].partition("\n## ")[0]
ROWS = [
    tuple(re.sub(r"^`(.*)`$", r"\1", cell.strip()) for cell in line.strip("|").split("|"))
    for line in re.findall(r"^\| `.*\|$", TABLE, re.MULTILINE)
]


def kinds(gate: GateEnv, name: str) -> set[str]:
    job = gate.job(name)
    if job is None or job["state"] not in ("queued", "held"):
        return set()
    done = gate.ctl("--json", "why", str(job["id"]))
    return {reason["kind"] for reason in json.loads(done.stdout)["reasons"]}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_it_says_why(make_gate: Callable[..., GateEnv], row: tuple[str, str, str, str]) -> None:
    kind, what, configuration, keys = row
    gate = make_gate("workers: 2\n" + (yaml.safe_dump(yaml.safe_load(configuration)) if configuration else ""))
    job: dict[str, Any] = {"command": "exit 3" if kind == "breaker" else "sleep 60", **(yaml.safe_load(keys) or {})}
    first = {"command": "sleep 60"} if kind == "after" else job
    if kind == "paused":
        assert gate.ctl("pause", "default").returncode == 0
    gate.drop("first.json", json.dumps({**first, "name": "extract"}))
    until(lambda: gate.job("extract") is not None, "the first is there")
    if kind == "breaker":
        gate.until_over(1)
    elif not kinds(gate, "extract"):
        gate.until_running("extract")
    gate.drop(
        "second.json",
        json.dumps({"name": "second", **job, "delay": "1h"} if kind == "held" else {"name": "second", **job}),
    )
    second = until(lambda: gate.job("second"), "the second is there")
    if kind == "held":
        assert gate.ctl("hold", str(second["id"])).returncode == 0
    until(lambda: kind in kinds(gate, "second"), f"it says {kind}: {what}", 30)


def test_the_table_has_the_kinds_that_people_meet() -> None:
    assert len(ROWS) == len({row[0] for row in ROWS}) == 16
