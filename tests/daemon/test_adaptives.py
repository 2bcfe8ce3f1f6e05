"""A limit that adjusts itself: by what jobs say with their exit codes and their output."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until


def limit(gate: GateEnv) -> int:
    (queue,) = (queue for queue in gate.status()["queues"] if queue["name"] == "etl")
    return int(queue["limit"])


CROWD = """\
mkdir -p {scratch}/in && touch {scratch}/in/$$
ls {scratch}/in | wc -l >> {scratch}/crowd; sleep 0.1
rm {scratch}/in/$$
"""


def test_it_grows_with_good_ends_and_never_runs_more(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 4\nqueues: {etl: {limit: {auto: {max: 3}}}}\n")
    assert limit(gate) == 1
    gate.drop("a.json", json.dumps([{"command": CROWD.format(scratch=gate.scratch)}] * 12), "etl")
    gate.until_over(12)
    crowd = [int(line) for line in gate.lines("crowd")]
    assert crowd[0] == 1
    assert max(crowd) == 3, "it grows, and not beyond its bound"
    assert limit(gate) == 3


@pytest.mark.parametrize(
    ("overload", "command"),
    [
        ("exit_codes: [99]", "exit 99"),
        ("exit_codes: [99], output: 'Queue .* is full'", "echo 'the Queue etl is full, sorry'; exit 1"),
    ],
)
def test_it_halves_once_when_those_that_started_before_say_so(
    make_gate: Callable[..., GateEnv], overload: str, command: str
) -> None:
    gate = make_gate(f"workers: 4\nqueues: {{etl: {{limit: {{auto: {{max: 4, overload: {{{overload}}}}}}}}}}}\n")
    gate.drop("a.tasks", "true\n" * 12, "etl")
    gate.until_over(12)
    assert limit(gate) == 4
    wait = f"until test -e {gate.scratch}/go; do sleep 0.05; done; {command}\n"
    gate.drop("b.tasks", wait * 4, "etl")
    until(lambda: gate.status()["counts"]["running"] == 4, "all run")
    (gate.scratch / "go").touch()
    gate.until_over(16)
    assert limit(gate) == 2
    assert gate.log().count("its limit goes down from 4 to 2") == 1
    gate.kill()
    gate.start()
    assert limit(gate) == 2, "it is remembered"
    gate.drop("c.tasks", "exit 3\n" * 2, "etl")
    gate.until_over(18)
    assert limit(gate) == 2, "no other failure has a part in it"


def test_plain_auto_goes_by_the_exit_code_for_another_time(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 2\nqueues: {etl: {limit: auto}}\n")
    gate.drop("a.tasks", "true\n", "etl")
    gate.until_over(1)
    assert limit(gate) == 2
    gate.drop("b.tasks", "exit 75\n", "etl")
    gate.until_over(2)
    assert limit(gate) == 1
    gate.drop("c.tasks", "sleep 600\nsleep 600\n", "etl")
    until(lambda: gate.status()["counts"]["running"], "one runs")
    (queued,) = (job["id"] for job in gate.jobs() if job["state"] == "queued")
    texts = [reason["text"] for reason in gate.call("Show", id=queued)["waits_for"]]
    assert "queue etl runs 1 of at most 1" in texts
