"""Queues are paused by hand, and go on: nothing of them starts meanwhile, whatever becomes of the daemon."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing

import pytest

from taskgated.core.owner import Owner
from taskgated.daemon.overrides import Override
from taskgated.host.identity import user_name
from tests.env.gate import ME, GateEnv
from tests.env.until import until


def waits_for(gate: GateEnv, job: int) -> list[str]:
    return [reason["text"] for reason in gate.call("Show", id=job)["waits_for"]]


def test_a_paused_queue_starts_nothing_until_it_goes_on(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 2\nqueues: {etl: {}}\n")
    gate.drop("before.yaml", "{name: before, command: 'sleep 600'}", "etl")
    gate.until_running("before")
    assert gate.ctl("pause", "etl").stdout == b"paused: queue etl\n"
    gate.drop("a.yaml", "{name: a, command: 'true'}", "etl")
    gate.drop("b.yaml", "{name: b, command: 'true'}")
    until(lambda: (gate.job("b") or {}).get("state") == "succeeded", "another queue goes on")
    until(lambda: gate.job("a"), "it is taken in")
    assert (gate.job("a") or {})["state"] == "queued"
    assert "queue etl is paused" in waits_for(gate, 2 if (gate.job("a") or {})["id"] == 2 else 3)
    assert (gate.job("before") or {})["state"] == "running", "what runs is left alone"
    (override,) = gate.status()["overrides"]
    assert (override["kind"], override["of"], override["by"]) == ("pause", "etl", os.getuid())
    assert override["user"] == user_name(os.getuid())
    assert gate.status()["closed"] == [{"queue": "etl", "kind": "paused", "text": "queue etl is paused"}]
    shown = gate.ctl("status").stdout.decode()
    assert "by hand: queue etl is paused, since " in shown
    assert f", by {ME}\n" in shown and f"paused by {ME}: queue etl" in gate.log()
    assert shown.count("queue etl is paused") == 1, "it is set by hand, and closed, and that is said once"
    assert gate.ctl("resume", "etl").stdout == b"nothing is paused\n"
    until(lambda: (gate.job("a") or {}).get("state") == "succeeded", "it goes on")
    assert (gate.status()["overrides"], gate.status()["closed"]) == ([], [])


@pytest.mark.parametrize("end", [GateEnv.kill, GateEnv.stop])
def test_a_pause_outlives_the_daemon_and_a_reload(
    make_gate: Callable[..., GateEnv], end: Callable[[GateEnv], object]
) -> None:
    gate = make_gate("workers: 2\n")
    assert gate.ctl_json("pause") == {"paused": [], "all": True}
    end(gate)
    gate.drop("a.yaml", "{name: a, command: 'true'}")
    gate.start()
    until(lambda: gate.job("a"), "it is taken in")
    gate.call("Reload")
    gate.drop("b.yaml", "{name: b, command: 'true'}")
    until(lambda: gate.job("b"), "so is another")
    assert "all queues are paused" in waits_for(gate, 1)
    assert {job["state"] for job in gate.jobs()} == {"queued"}
    gate.call("Resume")
    gate.until_over(2)


def test_one_that_is_paused_by_name_stays_so_when_all_go_on(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 2\nqueues: {etl: {}}\n")
    gate.call("Pause", queues=["etl"])
    assert gate.call("Pause") == {"paused": ["etl"], "all": True}
    assert gate.call("Resume") == {"paused": ["etl"], "all": False, "opened": []}
    gate.drop("a.yaml", "{name: a, command: 'true'}", "etl")
    gate.drop("b.yaml", "{name: b, command: 'true'}")
    gate.until_over(1)
    assert (gate.job("a") or {"state": "queued"})["state"] == "queued"
    assert gate.call("Resume", queues=["etl"]) == {"paused": [], "all": False, "opened": []}
    gate.until_over(2)


def test_a_slip_in_the_name_pauses_nothing(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("queues: {etl: {}}\n")
    refused = gate.ctl("pause", "etl", "elt")
    assert refused.returncode == 1
    assert b"no queue elt" in refused.stderr
    assert gate.status()["overrides"] == []


def test_all_is_a_word_for_all_together(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("queues: {etl: {}}\n")
    assert gate.ctl("pause", "all").stdout == b"paused: all queues\n"
    assert gate.ctl_json("resume", "all") == {"paused": [], "all": False, "opened": []}


@pytest.mark.parametrize("verb", [["resume", "elt"], ["resume", "etl", "elt"], ["list", "--queue", "elt"]])
def test_a_slip_in_the_name_is_told(make_gate: Callable[..., GateEnv], verb: list[str]) -> None:
    gate = make_gate("queues: {etl: {}}\n")
    gate.call("Pause", queues=["etl"])
    refused = gate.ctl(*verb)
    assert refused.returncode == 1 and b"no queue elt" in refused.stderr
    assert len(gate.status()["overrides"]) == 1, "nothing goes on"
    assert gate.ctl("list", "--queue", "etl").returncode == 0, "it has no jobs, and is one"


def test_a_queue_that_is_gone_goes_on(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("queues: {etl: {}}\n")
    gate.call("Pause", queues=["etl"])
    gate.layout.config_file.write_text("queues: {}\n")
    gate.call("Reload")
    assert gate.ctl("resume", "etl").stdout == b"nothing is paused\n"
    assert gate.ctl("resume", "etl").returncode == 1


@pytest.mark.parametrize("text", ["[1", "{}", "null", b"\xff"])
def test_a_pause_that_cannot_be_read_is_one(make_gate: Callable[..., GateEnv], text: object) -> None:
    gate = make_gate("workers: 1\nqueues: {etl: {}}\n")
    gate.call("Pause", queues=["etl"])
    damage(gate, text)
    gate.start()
    gate.drop("a.yaml", "{name: a, command: 'true'}", "etl")
    until(lambda: gate.job("a"), "it is taken in")
    assert "queue etl is paused" in waits_for(gate, 1)
    (override,) = gate.status()["overrides"]
    assert override["text"] == f"queue etl is paused{LOST}"
    assert "what was set by hand as 'pause:etl' cannot be read, and holds as the least that it can be" in gate.log()
    gate.call("Pause", queues=["etl"])
    assert gate.status()["overrides"][0]["text"] == "queue etl is paused", "now it is known who has set it"
    gate.call("Resume", queues=["etl"])
    gate.until_over(1)


LOST = ", as what was set cannot be read: set it again, or take it back"


def damage(gate: GateEnv, text: object) -> None:
    gate.stop()
    with closing(sqlite3.connect(gate.layout.database)) as db, db:
        db.execute("UPDATE overrides SET value = ?", (text,))


def test_a_limit_and_tokens_that_cannot_be_read_are_the_lowest(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 3\ntokens: {yarn: 3}\nqueues: {etl: {limit: 2}}\n")
    for words in (["limit", "etl", "3"], ["limit", "all", "2"], ["tokens", "yarn", "5"]):
        gate.ctl(*words)
    damage(gate, '{"at": 1, "by": 0, "value": -5}')
    found = [sys.executable, "-m", "taskgated", "--root", str(gate.root), "--check-store"]
    assert subprocess.run(found, check=False, capture_output=True).returncode == os.EX_OK, "it can be read"
    gate.start()
    assert [(one["kind"], one["of"], one["value"]) for one in gate.status()["overrides"]] == [
        ("limit", None, 1), ("limit", "etl", 1), ("tokens", "yarn", 0),
    ]  # fmt: skip
    assert all(one["text"].endswith(LOST) for one in gate.status()["overrides"])
    damage(gate, "[1")
    said = subprocess.run(found, check=False, capture_output=True, text=True)
    assert said.returncode == os.EX_DATAERR and said.stdout.count("what was set by hand as ") == 3
    assert "To do: see " in said.stdout
    gate.start()
    for words in (["limit", "etl", "--reset"], ["limit", "all", "--reset"], ["tokens", "yarn", "--reset"]):
        gate.ctl(*words)
    assert gate.status()["overrides"] == []
    assert gate.stop() == 0
    assert subprocess.run(found, check=False, capture_output=True).returncode == os.EX_OK


def test_an_override_reads_as_it_was_written() -> None:
    for override in (Override("pause", None, 5, Owner("0", 0)), Override("limit", "a:b", 5, Owner("alice", 1000), 4)):
        assert Override.read(override.name, override.text()) == override
    unnamed = Override.read("pause", '{"at": 5, "by": 1000}')
    assert unnamed is not None and unnamed.by == Owner("1000", 1000), "as an earlier version wrote it"
    for text in ("", "[]", "{}", '{"at": "1", "by": 0}', "[" * 100_000):
        for name, least in (("pause", None), ("limit:etl", 1), ("tokens:yarn", 0)):
            lost = Override.read(name, text)
            assert lost is not None and (lost.name, lost.value, lost.lost) == (name, least, True)
        assert Override.read("of a later version", text) is None
