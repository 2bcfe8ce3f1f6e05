"""The variables that a script for another batch system expects, as far as the gate knows what they tell.

From the sections about the environment of sbatch(1), of qsub(1B) of OpenPBS, and of submit(1) of Grid Engine. What a
directive says (``SLURM_NTASKS``, ``NSLOTS``) is in ``Spec.env`` already.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping

from taskgated.core.job import Dialect, Spec
from taskgated.protocol.messages import Run
from taskgated.text import to_bytes


class Fact(enum.Enum):
    """What a variable tells; the value is what the manual says of it."""

    ID = "the id of the job"
    NAME = "the name of the job"
    QUEUE = "the queue of the job"
    CWD = "the directory cwd: that of a submission is not known of a dropped file, and the spool is none to write to"
    HOST = "the name of the host"
    USER = "the user as whom it runs"
    UID = "the number of that user"
    HOME = "the home of that user"
    ARRAY = "of an array: its id, which is that of its first job"
    ID_OF_ALL = "the id of the job; of an array that of its first, for all of its jobs"
    INDEX = "of an array: the index of the job"
    INDEX_OR_NONE = "of an array: the index of the job, else undefined"
    UNDEFINED = "of what is no array: undefined"
    COUNT = "of an array: how many jobs it has"
    AGAIN = "how many attempts there were before this one"
    AGAIN_OR_NOT = "1 if there was an attempt before this one, else 0"


VARIABLES: Mapping[Dialect, Mapping[str, Fact | str]] = {
    Dialect.SLURM: {
        "SLURM_JOB_ID": Fact.ID,
        "SLURM_JOBID": Fact.ID,
        "SLURM_JOB_NAME": Fact.NAME,
        "SLURM_SUBMIT_DIR": Fact.CWD,
        "SLURM_SUBMIT_HOST": Fact.HOST,
        "SLURM_JOB_NODELIST": Fact.HOST,
        "SLURM_NODELIST": Fact.HOST,
        "SLURMD_NODENAME": Fact.HOST,
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_JOB_USER": Fact.USER,
        "SLURM_JOB_UID": Fact.UID,
        "SLURM_RESTART_COUNT": Fact.AGAIN,
        "SLURM_ARRAY_JOB_ID": Fact.ARRAY,
        "SLURM_ARRAY_TASK_ID": Fact.INDEX,
        "SLURM_ARRAY_TASK_COUNT": Fact.COUNT,
    },
    Dialect.PBS: {
        "PBS_JOBID": Fact.ID,
        "PBS_JOBNAME": Fact.NAME,
        "PBS_QUEUE": Fact.QUEUE,
        "PBS_O_QUEUE": Fact.QUEUE,
        "PBS_O_WORKDIR": Fact.CWD,
        "PBS_O_HOST": Fact.HOST,
        "PBS_O_HOME": Fact.HOME,
        "PBS_O_LOGNAME": Fact.USER,
        "PBS_ENVIRONMENT": "PBS_BATCH",
        "PBS_ARRAY_ID": Fact.ARRAY,
        "PBS_ARRAY_INDEX": Fact.INDEX,
        "PBS_ARRAYID": Fact.INDEX,
    },
    Dialect.SGE: {
        "JOB_ID": Fact.ID_OF_ALL,
        "JOB_NAME": Fact.NAME,
        "REQUEST": Fact.NAME,
        "QUEUE": Fact.QUEUE,
        "SGE_O_WORKDIR": Fact.CWD,
        "SGE_O_HOST": Fact.HOST,
        "SGE_O_HOME": Fact.HOME,
        "SGE_O_LOGNAME": Fact.USER,
        "HOSTNAME": Fact.HOST,
        "SGE_TASK_ID": Fact.INDEX_OR_NONE,
        "SGE_TASK_FIRST": Fact.UNDEFINED,
        "SGE_TASK_LAST": Fact.UNDEFINED,
        "SGE_TASK_STEPSIZE": Fact.UNDEFINED,
        "NHOSTS": "1",
        "NQUEUES": "1",
        "NSLOTS": "1",
        "RESTARTED": Fact.AGAIN_OR_NOT,
        "ENVIRONMENT": "BATCH",
    },
}


def variables(dialect: Dialect, run: Run, spec: Spec, base: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Those of one attempt that the job does not set itself; ``base``: what every job finds."""

    array = run.array or 0

    def tell(fact: Fact | str) -> bytes:
        match fact:
            case Fact.ID:
                return b"%d" % run.job
            case Fact.ARRAY:
                return b"%d" % array
            case Fact.ID_OF_ALL:
                return b"%d" % (array or run.job)
            case Fact.NAME:
                return to_bytes(spec.name)
            case Fact.QUEUE:
                return to_bytes(spec.queue)
            case Fact.CWD:
                return to_bytes(spec.cwd)
            case Fact.HOST:
                return os.fsencode(os.uname().nodename)
            case Fact.USER:
                return base[b"USER"]
            case Fact.UID:
                return b"%d" % os.getuid()
            case Fact.HOME:
                return base[b"HOME"]
            case Fact.INDEX | Fact.INDEX_OR_NONE:
                return b"%d" % spec.array.index if spec.array.count else b"undefined"
            case Fact.UNDEFINED:
                return b"undefined"
            case Fact.COUNT:
                return b"%d" % spec.array.count
            case Fact.AGAIN:
                return b"%d" % (run.attempt - 1)
            case Fact.AGAIN_OR_NOT:
                return b"%d" % (run.attempt > 1)
            case str():
                return fact.encode()

    absent = set() if spec.array.count else {Fact.INDEX, Fact.COUNT}
    if not array:
        absent.add(Fact.ARRAY)
    return {
        name.encode(): tell(fact)
        for name, fact in VARIABLES[dialect].items()
        if name not in spec.env and fact not in absent
    }
