"""``#$``: the options of qsub of Grid Engine (submit(1)), and what each becomes."""

from __future__ import annotations

import os
import re

from taskgated.core.job import Dialect
from taskgated.language.declare import Mismatch
from taskgated.language.foreign import dependencies, readers, times
from taskgated.language.foreign.dialect import Option, Syntax, Takes, whole_words
from taskgated.language.foreign.readers import ONE_HOST, key, option, passed_over, refused
from taskgated.language.foreign.resources import requests
from taskgated.language.foreign.streams import Streams, destination, pattern
from taskgated.language.foreign.wishes import Given, Wishes
from taskgated.text import quoted

VALUE, NOTHING, TWO = Takes.VALUE, Takes.NOTHING, Takes.TWO
NOTIFY = 60
"""Seconds from the signal of ``-notify`` to the end: queue_conf(5), ``notify``, as it is when nobody changes it."""


def _marks(array: bool) -> dict[str, str]:
    """What a path may have behind ``$``; ``array``: whether the job is one, of which all tasks have one JOB_ID."""
    meanings = {"JOB_ID": "{array}" if array else "{id}", "JOB_NAME": "{name}", "HOSTNAME": os.uname().nodename}
    if array:
        meanings |= {"TASK_ID": "{index}", "SGE_TASK_ID": "{index}"}
    return meanings | {f"{{{name}}}": meaning for name, meaning in meanings.items()}


def _seconds(text: str) -> int | None:
    return None if text.upper() == "INFINITY" else readers.clock_time(text)


def _hard(given: Given, wishes: Wishes) -> None:
    readers.limit(_seconds(given.value), given, wishes)
    wishes.remember("h_rt", given)


def _soft(given: Given, wishes: Wishes) -> None:
    _seconds(given.value)
    wishes.remember("s_rt", given)


def _memory(given: Given, wishes: Wishes) -> None:
    readers.memory(given.value, "b")
    wishes.note(given, readers.NO_MEMORY)


def _resources(given: Given, wishes: Wishes) -> None:
    for part in readers.split_list(given.value):
        requests(part, given, wishes, RESOURCES)


def _slots(given: Given, wishes: Wishes) -> None:
    """``-pe NAME N[-M]``: the least of what is asked for."""
    name, _, number = given.value.partition(" ")
    match = re.fullmatch(r"([0-9]{1,9})(-[0-9]{0,9})?|-[0-9]{1,9}", number)
    if match is None:
        raise Mismatch(f"expected a number of slots, not {quoted(number)}")
    slots = readers.positive(match[1] or "1")
    if slots > 1:
        wishes.note(given, readers.NO_CPUS)
    wishes.variable("NSLOTS", slots, given)
    wishes.variable("PE", name, given)


def _tasks(given: Given, wishes: Wishes) -> None:
    if not re.fullmatch(r"[0-9]+(-[0-9]+(:[0-9]+)?)?", given.value):
        raise Mismatch(f"expected tasks such as 1-10 or 2-10:2, not {quoted(given.value)}")
    wishes.remember("tasks", given)


def _at_once(given: Given, wishes: Wishes) -> None:
    readers.positive(given.value)
    wishes.remember("at once", given)


def _join(given: Given, wishes: Wishes) -> None:
    wishes.remember("join", given.at(given.name, "y" if readers.yes(given.value) else "n"))


def _input(given: Given, wishes: Wishes) -> None:
    if given.value != "/dev/null":
        wishes.remember("input", given.at(given.name, given.value.removeprefix(":")))


def _mail(given: Given, wishes: Wishes) -> None:
    if given.value != "n":
        wishes.note(given, readers.NO_MAIL)


def _binary(given: Given, wishes: Wishes) -> None:
    if readers.yes(given.value):
        raise Mismatch("says that the script is none", "leave it out")


def _cwd(given: Given, wishes: Wishes) -> None:
    wishes.note(given, "is not known of a dropped file: say -wd DIRECTORY, or cwd in the defaults of the queue")


def _warning(wishes: Wishes) -> None:
    """queue_conf(5): at ``s_rt`` a job gets SIGUSR1, with ``-notify`` SIGUSR2 ahead of its end; one of them here."""
    soft, hard, notify = (wishes.seen.get(name) for name in ("s_rt", "h_rt", "notify"))
    first = _seconds(soft.value) if soft else None
    last = _seconds(hard.value) if hard else None
    if soft and first is not None:
        if last is None:
            wishes.wrong(soft, "a warning needs an end to come before", "say h_rt as well")
        elif first < last:
            wishes.say("warn", soft, {"signal": "USR1", "before": f"{last - first}s", "to": "group"})
            if notify:
                wishes.note(notify, "is passed over: a job has one warning, and s_rt is it")
            return
    if notify and last is not None and last > NOTIFY:
        wishes.say("warn", notify, {"signal": "USR2", "before": f"{NOTIFY}s", "to": "group"})
    elif notify:
        wishes.note(notify, "is about an end that this job does not have")


def _array(wishes: Wishes) -> None:
    tasks, at_once = wishes.seen.get("tasks"), wishes.seen.get("at once")
    if tasks is None:
        return
    try:
        found = readers.indices(tasks.value, at_once.value if at_once else "", tasks, wishes)
    except Mismatch as wrong:
        wishes.wrong(tasks, str(wrong), wrong.hint)
        return
    wishes.variable("SGE_TASK_FIRST", found[0], tasks)
    wishes.variable("SGE_TASK_LAST", found[-1], tasks)
    wishes.variable("SGE_TASK_STEPSIZE", found.step if isinstance(found, range) else 1, tasks)


