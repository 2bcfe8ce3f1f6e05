"""Scripts in the manner of those that people have for other batch systems: what each becomes.

``corpus/`` has the scripts, ``corpus.json`` what each becomes: the keys of the job, and the notes; or why not.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from taskgated.errors import Refused
from taskgated.language.config import Config, from_values
from taskgated.language.jobfile import read_file
from tests.env.jobfile import round_trips

CORPUS = Path(__file__).parent / "corpus"
EXPECTED: dict[str, Any] = json.loads(CORPUS.with_suffix(".json").read_text())
ALL = from_values({"foreign_directives": ("slurm", "pbs", "sge")})


def becomes(path: Path, config: Config) -> dict[str, Any]:
    """The job of a script without its text; or all that is wrong with it."""
    try:
        spec, *others = read_file(path.name, path.read_bytes(), "default", config)
    except Refused as error:
        return {"refused": [str(problem).split("\n")[0] for problem in error.problems]}
    assert round_trips(spec)
    assert spec.script is not None and spec.script.encode() == path.read_bytes()
    values: dict[str, Any] = json.loads(json.dumps(spec.to_json()))
    jobs = {"jobs": 1 + len(others)} if others else {}
    return jobs | {name: value for name, value in values.items() if name != "script"}


def test_each_script_is_judged() -> None:
    there = {path.name for path in CORPUS.iterdir()}
    assert there == EXPECTED.keys()
    assert len(there) >= 40


@pytest.mark.parametrize("name", EXPECTED)
def test_what_it_becomes(name: str) -> None:
    assert becomes(CORPUS / name, ALL) == EXPECTED[name]


@pytest.mark.parametrize("name", EXPECTED)
def test_an_editor_of_another_system_makes_no_difference(name: str, tmp_path: Path) -> None:
    """Lines that end in CRLF, all but the first, for which there is no such interpreter."""
    first, newline, rest = (CORPUS / name).read_bytes().partition(b"\n")
    (tmp_path / name).write_bytes(first + newline + rest.replace(b"\n", b"\r\n"))
    assert becomes(tmp_path / name, ALL) == EXPECTED[name]


READ_BY_NOBODY = {"late-directives.slurm", "makes-scripts.sh", "plain.sh"}
"""Of these no system reads anything."""


@pytest.mark.parametrize("name", EXPECTED)
def test_they_are_comments_where_no_dialect_is_read(name: str) -> None:
    """And the record says so, once for each system."""
    found = becomes(CORPUS / name, from_values({"foreign_directives": ()}))
    notes = found.pop("notes", [])
    own = {"name": "here", "timeout": 7200.0} if name == "ours-comes-first.sh" else {"name": name.rsplit(".", 1)[0]}
    assert found == own
    text = (CORPUS / name).read_text()
    if name == "ours-comes-first.sh":
        assert notes == EXPECTED[name]["notes"]
    elif name not in READ_BY_NOBODY:
        said = [(note.split()[2].rstrip(","), note.rsplit(": ", 1)[1]) for note in notes]
        assert said == [
            (prefix, f"foreign_directives does not have {dialect}")
            for prefix, dialect in (("#SBATCH", "slurm"), ("#PBS", "pbs"), ("#$", "sge"))
            if f"\n{prefix} " in text.replace("\n #", "\n#")
        ]
    else:
        assert notes == []
