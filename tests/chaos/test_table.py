"""The table in the design page is what the program prints, and the soak sees what grows."""

from __future__ import annotations

import pytest

from tests import REPOSITORY
from tests.chaos.__main__ import known
from tests.chaos.soak import ENOUGH, Life, Sample, grown
from tests.chaos.table import HEAD, Row, markdown

DESIGN = REPOSITORY / "taskgated" / "DESIGN.md"


def test_the_design_page_has_each_row_of_the_program() -> None:
    kinds = {kind for kind, _ in known().values()}
    text = DESIGN.read_text()
    head = "| " + " | ".join(HEAD) + " |"
    rows = text.partition(head + "\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert {row.split("|")[1].strip() for row in rows} == kinds


def test_rows_add_up() -> None:
    total = Row("a", 1, lost=1, seconds=2.0, of=10) + Row("a", 1100, left=2, notes=("x",), of=1100)
    assert total == Row("a", 1101, lost=1, left=2, seconds=2.0, notes=("x",), of=1110)
    assert markdown([total]).splitlines()[-1] == "| a | 1,101 of 1,110 | 1 | 0 | 0 | 2 | 2.0 |"
    assert not total.clean


def life(**last: int) -> list[Sample]:
    """That of a process with a load that comes and goes, and at its end has always these in addition."""
    usual = {"memory": 30 * 1024**2, "descriptors": 30, "threads": 8}
    samples = []
    for number in range(4 * ENOUGH):
        busy = number % 7
        more = {what: last.get(what, 0) * (number >= 2 * ENOUGH) + busy for what in usual}
        samples.append(Sample(**{what: usual[what] + more[what] for what in usual}))
    return samples


@pytest.mark.parametrize(("what", "number"), [("memory", 1024**2 + 1), ("descriptors", 1), ("threads", 1)])
def test_the_soak_sees_what_grows(what: str, number: int) -> None:
    assert grown(life()) == []
    assert len(grown(life(**{what: number}))) == 1
    watched = Life("daemon")
    watched._samples = life(**{what: number})
    watched.judge()
    assert watched.judged == 1
    assert what in watched.growth[0]
