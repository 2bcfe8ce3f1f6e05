"""``#PBS``: the options of qsub(1B) of OpenPBS, and those of TORQUE that differ, and what each becomes."""

from __future__ import annotations

import re

from taskgated.core.job import Dialect
from taskgated.language.declare import Mismatch, nearest
from taskgated.language.foreign import dependencies, readers, times
from taskgated.language.foreign.dialect import Syntax, Takes, letters
from taskgated.language.foreign.readers import ONE_HOST, hosts, key, option, passed_over, refused
from taskgated.language.foreign.resources import requests
from taskgated.language.foreign.streams import Streams, destination
from taskgated.language.foreign.wishes import Given, Wishes
from taskgated.text import quoted

VALUE, NOTHING = Takes.VALUE, Takes.NOTHING


def _marks(array: bool) -> dict[str, str]:
    """What a path may have behind ``$``; ``array``: whether the job is one."""
    meanings = {"PBS_JOBID": "{id}", "PBS_JOBNAME": "{name}"}
    if array:
        meanings |= {"PBS_ARRAY_INDEX": "{index}", "PBS_ARRAYID": "{index}", "PBS_ARRAY_ID": "{array}"}
    return meanings | {f"{{{name}}}": meaning for name, meaning in meanings.items()}


def _walltime(given: Given, wishes: Wishes) -> None:
    readers.limit(readers.clock_time(given.value), given, wishes)


def _cpus(given: Given, wishes: Wishes) -> None:
    number = readers.positive(given.value)
    if number > 1:
        wishes.note(given, readers.NO_CPUS)
    for name in ("NCPUS", "OMP_NUM_THREADS"):
        wishes.variable(name, number, given)


def _threads(given: Given, wishes: Wishes) -> None:
    wishes.variable("OMP_NUM_THREADS", readers.positive(given.value), given)


def _memory(given: Given, wishes: Wishes) -> None:
    readers.memory(given.value, "b")
    wishes.note(given, readers.NO_MEMORY)


def _select(given: Given, wishes: Wishes) -> None:
    """``[N:]resource=value:...[+...]``, pbs_resources(7B): chunks, of which each is on one host."""
    chunks = given.value.split("+")
    first, *parts = chunks[0].split(":")
    if not first.isdigit():
        first, parts = "1", [first, *parts]
    if len(chunks) > 1 or readers.positive(first) > 1:
        raise Mismatch("asks for several chunks, of which each may be on another host", "ask for one chunk")
    _of_chunk(parts, given, wishes)


def _nodes(given: Given, wishes: Wishes) -> None:
    """``N:ppn=P:...`` or ``NAME:ppn=P:...``, with ``+`` for more of them."""
    chunks = given.value.split("+")
    _, *parts = chunks[0].split(":")
    hosts(sum(_many(chunk.split(":")[0]) for chunk in chunks))
    per = 1
    for part in parts:
        name, _, value = part.partition("=")
        if name == "ppn":
            per = readers.positive(value)
            if per > 1:
                wishes.note(given, readers.NO_CPUS)
        else:
            wishes.note(given, ONE_HOST)
    for variable, number in (("PBS_NUM_NODES", 1), ("PBS_NUM_PPN", per), ("PBS_NP", per)):
        wishes.variable(variable, number, given)


def _many(first: str) -> int:
    """How many hosts a chunk of ``nodes`` asks for: a number, or a name. Nine digits are too many already."""
    return int(first.lstrip("0")[:9] or 0) if re.fullmatch(r"[0-9]+", first) else 1


def _of_chunk(parts: list[str], given: Given, wishes: Wishes) -> None:
    for part in parts:
        requests(part, given, wishes, CHUNK)


def _resources(given: Given, wishes: Wishes) -> None:
    for part in readers.split_list(given.value):
        requests(part, given, wishes, RESOURCES)


def _range(given: Given, wishes: Wishes) -> None:
    indices, _, at_most = given.value.replace(" ", "").partition("%")
    readers.indices(indices, at_most, given, wishes)


def _join(given: Given, wishes: Wishes) -> None:
    if given.value not in ("oe", "eo", "n"):
        raise Mismatch(f"expected oe, eo or n, not {quoted(given.value)}")
    wishes.remember("join", given)


def _mail(given: Given, wishes: Wishes) -> None:
    if given.value not in ("n", "p"):
        wishes.note(given, readers.NO_MAIL)


def _variables(given: Given, wishes: Wishes) -> None:
    readers.export(given.value, given, wishes)


_NO_COPIES = "this gate copies no files"
_REFUSED = {
    "stagein": (_NO_COPIES, "copy them in the script"),
    "stageout": (_NO_COPIES, "copy them in the script"),
    "umask": ("this gate has one umask for all jobs", "say umask in the script"),
    "interactive": ("a dropped job is not interactive", ""),
}
_PASSED_OVER = (
    "alt_id", "block", "create_resv_from_job", "cred", "group_list", "max_run_subjobs", "pwd",
    "release_nodes_on_stageout", "run_count", "sandbox", "tolerate_node_failures", "x",
)  # fmt: skip


_ATTRIBUTE = re.compile(r"(?:^|,)\s*([A-Za-z_]+)=((?:[^,]|,(?!\s*[A-Za-z_]+=))*)")
"""A value may have commas as well, as the one of depend does."""


