"""The probe of PostgreSQL against a real server, and against a psql that says what another one would."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.env.probing import CLOSED, OPEN, UNKNOWN, USAGE, Said, ask
from tests.env.until import until

CONNECTIONS, RESERVED = 10, 3
"""max_connections, and superuser_reserved_connections."""


@dataclass
class Server:
    directory: Path
    identity: dict[str, Any]

    def db(self, user: str, name: str = "postgres") -> str:
        return f"host={self.directory} port=5432 dbname={name} user={user}"

    def sql(self, text: str) -> str:
        command = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", self.db("admin"), "-c", text]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    def probe(self, *arguments: object, user: str = "etl", name: str = "postgres") -> Said:
        return ask("postgresql", "--db", self.db(user, name), *arguments)

    def room(self, expected: int, *arguments: object, user: str = "etl", name: str = "postgres") -> Said:
        """What the probe says as soon as it has that room: connections that were closed go a little later."""

        def as_expected() -> Said | None:
            said = self.probe(*arguments, user=user, name=name)
            return said if (said.status, said.room) == (OPEN, expected) else None

        return until(as_expected, f"there is room for {expected}")

    def used(self) -> int:
        return int(self.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'busy'"))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server of its own below /tmp, with a superuser ``admin``, and users ``etl``, ``few`` and ``watcher``."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin")) or [os.path.dirname(shutil.which("initdb") or "")]
    programs = Path(found[-1])
    if not (programs / "initdb").exists() or shutil.which("psql") is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    directory = Path(tempfile.mkdtemp(prefix="pg"))
    identity: dict[str, Any] = {}
    try:
        if os.geteuid() == 0:  # the server does not run as root
            identity = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(directory, "postgres", "postgres")
        (directory / "run").mkdir()

        def run(program: str, *arguments: str) -> None:
            command = [programs / program, "-D", directory / "data", *arguments]
            subprocess.run(command, check=True, capture_output=True, cwd="/", timeout=120, **identity)

        run("initdb", "--auth=trust", "--username=admin", "--no-sync", "--locale=C", "--encoding=UTF8")
        settings = f"-c listen_addresses='' -c unix_socket_directories={directory} -c port=5432 -c fsync=off"
        settings += f" -c max_connections={CONNECTIONS} -c superuser_reserved_connections={RESERVED}"
        settings += " -c autovacuum=off"
        run("pg_ctl", "-w", "-l", str(directory / "log"), "-o", settings, "start")
        try:
            made = Server(directory, identity)
            made.sql("CREATE ROLE etl LOGIN")
            made.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 2")
            made.sql("CREATE ROLE watcher LOGIN IN ROLE pg_read_all_stats")
            made.sql("CREATE DATABASE small CONNECTION LIMIT 3")
            made.sql("CREATE TABLE staging AS SELECT generate_series(1, 7) AS n; GRANT ALL ON staging TO etl")
            yield made
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def busy(server: Server) -> Iterator[Any]:
    """Opens connections; they are closed at the end."""
    opened: list[subprocess.Popen[bytes]] = []

    def more(number: int, user: str = "etl", name: str = "postgres") -> None:
        env = {**os.environ, "PGAPPNAME": "busy"}
        words = ["psql", "-Xq", server.db(user, name)]
        before = server.used()

        def there(wanted: int) -> bool:
            if not opened or opened[-1].poll() is not None:  # it was refused: what asks may have had the last one
                opened.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env))
            return server.used() == wanted

        for wanted in range(before + 1, before + number + 1):
            opened.append(subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env))
            until(lambda wanted=wanted: there(wanted), "one more connection is there")

    yield more
    for process in opened:
        process.communicate()
    until(lambda: server.used() == 0, "the connections are gone")


@pytest.mark.parametrize("user", ["etl", "watcher", "admin"])
def test_free_connections(server: Server, busy: Any, user: str) -> None:
    """For who may see what others do, and for who may not."""
    free = CONNECTIONS - RESERVED
    server.room(free, "--min-free", 1, user=user)
    busy(3)
    said = server.room(free - 3 - 1, "--min-free", 2, user=user)
    assert said.why == f"{free - 3} connections are free (at least 2 is open)"
    server.room(1, "--min-free", free - 3, user=user)
    assert server.probe("--min-free", free - 3 + 1, user=user).status == CLOSED


def test_the_limits_of_a_role_and_of_a_database_hold_as_well(server: Server, busy: Any) -> None:
    server.room(2, "--min-free", 1, user="few")
    server.room(3, "--min-free", 1, name="small")
    busy(1, "few", "small")
    server.room(1, "--min-free", 1, user="few")
    server.room(2, "--min-free", 1, name="small")
    busy(1, "few")
    said = server.probe("--min-free", 1, user="few")
    assert (said.status, 'too many connections for role "few"' in said.why) == (CLOSED, True)


def test_a_server_that_has_no_connection_left_is_closed(server: Server, busy: Any) -> None:
    busy(CONNECTIONS - RESERVED)
    said = server.probe("--min-free", 1)
    assert said.status == CLOSED
    assert said.why.startswith("the server has no connection left: ") and "reserved" in said.why
    assert server.probe("--min-free", 1, user="admin").status == CLOSED  # it may ask, and sees that none is free
    assert server.probe("--query", "SELECT true").status == CLOSED


@pytest.mark.parametrize(
    ("arguments", "status", "room"),
    [
        (["--query", "SELECT true"], OPEN, None),
        (["--query", "SELECT false"], CLOSED, None),
        (["--query", "SELECT count(*), 'x' FROM staging", "--when", "< 8"], OPEN, None),
        (["--query", "SELECT count(*) FROM staging", "--when", "< 7"], CLOSED, None),
        (["--query", "SELECT 10 - count(*) FROM staging", "--room"], OPEN, 3),
        (["--query", "SELECT 7 - count(*) FROM staging", "--room"], CLOSED, None),
        (["--query", "SELECT n FROM staging ORDER BY n DESC", "--when", "== 7"], OPEN, None),
        (["--query", "SELECT 2.5", "--room", "--when", "> 2"], OPEN, 2),
        (["--query", "SELECT 'all ok'", "--when", "contains ok"], OPEN, None),
        (["--query", "SELECT NULL", "--when", "== "], OPEN, None),
    ],
)
def test_a_query(server: Server, arguments: list[str], status: int, room: int | None) -> None:
    said = server.probe(*arguments)
    assert (said.status, said.room) == (status, room), said.why


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("SELECT n FROM nowhere", 'relation "nowhere" does not exist'),
        ("SELECT n FROM staging WHERE false", "gives no row"),
        ("DELETE FROM staging", "read-only transaction"),
        ("SELECT 'many'", "no number of jobs"),
        ("SELECT repeat('x', 20000000)", "writes more than 16 MiB"),
    ],
)
def test_a_query_that_says_nothing(server: Server, query: str, words: str) -> None:
    said = server.probe("--query", query, "--room")
    assert said.status == UNKNOWN
    assert words in said.why
    assert "\n" not in said.why


def test_a_query_ends_with_the_look_also_on_the_server(server: Server) -> None:
    said = server.probe("--query", "SELECT pg_sleep(1000)", "--timeout", "1s")
    assert said.status == UNKNOWN
    asking = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'taskgated-probe'"
    until(lambda: server.sql(asking) == "0", "nothing is left on the server")


def test_a_password_comes_from_its_file(server: Server, tmp_path: Path) -> None:
    """Ours needs none; what is shown is that the variables and the files of psql hold."""
    service = tmp_path / "services"
    service.write_text(f"[dwh]\nhost={server.directory}\nport=5432\ndbname=postgres\nuser=etl\n")
    env = {"PGSERVICEFILE": str(service), "PGPASSFILE": str(tmp_path / "pgpass")}
    assert ask("postgresql", "--db", "service=dwh", "--min-free", 1, env=env).status == OPEN
    assert ask("postgresql", "--min-free", 1, env={**env, "PGSERVICE": "dwh"}).status == OPEN


def test_no_server() -> None:
    if shutil.which("psql") is None:
        pytest.skip("psql is not installed")
    said = ask("postgresql", "--db", "host=/nonexistent dbname=x", "--min-free", 1)
    assert (said.status, "psql ended with 2" in said.why) == (UNKNOWN, True)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--min-free", 0],
        ["--min-free", 1, "--query", "SELECT 1"],
        ["--min-free", 1, "--room"],
        ["--query", "SELECT 1", "--when", "1"],
        ["--db", "host=db1 password=secret", "--min-free", 1],
        ["--db", "postgresql://etl:secret@db1/dwh", "--min-free", 1],
        ["--db", "--help", "--min-free", 1],
    ],
)
def test_a_wrong_command_line(arguments: list[object]) -> None:
    assert ask("postgresql", *arguments).status == USAGE


# -- a psql that is none -----------------------------------------------------------------------------


def psql(path: Path, script: str) -> Path:
    path.mkdir(exist_ok=True)
    (path / "psql").write_text(f"#!/bin/sh\n{script}\n")
    (path / "psql").chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("echo 12", OPEN),
        ("echo 0", CLOSED),
        ("echo -3", CLOSED),
        ("echo many", UNKNOWN),
        ("true", UNKNOWN),
        ("echo 12; exit 1", UNKNOWN),
        ("echo 'psql: error: FATAL:  sorry, too many clients already' >&2; exit 2", CLOSED),
        ("echo 'psql: error: FATAL:  the database system is starting up' >&2; exit 2", UNKNOWN),
        ("echo 'psql: error: too many clients' >&2; exit 1", UNKNOWN),
        ("kill -9 $$", UNKNOWN),
    ],
)
def test_what_psql_may_say(tmp_path: Path, script: str, status: int) -> None:
    assert ask("postgresql", "--min-free", 1, path=psql(tmp_path, script)).status == status


def test_no_word_of_a_query_is_taken_for_another_argument(tmp_path: Path) -> None:
    psql(tmp_path, f'printf "%s\\n" "$@" >{tmp_path}/words; echo t')
    assert ask("postgresql", "--db", "a b", "--query", "SELECT 't' -- $(x)", path=tmp_path).status == OPEN
    words = (tmp_path / "words").read_text().splitlines()
    assert "--dbname=a b" in words and "--command=SELECT 't' -- $(x)" in words
