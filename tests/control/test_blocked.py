"""By what how many of the queued jobs of a queue are kept, as status has it."""

from __future__ import annotations

from collections.abc import Callable

from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]


def blocked(gate: GateEnv, queue: str) -> dict[str, int]:
    (found,) = (one["blocked"] for one in gate.status()["queues"] if one["name"] == queue)
    return dict(found)


def test_by_the_limits_of_their_user(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 4\nuser_limit: 2\nqueues: {a: {}, b: {user_limit: 1}}\n")
    gate.drop("a.yaml", "- {queue: b, command: sleep 600}\n" * 3)
    until(lambda: gate.status()["counts"]["running"] == 1, "one of b runs")
    until(lambda: blocked(gate, "b") == {"user_limit": 2}, "by the limit in the queue")
    gate.drop("b.yaml", "- {queue: a, command: sleep 600}\n" * 4)
    until(lambda: blocked(gate, "a") == {"user_limit": 3}, "by that over all queues")
    rows = [line.split() for line in gate.ctl("status").stdout.decode().splitlines()]
    assert ["a", "-", "3", "1", "0", "user_limit", "3"] in rows


def test_by_what_keeps_the_whole_queue(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 4\nqueues: {a: {limit: 1}, b: {}}\n")
    gate.ctl("pause", "b")
    gate.drop(
        "a.yaml", "- {queue: a, command: sleep 600, key: k}\n" * 3 + "- {queue: b, command: 'true', delay: 1h}\n"
    )
    until(lambda: blocked(gate, "a") == {"queue_limit": 2}, "each of them counts once")
    until(lambda: blocked(gate, "b") == {"paused": 1}, "what keeps all of them comes first")


def test_by_what_keeps_all_though_workers_are_idle(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 3\nlimit: 1\nqueues: {a: {}}\n")
    gate.drop("a.yaml", "- {queue: a, command: sleep 600}\n" * 3 + "- {queue: a, command: 'true', delay: 1h}\n")
    until(lambda: blocked(gate, "a") == {"time": 1, "limit": 2}, "each of them counts once")
    gate.ctl("limit", "all", "3")
    until(lambda: blocked(gate, "a") == {"time": 1}, "all others run")


def test_by_what_they_wait_for_themselves(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 8\ntokens: {t: 1}\nqueues: {a: {}}\n")
    gate.drop(
        "a.yaml", "{name: first, queue: a, command: sleep 600, tokens: {t: 1}, locks: {exclusive: [l]}, key: k}\n"
    )
    gate.until_running("first")
    gate.drop(
        "b.yaml",
        "[{queue: a, command: 'true', tokens: {t: 1}}, {queue: a, command: 'true', locks: {shared: [l]}},"
        " {queue: a, command: 'true', key: k}, {queue: a, command: 'true', after: [first]},"
        " {queue: a, command: 'true', delay: 1h}, {queue: a, command: 'true', requires: {command: 'false'}}]",
    )
    every = {"token": 1, "lock": 1, "key": 1, "after": 1, "time": 1, "requires": 1}
    until(lambda: blocked(gate, "a") == every, "each by its own")


def test_by_the_budget_of_retries(make_gate: MakeGate) -> None:
    gate = make_gate("workers: 4\nqueues: {a: {retry_budget: 0.01}}\n")
    gate.drop("a.yaml", "- {queue: a, command: exit 1, retry: {attempts: 9, delay: 10ms}}\n" * 4)
    until(lambda: blocked(gate, "a").get("rate", 0) >= 1, "those that have failed before")
