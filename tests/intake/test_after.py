"""Files whose jobs wait for each other, taken in piece by piece: which job is meant is known however often intake is
killed in between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from taskgated.intake import batch, read
from tests.env.intake import Gate, config
from tests.env.killed import killed_everywhere
from tests.env.until import until

FILE = """\
- {name: end, command: [/bin/end], after: [second, {job: alone, when: over}]}
- {name: second, command: [/bin/second, '{index}'], array: {to: 3}, after: [first, alone]}
- {name: alone, command: [/bin/alone]}
- {name: first, command: [/bin/first, '{index}'], array: {to: 3, at_most: 2}, after: alone}
"""
IN_ORDER = ["/bin/alone", *(f"/bin/{name}\0{n}" for name in ("first", "second") for n in (1, 2, 3)), "/bin/end"]
WAITS = {1: [], 2: [1], 3: [1], 4: [1], 5: [2, 1], 6: [2, 1], 7: [2, 1], 8: [5, 1]}
"""By id, for whom each of them waits."""


@pytest.mark.parametrize("soon", [(), (4,)])
def test_killed_at_every_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, soon: Sequence[int]) -> None:
    monkeypatch.setattr(batch, "SPECS", 2)
    monkeypatch.setattr(read, "GRACE", 0.05)

    def prepare(root: Path) -> None:
        gate = Gate(root, config(settle_time=0.05))
        gate.drop("night.yaml", FILE)
        gate.sink.close()

    def taken(gate: Gate) -> None:
        gate.intake.start()
        until(lambda: len(gate.sink.commands) == len(IN_ORDER) and gate.idle())

    def check(gate: Gate) -> None:
        taken(gate)
        assert gate.sink.commands == IN_ORDER
        waits = {job: [one.job for one in gate.sink.store.waits_for(job)] for job in WAITS}
        assert waits == WAITS
        assert not gate.rejected()

    killed_everywhere(tmp_path, prepare, taken, check, soon=soon, least=15)


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
