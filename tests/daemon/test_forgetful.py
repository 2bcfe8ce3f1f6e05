"""A store that loses every callback still has its queue drained, and no gate lets more through for that."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.env.audit import Takes, dropped, excesses, overlaps, spec
from tests.env.gate import GateEnv
from tests.env.until import until

CONFIG = """
workers: 5
tokens: {yarn: 3, db: 1}
user_limit: 4
queues:
  default: {}
  etl: {limit: 2, tokens: {yarn: 1}}
  fair: {share: fair, rate: {starts: 5, per: 1s}}
  strict: {strict: true, retry_budget: 0.5}
"""

TOKENS = {"yarn": 3, "db": 1}


def test_all_jobs_come_to_their_end(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate(CONFIG, module="tests.env.forgetful")
    record = gate.scratch / "record"
    chance = random.Random(12)
    jobs: dict[str, Takes] = {}
    queues = ["default", "etl", "fair", "strict"]
    of_queue: dict[str, list[dict[str, Any]]] = {queue: [] for queue in queues}
    for n in range(16):
        tokens = {token: chance.randint(1, total) for token, total in TOKENS.items() if chance.random() < 0.4}
        alone = tuple(lock for lock in "ab" if chance.random() < 0.2)
        shared = tuple(lock for lock in "ab" if lock not in alone and chance.random() < 0.2)
        takes = jobs[f"j{n}"] = Takes(tokens, alone, shared, chance.choice(["", "", "k"]))
        more: dict[str, Any] = {"priority": chance.randint(0, 100)}
        if n % 5 == 1:
            more["delay"] = "1500ms"
        if n % 5 == 2:
            more["after"] = [f"j{n - 1}"]
        if n % 8 == 3:
            more["requires"] = {"command": ["/usr/bin/test", "-e", str(gate.scratch / "there")], "every": "1s"}
        of_queue[queues[n % 5 % 4 if "after" not in more else (n - 1) % 5 % 4]].append(
            spec(record, f"j{n}", takes, 0.05, **more)
        )
    for queue, specs in of_queue.items():
        gate.drop(f"{queue}.json", dropped(specs), "" if queue == "default" else queue)
    (gate.scratch / "there").touch()
    array = {"from": 1, "to": 9, "at_most": 2}
    gate.drop("a.json", dropped([{"command": "true", "name": "array", "array": array}]))
    retried = {"attempts": 2, "delay": "1s"}
    gate.drop("b.json", dropped([{"command": "exit 1", "name": "twice", "retry": retried}]), "strict")
    gate.drop("c.json", dropped([{"command": "true", "name": "late", "expires": "1s", "after": ["never"]}]))
    gate.drop("d.json", dropped([{"command": "true", "name": "moved", "delay": "1h"}]))
    until(lambda: gate.job("moved") is not None, "it is there")
    for words in (["hold"], ["move", "etl"], ["prioritize", "90"], ["release"], ["cancel"], ["retry"]):
        job = gate.job("moved")
        assert job is not None
        done = gate.ctl(words[0], str(job["id"]), *words[1:])
        assert done.returncode == 0, done.stderr
    over = gate.until_over(16 + 9 + 1 + 1 + 1, 120)
    states = {job["name"]: job["state"] for job in over}
    assert states.pop("twice") == "failed" and states.pop("late") == "cancelled"
    assert set(states.values()) == {"succeeded"}, states
    assert excesses(overlaps(record), jobs, TOKENS) == []
    assert max(map(len, overlaps(record))) <= 4
    ended = [line for line in record.read_text().splitlines() if line.startswith("-")]
    assert sorted(ended) == sorted(f"- {name}" for name in jobs)


def test_all_lines_hear_that_there_is_more(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 9\ntokens: {yarn: 1}\n", module="tests.env.forgetful")
    command = f"until test -e {gate.scratch}/go; do sleep 0.05; done"
    jobs = [
        {"command": command, "name": f"l{line}", "locks": {"shared": [f"l{line}"]}, "tokens": {"yarn": 1}}
        for line in range(3)
        for _ in range(2)
    ]
    gate.drop("a.json", dropped(jobs))
    until(lambda: len(gate.jobs()) == 6, "they are there")
    assert gate.ctl("tokens", "yarn", "6").returncode == 0
    until(lambda: [job["state"] for job in gate.jobs()] == ["running"] * 6, "all run", timeout=60)
    (gate.scratch / "go").touch()
    gate.until_over(6, 60)
