"""Messages between processes: each comes out as it went in, in the same bytes as ever, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from taskgated.core.after import Condition
from taskgated.core.job import Job, Locks, OnConflict, Outcome, Requires, Result, Retry, Spec
from taskgated.core.state import State
from taskgated.errors import ProtocolError
from taskgated.host.processes import ProcessId
from taskgated.protocol.channel import Message, decode, encode
from taskgated.protocol.messages import (
    Ack,
    Deadline,
    Hello,
    Identity,
    Ping,
    Pong,
    Quit,
    Report,
    Run,
    Said,
    Stop,
    Unknown,
    Warn,
    for_worker,
    from_worker,
)
from taskgated.protocol.serving import (
    Buried,
    Bury,
    Exited,
    Failed,
    Fork,
    Forked,
    HeldUp,
    Settings,
    for_server,
    from_server,
)

WHO = ProcessId(7, 9, "b")
NAMED = '"pid":7,"start":9,"boot":"b"'
Parse = Callable[[Message], object]

MESSAGES: list[tuple[Parse, Said, str]] = [
    (for_worker, Run(1, 2, {"command": "x"}, "/l"),
     '{"run":{"job":1,"attempt":2,"spec":{"command":"x"},"log":"/l"}}'),
    (for_worker, Run(1, 2, {}, "/l", "/s/\udcff", 7),
     '{"run":{"job":1,"attempt":2,"spec":{},"log":"/l","source":"/s/\\udcff","array":7}}'),
    (for_worker, Ack(1, 2), '{"ack":{"job":1,"attempt":2}}'),
    (for_worker, Warn(1, 2), '{"warn":{"job":1,"attempt":2}}'),
    (for_worker, Stop(1, 2, None), '{"stop":{"job":1,"attempt":2,"grace":null}}'),
    (for_worker, Stop(1, 2, 0.5), '{"stop":{"job":1,"attempt":2,"grace":0.5}}'),
    (for_worker, Deadline(1, 2, 5), '{"deadline":{"job":1,"attempt":2,"at":5,"result":"timed out"}}'),
    (for_worker, Deadline(1, 2, None, Result.KILLED),
     '{"deadline":{"job":1,"attempt":2,"at":null,"result":"killed"}}'),
    (for_worker, Ping({}), '{"ping":{}}'),
    (for_worker, Quit(), '{"quit":{}}'),
    (Hello.parse, Hello(Identity(WHO, "/g"), "0", (1, 2)),
     f'{{"hello":{{"protocol":1,"version":"0",{NAMED},"running":{{"job":1,"attempt":2}},"cgroup":"/g","answers":true,"features":["deadlines"]}}}}'),
    (Hello.parse, Hello(Identity(WHO), "0", None),
     f'{{"hello":{{"protocol":1,"version":"0",{NAMED},"running":null,"cgroup":null,"answers":true,"features":["deadlines"]}}}}'),
    (from_worker, Report(Outcome(1, 2, Result.FAILED, exit_code=3)),
     '{"outcome":{"job":1,"attempt":2,"result":"failed","exit_code":3}}'),
    (from_worker, Pong({}), '{"pong":{}}'),
    (Settings.parse, Settings("/w", "/o", "/s", "1.2"),
     '{"settings":{"worker_socket":"/w","outcomes":"/o","scripts":"/s","instance":"1.2","umask":18,"reconnect":1.0,'
     '"linger":5.0}}'),
    (for_server, Fork(), '{"fork":{}}'),
    (for_server, Bury(Identity(WHO, "/g"), (1, 2)), f'{{"bury":{{{NAMED},"cgroup":"/g","job":1,"attempt":2}}}}'),
    (for_server, Bury(Identity(WHO), None), f'{{"bury":{{{NAMED},"cgroup":null,"job":null,"attempt":null}}}}'),
    (for_server, Ping(4), '{"ping":4}'),
    (from_server, Forked(WHO), f'{{"forked":{{{NAMED}}}}}'),
    (from_server, Exited(WHO, 9), f'{{"exited":{{{NAMED},"status":9}}}}'),
    (from_server, Buried(WHO, 3), f'{{"buried":{{{NAMED},"killed":3}}}}'),
    (from_server, HeldUp(WHO, ["1"]), f'{{"held up":{{{NAMED},"by":["1"]}}}}'),
    (from_server, Failed("why"), '{"failed":{"error":"why"}}'),
    (from_server, Pong(4), '{"pong":4}'),
]  # fmt: skip


@pytest.mark.parametrize(
    ("parse", "message", "text"), MESSAGES, ids=[text[2:].split('"')[0] for *_, text in MESSAGES]
)
def test_it_comes_out_as_it_went_in(parse: Parse, message: Said, text: str) -> None:
    frame = encode(message.to_json())
    assert frame == text.encode() + b"\0"
    assert parse(decode(frame[:-1])) == message


@pytest.mark.parametrize("parse", [for_worker, from_server])
@pytest.mark.parametrize("message", [{"later": {}}, {"later": 1}])
def test_a_message_of_a_later_version_is_no_reason_to_hang_up(parse: Parse, message: Message) -> None:
    assert parse(message) == Unknown("later")


@pytest.mark.parametrize(
    "message", [{"ack": {"job": 1}}, {"run": {"job": 1, "attempt": 1}}, {"stop": []}, {"ack": 1}, {}]
)
def test_a_worker_passes_over_what_lacks_a_field(message: Message) -> None:
    assert isinstance(for_worker(message), Unknown)


@pytest.mark.parametrize("parse", [Hello.parse, Settings.parse, from_worker, for_server])
def test_others_hang_up(parse: Parse) -> None:
    with pytest.raises(ProtocolError):
        parse({"later": {}})


@pytest.mark.parametrize(
    "message",
    [
        {"ack": {"job": "1", "attempt": 1}},
        {"warn": {"job": 1, "attempt": "x"}},
        {"stop": {"job": 1, "attempt": 1, "grace": "x"}},
        {"deadline": {"job": 1, "attempt": 1, "at": 0.5}},
        {"deadline": {"job": 1, "attempt": 1, "at": 5, "result": "succeeded"}},
        {"deadline": {"job": 1, "attempt": 1, "at": 5, "result": []}},
        {"run": {"job": 1, "attempt": 1, "spec": {}, "log": 5}},
        {"run": {"job": 1, "attempt": 1, "spec": {}, "log": "/l", "source": 5}},
        {"run": {"job": 1, "attempt": 1, "spec": {}, "log": "/l", "array": "5"}},
    ],
)
def test_a_field_of_a_wrong_type_is_not_passed_over(message: Message) -> None:
    with pytest.raises(ProtocolError):
        for_worker(message)


def test_a_hello_without_answers_is_not_asked() -> None:
    message = Hello(Identity(WHO), "0", None).to_json()
    del message["hello"]["answers"]
    message["hello"]["later"] = 1
    assert not Hello.parse(message).answers


@pytest.mark.parametrize(("said", "features"), [(None, ()), (["a", 7, "b"], ("a", "b")), ("deadlines", ())])
def test_a_hello_has_the_features_that_it_names(said: object, features: tuple[str, ...]) -> None:
    message = Hello(Identity(WHO), "0", None).to_json()
    message["hello"]["features"] = said
    assert Hello.parse(message).features == features
    del message["hello"]["features"]
    assert Hello.parse(message).features == ()


def test_a_deadline_ends_in_a_timeout_where_nothing_is_said_of_it() -> None:
    assert for_worker({"deadline": {"job": 1, "attempt": 2, "at": 5}}) == Deadline(1, 2, 5, Result.TIMED_OUT)


def test_a_worker_is_not_told_of_what_is_decided_without_it() -> None:
    """One of an earlier version does not know these keys, and would not run the job."""
    spec = Spec(command="x", retry=Retry(attempts=2, on=(75,), not_on=(2,)), deadline=5.0)
    for of, told in ((spec, {"retry": {"attempts": 2}}), (replace(spec, retry=Retry(on=(75,))), {})):
        run = Run.of(Job(1, "default", 50, State.RUNNING, of, attempt=1), "/log", "")
        assert run.spec == {"command": "x", **told}


def test_a_worker_of_version_0_3_is_told_of_no_key_by_which_the_daemon_decides() -> None:
    """It refuses a spec with a key that it does not know."""
    spec = Spec(
        command="true",
        retry=Retry(3, on=(75,)),
        deadline=60.0,
        notes=("a note",),
        tokens={"yarn": 1},
        locks=Locks(("a",), ("b",)),
        key="k",
        on_conflict=OnConflict.SKIP,
        after_timeout=60.0,
        requires=Requires(("true",)),
        after=(Condition(7),),
    )
    told = Run.of(Job(1, "default", 50, State.RUNNING, spec), "/log", "").spec
    assert told == {"command": "true", "retry": {"attempts": 3}}
