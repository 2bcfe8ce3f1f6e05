"""What a dropped file is by its first line holds however it comes: at once, in pieces, before or after a crash."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskgated.core.job import Spec
from taskgated.intake.claim import Claims
from taskgated.language.kinds import Kind
from taskgated.store.contract import Addition
from taskgated.store.placement import claimed
from tests.env.intake import running
from tests.env.until import until

SAYS = "its first line (#!) says that this is a script"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["x.txt", "x.tasks", "x.yaml"])
def test_a_script_by_another_name_does_not_run_line_by_line(tmp_path: Path, name: str, mark: bytes) -> None:
    with running(tmp_path) as gate:
        gate.drop(name, mark + b"#!/bin/sh\ncd /tmp\nfor a in b; do\nrm c\ndone\n")
        until(gate.rejected)
        until(gate.idle)
        assert gate.sink.commands == []
        reason = (gate.layout.rejected / f"{name}.reason").read_text()
        assert SAYS in reason


@pytest.mark.parametrize("known", [0, 1])
def test_one_that_was_claimed_before_a_crash(tmp_path: Path, known: int) -> None:
    """What an earlier version took of it as a list stays, and no more of it runs."""
    with running(tmp_path) as gate:
        claims = Claims(bytes(gate.layout.claims), lambda path, why: None)
        claim = claims.make("default", Kind.TASKS, b"x.tasks")
        claims.close()
        (gate.layout.claims / claim / "x.tasks").write_text("#!/bin/sh\none\ntwo\n")
        gate.sink.add(
            [Addition(claimed(claim), 0, [Spec(command="one")] * known, "x.tasks", "alice", os.getuid(), False)]
            * known
        )
    with running(tmp_path) as gate:
        until(gate.rejected)
        until(gate.idle)
        assert gate.sink.commands == ["one"] * known
        assert SAYS in (gate.layout.rejected / "x.tasks.reason").read_text()


def test_what_is_written_into_a_list_that_is_claimed(tmp_path: Path) -> None:
    """A list was claimed, and a script is written into it by a process that had found it before."""
    with running(tmp_path) as gate:
        gate.drop("x.tasks", "# to come, and longer than what does\n")
        path = until(lambda: next(gate.layout.claims.glob("*/x.tasks"), None))
        with path.open("w") as file:
            file.write("#!/bin/sh\none\n")
        until(gate.rejected)
        until(gate.idle)
        assert gate.sink.commands == []


def test_a_script_with_a_mark_of_utf8(tmp_path: Path) -> None:
    with running(tmp_path) as gate:
        gate.drop("x", b"\xef\xbb\xbf#!/bin/sh\nexit\n")
        gate.drop("y.tasks", b"\xef\xbb\xbfone\r\n")
        until(lambda: len(gate.sink.commands) == 2 or gate.rejected())
        assert not gate.rejected() and "one" in gate.sink.commands
