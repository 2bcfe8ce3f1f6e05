"""What comes into a store: once, whole, and with ids that only grow."""

from __future__ import annotations

from dataclasses import replace

from taskgated.core.job import Interrupted, Output, Retry, Spec
from taskgated.store.contract import Store
from taskgated.store.placement import claimed
from tests.store.jobs import add, addition, fetch, first, run, spec


def test_adding_the_same_again_adds_nothing(store: Store) -> None:
    assert len(store.add([addition("c", spec(), spec())]).jobs) == 2
    assert store.add([addition("c", spec(), spec())]).jobs == []
    assert store.known(claimed("c")) == 2


def test_a_file_that_grew_brings_only_what_is_new(store: Store) -> None:
    store.add([addition("c", spec(name="1"), spec(name="2"))])
    grown = store.add([addition("c", spec(name="2"), spec(name="3"), first=1)])
    assert [job.spec.name for job in grown.fresh] == ["3"]


def test_few_new_jobs_come_back_as_they_would_be_fetched(store: Store) -> None:
    added = store.add([addition("c", spec(priority=7), spec(delay=5)), addition("d", spec(), keep=True)])
    assert sorted(added.fresh, key=lambda job: job.rank) == fetch(store, {"default": 9})
    assert (added.best, added.timed, store.queued()) == (first(store, added.jobs[-1]), True, 3)
    assert list(store.add([addition("e", *[spec()] * 500)]).fresh) == []


def test_ids_only_grow(store: Store) -> None:
    first = add(store, spec(), claim="a")
    run(store, first[0])
    store.prune(store.prunable(-10, 0, 10))
    assert add(store, spec(), claim="b")[0] > first[0]


def test_everything_of_a_spec_survives(store: Store) -> None:
    full = Spec(
        command=("a", "b \udcff\n"), name="n\udcfe", queue="q", env={"A": "ä\udcff"}, cwd="/tmp", priority=7,
        timeout=1.5, kill_after=2.0, retry=Retry(3, 1.0, 3.0, 9.0, 0.5), success_exit_codes=(0, 7),
        expires=99.0, interrupted=Interrupted.FAIL, output=Output(5), file="/x/\udcff",
    )  # fmt: skip
    (job,) = add(store, full)
    (fetched,) = fetch(store, {"q": 5})
    assert (fetched.id, fetched.spec) == (job, full)
    assert store.show(job).record.name == "n\udcfe"


def test_where_its_file_lay_is_kept_by_the_queue_of_each_job(store: Store) -> None:
    """Of a file in the spool itself, in the directory of a queue, and of what was not said or is of another queue."""
    kept = {}
    for directory in ("", "q", None):
        lay = replace(addition(f"c{directory}", spec(queue="q"), spec(queue="default")), directory=directory)
        added = store.add([lay])
        kept[directory] = [job.nested for job in added.fresh]
        assert [store.show(job).job.nested for job in added.jobs] == kept[directory]
    assert kept == {"": [False, False], "q": [True, None], None: [None, None]}
