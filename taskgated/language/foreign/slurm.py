"""``#SBATCH``: the options of sbatch(1) of Slurm, and what each becomes."""

from __future__ import annotations

import os
import re

from taskgated.core.job import Dialect
from taskgated.language.declare import Mismatch
from taskgated.language.foreign import dependencies, readers, times
from taskgated.language.foreign.dialect import Option, Syntax, Takes, long_and_short
from taskgated.language.foreign.readers import ONE_HOST, counted, hosts, key, option, passed_over, refused
from taskgated.language.foreign.streams import Streams, pattern
from taskgated.language.foreign.wishes import Given, Wishes
from taskgated.text import quoted

VALUE, NOTHING, MAYBE = Takes.VALUE, Takes.NOTHING, Takes.MAYBE
NICE = 1000
"""The adjustment that takes a job of the usual priority to the last."""

_DAYS = re.compile(r"([0-9]{1,9})-([0-9]{1,9})(?::([0-9]{1,9})(?::([0-9]{1,9}))?)?")
_SIGNAL = re.compile(r"(?:([RB]{1,2}):)?(?:SIG)?([A-Za-z0-9+-]+)(?:@([0-9]{1,5}))?")
_CLOCK = re.compile(r"([0-9]{1,9})(?::([0-9]{1,9})(?::([0-9]{1,9}))?)?")


