"""The interface description and the methods say the same of every parameter, reply and error, both ways round."""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from taskgated.control.interface import description, named
from taskgated.core.fixed import INTERFACE
from taskgated.ctl.client import CallError
from taskgated.errors import ConfigError, IllegalTransition, NoSuchArray, NoSuchJob, NoSuchQueue, StoreError
from taskgated.protocol import replies
from tests.control.declaration import Type, parse
from tests.env.gate import GateEnv, until

DECLARED = parse(description())
READS: dict[str, Type] = {
    "integer": "int",
    "string": "string",
    "integers": ("[]", "int"),
    "strings": ("[]", "string"),
}
"""How a call reads a parameter of which type."""


def asked(method: str) -> Iterator[tuple[str, list[str], bool]]:
    """What a method's module asks its call for: how, with which names, and whether it may be missing."""
    module = import_module(f"taskgated.control.{method.lower()}")
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        match node:
            case ast.Call(ast.Attribute(ast.Name("call"), how), arguments) if how in {"allow", *READS}:
                names = [
                    one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str)
                ]
                yield how, names, how == "strings" or len(arguments) > 1


def test_it_is_the_interface_that_is_served() -> None:
    assert DECLARED.name == INTERFACE


@pytest.mark.parametrize("method", DECLARED.methods)
def test_a_method_reads_the_parameters_that_are_declared(method: str) -> None:
    parameters, _ = DECLARED.methods[method]
    found = list(asked(method))
    assert [sorted(names) for how, names, _ in found if how == "allow"] == [sorted(parameters)]
    read = {names[0]: ("?", READS[how]) if optional else READS[how] for how, names, optional in found if how in READS}
    assert read == parameters


OPERATIONS = [one for one in vars(replies).values() if isinstance(one, replies.Operation)]
SHOWN = "Shown"
"""Begins the names of types that the declaration has without it."""
LATER = {
    "Status": {"more_queues", "notes", "files", "overrides", "closed", "probes", "never", "tokens"},
    "List": {"coming", "unknown"},
    "Show": {"earlier", "unreadable", "output_removed", "kept"},
    "Logs": {"last", "state", "output_removed", "stdout", "stderr"},
    "Reload": {"notes"},
    "Queue": {"configured", "blocked"},
    "Override": {"user"},
    "Job": {"source_bytes", "user", "array", "after"},
}
"""What a daemon of the first version does not say."""


def declared_as(hint: Any) -> Type:
    """A type of Python, as the declaration has it."""
    plain: dict[object, Type] = {int: "int", bool: "bool", str: "string", float: "float", dict[str, object]: "object"}
    if hint in plain:
        return plain[hint]
    arguments = get_args(hint)
    if get_origin(hint) is list:
        return ("[]", declared_as(arguments[0]))
    if get_origin(hint) is dict:
        assert arguments[0] is str
        return ("[string]", declared_as(arguments[1]))
    if NoneType in arguments:
        (inner,) = set(arguments) - {NoneType}
        return ("?", declared_as(inner))
    assert hint.__name__.startswith(SHOWN), hint
    return str(hint.__name__.removeprefix(SHOWN))


def fields(kind: type) -> list[tuple[str, Type]]:
    return [(name, declared_as(hint)) for name, hint in get_type_hints(kind).items()]


def without_words(kind: Type) -> Type:
    """Python's types have a string where the declaration has its words."""
    match kind:
        case frozenset():
            return "string"
        case (what, inner):
            return (what, without_words(inner))
    return kind


def declared_fields(kind: Type) -> list[tuple[str, Type]]:
    assert isinstance(kind, Mapping)
    return [(name, without_words(one)) for name, one in kind.items()]


def test_there_is_a_type_for_each_reply() -> None:
    assert {operation.name for operation in OPERATIONS} == DECLARED.methods.keys()
    assert len(OPERATIONS) == len(DECLARED.methods)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_the_type_of_a_reply_is_as_declared(operation: replies.Operation[Any]) -> None:
    assert fields(operation.reply) == declared_fields(DECLARED.methods[operation.name][1])
    assert operation.reply.__optional_keys__ == LATER.get(operation.name, set())


def test_the_types_in_replies_are_as_declared() -> None:
    shown = {name.removeprefix(SHOWN): kind for name, kind in vars(replies).items() if name.startswith(SHOWN)}
    assert shown.keys() == DECLARED.types.keys()
    for name, kind in shown.items():
        assert fields(kind) == declared_fields(DECLARED.types[name])
        assert kind.__optional_keys__ == LATER.get(name, set())


