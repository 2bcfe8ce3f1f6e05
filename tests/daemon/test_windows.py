"""Queues with time windows: jobs start while one is open, and what runs when it closes is left alone, or put back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from taskgated.core.doors import Shut
from taskgated.core.reasons import OutsideWindows
from taskgated.daemon.doorkeeper import Moment
from taskgated.daemon.in_force import InForce
from taskgated.daemon.windows import Windows
from taskgated.host.clock import WALL_CHECK
from taskgated.host.journal import Journal
from taskgated.host.paths import Layout
from taskgated.host.zones import Zones
from taskgated.language.configfiles import load
from tests.env.calendars import at, shown
from tests.env.gate import GateEnv
from tests.env.until import until

CLOSED = "{opens: 2190-01-01 UTC, closes: 2020-01-01}"
CLOSED_FOR_GOOD = "{opens: 2020-01-01, closes: 2020-01-02}"
OPEN = "{opens: 2020-01-01, closes: 2019-01-01}"


def in_seconds(seconds: int) -> str:
    """An expression that elapses once, so many seconds from now."""
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%d %H:%M:%S} UTC"


def config(windows: str) -> str:
    return f"workers: 2\nqueues: {{etl: {{windows: {windows}}}}}\n"


def reload(gate: GateEnv, windows: str) -> None:
    gate.configure(config(windows))
    gate.call("Reload")


def state(gate: GateEnv, name: str) -> str:
    return str((gate.job(name) or {}).get("state"))


def why(gate: GateEnv, name: str) -> dict[str, Any]:
    """The reason of a job that is a window; empty if there is none."""
    until(lambda: gate.job(name), f"{name} is taken in")
    reasons = json.loads(gate.ctl("--json", "why", str((gate.job(name) or {})["id"])).stdout)["reasons"]
    return next((reason for reason in reasons if reason["kind"] == "window"), {})


def test_a_job_waits_until_the_window_opens(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate(config(CLOSED))
    gate.drop("a.yaml", f"{{name: a, command: 'date -u +%FT%T >{gate.scratch}/began'}}", "etl")
    gate.drop("b.yaml", "{name: b, command: 'true'}")
    until(lambda: state(gate, "b") == "succeeded", "another queue goes on")
    reason = why(gate, "a")
    assert reason["opens"] == "2190-01-01T00:00:00.000000Z"
    assert reason["left"] > 163 * 365 * 86400
    assert reason["text"].startswith("it is outside the windows of queue etl, which opens on ")
    assert state(gate, "a") == "queued"
    opens = in_seconds(3)
    reload(gate, f'{{opens: "{opens}", closes: 2019-01-01}}')
    gate.until_over(2)
    (began,) = gate.lines("began")
    assert began >= opens[:19].replace(" ", "T")


def test_what_runs_is_left_alone_when_it_closes(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate(config(OPEN))
    gate.drop("a.yaml", "{name: a, command: 'sleep 600'}", "etl")
    gate.until_running("a")
    reload(gate, f'{{opens: 2020-01-01, closes: "{in_seconds(2)}"}}')
    gate.drop("b.yaml", "{name: b, command: 'true', not_before: '2035-01-01'}", "etl")
    until(lambda: why(gate, "b"), "it has closed")
    assert why(gate, "b")["text"] == "it is outside the windows of queue etl, and none of them opens any more"
    assert why(gate, "b")["opens"] is why(gate, "b")["left"] is None
    assert state(gate, "a") == "running"


def test_what_runs_is_put_back_once_when_it_closes_and_is_to_stop(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate(config(OPEN))
    told = gate.scratch / "told"
    script = f"trap 'echo term >>{told}' TERM; echo begun >>{told}; [ -e {told}.go ] && exit; "
    script += "while :; do sleep 0.1; done"
    gate.drop("a.yaml", json.dumps({"name": "a", "command": script, "kill_after": "1s"}), "etl")
    gate.drop("b.yaml", "{name: b, command: 'sleep 600'}")
    until(lambda: gate.lines("told"), "it runs")
    gate.until_running("b")
    reload(gate, f'{{opens: 2020-01-01, closes: "{in_seconds(2)}", at_close: stop}}')
    until(lambda: gate.lines("told") == ["begun", "term"], "it is told to end")
    gate.call("Reload")  # it is looked at again while it ends
    until(lambda: state(gate, "a") == "queued", "it is put back")
    assert why(gate, "a")
    assert state(gate, "b") == "running", "it is of another queue"
    (gate.scratch / "told.go").touch()
    reload(gate, OPEN)
    gate.until_over(1)
    assert (state(gate, "a"), (gate.job("a") or {})["attempt"]) == ("succeeded", 2)
    assert gate.lines("told") == ["begun", "term", "begun"]
    assert gate.log().count("queue etl has closed: ending 1 job, to be put back") == 1


def test_what_runs_on_from_before_is_put_back_as_well(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate(config(OPEN))
    gate.drop("a.yaml", "{name: a, command: 'sleep 600', kill_after: 1s}", "etl")
    gate.until_running("a")
    gate.kill()
    gate.configure(config(CLOSED_FOR_GOOD.replace("}", ", at_close: stop}")))
    gate.start()
    until(lambda: state(gate, "a") == "queued", "it is put back", WALL_CHECK - 5)  # not only at the next look


def test_a_reload_closes_and_opens(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate(config("[]"))
    gate.drop("a.yaml", "{name: a, command: 'true'}", "etl")
    gate.until_over(1)
    reload(gate, CLOSED)
    gate.drop("b.yaml", "{name: b, command: 'true'}", "etl")
    assert why(gate, "b")
    reload(gate, f"[{CLOSED}, {OPEN}]")
    gate.until_over(2)
    reload(gate, CLOSED_FOR_GOOD)
    gate.drop("c.yaml", "{name: c, command: 'true'}", "etl")
    assert why(gate, "c")
    gate.configure("workers: 2\n")
    gate.call("Reload")
    gate.until_over(3)


def test_one_that_never_opens_is_refused_and_changes_nothing(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate(config("[]"))
    gate.configure(config("{opens: 22:00, closes: 22:00}"))
    refused = gate.ctl("reload")
    assert refused.returncode != 0
    assert b"taskgated.yaml:2:33: opens: it never opens, as it closes whenever it opens" in refused.stderr
    gate.drop("a.yaml", "{name: a, command: 'true'}", "etl")
    gate.until_over(1)


def test_one_that_opens_no_more_is_told_of(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate(config(OPEN))
    gate.configure(config(CLOSED_FOR_GOOD))
    said = b"queue etl: none of its windows opens any more, so none of its jobs starts"
    assert said in gate.ctl("reload").stdout
    until(lambda: said.decode() in gate.log(), "the journal has it")


class TestWithoutADaemon:
    """The part of the doorkeeper alone, told what time it is."""

    @staticmethod
    def part(tmp_path: Path, windows: str) -> tuple[Windows, list[str]]:
        """And the queues that it had put back."""
        layout = Layout.under(tmp_path)
        layout.etc.mkdir(exist_ok=True)
        layout.config_file.write_text(config(windows))
        ended: list[str] = []
        in_force = InForce(layout, None, load(layout), Journal())
        return Windows(in_force, Zones(str(tmp_path / "localtime")), ended.append), ended

    @staticmethod
    def opens(part: Windows, now: str) -> str | None:
        """None while it is open."""
        (queue,) = part.queues()
        door = part.look(queue, Moment(0, at(now))).door
        if door is None:
            return None
        assert isinstance(door, Shut) and isinstance(door.reason, OutsideWindows)
        assert door.reason.opens is not None
        assert door.reason.left == door.reason.opens - at(now)
        return shown(door.reason.opens)

    def test_a_clock_that_is_set(self, tmp_path: Path) -> None:
        part, _ = self.part(tmp_path, "{opens: 22:00 UTC, closes: 06:00 UTC}")
        assert self.opens(part, "2026-11-27 21:00") == "2026-11-27 22:00:00"
        assert self.opens(part, "2026-11-27 23:00") is None
        assert self.opens(part, "2026-11-27 20:00") == "2026-11-27 22:00:00"
        assert self.opens(part, "2030-06-01 05:00") is None
        assert self.opens(part, "2026-11-27 07:00") == "2026-11-27 22:00:00"
        assert self.opens(part, "2025-11-27 05:59") is None

    def test_a_host_that_gets_another_time_zone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("TZ", raising=False)
        part, _ = self.part(tmp_path, "{opens: 22:00, closes: 06:00}")
        assert self.opens(part, "2026-11-27 21:30") == "2026-11-27 22:00:00"
        (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
        assert self.opens(part, "2026-11-27 21:30") is None
        (tmp_path / "localtime").unlink()
        assert self.opens(part, "2026-11-27 21:30") == "2026-11-27 22:00:00"

    @pytest.mark.parametrize(
        ("now", "again"),
        [("2026-11-27 21:59:50", 10.0), ("2026-11-27 12:00", 36000.0), ("2026-11-28 05:59:59.5", 0.5)],
    )
    def test_it_is_looked_at_again_when_it_changes(self, tmp_path: Path, now: str, again: float) -> None:
        part, _ = self.part(tmp_path, "{opens: 22:00 UTC, closes: 06:00 UTC}")
        assert part.look("etl", Moment(0, at(now))).again == again

    def test_one_that_does_not_change_is_looked_at_too(self, tmp_path: Path) -> None:
        """The clock may be set to before it opened."""
        part, _ = self.part(tmp_path, OPEN)
        assert part.look("etl", Moment(0, at("2026-11-27"))).again == WALL_CHECK
        assert part.look("etl", Moment(0, at("2018-12-27"))).door is not None

    def test_only_what_closes_and_is_to_stop_ends_jobs(self, tmp_path: Path) -> None:
        stop = "{opens: 22:00 UTC, closes: 06:00 UTC, at_close: stop}"
        part, ended = self.part(tmp_path, f"[{stop}, {{opens: 12:00 UTC, closes: 13:00 UTC}}]")
        for now in ("2026-11-27 12:30", "2026-11-27 13:30", "2026-11-27 23:00"):
            assert part.look("etl", Moment(0, at(now))).then is None
        then = part.look("etl", Moment(0, at("2026-11-28 06:00"))).then
        assert then is not None
        then()
        assert ended == ["etl"]
