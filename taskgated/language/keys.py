"""The keys of a job, declared once: checking, messages, schema and manual follow from this table."""

from __future__ import annotations

from taskgated.core import plain
from taskgated.core.fixed import HIGHEST_PRIORITY
from taskgated.core.job import (
    Interrupted,
    Locks,
    OnConflict,
    Output,
    Receiver,
    Requires,
    Retry,
    Signal,
    Spec,
    Warn,
)
from taskgated.language import streamtypes
from taskgated.language.after import after
from taskgated.language.arrays import array
from taskgated.language.declare import Check, Key, Mismatch, Type, Values, below, keys_of, section, shown
from taskgated.language.endings import endings
from taskgated.language.nodes import Node
from taskgated.language.types import (
    LONGEST_PATH,
    argv,
    at_least,
    at_most,
    boolean,
    choice,
    command,
    duration,
    environment,
    integer,
    list_of,
    long_text,
    mapping_of,
    number,
    or_word,
    positive,
    size,
    text,
    timestamp,
)
from taskgated.text import quoted

RESERVED = {
    "rejected": "refused files lie in the directory of that name",
    "failed": "files of jobs that failed lie in the directory of that name",
}
"""Names in the spool that are the gate's own, and why."""

QUEUE_NAME = f"(?!({'|'.join(RESERVED)})$)[A-Za-z0-9][A-Za-z0-9_.-]{{0,63}}"
"""A queue's name is a directory's name; it must need no quoting anywhere."""

RETRY = keys_of(
    Retry,
    Key("attempts", integer(1, 1_000_000), "how often it is tried in all, the first time included"),
    Key("delay", duration, "the pause before the second attempt"),
    Key("factor", number(1, 100), "by how much the pause grows with each failure"),
    Key("max_delay", duration, "the longest pause"),
    Key("jitter", number(0, 1), "by what part of itself the pause may vary"),
    Key(
        "on", endings, "exit codes, signals (SIGKILL), or timeout, after which it is tried again", "after any failure"
    ),
    Key("not_on", endings, "the same, after which it is not tried again", "none"),
)

OUTPUT = keys_of(
    Output,
    Key("max_size", size, "what is kept of an attempt's output, its beginning and its end"),
    Key("journal", boolean, "whether its lines go to the journal, too"),
    Key("journal_rate", integer(1, 10_000), "how many lines a second, on average over 10 s"),
)

WARN = keys_of(
    Warn,
    Key("signal", choice(*Signal), "which signal"),
    Key("before", duration, "how long before; 0s: no signal"),
    Key("to", choice(*Receiver), "what gets it: the main process, or all of its process group"),
)

LONGEST_LOOK = 600.0
"""Seconds: only so many looks are made at once, and the next in line waits for the end of one."""
REQUIRES = keys_of(
    Requires,
    Key("command", command, "a list: program and arguments, no shell; or text for the job's shell", ""),
    Key("every", at_least(1, duration), "how long after a look that says no it is looked again"),
    Key("timeout", at_most(LONGEST_LOOK, positive(duration)), "how long a look may take, 10min at most"),
)


def command_alone(node: Node) -> str:
    return f"write {{command: {shown(node)}}}" if isinstance(node.value, str | list) else ""


LOCK_NAME = r"[^\s,]{1,200}"
"""A lock or a key may be a path or a table's name."""
LOCKS_OF_A_JOB = 64
TOKEN_NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
MOST_TOKENS = 1_000_000

_lock_names = list_of(text(LOCK_NAME, "a word without blanks"), "a list of names", least=0)


def _locks(node: Node, check: Check) -> tuple[str, ...]:
    names = _lock_names.read(node, check)
    if len(names) > LOCKS_OF_A_JOB:
        raise Mismatch(f"{len(names)} names: a job may have {LOCKS_OF_A_JOB}")
    if twice := next((name for name in names if names.count(name) > 1), ""):
        raise Mismatch(f"{quoted(twice)} is there twice")
    return names


_lock_list = Type(_locks, {**_lock_names.schema, "maxItems": LOCKS_OF_A_JOB}, _lock_names.write)

LOCKS = keys_of(
    Locks,
    Key("exclusive", _lock_list, "names that nobody else may have locked meanwhile, in either way"),
    Key("shared", _lock_list, "names that others may share, and nobody may have for himself"),
)

tokens = mapping_of(
    TOKEN_NAME,
    "names of tokens (letters, digits, '_', '.', '-')",
    integer(0, MOST_TOKENS),
    instead="write {VALUE: 1}",
)
"""How many of which token."""

NOT_DEFAULTS = ("command", "script", "queue", "name", "array", "tokens", "after")
"""Keys that make no sense as a default for a queue."""
NO_DEFAULTS = dict.fromkeys(NOT_DEFAULTS, "it is no default: a job says it") | {
    "array": "an array is no default: a job says it",
    "tokens": "the tokens of a queue's jobs are a key of the queue itself: write it beside defaults",
    "queue": "it is no default: jobs are of the queue whose directory they are dropped in",
}
"""Why, for who says one all the same."""

