"""The probe of YARN and the servers it asks: several, in standby, hanging, with TLS; and one with applications."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.env.probing import CLOSED, OPEN, UNKNOWN, Said, ask
from tests.env.resourcemanager import ResourceManager
from tests.env.until import until
from tests.env.web import Answer, Web, certificate, closed_port
from tests.env.yarn import APPS, SCHEDULER, capacity, leaf


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
