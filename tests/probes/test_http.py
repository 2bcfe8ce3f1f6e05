"""The probe of HTTP against servers that answer well, badly, elsewhere, too much or never."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from tests.env.probing import CLOSED, OPEN, UNKNOWN, USAGE, Said, ask
from tests.env.web import Answer, Web, certificate, closed_port


def look(answer: Answer, *arguments: object) -> Said:
    with Web({"/x": answer}) as web:
        return ask("http", "--url", f"{web.url}/x", *arguments)


@pytest.mark.parametrize(
    ("code", "right", "status"),
    [
        (200, None, OPEN), (204, None, OPEN), (299, None, OPEN), (404, None, CLOSED), (503, None, CLOSED),
        (404, "404", OPEN), (200, "404", CLOSED), (204, "200,204", OPEN), (302, "200-399", OPEN),
    ],
)  # fmt: skip
def test_the_status(code: int, right: str | None, status: int) -> None:
    said = look(Answer("", code), *(("--status", right) if right else ()))
    assert said.status == status
    assert f" answers {code}" in said.why


DOCUMENT = {
    "queue": {
        "depth": 7,
        "ready": True,
        "name": "etl",
        "none": None,
        "a/b": {"~": 1},
        "": 5,
        "many": [3, {"x": "y"}],
    },
    "text": "12",
    "huge": 10**30,
    "0": "zero",
}


@pytest.mark.parametrize(
    ("pointer", "condition", "status"),
    [
        ("/queue/depth", "< 10", OPEN),
        ("/queue/depth", "< 7", CLOSED),
        ("/queue/depth", "== 7.0", OPEN),
        ("/queue/ready", "== true", OPEN),
        ("/queue/name", "== etl", OPEN),
        ("/queue/name", "!= etl", CLOSED),
        ("/queue/name", "matches ^e.l$", OPEN),
        ("/queue/none", "== null", OPEN),
        ("/queue/a~1b/~0", "== 1", OPEN),
        ("/queue/", "== 5", OPEN),
        ("/queue/many/0", "== 3", OPEN),
        ("/queue/many/1/x", "== y", OPEN),
        ("/queue/many", "contains 3", OPEN),
        ("/text", "> 9", OPEN),
        ("/huge", "> 1e29", OPEN),
        ("/0", "== zero", OPEN),
        ("", 'contains "depth": 7', OPEN),
    ],
)
def test_a_value_of_the_answer(pointer: str, condition: str, status: int) -> None:
    said = look(Answer(DOCUMENT), "--json", pointer, "--when", condition)
    assert said.status == status, said.why


def test_what_is_said_of_a_value() -> None:
    said = look(Answer(DOCUMENT), "--json", "/queue/depth", "--when", "< 7")
    assert (said.status, said.why) == (CLOSED, "/queue/depth is 7, and open is < 7")


@pytest.mark.parametrize(
    ("value", "status", "room"),
    [
        (3, OPEN, 3), ("3", OPEN, 3), (3.9, OPEN, 3), (10**30, OPEN, 999_999_999),
        (0, CLOSED, None), (-5, CLOSED, None),
        ("many", UNKNOWN, None), (None, UNKNOWN, None), (True, UNKNOWN, None), ([3], UNKNOWN, None),
    ],
)  # fmt: skip
def test_a_value_that_is_the_room(value: Any, status: int, room: int | None) -> None:
    said = look(Answer({"free": value}), "--json", "/free", "--room")
    assert (said.status, said.room) == (status, room)


def test_the_text_of_the_answer() -> None:
    assert look(Answer("  ready\n"), "--when", "== ready").status == OPEN
    assert look(Answer("12\n"), "--when", "< 12").status == CLOSED
    assert look(Answer("4\n"), "--room").room == 4
    said = look(Answer("\x1b[2J\x07 not yet\n" * 99), "--when", "contains now")
    assert (said.status, "\x1b" in said.why, len(said.why) < 300) == (CLOSED, False, True)


@pytest.mark.parametrize(
    ("answer", "arguments", "words"),
    [
        (Answer(DOCUMENT), ["--json", "/queue/width"], "nothing at /queue/width: no 'width' in"),
        (Answer(DOCUMENT), ["--json", "/queue/many/2"], "nothing at /queue/many/2"),
        (Answer(DOCUMENT), ["--json", "/queue/many/-1"], "nothing at /queue/many/-1"),
        (Answer(DOCUMENT), ["--json", "/queue/many/00"], "nothing at /queue/many/00"),
        (Answer(DOCUMENT), ["--json", "/text/0"], "nothing at /text/0"),
        (Answer(DOCUMENT), ["--json", "/queue", "--when", "< 3"], "no number to compare"),
        (Answer("<html>"), ["--json", "/queue"], "is no JSON; it begins with '<html>'"),
        (Answer(b"[" * 100_000), ["--json", "/0"], "nested too deeply"),
        (Answer(DOCUMENT, 500), ["--json", "/queue/depth", "--when", "< 10"], "answers 500"),
        (Answer(b"x" * (16 * 2**20 + 1)), ["--when", "contains x"], "larger than 16 MiB"),
    ],
)
def test_what_is_not_understood(answer: Answer, arguments: list[str], words: str) -> None:
    said = look(answer, *arguments)
    assert (said.status, words in said.why) == (UNKNOWN, True), said.why


@pytest.mark.parametrize("answer", [b"", b"HTTP/9 hello\r\n", b"220 mail ESMTP\r\n"])
def test_what_is_no_http(answer: bytes) -> None:
    def raw(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with Web(raw=raw) as web:
        said = ask("http", "--url", web.url)
    assert (said.status, f"localhost:{web.port} " in said.why) == (UNKNOWN, True)


@pytest.mark.parametrize("url", ["http://localhost:{}/", "http://[::1]:{}/", "http://127.0.0.1:{}/"])
def test_nobody_there(url: str) -> None:
    said = ask("http", "--url", url.format(closed_port()))
    assert (said.status, "cannot be asked: " in said.why) == (UNKNOWN, True)


def test_a_server_that_hangs() -> None:
    def hang(connection: socket.socket) -> None:
        while connection.recv(65536):
            pass

    with Web(raw=hang) as web:
        said = ask("http", "--url", web.url, "--timeout", "500ms")
    assert (said.status, said.why) == (UNKNOWN, "http: no answer within 0.5 s")


# -- headers and redirections ----------------------------------------------------------------------------


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    path = tmp_path / "headers"
    path.write_text("# for the test\n\nAuthorization: Bearer s3cret\nX-Other: a: b\n")
    return path


def test_headers(secrets: Path) -> None:
    with Web({"/x": Answer("")}) as web:
        said = ask("http", "--url", f"{web.url}/x?y=1", "--header", "X-One: 1", "--header-file", secrets)
        assert said.status == OPEN
    ((path, headers),) = web.asked
    assert path == "/x?y=1"
    assert (headers["authorization"], headers["x-other"], headers["x-one"]) == ("Bearer s3cret", "a: b", "1")
    assert headers["host"] == f"localhost:{web.port}"


def test_a_redirection_to_the_same_place_keeps_the_headers(secrets: Path) -> None:
    with Web({"/x": Answer("", 302, {"Location": "y/z?q"}), "/y/z": Answer("ready")}) as web:
        said = ask("http", "--url", f"{web.url}/x", "--header-file", secrets, "--when", "== ready")
        assert said.status == OPEN
    assert [headers["authorization"] for _, headers in web.asked] == ["Bearer s3cret"] * 2


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_redirection_to_another_host_or_port_loses_them(secrets: Path, host: str) -> None:
    with Web({"/y": Answer("ready")}) as other, Web() as web:
        web.answers["/x"] = Answer("", 307, {"Location": f"http://{host}:{other.port}/y"})
        arguments = ("--header-file", secrets, "--header", "X-One: 1", "--when", "== ready")
        assert ask("http", "--url", f"{web.url}/x", *arguments).status == OPEN
    ((_, headers),) = other.asked
    assert "authorization" not in headers and "x-one" not in headers and "x-other" not in headers
    assert "authorization" in web.asked[0][1]


def test_a_redirection_back_does_not_bring_them_to_others(secrets: Path) -> None:
    with Web() as other, Web({"/z": Answer("ready")}) as web:
        web.answers["/x"] = Answer("", 307, {"Location": f"{other.url}/y"})
        other.answers["/y"] = Answer("", 307, {"Location": f"{web.url}/z"})
        assert ask("http", "--url", f"{web.url}/x", "--header-file", secrets).status == OPEN
    assert "authorization" not in other.asked[0][1]


def test_a_redirection_without_end() -> None:
    said = look(Answer("", 302, {"Location": "/x"}))
    assert (said.status, "sends us on more than 5 times" in said.why) == (UNKNOWN, True)


def test_a_redirection_without_a_place_is_a_status_like_another() -> None:
    assert look(Answer("", 304)).status == CLOSED
    assert look(Answer("", 302)).status == CLOSED


def test_a_header_file_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    said = ask("http", "--url", "http://localhost:1", "--header-file", tmp_path / "none")
    assert (said.status, "cannot be read: No such file" in said.why) == (UNKNOWN, True)
    (tmp_path / "bad").write_text("X-One: 1\nBearer s3cret\n")
    said = ask("http", "--url", "http://localhost:1", "--header-file", tmp_path / "bad")
    assert (said.status, "line 2" in said.why, "s3cret" in said.why) == (UNKNOWN, True, False)
    for worse in ("Bad name: s3cret\n", "X-One: s3\rcret\n", "X-One: s3\0cret\n"):
        (tmp_path / "worse").write_bytes(worse.encode())
        said = ask("http", "--url", "http://localhost:1", "--header-file", tmp_path / "worse")
        assert (said.status, "cret" in said.why) == (UNKNOWN, False), said


def test_no_proxy_is_asked() -> None:
    with Web({"/x": Answer("")}) as web:
        env = {name: f"http://localhost:{closed_port()}" for name in ("http_proxy", "HTTP_PROXY", "all_proxy")}
        assert ask("http", "--url", f"{web.url}/x", env=env).status == OPEN


def test_tls(tmp_path: Path) -> None:
    key = certificate(tmp_path / "key.pem")
    with Web({"/x": Answer("")}, certificate=key) as web, Web() as plain:
        assert ask("http", "--url", f"{web.url}/x", "--ca-file", key).status == OPEN
        said = ask("http", "--url", f"{web.url}/x")
        assert (said.status, "certificate verify failed" in said.why) == (UNKNOWN, True)
        web.answers["/x"] = Answer("", 302, {"Location": f"{plain.url}/x"})
        said = ask("http", "--url", f"{web.url}/x", "--ca-file", key)
        assert (said.status, "from https to" in said.why, plain.asked) == (UNKNOWN, True, [])


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--url", "localhost"],
        ["--url", "http://"],
        ["--url", "http://user:password@host/"],
        ["--url", "http://host/ x"],
        ["--url", "http://host/", "--status", "99"],
        ["--url", "http://host/", "--json", "queue.depth"],
        ["--url", "http://host/", "--when", "10"],
        ["--url", "http://host/", "--header", "no header"],
        ["--url", "http://host/", "--header", "X: 1\r\nY: 2"],
        ["--url", "http://host/", "--header", "Authorization: Bearer s3cret"],
    ],
)
def test_a_wrong_command_line(arguments: list[str]) -> None:
    assert ask("http", *arguments).status == USAGE
