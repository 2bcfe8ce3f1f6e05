"""Permissions of files and directories beyond the nine bits: POSIX access control lists (acl(5)).

The kernel keeps a list as the extended attribute ``system.posix_acl_access``: a version (2), then entries of
tag, permissions and id, all little-endian (linux/posix_acl_xattr.h).
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

from taskgated.host import users

ACCESS = "system.posix_acl_access"
DEFAULT = "system.posix_acl_default"

_VERSION = struct.Struct("<I")
_ENTRY = struct.Struct("<HHI")
_OWNER, _USER, _GROUP_OWNER, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_NOBODY = 0xFFFFFFFF  # the id of entries that have none

_ENTER = 0o3  # to make a file in a directory: write and search
_READ = 0o4


def remove(path: str | os.PathLike[str], kind: str) -> None:
    """The file has no such list after this."""
    try:
        os.removexattr(path, kind)
    except OSError:
        pass  # it had none, or the file system does not know any


def let_read(fd: int, uid: int) -> None:
    """One user more may read the file, and the group no longer. Raises ``OSError`` where there are no lists."""
    _let(fd, uid, 0o6, 0o4)


def let_look(directory: bytes, uid: int) -> None:
    """One user more may list the directory and open what is in it, and the group no longer. Raises ``OSError``."""
    _let(directory, uid, 0o7, 0o5)


def _let(file: int | bytes, uid: int, owner: int, other: int) -> None:
    entries = (
        (_OWNER, owner, _NOBODY),
        (_USER, other, uid),
        (_GROUP_OWNER, 0, _NOBODY),
        (_MASK, other, _NOBODY),
        (_OTHER, 0, _NOBODY),
    )
    os.setxattr(file, ACCESS, _VERSION.pack(2) + b"".join(_ENTRY.pack(*entry) for entry in entries))


def may_enter(directory: str | os.PathLike[str], uid: int) -> bool:
    """Whether the kernel would let that user make a file in the directory. Raises ``OSError`` for the
    directory, and ``Trouble`` when it cannot be told now who that user is."""
    return _may(directory, uid, _ENTER)


def may_read(path: str | os.PathLike[str], uid: int) -> bool:
    """Whether the kernel would let that user read the file, once it can be reached. Raises as ``may_enter`` does."""
    return _may(path, uid, _READ)


def _may(path: str | os.PathLike[str], uid: int, wanted: int) -> bool:
    if uid == 0:
        return True
    status = os.stat(path)
    if uid == status.st_uid:
        return _permits(status.st_mode >> 6, wanted)
    # The kernel does not look at a list whose mask, which is the mode's group, has nothing.
    entries = list(_entries(path)) if status.st_mode & 0o070 else []
    entries = entries or [(_GROUP_OWNER, status.st_mode >> 3 & 7, _NOBODY), (_OTHER, status.st_mode & 7, _NOBODY)]
    mask = next((permissions for tag, permissions, _ in entries if tag == _MASK), 0o7)
    for tag, permissions, id_ in entries:
        if tag == _USER and id_ == uid:
            return _permits(permissions & mask, wanted)
    ids = {_GROUP_OWNER: status.st_gid}
    asked = [ids.get(tag, id_) for tag, _, id_ in entries if tag in (_GROUP_OWNER, _GROUP)]
    groups = users.groups(uid, asked)
    named = [
        permissions & mask
        for tag, permissions, id_ in entries
        if (tag == _GROUP_OWNER and status.st_gid in groups) or (tag == _GROUP and id_ in groups)
    ]
    if named:  # one of them must grant all of it
        return any(_permits(permissions, wanted) for permissions in named)
    return any(_permits(permissions, wanted) for tag, permissions, _ in entries if tag == _OTHER)


def _permits(permissions: int, wanted: int) -> bool:
    return permissions & wanted == wanted


def _entries(path: str | os.PathLike[str]) -> Iterator[tuple[int, int, int]]:
    try:
        data = os.getxattr(path, ACCESS)
    except OSError:
        return
    if len(data) % _ENTRY.size != _VERSION.size:  # a file system in user space may answer anything
        raise OSError(errno.EINVAL, "its access control list cannot be understood", os.fspath(path))
    for at in range(_VERSION.size, len(data), _ENTRY.size):
        yield _ENTRY.unpack_from(data, at)
