"""``taskgatectl status`` tells of files that stay in the spool, and no longer when they are gone."""

from __future__ import annotations

from pathlib import Path

from tests.env.gate import GateEnv
from tests.env.until import until

CONFIG = "workers: 1\nrescan_interval: 1s\nqueues: {etl: {require: {marker: .done}}}\n"


def test_status_tells_what_stays(tmp_path: Path) -> None:
    gate = GateEnv(tmp_path / "gate", CONFIG)
    gate.start()
    try:
        assert gate.status()["files"] == []
        for name in ("j4.done", "j4.yaml", "j5.yaml"):
            gate.drop(name, "command: 'true'\n", "etl")
        for name in ("a.tmp", "b.sh.bak"):
            gate.drop(name, "#!/bin/sh\n")
        files = until(lambda: len(found := gate.status()["files"]) == 2 and found[0]["left_alone"] == 2 and found)
        default, etl = files
        assert default == {
            "queue": "default", "waiting": 0, "ending": "", "oldest": None, "hint": "", "left_alone": 2,
        }  # fmt: skip
        assert (etl["queue"], etl["waiting"], etl["ending"]) == ("etl", 2, ".done") and etl["oldest"].endswith("Z")
        shown = gate.ctl("status").stdout.decode()
        assert "  note: queue default: 2 files are left alone for their names\n" in shown
        assert "  note: queue etl: 2 files wait for their NAME.done, the oldest since 2" in shown
        assert " (j4.done is there, but j4.yaml needs j4.yaml.done)\n" in shown
        assert gate.status()["ready"]  # nothing is wrong with the gate
        (gate.layout.spool / "etll").mkdir()
        until(lambda: any("the directory etll is a queue of its own" in note for note in gate.status()["notes"]))
        until(lambda: "the directory etll is a queue of its own" in gate.log())
        gate.drop("j4.yaml.done", "", "etl")
        (gate.layout.spool / "etl" / "j5.yaml").unlink()
        for name in ("a.tmp", "b.sh.bak"):
            (gate.layout.spool / name).unlink()
        until(lambda: gate.status()["files"] == [])
    finally:
        gate.stop()
