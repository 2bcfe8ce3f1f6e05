"""What was dropped as data is never run, whatever becomes of its handler: it waits, or is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskgated.core.job import Spec
from taskgated.intake import read, take
from taskgated.intake.events import FileRefused, HandlersMissing
from taskgated.language.config import Config, QueueConfig
from taskgated.store.contract import Addition
from taskgated.store.placement import claimed
from tests.env.intake import QUEUES, Gate, config
from tests.env.until import until

NONE = "files for queue {} wait: they are data, and the configuration has no handler for them "
TELLING = "touch /tmp/this-runs\n"


def without(*queues: str, **others: QueueConfig) -> Config:
    return config(queues={name: queue for name, queue in QUEUES.items() if name not in queues} | others)


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path, config())
    try:
        gate.start()
        yield gate
    finally:
        gate.stop()


def again(gate: Gate, config: Config) -> Gate:
    """The next daemon."""
    gate.stop()
    return Gate(gate.layout.spool.parent, config)


def waits(gate: Gate, *queues: str) -> None:
    """That is told, once, and nothing is taken in."""

    def told() -> bool:
        last = gate.told(HandlersMissing)[-1].reasons if gate.told(HandlersMissing) else ()
        return [reason.split()[3] for reason in last] == list(queues)

    until(told)
    gate.drop("mark.tasks", "mark\n")
    until(lambda: "mark" in gate.sink.commands)
    assert told()


# -- in the spool --------------------------------------------------------------------------------


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    ("queue", "handled"), [("lines", "/bin/consume\0touch /tmp/this-runs"), ("data", "/bin/thumb")]
)
def test_what_is_dropped_when_the_handler_is_gone_waits(
    tmp_path: Path, restart: bool, queue: str, handled: str
) -> None:
    gate = Gate(tmp_path, config())
    try:
        gate.start()
        if restart:
            gate = again(gate, without(queue))
            gate.start()
        else:
            gate.intake.reload(without(queue))
        for name in ("a.tasks", "b.yaml", "c"):
            gate.drop(f"{queue}/{name}", "#!/bin/sh\n" if name == "c" else TELLING)
        waits(gate, queue)
        assert gate.told(HandlersMissing)[-1].reasons[0].startswith(NONE.format(queue))
        assert gate.sink.commands == ["mark"]
        assert not gate.rejected()
        assert len(list((gate.spool / queue).iterdir())) == 3
        gate.intake.reload(config())
        until(lambda: len(gate.sink.commands) == 4)
        assert any(command.startswith(handled) for command in gate.sink.commands)
        assert all(command.startswith(("/bin/", "mark")) for command in gate.sink.commands)
        until(lambda: gate.told(HandlersMissing)[-1].reasons == ())
    finally:
        gate.stop()


def test_a_queue_of_another_name_leaves_one_that_waits(gate: Gate) -> None:
    gate.intake.reload(without("lines", rows=QueueConfig("rows", handler=("/bin/consume", "{line}"))))
    gate.drop("lines/a.tasks", TELLING)
    waits(gate, "lines")


def test_the_default_queue_may_take_data_and_others_are_still_found(tmp_path: Path) -> None:
    with_handler = QUEUES | {"default": QueueConfig("default", handler=("/bin/consume", "{line}"))}
    gate = Gate(tmp_path, config(queues=with_handler))
    try:
        gate.start()
        gate.intake.reload(config())
        gate.drop("a.tasks", TELLING)
        until(lambda: gate.told(HandlersMissing))
        (gate.spool / "other").mkdir()
        gate.drop("other/a.tasks", "mark\n")
        until(lambda: gate.sink.commands == ["mark"])
    finally:
        gate.stop()


def test_whoever_takes_the_files_back_ends_the_waiting(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config(rescan_interval=0.1))
    try:
        gate.start()
        gate.intake.reload(config(rescan_interval=0.1, queues=without("lines").queues))
        gate.drop("lines/a.tasks", TELLING)
        waits(gate, "lines")
        (gate.spool / "lines" / "a.tasks").unlink()
        until(lambda: gate.told(HandlersMissing)[-1].reasons == ())
    finally:
        gate.stop()


def test_handler_none_says_that_it_runs(gate: Gate) -> None:
    gate.intake.reload(without("lines"))
    gate.drop("lines/a.tasks", "true\n")
    waits(gate, "lines")
    gate.intake.reload(without("lines", lines=QueueConfig("lines", runs=True)))
    until(lambda: gate.sink.commands == ["mark", "true"])
    until(lambda: gate.told(HandlersMissing)[-1].reasons == ())
    gate.intake.reload(without("lines"))  # that was said once and for all: it takes no data any more
    gate.drop("lines/a.tasks", "again\n")
    until(lambda: gate.sink.commands == ["mark", "true", "again"])


# -- claimed -------------------------------------------------------------------------------------


@pytest.fixture
def under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Some lines of a list are in, and there is no room for the others."""
    gate = Gate(tmp_path, config(), capacity=2)
    try:
        gate.start()
        gate.drop("lines/a.tasks", "".join(f"touch /tmp/runs{number}\n" for number in range(6)))
        until(lambda: len(gate.sink.commands) == 2)
        yield gate
    finally:
        gate.stop()


