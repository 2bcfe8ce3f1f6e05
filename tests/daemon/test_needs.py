"""Tokens, locks and keys, with real jobs: what they write themselves is the judge."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable

import pytest

from tests.env.audit import Takes, dropped, excesses, overlaps, spec
from tests.env.gate import GateEnv
from tests.env.until import until

CONFIG = "workers: 6\ntokens: {yarn: 3, db: 1}\nqueues:\n  default: {}\n  etl: {tokens: {yarn: 1}}\n"


@pytest.fixture
def gate(make_gate: Callable[..., GateEnv]) -> GateEnv:
    return make_gate(CONFIG)


def test_no_more_tokens_are_out_than_there_are(gate: GateEnv) -> None:
    record = gate.scratch / "record"
    jobs = {f"j{n}": Takes({"yarn": 1 + n % 3}) for n in range(12)}
    gate.drop("a.json", dropped(spec(record, name, takes, 0.1) for name, takes in jobs.items()))
    gate.until_over(12)
    at_once = overlaps(record)
    assert excesses(at_once, jobs, {"yarn": 3}) == []
    assert max(len(names) for names in at_once) > 1, "some run together"


def test_who_says_nothing_takes_what_its_queue_says(gate: GateEnv) -> None:
    record = gate.scratch / "record"
    gate.drop("a.json", dropped(spec(record, f"j{n}", Takes(), 0.1) for n in range(9)), "etl")
    gate.until_over(9)
    assert max(len(names) for names in overlaps(record)) == 3


def test_readers_together_writers_alone_and_no_writer_is_passed_by(gate: GateEnv) -> None:
    record = gate.scratch / "record"
    read, write = Takes(shared=("t",)), Takes(exclusive=("t",))
    jobs = {"r1": read, "r2": read, "w": write, **{f"r{n}": read for n in range(3, 10)}}
    gate.drop("a.json", dropped(spec(record, name, takes, 0.4) for name, takes in jobs.items()))
    gate.until_over(10)
    assert excesses(overlaps(record), jobs, {}) == []
    begun = [line.split()[1] for line in record.read_text().splitlines() if line.startswith("+")]
    assert begun.index("w") == 2, "readers that came later waited behind it"


def test_who_is_blocked_holds_nobody_else_back(gate: GateEnv) -> None:
    record = gate.scratch / "record"
    jobs = {f"b{n}": Takes({"db": 1}) for n in range(200)}
    gate.drop("a.json", dropped([spec(record, name, takes, 30) for name, takes in jobs.items()]))
    until(record.exists, "one runs")
    gate.drop("b.json", dropped([spec(record, "free", Takes(), 0)]))
    until(lambda: "- free" in record.read_text(), "it passed by two hundred that are blocked")
    blocked = next(job for job in gate.jobs() if job["name"] == "b150")
    reasons = json.loads(gate.ctl("--json", "why", str(blocked["id"])).stdout)["reasons"]
    assert {reason["kind"] for reason in reasons} <= {"token", "order"} and reasons
    for job in gate.jobs():
        if job["state"] in ("queued", "running"):
            gate.call("Cancel", id=job["id"])


def test_a_big_one_is_not_passed_by_for_ever(gate: GateEnv) -> None:
    """It needs all tokens; small ones come all the time."""
    record = gate.scratch / "record"
    small = Takes({"yarn": 1})
    gate.drop("a.json", dropped(spec(record, f"s{n}", small, 0.3) for n in range(3)))
    until(lambda: record.exists() and record.read_text().count("+") == 3, "they run")
    gate.drop("b.json", dropped([spec(record, "big", Takes({"yarn": 3}), 0)]))
    until(lambda: gate.job("big") is not None, "it is there")
    for n in range(3, 9):
        gate.drop(f"{n}.json", dropped([spec(record, f"s{n}", small, 0.3)]))
    gate.until_over(10)
    begun = [line.split()[1] for line in record.read_text().splitlines() if line.startswith("+")]
    assert begun.index("big") == 3


def test_on_conflict(gate: GateEnv) -> None:
    record = gate.scratch / "record"

    def drop(name: str, how: str, seconds: float = 0.0) -> None:
        gate.drop(f"{name}.json", dropped([spec(record, name, Takes(key="k"), seconds, on_conflict=how)]))
        until(lambda: gate.job(name) is not None, f"{name} is there")

    def states() -> dict[str, str]:
        return {job["name"]: job["state"] for job in gate.jobs()}

    drop("first", "queue", 3)
    gate.until_running("first")
    drop("skipped", "skip")
    drop("more", "once_more")
    drop("too_many", "once_more")
    assert states() == {"first": "running", "skipped": "cancelled", "more": "queued", "too_many": "cancelled"}
    drop("instead", "replace")
    assert states()["more"] == "cancelled" and states()["instead"] == "queued"
    reasons = {job["name"]: job["reason"] for job in gate.jobs()}
    ids = {job["name"]: job["id"] for job in gate.jobs()}
    assert str(ids["first"]) in reasons["skipped"] and str(ids["more"]) in reasons["too_many"]
    assert str(ids["instead"]) in reasons["more"]
    gate.until_over(5)
    assert record.read_text().splitlines() == ["+ first", "- first", "+ instead", "- instead"]


def test_a_retry_keeps_its_key(gate: GateEnv) -> None:
    record = gate.scratch / "record"
    retry = {"attempts": 2, "delay": "100ms"}
    first = {"name": "a", "command": f"echo + a >> {record}; exit 1", "key": "k", "retry": retry}
    gate.drop("a.json", json.dumps([first, spec(record, "b", Takes(key="k"), 0)]))
    gate.until_over(2)
    assert sorted(record.read_text().splitlines()) == ["+ a", "+ a", "+ b", "- b"]


def test_a_mixture_with_crashes(gate: GateEnv) -> None:
    """No token, lock or key is ever had twice, and all of it ends, whenever the daemon is killed."""
    record = gate.scratch / "record"
    random.seed(12)
    jobs = {}
    for n in range(60):
        tokens = {
            token: random.randint(1, total) for token, total in (("yarn", 3), ("db", 1)) if random.random() < 0.4
        }
        alone = tuple(lock for lock in "abc" if random.random() < 0.15)
        shared = tuple(lock for lock in "abc" if lock not in alone and random.random() < 0.2)
        jobs[f"j{n}"] = Takes(tokens, alone, shared, random.choice(["", "", "k", "l"]))
    for part in range(0, 60, 20):
        some = list(jobs.items())[part : part + 20]
        gate.drop(f"{part}.json", dropped(spec(record, name, takes, random.uniform(0, 0.2)) for name, takes in some))
        time.sleep(random.uniform(0.1, 0.8))
        gate.kill()
        gate.start()
    gate.until_over(60, 120)
    assert excesses(overlaps(record), jobs, {"yarn": 3, "db": 1}) == []
    ended = [line for line in record.read_text().splitlines() if line.startswith("-")]
    assert sorted(ended) == sorted(f"- {name}" for name in jobs)


def test_how_many_tokens_there_are_is_set_by_hand(gate: GateEnv) -> None:
    assert gate.ctl("tokens", "yarn", "1").stdout == b"tokens yarn: 1, by hand; configured: 3\n"
    record = gate.scratch / "record"
    jobs = {f"j{n}": Takes({"yarn": 1}) for n in range(6)}
    gate.drop("a.json", dropped(spec(record, name, takes, 0.3) for name, takes in jobs.items()))
    until(lambda: record.exists() and record.read_text().count("-") == 2, "two have ended, one after the other")
    assert excesses(overlaps(record), jobs, {"yarn": 1}) == []
    gate.kill()
    gate.start()
    (override,) = gate.status()["overrides"]
    assert (override["kind"], override["of"]) == ("tokens", "yarn")
    assert override["text"] == "there are 1 of the tokens yarn"
    assert gate.ctl_json("tokens", "yarn", "--reset") == {"total": 3, "configured": 3}
    gate.until_over(6)
    assert max(len(names) for names in overlaps(record)) > 1, "those that waited run together"
    done = gate.ctl("tokens", "nothing", "1")
    assert done.returncode == 1 and b"there are no tokens nothing in the configuration" in done.stderr


@pytest.mark.parametrize("less", [{"token": "yarn", "total": 2}, None])
def test_nothing_is_promised_to_one_that_has_come_to_need_more_than_there_is(
    gate: GateEnv, less: dict[str, object] | None
) -> None:
    """It waited for tokens, and then for a lock, so that all it needs was promised to it."""
    wait = f"until test -e {gate.scratch}/$TASKGATE_JOB_NAME; do sleep 0.05; done"
    gate.drop("a.json", json.dumps({"name": "lock", "command": wait, "locks": {"exclusive": ["x"]}}))
    gate.drop("b.json", json.dumps({"name": "tokens", "command": wait, "tokens": {"yarn": 3}}))
    gate.until_running("lock")
    gate.until_running("tokens")
    big = {"name": "big", "command": "true", "tokens": {"yarn": 3}, "locks": {"exclusive": ["x"]}}
    gate.drop("c.json", json.dumps(big))

    def waits_for() -> str:
        job = gate.job("big")
        return "" if job is None else str([reason["kind"] for reason in gate.call("Why", id=job["id"])["reasons"]])

    until(lambda: waits_for() == "['token', 'lock']", "it waits for tokens")
    (gate.scratch / "tokens").touch()
    until(lambda: waits_for() == "['lock']", "it waits for the lock")
    gate.drop("d.json", json.dumps([{"name": "small", "command": "true", "tokens": {"yarn": 1}}]))
    until(lambda: gate.job("small"), "it is there, and the tokens are promised to another")
    if less is not None:
        gate.call("Tokens", **less)
    else:
        gate.configure(CONFIG.replace("yarn: 3", "yarn: 2"))
        gate.call("Reload")
    (gate.scratch / "lock").touch()
    gate.drop("e.json", json.dumps({"name": "after", "command": "true", "locks": {"exclusive": ["x"]}}))
    gate.until_over(4)
    assert waits_for() == "['token']"


def test_what_the_operator_has_made_possible_is_taken(gate: GateEnv) -> None:
    """Tokens that are set by hand are there; what may come again is possible as well."""
    gate.ctl("tokens", "yarn", "5")
    gate.drop("a.yaml", "{command: 'true', tokens: {yarn: 5}}\n")
    gate.until_over(1)
    gate.ctl("tokens", "yarn", "2")
    gate.drop("b.yaml", "{command: 'true', tokens: {yarn: 3}}\n")
    until(lambda: len(gate.jobs()) == 2, "it may start when the configuration holds again")
    assert [one["jobs"] for one in gate.status()["never"]] == [1]
    gate.drop("c.yaml", "{command: 'true', tokens: {yarn: 4}}\n")
    until((gate.layout.rejected / "c.yaml").exists, "it never may")
    gate.ctl("tokens", "yarn", "--reset")
    gate.until_over(2)


@pytest.mark.parametrize("needs", [{"tokens": {"yarn": 2}}, {"locks": {"exclusive": ["a"]}}, {"key": "k"}])
def test_only_who_waits_comes_first_not_who_runs(gate: GateEnv, needs: dict[str, object]) -> None:
    """What the one that runs has is the reason; that others of the same needs come first is none, for none waits."""
    gate.drop("a.json", json.dumps([{"name": name, "command": "sleep 600", **needs} for name in ("a", "b", "c")]))
    gate.until_running("a")

    def kinds(name: str) -> list[str]:
        job = gate.job(name)
        return [] if job is None else [reason["kind"] for reason in gate.call("Why", id=job["id"])["reasons"]]

    (short,) = until(lambda: kinds("b"), "it waits")
    assert short in ("token", "lock", "key")
    assert "order" in kinds("c")
