"""All words that people may write, with values that are good and bad; what the fuzzer makes files of.

Each key of a job and of the configuration that is declared has its line here, by its path; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from hypothesis import strategies as st

from taskgated.language.declare import Schema
from taskgated.language.foreign.dialect import Option, Syntax, Takes
from taskgated.language.foreign.reading import SYNTAXES

DURATIONS = ("90s", "2h 30min", "0s", "5", "1.5", "00:30:00", "1-12:00", "infinity", "never", "-1s", "1" * 30 + "d")
SIZES = ("4K", "16M", "1G", "0", "4GB", "none", "-1")
BOOLEANS = ("true", "false", "yes", "1", "null")
PATHS = (
    "/x/{id}.{name}.{attempt}", "out.{index}", "{array}/{index}", "{job}", "~/x", "a/", "''", "{}", "{{index}}",
    "/dev/null",
)  # fmt: skip
STREAMS = (*PATHS, "{path: /x/{index}, mode: truncate}", "{path: 'o.{id}', mode: append}", "{mode: append}", "[a]")
NUMBERS = ("1", "3", "0", "100", "-1", "1.5", "010", "9999999999", "'1'", "[1]", "true")
TEXTS = ("x", "'{index}'", "a{line}b", "'{{index}} ${index}'", "é", "''", "1.10", "null", '"\\u0085"', "x" * 300)
GLOBS = ("['*.csv']", "['[!a-z]*', '?', '']", "[]", "x", "['a/*', '*.{a,b}']", "['*[']", "[['*']]")
ENDS = ("[75, SIGKILL, timeout]", "[0]", "[]", "timeout", "[KILL, SIGCHLD]", "[lost, '2', 256, 1.5, true, [1]]")
ENDINGS = (".done", ".sha256", ".part", "done", ".", ".~", "..done")

JOB: Mapping[str, tuple[str, ...]] = {
    "name": TEXTS,
    "tokens": ("{db: 1}", "{db: 9}", "{}", "{yarn: 1}", "{'': 1}", "[db]", "db"),
    "locks": ("{exclusive: [a], shared: [b]}", "{exclusive: [a], shared: [a]}", "{}", "[a]", "a"),
    "locks.exclusive": ("[hive:orders, '{index}']", "[a, a]", "[]", "a", "['a b']"),
    "locks.shared": ("[hive:orders, /data/x]", "[a, a]", "[]", "a", "['']"),
    "key": ("nightly-report", "'{index}'", "''", "a b", "1"),
    "on_conflict": ("queue", "skip", "replace", "once_more", "never"),
    "queue": ("default", "etl", "thumbs", "failed", "rejected", "../x", "nowhere"),
    "command": ("[sleep, 1.10, 010]", "'{line}'", "[x, '{line}', '{index}']", "module load x", "[]", "[1]", "''"),
    "script": ('"#!/bin/sh\\necho\\n"', "echo", '"#!/bin/sh\\r\\n"', '"#!/bin/sh\\n#TASKGATE name: x\\n"', "''"),
    "shell": ("[bash, -l, -euo, pipefail, -c]", "[bash]", "bash -c", "[]", "['']", "[1]"),
    "env": ("{A: x, B: 1.10}", "{A: true}", "{1A: x}", "{}", "[A]", "{TASKGATE_JOB_ID: 7}"),
    "cwd": ("/tmp", "tmp", "/", "''", "/{index}"),
    "priority": NUMBERS,
    "timeout": DURATIONS,
    "kill_after": DURATIONS,
    "warn": ("{signal: USR1, before: 90s}", "{}", "USR1"),
    "warn.signal": ("USR1", "SIGUSR2", "KILL", "10", "usr1"),
    "warn.before": DURATIONS,
    "warn.to": ("main", "group", "all"),
    "linger": DURATIONS,
    "retry": ("{attempts: 3, delay: 1min, factor: 1.5, max_delay: 2h, jitter: 0}", "{}", "3"),
    "retry.attempts": NUMBERS,
    "retry.delay": DURATIONS,
    "retry.factor": NUMBERS,
    "retry.max_delay": DURATIONS,
    "retry.jitter": ("0", "0.5", "1", "2", "nan", ".inf"),
    "retry.on": ENDS,
    "retry.not_on": ENDS,
    "success_exit_codes": ("[0, 3]", "[256]", "[]", "0", "[-1]", "[1.0]"),
    "not_before": ("2027-01-31T02:00:00+01:00", "2026-02-30", "'16:00'", "now", "2027-01-31"),
    "delay": DURATIONS,
    "expires": DURATIONS,
    "deadline": DURATIONS,
    "interrupted": ("rerun", "fail", "true"),
    "output": ("{max_size: 4K, journal: true}", "{}", "/x"),
    "output.max_size": SIZES,
    "output.journal": BOOLEANS,
    "output.journal_rate": NUMBERS,
    "stdin": ("{text: yes please}", "{text: ''}", "{text: a, path: b}", *PATHS),
    "stdin.path": PATHS,
    "stdin.text": ("yes please", "''", "|\n    a\n    b\n", "5"),
    "stdout": STREAMS,
    "stdout.path": PATHS,
    "stdout.mode": ("append", "truncate", "w"),
    "stderr": STREAMS,
    "stderr.path": PATHS,
    "stderr.mode": ("append", "truncate", "a"),
    "tty": BOOLEANS,
    "requires": ("{command: [test, -e, /x]}", "{command: 'test -e /x', every: 5s}", "none", "{}", "test -e /x"),
    "requires.command": ("[test, -e, '/x/{index}']", "test -e /x", "[]"),
    "requires.every": DURATIONS,
    "requires.timeout": DURATIONS,
    "array": (
        "{from: 1, to: 100, step: 7, at_most: 10}", "[3, 1, 2]", "[1, 1]", "{to: 1000000}", "{to: 1000001}",
        "{from: 2, to: 1}", "{values: [5, 7], at_most: 1}", '{lines: "a\\nb c\\n\\n"}', "{lines: /x/list}",
        "{to: 3, values: [1]}", "1-10", "{}",
    ),
    "array.from": NUMBERS,
    "array.to": NUMBERS,
    "array.step": NUMBERS,
    "array.values": ("[1, 2]", "[]", "5", "[1, 1]", "[-1]"),
    "array.lines": ('"a\\nb\\r\\n"', "''", "/x/list", "[a]", '"{index}"'),
    "array.at_most": NUMBERS,
    "after": (
        "x", "7", "0", "[x, 7, {job: y, when: over}]", "[x, {job: x, when: failed}]", "[]", "{job: x, when: never}",
        "{when: over}", "'part {index}'", "''", "[true, [x]]",
    ),
    "after.job": (*TEXTS, *NUMBERS),
    "after.when": ("succeeded", "failed", "over", "ok", "any"),
    "after_timeout": DURATIONS,
}  # fmt: skip

_BELOW_DEFAULTS = {
    f"queues.*.defaults.{path}": values
    for path, values in JOB.items()
    if path.split(".")[0] not in ("command", "script", "queue", "name", "array", "tokens", "after")
}
CONFIGURATION: Mapping[str, tuple[str, ...]] = {
    "workers": ("auto", *NUMBERS),
    "ready_queue": ("auto", *NUMBERS),
    "max_backlog": NUMBERS,
    "limit": NUMBERS,
    "user_limit": NUMBERS,
    "ageing": DURATIONS,
    "user_backlog": ("auto", *NUMBERS),
    "tokens": ("{yarn: 10, db: 3}", "{}", "{db: 0}", "{db: -1}", "{'a b': 1}", "[db]"),
    "stop_timeout": DURATIONS,
    "on_stop": ("requeue", "wait", "leave", "keep"),
    "max_file_size": SIZES,
    "max_list_size": SIZES,
    "rescan_interval": DURATIONS,
    "settle_time": DURATIONS,
    "ignore": GLOBS,
    "shell": ("[bash, -l, -c]", "bash", "[]", "['']"),
    "after_timeout": DURATIONS,
    "umask": ("'027'", "027", "'999'", "'0'"),
    "foreign_directives": ("none", "[slurm, pbs, sge]", "[]", "[lsf]", "slurm"),
    "output": ("{max_size: 4K}", "{}"),
    "output.max_size": SIZES,
    "output.journal": BOOLEANS,
    "output.journal_rate": NUMBERS,
    "retention": ("{age: 30d, count: 7, output: 20G}", "{}"),
    "retention.age": DURATIONS,
    "retention.count": NUMBERS,
    "retention.output": SIZES,
    "access": ("{see: members}", "{}"),
    "access.see": ("owner", "members", "all"),
    "access.cancel": ("owner", "members", "[owner]"),
    "queues": ("{a: {limit: 2}}", "{failed: {}}", "{}", "{'../x': {}}"),
    "queues.*.user_limit": NUMBERS,
    "users": ("{alice: {limit: 2}}", "{'1000': {limit: 1}}", "{1000: {}}", "{'a b': {}}", "{}"),
    "users.*.limit": NUMBERS,
    "queues.*.limit": ("auto", "{auto: {max: 4}}", *NUMBERS),
    "queues.*.limit.auto": ("{min: 1, max: 16, overload: {exit_codes: [75]}}", "{}", "{min: 3, max: 2}", "16"),
    "queues.*.limit.auto.min": NUMBERS,
    "queues.*.limit.auto.max": NUMBERS,
    "queues.*.limit.auto.overload": ("{output: 'Queue .* is full'}", "{exit_codes: []}", "{}", "75"),
    "queues.*.limit.auto.overload.exit_codes": ("[75, 3]", "[0]", "[256]", "[]", "75"),
    "queues.*.limit.auto.overload.output": ("'Queue .* is full'", "'('", "'(a+)+$'", "''", "5"),
    "queues.*.rate": ("{starts: 10, per: 1min, burst: 3}", "none", "{starts: 1}", "{}", "10"),
    "queues.*.rate.starts": NUMBERS,
    "queues.*.rate.per": DURATIONS,
    "queues.*.rate.burst": NUMBERS,
    "queues.*.breaker": ("{failures: 5, within: 10min, pause: 5min}", "none", "{}", "5"),
    "queues.*.breaker.failures": NUMBERS,
    "queues.*.breaker.within": DURATIONS,
    "queues.*.breaker.pause": DURATIONS,
    "queues.*.machine": ("{load: 8, memory: 4G, pressure: {cpu: 60, io: 40}}", "none", "{}", "8", "{pressure: {}}"),
    "queues.*.machine.load": NUMBERS,
    "queues.*.machine.memory": SIZES,
    "queues.*.machine.pressure": ("{cpu: 60, of: cgroup}", "{of: host}", "{}", "60"),
    "queues.*.machine.pressure.cpu": NUMBERS,
    "queues.*.machine.pressure.memory": NUMBERS,
    "queues.*.machine.pressure.io": NUMBERS,
    "queues.*.machine.pressure.of": ("host", "cgroup", "gate"),
    "users.*.weight": NUMBERS,
    "queues.*.strict": BOOLEANS,
    "queues.*.share": ("fair", "fifo", "lifo"),
    "queues.*.defaults": ("{delay: 5}", "{warn: {before: 2h}, timeout: 1h}", "{command: x}", "{array: [1]}"),
    "queues.*.handler": ("none", "{command: [x, '{file}']}", "{}"),
    "queues.*.handler.command": ("[x, '{file}']", "[x, '{line}', '{line}']", "[x]", "[x, '{file}', '{line}']"),
    "queues.*.require": ("{marker: .done}", "{sha256: .sha256}", "{marker: .done, sha256: .sum}", "{}"),
    "queues.*.require.marker": ENDINGS,
    "queues.*.require.sha256": ENDINGS,
    "queues.*.tokens": ("{db: 1}", "{db: 9}", "{}", "{yarn: 1}", "[db]"),
    "queues.*.ignore": GLOBS,
    "queues.*.match": GLOBS,
    "queues.*.windows": ('[{opens: "22:00", closes: "06:00"}]', "[]", "{}", '[{opens: "22:00"}]'),
    "queues.*.windows.opens": ('"Mon..Fri 22:00"', '"*-02-30 00:00"', '"22:00 Europe/Berlin"', '"daily"', "22:00"),
    "queues.*.windows.closes": ('"06:00"', '"Fri *-*-* 06:00 UTC"', "never"),
    "queues.*.windows.at_close": ("stop", "leave", "kill"),
    "queues.*.retry_budget": ("0.2", "none", "0", "1.5", "20%"),
    "queues.*.probe": ("yarn", "''", "7", "[yarn]"),
    "probes": ("{yarn: {command: [x], every: 1s}}", "{yarn: {}}", "{}", "{'../x': {command: x}}"),
    "probes.*.command": ("[x, '--queue', q]", "test -e /x", "[]", "''"),
    "probes.*.every": DURATIONS,
    "probes.*.timeout": DURATIONS,
    "probes.*.on_error": ("open", "closed", "error"),
    "probes.*.confirm": ("{open: 2, closed: 1}", "{}", "2"),
    "probes.*.confirm.open": NUMBERS,
    "probes.*.confirm.closed": NUMBERS,
    **_BELOW_DEFAULTS,
}


def declared(schema: Schema, prefix: str = "") -> Iterator[str]:
    """The paths of all keys below a schema; ``*`` stands for a name that is chosen."""
    for alternative in schema.get("anyOf", ()):
        yield from declared(alternative, prefix)
    for name, inner in schema.get("properties", {}).items():
        yield f"{prefix}{name}"
        yield from declared(inner, f"{prefix}{name}.")
    for inner in schema.get("patternProperties", {}).values():
        yield from declared(inner, f"{prefix}*.")


Tree = dict[str, "Tree | str"]


@st.composite
def mappings(draw: st.DrawFn, words: Mapping[str, tuple[str, ...]], needed: str = "") -> str:
    """Some of these keys, in YAML's flow style, mostly with values of their own; those of a section inside it."""
    tree: Tree = {}
    paths = draw(st.lists(st.sampled_from(sorted(words)), max_size=6, unique=True))
    for path in [needed] * bool(needed) + paths:
        of = draw(st.sampled_from((path, path, path, path, draw(st.sampled_from(sorted(words))))))
        value, *sections = draw(st.sampled_from(words[of])), *path.split(".")
        inner = tree
        for name in sections[:-1]:
            name = "etl" if name == "*" else name
            below = inner.get(name)
            if not isinstance(below, dict):
                below = inner[name] = {}
            inner = below
        inner[sections[-1]] = value
    return _flow(tree)


