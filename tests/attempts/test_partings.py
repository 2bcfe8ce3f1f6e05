"""What a worker leaves of itself is read as it was, or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from taskgated.attempts.partings import Parting, Partings
from taskgated.host.processes import ProcessId

WORKER = ProcessId(12, 34, "boot")


@pytest.mark.parametrize("last", [None, (5, 1)])
def test_is_read_as_it_was(tmp_path: Path, last: tuple[int, int] | None) -> None:
    partings = Partings(tmp_path / "outcomes")
    assert partings.read(WORKER) is None
    partings.write(Parting(WORKER, last))
    assert partings.read(WORKER) == Parting(WORKER, last)


def test_of_another_boot_is_none(tmp_path: Path) -> None:
    partings = Partings(tmp_path / "outcomes")
    partings.write(Parting(ProcessId(12, 34, "yesterday"), None))
    assert partings.read(WORKER) is None


def test_others_are_forgotten(tmp_path: Path) -> None:
    partings = Partings(tmp_path / "outcomes")
    partings.forget_all_but(())
    other = ProcessId(13, 34, "boot")
    for worker in (WORKER, other):
        partings.write(Parting(worker, None))
    partings.forget_all_but([other])
    assert (partings.read(WORKER), partings.read(other)) == (None, Parting(other, None))


SAID = WORKER.to_json()
PUT: dict[str, Callable[[Path], object]] = {
    "a fifo": os.mkfifo,
    "a directory": os.mkdir,
    "a link": lambda path: (
        path.with_name("real").write_text(json.dumps({**SAID, "last": None})), path.symlink_to("real")
    ),
    "nothing": lambda path: path.touch(),
    "no attempt": lambda path: path.write_text(json.dumps(SAID)),
    "half an attempt": lambda path: path.write_text(json.dumps({**SAID, "last": [1]})),
    "words": lambda path: path.write_text(json.dumps({**SAID, "last": ["a", "b"]})),
    "too deep": lambda path: path.write_text("[" * 4000),
}  # fmt: skip


@pytest.mark.parametrize("what", PUT)
@pytest.mark.limit(60)
def test_what_no_worker_has_left_is_none(tmp_path: Path, what: str) -> None:
    (tmp_path / "partings").mkdir()
    PUT[what](tmp_path / "partings" / "12.34.json")
    assert Partings(tmp_path / "outcomes").read(WORKER) is None
