"""On the real daemon: data never become commands, whatever becomes of the handler in the configuration."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.env.gate import GateEnv
from tests.env.until import until


def drop_in(gate: GateEnv, text: str | None) -> None:
    path = gate.layout.config_drop_ins / "lines.yaml"
    path.parent.mkdir(exist_ok=True)
    if text is None:
        path.unlink()
    else:
        path.write_text(text)


@pytest.mark.parametrize("restart", [False, True])
def test_a_drop_in_with_a_handler_is_removed(make_gate: Callable[..., GateEnv], restart: bool) -> None:
    gate = make_gate(start=False)
    handler = (
        f"queues: {{lines: {{handler: {{command: [sh, -c, 'echo \"$0\" >>{gate.scratch}/handled', '{{line}}']}}}}}}"
    )
    drop_in(gate, handler)
    gate.start()
    gate.drop("a.txt", "first\n", "lines")
    gate.until_over(1)
    drop_in(gate, None)
    if restart:
        gate.stop()
        gate.start()
    else:
        assert gate.ctl("reload").returncode == 0
    gate.drop("b.txt", f"touch {gate.scratch}/ran\n", "lines")
    gate.drop("c", f"#!/bin/sh\ntouch {gate.scratch}/ran\n", "lines")
    (problem,) = until(lambda: gate.status().get("problems"), "it is said that files wait")
    assert problem.startswith("files for queue lines wait: they are data, and the configuration has no handler")
    assert b"handler: none" in gate.ctl("status").stdout
    gate.drop("a.yaml", "command: 'true'\n")
    gate.until_over(2)
    if restart:  # what is remembered is so over more than one
        gate.stop()
        gate.launch()
        until(lambda: gate.status().get("problems"), "it is said again")
    assert len(gate.jobs()) == 2
    assert not (gate.scratch / "ran").exists()
    drop_in(gate, handler)
    assert gate.ctl("reload").returncode == 0
    gate.until_over(5)
    until(lambda: not gate.status()["problems"], "nothing waits any more")
    lines = gate.lines("handled")
    assert sorted(lines) == sorted(["first", f"touch {gate.scratch}/ran", "#!/bin/sh", f"touch {gate.scratch}/ran"])
    assert not (gate.scratch / "ran").exists()


def test_handler_none(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("queues: {lines: {handler: {command: [echo, '{line}']}}}\n")
    gate.configure("workers: 1\n")
    assert gate.ctl("reload").returncode == 0
    gate.drop("a.txt", f"touch {gate.scratch}/ran\n", "lines")
    until(lambda: gate.status().get("problems"), "it is said that files wait")
    gate.configure("queues: {lines: {handler: none}}\n")
    assert gate.ctl("reload").returncode == 0
    gate.until_over(1)
    assert (gate.scratch / "ran").exists()


def test_a_handler_that_takes_its_file_away_fails_when_it_is_tried_again(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate(
        "queues: {files: {handler: {command: [sh, -c, 'rm \"$0\"; exit 1', '{file}']},"
        " defaults: {retry: {attempts: 2, delay: 0s}}}}\n"
    )
    gate.drop("data", "x", "files")
    (job,) = gate.until_over(1)
    shown = gate.call("Show", id=job["id"])
    assert (job["state"], job["attempt"]) == ("failed", 2)
    assert "its file is gone" in shown["attempts"][1]["message"]