def finish(wishes: Wishes) -> None:
    """The array, the warning, and the streams."""
    _array(wishes)
    _warning(wishes)
    array = "array" in wishes.keys
    readers.say_input(wishes, lambda text: pattern(text, "$", _marks(array)))
    joined = "join" in wishes.seen and wishes.seen["join"].value == "y"
    output, error = wishes.seen.get("output"), wishes.seen.get("error")

    def path(text: str, letter: str) -> str:
        return destination(text, letter, _marks(array), array=array)

    Streams(True, path).say(wishes, output, None if joined else error, both=joined)


RESOURCES = (
    option("h_rt", VALUE, "`timeout`: HH:MM:SS, or seconds", _hard),
    option("s_rt", VALUE, "with h_rt `warn`: USR1, as long before the end as it is less; alone refused", _soft),
    option("h_vmem s_vmem mem_free virtual_free vf mf mem vmem h_data s_data h_rss s_rss h_stack s_stack m_mem_free "
           "mem_total mt ram_free mem_requested", VALUE, f"a note: {readers.NO_MEMORY}", _memory),
    passed_over("gpu gpus ngpus cuda gpu_type gpu_card v100 coproc_v100 coproc_p100 rocm", VALUE, readers.NO_GPUS),
    passed_over("num_proc p slots cpu", VALUE, readers.NO_CPUS),
    passed_over("h_cpu s_cpu h_fsize s_fsize h_core s_core arch a hostname h qname q exclusive excl highp os os_bit "
                "tmpfs tmp_free tmpspace tmem scratch scr fs idle rerun bioinf hp opa infiniband "
                "centos rhel7 osrelease passwd paid", VALUE, ONE_HOST),
)  # fmt: skip
"""complex(5); those of well-known sites beside them."""

OPTIONS: tuple[Option, ...] = (
    key("-N", "name"),
    option("-l", VALUE, "the resources below", _resources),
    option("-t", VALUE, "`array`", _tasks),
    option("-tc", VALUE, "at_most of the `array`", _at_once),
    option("-o", VALUE, "`stdout`, appended to; a path that ends in / gets {name}.o{id}, in an array"
           " {name}.o{array}.{index}", readers.remember("output")),
    option("-e", VALUE, "`stderr`, appended to; the same with e", readers.remember("error")),
    option("-j", VALUE, "y: `stderr` goes where -o goes", _join),
    option("-i", VALUE, "`stdin`", _input),
    option("-a", VALUE, "`not_before`", times.digits_begin),
    option("-wd", VALUE, "`cwd`, an absolute path", readers.directory),
    option("-cwd", NOTHING, "a note: where it was submitted is not known of a dropped file", _cwd),
    readers.priority("-p"),
    option("-r", VALUE, "`interrupted`: y rerun, n fail",
           lambda given, wishes: readers.rerun(readers.yes(given.value), given, wishes)),
    option("-notify", NOTHING, f"with h_rt `warn`: USR2, {NOTIFY} s before the end; else a note",
           readers.remember("notify")),
    option("-v", VALUE, "`env` of NAME=VALUE; NAME alone is refused",
           lambda given, wishes: readers.export(given.value, given, wishes)),
    passed_over("-V", NOTHING, readers.NO_SUBMISSION),
    option("-pe", TWO, f"a note: {readers.NO_CPUS}; sets NSLOTS", _slots),
    option("-m", VALUE, f"a note: {readers.NO_MAIL}", _mail),
    passed_over("-M", VALUE, readers.NO_MAIL),
    option("-S", VALUE, "a note, unless it is what the first line says", readers.shell),
    option("-b", VALUE, "n; y is refused", _binary),
    passed_over("-q", VALUE, readers.NOT_THE_QUEUE),
    *(passed_over(name, VALUE, ONE_HOST)
      for name in ("-ac", "-A", "-ar", "-binding", "-c", "-C", "-ckpt", "-dc", "-js", "-masterq", "-now", "-P", "-R",
                   "-sc", "-shell", "-sync", "-w")),
    *(passed_over(name, NOTHING, ONE_HOST) for name in ("-clear", "-hard", "-soft", "-terse")),
    option("-hold_jid", VALUE, "`after`, with when: over, of names and ids; patterns are refused", dependencies.sge),
    refused("-hold_jid_ad", VALUE, "jobs of an array do not wait one by one", "-hold_jid waits for all of it"),
    refused("-h", NOTHING, *readers.NO_RELEASE),
    refused("-dl", VALUE, *readers.NO_DEADLINE),
    refused("-@", VALUE, "the file is not read"),
    refused("-jsv", VALUE, "no verifier of jobs is run"),
    refused("-verify", NOTHING, "asks that it is not run"),
    refused("-help", NOTHING, "has no place in a script"),
)  # fmt: skip

SYNTAX = Syntax(Dialect.SGE, "#$", "submit(1)", OPTIONS, whole_words, RESOURCES, everywhere=True, finish=finish)
"""Its lines begin at the first column, and may stand in all of the script. Quotes group."""
