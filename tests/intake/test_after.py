"""Files whose jobs wait for each other, taken in piece by piece: which job is meant is known however often intake is
killed in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskgated.intake import batch, read
from tests.env.intake import Gate, config
from tests.env.until import until
from tests.intake.test_crash import killed_at

FILE = """\
- {name: end, command: [/bin/end], after: [second, {job: alone, when: over}]}
- {name: second, command: [/bin/second, '{index}'], array: {to: 3}, after: [first, alone]}
- {name: alone, command: [/bin/alone]}
- {name: first, command: [/bin/first, '{index}'], array: {to: 3, at_most: 2}, after: alone}
"""
IN_ORDER = ["/bin/alone", *(f"/bin/{name}\0{n}" for name in ("first", "second") for n in (1, 2, 3)), "/bin/end"]
WAITS = {1: [], 2: [1], 3: [1], 4: [1], 5: [2, 1], 6: [2, 1], 7: [2, 1], 8: [5, 1]}
"""By id, for whom each of them waits."""


@pytest.mark.parametrize("again", [0, 4])
def test_killed_at_every_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: int) -> None:
    monkeypatch.setattr(batch, "SPECS", 2)
    monkeypatch.setattr(read, "GRACE", 0.05)
    number, died = 0, True

    def taken(gate: Gate) -> None:
        gate.intake.start()
        until(lambda: len(gate.sink.commands) == len(IN_ORDER) and gate.idle())

    while died:
        root = tmp_path / str(number)
        root.mkdir()
        gate = Gate(root, config(settle_time=0.05))
        gate.drop("night.yaml", FILE)
        gate.sink.close()
        died = killed_at(root, number, taken)
        if again:
            killed_at(root, again, taken)
        gate = Gate(root, config(settle_time=0.05))
        try:
            taken(gate)
            assert gate.sink.commands == IN_ORDER
            waits = {job: [one.job for one in gate.sink.store.waits_for(job)] for job in WAITS}
            assert waits == WAITS
            assert not gate.rejected()
        finally:
            gate.stop()
        number += 1
    assert number > 15, "there are more points than that on the way"


def test_what_is_waited_for_comes_first_also_where_there_is_little_room(tmp_path: Path) -> None:
    """Else those that wait for it would keep it out."""
    gate = Gate(tmp_path, config(settle_time=0.05), capacity=2)
    gate.drop("night.yaml", FILE)
    try:
        gate.start()
        for number in range(1, 9):
            until(lambda number=number: len(gate.sink.commands) >= number)  # type: ignore[misc]
            gate.sink.resolve()
            gate.sink.end_jobs(1)
            gate.sink.resolve()
            gate.intake.poke()
        until(gate.idle)
        assert gate.sink.commands == IN_ORDER
    finally:
        gate.stop()