def time_limit(text: str) -> float | None:
    """Seconds of a time limit, rounded up to the minute; None: no limit.

    sbatch(1), ``--time``: "minutes", "minutes:seconds", "hours:minutes:seconds", "days-hours", "days-hours:minutes"
    and "days-hours:minutes:seconds"; zero is no limit.
    """
    if text.upper() in ("UNLIMITED", "INFINITE", "-1"):
        return None
    if match := _DAYS.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    elif match := _CLOCK.fullmatch(text):
        parts = [int(part) for part in match.groups() if part is not None]
        days = 0
        hours, minutes, seconds = (0, *parts, 0) if len(parts) == 1 else (0, *parts) if len(parts) == 2 else parts
    else:
        raise Mismatch(f"expected minutes, HH:MM:SS or D-HH:MM:SS, not {quoted(text)}")
    total = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    return float(-(-total // 60) * 60) or None


def _time(given: Given, wishes: Wishes) -> None:
    readers.limit(time_limit(given.value), given, wishes)


def _nodes(given: Given, wishes: Wishes) -> None:
    match = re.fullmatch(r"([0-9]{1,9})(k?)(?:-[0-9]{1,9}k?)?", given.value)
    if match is None:
        raise Mismatch(f"expected a number of hosts, not {quoted(given.value)}")
    hosts(int(match[1]) * (1000 if match[2] else 1))


def _signal(given: Given, wishes: Wishes) -> None:
    match = _SIGNAL.fullmatch(given.value)
    if match is None:
        raise Mismatch(f"expected B:SIGNAL@SECONDS, not {quoted(given.value)}")
    if "B" not in (match[1] or ""):
        raise Mismatch(
            "without B: the steps of the job get the signal and not its script, and there are no steps here",
            f"write B:{match[2]}@{match[3] or 60}, and let the script trap it",
        )
    wishes.say("warn", given, {"signal": times.signal_name(match[2]), "before": f"{match[3] or 60}s"})


def _array(given: Given, wishes: Wishes) -> None:
    indices, _, at_most = given.value.partition("%")
    found = readers.indices(indices, at_most, given, wishes)
    wishes.variable("SLURM_ARRAY_TASK_MIN", found[0], given)
    wishes.variable("SLURM_ARRAY_TASK_MAX", found[-1], given)
    if isinstance(found, range):
        wishes.variable("SLURM_ARRAY_TASK_STEP", found.step, given)


def _nice(given: Given, wishes: Wishes) -> None:
    adjustment = readers.whole(given.value) if given.value else 100
    wishes.say("priority", given, readers.rank(-max(-NICE, min(NICE, adjustment)), NICE, wishes))


def _export(given: Given, wishes: Wishes) -> None:
    words = readers.split_list(given.value)
    if [word.upper() for word in words] in (["NONE"], ["NIL"]):
        return
    if "ALL" in words:
        wishes.note(given, readers.NO_SUBMISSION)
    readers.export(",".join(f'"{word}"' for word in words if word != "ALL"), given, wishes)


def _mail(given: Given, wishes: Wishes) -> None:
    if given.value.upper() != "NONE":
        wishes.note(given, readers.NO_MAIL)


def _memory(names: str, variable: str) -> Option:
    def read(given: Given, wishes: Wishes) -> None:
        megabytes = readers.memory(given.value, "M") >> 20
        wishes.note(given, readers.NO_MEMORY)
        if megabytes:
            wishes.variable(variable, megabytes, given)

    return option(names, VALUE, f"a note: {readers.NO_MEMORY}; sets {variable}", read)


def _named(names: str, variable: str) -> Option:
    def read(given: Given, wishes: Wishes) -> None:
        wishes.note(given, ONE_HOST)
        wishes.variable(variable, given.value, given)

    return option(names, VALUE, f"a note: {ONE_HOST}; sets {variable}", read)


def _input(given: Given, wishes: Wishes) -> None:
    if given.value.lower() not in ("none", "/dev/null"):
        wishes.remember("input", given)


def _path(text: str, *, array: bool) -> str:
    """sbatch(1), FILENAME PATTERN. ``array``: whether the job is one; what is none has no %a."""
    if text.lower() == "none":
        return "/dev/null"
    if "\\" in text:
        return pattern(text.replace("\\", ""), "", {})
    host = os.uname().nodename.split(".")[0]
    of_arrays = {"A": "{array}", "a": "{index}"} if array else {"A": "{id}"}
    return pattern(
        text,
        "%",
        {"j": "{id}", "J": "{id}", "x": "{name}", "N": host, "n": "0", "t": "0", "s": "batch", "%": "%", **of_arrays},
    )


def _open_mode(given: Given, wishes: Wishes) -> None:
    if given.value[:1].lower() not in ("a", "t") or not given.value:
        raise Mismatch(f"expected append or truncate, not {quoted(given.value)}")
    wishes.remember("open-mode", given)


def finish(wishes: Wishes) -> None:
    """The streams, and the variables that follow from tasks and CPUs (sbatch(1), OUTPUT ENVIRONMENT VARIABLES)."""
    append = "open-mode" in wishes.seen and wishes.seen["open-mode"].value[:1].lower() == "a"

    def path(text: str, letter: str = "") -> str:
        return _path(text, array="array" in wishes.keys)

    Streams(append, path).say(
        wishes, wishes.seen.get("output"), wishes.seen.get("error"), both="error" not in wishes.seen
    )
    readers.say_input(wishes, path)
    tasks, given = 1, None
    for name in ("--ntasks-per-node", "--ntasks"):
        if name in wishes.seen:
            tasks, given = wishes.number(name, 1), wishes.seen[name]
    cpus = wishes.number("--cpus-per-task", 1)
    if given is not None:
        for name in ("SLURM_NTASKS", "SLURM_NPROCS"):
            wishes.variable(name, tasks, given)
    if given := given or wishes.seen.get("--cpus-per-task"):
        wishes.variable("SLURM_TASKS_PER_NODE", tasks, given)
        for name in ("SLURM_CPUS_ON_NODE", "SLURM_JOB_CPUS_PER_NODE"):
            wishes.variable(name, tasks * cpus, given)


def _without_meaning(takes: Takes, *names: str) -> tuple[Option, ...]:
    return tuple(passed_over(name, takes, ONE_HOST) for name in names)


OPTIONS = (
    key("--job-name -J", "name"),
    option("--time -t", VALUE, "`timeout`: minutes, H:M:S, D-H:M:S; rounded up to the minute", _time),
    option("--array -a", VALUE, "`array`, the number behind % its at_most; sets SLURM_ARRAY_TASK_MIN and"
           " SLURM_ARRAY_TASK_MAX, and of one range SLURM_ARRAY_TASK_STEP", _array),
    option("--output -o", VALUE, "`stdout`, and `stderr` if there is no --error; with %j %A %a %x %N %n %t %s %%",
           readers.remember("output")),
    option("--error -e", VALUE, "`stderr`; the same", readers.remember("error")),
    option("--open-mode", VALUE, "the mode of `stdout` and `stderr` (truncate)", _open_mode),
    option("--input -i", VALUE, "`stdin`", _input),
    option("--chdir -D --workdir", VALUE, "`cwd`, an absolute path", readers.directory),
    option("--begin -b", VALUE, "`not_before`, or for now+... `delay`", times.slurm_begin),
    option("--signal", VALUE, "`warn`, of the main process; without B: refused", _signal),
    option("--nice", MAYBE, f"`priority`: that of the queue less nice/{NICE // 50}", _nice),
    option("--requeue", MAYBE, "`interrupted`: rerun", lambda given, wishes: readers.rerun(True, given, wishes)),
    option("--no-requeue", NOTHING, "`interrupted`: fail", lambda given, wishes: readers.rerun(False, given, wishes)),
    option("--export", VALUE, "`env` of NAME=VALUE; NAME alone is refused, ALL a note", _export),
    option("--comment", VALUE, "a note with its text", readers.comment),
    option("--mail-type", VALUE, f"a note: {readers.NO_MAIL}", _mail),
    passed_over("--mail-user", VALUE, readers.NO_MAIL),
    _memory("--mem", "SLURM_MEM_PER_NODE"),
    _memory("--mem-per-cpu", "SLURM_MEM_PER_CPU"),
    _memory("--mem-per-gpu", "SLURM_MEM_PER_GPU"),
    counted("--cpus-per-task -c", readers.NO_CPUS, "SLURM_CPUS_PER_TASK"),
    counted("--ntasks -n --tasks", readers.NO_CPUS, "SLURM_NTASKS"),
    counted("--ntasks-per-node --tasks-per-node", readers.NO_CPUS, "SLURM_NTASKS_PER_NODE"),
    counted("--mincpus", readers.NO_CPUS),
    *(passed_over(name, VALUE, readers.NO_CPUS)
      for name in ("--cpus-per-gpu", "--cores-per-socket", "--sockets-per-node", "--threads-per-core",
                   "--extra-node-info -B", "--ntasks-per-core", "--ntasks-per-socket", "--ntasks-per-gpu")),
    *(passed_over(name, VALUE, readers.NO_GPUS)
      for name in ("--gpus -G", "--gpus-per-node", "--gpus-per-task", "--gpus-per-socket", "--gres",
                   "--tres-per-task")),
    option("--nodes -N", VALUE, "1, or a range from 1, is what there is; more is refused", _nodes),
    _named("--partition -p", "SLURM_JOB_PARTITION"),
    _named("--account -A -U", "SLURM_JOB_ACCOUNT"),
    _named("--qos -q", "SLURM_JOB_QOS"),
    _named("--reservation", "SLURM_JOB_RESERVATION"),
    *_without_meaning(
        VALUE, "--acctg-freq", "--batch", "--bb", "--cluster-constraint", "--clusters -M --cluster",
        "--constraint -C",
        "--core-spec -S", "--cpu-freq", "--delay-boot", "--distribution -m", "--exclude -x", "--extra", "--gpu-bind",
        "--gpu-freq", "--gres-flags", "--hint", "--kill-on-invalid-dep", "--mcs-label", "--mem-bind", "--network",
        "--nodelist -w", "--prefer", "--priority", "--profile", "--segment", "--switches", "--thread-spec",
        "--time-min", "--tmp", "--tres-bind", "--wait-all-nodes", "--wckey",
    ),
    *_without_meaning(MAYBE, "--exclusive", "--no-kill -k", "--oom-kill-step", "--parsable", "--propagate",
                      "--resv-ports", "--get-user-env"),
    *_without_meaning(NOTHING, "--contiguous", "--ignore-pbs", "--overcommit -O", "--oversubscribe -s --share",
                      "--quiet -Q", "--reboot", "--spread-job", "--stepmgr", "--use-min-nodes", "--verbose -v",
                      "--wait -W"),
    option("--dependency -d -P", VALUE, dependencies.BECOMES, dependencies.slurm),
    refused("--hold -H", NOTHING, *readers.NO_RELEASE),
    refused("--licenses -L", VALUE, "licenses are not counted by this version", "use a queue with a limit"),
    refused("--deadline", VALUE, *readers.NO_DEADLINE),
    refused("--container", VALUE, "there are no containers here", "start it in the script"),
    refused("--container-id", VALUE, "there are no containers here", "start it in the script"),
    refused("--export-file", VALUE, "the file is not read", "read it in the script"),
    refused("--bbf", VALUE, "there are no burst buffers here"),
    refused("--nodefile -F", VALUE, "the file is not read; this gate has one host"),
    refused("--uid", VALUE, "jobs run as the user of the gate"),
    refused("--gid", VALUE, "jobs run as the user of the gate"),
    refused("--test-only", NOTHING, "asks that it is not run"),
    refused("--wrap", VALUE, "has no place in a script: the script is what runs"),
    refused("--help -h", NOTHING, "has no place in a script"),
    refused("--usage", NOTHING, "has no place in a script"),
    refused("--version -V", NOTHING, "has no place in a script"),
)  # fmt: skip

SYNTAX = Syntax(
    Dialect.SLURM, "#SBATCH", "sbatch(1)", OPTIONS, long_and_short, escapes=True, comments=True, finish=finish
)
"""Its lines begin at the first column, and end at the first line that is neither blank nor a comment. Quotes group, a
backslash escapes also within them, ``#`` outside of them ends the line."""
