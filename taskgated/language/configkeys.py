"""The keys of the configuration, declared once: checking, messages, schema and manual follow from this table."""

from __future__ import annotations

import re
from functools import partial

from taskgated.core.fixed import LARGEST_SPEC
from taskgated.core.job import Dialect
from taskgated.core.probe import Confirm, Says
from taskgated.language import units
from taskgated.language.config import Access, Config, ProbeConfig, QueueConfig, Require, Retention, UserConfig
from taskgated.language.declare import Check, Key, Mismatch, Scope, Type, keys_of, section
from taskgated.language.keys import DEFAULTS, NO_DEFAULTS, OUTPUT, QUEUE_NAME, RESERVED, command_alone, tokens
from taskgated.language.names import in_the_making
from taskgated.language.nodes import Node
from taskgated.language.policies import BREAKER, LIMIT, MACHINE, RATE
from taskgated.language.synonyms import SYNONYMS
from taskgated.language.types import (
    argv,
    at_least,
    boolean,
    choice,
    command,
    duration,
    integer,
    list_of,
    mapping_of,
    number,
    octal,
    or_word,
    positive,
    size,
    text,
)
from taskgated.language.windows import windows

WHO = ("owner", "members")
ON_STOP = ("requeue", "wait", "leave")


def _ending(node: Node, check: Check) -> str:
    value = _written.read(node, check)
    if in_the_making(b"x" + value.encode()):  # what waited for such a companion would wait for ever
        raise Mismatch(f"a name that ends in {value} is left alone", "take another, such as .done")
    return value


_written = text(r"\.[A-Za-z0-9][A-Za-z0-9_.-]{0,31}", "the end of a name, such as .done")
ending = Type(_ending, _written.schema, str)

_any_glob = text(what="a glob")


def _glob(node: Node, check: Check) -> str:
    value = _any_glob.read(node, check)
    if "/" in value:
        hint = f"write '{last}'" if (last := value.rpartition("/")[2]) else ""
        raise Mismatch("a glob is of a name, without directories", hint)
    if re.search(r"(?<!\[)\{[^{}]*,[^{}]*\}", value):  # fnmatch(3), which has none either
        raise Mismatch("braces stand for themselves in a glob", "write a glob for each")
    return value


def _matching(node: Node, check: Check) -> str:
    value = _glob(node, check)
    example = value.replace("*", "x").replace("?", "x")
    if in_the_making(example.encode()):
        raise Mismatch(f"a file with such a name, {example}, is left alone", "have it renamed before it is dropped")
    return value


_glob_schema = {**_any_glob.schema, "pattern": "^[^/]*$"}
_LIST_OF_GLOBS = "a list of globs, such as ['*.csv']"
globs = list_of(Type(_glob, _glob_schema, str), _LIST_OF_GLOBS, least=0)
match = list_of(Type(_matching, _glob_schema, str), _LIST_OF_GLOBS, least=0)

_PROBE_NAME = "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"

PROBE = keys_of(
    ProbeConfig,
    Key("command", command, "a list: program and arguments; or text for /bin/sh -c", ""),
    Key("every", at_least(0.1, duration), "how long an answer holds; so often it is asked while a job waits"),
    Key("timeout", positive(duration), "how long the command may take"),
    Key("on_error", choice(Says.OPEN, Says.CLOSED),
        "for which answer it counts when the command says neither: open, or closed"),
    Key("confirm", section(keys_of(
        Confirm,
        Key("open", integer(1, 1000), "how many answers in a row open it"),
        Key("closed", integer(1, 1000), "how many answers in a row close it"),
    ), instead="write {open: VALUE, closed: VALUE}"),
        "how many answers in a row have to say the same until that holds"),
)  # fmt: skip

_limit = or_word("none", integer(1, 100_000), None)

QUEUE = keys_of(
    QueueConfig,
    Key("limit", LIMIT, "how many of its jobs may run at once, or auto", "none: as many as there are workers"),
    Key("user_limit", _limit, "how many of those may be of one user", "none: no bound"),
    Key("share", choice("fifo", "fair"), "which goes first: the earlier job, or that of the user who has used less"),
    Key("strict", boolean, "whether a job that cannot start holds back those behind it"),
    Key("rate", RATE, "how many of its jobs may start within a time", "none: as many as there are"),
    Key("windows", windows, "when its jobs may start: while one of these windows is open", "always"),
    Key("breaker", BREAKER, "failures that close it for a while", "none: it is not closed"),
    Key("machine", MACHINE, "bounds of the machine beyond which none of its jobs starts", "none: no bounds"),
    Key("retry_budget", or_word("none", number(0, 1), None),
        "the share of its starts that may be retries, such as 0.2", "none: any"),
    Key("defaults", section(DEFAULTS, elsewhere=NO_DEFAULTS), "keys for jobs that leave them out"),
    Key("handler", or_word("none", section((
        Key("command", argv, "program and arguments, with {file} or {line}"),
    ), "command", instead="write {command: [VALUE]}"), None),
        "the command for what is dropped here: for each {file}, or {line} of it; none: it runs"),
    Key("require", section(keys_of(
        Require,
        Key("marker", ending, "a file NAME is taken only when NAME with this behind it is there, such as .done"),
        Key("sha256", ending, "the same, and that has its sum, as sha256sum or openssl write it; such as .sha256"),
    ), instead="write {marker: VALUE}"),
        "what tells that a file is whole, where connections break: a marker, or a sum"),
    Key("ignore", globs, "globs of names that are left alone in this queue, besides those in the making"),
    Key("match", match, "globs of names that are data for its handler; any other file is refused", "every name"),
    Key("probe", or_word("none", text(_PROBE_NAME, "a probe's name"), None),
        "which of probes says whether its jobs may start", "none"),
    Key("tokens", tokens, "how many of which tokens a job of it takes that does not say"),
)  # fmt: skip

