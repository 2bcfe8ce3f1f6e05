"""Every duration that may be written works, from the shortest to the longest: of jobs and of the configuration.

Which keys are durations is found by asking the declarations, so a new key is tried as well.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from taskgated.ctl.client import CallError, Client
from taskgated.host.loop import Loop
from taskgated.language import units
from taskgated.language.configkeys import KEYS
from taskgated.language.declare import Check, Key, Mismatch, schema_of
from taskgated.language.keys import JOB
from taskgated.language.source import Source
from taskgated.language.types import duration
from taskgated.language.yamlread import read_yaml
from tests.env.gate import GateEnv
from tests.env.until import until

LONGEST = "36500d"
SHORTEST = "1us"


def durations(keys: tuple[Key, ...]) -> list[tuple[str, ...]]:
    """The path of each key that is a duration: one that reads 36500d as a hundred years."""

    def walk(schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        for name, inner in schema.get("properties", {}).items():
            yield from walk(inner, (*path, name))
        if duration.schema in (schema, *schema.get("anyOf", ())) or duration.schema.items() <= schema.items():
            yield path

    return [path for path in walk(schema_of(keys), ()) if _reads(keys, path, LONGEST) == units.LONGEST]


def _nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for name in reversed(path):
        value = {name: value}
    return dict(value)


def _reads(keys: tuple[Key, ...], path: tuple[str, ...], text: str) -> Any:
    content = json.dumps(_nested(path[1:], text) if path[1:] else text)
    source = Source.of("test", content)
    check = Check(source)
    try:
        value = next(key for key in keys if key.name == path[0]).type.read(read_yaml(source, content)[0], check)
    except Mismatch:
        return None
    for name in path[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    return value


JOBS = durations(JOB)
CONFIGURATION = durations(KEYS)


def test_the_declarations_are_asked() -> None:
    """Some that are known to be durations are found, and no size is."""
    found = {".".join(path) for path in JOBS}
    assert found >= {"timeout", "kill_after", "delay", "expires", "deadline", "retry.delay", "retry.max_delay"}
    assert "output.max_size" not in found
    assert {".".join(path) for path in CONFIGURATION} >= {"stop_timeout", "rescan_interval", "retention.age"}


def test_a_loop_with_a_timer_that_is_far_away() -> None:
    loop = Loop()
    late, soon = [], []
    loop.after(units.LONGEST, lambda: late.append(1))
    loop.wake()
    loop.on_wake(lambda: soon.append(1))
    loop.turn()
    loop.close()
    assert soon and not late


# A job that goes well, one that fails and is to be tried again, and one that does not end when it is told to.
COMMANDS = {"ends": "true", "fails": "false", "stays": "trap : TERM; echo here >>{record}; while :; do sleep 1; done"}
OVER = ("succeeded", "failed", "cancelled")


@pytest.mark.parametrize("value", [SHORTEST, LONGEST])
def test_of_jobs(make_gate: Callable[..., GateEnv], value: str) -> None:
    """Each key by itself. They end, wait or go on; they never take their worker, or the daemon, with them."""
    gate = make_gate(f"workers: {len(JOBS) + 1}\n")
    workers = until(lambda: len(found := _workers(gate)) > len(JOBS) and found, "all workers are there")
    jobs = []
    for path in JOBS:
        for kind, command in COMMANDS.items():
            name = f"{'.'.join(path)}-{kind}"
            nested = _nested(path, value)
            retry = {"attempts": 2, **nested.pop("retry", {})}
            jobs.append(
                {"name": name, "command": command.format(record=gate.scratch / name), "retry": retry, **nested}
            )
    gate.drop("all.json", json.dumps(jobs))
    waits = "delay" if value == LONGEST else ""
    short = {"timeout", "expires", "deadline"} if value == SHORTEST else set()  # what is in time is luck
    until(lambda: len(gate.jobs()) == len(jobs), "they are there")
    for path in JOBS:
        name = ".".join(path)
        if name == waits:
            assert {_job(gate, f"{name}-{kind}")["state"] for kind in COMMANDS} == {"queued"}
        elif name not in short:
            until(lambda name=name: _job(gate, f"{name}-ends")["state"] == "succeeded", f"{name}: one ends")  # type: ignore[misc]
            until(lambda name=name: _job(gate, f"{name}-fails")["failures"] > 0, f"{name}: one fails")  # type: ignore[misc]
            until(lambda name=name: gate.lines(f"{name}-stays"), f"{name}: one runs")  # type: ignore[misc]
    with Client(gate.layout.control_socket) as client:
        for job in gate.jobs():
            if job["state"] not in OVER:
                try:
                    client.call("Cancel", id=job["id"])
                except CallError:
                    assert _job(gate, job["name"])["state"] in OVER, "it has ended by itself meanwhile"
    patient = "kill_after-stays" if value == LONGEST else ""
    ended = [job["name"] for job in jobs if job["name"] != patient and not job["name"].endswith("-stays")]
    until(lambda: all(_job(gate, name)["state"] in OVER for name in ended), "the others end")
    if patient:
        assert _job(gate, patient)["state"] == "running"
    assert _workers(gate) >= workers
    for _ in range(3):  # the third ends those that do not want to
        gate.signal(signal.SIGTERM)
        until(lambda: not gate.status()["ready"], "it stops")
    assert gate.wait() == 0
    _nothing_broke(gate)


def _job(gate: GateEnv, name: str) -> dict[str, Any]:
    job = gate.job(name)
    assert job is not None
    return job


def _workers(gate: GateEnv) -> set[int]:
    return {worker["pid"] for worker in gate.status()["workers"]}


def _nothing_broke(gate: GateEnv) -> None:
    log = gate.log()
    assert "Traceback" not in log and "died" not in log and "Error" not in log, log


@pytest.mark.parametrize("value", [SHORTEST, LONGEST])
def test_the_configuration(make_gate: Callable[..., GateEnv], value: str) -> None:
    """All keys at once: jobs run, with one that still runs it stops when it is told so twice."""
    config: dict[str, Any] = {"workers": 2}
    for path in CONFIGURATION:
        nested = _nested(path, value)
        for name, inner in nested.items():
            config[name] = {**config.get(name, {}), **inner} if isinstance(inner, dict) else inner
    gate = make_gate(json.dumps(config))
    gate.drop("runs.json", json.dumps({"command": f"echo ran >>{gate.scratch}/runs"}))
    until(lambda: gate.lines("runs"), "it has run")
    gate.drop("stays.json", json.dumps({"command": f"echo here >>{gate.scratch}/stays; exec sleep 1000"}))
    until(lambda: gate.lines("stays"), "it runs")
    gate.signal(signal.SIGTERM)
    if value == LONGEST:
        until(lambda: not gate.status()["ready"], "it stops")
        end = time.monotonic() + 0.5
        while time.monotonic() < end:  # and goes on to wait
            assert gate.status()["workers"]
        gate.signal(signal.SIGTERM)
    assert gate.wait() == 0
    _nothing_broke(gate)