def handled(number: int) -> list[str]:
    return [f"/bin/consume\0touch /tmp/runs{n}" for n in range(number)]


@pytest.mark.parametrize("other", [None, QueueConfig("lines", handler=("/bin/thumb", "{file}"))])
def test_the_rest_of_a_list_waits_for_its_handler(under_way: Gate, other: QueueConfig | None) -> None:
    gate = under_way
    gate.intake.reload(without("lines", **({} if other is None else {"lines": other})))
    gate.sink.capacity = 1000
    gate.intake.poke()
    waits(gate, "lines")
    assert gate.sink.commands == [*handled(2), "mark"]
    gate.intake.reload(config())
    until(lambda: len(gate.sink.commands) == 7)
    assert gate.sink.commands == [*handled(2), "mark", *handled(6)[2:]]
    until(gate.idle)
    assert not gate.rejected()


def test_the_rest_of_a_list_waits_over_a_restart(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config(), capacity=2)
    try:
        gate.start()
        gate.drop("lines/a.tasks", "".join(f"touch /tmp/runs{number}\n" for number in range(6)))
        until(lambda: len(gate.sink.commands) == 2)
        gate = again(gate, without("lines"))
        gate.start()
        waits(gate, "lines")
        assert gate.sink.commands == [*handled(2), "mark"]
        gate.intake.reload(config())
        until(lambda: len(gate.sink.commands) == 7)
        until(gate.idle)
        assert gate.sink.commands == [*handled(2), "mark", *handled(6)[2:]]
    finally:
        gate.stop()


def test_the_rest_of_a_list_is_refused_when_its_queue_runs_what_is_dropped(under_way: Gate) -> None:
    gate = under_way
    gate.intake.reload(without("lines", lines=QueueConfig("lines", runs=True)))
    gate.sink.capacity = 1000
    gate.intake.poke()
    until(lambda: gate.told(FileRefused))
    reason = (gate.layout.rejected / "a.tasks.reason").read_text()
    assert "it was dropped as data for a handler, and queue lines has none any more" in reason
    assert "2 jobs of this list, of its first lines, were taken in" in reason
    assert gate.sink.commands == handled(2)
    until(gate.idle)


def test_a_list_that_is_all_in_needs_no_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "GRACE", 1.0)
    gate = Gate(tmp_path, config())
    try:
        gate.start()
        gate.drop("lines/a", "1\n")
        until(lambda: gate.sink.commands)
        gate.intake.reload(without("lines"))
        until(gate.idle)
        assert not gate.told(HandlersMissing)
        assert not gate.rejected()
    finally:
        gate.stop()


