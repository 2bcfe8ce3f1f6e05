"""Policies of a queue: what they take, and what contradicts itself, with file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskgated.core.adaptive import Adaptive, Overload
from taskgated.core.breaker import Breaker
from taskgated.core.machine import Machine, Pressure, Whose
from taskgated.core.rate import Rate
from taskgated.errors import ConfigError
from taskgated.host.paths import Layout
from taskgated.language.config import Config, QueueConfig
from taskgated.language.configfiles import load


def loaded(root: Path, main: str, later: str = "") -> Config:
    layout = Layout.under(root)
    layout.config_drop_ins.mkdir(parents=True)
    layout.config_file.write_text(main)
    (layout.config_drop_ins / "a.yaml").write_text(later)
    return load(layout)


def etl(root: Path, policy: str, later: str = "") -> QueueConfig:
    config = loaded(root, f"queues: {{etl: {{{policy}}}}}\n", f"queues: {{etl: {{{later}}}}}\n" if later else "")
    return config.queues["etl"]


def problems(root: Path, policy: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        etl(root, policy)
    return [str(one).split("\n")[0].partition("taskgated.yaml:")[2] for one in caught.value.problems]


def test_a_rate(tmp_path: Path) -> None:
    assert etl(tmp_path / "a", "rate: {starts: 10, per: 1min, burst: 3}").rate == Rate(10, 60.0, 3)
    assert etl(tmp_path / "b", "rate: {starts: 10, per: 1min}").rate == Rate(10, 60.0)
    assert etl(tmp_path / "c", "limit: 1").rate is None


@pytest.mark.parametrize(
    ("policy", "wrong"),
    [
        ("rate: {starts: 10}", "1:22: 'per' is missing"),
        ("rate: {}", "1:22: 'starts' is missing"),
        (
            "rate: 10",
            "1:22: rate: expected a mapping of keys to values, not a whole number (write {starts: 10, per: 1min})",
        ),
        ("rate: {starts: 3, per: 1min, burst: 4}", "1:52: burst: 4 can never start back to back, as starts is 3"),
        ("rate: {starts: 0, per: 1min}", "1:31: starts: 0 is not between 1 and 1000000"),
        ("rate: {starts: 3, per: 0}", "1:39: per: must be more than nothing"),
        ("limit: automatic", "1:23: limit: expected a whole number, auto, or none, not text 'automatic'"),
        ("limit: {min: 1}", "1:24: unknown key 'min'"),
        ("limit: {auto: {min: 3, max: 2}}", "1:44: max: it is lower than min, 3"),
        ("limit: {auto: {overload: {exit_codes: []}}}", "1:41: overload: no job can ever say so"),
        ("limit: {auto: {overload: {exit_codes: [0]}}}", "1:55: 0 is not between 1 and 255"),
        ("limit: {auto: {overload: {output: '(a'}}}", "1:50: output: a '(' without its ')' (character 1)"),
        ("retry_budget: 20", "1:30: retry_budget: 20 is not between 0 and 1"),
        ("breaker: {within: 1min}", "1:25: 'failures' is missing"),
        ("breaker: {failures: 3, pause: 0}", "1:46: pause: must be more than nothing"),
        ("rate: {start: 3, per: 1min}", "1:23: unknown key 'start'"),
        ("machine: {}", "1:25: machine: it bounds nothing"),
        ("machine: {pressure: {of: cgroup}}", "1:25: machine: it bounds nothing"),
        ("machine: {load: 0}", "1:32: load: must be more than nothing"),
        ("machine: {memory: 4GB}", "1:34: memory: '4GB' is no size"),
        ("machine: {pressure: {io: 101}}", "1:41: io: 101 is not between 0 and 100"),
        ("machine: {pressure: {of: gate}}", "1:41: of: expected one of host, cgroup"),
        ("machine: 8", "1:25: machine: expected a mapping of keys to values"),
    ],
)
def test_what_contradicts_itself_is_refused_where_it_stands(tmp_path: Path, policy: str, wrong: str) -> None:
    assert any(one.startswith(wrong) for one in problems(tmp_path, policy)), problems(tmp_path / "again", policy)


def test_a_retry_budget(tmp_path: Path) -> None:
    assert etl(tmp_path / "a", "retry_budget: 0.2").retry_budget == 0.2
    assert etl(tmp_path / "b", "retry_budget: 0").retry_budget == 0
    assert etl(tmp_path / "c", "retry_budget: 0.5", "retry_budget: none").retry_budget is None


@pytest.mark.parametrize("key", ["limit", "user_limit"])
def test_a_later_file_takes_a_limit_back(tmp_path: Path, key: str) -> None:
    assert getattr(etl(tmp_path / "a", f"{key}: 2"), key) == 2
    assert getattr(etl(tmp_path / "b", f"{key}: 2", f"{key}: none"), key) is None
    assert etl(tmp_path / "c", "limit: auto", "limit: none").auto is None


def test_a_later_file_takes_a_probe_back(tmp_path: Path) -> None:
    probes = "probes: {p: {command: x}}\n"
    config = loaded(tmp_path, f"{probes}queues: {{etl: {{probe: p}}}}\n", "queues: {etl: {probe: none}}\n")
    assert config.queues["etl"].probe is None


def test_a_breaker(tmp_path: Path) -> None:
    assert etl(tmp_path / "a", "breaker: {failures: 5}").breaker == Breaker(5, 600.0, 300.0)
    assert etl(tmp_path / "b", "breaker: {failures: 5, within: 1min, pause: 1s}").breaker == Breaker(5, 60.0, 1.0)
    assert etl(tmp_path / "c", "breaker: none").breaker is None


def test_a_limit_that_adjusts_itself(tmp_path: Path) -> None:
    assert (etl(tmp_path / "a", "limit: auto").auto, etl(tmp_path / "b", "limit: auto").limit) == (Adaptive(), None)
    said = "limit: {auto: {min: 2, max: 16, overload: {exit_codes: [7], output: 'Queue .* is full'}}}"
    assert etl(tmp_path / "c", said).auto == Adaptive(2, 16, Overload((7,), "Queue .* is full"))
    assert etl(tmp_path / "d", "limit: {auto: {overload: {output: x}}}").auto == Adaptive(
        1, None, Overload((75,), "x")
    )
    fixed = etl(tmp_path / "e", said, "limit: 4")
    assert (fixed.auto, fixed.limit) == (None, 4)


def test_a_limit_that_comes_to_adjust_itself_is_not_lifted(tmp_path: Path) -> None:
    before = loaded(tmp_path / "a", "queues: {etl: {limit: 4}}\n")
    assert loaded(tmp_path / "b", "queues: {etl: {limit: auto}}\n").lifted(before) == []
    assert len(loaded(tmp_path / "c", "queues: {etl: {}}\n").lifted(before)) == 1
    assert len(loaded(tmp_path / "d", "workers: 2\nqueues: {etl: {limit: {auto: {max: 3}}}}\n").notes()) == 1


def test_bounds_of_the_machine(tmp_path: Path) -> None:
    written = "machine: {load: 8, memory: 4G, pressure: {cpu: 60, memory: 10.5, io: 40, of: cgroup}}"
    pressure = Pressure(60.0, 10.5, 40.0, Whose.CGROUP)
    assert etl(tmp_path / "a", written).machine == Machine(8.0, 4 * 2**30, pressure)
    assert etl(tmp_path / "b", "machine: {load: 0.5}").machine == Machine(load=0.5)
    assert etl(tmp_path / "c", "machine: {load: 8}", "machine: {memory: 1G}").machine == Machine(memory=2**30)
    assert etl(tmp_path / "d", "machine: {load: 8}", "machine: none").machine is None


def test_a_later_file_says_all_of_a_policy_or_that_there_is_none(tmp_path: Path) -> None:
    first = "rate: {starts: 10, per: 1min, burst: 3}, limit: 2"
    assert etl(tmp_path / "a", first, "rate: {starts: 2, per: 1s}").rate == Rate(2, 1.0)
    lifted = etl(tmp_path / "b", first, "rate: none")
    assert (lifted.rate, lifted.limit) == (None, 2)
