"""The probe of YARN against what ResourceManagers say: those of both schedulers, in standby, hanging, broken."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import REPOSITORY
from tests.env.probing import CLOSED, OPEN, PROBES, UNKNOWN, USAGE, Said, ask
from tests.env.web import Answer, Web
from tests.env.yarn import APPS, SCHEDULER, accepted, capacity, fair, fair_leaf, leaf, parent

sys.path.append(str(REPOSITORY / "packaging"))
import declared

yarn = declared.probe_module(PROBES / "yarn")


def look(scheduler: Any, *arguments: object, apps: Any = None) -> Said:
    answers = {SCHEDULER: Answer(scheduler), APPS: Answer({"apps": None} if apps is None else apps)}
    with Web(answers) as web:
        return ask("yarn", "--url", web.url, *arguments)


TREE = capacity(
    parent("a", leaf("a1", pending=2, running=3, used=55.5), leaf("a2", pending=1, used=150.25), used=80.0),
    leaf("b", pending=0, running=4, used=100.0),
)
FAIR_TREE = fair(
    fair_leaf("root.default", pending=1, running=2, memory=4096, cores=7),
    {"queueName": "root.a", "childQueues": {"queue": [fair_leaf("root.a.x", 2), fair_leaf("root.a.y", 3, 1)]}},
)


@pytest.mark.parametrize(
    ("tree", "queue", "pending"),
    [
        (TREE, "root.a.a1", 2), (TREE, "a.a1", 2), (TREE, "a1", 2), (TREE, "root.a", 3), (TREE, "b", 0),
        (TREE, "root", 3), (FAIR_TREE, "root.default", 1), (FAIR_TREE, "default", 1), (FAIR_TREE, "root.a.y", 3),
        (FAIR_TREE, "root.a", 5), (FAIR_TREE, "y", 3),
    ],
)  # fmt: skip
def test_pending_applications_of_a_queue(tree: Any, queue: str, pending: int) -> None:
    said = look(tree, "--queue", queue, "--max-pending", pending + 2)
    assert (said.status, said.room) == (OPEN, 2)
    assert f"{pending} pending (fewer than {pending + 2} is open)" in said.why
    if pending:
        assert look(tree, "--queue", queue, "--max-pending", pending).status == CLOSED


@pytest.mark.parametrize("name", ["root.b", "b"])
def test_what_waits_for_its_master_is_pending(name: str) -> None:
    """The capacity scheduler counts it as active; it is in the list of applications, by the name that was written."""
    said = look(TREE, "--queue", "root.b", "--max-pending", 3, apps=accepted(name, 2))
    assert (said.status, said.room) == (OPEN, 1)
    assert look(TREE, "--queue", "root.b", "--max-pending", 2, apps=accepted(name, 2)).status == CLOSED
    assert look(TREE, "--queue", "root.a", "--max-pending", 4, apps=accepted(name, 9)).room == 1


def test_only_what_has_not_begun_to_run_is_asked_for() -> None:
    with Web({SCHEDULER: Answer(TREE), APPS: Answer(accepted("a1", 1))}) as web:
        said = ask("yarn", "--url", web.url, "--queue", "a1", "--max-pending", 3, "--user", "etl & co")
    assert (said.status, said.room) == (OPEN, 2)  # of a user, what the queue has of others does not count
    path = web.asked[-1][0]
    assert "states=NEW%2CNEW_SAVING%2CSUBMITTED%2CACCEPTED" in path and "user=etl+%26+co" in path


@pytest.mark.parametrize("empty", [{"apps": None}, {"apps": {}}, {"apps": {"app": []}}, {"apps": {"app": None}}])
def test_no_application_waits(empty: Any) -> None:
    assert look(TREE, "--queue", "b", "--max-pending", 2, apps=empty).room == 2


@pytest.mark.parametrize("inside", [[leaf("x", 2)], {"queue": leaf("x", 2)}, {"queue": [leaf("x", 2)]}])
def test_queues_inside_as_old_versions_have_them(inside: Any) -> None:
    tree = {"scheduler": {"schedulerInfo": {"queueName": "root", "queues": inside}}}
    assert look(tree, "--queue", "root.x", "--max-pending", 3).room == 1


@pytest.mark.parametrize("inside", [[fair_leaf("root.x", 2)], {"queue": [fair_leaf("root.x", 2)]}])
def test_fair_queues_inside_as_old_versions_have_them(inside: Any) -> None:
    tree = {"scheduler": {"schedulerInfo": {"rootQueue": {"queueName": "root", "childQueues": inside}}}}
    assert look(tree, "--queue", "root.x", "--max-pending", 3).room == 1


def test_a_single_application_as_old_versions_have_it() -> None:
    apps = {"apps": {"app": {"id": "application_1_0001", "queue": "b"}}}
    assert look(TREE, "--queue", "b", "--max-pending", 2, apps=apps).room == 1


@pytest.mark.parametrize(
    ("tree", "queue", "applications"),
    [(TREE, "a1", 5), (TREE, "a", 6), (TREE, "root", 10), (FAIR_TREE, "default", 3), (FAIR_TREE, "root.a", 6)],
)
def test_all_applications_of_a_queue(tree: Any, queue: str, applications: int) -> None:
    said = look(tree, "--queue", queue, "--max-apps", applications + 1)
    assert (said.status, said.room) == (OPEN, 1)
    assert look(tree, "--queue", queue, "--max-apps", applications).status == CLOSED


@pytest.mark.parametrize(
    ("tree", "queue", "used"),
    [
        (TREE, "a1", 55.5),
        (TREE, "a2", 150.25),
        (TREE, "root", 40),
        (FAIR_TREE, "default", 87.5),
        (FAIR_TREE, "root", 0),
    ],
)
def test_used_capacity_of_a_queue(tree: Any, queue: str, used: float) -> None:
    """Of the fair scheduler: of what is used most, memory or CPUs."""
    said = look(tree, "--queue", queue, "--max-used", used + 0.5)
    assert (said.status, said.room) == (OPEN, None)
    assert f"{used:.4g}% used" in said.why
    if used:
        assert look(tree, "--queue", queue, "--max-used", f"{used}%").status == CLOSED


def test_all_that_is_asked_has_to_hold_and_what_does_not_is_named() -> None:
    said = look(TREE, "--queue", "a1", "--max-pending", 9, "--max-apps", 7, "--max-used", 60)
    assert (said.status, said.room) == (OPEN, 2)
    said = look(TREE, "--queue", "a1", "--max-pending", 9, "--max-apps", 5, "--max-used", 50)
    assert said.status == CLOSED
    assert said.why == ("queue root.a.a1: 5 applications (fewer than 5 is open), 55.5% used (less than 50% is open)")


def test_a_stopped_queue_is_closed() -> None:
    tree = capacity(leaf("a", state="STOPPED"))
    said = look(tree, "--queue", "a", "--max-pending", 3)
    assert (said.status, said.why) == (CLOSED, "queue root.a: it is STOPPED")


# -- what is no answer -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>It works!</html>", "is no JSON; it begins with '<html>It works!</html>'"),
        (b"", "is no JSON"),
        (b"\xff\xfe\x00", "is no JSON"),
        (b"{" * 100_000, "is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        ([], "says nothing of a scheduler"),
        ({"scheduler": None}, "says nothing of a scheduler"),
        ({"scheduler": {"schedulerInfo": {"rootQueue": None}}}, "without queues"),
        ({"scheduler": {"schedulerInfo": {"type": "fifoScheduler", "usedCapacity": "NaN"}}}, "FIFO scheduler"),
        (capacity(), "there is no queue 'a'; there are root"),
        (capacity(leaf("b"), leaf("c")), "there is no queue 'a'; there are root, root.b, root.c"),
        (capacity(parent("x", leaf("a")), parent("y", leaf("a"))), "several queues: root.x.a, root.y.a"),
        (capacity({"queueName": "a"}), "tells no numPendingApplications of queue root.a"),
        (capacity(leaf("a", numPendingApplications="many")), "tells no numPendingApplications of queue root.a"),
        (capacity(leaf("a", numPendingApplications=-1)), "tells no numPendingApplications of queue root.a"),
    ],
)  # fmt: skip
def test_what_is_not_understood(answer: Any, words: str) -> None:
    said = look(answer, "--queue", "a", "--max-pending", 3)
    assert said.status == UNKNOWN
    assert words in said.why and "\n" not in said.why


@pytest.mark.parametrize("used", ["NaN", None, "lots"])
def test_a_use_that_is_no_number(used: Any) -> None:
    said = look(capacity(leaf("a", used=used)), "--queue", "a", "--max-used", 90)
    assert (said.status, "tells no usedCapacity of queue root.a" in said.why) == (UNKNOWN, True)


def test_a_fair_queue_without_resources() -> None:
    said = look(fair({"queueName": "root.a", "maxResources": {"memory": 0}}), "--queue", "a", "--max-used", 90)
    assert (said.status, "tells no usedResources" in said.why) == (UNKNOWN, True)


def test_a_list_of_applications_that_is_none() -> None:
    said = look(TREE, "--queue", "b", "--max-pending", 3, apps={"apps": {"app": 3}})
    assert (said.status, "says nothing of applications" in said.why) == (UNKNOWN, True)


def test_an_error_with_a_message() -> None:
    error = {"RemoteException": {"exception": "ForbiddenException", "message": "User: ?\n is not allowed"}}
    with Web({SCHEDULER: Answer(error, 403)}) as web:
        said = ask("yarn", "--url", web.url, "--queue", "a", "--max-pending", 3)
    assert (said.status, said.why.partition(": ")[2]) == (
        UNKNOWN,
        f"localhost:{web.port} answers 403 Forbidden: User: ? is not allowed",
    )


def test_a_huge_answer() -> None:
    many = capacity(*(leaf(f"queue{n:06}", padding="x" * 300) for n in range(20_000)), leaf("a"))
    assert 9e6 < len(json.dumps(many)) < 16 * 2**20
    assert look(many, "--queue", "a", "--max-pending", 3).status == OPEN
    said = look(b"[" + b" " * 16 * 2**20 + b"]", "--queue", "a", "--max-pending", 3)
    assert (said.status, "is larger than 16 MiB" in said.why) == (UNKNOWN, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--queue", "a", "--max-pending", 3],
        ["--url", "http://rm1:8088", "--max-pending", 3],
        ["--url", "http://rm1:8088", "--queue", "a"],
        ["--url", "rm1:8088", "--queue", "a", "--max-pending", 3],
        ["--url", "ftp://rm1", "--queue", "a", "--max-pending", 3],
        ["--url", "http://me:secret@rm1:8088", "--queue", "a", "--max-pending", 3],
        ["--url", "http://rm1:99999", "--queue", "a", "--max-pending", 3],
        ["--url", "http://rm1:8088", "--queue", "a", "--max-pending", 0],
        ["--url", "http://rm1:8088", "--queue", "a", "--max-pending", "3.5"],
        ["--url", "http://rm1:8088", "--queue", "a", "--max-used", "0"],
        ["--url", "http://rm1:8088", "--queue", "a", "--max-apps", 3, "--user", "me"],
    ],
)
def test_a_wrong_command_line(arguments: list[object]) -> None:
    assert ask("yarn", *arguments).status == USAGE


# -- any answer ------------------------------------------------------------------------------------------

NAMES = [
    "queues", "childQueues", "queue", "rootQueue", "queueName", "type", "state", "numPendingApplications", "memory",
    "numApplications", "numPendingApps", "numActiveApps", "usedCapacity", "usedResources", "maxResources", "vCores",
]  # fmt: skip
VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["root", "a", "root.a", "NaN", ""])
ANY = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
)


@given(ANY.map(lambda info: {"scheduler": {"schedulerInfo": info}}))
def test_no_answer_is_a_fault(scheduler: Any) -> None:
    """Whatever JSON it is, it is understood, or told of."""
    try:
        queue = yarn.Queue.find(yarn.scheduler_info(scheduler), "root")
    except yarn.Unknown:
        return
    for read in ("state", "names", "pending", "applications", "used"):
        try:
            assert getattr(queue, read) is not None
        except yarn.Unknown as error:
            assert str(error)
