"""The files of the configuration: reading them, and putting them together.

``taskgated.yaml`` first, then ``conf.d/*.yaml`` in the order of their names; what comes later wins, key by
key. Everything that is wrong, in all files, is said at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from taskgated.errors import ConfigError, Problem, Refused
from taskgated.host.identity import user_name
from taskgated.host.paths import Layout
from taskgated.language.config import Config, Mark, from_values, marks_in
from taskgated.language.configkeys import KEYS, NOT_AT_THE_TOP
from taskgated.language.contradictions import contradictions
from taskgated.language.declare import Check, Values, below, did_you_mean, read_section
from taskgated.language.keys import EXCLUDE, EXCLUSIVE, merge, merge_job
from taskgated.language.needs import in_both_ways, unmet
from taskgated.language.nodes import Entries, Node, node_at
from taskgated.language.source import Source, decode
from taskgated.language.streamchecks import words_of_arrays
from taskgated.language.yamlread import read_yaml
from taskgated.text import to_text

MAX_SIZE = 1024 * 1024

_Written = tuple[Source, Node]
"""A file of the configuration, and its document."""


def load(layout: Layout, main: Path | None = None) -> Config:
    """The configuration in force. ``main`` stands for the file at its usual place, which may be missing.

    Raises ``ConfigError`` with all that is wrong.
    """
    values: Values = {}
    problems: list[Problem] = []
    written: list[_Written] = []
    whole = True
    usual: Path = layout.config_file
    for path in [main or usual, *_drop_ins(layout.config_drop_ins, problems)]:
        try:
            read, wrong, *places = _read(path)
            values = _over(values, read)
            problems += wrong
            written += places
        except FileNotFoundError:
            if path != usual or main is not None:
                problems.append(Problem(_name(path), 0, 0, "there is no such file"))
        except OSError as error:
            problems.append(_cannot_read(path, error))
            whole = False
        except Refused as error:
            problems += error.problems
            whole = False
    if whole:  # else what seems to be missing may be in what cannot be read
        said = {(one.where, one.line, one.column, one.message) for one in problems}
        together = _together(values, written)
        problems += [one for one in together if (one.where, one.line, one.column, one.message) not in said]
    if problems:
        raise ConfigError(problems)
    return from_values(values)


def _together(values: Values, written: Sequence[_Written]) -> Iterator[Problem]:
    """What is wrong with all files together, and with none of them alone; said of the last that has a part in it."""
    queues = below(values, "queues")
    known, counted = _named(written, "probes"), _named(written, "tokens")
    totals = {token: int(str(total)) for token, total in below(values, "tokens").items()}
    for name in queues:
        for token, wrong, hint in unmet(below(below(queues, name), "tokens"), totals):
            if counted is None or (token in counted and token not in totals):
                continue  # how many there are has been said, and not so that it could be understood
            yield _last(written, "queues", name, "tokens", token)(wrong, hint)
        for found in contradictions(below(below(queues, name), "defaults"), job=False):
            for source, document in reversed(written):
                node = node_at(document, "queues", name, "defaults")
                if path := found.place(node):
                    at, hint = node_at(node, *path), "the other is in a file before this one"
                    yield source.problem(at.line, at.column, f"{path[-1]}: {found.message}", hint)
                    break
        if below(queues, name).get("strict") is True and below(queues, name).get("share") == "fair":
            for source, document in reversed(written):
                if (at := node_at(document, "queues", name, "strict")).value is True:
                    text = "strict: it is for a queue whose jobs go in order"
                    yield source.problem(at.line, at.column, text, "leave out this, or 'share: fair'")
                    break
        probe = below(queues, name).get("probe")
        if isinstance(probe, str) and known is not None and probe not in known:
            for source, document in reversed(written):
                if (at := node_at(document, "queues", name, "probe")).value == probe:
                    hint = did_you_mean(probe, known) if known else "define it under probes"
                    yield source.problem(at.line, at.column, f"probe: there is no probe '{probe}'", hint)
                    break


def _named(written: Sequence[_Written], section: str) -> set[str] | None:
    """All names that are written in a section, right or wrong; None if it is no mapping of names somewhere."""
    names: set[str] = set()
    for _, document in written:
        if isinstance(document.value, Entries) and section in document.value:
            inside = document.value[section][1].value
            if not isinstance(inside, Entries):
                return None
            names |= inside.keys()
    return names


def _last(written: Sequence[_Written], *path: str) -> Callable[[str, str], Problem]:
    """How to say what is wrong with what is at that path in the last file that has it."""
    for source, document in reversed(written):
        node = document
        for name in path:
            if not isinstance(node.value, Entries) or name not in node.value:
                break
            node = node.value[name][1]
        else:
            return lambda message, hint: source.problem(node.line, node.column, message, hint)
    raise AssertionError(f"{path} is in no file")


def unreadable(layout: Layout, main: Path | None = None) -> list[Problem]:
    """What of the usual files this process may not read; ``main`` stands for the first and is somebody's draft."""
    problems: list[Problem] = []
    usual = [layout.config_file] if main is None else []
    for path in [*usual, *_drop_ins(layout.config_drop_ins, problems)]:
        try:
            open(path, "rb").close()
        except FileNotFoundError:
            pass
        except OSError as error:
            problems.append(_cannot_read(path, error))
    return problems