@pytest.mark.parametrize("name", ["a.yaml", "a.tasks", "a"])
def test_a_job_file_that_was_claimed_before_there_was_a_handler_stays_one(tmp_path: Path, name: str) -> None:
    """And the other way round: a file for a handler stays that. What it is, is kept over a restart."""
    contents = {"a.yaml": "command: [/bin/true]\n", "a.tasks": "true\n", "a": "#!/bin/sh\ntrue\n"}
    kind = {"a.yaml": "spec", "a.tasks": "tasks", "a": "script"}[name]
    gate = Gate(tmp_path, config())
    claim = gate.layout.claims / f"0000000000000001-00000000-{kind}.lines"
    claim.mkdir(parents=True)
    (claim / name).write_text(contents[name])
    data = gate.layout.claims / "0000000000000002-00000000-file.default"
    (data / "work").mkdir(parents=True)
    os.symlink("b.tasks", data / "name")
    (data / "work" / "b.tasks").write_text(TELLING)
    try:
        gate.start()
        until(lambda: gate.sink.commands)
        waits(gate, "default")
        assert gate.sink.commands[0] in ("/bin/true", "true", contents["a"])
        gate.intake.reload(
            config(queues=QUEUES | {"default": QueueConfig("default", handler=("/bin/thumb", "{file}"))})
        )
        until(lambda: len(gate.sink.commands) == 3)
        assert gate.sink.commands[2] == f"/bin/thumb\0{data}/work/b.tasks"
    finally:
        gate.stop()


def test_a_list_of_the_version_before_whose_queue_takes_data(tmp_path: Path) -> None:
    """It did not write down what a file is: where a queue is known to take data, that waits, too."""
    gate = Gate(tmp_path, without("lines"))
    gate.sink.keep_data_queues(["lines"])
    claim = gate.layout.claims / "0000000000000001-00000000.lines"
    claim.mkdir(parents=True)
    (claim / "a.tasks").write_text("touch /tmp/runs0\ntouch /tmp/runs1\n")
    gate.sink.add(
        [Addition(claimed(claim.name), 0, [Spec(command=("/bin/consume", "touch /tmp/runs0"))], "a.tasks", "root", 0)]
    )
    try:
        gate.start()
        waits(gate, "lines")
        gate.intake.reload(config())
        until(lambda: len(gate.sink.commands) == 3)
        assert gate.sink.commands == [*handled(1), "mark", handled(2)[1]]
    finally:
        gate.stop()


def test_a_list_of_the_version_before_whose_queue_takes_files_now(tmp_path: Path) -> None:
    gate = Gate(tmp_path, config())
    claim = gate.layout.claims / "0000000000000001-00000000.data"
    claim.mkdir(parents=True)
    (claim / "a.tasks").write_text("first\nsecond\n")
    gate.sink.add([Addition(claimed(claim.name), 0, [Spec(command="first")], "a.tasks", "root", 0)])
    try:
        gate.start()
        until(lambda: gate.told(FileRefused))
        assert "another handler now" in gate.told(FileRefused)[0].reason
        assert gate.sink.commands == ["first"]
    finally:
        gate.stop()


# -- reload --------------------------------------------------------------------------------------


def test_a_file_is_what_the_newest_configuration_makes_of_it(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it was dropped just after a reload that intake has not heard of yet, in the midst of its work."""
    new = without("lines", other=QueueConfig("other", handler=("/bin/consume", "{line}")))
    (gate.spool / "other").mkdir()
    look = take.Taker.look

    def in_the_midst(*args: object) -> object:
        gate.intake.reload(new)
        return look(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(take.Taker, "look", in_the_midst)
    gate.drop("other/a.tasks", TELLING)
    until(lambda: gate.sink.commands)
    assert gate.sink.commands == ["/bin/consume\0touch /tmp/this-runs"]
