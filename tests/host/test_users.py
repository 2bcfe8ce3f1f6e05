"""Whether somebody is unknown, or nobody could be asked: the C library knows, and so must we."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from taskgated.errors import Trouble
from taskgated.host import users
from tests import REPOSITORY
from tests.env.until import until

NOBODY_KNOWS = 4_000_000


def apart(code: str, *prefix: str) -> list[str]:
    """What this code prints in a process of its own, line by line."""
    head = (
        "import os, resource\nfrom taskgated.host import users\nfrom taskgated.errors import Trouble\n"
        + textwrap.dedent(
            """
        def ask(uid, wanted=()):
            try:
                print("unknown" if users.user(uid) is None else "known", *sorted(users.groups(uid, wanted)))
            except Trouble as error:
                print("trouble:", error)
        """
        )
    )
    command = [*prefix, sys.executable, "-c", head + textwrap.dedent(code)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_who_is_known_and_who_is_not() -> None:
    known = users.user(1)
    assert known is not None
    assert (known.name, known.gid) == ("daemon", 1)
    assert users.user(NOBODY_KNOWS) is None
    assert users.groups(1, (1, 0, NOBODY_KNOWS)) >= {1}
    assert users.groups(NOBODY_KNOWS, (0, 1)) == frozenset()


def test_without_descriptors_nobody_is_unknown() -> None:
    """The last of the host's services may say so all the same, because it needs none to know nobody."""
    said = apart(
        f"""
        ask(1)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
        ask(1)
        ask({NOBODY_KNOWS})
        """
    )
    assert said[0] == "known 1"
    assert [line.partition(":")[0] for line in said[1:]] == ["trouble", "trouble"]
    assert "Too many open files" in said[1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a mount namespace to spare")
@pytest.mark.parametrize("services", ["files", "files systemd"])
def test_a_database_that_comes_back(tmp_path: Path, services: str) -> None:
    """As with a directory service: it is away, and then it is there again."""
    for name, text in (
        ("nsswitch.conf", f"passwd: {services}\ngroup: {services}\n"),
        ("group", "etl:x:7777:alice\n"),
    ):
        (tmp_path / name).write_text(text)
    said = apart(
        f"""
        os.chdir({str(tmp_path)!r})
        os.system("mount -t tmpfs none /etc && cp nsswitch.conf /etc/")
        ask(4711)
        open("/etc/passwd", "w").write("alice:x:4711:4711::/:/bin/sh\\n")
        ask(4711, (7777,))
        os.system("cp group /etc/")
        ask(4711, (7777,))
        ask({NOBODY_KNOWS})
        """,
        "unshare",
        "-m",
    )
    assert said[0].startswith("trouble: the user database cannot be asked: ")
    assert said[1].startswith("trouble: "), (
        "of a group that nobody could be asked for, nobody is known not to be in it"
    )
    assert said[2:] == ["known 4711 7777", "unknown"]


@pytest.mark.parametrize("services", ["nosuch files", "nosuch files systemd"])
def test_who_is_found_is_known_whoever_is_away(tmp_path: Path, services: str) -> None:
    """A service may be named and not be installed; the host knows its users all the same, and so must we."""
    (tmp_path / "nsswitch.conf").write_text(f"passwd: {services}\ngroup: {services}\n")
    said = apart(f"users.SERVICES = {str(tmp_path / 'nsswitch.conf')!r}\nask(1, (0,))\nask({NOBODY_KNOWS})")
    assert said == ["known 1", "unknown"]


def test_without_room_for_a_thread_nobody_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that forks without end takes the processes of all (pids.max), and says nothing against anybody."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(Trouble, match="can't start new thread"):
        users.groups(1, (0,))


@pytest.mark.parametrize(
    ("line", "insisting"),
    [
        (" files systemd", "files [UNAVAIL=return TRYAGAIN=return] systemd [UNAVAIL=return TRYAGAIN=return]"),
        ("compat [NOTFOUND=return]", "compat [NOTFOUND=return UNAVAIL=return TRYAGAIN=return]"),
        ("\tsss[!UNAVAIL=continue success=merge]", "sss [!UNAVAIL=continue success=merge TRYAGAIN=return]"),
        ("", ""),
    ],
)
def test_what_is_insisted_on(line: str, insisting: str) -> None:
    assert users.insisting(line) == insisting


def test_a_database_that_hangs_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks next is not kept waiting, and the answer that comes too late is good for who asks again."""
    monkeypatch.setattr(users, "PATIENCE", 0.1)
    hold = threading.Event()
    real = users._groups
    monkeypatch.setattr(users, "_groups", lambda about: (hold.wait(60), real(about))[1])
    asker = users._Asker(users._groups)
    with pytest.raises(Trouble, match="does not answer"):
        asker.ask((1, ()))
    monkeypatch.setattr(users, "PATIENCE", 60.0)
    for uid in (1, 2):
        with pytest.raises(Trouble, match="does not answer"):
            asker.ask((uid, ()))
    hold.set()
    late = asker._late
    assert late is not None
    until(lambda: not late.is_alive(), "the question is answered")
    hold.clear()
    assert 1 in asker.ask((1, ()))
