"""What policies remember: written with what it follows from, forgotten with its policy, cautious when it is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from taskgated.core.attempts import Finish
from taskgated.core.job import Job, Outcome, Result, Spec
from taskgated.core.lifecycle import Verb, Verdict
from taskgated.core.rate import Rate
from taskgated.core.state import State
from taskgated.daemon.ledger import Ledger
from taskgated.daemon.rates import Rates
from taskgated.host.journal import Journal
from taskgated.language.config import Config, from_values
from taskgated.store.client import StoreClient
from taskgated.store.sqlite.store import SqliteStore
from tests.env.until import until


def config(**queues: bool) -> Config:
    made = {name: {"rate": Rate(2, 60.0)} if limited else {} for name, limited in queues.items()}
    return from_values({"workers": 1, "queues": made})


def job(queue: str) -> Job:
    return Job(1, queue, 50, State.QUEUED, Spec(command="true", queue=queue), attempt=1)


@dataclass
class Env:
    """A ledger on a store, with a clock that stands."""

    path: Path
    before: dict[str, str] = field(default_factory=dict)
    now: int = 1_000_000

    def __post_init__(self) -> None:
        self.client = StoreClient(SqliteStore(self.path), lambda: None)
        self.client.start()
        self.journal = Journal()
        self.ledger = Ledger(self.client, self.journal, self.before)
        self.rates = Rates(lambda: self.now)
        self.told = 0
        self.ledger.changed.add(self._changed)

    def _changed(self) -> None:
        self.told += 1

    def stored(self) -> dict[str, str]:
        self.client.flush()
        return dict(self.client.question(lambda store: store.memory()))

    def close(self) -> None:
        self.client.stop(30)
        self.journal.close()


@pytest.fixture
def env(tmp_path: Path) -> Iterator[Env]:
    made = Env(tmp_path / "jobs.sqlite")
    yield made
    made.close()


def test_a_start_is_remembered_with_it_and_waits_for_the_disk(env: Env) -> None:
    env.ledger.add(env.rates, config(etl=True, other=False))
    kept = env.ledger.starting(job("etl"))
    assert kept.durable and json.loads(kept.values["rate:etl"] or "") == {"under_way": 1}
    assert env.stored() == {}, "that is for who records the start"
    assert env.told == 1
    nothing = env.ledger.starting(job("other"))
    assert not nothing.values and not nothing.durable
    assert env.told == 1, "nobody has to look at a queue without a policy"


def test_what_follows_is_remembered_as_well(env: Env) -> None:
    env.ledger.add(env.rates, config(etl=True))
    env.ledger.starting(job("etl"))
    env.ledger.started(job("etl"))
    assert json.loads(env.stored()["rate:etl"])["begun"] == [[env.now, 1]]
    env.ledger.starting(job("etl"))
    env.ledger.refused(job("etl"))
    assert "under_way" not in json.loads(env.stored()["rate:etl"])
    outcome = Outcome(1, 1, Result.SUCCEEDED)
    ended = env.ledger.ended(Finish(job("etl"), outcome, Verdict(Verb.SUCCEED), None))
    assert not ended.values, "a rate remembers nothing of ends"
    assert env.told == 5, "and yet somebody has to look"


def test_it_goes_with_its_policy(env: Env) -> None:
    env.ledger.add(env.rates, config(etl=True, x=True))
    for queue in ("etl", "x"):
        env.ledger.starting(job(queue))
        env.ledger.started(job(queue))
    assert env.stored().keys() == {"rate:etl", "rate:x"}
    env.ledger.configure(config(etl=True, x=False))
    assert env.stored().keys() == {"rate:etl"}
    assert env.rates.pages["etl"][1].free(env.rates.pages["etl"][0], env.now)[0] == 1, "the other goes on"
    env.ledger.configure(config(etl=True, x=True))
    assert env.rates.pages["x"][1].free(env.rates.pages["x"][0], env.now)[0] == 2, "it begins anew"


@pytest.mark.parametrize("text", ["", "{", "7", '{"begun": 7}', '{"of a later version": 1}', "[" * 100_000])
def test_what_cannot_be_read_is_told_once_and_the_worst_is_assumed(
    tmp_path: Path, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    env = Env(tmp_path / "jobs.sqlite", {"rate:etl": text})
    env.ledger.add(env.rates, config(etl=True))
    env.ledger.configure(config(etl=True))
    settings, page = env.rates.pages["etl"]
    assert page.free(settings, env.now)[0] == 0
    env.close()
    assert capfd.readouterr().err.count("what was remembered for the rate of queue etl cannot be read") == 1


def test_what_belongs_to_no_book_is_removed(tmp_path: Path) -> None:
    env = Env(tmp_path / "jobs.sqlite", {"rate:gone": "{}", "of a later version:etl": "{}", "rate:etl": "{}"})
    before = dict(env.before)
    env.client.call(lambda store: store.remember(before))
    env.ledger.add(env.rates, config(etl=True))
    env.ledger.opened()
    until(lambda: env.stored().keys() == {"rate:etl"})
    env.close()
