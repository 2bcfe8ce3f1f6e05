"""A script for another batch system, from the drop to what it found, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.env.gate import GateEnv


@pytest.fixture
def gate(make_gate: Callable[..., GateEnv]) -> GateEnv:
    return make_gate("workers: 1\nforeign_directives: [slurm, pbs, sge]\n")


SLURM = """\
#!/bin/sh
#SBATCH --job-name=sums --time=1-0 --cpus-per-task=3 --mem=4G
#SBATCH --chdir=/tmp --export=GREETING=hello
echo "$SLURM_JOB_ID $SLURM_JOB_NAME $SLURM_SUBMIT_DIR $SLURM_CPUS_PER_TASK $SLURM_NNODES $GREETING ${PBS_JOBID-none}"
"""
PBS = """\
#!/bin/sh
#PBS -N sums -l nodes=1:ppn=4 -d /tmp
cd "$PBS_O_WORKDIR" && echo "$PBS_JOBID $PBS_JOBNAME $PWD $PBS_NUM_PPN $PBS_ENVIRONMENT ${SLURM_JOB_ID-none}"
"""
SGE = """\
#!/bin/sh
#$ -N sums -wd /tmp
#$ -pe smp 4
echo "$JOB_ID $JOB_NAME $SGE_O_WORKDIR $NSLOTS $SGE_TASK_ID $RESTARTED"
"""


@pytest.mark.parametrize(
    ("script", "found", "note"),
    [
        (SLURM, "1 sums /tmp 3 1 hello none", "line 2: '--mem=4G' is not counted, nor is memory limited"),
        (PBS, "1 sums /tmp 4 PBS_BATCH none", "line 2: '-l nodes=1:ppn=4' is not counted"),
        (SGE, "1 sums /tmp 4 undefined 0", "line 3: '-pe smp 4' is not counted"),
    ],
)
def test_it_finds_what_it_expects_and_its_record_has_the_notes(
    gate: GateEnv, script: str, found: str, note: str
) -> None:
    gate.drop("sums.sh", script)
    (job,) = gate.until_over(1)
    assert (job["name"], job["state"]) == ("sums", "succeeded")
    assert gate.ctl("logs", "1").stdout.decode() == f"{found}\n"
    gate.stop()
    gate.start()
    assert f"      note  {note}" in gate.ctl("show", "1").stdout.decode()
    assert any(said.startswith(note) for said in gate.ctl_json("show", "1")["spec"]["notes"])


def test_the_record_names_what_nobody_read(gate: GateEnv) -> None:
    gate.drop("ours.sh", "#!/bin/sh\n#TASKGATE name: ours\n#SBATCH --time=1:00\n#BSUB -W 5\ntrue\n")
    (job,) = gate.until_over(1)
    assert (job["name"], job["state"]) == ("ours", "succeeded")
    shown = gate.ctl("show", "1").stdout.decode()
    assert "      note  line 3: #SBATCH is not read: the script has #TASKGATE" in shown
    assert "      note  line 4: #BSUB is not read: the script has #TASKGATE" in shown


def test_what_would_make_it_another_job_is_refused(gate: GateEnv) -> None:
    gate.drop("later.sh", "#!/bin/sh\n#SBATCH --licenses=ansys:7\ntrue\n")
    gate.drop("after.sh", "#!/bin/sh\n#SBATCH -J after\ntrue\n")
    gate.until_over(1)
    said = (gate.layout.rejected / "later.sh.reason").read_text()
    assert "later.sh:2:9: --licenses: licenses are not counted by this version" in said
    assert [job["name"] for job in gate.jobs()] == ["after"]


def test_its_output_is_where_it_says(gate: GateEnv) -> None:
    gate.drop("out.sh", f"#!/bin/sh\n#SBATCH -D {gate.scratch} -J out -o %x-%j.log\necho to; echo it >&2\n")
    gate.drop("by-the-gate.sh", "#!/bin/sh\n#SBATCH -J kept -o %x-%j.log\necho here\n")
    found = {job["name"]: job for job in gate.until_over(2)}
    assert {job["state"] for job in found.values()} == {"succeeded"}
    assert (gate.scratch / f"out-{found['out']['id']}.log").read_text() == "to\nit\n"
    assert gate.ctl("logs", str(found["kept"]["id"])).stdout == b"here\n"


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (
            "#SBATCH -a 2-6:2%1\n"
            "echo $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT to $SLURM_ARRAY_TASK_MAX in $SLURM_ARRAY_JOB_ID"
            " is $SLURM_JOB_ID",
            "3 to 6 in 2 is {id}",
        ),
        (
            "#PBS -J 2-6:2\necho $PBS_ARRAY_INDEX of 3 to 6 in $PBS_ARRAY_ID is $PBS_JOBID",
            "3 to 6 in 2 is {id}",
        ),
        ("#$ -t 2-6:2\necho $SGE_TASK_ID of 3 to $SGE_TASK_LAST in $JOB_ID", "3 to 6 in 2"),
    ],
)
def test_each_job_of_an_array_finds_its_index_and_its_array(gate: GateEnv, script: str, found: str) -> None:
    gate.drop("first.yaml", "command: 'true'\n")
    gate.until_over(1)
    gate.drop("array.sh", f"#!/bin/sh\n{script}\n")
    ids = [job["id"] for job in gate.until_over(4)][1:]
    said = [gate.ctl("logs", str(number)).stdout.decode() for number in ids]
    expected = [f"{index} of {found}\n".replace("{id}", str(job)) for job, index in zip(ids, (2, 4, 6), strict=True)]
    assert said == expected


def test_a_script_that_is_no_array_finds_none(gate: GateEnv) -> None:
    gate.drop("one.sh", "#!/bin/sh\n#SBATCH -J one\necho ${SLURM_ARRAY_JOB_ID-none} ${TASKGATE_ARRAY_ID-none}\n")
    gate.until_over(1)
    assert gate.ctl("logs", "1").stdout == b"none none\n"


def test_what_it_writes_where_it_was_submitted_is_not_dropped(gate: GateEnv) -> None:
    """In the spool it would be the next file. A script without a directory of its own is told of ``/``."""
    text = 'cd "$SLURM_SUBMIT_DIR"; pwd; echo "$TASKGATE_SUBMIT_DIR"'
    gate.drop("one.sh", f"#!/bin/sh\n#SBATCH -J one\n{text}\n")
    gate.until_over(1)
    assert gate.ctl("logs", "1").stdout.decode() == f"/\n{gate.layout.spool}\n"
