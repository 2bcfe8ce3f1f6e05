"""The probe of YARN against what ResourceManagers say: those of both schedulers, in standby, hanging, broken."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.env.probing import CLOSED, OPEN, UNKNOWN, USAGE, Said, ask
from tests.env.resourcemanager import ResourceManager
from tests.env.until import until
from tests.env.web import Answer, Web, certificate, closed_port

SCHEDULER, APPS = "/ws/v1/cluster/scheduler", "/ws/v1/cluster/apps"


def leaf(name: str, pending: int = 0, running: int = 0, used: Any = 0.0, **more: Any) -> dict[str, Any]:
    return {
        "type": "capacitySchedulerLeafQueueInfo", "queueName": name, "usedCapacity": used, "state": "RUNNING",
        "numApplications": pending + running, "numActiveApplications": running, "numPendingApplications": pending,
        **more,
    }  # fmt: skip


def parent(name: str, *queues: dict[str, Any], used: float = 0.0) -> dict[str, Any]:
    number = sum(queue["numApplications"] for queue in queues)
    return {"queueName": name, "usedCapacity": used, "numApplications": number, "state": "RUNNING",
            "queues": {"queue": list(queues)}}  # fmt: skip


def capacity(*queues: dict[str, Any]) -> dict[str, Any]:
    info = {"type": "capacityScheduler", "queueName": "root", "usedCapacity": 40.0, "queues": {"queue": list(queues)}}
    return {"scheduler": {"schedulerInfo": info}}


def fair_leaf(name: str, pending: int = 0, running: int = 0, memory: int = 0, cores: int = 0) -> dict[str, Any]:
    return {
        "type": "fairSchedulerLeafQueueInfo", "queueName": name, "numPendingApps": pending, "numActiveApps": running,
        "usedResources": {"memory": memory, "vCores": cores}, "maxResources": {"memory": 8192, "vCores": 8},
    }  # fmt: skip


def fair(*queues: dict[str, Any]) -> dict[str, Any]:
    root = {"queueName": "root", "childQueues": {"queue": list(queues)}, "usedResources": {"memory": 0, "vCores": 0},
            "maxResources": {"memory": 8192, "vCores": 8}}  # fmt: skip
    return {"scheduler": {"schedulerInfo": {"type": "fairScheduler", "rootQueue": root}}}


def accepted(queue: str, number: int) -> dict[str, Any]:
    return {
        "apps": {"app": [{"id": f"application_1_{n:04}", "queue": queue, "state": "ACCEPTED"} for n in range(number)]}
    }


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


# -- several ResourceManagers -------------------------------------------------------------------------


def hang(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def trickle(connection: socket.socket) -> None:
    """A server that always has said something, and never all."""
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" ")
            time.sleep(0.02)
    except OSError:
        pass


def garbage(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")


def breaks_off(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}")


ARGUMENTS = ("--queue", "a", "--max-pending", 3)
GOOD = {SCHEDULER: Answer(capacity(leaf("a"))), APPS: Answer({"apps": None})}


@pytest.mark.parametrize("first", [hang, trickle, garbage, breaks_off])
def test_one_that_gives_no_answer_leaves_time_for_the_next(first: Callable[[socket.socket], None]) -> None:
    with Web(raw=first) as broken, Web(GOOD) as good:
        urls = ("--url", broken.url, "--url", good.url)
        said = ask("yarn", *urls, *ARGUMENTS, "--timeout", "4s")
        assert (said.status, said.room) == (OPEN, 3)


def test_one_that_is_down_and_one_that_nobody_knows() -> None:
    with Web(GOOD) as good:
        urls = ("--url", f"http://localhost:{closed_port()}", "--url", "http://rm.invalid:8088", "--url", good.url)
        assert ask("yarn", *urls, *ARGUMENTS).status == OPEN


@pytest.mark.parametrize("broken", [hang, trickle])
def test_a_look_ends_in_time(broken: Callable[[socket.socket], None]) -> None:
    with Web(raw=broken) as first, Web(raw=broken) as second:
        said = ask("yarn", "--url", first.url, "--url", second.url, *ARGUMENTS, "--timeout", "1s")
    assert said.status == UNKNOWN
    assert f"localhost:{first.port}: no answer within 0.5 s; localhost:{second.port}: no answer" in said.why
    assert said.seconds < 10


def test_one_in_standby_says_where_the_active_one_is() -> None:
    with Web(GOOD) as active, Web() as standby:
        for path in (SCHEDULER, APPS):
            told = f"This is standby RM. The redirect url is: {path}\n"
            standby.answers[path] = Answer(told, 307, {"Location": active.url + path})
        said = ask("yarn", "--url", standby.url, *ARGUMENTS)
    assert (said.status, said.room) == (OPEN, 3)
    assert len(standby.asked) == 1  # the rest was asked of the active one
    assert len(active.asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        Answer("Can not find any active RM. Will retry in next 5 seconds.\n", 307, {"Refresh": "5;url=http://x/"}),
        Answer("There is no active RM right now.\n", 200),
        Answer("", 503),
    ],
)
def test_one_in_standby_that_knows_of_no_active_one(answer: Answer) -> None:
    with Web({SCHEDULER: answer}) as standby, Web(GOOD) as active:
        urls = ("--url", standby.url, "--url", active.url)
        assert ask("yarn", *urls, *ARGUMENTS).status == OPEN
        alone = ask("yarn", "--url", standby.url, *ARGUMENTS)
    assert (alone.status, f"localhost:{standby.port}" in alone.why) == (UNKNOWN, True)


def test_two_that_send_us_to_each_other() -> None:
    with Web() as one, Web() as other:
        one.answers[SCHEDULER] = Answer("", 307, {"Location": other.url + SCHEDULER})
        other.answers[SCHEDULER] = Answer("", 307, {"Location": one.url + SCHEDULER})
        said = ask("yarn", "--url", one.url, "--url", other.url, *ARGUMENTS)
    assert (said.status, said.why.count("in a circle")) == (UNKNOWN, 2)


@pytest.mark.parametrize("target", ["file:///etc/passwd", "http://:80/", "gopher://x/"])
def test_a_redirection_to_what_is_no_address(target: str) -> None:
    with Web({SCHEDULER: Answer("", 307, {"Location": target})}) as web:
        said = ask("yarn", "--url", web.url, *ARGUMENTS)
    assert (said.status, "sends us on to what is no address" in said.why) == (UNKNOWN, True)


# -- TLS ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls") / "key.pem")


def test_tls_with_an_authority_of_its_own(key: Path) -> None:
    with Web(GOOD, certificate=key) as web:
        said = ask("yarn", "--url", web.url, *ARGUMENTS, "--ca-file", key)
        assert said.status == OPEN
        said = ask("yarn", "--url", web.url, *ARGUMENTS)
        assert (said.status, "certificate verify failed" in said.why) == (UNKNOWN, True)
        other = ask("yarn", "--url", web.url.replace("localhost", "127.0.0.1"), *ARGUMENTS, "--ca-file", key)
        assert (other.status, "certificate" in other.why) == (UNKNOWN, True)  # it is for another name
        said = ask("yarn", "--url", web.url.replace("https", "http"), *ARGUMENTS)
        assert said.status == UNKNOWN
    said = ask("yarn", "--url", web.url, *ARGUMENTS, "--ca-file", "/nonexistent.pem")
    assert (said.status, "no certificates can be read" in said.why) == (UNKNOWN, True)


def test_nobody_is_sent_from_https_to_http(key: Path) -> None:
    with Web(GOOD) as plain, Web(certificate=key) as standby:
        standby.answers[SCHEDULER] = Answer("", 307, {"Location": plain.url + SCHEDULER})
        said = ask("yarn", "--url", standby.url, *ARGUMENTS, "--ca-file", key)
    assert (said.status, "from https to" in said.why, plain.asked) == (UNKNOWN, True, [])


# -- the stand-in with applications --------------------------------------------------------------------


def test_it_counts_what_spark_submit_starts(tmp_path: Path) -> None:
    with ResourceManager(room=3, slots=2) as manager:
        submit = manager.spark_submit(tmp_path / "spark-submit")
        running: list[subprocess.Popen[str]] = []

        def start() -> None:
            words = [submit, "--master", "yarn", "--queue", "etl", "job.py", "100"]
            running.append(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))

        def probe(*limit: object) -> Said:
            return ask("yarn", "--url", manager.url, "--queue", "root.etl", *limit)

        try:
            assert probe("--max-apps", 3).room == 3
            for number in (1, 2, 3):
                start()
                until(lambda number=number: len(manager.in_queue()) == number, "the application is there")
                assert probe("--max-apps", 4).room == 4 - number
            assert probe("--max-apps", 3).status == CLOSED
            assert probe("--max-pending", 2).room == 1
            assert probe("--max-pending", 1).status == CLOSED
            assert probe("--max-used", 99).status == CLOSED
            start()
            assert running[-1].wait(60) == 1
            assert "Queue root.etl already has 3 applications" in running[-1].communicate()[1]
            running[0].kill()
            until(lambda: len(manager.in_queue()) == 2, "what was killed is over")
            assert probe("--max-pending", 1).status == OPEN
        finally:
            for process in running:
                process.kill()
                process.communicate()
        until(lambda: not manager.in_queue(), "all are over")
        assert (manager.submitted, manager.rejected, manager.finished, manager.most) == (4, 1, 3, 3)
