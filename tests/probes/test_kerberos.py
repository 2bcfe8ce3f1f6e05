"""The probe of Kerberos against tickets of a real KDC, and against what klist writes in other cases."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.env.probing import CLOSED, OPEN, UNKNOWN, USAGE, Said, ask
from tests.env.until import until
from tests.env.web import closed_port

REALM = "EXAMPLE.ORG"


@dataclass
class Realm:
    """A KDC of its own."""

    directory: Path

    @property
    def env(self) -> dict[str, str]:
        return {
            "KRB5_CONFIG": str(self.directory / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(self.directory / "kdc.conf"),
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
            "KRB5CCNAME": f"FILE:{self.directory}/nothing",
        }

    def run(self, *command: str, stdin: str = "", **more: str) -> str:
        done = subprocess.run(
            command, env={**self.env, **more}, input=stdin, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def ticket(self, cache: str, lifetime: str = "1h", principal: str = "etl", **more: str) -> str:
        self.run("kinit", "-l", lifetime, "-c", cache, f"{principal}@{REALM}", stdin="secret\n", **more)
        return cache

    def probe(self, *arguments: object, **more: str) -> Said:
        return ask("kerberos", *arguments, env={**self.env, **more})


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    made = Realm(tmp_path_factory.mktemp("realm"))
    missing = [
        name
        for name in ("krb5kdc", "kdb5_util", "kadmin.local", "kinit", "klist")
        if not shutil.which(name, path=made.env["PATH"])
    ]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (Debian: krb5-kdc krb5-admin-server krb5-user)")
    where, port = made.directory, closed_port()
    (where / "krb5.conf").write_text(
        f"[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\nrdns = false\n"
        f"[realms]\n{REALM} = {{\n kdc = 127.0.0.1:{port}\n}}\n"
    )
    (where / "kdc.conf").write_text(
        f"[realms]\n{REALM} = {{\n database_name = {where}/principal\n key_stash_file = {where}/stash\n"
        f" kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n}}\n"
        f"[logging]\nkdc = FILE:{where}/kdc.log\ndefault = FILE:{where}/log\n"
    )
    made.run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master")
    for name in ("etl", "report"):
        made.run("kadmin.local", "-q", f"addprinc -pw secret {name}")
    made.run("kadmin.local", "-q", "addprinc -randkey HTTP/rm1")
    kdc = subprocess.Popen(["krb5kdc", "-n"], env=made.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        log = where / "kdc.log"
        until(lambda: log.exists() and "commencing operation" in log.read_text(), "the KDC is there")
        yield made
    finally:
        kdc.terminate()
        kdc.wait(60)


@pytest.fixture(scope="module")
def hour(realm: Realm) -> str:
    """A cache with a ticket for an hour."""
    return realm.ticket(f"FILE:{realm.directory}/hour")


def test_a_ticket_that_is_valid_long_enough(realm: Realm, hour: str) -> None:
    said = realm.probe("--cache", hour, "--for", "50min")
    assert said.status == OPEN
    assert said.why.startswith(f"the ticket of etl@{REALM} for krbtgt/{REALM}@{REALM} is valid for 59 min ")
    assert realm.probe(KRB5CCNAME=hour).status == OPEN


def test_a_ticket_that_is_not_valid_long_enough(realm: Realm, hour: str) -> None:
    said = realm.probe("--cache", hour, "--for", "2h 30min")
    assert said.status == CLOSED
    assert said.why.endswith(" s only, and not for 2 h 30 min")


@pytest.mark.parametrize(
    "more", [{"TZ": "Asia/Kolkata"}, {"LC_ALL": "de_DE.UTF-8"}, {"LANGUAGE": "de", "LANG": "de_DE"}]
)
def test_the_time_zone_and_the_language_of_the_caller_change_nothing(
    realm: Realm, hour: str, more: dict[str, str]
) -> None:
    assert realm.probe("--cache", hour, "--for", "50min", **more).status == OPEN
    assert realm.probe("--cache", hour, "--for", "61min", **more).status == CLOSED


def test_a_ticket_that_has_expired(realm: Realm) -> None:
    cache = realm.ticket(f"FILE:{realm.directory}/short", "1s")
    said = until(lambda: (got := realm.probe("--cache", cache)).status == CLOSED and got, "it has expired")
    assert "has expired, " in said.why


def test_no_ticket(realm: Realm) -> None:
    for said in (realm.probe(), realm.probe("--cache", f"FILE:{realm.directory}/nothing")):
        assert (said.status, said.why.startswith("there is no ticket: No credentials cache found")) == (CLOSED, True)
    (realm.directory / "none").mkdir()
    for cache in (f"FILE:{realm.directory}/nothing", f"DIR:{realm.directory}/none"):
        said = realm.probe("--principal", f"etl@{REALM}", KRB5CCNAME=cache)
        assert (said.status, said.why) == (CLOSED, f"there is no ticket of etl@{REALM}")


def test_whose_ticket_it_is(realm: Realm, hour: str) -> None:
    assert realm.probe("--cache", hour, "--principal", f"etl@{REALM}").status == OPEN
    said = realm.probe("--cache", hour, "--principal", f"report@{REALM}")
    assert (said.status, said.why) == (CLOSED, f"there is no ticket of report@{REALM}, but of etl@{REALM}")


def test_a_collection_of_caches(realm: Realm) -> None:
    """kinit makes the last one the first that is listed; ours is found wherever it is."""
    (realm.directory / "all").mkdir()
    where = {"KRB5CCNAME": f"DIR:{realm.directory}/all"}
    realm.run("kinit", "-l", "1h", f"report@{REALM}", stdin="secret\n", **where)
    realm.run("kinit", "-l", "1h", f"etl@{REALM}", stdin="secret\n", **where)
    for name in ("etl", "report"):
        assert realm.probe("--principal", f"{name}@{REALM}", **where).status == OPEN
    assert realm.probe("--principal", f"other@{REALM}", **where).status == CLOSED


def test_a_ticket_for_a_service(realm: Realm) -> None:
    cache = realm.ticket(f"FILE:{realm.directory}/service")
    service = f"HTTP/rm1@{REALM}"
    said = realm.probe("--cache", cache, "--service", service)
    assert (said.status, said.why) == (CLOSED, f"there is no ticket of etl@{REALM} for {service}")
    realm.run("kvno", "-c", cache, service)
    assert realm.probe("--cache", cache, "--service", service, "--for", "50min").status == OPEN


def test_a_damaged_cache_is_an_error(realm: Realm, hour: str, tmp_path: Path) -> None:
    data = Path(hour.removeprefix("FILE:")).read_bytes()
    for damaged in (b"", b"garbage", data[:5]):
        (tmp_path / "cache").write_bytes(damaged)
        said = realm.probe("--cache", f"FILE:{tmp_path}/cache")
        assert (said.status, "klist ended with 1" in said.why) == (UNKNOWN, True), damaged
    said = realm.probe("--cache", "WRONG:x")
    assert (said.status, "Unknown credential cache type" in said.why) == (UNKNOWN, True)


# -- a klist that is none ------------------------------------------------------------------------------

HEAD = "Ticket cache: KCM:0\nDefault principal: etl@EXAMPLE.ORG\n\nValid starting     Expires     Service principal"


def klist(path: Path, text: str, status: int = 0) -> Path:
    (path / "klist").write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {status}\n")
    (path / "klist").chmod(0o755)
    return path


def line(begin: float, end: float, year: str = "%y", service: str = "krbtgt/EXAMPLE.ORG@EXAMPLE.ORG") -> str:
    times = (time.strftime(f"%m/%d/{year} %H:%M:%S", time.gmtime(time.time() + shift)) for shift in (begin, end))
    return f"{'  '.join(times)}  {service}"


@pytest.mark.parametrize("year", ["%y", "%Y"])
def test_years_of_two_and_of_four_digits(tmp_path: Path, year: str) -> None:
    path = klist(tmp_path, f"{HEAD}\n{line(-60, 7200, year)}\n\trenew until 01/01/99 00:00:00")
    assert ask("kerberos", "--for", "1h 55min", path=path).status == OPEN
    assert ask("kerberos", "--for", "2h 5min", path=path).status == CLOSED


def test_of_several_tickets_the_one_that_is_valid_longest_counts(tmp_path: Path) -> None:
    path = klist(tmp_path, "\n".join((HEAD, line(-60, 60), line(-60, 7200), line(-60, 3600))))
    assert ask("kerberos", "--for", "90min", path=path).status == OPEN


def test_a_ticket_for_later(tmp_path: Path) -> None:
    said = ask("kerberos", path=klist(tmp_path, f"{HEAD}\n{line(3600, 7200)}"))
    assert (said.status, "is not valid for another 59 min" in said.why) == (CLOSED, True)


def test_a_ticket_of_another_realm_alone_does_not_count(tmp_path: Path) -> None:
    path = klist(tmp_path, f"{HEAD}\n{line(-60, 7200, service='krbtgt/OTHER.ORG@EXAMPLE.ORG')}")
    assert ask("kerberos", path=path).status == CLOSED


@pytest.mark.parametrize(
    "text", ["Credentials cache: FILE:/tmp/krb5cc_0\n        Principal: etl@EXAMPLE.ORG", "usage: klist"]
)
def test_another_klist_is_an_error(tmp_path: Path, text: str) -> None:
    said = ask("kerberos", path=klist(tmp_path, text))
    assert (said.status, "as that of MIT Kerberos" in said.why) == (UNKNOWN, True)


def test_a_time_that_is_none_is_an_error(tmp_path: Path) -> None:
    path = klist(tmp_path, f"{HEAD}\n13/45/26 25:61:00  13/45/26 25:61:00  krbtgt/EXAMPLE.ORG@EXAMPLE.ORG")
    said = ask("kerberos", path=path)
    assert (said.status, "no time: '13/45/26 25:61:00'" in said.why) == (UNKNOWN, True)


def test_no_cache_at_all(tmp_path: Path) -> None:
    assert ask("kerberos", "--principal", "etl@EXAMPLE.ORG", path=klist(tmp_path, "")).status == CLOSED
    assert ask("kerberos", "--for", "soon").status == USAGE