WRONG: dict[Type, list[object]] = {
    "int": ["1", -1, 1.5, True, [1], 2**63],
    "string": [1, True, ["x"], {}],
    ("[]", "int"): [1, "x", ["1"], [-1], [None], [2**63], {}],
    ("[]", "string"): ["queued", 1, [1], [None], {}],
}


@pytest.mark.parametrize("method", DECLARED.methods)
def test_no_parameter_of_another_type_or_name_is_taken(gate: GateEnv, method: str) -> None:
    parameters, _ = DECLARED.methods[method]

    def refused(**given: object) -> object:
        with pytest.raises(CallError) as caught:
            gate.call(method, **given)
        assert caught.value.kind == "InvalidParameter"
        return caught.value.parameters["parameter"]

    assert refused(nothing=1) == "nothing"
    values: dict[Type, object] = {"int": 1, "string": "x", ("[]", "int"): [1]}
    needed = {name: values[kind] for name, kind in parameters.items() if kind[0] != "?"}
    for name, kind in parameters.items():
        optional = isinstance(kind, tuple) and kind[0] == "?"
        for value in [*WRONG[kind[1] if optional else kind], *([] if optional else [None])]:
            assert refused(**needed | {name: value}) == name, value


def test_every_reply_is_as_declared(make_gate: Callable[..., GateEnv]) -> None:
    gate = make_gate("workers: 2\ntokens: {yarn: 3}\n")
    gate.drop("a.yaml", "- {name: a, command: echo x; exit 3}\n- {name: b, command: 'true', delay: 1h}\n")
    gate.drop("b.yaml", "name: c\ncommand: sleep 600\n")
    gate.until_over(1)
    until(lambda: len(gate.jobs()) == 3)
    gate.drop("d.yaml", "command: 'true'\ndelay: 1h\narray: {to: 3}\n")
    until(lambda: len(gate.jobs()) == 6)
    gate.drop("e.yaml", "command: 'true'\ndelay: 1h\n")
    until(lambda: len(gate.jobs()) == 7)
    until(lambda: gate.status()["counts"]["running"], "one runs")
    calls: dict[str, list[dict[str, object]]] = {
        "Status": [{}],
        "List": [{}, {"limit": 1}, {"array": 4}, {"array": 4, "index": 2}],
        "Show": [{"id": 1}, {"id": 2}, {"id": 3}],
        "Why": [{"id": 1}, {"id": 2}, {"id": 3}],
        "Logs": [{"id": 1}, {"id": 2}, {"id": 3}],
        "Wait": [{"ids": [1]}],
        "Cancel": [{"id": 2}, {"id": 3}],
        "CancelArray": [{"array": 4}],
        "Pause": [{}, {"queues": ["default"]}],
        "Resume": [{}, {"queues": ["default"]}],
        "Limit": [{"queue": "default", "limit": 2}, {"limit": 1}, {}],
        "Tokens": [{"token": "yarn", "total": 2}, {"token": "yarn", "total": 0}, {"token": "yarn"}],
        "Hold": [{"id": 7}],
        "Release": [{"id": 7}],
        "Retry": [{"id": 1}, {"id": 2}],
        "Move": [{"id": 7, "queue": "default"}],
        "Prioritize": [{"id": 7, "priority": 60}],
        "Reload": [{}],
    }
    assert calls.keys() == DECLARED.methods.keys()
    for method, ways in calls.items():
        for parameters in ways:
            assert DECLARED.faults(gate.call(method, **parameters), DECLARED.methods[method][1], method) == []


def test_errors_are_as_declared() -> None:
    causes = (
        NoSuchJob(7),
        NoSuchArray(7),
        NoSuchQueue("x"),
        IllegalTransition("it is over"),
        ConfigError([]),
        StoreError("the disk"),
    )
    errors = {error.name.rpartition(".")[2]: error.parameters for error in map(named, causes)}
    assert errors.keys() == DECLARED.errors.keys()
    for name, parameters in errors.items():
        assert DECLARED.faults(json.loads(json.dumps(parameters)), DECLARED.errors[name], name) == []


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "int"),
        (1, "bool"),
        ("1", "float"),
        (None, "string"),
        ([1, "x"], ("[]", "int")),
        ({"a": 1}, ("[string]", "string")),
        ("lost", frozenset(("found", "kept"))),
        ({"a": 1, "b": 1}, {"a": "int"}),
        ({}, {"a": "int"}),
        ({}, {"a": ("?", "int")}),
        ([{"kind": "time"}], ("[]", "Reason")),
        ("x", {"a": "int"}),
    ],
)
def test_the_checker_sees_what_is_wrong(value: object, kind: Type) -> None:
    assert DECLARED.faults(value, kind)