def _flow(tree: Tree | str) -> str:
    if isinstance(tree, str):
        return tree
    return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in tree.items()) + "}"


VALUES = (
    "1", "4", "1-10", "1-10:3%2", "1,3,5-7", "0-999999999", "01:30:00", "1-12:00", "4G", "16gb", "x", "/x/%A_%a.%j",
    "/x/$TASK_ID", "y", "n", "oe", "B:USR1@90", "USR1", "now+1hour", "2027-01-31T02:00", "01312702", "afterok:1",
    "ALL", "A=1,B='x,y'", "none", "walltime=1:00:00,mem=4gb", "select=1:ncpus=4:mem=2gb", "nodes=1:ppn=8",
    "h_rt=3600,s_rt=3500",
    "h_vmem=4G", "h_rt=", "''", "'", "smp 4", "-1", "1024", "{index}", "~/x", "é", "\\\\", "#", "%", "$", "[1]",
)  # fmt: skip


@st.composite
def directives(draw: st.DrawFn) -> bytes:
    """A script with options of one of the dialects, each of which can be drawn, and perhaps with one of another."""
    lines = [draw(st.sampled_from(("#!/bin/bash", "#!/bin/sh -e")))]
    syntax: Syntax = draw(st.sampled_from(list(SYNTAXES.values())))
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.integers(0, 9)) == 0:
            syntax = draw(st.sampled_from(list(SYNTAXES.values())))
        option: Option = draw(st.sampled_from(syntax.options))
        resource: Option | None = draw(st.sampled_from((*syntax.resources, None))) if syntax.resources else None
        name, value = draw(st.sampled_from(option.names)), draw(st.sampled_from(VALUES))
        if resource is not None and option.names[0] == "-l":
            value = f"{draw(st.sampled_from(resource.names))}={value}"
        between = draw(st.sampled_from((" ", "=" if name.startswith("--") else " ", "")))
        given = "" if option.takes is Takes.NOTHING else f"{between}{value}"
        lines.append(f"{syntax.prefix} {name}{given}" + draw(st.sampled_from(("", "", " # why", "\r", "\\"))))
    lines += draw(
        st.lists(st.sampled_from(("", "# by hand", "set -e", "cat <<EOF", "EOF", "#TASKGATE name: x")), max_size=4)
    )
    return "\n".join([*lines, "true\n"]).encode()


def own_directives(mapping: str) -> bytes:
    """A script whose directive is that mapping."""
    return b"#!/bin/sh\n#TASKGATE " + mapping.replace("\n", " ").encode() + b"\ntrue\n"


def quoted_json(mapping: str) -> bytes:
    """What is nearly that mapping, as JSON: all of its values are text."""
    parts = [part.partition(": ") for part in mapping.strip("{}").split(", ")]
    return json.dumps({name: value for name, _, value in parts}).encode()
