"""Who may write where: our answer is the kernel's, for modes, groups and access control lists."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskgated.host import acl, directories
from tests.env.gate import as_user
from tests.env.opened import passable

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")

NOBODY = 65534
MODES = ("0700", "1730", "3730", "0733", "0703", "0731", "0720", "0777")
OWNERS = (0, NOBODY)
LISTS = (
    "",
    "u:nobody:wx",
    "u:nobody:---",
    "g:nogroup:wx",
    "g:nogroup:r",
    "u:daemon:wx",
    "u:nobody:rwx,m::r",
    "g:nogroup:w,g:daemon:x",
)


def kernel_says(directory: Path, uid: int) -> bool:
    """Whether that user can really make a file there."""
    pid = os.fork()
    if pid == 0:
        try:
            os.initgroups("nobody", NOBODY)
            os.setgid(NOBODY)
            os.setuid(uid)
            os.close(os.open(directory / "probe", os.O_CREAT | os.O_WRONLY, 0o600))
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


@pytest.fixture
def directory() -> Iterator[Path]:
    with passable() as top:
        made = top / "queue"
        made.mkdir()
        yield made


@pytest.mark.parametrize("entries", LISTS)
@pytest.mark.parametrize("group", [0, NOBODY])
@pytest.mark.parametrize("owner", OWNERS)
def test_who_may_enter_is_who_the_kernel_lets_in(directory: Path, owner: int, group: int, entries: str) -> None:
    for mode in MODES:
        os.chown(directory, owner, group)
        directory.chmod(int(mode, 8))
        if entries:
            subprocess.run(["setfacl", "-m", entries, str(directory)], check=True)
        assert acl.may_enter(directory, NOBODY) == kernel_says(directory, NOBODY), (mode, entries)
        (directory / "probe").unlink(missing_ok=True)


@pytest.mark.parametrize("entries", [*LISTS, "u:nobody:r", "g:nogroup:r", "u:nobody:rwx,m::-"])
@pytest.mark.parametrize("owner", OWNERS)
def test_who_may_read_is_whom_the_kernel_lets_read(directory: Path, owner: int, entries: str) -> None:
    file = directory / "file"
    file.write_text("x")
    directory.chmod(0o755)
    for mode in (0o600, 0o640, 0o644, 0o404, 0o040, 0):
        os.chown(file, owner, 0)
        subprocess.run(["setfacl", "-b", str(file)], check=True)
        file.chmod(mode)
        if entries:
            subprocess.run(["setfacl", "-m", entries, str(file)], check=True)
        seen = as_user(NOBODY, lambda: file.read_text() == "x")
        assert acl.may_read(file, NOBODY) == (seen is True), (oct(mode), entries)


def test_root_may_enter(directory: Path) -> None:
    directory.chmod(0)
    assert acl.may_enter(directory, 0)


def test_a_user_that_nobody_knows(directory: Path) -> None:
    directory.chmod(0o770)
    assert not acl.may_enter(directory, 4_000_000)
    directory.chmod(0o773)
    assert acl.may_enter(directory, 4_000_000)


def test_one_reader_more_and_no_group(tmp_path: Path) -> None:
    path = tmp_path / "reason"
    path.write_text("x")
    path.chmod(0o644)
    with open(path) as file:
        acl.let_read(file.fileno(), NOBODY)
    listed = subprocess.run(["getfacl", "-nc", str(path)], capture_output=True, text=True, check=True).stdout.split()
    assert listed == ["user::rw-", f"user:{NOBODY}:r--", "group::---", "mask::r--", "other::---"]


def test_a_queue_is_as_open_as_its_spool(tmp_path: Path) -> None:
    """Also below a default ACL, in which the group of new directories has nothing."""
    spool = tmp_path / "spool"
    spool.mkdir()
    os.chown(spool, NOBODY, NOBODY)
    spool.chmod(0o3730)
    subprocess.run(["setfacl", "-dm", "u::rwx,g::---,o::---,u:daemon:rwx", str(spool)], check=True)
    directories.make_queue(spool, spool / "etl")
    status = (spool / "etl").stat()
    assert (status.st_mode & 0o7777, status.st_gid) == (0o3730, NOBODY)
    assert acl.may_enter(spool / "etl", NOBODY)
    listed = subprocess.run(["getfacl", "-c", str(spool / "etl")], capture_output=True, text=True, check=True).stdout
    assert "default:user:daemon:rwx" in listed
    assert "\nuser:daemon" not in listed
    (spool / "etl").chmod(0o700)
    directories.make_queue(spool, spool / "etl")
    assert (spool / "etl").stat().st_mode & 0o7777 == 0o700, "what is there is left as it is"


def test_what_is_private_is_so_below_a_default_list(tmp_path: Path) -> None:
    subprocess.run(["setfacl", "-dm", "u::rwx,g::rwx,o::rwx,u:daemon:rwx", str(tmp_path)], check=True)
    directories.make_private(tmp_path / ".claims")
    directories.make_shared(tmp_path / "rejected")
    for name, mode in ((".claims", 0o700), ("rejected", 0o2750)):
        assert (tmp_path / name).stat().st_mode & 0o7777 == mode
        assert not {acl.ACCESS, acl.DEFAULT} & set(os.listxattr(tmp_path / name))


def test_directories_where_nobody_may_set_the_setgid_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under RestrictSUIDSGID= (systemd.exec(5)): they have it from the spool, or go without."""

    def refuse(call: Callable[..., None]) -> Callable[..., None]:
        def restricted(path: Path, mode: int = 0o777) -> None:
            if mode & 0o6000:
                raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
            call(path, mode)

        return restricted

    spool = tmp_path / "spool"
    spool.mkdir()
    spool.chmod(0o3730)
    subprocess.run(["setfacl", "-dm", "u::rwx,g::---,o::---,m::rwx,u:daemon:rwx", str(spool)], check=True)
    (spool / "before").mkdir()
    (spool / "before").chmod(0o3730)
    monkeypatch.setattr(os, "chmod", refuse(os.chmod))
    monkeypatch.setattr(os, "mkdir", refuse(os.mkdir))
    directories.make_queue(spool, spool / "etl")
    for name in ("failed", "before"):
        directories.make_shared(spool / name)
    modes = {name: stat.S_IMODE((spool / name).stat().st_mode) for name in os.listdir(spool)}
    assert modes == {"etl": 0o3730, "failed": 0o2750, "before": 0o750}
    assert not {acl.ACCESS, acl.DEFAULT} & set(os.listxattr(spool / "failed"))