JOB = keys_of(
    Spec,
    Key("name", text(), "what people call it; default: the program's name"),
    Key(
        "queue",
        text(QUEUE_NAME, "a queue's name"),
        "the queue; default: that of the directory it is dropped in",
        unset="",
    ),
    Key("command", command, "a list: program and arguments, no shell; or text for the shell"),
    Key(
        "script",
        long_text("the text of a script"),
        "a script, its interpreter in the first line (#!); default /bin/sh",
    ),
    Key(
        "shell",
        argv,
        "what runs a command that is text, and each line of a list: a program and its arguments, the text comes last",
        "[/bin/sh, -c]",
    ),
    Key("env", environment, "environment variables, added to a clean base"),
    Key("cwd", text("/.*", "an absolute path", LONGEST_PATH), "the directory it runs in"),
    Key("priority", integer(0, HIGHEST_PRIORITY), f"0 to {HIGHEST_PRIORITY}, higher first"),
    Key("timeout", or_word("infinity", positive(duration), None), "how long an attempt may run", "no limit"),
    Key("kill_after", duration, "from SIGTERM to SIGKILL when it is ended"),
    Key(
        "warn",
        section(WARN, "before", instead="write {before: VALUE}"),
        "a signal ahead of the timeout, and of the end by a stop of the gate",
    ),
    Key("linger", duration, "how long what it left behind may go on after its main process has ended"),
    Key("retry", section(RETRY, instead="write {attempts: VALUE}"), "when to try again after a failure"),
    Key(
        "success_exit_codes",
        list_of(integer(0, 255), "a list of numbers"),
        "exit codes that mean success",
    ),
    Key("not_before", timestamp, "the earliest time to start"),
    Key("delay", duration, "how long to wait before it may start"),
    Key(
        "expires",
        or_word("infinity", positive(duration), None),
        "cancel it when it has not started after this time; infinity: never",
        "never",
    ),
    Key(
        "deadline",
        or_word("infinity", positive(duration), None),
        "how long after its submission it has to be over: what runs then times out, what waits is cancelled",
        "never",
    ),
    Key(
        "interrupted",
        choice(*Interrupted),
        "when it was ended in the middle, by a crash or a stop: run it again, or let it fail",
    ),
    Key("output", section(OUTPUT, instead="a file that takes it is stdout: VALUE"), "what is kept of its output"),
    Key(
        "stdin",
        streamtypes.stdin,
        "what it reads: a file, or {text: ...}; default: nothing (/dev/null)",
        note="in a path, {id}, {name}, {attempt} stand for those of the job, in an array {index}, {array}",
    ),
    Key(
        "stdout",
        streamtypes.stream,
        "a file that takes its standard output instead of the record",
        note="as {path: ..., mode: truncate} it is emptied first; the path may have what that of stdin may",
    ),
    Key("stderr", streamtypes.stream, "the same for its standard error", note="may be the same file"),
    Key("tty", boolean, "whether its outputs are a terminal, for colours and for lines that come at once"),
    Key(
        "array",
        array,
        "many jobs of this one, each with an index of its own; {index} in command, name, env, cwd, paths, key, locks",
        "",
    ),
    Key(
        "requires",
        or_word("none", section(REQUIRES, "command", instead=command_alone), None),
        "a command that exits with 0 when what the job needs is there; until then the job waits, and holds nothing",
        "none",
    ),
    Key(
        "tokens",
        tokens,
        "how many of which tokens of the configuration it takes while it runs, such as {yarn: 3}",
        "what its queue says",
    ),
    Key(
        "locks",
        section(LOCKS, instead="write {exclusive: [VALUE]}"),
        "names that it locks while it runs: all at once, alone or shared with others",
    ),
    Key(
        "key",
        text(LOCK_NAME, "a word without blanks"),
        "jobs of one user with the same key run one at a time",
        "",
    ),
    Key(
        "on_conflict",
        choice(*OnConflict),
        "what becomes of it when others with its key wait or run: queue, it waits; skip, it is not taken; replace, it"
        " takes the place of those that wait; once_more, it is not taken when one waits",
        note="jobs of one array do not count for each other; what is not taken is cancelled, and says for which job",
    ),
    Key(
        "after",
        after,
        "jobs after which it runs, by name or id: one, or a list of them; {job: NAME, when: failed} after a failure",
        "",
    ),
    Key(
        "after_timeout", positive(duration), "how long a job of that name may be missing, until this one is cancelled"
    ),
)

LATER = ("limits",)
"""Keys of the design that this version cannot honour; they are refused rather than ignored."""

EXCLUSIVE = {"delay", "not_before"}
EXCLUDE = "'delay' and 'not_before' exclude each other"

DEFAULTS = tuple(key for key in JOB if key.name not in NOT_DEFAULTS)

_USUAL = Retry()


def merge(base: Values, over: Values) -> dict[str, object]:
    """``over`` wins; mappings inside are merged, ``env`` included."""
    out = dict(base)
    for name, value in over.items():
        old = out.get(name)
        out[name] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return out


def merge_job(base: Values, over: Values) -> dict[str, object]:
    """The same of a job's keys: of those that exclude each other one given takes the place of the other, and tokens
    that are said are all that it takes."""
    gone = {"tokens"} & over.keys() | (set() if EXCLUSIVE.isdisjoint(over) else EXCLUSIVE)
    return merge({name: value for name, value in base.items() if name not in gone}, over)


def build(values: Values) -> Spec:
    """A spec from checked values."""
    retry = below(values, "retry")
    delay = retry.get("delay")
    if isinstance(delay, float) and delay > _USUAL.max_delay and "max_delay" not in retry:
        # A delay that is longer than the longest by default is what is meant, and not cut.
        values = {**values, "retry": {**retry, "max_delay": delay}}
    if requires := below(values, "requires"):
        values = {**values, "requires": plain.make(Requires, requires)}
    return plain.make(Spec, values)