def _cannot_read(path: Path, error: OSError) -> Problem:
    hint = ""
    if isinstance(error, PermissionError):
        closed = next((p for p in reversed(path.parents) if not os.access(p, os.X_OK, effective_ids=True)), None)
        what = "rx" if os.path.isdir(path) else "r"
        mend = f"chmod o+x {closed}" if closed else f"chmod o+{what} {path}"
        hint = f"the user {user_name(os.geteuid())} must be able to: {mend}"
    return Problem(_name(path), 0, 0, f"cannot be read: {error.strerror}", hint=hint)


def _drop_ins(directory: Path, problems: list[Problem]) -> list[Path]:
    """In the order of their names; hidden files belong to an editor or to nobody."""
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        problems.append(_cannot_read(directory, error))
        return []
    return [directory / name for name in names if name.endswith(".yaml") and not name.startswith(".")]


def _over(values: Values, later: Values) -> Values:
    """Both, where ``later`` wins: mappings are merged, and the defaults of a queue as those of a job are."""
    out = dict(merge(values, later))
    before, after = below(values, "queues"), below(later, "queues")
    if after:
        out["queues"] = {**before, **{name: _queue_over(below(before, name), below(after, name)) for name in after}}
    return out


def _queue_over(values: Values, later: Values) -> Values:
    out = merge(values, later)
    if "defaults" in out:
        out["defaults"] = merge_job(below(values, "defaults"), below(later, "defaults"))
    return out


def _name(path: Path) -> str:
    return to_text(os.fsencode(path))


def _read(path: Path) -> tuple[Values, list[Problem], *tuple[_Written, ...]]:
    """What one file says, as far as it is right, what is wrong with it, and where it is said; nothing behind these if
    it says nothing. ``Refused`` if it cannot be read as a whole."""
    where = _name(path)
    with open(path, "rb") as file:
        content = decode(where, file.read(MAX_SIZE + 1), MAX_SIZE, "split it into drop-ins")
    source = Source.of(where, content)
    check = Check(source)
    try:
        documents = read_yaml(source, content, check.add)
    except Refused as error:
        raise Refused(tuple(dict.fromkeys((*check.problems, *error.problems)))) from None
    if len(documents) > 1:
        second = documents[1]
        raise source.refuse(second.line, second.column, "a configuration is one document, here begins a second")
    if not documents or documents[0].value is None:
        return {}, check.problems
    values = read_section(documents[0], check, KEYS, elsewhere=NOT_AT_THE_TOP)
    queues = below(values, "queues")
    for name in queues:
        queue, node = below(queues, name), node_at(documents[0], "queues", name)
        command = below(queue, "handler").get("command")
        if isinstance(command, tuple) and len(marks_in(command)) != 1:
            either = " or ".join(Mark)
            check.wrong(node_at(node, "handler"), f"handler: its command must hold either {either}, and not both")
        required = node_at(node, "require")
        if "require" in queue and isinstance(required.value, Entries) and len(required.value) != 1:
            check.wrong(required, "require: it has either a marker or sha256")
        if "match" in queue and not isinstance(command, tuple):
            check.wrong(node_at(node, "match"), "match: it is for a queue with a handler", "use ignore instead")
        if below(queue, "defaults").keys() >= EXCLUSIVE:
            check.wrong(node_at(node, "defaults"), EXCLUDE)
        for key, word in words_of_arrays(below(queue, "defaults")):
            hint = "say it in the job, or write {id} here, which differs from job to job"
            message = f"{key}: '{{{word}}}' stands for nothing in a job that is none of an array"
            check.wrong(node_at(node, "defaults", key), message, hint)
        defaults = node_at(node, "defaults")
        for found in contradictions(below(queue, "defaults"), job=False):
            if at := found.place(defaults):
                check.wrong(node_at(defaults, *at), f"{at[-1]}: {found.message}", found.hint)
        if both := in_both_ways(below(queue, "defaults")):
            check.wrong(node_at(node, "defaults", "locks"), f"locks: '{both}' is locked in both ways")
    return values, check.problems, (source, documents[0])
