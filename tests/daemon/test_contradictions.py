"""What cannot be meant is refused at once, with its place and the reason: by ``--check``, and when it is dropped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until

MakeGate = Callable[..., GateEnv]
CONFIG = """\
workers: 2
tokens: {db: 3}
queues:
  etl: {tokens: {db: 1}}
  late: {defaults: {delay: 1h}}
  soon: {defaults: {expires: 1h}}
"""
CONFIGURED = [
    ("queues: {etl: {probe: yarn}}", "1:23: probe: there is no probe 'yarn' (define it under probes)"),
    ("queues: {etl: {tokens: {yarn: 1}}}", "1:31: tokens: there are no tokens 'yarn'"),
    (
        "tokens: {yarn: 1}\nqueues: {etl: {tokens: {yarn: 2}}}",
        "2:31: tokens: it takes 2 of yarn, and there are 1 in all",
    ),
    ("tokens: {yarn: -1}", "1:16: yarn: -1 is not between 0 and 1000000"),
    ("tokens: {'a b': 1}", "1:10: 'a b' cannot be used"),
    ("queues: {etl: {windows: {opens: '*-02-30', closes: '9:00'}}}", "1:33: opens: '*-02-30' never comes"),
    ("queues: {etl: {windows: {opens: '9:00', closes: '9:00'}}}", "1:33: opens: it never opens"),
    ("queues: {etl: {windows: {opens: '9:00'}}}", "1:25: 'closes' is missing"),
    ("queues: {etl: {windows: {opens: '9:00', closes: '8:00', at_close: kill}}}", "1:67: at_close: expected one of"),
    ("queues: {etl: {limit: 0}}", "1:23: limit: 0 is not between"),
    ("queues: {etl: {user_limit: 0}}", "1:28: user_limit: 0 is not between"),
    ("limit: 0", "1:8: limit: 0 is not between"),
    ("queues: {etl: {limit: {auto: {min: 3, max: 2}}}}", "1:44: max: it is lower than min, 3"),
    ("queues: {etl: {breaker: {pause: 1min}}}", "1:25: 'failures' is missing"),
    ("queues: {etl: {rate: {starts: 1, per: 1min, burst: 2}}}", "1:52: burst: 2 can never start back to back"),
    ("queues: {etl: {machine: {}}}", "1:25: machine: it bounds nothing"),
    ("queues: {etl: {share: fair, strict: true}}", "1:37: strict: it is for a queue whose jobs go in order"),
    ("queues: {etl: {retry_budget: 2}}", "1:30: retry_budget: 2 is not between 0 and 1"),
    ("queues: {etl: {defaults: {delay: 1h, deadline: 1min}}}", "1:48: deadline: 1min after its submission, which is"),
    ("queues: {etl: {defaults: {delay: 1h, expires: 1min}}}", "1:47: expires: 1min after its submission, which is"),
    ("queues: {etl: {defaults: {retry: {on: [1], not_on: [1]}}}}", "1:52: not_on: 1 is in both"),
    ("queues: {etl: {defaults: {locks: {exclusive: [a], shared: [a]}}}}", "1:34: locks: 'a' is locked in both ways"),
    ("queues: {etl: {defaults: {retry: {delay: 2h, max_delay: 1h}}}}", "1:57: max_delay: the first pause, 2h, is"),
    ("queues: {etl: {defaults: {after_timeout: 0}}}", "1:42: after_timeout: must be more than nothing"),
    ("after_timeout: 0s", "1:16: after_timeout: must be more than nothing"),
    ("probes: {none: {command: x}}", "1:10: 'none' cannot be used: it stands for no probe"),
    ("queues: {etl: {defaults: {after: a}}}", "1:27: unknown key 'after' (it is no default: a job says it)"),
    ("probes: {yarn: {every: 1s}}", "1:16: 'command' is missing"),
    ("probes: {yarn: {command: x, on_error: maybe}}", "1:39: on_error: expected one of open, closed"),
    ("users: {root: {weight: 0}}", "1:24: weight: 0 is not between"),
]
NOTED = [
    ("probes: {yarn: {command: x}}", "probe yarn: no queue names it, so it is never asked"),
    (
        "queues: {etl: {limit: {auto: {min: 9}}}}\nworkers: 4",
        "queue etl: its limit is 9, but no more than 4 jobs run",
    ),
    (
        "queues: {etl: {windows: {opens: '2020-01-01', closes: '2020-01-02'}}}",
        "queue etl: none of its windows opens any more, so none of its jobs starts",
    ),
    ("queues: {etl: {machine: {memory: 900T}}}", "queue etl: machine: so much memory"),
    ("probes: {yarn: {command: [/no/such/probe]}}", "probe yarn: /no/such/probe is no program here that can be run"),
    (
        "queues: {etl: {handler: {command: [no-such-program, '{file}']}}}",
        "queue etl: its handler: no-such-program is",
    ),
]
DROPPED = [
    ("queue: nowhere", "2:8: queue: there is no queue 'nowhere'"),
    ("tokens: {yarn: 1}", "2:16: tokens: there are no tokens 'yarn' (known: db)"),
    ("tokens: {db: 4}", "2:14: tokens: it takes 4 of db, and there are 3 in all"),
    ("tokens: {db: -1}", "2:14: db: -1 is not between 0 and 1000000"),
    ("locks: {exclusive: [x], shared: [x]}", "2:8: locks: 'x' is locked in both ways"),
    ("locks: {exclusive: [x, x]}", "2:20: exclusive: 'x' is there twice"),
    (f"key: {'k' * 201}", "2:6: key: longer than 200 characters"),
    ("key: a b", "2:6: key: expected a word without blanks"),
    ("on_conflict: skip", "2:14: on_conflict: it says what jobs of one key do, and there is no key"),
    ("{name: a, after: a}", "after: 'a' would wait for itself"),
    ("after: []", "2:8: after: is empty"),
    ("after: 0", "2:8: after: 0 is no id of a job"),
    ("after: [{job: x, when: failed}, x]", "2:33: after: 'x' cannot have both failed and succeeded"),
    ("{delay: 1h, deadline: 1min}", "deadline: 1min after its submission, which is not after its delay of 1h"),
    ("{delay: 1h, expires: 1min}", "expires: 1min after its submission, which is not after its delay of 1h"),
    ("{queue: late, expires: 1h}", "expires: 1h after its submission, which is not after its delay of 1h (the other"),
    ("{queue: soon, delay: 2h}", "delay: 1h after its submission, which is not after its delay of 2h (the other"),
    ("{not_before: 2299-01-01T00:00:00Z, deadline: 1d}", "deadline: 1d after its submission, which is not"),
    ("{not_before: 2299-01-01T00:00:00Z, expires: 1d}", "expires: 1d after its submission, which is not"),
    ("expires: 2020-01-01", "2:10: expires: '2020' has no unit of time"),
    ("{delay: 1h, not_before: 2099-01-01T00:00:00Z}", "'delay' and 'not_before' exclude each other"),
    ("retry: {attempts: 3, on: [1], not_on: [1]}", "2:39: not_on: 1 is in both 'on' and 'not_on'"),
    ("retry: {on: [1]}", "2:13: on: it is tried only once"),
    ("retry: {attempts: 3, on: [timeout]}", "2:26: on: no attempt has a timeout"),
    ("requires: {every: 1s}", "2:11: 'command' is missing"),
    ("array: {from: 1, to: 9, at_most: 0}", "2:34: at_most: 0 is not between"),
    ("{timeout: 1min, warn: {before: 1h}}", "warn: a signal 1h ahead of a timeout of 1min comes before the start"),
]


def check(root: Path, text: str) -> subprocess.CompletedProcess[str]:
    etc = root / "etc"
    etc.mkdir()
    (etc / "taskgated.yaml").write_text(f"{text}\n")
    command = [sys.executable, "-m", "taskgated", "--root", str(root), "--check"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("text", "said"), CONFIGURED)
def test_a_configuration_is_refused_where_it_stands(tmp_path: Path, text: str, said: str) -> None:
    done = check(tmp_path, text)
    assert done.returncode == os.EX_CONFIG
    assert f"etc/taskgated.yaml:{said}" in done.stderr


@pytest.mark.parametrize(("text", "said"), NOTED)
def test_what_may_not_be_meant_is_noted(tmp_path: Path, text: str, said: str) -> None:
    done = check(tmp_path, text)
    assert (done.returncode, done.stderr) == (os.EX_OK, "")
    assert f"\nnote: {said}" in done.stdout


def dropped(keys: str) -> str:
    """A job with these, in lines of its own or in a mapping."""
    return f"command: x\n{keys}\n" if not keys.startswith("{") else f"{{command: x, {keys[1:]}\n"


def test_a_job_is_refused_where_it_stands(make_gate: MakeGate) -> None:
    gate = make_gate(CONFIG)
    for number, (keys, _) in enumerate(DROPPED):
        gate.drop(f"{number:02}.yaml", dropped(keys))
    rejected = gate.layout.rejected

    def reasons() -> dict[str, str]:
        return {path.name[:2]: path.read_text() for path in rejected.iterdir() if path.name.endswith(".reason")}

    until(lambda: len(reasons()) == len(DROPPED), "all are refused")
    found = reasons()
    wrong = {
        keys: found[f"{number:02}"]
        for number, (keys, said) in enumerate(DROPPED)
        if said not in found[f"{number:02}"]
    }
    assert wrong == {} and gate.jobs() == []
    assert all(f"{number}.yaml:" in text for number, text in found.items()), "the file is named, too"


def test_a_dependency_on_nothing_ends_at_once(make_gate: MakeGate) -> None:
    """That an id is none only the store knows."""
    gate = make_gate(CONFIG)
    gate.drop("a.yaml", "{command: x, after: 4711}\n")
    (job,) = gate.until_over(1)
    assert (job["state"], job["reason"]) == ("cancelled", "it was to run after job 4711, and there is none")