_OF_JOBS = {key.name: "it is a key of jobs: write it under defaults of the queue" for key in DEFAULTS}

USER = keys_of(
    UserConfig,
    Key("limit", integer(1, 100_000), "how many of that user's jobs may run at once", "user_limit"),
    Key("weight", integer(1, 1000), "how much that user gets, beside others with 1, where a queue is shared fairly"),
)

_gate, _host = partial(Key, of=Scope.GATE), partial(Key, of=Scope.HOST)

KEYS = keys_of(
    Config,
    _host("workers", or_word("auto", integer(1, 10_000), None), "processes that run jobs", "auto: one a CPU"),
    _gate("limit", _limit, "how many jobs may run at once, over all queues", "none: as many as there are workers"),
    _gate("user_limit", _limit, "how many jobs of one user may run at once, over all queues", "none: no bound"),
    _gate("ready_queue", or_word("auto", integer(1, 100_000), None), "jobs kept ready", "auto: as many as workers"),
    _gate("max_backlog", integer(1, 1_000_000_000), "queued jobs; beyond it files stay in the spool"),
    _gate("user_backlog", or_word("auto", integer(1, 1_000_000_000), None),
        "queued jobs of one user, root and the gate's own excepted", "auto: half of max_backlog"),
    _gate("ageing", duration, "so much waiting is worth one point of priority; 0: no waiting makes up for one"),
    _host("stop_timeout", duration, "how long a stop waits for running jobs before it ends them"),
    _host("on_stop", choice(*ON_STOP), "running jobs at a stop: requeue after stop_timeout, wait, or leave"),
    _host("max_file_size", positive(size), "the largest spec or script",
        note=f"one job of it is at most {units.format_size(LARGEST_SPEC)}"),
    _host("max_list_size", positive(size), "the largest task list, or file for a handler"),
    _host("rescan_interval", positive(duration), "how often the whole spool is looked through"),
    _host("settle_time", duration, "how long a file rests, where the kernel cannot say who writes"),
    _host("ignore", globs, "globs of names that are left alone in every queue, besides those in the making"),
    _host("umask", octal("an octal mask in quotes, such as '022'"), "the umask of jobs"),
    _gate("foreign_directives", or_word("none", list_of(choice(*Dialect), "a list of dialects"), ()),
        "directives of others that a script without #TASKGATE may have: slurm (#SBATCH), pbs (#PBS), sge (#$)"),
    _gate("shell", argv, "what runs a command that is text, and each line of a list, of jobs that do not say",
        "[/bin/sh, -c]"),
    _gate("after_timeout", positive(duration),
        "how long a job that another one runs after may be missing, of jobs that do not say"),
    _host("output", section(OUTPUT), "what is kept of the output of jobs that do not say"),
    Key("retention", section(keys_of(
        Retention,
        _gate("age", positive(duration), "how long jobs that are over are remembered, while the host is up"),
        _gate("count", integer(0, 1_000_000_000), "how many of them at most"),
        _host("output", or_word("none", positive(size), None),
            "the disk that all outputs together may take; the oldest go first, their records stay", "none: no bound"),
    ), instead="write {age: VALUE}"), "when jobs that are over are forgotten, with their output"),
    _gate("access", section(keys_of(
        Access,
        Key("see", choice(*WHO), "who may see what a job runs, writes, and why it failed: owner, or members"),
        Key("cancel", choice(*WHO), "who may end a job, hold it, retry it, and the like: owner, or members"),
    ), instead="write {see: VALUE, cancel: VALUE}"), "who may do what on the control socket; root may do all"),
    _gate("users", mapping_of(r"[^\s:/]{1,255}", "users' names", section(USER, instead="write {limit: VALUE}")),
        "users for whom something else holds, by their names (or numbers)"),
    _gate("tokens", tokens, "how many of each kind there are for the jobs of all queues together, as {yarn: 10}"),
    _gate("queues", mapping_of(QUEUE_NAME, "queue names (letters, digits, '_', '.', '-')",
                               section(QUEUE, elsewhere=_OF_JOBS, instead="write {limit: VALUE}"), RESERVED),
        "the queues, each fed by the directory of its name in the spool"),
    _gate("probes", mapping_of(_PROBE_NAME, "names of probes (letters, digits, '_', '.', '-')",
                             section(PROBE, "command", instead=command_alone), {"none": "it stands for no probe"}),
        "commands that say whether jobs of the queues that name them may start"),
)  # fmt: skip

# Where a key belongs that is written in another place; what others call so is told by synonyms.
_IN_A_QUEUE = "it is a key of queues: write it in the configuration, under the queue"
NOT_AT_THE_TOP = {**_OF_JOBS, **{key.name: _IN_A_QUEUE for key in QUEUE}}
NOT_IN_A_JOB = {
    **{key.name: "it is a key of the configuration" for key in KEYS if key.name not in SYNONYMS},
    **{key.name: _IN_A_QUEUE for key in QUEUE},
}
