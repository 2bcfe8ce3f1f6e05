"""Options for another batch system that nothing becomes of: a note says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from taskgated.core.job import Job, Spec
from taskgated.core.state import State
from taskgated.ctl import __main__ as ctl
from taskgated.errors import Refused
from taskgated.language import jobfile
from taskgated.language.config import from_values
from taskgated.protocol.messages import Run
from tests.env.jobfile import round_trips

USUAL = ("slurm", "pbs")
OURS = "is not read: the script has #TASKGATE, and then that alone counts"
KEYS = "is not read: the keys of the spec are all that counts"


def read(text: str, dialects: Sequence[str] = USUAL, name: str = "s") -> Spec:
    config = from_values({"foreign_directives": dialects})
    (spec,) = jobfile.read_file(name, text.encode(), "default", config)
    assert round_trips(spec)
    return spec


def notes(below: str, dialects: Sequence[str] = USUAL) -> tuple[str, ...]:
    """Of a script with that below its first line."""
    return read(f"#!/bin/sh\n{below}\ntrue\n", dialects).notes


@pytest.mark.parametrize("line", ["#SBATCH --time=5", "#PBS -l walltime=5", " #PBS -N a", "#$ -N a", "#BSUB -W 5",
                                  "#COBALT -n 1", "#FLUX: -N4", "# flux: -N4", "#OAR -l /nodes=1", "#PJM -L node=1",
                                  "#MSUB -l nodes=1"])  # fmt: skip
@pytest.mark.parametrize("where", ["before", "behind"])
def test_beside_our_directives_no_other_is_read(line: str, where: str) -> None:
    """They are not refused: scripts for both worlds are legitimate."""
    ours = "#TASKGATE timeout: 2h"
    text = f"{line}\n{ours}" if where == "before" else f"{ours}\n{line}"
    prefix = "# flux:" if "flux" in line else line.split(maxsplit=1)[0]
    assert notes(text) == (f"line {2 if where == 'before' else 3}: {prefix} {OURS}",)
    assert read(f"#!/bin/sh\n{text}\n").timeout == 7200


def test_one_note_for_each_system() -> None:
    text = "#TASKGATE name: a\n#PBS -N a\n#SBATCH -N 1\n#SBATCH --nodes=1\n#PBS -l nodes=1\n" + "#BSUB -W 5\n" * 3000
    assert notes(text) == (
        f"line 3: #PBS, here and in 1 more line, {OURS}",
        f"line 4: #SBATCH, here and in 1 more line, {OURS}",
        f"line 7: #BSUB, here and in 2999 more lines, {OURS}",
    )


def test_a_dialect_that_is_not_configured() -> None:
    assert notes("#$ -N a\n#$ -l h_rt=60") == (
        "line 2: #$, here and in 1 more line, is not read: foreign_directives does not have sge",
    )
    assert notes("#SBATCH -J a", ()) == ("line 2: #SBATCH is not read: foreign_directives does not have slurm",)
    assert notes("#$ -N a", ("sge",)) == ()


def test_a_system_that_the_gate_does_not_know() -> None:
    assert notes("#BSUB -J a\ntrue") == (
        "line 2: #BSUB is not read: say what it wishes in lines such as #TASKGATE timeout: 1h",
    )


def test_beside_a_dialect_that_is_read() -> None:
    found = notes("#SBATCH --mem=1G\n#$ -N a")
    assert found[0].startswith("line 2: '--mem=1G' is not counted")
    assert found[1:] == ("line 3: #$ is not read: foreign_directives does not have sge",)


@pytest.mark.parametrize(
    "text",
    [
        "#SBATCH is what Slurm reads", "# SBATCH --time=5", "##SBATCH --time=5", "#$HOME/bin/x -a", "#$ of money",
        "#$Id$", "#BSUB", "#BSUBS -W 5", "#OAR and more", "# a flux: -1", 'echo "#PBS -N a"', "#TASKGATE2 -x",
        "cat > job <<EOF\n#SBATCH -J a\n#BSUB -W 5\n#$ -N a\n#PBS -N a\nEOF",
        "true\n#SBATCH --time=5\n#PBS -N a",  # their own systems do not read it there either
    ],
)  # fmt: skip
@pytest.mark.parametrize("ours", ["", "#TASKGATE name: a\n"])
def test_what_is_nobodys_wish(text: str, ours: str) -> None:
    assert notes(ours + text, ("sge",) if text.startswith("true") and not ours else ()) == ()


@pytest.mark.parametrize(("head", "line"), [("", 1), ("#!/bin/bash\n", 2)])
def test_in_the_script_of_a_spec(head: str, line: int) -> None:
    spec = read(json.dumps({"script": f"{head}#SBATCH --time=5\n#$ -N a\ntrue\n", "name": "b"}), name="x.json")
    assert spec.notes == (f"script, line {line}: #SBATCH {KEYS}", f"script, line {line + 1}: #$ {KEYS}")
    assert spec.name == "b"


def test_who_is_told_of_our_directives_is_told_that_no_other_is_read_then() -> None:
    for line in ("#SBATCH --deadline=2030-01-01", "#$ -dl 01011200"):
        with pytest.raises(Refused) as caught:
            read(f"#!/bin/sh\n{line}\ntrue\n", ("slurm", "sge"))
        (problem,) = caught.value.problems
        assert problem.hint == (
            "say #TASKGATE deadline: 2h, and all else in #TASKGATE lines as well: beside these no other is read"
        )


def test_check_tells_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "x.sh"
    script.write_text("#!/bin/sh\n#SBATCH --time=5\n#TASKGATE name: a\ntrue\n")
    assert ctl.main(["--root", str(tmp_path), "check", str(script)]) == 0
    assert capsys.readouterr().out == f"{script}: 1 job\n{script}: note: line 2: #SBATCH {OURS}\n"


def test_a_worker_is_not_told_of_notes() -> None:
    """One of an earlier version does not know the key, and would not run what it ran before."""
    spec = read("#!/bin/sh\n#SBATCH --time=5\n#TASKGATE name: a\ntrue\n")
    assert spec.notes
    run = Run.of(Job(1, "default", 50, State.RUNNING, spec, attempt=1), "/log", "")
    assert run.spec == {"script": spec.script, "name": "a"}
