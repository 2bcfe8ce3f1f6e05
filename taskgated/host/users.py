"""Who somebody is, by the user database; and whether it could be asked at all.

That a user is unknown, and that nobody could be asked, are two things, but ``pwd`` and ``grp`` raise ``KeyError`` for
both. The C library tells them apart: a lookup returns 0, with an entry or without one, when it was answered, and an
error number when it was not (getpwnam_r(3)). Only, what counts is the last service in nsswitch.conf(5): when the one
that has the user is away, and the next says that it knows no such user, that is the answer. So whoever is not found
is looked for once more, and a service that is away ends that lookup, as ``[UNAVAIL=return]`` in that file would do
for the whole host. What is found is found, whoever is away meanwhile, or was never installed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from taskgated.errors import Trouble

PATIENCE = 2.0
"""Seconds for an answer. A directory service that is away may keep whoever asks it waiting for a minute."""
FRESH = 60.0
"""Seconds for which an answer that came too late is as good as a new one."""
SERVICES = "/etc/nsswitch.conf"
LOCAL = "/etc/passwd"
_LOCAL_MOST = 1024 * 1024
"""Bytes of a passwd(5) that is read as a whole."""
_ROOM = 1024
_MOST_ROOM = 16 * 1024 * 1024
"""Bytes for an entry: that of a group has all its members in it."""
_DATABASE = re.compile(r"^[ \t]*(passwd|group|initgroups)[ \t]*:([^#\n]*)", re.MULTILINE)
_SERVICE = re.compile(r"([^\s\[\]]+)\s*(?:\[([^\]]*)\])?")


class _Passwd(ctypes.Structure):
    """``struct passwd`` (getpwnam(3))."""

    _fields_ = (
        ("pw_name", ctypes.c_char_p),
        ("pw_passwd", ctypes.c_char_p),
        ("pw_uid", ctypes.c_uint),
        ("pw_gid", ctypes.c_uint),
        ("pw_gecos", ctypes.c_char_p),
        ("pw_dir", ctypes.c_char_p),
        ("pw_shell", ctypes.c_char_p),
    )


class _Group(ctypes.Structure):
    """``struct group`` (getgrnam(3))."""

    _fields_ = (
        ("gr_name", ctypes.c_char_p),
        ("gr_passwd", ctypes.c_char_p),
        ("gr_gid", ctypes.c_uint),
        ("gr_mem", ctypes.POINTER(ctypes.c_char_p)),
    )


K = TypeVar("K")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class User:
    name: str
    gid: int
    home: str


_libc = ctypes.CDLL(None, use_errno=True)
_one_at_a_time = threading.Lock()
"""For threads: which services are asked, and how, is the same for the whole process."""


def user(uid: int) -> User | None:
    """The user of that number; None if there is none. ``Trouble`` when that cannot be told now."""
    entry = _Passwd()
    for insist in (False, True):
        _configure(insist=insist)
        room = _look_up(_libc.getpwuid_r, uid, entry)
        if room is not None:  # the strings of the entry are there
            return User(os.fsdecode(entry.pw_name), entry.pw_gid, os.fsdecode(entry.pw_dir))
    return None


def uid(name: str) -> int | None:
    """The number of the user of that name; None if there is none. ``Trouble`` when that cannot be told now."""
    entry = _Passwd()
    for insist in (False, True):
        _configure(insist=insist)
        if _look_up(_libc.getpwnam_r, os.fsencode(name), entry) is not None:
            return int(entry.pw_uid)
    return None


def each(about: Collection[K], find: Callable[[K], T]) -> Mapping[K, T]:
    """What ``find``, which asks by ``user`` and ``uid``, returns of each of these, as far as that could be told
    within ``PATIENCE`` seconds."""
    found: dict[K, T] = {}
    late = threading.Event()

    def ask() -> None:
        for one in about:
            with _one_at_a_time:
                if late.is_set():
                    return  # others have their turn
                try:
                    found[one] = find(one)
                except Trouble:
                    pass  # it is not among those that could be told

    asking = threading.Thread(target=ask, name="users", daemon=True)
    try:
        asking.start()
    except RuntimeError:  # no thread can be had
        return {}
    asking.join(PATIENCE)
    late.set()
    return dict(found)


def local() -> Mapping[int, str]:
    """The names of the users in passwd(5), by their uids; none where the host asks another service before that, or
    goes on asking, or the file is large."""
    found: dict[int, str] = {}
    try:
        if not _local_first() or os.stat(LOCAL).st_size > _LOCAL_MOST:
            return {}
        with open(LOCAL, "rb") as file:
            for line in file:
                name, _, uid, *_ = [*line.split(b":"), b"", b"", b""]
                if uid.isdigit() and not name.startswith((b"+", b"-")):  # those are of compat (nsswitch.conf(5))
                    found.setdefault(int(uid), os.fsdecode(name))
    except OSError:
        return {}
    return found


def _local_first() -> bool:
    try:
        with open(SERVICES, encoding="utf-8", errors="replace") as file:
            lines = _DATABASE.findall(file.read())
    except FileNotFoundError:
        return True  # the library's default
    said = next((line for database, line in lines if database == "passwd"), "files")
    service, actions = next(iter(_SERVICE.findall(said)), ("", ""))
    return service == "files" and "SUCCESS" not in actions.upper()


def name(uid: int) -> str | None:
    """The name of that user; None of one whom nobody knows. ``Trouble`` as for ``groups``."""
    return _names.ask(uid)


def groups(uid: int, wanted: Sequence[int]) -> frozenset[int]:
    """The groups of that user; none of a user whom nobody knows. ``Trouble`` when it cannot be told now whether those
    ``wanted`` are among them; within ``PATIENCE`` seconds, and at once while an earlier question is not answered."""
    return _memberships.ask((uid, tuple(wanted)))


def _name(uid: int) -> str | None:
    known = user(uid)
    return None if known is None else known.name


def _groups(about: tuple[int, Sequence[int]]) -> frozenset[int]:
    uid, wanted = about
    known = user(uid)
    if known is None:
        return frozenset()
    _configure(insist=False)
    try:
        found = frozenset(os.getgrouplist(known.name, known.gid))
    except OSError as error:
        raise _unasked(error) from None
    _configure(insist=True)
    for gid in wanted:
        if gid not in found:  # a service that is away is no error of getgrouplist(3), it makes the list shorter
            _look_up(_libc.getgrgid_r, gid, _Group())
    return found


class _Question(threading.Thread, Generic[K, T]):
    def __init__(self, about: K, find: Callable[[K], T]) -> None:
        super().__init__(name="users", daemon=True)
        self.about = about
        self.answered = float("-inf")
        self._find = find
        self._found: list[T] = []
        self._trouble = Trouble("the user database was not asked")

    def run(self) -> None:
        with _one_at_a_time:
            try:
                self._found.append(self._find(self.about))
            except Trouble as error:
                self._trouble = error
        self.answered = time.monotonic()

    def answer(self) -> T:
        if not self._found:
            raise self._trouble
        return self._found[0]


class _Asker(Generic[K, T]):
    """One question at a time, on a thread of its own: no call of the C library for this has a time limit."""

    def __init__(self, find: Callable[[K], T]) -> None:
        self._find = find
        self._late: _Question[K, T] | None = None

    def ask(self, about: K) -> T:
        late = self._late
        if late is not None:
            if late.is_alive():
                raise _silent()
            self._late = None
            if late.about == about and time.monotonic() - late.answered < FRESH:
                return late.answer()
        question = _Question(about, self._find)
        try:
            question.start()
        except RuntimeError as error:  # no more processes: pthread_create(3), EAGAIN
            raise Trouble(f"the user database cannot be asked: {error}") from None
        question.join(PATIENCE)
        if question.is_alive():
            self._late = question
            raise _silent()
        return question.answer()


_names = _Asker(_name)
_memberships = _Asker(_groups)


def _silent() -> Trouble:
    return Trouble("the user database does not answer")


def _unasked(error: OSError) -> Trouble:
    return Trouble(f"the user database cannot be asked: {error.strerror}")


_in_force: list[tuple[int, int, bool]] = []  # which file of services, and whether with insistence


def _configure(*, insist: bool) -> None:
    """Ask the services that the host is configured for now; ``insist``: one that is away ends each lookup."""
    try:
        with open(SERVICES, encoding="utf-8", errors="replace") as file:
            status = os.fstat(file.fileno())
            wanted = (status.st_ino, status.st_mtime_ns, insist)
            if wanted in _in_force:
                return
            text = file.read()
    except FileNotFoundError:
        return  # the library's default is one service alone
    except OSError as error:
        raise _unasked(error) from None
    for database, line in _DATABASE.findall(text):
        # Replaces what this process had for that database (nss.h); nothing is looked up by that.
        services = insisting(line) if insist else line
        _libc.__nss_configure_lookup(database.encode(), services.encode())
    _in_force[:] = [wanted]


def insisting(line: str) -> str:
    """The services of one database, as in nsswitch.conf(5), each to end the lookup when it is away."""
    said = []
    for service, actions in _SERVICE.findall(line):
        mine = [f"{status}=return" for status in ("UNAVAIL", "TRYAGAIN") if status not in actions.upper()]
        said.append(f"{service} [{' '.join([*actions.split(), *mine])}]")
    return " ".join(said)


def _look_up(function: Callable[..., int], key: int | bytes, entry: ctypes.Structure) -> object | None:
    """Fills the entry; returns where its strings are kept, or None if there is no such entry. Raises ``Trouble`` when
    that cannot be told."""
    room = _ROOM
    asked = ctypes.c_char_p(key) if isinstance(key, bytes) else ctypes.c_uint(key)
    while True:
        buffer = ctypes.create_string_buffer(room)
        found = ctypes.c_void_p()
        ctypes.set_errno(0)  # what comes back is errno, and nothing sets it for a service that is not installed
        error = function(asked, ctypes.byref(entry), buffer, ctypes.c_size_t(room), ctypes.byref(found))
        if error == errno.ERANGE and room < _MOST_ROOM:
            room *= 4
        elif error:
            raise _unasked(OSError(error, os.strerror(error)))
        else:
            return buffer if found else None