def _attributes(given: Given, wishes: Wishes) -> None:
    for name, value in _ATTRIBUTE.findall(given.value) or [(given.value, "")]:
        if name == "depend":
            dependencies.pbs(given.at(given.name, value), wishes)
        elif name in _REFUSED:
            why, hint = _REFUSED[name]
            raise Mismatch(f"{name}: {why}", hint)
        elif name in _PASSED_OVER:
            wishes.note(given, ONE_HOST)
        else:
            known = ["depend", *_REFUSED, *_PASSED_OVER]
            raise Mismatch(f"{quoted(name)} is an unknown attribute", nearest(name, known))


def finish(wishes: Wishes) -> None:
    """The streams: apart, or joined in the one or the other."""
    join = wishes.seen["join"].value if "join" in wishes.seen else "n"
    output, error = wishes.seen.get("output"), wishes.seen.get("error")
    if join == "eo":
        output, error = error, None

    array = "array" in wishes.keys

    def path(text: str, letter: str) -> str:
        return destination(text.replace("^array_index^", "${PBS_ARRAY_INDEX}"), letter, _marks(array), array=array)

    both = join != "n"
    Streams(False, path).say(wishes, output, None if both else error, both=both, first="e" if join == "eo" else "o")


def _queue(given: Given, wishes: Wishes) -> None:
    wishes.note(given, readers.NOT_THE_QUEUE)


_SIZES = "mem pmem vmem pvmem file scratch"
CHUNK = (
    option("ncpus", VALUE, f"a note: {readers.NO_CPUS}; sets NCPUS and OMP_NUM_THREADS", _cpus),
    option("ompthreads", VALUE, "sets OMP_NUM_THREADS", _threads),
    option(_SIZES, VALUE, f"a note: {readers.NO_MEMORY}", _memory),
    passed_over("mpiprocs procs", VALUE, readers.NO_CPUS),
    passed_over("ngpus gpus naccelerators", VALUE, readers.NO_GPUS),
    passed_over("arch host vnode mem_type cpu_type gpu_model cpu_model model ib feature", VALUE, ONE_HOST),
)
RESOURCES = (
    option("walltime", VALUE, "`timeout`: HH:MM:SS, or seconds", _walltime),
    option("select", VALUE, "one chunk, read like this list; more are refused", _select),
    option("nodes nodect", VALUE, "1, or one host; more are refused; sets PBS_NUM_PPN and PBS_NP", _nodes),
    *CHUNK,
    passed_over("cput pcput nice place software opsys naccesspolicy qos gres other min_walltime max_walltime "
                "soft_walltime partition advres reservation filesystems site tpn", VALUE, ONE_HOST),
    option("depend", VALUE, dependencies.BECOMES, dependencies.pbs),
)  # fmt: skip
"""qsub(1B), pbs_resources(7B); those of TORQUE and of well-known sites beside them."""

OPTIONS = (
    key("-N", "name"),
    option("-l", VALUE, "the resources below", _resources),
    option("-J -t", VALUE, "`array`, the number behind % its at_most", _range),
    option("-o", VALUE, "`stdout`; a path that ends in / gets {name}.o{id}, in an array {name}.o{array}.{index}",
           readers.remember("output")),
    option("-e", VALUE, "`stderr`; the same with e", readers.remember("error")),
    option("-j", VALUE, "oe: `stderr` goes where -o goes; eo: `stdout` goes where -e goes", _join),
    option("-a", VALUE, "`not_before`", times.digits_begin),
    option("-d -w", VALUE, "`cwd`, an absolute path", readers.directory),
    readers.priority("-p"),
    option("-r", VALUE, "`interrupted`: y rerun, n fail",
           lambda given, wishes: readers.rerun(readers.yes(given.value), given, wishes)),
    option("-v", VALUE, "`env` of NAME=VALUE; NAME alone is refused", _variables),
    passed_over("-V", NOTHING, readers.NO_SUBMISSION),
    option("-m", VALUE, f"a note: {readers.NO_MAIL}", _mail),
    passed_over("-M", VALUE, readers.NO_MAIL),
    option("-S", VALUE, "a note, unless it is what the first line says", readers.shell),
    option("-q", VALUE, "a note: the queue is that of the directory", _queue),
    option("-W", VALUE, "depend as below, all else a note; umask, stagein and stageout are refused", _attributes),
    *(passed_over(name, VALUE, ONE_HOST) for name in ("-A", "-c", "-k", "-P", "-R", "-u", "-L")),
    *(passed_over(name, NOTHING, ONE_HOST) for name in ("-f", "-X", "-z", "-n")),
    refused("-h", NOTHING, *readers.NO_RELEASE),
    refused("-I", NOTHING, "a dropped job is not interactive"),
    refused("-C", VALUE, "another prefix is not read"),
    refused("-F", VALUE, "a dropped script has no arguments"),
)  # fmt: skip

SYNTAX = Syntax(Dialect.PBS, "#PBS", "qsub(1B)", OPTIONS, letters, RESOURCES, indented=True, finish=finish)
"""Its lines may be indented, and end at the first line that is neither blank nor a comment. Quotes group."""
